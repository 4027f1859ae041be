//! Sampled futures: calibrated at every step, dependent over time as past errors were.
//!
//! Past multi-step errors become normal scores per step. A path is the scores of one past
//! origin, drawn at random, mixed with a random combination of all origins
//! (`a z_o + √(1 − a²) Σ_k w_k z_k / √K` with normal `w`), which has the same covariance and
//! never repeats. The paths are then ranked per step, and each rank gets its calibrated
//! quantile (Clark, Gangopadhyay, Hay, Rajagopalan and Wilby, "The Schaake shuffle",
//! J. Hydrometeorology 5, 2004). So the marginals are exact and the ranks carry the dependence.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::quantile;
use crate::settings;

pub(crate) mod windows;

/// Normal scores of past errors: one row per origin, all rows equally long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Templates {
    rows: Vec<Vec<f64>>,
}

impl Templates {
    /// From standardised errors per origin and step (`NaN` where nothing came yet). Origins
    /// with most of their steps are used; a missing step takes over the score before it.
    pub(crate) fn of(standardised: &[Vec<f64>]) -> Self {
        let steps = standardised.first().map_or(0, Vec::len);
        let enough = |row: &&Vec<f64>| {
            let known = row.iter().filter(|v| v.is_finite()).count();
            known as f64 >= settings::TEMPLATE_SHARE * steps as f64
        };
        let usable: Vec<&Vec<f64>> = standardised.iter().filter(enough).collect();
        let mut rows = vec![vec![0.0; steps]; usable.len()];
        for h in 0..steps {
            let mut order: Vec<usize> =
                (0..usable.len()).filter(|o| usable[*o][h].is_finite()).collect();
            order.sort_by(|a, b| usable[*a][h].total_cmp(&usable[*b][h]).then(a.cmp(b)));
            let n = order.len() as f64;
            for row in &mut rows {
                row[h] = if h > 0 { row[h - 1] } else { 0.0 };
            }
            for (rank, o) in order.into_iter().enumerate() {
                rows[o][h] = quantile::normal((rank as f64 + 0.5) / n);
            }
        }
        Self { rows }
    }

    /// Ranks of `count` paths over `horizon` steps: `ranks[h][path]` in `0..count`. `looseness`
    /// is the share of noise of their own, see [`windows`].
    pub(crate) fn ranks(
        &self,
        horizon: usize,
        count: usize,
        seed: u64,
        looseness: f64,
    ) -> Vec<Vec<u32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let known = self.rows.first().map_or(0, Vec::len);
        let mut scores = vec![0.0; count * horizon];
        for path in scores.chunks_mut(horizon.max(1)) {
            if self.rows.len() >= settings::TEMPLATES_LEAST {
                self.draw(path, &mut rng);
                carry_on(path, known, settings::CARRY_ON, &mut rng);
                if looseness > 0.0 {
                    loosen(path, looseness, &mut rng);
                }
            } else {
                path[0] = gauss(&mut rng);
                carry_on(path, 1, settings::CARRY_ON, &mut rng);
            }
        }
        (0..horizon).map(|h| ranks_of_step(&scores, horizon, h, count)).collect()
    }

    fn draw(&self, path: &mut [f64], rng: &mut ChaCha8Rng) {
        let count = self.rows.len();
        let chosen = rng.random_range(0..count);
        let rest = (1.0 - settings::TEMPLATE_OWN.powi(2)).sqrt() / (count as f64).sqrt();
        for (slot, score) in path.iter_mut().zip(&self.rows[chosen]) {
            *slot = settings::TEMPLATE_OWN * score;
        }
        for row in &self.rows {
            let weight = rest * gauss(rng);
            for (slot, score) in path.iter_mut().zip(row) {
                *slot += weight * score;
            }
        }
    }
}

fn loosen(path: &mut [f64], looseness: f64, rng: &mut ChaCha8Rng) {
    let (own, fresh) = ((1.0 - looseness).sqrt(), looseness.sqrt());
    path.iter_mut().for_each(|score| *score = own * *score + fresh * gauss(rng));
}

/// Goes on from step `from` as an autoregression with the given correlation.
fn carry_on(path: &mut [f64], from: usize, correlation: f64, rng: &mut ChaCha8Rng) {
    let fresh = (1.0 - correlation * correlation).sqrt();
    for h in from.max(1)..path.len() {
        path[h] = correlation * path[h - 1] + fresh * gauss(rng);
    }
}

fn ranks_of_step(scores: &[f64], horizon: usize, h: usize, count: usize) -> Vec<u32> {
    // Side by side, since the scores of a step lie far apart.
    let score = |path: u32| in_order(scores[path as usize * horizon + h]);
    let mut order: Vec<(i64, u32)> = (0..count as u32).map(|path| (score(path), path)).collect();
    order.sort_unstable();
    let mut ranks = vec![0; count];
    for (rank, (_, path)) in order.into_iter().enumerate() {
        ranks[path as usize] = rank as u32;
    }
    ranks
}

/// An integer that is in the order of the numbers, as [`f64::total_cmp`] has it.
fn in_order(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// A standard normal draw.
fn gauss(rng: &mut ChaCha8Rng) -> f64 {
    quantile::normal(rng.random_range(1e-12..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persistent(origins: usize, steps: usize) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        (0..origins)
            .map(|_| {
                let mut row = vec![gauss(&mut rng); 1];
                for h in 1..steps {
                    row.push(0.9 * row[h - 1] + 0.436 * gauss(&mut rng));
                }
                row
            })
            .collect()
    }

    fn correlation(ranks: &[Vec<u32>], a: usize, b: usize) -> f64 {
        let n = ranks[a].len() as f64;
        let mean = (n - 1.0) / 2.0;
        let cross: f64 = ranks[a]
            .iter()
            .zip(&ranks[b])
            .map(|(x, y)| (f64::from(*x) - mean) * (f64::from(*y) - mean))
            .sum();
        cross / (n * (n * n - 1.0) / 12.0 / n) / n
    }

    #[test]
    fn each_step_uses_every_rank_once_and_dependence_is_kept() {
        let ranks = Templates::of(&persistent(200, 20)).ranks(25, 500, 9, 0.0);
        for step in &ranks {
            let mut sorted = step.clone();
            sorted.sort_unstable();
            assert!(sorted.iter().enumerate().all(|(i, r)| i as u32 == *r));
        }
        assert!(correlation(&ranks, 4, 5) > 0.7, "{}", correlation(&ranks, 4, 5));
        assert!(correlation(&ranks, 0, 19).abs() < 0.4);
    }

    #[test]
    fn integers_are_in_the_order_of_the_numbers() {
        let all = [f64::NEG_INFINITY, -2.5, -1e-300, -0.0, 0.0, 1e-300, 1.0, 7e9, f64::INFINITY];
        assert!(all.windows(2).all(|pair| in_order(pair[0]) < in_order(pair[1])));
    }

    #[test]
    fn the_same_seed_gives_the_same_ranks() {
        let templates = Templates::of(&persistent(30, 5));
        assert_eq!(templates.ranks(8, 50, 1, 0.0), templates.ranks(8, 50, 1, 0.0));
        assert_ne!(templates.ranks(8, 50, 1, 0.0), templates.ranks(8, 50, 2, 0.0));
    }

    #[test]
    fn without_past_errors_paths_are_persistent() {
        let ranks = Templates::default().ranks(10, 200, 4, 0.0);
        assert!(correlation(&ranks, 3, 4) > 0.7);
    }
}
