//! Draws that depend on nothing but the seed and on what they are for.

/// A number in (0, 1) that belongs to these coordinates: the same ones give the same number on
/// every machine, whatever else is drawn (SplitMix64 over the coordinates, Steele et al. 2014).
pub fn uniform(seed: u64, coordinates: [u64; 3]) -> f64 {
    let mixed = coordinates.iter().fold(mix(seed), |state, c| mix(state ^ mix(*c)));
    ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
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
