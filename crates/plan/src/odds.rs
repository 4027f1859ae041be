//! How sure a share of paths makes one, and how many instances may be lost.

/// ln Γ(x) for x > 0 by the Lanczos approximation (g = 7, nine terms; relative error below
/// 1e-13).
fn ln_gamma(x: f64) -> f64 {
    const G: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = (1..9).fold(G[0], |sum, i| sum + G[i] / (x + i as f64));
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised incomplete beta function I_p(a, b), by the continued fraction of Lentz
/// (Numerical Recipes, 6.4).
fn beta_share(a: f64, b: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    if p > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_share(b, a, 1.0 - p);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * p.ln() + b * (-p).ln_1p()).exp();
    let small = |x: f64| if x.abs() < 1e-300 { 1e-300 } else { x };
    let mut c = 1.0;
    let mut d = 1.0 / small(1.0 - (a + b) * p / (a + 1.0));
    let mut h = d;
    for m in 1..1000 {
        let m = f64::from(m);
        let even = m * (b - m) * p / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * p / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = h;
        for term in [even, odd] {
            d = 1.0 / small(1.0 + term * d);
            c = small(1.0 + term / c);
            h *= c * d;
        }
        if ((h - before) / h).abs() < 1e-14 {
            break;
        }
    }
    front * h / a
}

/// The one-sided upper bound of Clopper and Pearson for a probability of which `hits` of
/// `trials` were seen. `hits` may be a sum of probabilities.
pub fn upper_bound(hits: f64, trials: usize, confidence: f64) -> f64 {
    let trials = trials as f64;
    if hits >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if beta_share(hits + 1.0, trials - hits, middle) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The most hits of `trials` that still keep [`upper_bound`] at or under `target`; `None` where
/// even no hit proves too little.
pub(crate) fn most_hits(target: f64, trials: usize, confidence: f64) -> Option<f64> {
    let proves = |hits: f64| beta_share(hits + 1.0, trials as f64 - hits, target) >= confidence;
    if !proves(0.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, trials as f64);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if proves(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// The fewest trials of which none may hit to prove `target`.
pub(crate) fn least_trials(target: f64, confidence: f64) -> f64 {
    ((1.0 - confidence).ln() / (-target).ln_1p()).ceil()
}

/// The probability of each number of losses, from none to all `count`: outwards from the most
/// likely one, where it is computed from its logarithm, by the ratios of neighbours.
fn binomial(count: u32, each: f64) -> Vec<f64> {
    let n = f64::from(count);
    let mut mass = vec![0.0; count as usize + 1];
    if each <= 0.0 || each >= 1.0 {
        mass[if each <= 0.0 { 0 } else { count as usize }] = 1.0;
        return mass;
    }
    let mode = ((n + 1.0) * each).floor().clamp(0.0, n);
    let ways = ln_gamma(n + 1.0) - ln_gamma(mode + 1.0) - ln_gamma(n - mode + 1.0);
    let odds = each / (1.0 - each);
    let top = mode as usize;
    mass[top] = (ways + mode * each.ln() + (n - mode) * (-each).ln_1p()).exp();
    for k in top..count as usize {
        mass[k + 1] = mass[k] * odds * (n - k as f64) / (k as f64 + 1.0);
    }
    for k in (0..top).rev() {
        mass[k] = mass[k + 1] / odds * (k as f64 + 1.0) / (n - k as f64);
    }
    mass
}

/// How likely more than so many of some instances are lost.
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    /// Entry `k`: the probability that more than `k` are lost.
    more_than: Vec<f64>,
}

impl Losses {
    /// Losses among `count` instances, each lost with probability `each`, and all of them
    /// together with probability `pool`.
    pub(crate) fn new(count: u32, each: f64, pool: f64) -> Self {
        let mass = binomial(count, each);
        let mut more_than = vec![0.0; count as usize + 1];
        let mut tail = 0.0;
        for k in (0..count as usize).rev() {
            tail += mass[k + 1];
            more_than[k] = (1.0 - pool) * tail.clamp(0.0, 1.0) + pool;
        }
        Self { more_than }
    }

    /// The probability that capacity is missing when `spare` of the instances are not needed;
    /// a negative `spare` says that more would be needed than there are.
    pub(crate) fn short(&self, spare: i64) -> f64 {
        match usize::try_from(spare) {
            Ok(spare) => self.more_than.get(spare).copied().unwrap_or(0.0),
            Err(_) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_agree_with_known_ones() {
        // No hit: 1 − 0.05^(1/n).
        assert!((upper_bound(0.0, 100, 0.95) - (1.0 - 0.05_f64.powf(0.01))).abs() < 1e-12);
        // Clopper and Pearson, one-sided 95 %, 5 of 100: 0.10225.
        assert!((upper_bound(5.0, 100, 0.95) - 0.102_25).abs() < 1e-4);
        // Symmetry of the beta function: I_0.5(a, a) = 0.5.
        assert!((beta_share(13.0, 13.0, 0.5) - 0.5).abs() < 1e-12);
        assert_eq!(upper_bound(7.0, 7, 0.95), 1.0);
    }

    #[test]
    fn the_most_hits_are_the_edge_of_the_bound() {
        for (target, trials) in [(0.01, 2000), (0.05, 400), (0.5, 30)] {
            let most = most_hits(target, trials, 0.95).unwrap();
            assert!(upper_bound(most, trials, 0.95) <= target + 1e-9);
            assert!(upper_bound(most + 0.01, trials, 0.95) > target);
        }
        assert_eq!(most_hits(0.01, 298, 0.95), None);
        assert!(most_hits(0.01, 299, 0.95).is_some());
        assert_eq!(least_trials(0.01, 0.95), 299.0);
    }

    #[test]
    fn losses_of_two_by_hand() {
        let losses = Losses::new(2, 0.1, 0.0);
        assert!((losses.short(0) - 0.19).abs() < 1e-12);
        assert!((losses.short(1) - 0.01).abs() < 1e-12);
        assert_eq!(losses.short(2), 0.0);
        assert_eq!(losses.short(-1), 1.0);
        let pooled = Losses::new(2, 0.0, 0.25);
        assert!((pooled.short(1) - 0.25).abs() < 1e-12);
        assert_eq!(pooled.short(2), 0.0);
        assert_eq!(Losses::new(0, 0.5, 0.5).short(0), 0.0);
        assert!((Losses::new(3, 1.0, 0.0).short(2) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_more_instance_never_makes_it_worse() {
        for count in 0..400 {
            let (fewer, more) = (Losses::new(count, 0.3, 0.01), Losses::new(count + 1, 0.3, 0.01));
            for need in 1..=i64::from(count) {
                let fewer = fewer.short(i64::from(count) - need);
                let more = more.short(i64::from(count) + 1 - need);
                assert!(more <= fewer + 1e-12, "{count} {need}: {more} after {fewer}");
            }
        }
    }
}
