//! Autocovariances of an ARMA process, exactly and in `O(p²)`: those of the autoregression by
//! Levinson's recursion run backwards, the moving average on top (Tunnicliffe Wilson, "Some
//! efficient computational procedures for high order ARMA models", J. Statist. Comput. Simul. 8,
//! 1979).

use super::polynomial::Polynomial;

/// `γ(0) … γ(most)` of `ar(B) y_t = ma(B) ε_t` with innovations of variance 1.
/// `ar` must be stationary; `None` if it is so near a unit root that the recursion fails.
pub(super) fn autocovariances(ar: &Polynomial, ma: &Polynomial, most: usize) -> Option<Vec<f64>> {
    let products = overlap(ma);
    let reach = products.last().map_or(0, |(lag, _)| *lag);
    if ar.degree() == 0 {
        let mut gamma = vec![0.0; most + 1];
        for (lag, c) in products.iter().filter(|(lag, _)| *lag <= most) {
            gamma[*lag] = *c;
        }
        return Some(gamma);
    }
    let inner = autoregressive(ar, most + reach)?;
    let gamma = (0..=most)
        .map(|k| {
            products
                .iter()
                .map(|(l, c)| {
                    let right = inner[k + l];
                    let both = if *l == 0 { right } else { right + inner[k.abs_diff(*l)] };
                    c * both
                })
                .sum()
        })
        .collect();
    Some(gamma)
}

/// `Σ_i θ_i θ_{i+l}` for every lag `l` at which it is not zero; lags rise from 0.
fn overlap(ma: &Polynomial) -> Vec<(usize, f64)> {
    let terms: Vec<(usize, f64)> =
        std::iter::once((0, 1.0)).chain(ma.terms().iter().copied()).collect();
    let mut products: Vec<(usize, f64)> = Vec::new();
    for (place, (i, a)) in terms.iter().enumerate() {
        products.extend(terms[place..].iter().map(|(j, b)| (j - i, a * b)));
    }
    products.sort_by_key(|(lag, _)| *lag);
    products.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    products
}

/// Autocovariances of the pure autoregression.
fn autoregressive(ar: &Polynomial, most: usize) -> Option<Vec<f64>> {
    let p = ar.degree();
    let mut row = vec![0.0; p];
    for (lag, c) in ar.terms() {
        row[lag - 1] = -c;
    }
    // The rows of all lower orders, highest first.
    let mut rows = Vec::with_capacity(p);
    let mut variance = 1.0;
    for k in (0..p).rev() {
        let partial: f64 = row[k];
        let scale = 1.0 - partial * partial;
        if scale.is_nan() || scale <= 0.0 {
            return None;
        }
        variance /= scale;
        let next = (0..k).map(|i| (row[i] + partial * row[k - 1 - i]) / scale).collect();
        rows.push(std::mem::replace(&mut row, next));
    }
    let mut gamma = Vec::with_capacity(most + 1);
    gamma.push(variance);
    for row in rows.iter().rev().take(most) {
        let sum: f64 = row.iter().zip(gamma.iter().rev()).map(|(c, g)| c * g).sum();
        gamma.push(sum);
    }
    for k in gamma.len()..=most {
        let sum: f64 = ar.terms().iter().map(|(lag, c)| -c * gamma[k - lag]).sum();
        gamma.push(sum);
    }
    gamma.iter().all(|g| g.is_finite()).then_some(gamma)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the infinite moving average: slow, but another way.
    fn by_psi(ar: &Polynomial, ma: &Polynomial, lag: usize) -> f64 {
        let psi = ar.divide(ma, 20_000);
        psi.iter().zip(&psi[lag..]).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn closed_forms_of_low_orders() {
        let gamma = autocovariances(&Polynomial::of(&[-0.8], 1), &Polynomial::one(), 3).unwrap();
        for (k, g) in gamma.iter().enumerate() {
            assert!((g - 0.8f64.powi(k as i32) / 0.36).abs() < 1e-12);
        }
        let gamma = autocovariances(&Polynomial::one(), &Polynomial::of(&[0.5], 1), 3).unwrap();
        assert_eq!(gamma, [1.25, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn seasonal_products_agree_with_the_infinite_moving_average() {
        let ar = Polynomial::of(&[-0.6, 0.2], 1).times(&Polynomial::of(&[-0.7], 12));
        let ma = Polynomial::of(&[0.4], 1).times(&Polynomial::of(&[-0.5, 0.1], 12));
        let gamma = autocovariances(&ar, &ma, 40).unwrap();
        for lag in [0, 1, 5, 11, 12, 13, 24, 31, 40] {
            let wanted = by_psi(&ar, &ma, lag);
            assert!((gamma[lag] - wanted).abs() < 1e-9, "lag {lag}: {} {wanted}", gamma[lag]);
        }
    }

    #[test]
    fn a_unit_root_has_no_covariance() {
        assert_eq!(autocovariances(&Polynomial::difference(1), &Polynomial::one(), 2), None);
    }
}
