//! Parameters by least squares: of the errors given the first values (conditional sum of
//! squares), or of the exactly standardised errors (maximum likelihood).

use super::orders::{Factors, Orders};
use crate::linear::Normal;
use crate::settings;

/// The values that are explained: differenced, without regression effects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'a> {
    pub(super) values: &'a [f64],
    /// Which of them were really seen; bridged ones have no say.
    pub(super) seen: &'a [bool],
}

/// What an estimation found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Estimate {
    /// The free numbers of the orders.
    pub(super) free: Vec<f64>,
    /// The mean square of the (standardised) errors.
    pub(super) variance: f64,
}

/// The errors given the first `orders.reach()` values, with earlier errors zero; as many as
/// values, zero where a value has no say. Returns how many count.
pub(super) fn conditional(sample: Sample<'_>, factors: &Factors, errors: &mut Vec<f64>) -> usize {
    errors.clear();
    errors.extend_from_slice(sample.values);
    let mut from = 0;
    for factor in &factors.ar {
        from += factor.stride * factor.coefficients.len();
        for t in (from..errors.len()).rev() {
            let mut sum = errors[t];
            for (i, c) in factor.coefficients.iter().enumerate() {
                sum -= c * errors[t - (i + 1) * factor.stride];
            }
            errors[t] = sum;
        }
    }
    let from = from.min(errors.len());
    errors[..from].fill(0.0);
    for factor in &factors.ma {
        for t in from..errors.len() {
            let mut sum = errors[t];
            for (i, c) in factor.coefficients.iter().enumerate() {
                let back = (i + 1) * factor.stride;
                if t >= from + back {
                    sum += c * errors[t - back];
                }
            }
            errors[t] = sum;
        }
    }
    let mut count = 0;
    for (error, seen) in errors[from..].iter_mut().zip(&sample.seen[from..]) {
        if *seen {
            count += 1;
        } else {
            *error = 0.0;
        }
    }
    count
}

/// Parameters that minimise the conditional sum of squares, from `start`.
pub(super) fn least_squares(
    sample: Sample<'_>,
    orders: &Orders,
    start: Vec<f64>,
) -> Option<Estimate> {
    if sample.values.len() <= orders.reach() + orders.parameters() + 1 {
        return None;
    }
    let mut count = 0;
    let found = minimise(start, settings::ARIMA_ROUNDS, |free, errors| {
        count = conditional(sample, &orders.factors(free), errors);
        count > orders.parameters()
    })?;
    Some(Estimate { free: found.0, variance: found.1 / count as f64 })
}

/// Parameters of greatest likelihood, from `start`: the errors of the exact filter, each divided
/// by its standard deviation and all multiplied by the geometric mean of these, have their least
/// sum of squares where the likelihood (concentrated over the variance) is greatest.
pub(super) fn likelihood(values: &[f64], orders: &Orders, start: Vec<f64>) -> Option<Estimate> {
    let found = minimise(start, settings::ARIMA_EXACT_ROUNDS, |free, errors| {
        errors.clear();
        let Some(mut filter) = orders.filter(free) else { return false };
        let mut logs = 0.0;
        for value in values {
            let surprise = filter.step(*value);
            logs += surprise.variance.ln();
            errors.push(surprise.error / surprise.variance.sqrt());
        }
        let mean = (0.5 * logs / values.len() as f64).exp();
        errors.iter_mut().for_each(|e| *e *= mean);
        true
    })?;
    Some(Estimate { free: found.0, variance: found.1 / values.len() as f64 })
}

/// Levenberg–Marquardt with forward differences. `errors` writes the errors of the free numbers
/// that it is given and says whether they have a meaning. Returns the best numbers and the sum of
/// squares; `None` if the start has no meaning.
fn minimise(
    start: Vec<f64>,
    rounds: usize,
    mut errors: impl FnMut(&[f64], &mut Vec<f64>) -> bool,
) -> Option<(Vec<f64>, f64)> {
    let width = start.len();
    let mut best = start;
    let mut current = Vec::new();
    if !errors(&best, &mut current) {
        return None;
    }
    let mut lowest = square(&current);
    if !lowest.is_finite() {
        return None;
    }
    let mut trial = Vec::with_capacity(current.len());
    let mut columns = vec![Vec::new(); width];
    let mut damping = settings::ARIMA_DAMPING;
    for _ in 0..rounds {
        if width == 0 || lowest <= 0.0 {
            break;
        }
        let size = (lowest / current.len() as f64).sqrt();
        for (place, column) in columns.iter_mut().enumerate() {
            let mut moved = best.clone();
            moved[place] += settings::ARIMA_NUDGE;
            if !errors(&moved, &mut trial) {
                return Some((best, lowest));
            }
            let slope = |(new, old): (&f64, &f64)| (old - new) / (settings::ARIMA_NUDGE * size);
            column.clear();
            column.extend(trial.iter().zip(&current).map(slope));
        }
        let mut sums = Normal::new(width);
        let mut row = vec![0.0; width];
        for (t, error) in current.iter().enumerate() {
            row.iter_mut().zip(&columns).for_each(|(x, column)| *x = column[t]);
            sums.add(&row, error / size, 1.0);
        }
        let before = lowest;
        for _ in 0..settings::ARIMA_TRIES {
            let Some(step) = sums.solve(damping) else { break };
            let bound = |x: f64| x.clamp(-settings::ARIMA_STRIDE, settings::ARIMA_STRIDE);
            let edge = |x: f64| x.clamp(-settings::ARIMA_EDGE, settings::ARIMA_EDGE);
            let next: Vec<f64> = best.iter().zip(&step).map(|(b, s)| edge(b + bound(*s))).collect();
            let meant = errors(&next, &mut trial);
            let found = square(&trial);
            if meant && found < lowest {
                (best, lowest) = (next, found);
                std::mem::swap(&mut current, &mut trial);
                damping *= 0.1;
                break;
            }
            damping *= 10.0;
        }
        if before - lowest <= settings::ARIMA_GAIN * before {
            break;
        }
    }
    Some((best, lowest))
}

