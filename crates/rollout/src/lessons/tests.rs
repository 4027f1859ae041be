use std::time::Duration;

use domain::name::OfferName;
use domain::spread::Spread;

use super::estimate::{Z95, normal_hazard, student_quantile};
use super::*;

fn spread(p50: u64, p95: u64) -> Spread {
    Spread::between(Duration::from_secs(p50), Duration::from_secs(p95)).unwrap()
}

/// Quantiles of a lognormal distribution at equal distances: a sample without chance.
fn sample(truth: Spread, count: usize) -> Vec<f64> {
    (0..count).map(|k| truth.quantile_seconds((k as f64 + 0.5) / count as f64)).collect()
}

fn ended(seconds: &[f64]) -> Vec<(Length, f64)> {
    seconds.iter().map(|s| (Length::Ended(*s), 1.0)).collect()
}

fn near(value: Duration, seconds: f64, share: f64) -> bool {
    (value.as_secs_f64() / seconds - 1.0).abs() < share
}

#[test]
fn many_observations_outweigh_what_was_configured() {
    let (configured, truth) = (spread(300, 300), spread(480, 720));
    let learned = duration(configured, &ended(&sample(truth, 400))).unwrap();
    assert!(near(learned.p50(), 480.0, 0.01), "{learned:?}");
    assert!(near(learned.p95(), 720.0, 0.02), "{learned:?}");
}

#[test]
fn few_observations_move_it_a_little_and_widen_it() {
    let configured = spread(300, 330);
    let one = duration(configured, &ended(&[600.0])).unwrap();
    assert!(one.p50() > configured.p50() && one.p50() < Duration::from_secs(450), "{one:?}");
    let ratio = |s: Spread| s.p95().as_secs_f64() / s.p50().as_secs_f64();
    assert!(ratio(one) > ratio(configured), "{one:?}");
    assert_eq!(duration(configured, &[]), None);
    assert_eq!(duration(configured, &[(Length::AtLeast(900.0), 1.0)]), None);
}

#[test]
fn what_had_ended_before_anybody_looked_shortens_it_a_little() {
    let configured = spread(120, 120);
    let seen = |count: usize| vec![(Length::AtMost(120.0), 1.0); count];
    let p50 = |count| duration(configured, &seen(count)).unwrap().p50().as_secs_f64();
    let (few, many) = (p50(4), p50(400));
    assert!(few < 118.0 && many < few, "{few} s, {many} s");
    assert!(many > 75.0, "nobody has seen that it takes so little: {many} s");
    // Half of a sample that is known to lie below its own median is no sample of half the length.
    let truth = spread(480, 720);
    let below = |s: &f64| match *s < 480.0 {
        true => (Length::AtMost(480.0), 1.0),
        false => (Length::Ended(*s), 1.0),
    };
    let mixed: Vec<_> = sample(truth, 400).iter().map(below).collect();
    let learned = duration(spread(300, 300), &mixed).unwrap();
    assert!(near(learned.p50(), 480.0, 0.02), "{learned:?}");
    assert!(near(learned.p95(), 720.0, 0.05), "{learned:?}");
}

#[test]
fn what_was_cut_off_counts_as_longer() {
    // All that lasts more than 8 minutes, which is half of it, is cut off there.
    let (configured, truth) = (spread(300, 300), spread(480, 720));
    let cut = |s: &f64| match *s < 480.0 {
        true => (Length::Ended(*s), 1.0),
        false => (Length::AtLeast(480.0), 1.0),
    };
    let seen: Vec<_> = sample(truth, 400).iter().map(cut).collect();
    let learned = duration(configured, &seen).unwrap();
    assert!(near(learned.p50(), 480.0, 0.02), "{learned:?}");
    assert!(near(learned.p95(), 720.0, 0.05), "{learned:?}");
    // Taken for ended, or left out, they would make it look shorter.
    let taken: Vec<f64> = sample(truth, 400).iter().map(|s| s.min(480.0)).collect();
    assert!(duration(configured, &ended(&taken)).unwrap().p95() < Duration::from_secs(600));
}

#[test]
fn what_lies_back_fades() {
    let (slow, fast) = (spread(600, 660), spread(300, 330));
    let of = |truth: Spread| {
        let lengths = sample(truth, 20).into_iter().map(Length::Ended).collect();
        Observed {
            fleet: domain::name::FleetName::new("web").unwrap(),
            lengths: [(Quantity::Update, lengths)].into(),
            trials: BTreeMap::new(),
        }
    };
    let configured = Figures::from([(Quantity::Update, Figure::duration(spread(400, 400)))]);
    let p50 = |history: &[Observed]| {
        findings(&configured, history)[&Quantity::Update].figure.spread().unwrap().p50()
    };
    let mut history = vec![of(fast); 10];
    assert!(near(Duration::from_secs(300), p50(&history).as_secs_f64(), 0.02));
    history.splice(0..0, vec![of(slow); 10]);
    let mixed = p50(&history);
    history.reverse();
    assert!(mixed > p50(&history), "the newer half has more weight");
    let evidence = findings(&configured, &history)[&Quantity::Update].evidence;
    assert_eq!((evidence.rollouts, evidence.seen), (20, 400.0));
}

#[test]
fn probabilities_start_from_what_is_configured() {
    assert_eq!(probability(0.1, Trials::default()), 0.1);
    let seen = Trials { tried: 980.0, failed: 49.0 };
    assert!((probability(0.1, seen) - 0.051).abs() < 1e-12);
    let spot = OfferName::new("spot").unwrap();
    let what = Quantity::Fulfilment(spot);
    let trials = BTreeMap::from([(what.clone(), Trials { tried: 180.0, failed: 36.0 })]);
    let fleet = domain::name::FleetName::new("web").unwrap();
    let observed = Observed { fleet, lengths: BTreeMap::new(), trials };
    let configured = Figures::from([(what.clone(), Figure::probability(1.0))]);
    let found = findings(&configured, &[observed]);
    assert_eq!(found[&what].figure, Figure::probability(1.0 - 0.18));
}

#[test]
fn plans_do_not_change_for_noise() {
    let length = |p50, p95| Figure::duration(spread(p50, p95));
    let moves = |from, to| super::moves(&Quantity::Update, from, to);
    assert!(!moves(length(300, 540), length(310, 550)));
    assert!(moves(length(300, 540), length(320, 540)));
    assert!(moves(length(300, 540), length(300, 600)));
    assert!(moves(Figure::probability(0.0), Figure::probability(0.01)));
    assert!(!moves(Figure::probability(0.5), Figure::probability(0.52)));
    let balances = [Figure::probability(1.0), Figure::probability(0.98)];
    assert!(super::moves(&Quantity::Balance, balances[0], balances[1]), "2 % of every server");
}

#[test]
fn the_distributions_are_those_of_the_tables() {
    for (freedom, quantile) in [(4.0, 2.132), (10.0, 1.812), (30.0, 1.697), (1e6, 1.645)] {
        assert!((student_quantile(Z95, freedom) / quantile - 1.0).abs() < 0.01, "{freedom}");
    }
    for (z, hazard) in
        [(-4.0, 0.000_133_834), (0.0, 0.797_884_56), (1.0, 1.525_135), (5.0, 5.186_503_97)]
    {
        assert!((normal_hazard(z) / hazard - 1.0).abs() < 1e-5, "{z}: {}", normal_hazard(z));
    }
}
