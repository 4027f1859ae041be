use super::*;

#[test]
fn leads_double_and_end_at_the_horizon() {
    assert_eq!(leads(1), [1]);
    assert_eq!(leads(2), [1, 2]);
    assert_eq!(leads(4), [1, 4]);
    assert_eq!(leads(6), [1, 3, 6]);
    assert_eq!(leads(48), [1, 3, 6, 12, 24, 48]);
    assert_eq!(leads(50), [1, 3, 6, 12, 24, 50]);
}

/// Experts that say the truth plus an error of their own; `error(expert, index, ahead)`.
struct World<'a> {
    truth: &'a dyn Fn(usize) -> f64,
    error: &'a dyn Fn(usize, usize, usize) -> f64,
    experts: usize,
}

const HORIZON: usize = 12;
/// Samples of a day at five minutes.
const DAY: usize = 288;

/// A number between −1 and 1 without pattern.
fn noise(a: usize, b: usize, c: usize) -> f64 {
    let mut x = (a as u64) << 40 ^ (b as u64) << 20 ^ c as u64;
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

impl World<'_> {
    fn says(&self, expert: usize, index: usize) -> Vec<f64> {
        let value = |h| (self.truth)(index + h) + (self.error)(expert, index, h);
        (0..HORIZON).map(value).collect()
    }

    /// Lives from the end of the past origins at `from` to `to`. Per day: the mean absolute
    /// error of the mean of the experts, and of each expert, over all steps ahead.
    fn live(&self, from: usize, to: usize) -> Vec<(f64, Vec<f64>)> {
        let origins: Vec<usize> = (0..72).map(|k| from - 1 - 5 * (71 - k)).collect();
        let came: Vec<Vec<f64>> = origins
            .iter()
            .map(|o| {
                let known = |h| if o + h < from { (self.truth)(o + h) } else { f64::NAN };
                (0..HORIZON).map(known).collect()
            })
            .collect();
        let rows: Vec<Vec<Vec<f64>>> =
            (0..self.experts).map(|e| origins.iter().map(|o| self.says(e, *o)).collect()).collect();
        let said: Vec<Said<'_>> = rows.iter().map(Vec::as_slice).collect();
        let mut experts = Experts::learn(&said, &came, 0, 5);
        let mut days = Vec::new();
        let mut sums = vec![0.0; self.experts + 1];
        for index in from..to {
            let said: Vec<Vec<f64>> = (0..self.experts).map(|e| self.says(e, index)).collect();
            let views: Vec<&[f64]> = said.iter().map(Vec::as_slice).collect();
            let mean = experts.mix(&views, HORIZON, 0.0);
            for (sum, row) in sums.iter_mut().zip(std::iter::once(&mean).chain(&said)) {
                let miss = |h: usize| (row[h] - (self.truth)(index + h)).abs();
                *sum += (0..HORIZON).map(miss).sum::<f64>();
            }
            experts.issue(index, &said);
            experts.observe(index, (self.truth)(index));
            if (index + 1 - from).is_multiple_of(DAY) {
                let day: Vec<f64> = sums.iter().map(|s| s / (DAY * HORIZON) as f64).collect();
                days.push((day[0], day[1..].to_vec()));
                sums.fill(0.0);
            }
        }
        days
    }
}

/// Weights come within 5 % of the best expert a day after the change, whatever kind it is.
#[test]
fn a_new_leader_is_followed_within_a_day() {
    let truth = |i: usize| 100.0 + 10.0 * (i as f64 * 0.02).sin();
    let change = 1_000;
    // The favourite becomes worse by a bias, as a model that does not follow a new level.
    let shift = |e: usize, i: usize, h: usize| {
        let bias = if e == 0 && i >= change { 8.0 } else { 0.0 };
        bias + [1.0, 2.0, 3.0][e] * noise(e, i, h)
    };
    // The favourite does not know of a season that begins.
    let season = |e: usize, i: usize, h: usize| {
        let missed = if e == 0 && i >= change { 5.0 * ((i + h) as f64 * 0.3).sin() } else { 0.0 };
        missed + [1.0, 1.5, 3.0][e] * noise(e, i, h)
    };
    // The favourite becomes slowly worse over a day, another one better.
    let drift = |e: usize, i: usize, h: usize| {
        let share = (i.saturating_sub(change) as f64 / DAY as f64).min(1.0);
        [1.0 + 3.0 * share, 4.0 - 3.0 * share, 3.0][e] * noise(e, i, h)
    };
    type Error<'a> = &'a dyn Fn(usize, usize, usize) -> f64;
    let cases: [(&str, Error<'_>, usize); 3] =
        [("shift", &shift, 1), ("season", &season, 1), ("drift", &drift, 2)];
    for (name, error, day_after) in cases {
        let world = World { truth: &truth, error, experts: 3 };
        let days = world.live(change, change + 4 * DAY);
        for (day, (mean, each)) in days.iter().enumerate().skip(day_after) {
            let best = each.iter().copied().fold(f64::MAX, f64::min);
            assert!(best < 0.6 * each[0], "{name}: the favourite is the worse one: {each:?}");
            assert!(*mean <= 1.05 * best, "{name}, day {day}: {mean} against {each:?}");
        }
    }
}

/// Leaders that alternate day by day: far better than any single expert, and at no day much
/// worse than the best of that day.
#[test]
fn the_mean_is_never_much_worse_than_the_best() {
    let truth = |i: usize| (i as f64 * 0.05).sin();
    let error = |e: usize, i: usize, h: usize| {
        let good = (i / DAY) % 2 == e;
        (if good { 1.0 } else { 6.0 }) * noise(e, i, h)
    };
    let world = World { truth: &truth, error: &error, experts: 2 };
    let days = world.live(DAY * 4, DAY * 14);
    let total: f64 = days.iter().map(|(mean, _)| mean).sum();
    let single = (0..2).map(|e| days.iter().map(|(_, each)| each[e]).sum::<f64>());
    let best = single.fold(f64::MAX, f64::min);
    assert!(total < 0.6 * best, "{total} {best}");
    for (mean, each) in days {
        assert!(mean < 1.5 * each[0].min(each[1]), "{mean} {each:?}");
    }
}

#[test]
fn who_is_left_out_has_no_weight_and_comes_not_back() {
    let truth = |_: usize| 1.0;
    let error = |e: usize, i: usize, h: usize| (e + 1) as f64 * noise(e, i, h);
    let world = World { truth: &truth, error: &error, experts: 3 };
    let rows: Vec<Vec<Vec<f64>>> =
        (0..3).map(|e| (0..20).map(|o| world.says(e, o)).collect()).collect();
    let said: Vec<Said<'_>> = rows.iter().map(Vec::as_slice).collect();
    let mut experts = Experts::learn(&said, &vec![vec![1.0; HORIZON]; 20], 0, 1);
    experts.leave_out(0);
    for index in 20..200 {
        let mut said: Vec<Vec<f64>> = (0..3).map(|e| world.says(e, index)).collect();
        said[0] = Vec::new();
        experts.issue(index, &said);
        experts.observe(index, 1.0);
    }
    assert!(!experts.takes_part(0));
    assert!((experts.mean_weights().iter().sum::<f64>() - 1.0).abs() < 1e-9);
    experts.leave_out(1);
    experts.leave_out(2);
    assert_eq!(experts.mix(&[&[], &[], &[]], 2, 7.0), [7.0, 7.0]);
}