fn square(errors: &[f64]) -> f64 {
    errors.iter().map(|e| e * e).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::filter::Filter;
    use super::super::orders::Part;
    use super::super::polynomial::Polynomial;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A process with known polynomials: enough noise to be nearly normal, a warm start dropped.
    pub(in super::super) fn simulated(ar: &Polynomial, ma: &Polynomial, n: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let warm = 500 + ar.degree() + ma.degree();
        let noise: Vec<f64> = (0..n + warm).map(|_| normal()).collect();
        let mut values = vec![0.0; n + warm];
        for t in ar.degree().max(ma.degree())..n + warm {
            let shocks: f64 = ma.terms().iter().map(|(lag, c)| c * noise[t - lag]).sum();
            let past: f64 = ar.terms().iter().map(|(lag, c)| c * values[t - lag]).sum();
            values[t] = noise[t] + shocks - past;
        }
        values.split_off(warm)
    }

    fn orders(parts: &[(usize, usize, usize)]) -> Orders {
        Orders(parts.iter().map(|&(stride, ar, ma)| Part { stride, ar, ma }).collect())
    }

    #[test]
    fn known_parameters_are_found_again() {
        let ar = Polynomial::of(&[-0.7], 1);
        let ma = Polynomial::of(&[0.4], 1).times(&Polynomial::of(&[-0.6], 24));
        let values = simulated(&ar, &ma, 3_000);
        let orders = orders(&[(1, 1, 1), (24, 0, 1)]);
        let seen = vec![true; values.len()];
        let sample = Sample { values: &values, seen: &seen };
        let rough = least_squares(sample, &orders, orders.start()).unwrap();
        let exact = likelihood(&values, &orders, rough.free.clone()).unwrap();
        for estimate in [&rough, &exact] {
            let factors = orders.factors(&estimate.free);
            let found = [&factors.ar[0], &factors.ma[0], &factors.ma[1]].map(|f| f.coefficients[0]);
            for (found, wanted) in found.iter().zip([0.7, -0.4, 0.6]) {
                assert!((found - wanted).abs() < 0.05, "{found} is not {wanted}");
            }
            assert!((estimate.variance - 1.0).abs() < 0.08, "{}", estimate.variance);
        }
    }

    #[test]
    fn the_exact_estimate_has_the_greatest_likelihood_around() {
        let values = simulated(&Polynomial::one(), &Polynomial::of(&[-0.8], 1), 120);
        let orders = orders(&[(1, 0, 1)]);
        let best = likelihood(&values, &orders, orders.start()).unwrap();
        let deviance = |free: f64| {
            let mut filter = orders.filter(&[free]).unwrap();
            let (mut squares, mut logs) = (0.0, 0.0);
            for value in &values {
                let s = filter.step(*value);
                squares += s.error * s.error / s.variance;
                logs += s.variance.ln();
            }
            values.len() as f64 * squares.ln() + logs
        };
        for nudge in [-0.2, -0.05, 0.05, 0.2] {
            assert!(deviance(best.free[0]) < deviance(best.free[0] + nudge), "{nudge}");
        }
    }

    #[test]
    fn conditional_errors_are_the_innovations() {
        let (ar, ma) = (Polynomial::of(&[-0.5], 1), Polynomial::of(&[-0.4], 6));
        let values = simulated(&ar, &ma, 400);
        let orders = orders(&[(1, 1, 0), (6, 0, 1)]);
        let edge = |c: f64| (c / settings::PARTIAL_MOST).atanh();
        let factors = orders.factors(&[edge(0.5), edge(0.4)]);
        let mut seen = vec![true; values.len()];
        seen[300] = false;
        let mut errors = Vec::new();
        let count = conditional(Sample { values: &values, seen: &seen }, &factors, &mut errors);
        assert_eq!((count, errors[0], errors[300]), (398, 0.0, 0.0));
        let mut filter = Filter::stationary(&ar, &ma).unwrap();
        for (t, value) in values.iter().enumerate() {
            let exact = filter.step(*value).error;
            if t > 100 && seen[t] {
                assert!((errors[t] - exact).abs() < 1e-4, "{t}: {} {exact}", errors[t]);
            }
        }
    }

    #[test]
    fn nothing_to_learn_from_is_no_estimate() {
        let orders = orders(&[(1, 2, 2), (24, 1, 0)]);
        let sample = Sample { values: &[1.0; 20], seen: &[true; 20] };
        assert_eq!(least_squares(sample, &orders, orders.start()), None);
        let zeros = Sample { values: &[0.0; 90], seen: &[true; 90] };
        assert_eq!(least_squares(zeros, &orders, orders.start()).unwrap().variance, 0.0);
        let nan = Sample { values: &[f64::NAN; 90], seen: &[true; 90] };
        assert_eq!(least_squares(nan, &orders, orders.start()), None);
    }
}
