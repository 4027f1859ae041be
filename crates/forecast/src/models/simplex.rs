//! The downhill simplex of Nelder and Mead ("A simplex method for function minimization",
//! Computer Journal 7, 1965), with their coefficients: no derivatives, few evaluations.

/// When a search ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At most so many evaluations.
    pub(crate) evaluations: usize,
    /// The values at the corners differ by less than this.
    pub(crate) tolerance: f64,
}

/// The least point found from `start`, whose neighbours lie `width` away along each axis, and
/// the value there. A value that is not finite counts as the worst.
pub(crate) fn minimise(
    start: &[f64],
    width: f64,
    limits: Limits,
    mut cost: impl FnMut(&[f64]) -> f64,
) -> (Vec<f64>, f64) {
    let k = start.len();
    let mut count = 0;
    let mut value = |x: &[f64]| {
        count += 1;
        let found = cost(x);
        (if found.is_finite() { found } else { f64::MAX }, count)
    };
    let mut corners = vec![(start.to_vec(), value(start).0)];
    for axis in 0..k {
        let mut corner = start.to_vec();
        corner[axis] += width;
        let found = value(&corner).0;
        corners.push((corner, found));
    }
    let mut spent = k + 1;
    while k > 0 && spent < limits.evaluations {
        corners.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (best, worst) = (corners[0].1, corners[k].1);
        if worst - best < limits.tolerance {
            break;
        }
        let centre: Vec<f64> =
            (0..k).map(|i| corners[..k].iter().map(|c| c.0[i]).sum::<f64>() / k as f64).collect();
        let along = |step: f64| -> Vec<f64> {
            centre.iter().zip(&corners[k].0).map(|(c, w)| c + step * (c - w)).collect()
        };
        let mirrored = along(1.0);
        let found;
        (found, spent) = value(&mirrored);
        if found < best {
            let further = along(2.0);
            let far;
            (far, spent) = value(&further);
            corners[k] = if far < found { (further, far) } else { (mirrored, found) };
            continue;
        }
        if found < corners[k - 1].1 {
            corners[k] = (mirrored, found);
            continue;
        }
        let nearer = along(if found < worst { 0.5 } else { -0.5 });
        let near;
        (near, spent) = value(&nearer);
        if near < worst.min(found) {
            corners[k] = (nearer, near);
            continue;
        }
        let least = corners[0].0.clone();
        for corner in &mut corners[1..] {
            corner.0.iter_mut().zip(&least).for_each(|(x, b)| *x = b + 0.5 * (*x - b));
            (corner.1, spent) = value(&corner.0);
        }
    }
    corners.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((start.to_vec(), f64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { evaluations: 400, tolerance: 1e-12 };

    #[test]
    fn the_bottom_of_a_bent_valley_is_found() {
        let valley = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let (at, value) = minimise(&[-1.2, 1.0], 0.5, LIMITS, valley);
        assert!(value < 1e-9 && (at[0] - 1.0).abs() < 1e-3, "{at:?} {value}");
    }

    #[test]
    fn the_limit_holds_and_what_is_not_finite_is_avoided() {
        let mut calls = 0;
        let limits = Limits { evaluations: 30, tolerance: 0.0 };
        let (at, value) = minimise(&[1.0, 1.0, 1.0], 1.0, limits, |x| {
            calls += 1;
            if x[0] > 1.5 { f64::NAN } else { x.iter().map(|v| v * v).sum() }
        });
        assert!(calls <= 30 + 4 && value < 3.0 && at[0] <= 1.5, "{calls} {at:?}");
        assert_eq!(minimise(&[], 1.0, LIMITS, |_| 7.0).1, 7.0);
    }
}
