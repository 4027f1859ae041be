use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn samples(list: &[(i64, f64)]) -> Vec<Sample> {
    list.iter().map(|(second, value)| Sample { at: at(*second), value: *value }).collect()
}

fn cleaned(list: &[(i64, f64)], options: &Hygiene) -> Clean {
    clean(&samples(list), options).unwrap()
}

fn has(clean: &Clean, wanted: &Warning) -> bool {
    clean.warnings.contains(wanted)
}

#[test]
fn disorder_duplicates_and_no_numbers_are_repaired_and_reported() {
    let list = [(60, 3.0), (0, 1.0), (60, 5.0), (120, f64::NAN), (180, 7.0), (240, f64::INFINITY)];
    let clean = cleaned(&list, &Hygiene::default());
    assert_eq!(clean.series.values(), &[1.0, 4.0, 5.5, 7.0]);
    assert_eq!(clean.series.step().seconds(), 60);
    assert!(has(&clean, &Warning::OutOfOrder { samples: 1 }));
    assert!(has(&clean, &Warning::Duplicates { samples: 1 }));
    assert!(has(&clean, &Warning::NotFinite { samples: 2 }));
    assert!(has(&clean, &Warning::Bridged { steps: 1 }));
}

#[test]
fn long_gaps_stay_open() {
    let mut list: Vec<(i64, f64)> = (0..50).map(|i| (i * 10, i as f64)).collect();
    list.drain(20..30);
    let clean = cleaned(&list, &Hygiene::default());
    assert!(clean.series.values()[20..30].iter().all(|v| v.is_nan()));
    assert!(has(&clean, &Warning::Gaps { gaps: 1, steps: 10, longest: 10 }));
}

#[test]
fn what_could_not_be_known_is_not_used() {
    let list: Vec<(i64, f64)> = (0..10).map(|i| (i * 60, i as f64)).collect();
    let options =
        Hygiene { now: Some(at(450)), delay: Duration::from_secs(60), ..Hygiene::default() };
    let clean = cleaned(&list, &options);
    // 450 s less 60 s of delay: steps that end by 390 s, that is by 360 s, are complete.
    assert_eq!(clean.series.values(), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(has(&clean, &Warning::Future { samples: 2 }));
    assert!(has(&clean, &Warning::Incomplete { steps: 2 }));
}

#[test]
fn counts_become_rates() {
    let options = Hygiene { measure: Measure::Count, ..Hygiene::default() };
    let clean = cleaned(&[(0, 600.0), (60, 1_200.0)], &options);
    assert_eq!(clean.series.values(), &[10.0, 20.0]);
}

#[test]
fn counters_survive_their_resets() {
    let list = samples(&[(0, 100.0), (60, 160.0), (120, 20.0), (180, 80.0)]);
    let (increases, resets) = counter_increases(&list);
    assert_eq!(increases.iter().map(|s| s.value).collect::<Vec<_>>(), [60.0, 20.0, 60.0]);
    assert_eq!(increases[0].at, at(0));
    assert_eq!(resets, 1);
}

#[test]
fn the_step_is_the_usual_distance() {
    let jitter: Vec<(i64, f64)> =
        (0..40).map(|i| (i * 60 + [0, 1, 3, 2][i as usize % 4], 1.0)).collect();
    assert_eq!(cleaned(&jitter, &Hygiene::default()).series.step().seconds(), 60);
    let gappy = [(0, 1.0), (300, 1.0), (600, 2.0), (6_000, 1.0), (6_300, 1.0)];
    assert_eq!(cleaned(&gappy, &Hygiene::default()).series.step().seconds(), 300);
    assert_eq!(
        clean(&samples(&[(0, 1.0), (0, 2.0)]), &Hygiene::default()),
        Err(HygieneError::NoStep)
    );
}

#[test]
fn what_is_useless_says_why() {
    assert_eq!(clean(&[], &Hygiene::default()), Err(HygieneError::Empty));
    let nothing = samples(&[(0, f64::NAN), (60, f64::NAN)]);
    assert_eq!(clean(&nothing, &Hygiene::default()), Err(HygieneError::AllGaps { samples: 2 }));
    let options = Hygiene { now: Some(at(10)), ..Hygiene::default() };
    let later = samples(&[(60, 1.0), (120, 1.0)]);
    let found = clean(&later, &options);
    assert_eq!(found, Err(HygieneError::NothingBefore { now: at(10) }));
    let options = Hygiene { now: Some(at(70)), step: Step::from_seconds(60).ok(), ..options };
    let found = clean(&samples(&[(60, 1.0)]), &options);
    assert_eq!(found, Err(HygieneError::NothingComplete));
}

#[test]
fn constants_and_few_values_are_kept_with_a_warning() {
    let clean = cleaned(&[(0, 5.0), (60, 5.0)], &Hygiene::default());
    assert!(has(&clean, &Warning::Constant));
    assert!(has(&clean, &Warning::Short { values: 2 }));
    let texts: Vec<String> = clean.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["only 2 values", "all values are the same"]);
}

#[test]
fn a_grid_without_end_is_cut() {
    let list = [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (100_000_000_000, 1.0)];
    let clean = cleaned(&list, &Hygiene::default());
    assert_eq!(clean.series.values(), &[1.0]);
    assert!(clean.warnings.iter().any(|w| matches!(w, Warning::Truncated { .. })));
}
