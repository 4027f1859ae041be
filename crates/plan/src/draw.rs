//! Draws that depend on nothing but the seed and on what they are for.

/// A number in (0, 1) that belongs to these coordinates: the same ones give the same number on
/// every machine, whatever else is drawn (SplitMix64 over the coordinates, Steele et al. 2014).
pub fn uniform(seed: u64, coordinates: [u64; 3]) -> f64 {
    let mixed = coordinates.iter().fold(mix(seed), |state, c| mix(state ^ mix(*c)));
    ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Which of many independent things happen, each with the same probability, as their numbers from
/// 0 on: the gaps between them are geometric. The likelier they are, the more of them have
/// happened by any number, so that common random numbers stay common.
#[derive(Debug)]
pub(crate) struct Chances {
    seed: u64,
    coordinates: [u64; 2],
    /// The logarithm of the probability that one does not happen.
    ln_not: f64,
    nth: u64,
    next: f64,
}

impl Chances {
    /// With a probability from 0 to below 1.
    pub(crate) fn new(seed: u64, coordinates: [u64; 2], probability: f64) -> Self {
        Self { seed, coordinates, ln_not: (-probability).ln_1p(), nth: 0, next: -1.0 }
    }
}

impl Iterator for Chances {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.ln_not >= 0.0 {
            return None;
        }
        let [a, b] = self.coordinates;
        self.next += 1.0 + (uniform(self.seed, [a, b, self.nth]).ln() / self.ln_not).floor();
        self.nth += 1;
        (self.next < u64::MAX as f64).then_some(self.next as u64)
    }
}

fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_with_their_probability_and_the_more_the_likelier() {
        let among = |path: u64, probability: f64, count: u64| {
            Chances::new(3, [path, 0], probability).take_while(|nth| *nth < count).count()
        };
        for probability in [0.01, 0.3, 0.9] {
            let all: usize = (0..5_000).map(|path| among(path, probability, 20)).sum();
            let share = all as f64 / 100_000.0;
            assert!((share - probability).abs() < 0.006, "{share} of {probability}");
            let likelier = |path: u64| among(path, probability * 1.1, 20);
            assert!((0..5_000).all(|path| likelier(path) >= among(path, probability, 20)));
        }
        assert_eq!(among(1, 0.0, 1_000_000), 0);
    }

    #[test]
    fn draws_are_even_and_not_tied_to_their_neighbours() {
        let draws: Vec<f64> = (0..20_000).map(|i| uniform(7, [i, 0, 0])).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        let product = |pair: &[f64]| (pair[0] - 0.5) * (pair[1] - 0.5);
        let tie = draws.windows(2).map(product).sum::<f64>() / draws.len() as f64 * 12.0;
        assert!(tie.abs() < 0.03, "{tie}");
        assert!(draws.iter().all(|u| *u > 0.0 && *u < 1.0));
        assert_ne!(uniform(7, [1, 2, 3]), uniform(7, [2, 1, 3]));
        assert_ne!(uniform(7, [1, 2, 3]), uniform(8, [1, 2, 3]));
    }
}
