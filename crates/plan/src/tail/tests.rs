use super::*;

/// So many draws by a quantile function of the probability to be exceeded.
fn sample(count: u64, seed: u64, excess: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..count).map(|nth| excess(uniform(seed, [nth, 1, 2]))).collect()
}

/// How often, of 300 samples of 2,000, the truth lies within one and within two standard errors;
/// and the mean of the estimates over the truth.
fn covered(truth: f64, excess: impl Fn(f64) -> f64) -> (f64, f64, f64) {
    // Moved so that zero is exceeded with the true probability.
    let zero = excess(truth);
    let fits = (0..300)
        .map(|seed| fit(sample(2_000, seed, |u| excess(u) - zero), seed).expect("there is a tail"));
    let fits: Vec<Tail> = fits.collect();
    let within = |errors: f64| {
        let near = |tail: &&Tail| (tail.probability - truth).abs() <= errors * tail.standard_error;
        fits.iter().filter(near).count() as f64 / fits.len() as f64
    };
    let mean = fits.iter().map(|tail| tail.probability).sum::<f64>() / fits.len() as f64;
    (within(1.0), within(2.0), mean / truth)
}

#[track_caller]
fn is_near(truth: f64, bias: std::ops::Range<f64>, excess: impl Fn(f64) -> f64) {
    let (one, two, mean) = covered(truth, excess);
    assert!((0.55..=0.85).contains(&one), "{one} within one standard error");
    assert!(two >= 0.88, "{two} within two standard errors");
    assert!(bias.contains(&mean), "{mean} of the truth on the mean");
}

#[test]
fn an_exponential_tail_is_found_within_its_error() {
    is_near(0.01, 0.9..1.1, |u| -u.ln());
    is_near(0.002, 0.9..1.1, |u| -u.ln());
}

#[test]
fn a_heavy_tail_is_found_within_its_error() {
    is_near(0.01, 0.9..1.1, |u| u.powf(-0.25));
    is_near(0.002, 0.9..1.1, |u| u.powf(-0.25));
}

#[test]
fn a_tail_that_ends_is_found_within_its_error() {
    is_near(0.01, 1.0..1.2, |u| 1.0 - u);
    // So near to its end, moments overstate what is left rather than understate it.
    is_near(0.004, 1.0..1.4, |u| 1.0 - u);
}

#[test]
fn beyond_the_end_of_a_tail_is_next_to_nothing() {
    for seed in 0..50 {
        let tail = fit(sample(2_000, seed, |u| -0.02 - u), seed).unwrap();
        assert!(tail.probability < 2e-4, "{tail:?}");
        assert!((tail.shape + 1.0).abs() < 0.5, "{tail:?}");
    }
}

#[test]
fn what_was_seen_beyond_zero_is_never_called_impossible() {
    for seed in 0..200 {
        // Uniform, with a sixtieth of a percent above zero.
        let sample = sample(2_000, seed, |u| 0.0016 - u);
        let seen = sample.iter().any(|value| *value > 1e-6);
        let tail = fit(sample, seed).unwrap();
        assert!(!seen || tail.probability > 0.0, "{tail:?}");
    }
}

#[test]
fn without_a_tail_the_reason_is_given() {
    let exponential = |u: f64| -u.ln() - 10.0;
    assert_eq!(fit(vec![f64::NEG_INFINITY; 400], 1), Err(NoTail::Covered));
    assert_eq!(fit(vec![], 1), Err(NoTail::Covered));
    assert_eq!(fit(vec![-0.3; 400], 1), Err(NoTail::NoSpread));
    assert_eq!(fit(sample(150, 1, exponential), 1), Err(NoTail::TooFew));
    assert_eq!(fit(sample(400, 1, |u| -u.ln() - 1.0), 1), Err(NoTail::WithinThePaths));
    // Few paths can lack anything.
    let mut few = vec![f64::NEG_INFINITY; 400];
    few[..30].copy_from_slice(&sample(30, 1, exponential));
    assert_eq!(fit(few, 1), Err(NoTail::TooFew));
    // Many that are the same below some that are not.
    let mut same = vec![-0.3; 400];
    same[..10].copy_from_slice(&sample(10, 1, |u| -0.2 * u));
    assert_eq!(fit(same, 1), Err(NoTail::TooFew));
    assert!(fit(sample(400, 1, exponential), 1).is_ok());
}
