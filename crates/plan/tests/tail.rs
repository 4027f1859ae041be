//! The tail of a plan beside what its paths show.

mod fleet;

use domain::plan::{NoTail, Plan, Tail};
use fleet::*;
use plan::{Request, explain, plan};

/// Each path has a level of its own for the whole time; nothing can be bought, and five of ten are
/// out at a time. Half of the fleet is 500: a path lacks capacity when its level is above.
fn levels(history: u32, level: impl Fn(f64) -> f64) -> Request {
    let mut facts = facts(10);
    facts.offers = vec![];
    let mut request = request(facts, |path, _| level(1.0 - noise(path, 5)));
    request.comparable_windows = history;
    request.schedule.batches = Some(halves(&request));
    request
}

fn halves(request: &Request) -> Vec<Vec<domain::name::ServerName>> {
    let names: Vec<_> = request.facts.servers.iter().map(|s| s.name.clone()).collect();
    names.chunks(5).map(<[_]>::to_vec).collect()
}

/// A level of which more than `x` above 350 has the probability exp(−x/25): 0.25 % above 500.
fn exponential(u: f64) -> f64 {
    350.0 - 25.0 * u.ln()
}

fn tail(plan: &Plan) -> Tail {
    plan.risk.tail.expect("the target lies beyond the history")
}

#[test]
fn a_target_beyond_the_history_has_a_tail_with_its_error() {
    let plan = plan(&levels(10, exponential)).unwrap();
    assert!(plan.risk.extrapolated);
    let tail = tail(&plan);
    // Of 400 paths the 40 with the highest levels; in shares of 1000.
    assert_eq!((tail.exceedances, plan.risk.no_tail), (40, None));
    let threshold = exponential(0.1) / 1000.0 - 0.5;
    assert!((tail.threshold - threshold).abs() < 0.01, "{tail:?}");
    let truth = (-150.0_f64 / 25.0).exp();
    assert!((tail.probability - truth).abs() <= 3.0 * tail.standard_error, "{tail:?}");
    assert!(tail.standard_error > 0.0 && tail.standard_error < 0.02, "{tail:?}");
    // The bound stays what the paths prove.
    assert!(tail.probability < plan.risk.upper95, "{:?}", plan.risk);
    // It can be computed again, and what was changed is found.
    assert_eq!(explain(&plan).fleets[0].risk.tail, Some(tail));
    assert!(explain(&plan).differences.is_empty());
    let mut changed = plan.clone();
    changed.risk.tail = Some(Tail { probability: 0.5 * tail.probability, ..tail });
    assert_eq!(explain(&changed).differences[0].figure, "risk.tail.probability");
}

#[test]
fn a_target_that_the_history_shows_has_none() {
    let short = plan(&levels(10, exponential)).unwrap();
    let long = plan(&levels(60, exponential)).unwrap();
    assert_eq!((long.risk.tail, long.risk.no_tail, long.risk.extrapolated), (None, None, false));
    // Everything else is the same.
    assert_eq!((&long.batches, long.risk.upper95), (&short.batches, short.risk.upper95));
    let json = serde_json::to_value(&long).unwrap();
    assert!(json["risk"].get("tail").is_none() && json["risk"].get("noTail").is_none());
    let json = serde_json::to_value(&short).unwrap();
    assert_eq!(json["risk"]["tail"]["model"], "generalised Pareto");
    let again: Plan = serde_json::from_value(json).unwrap();
    assert_eq!((again.computed_digest(), &again), (short.digest.clone(), &short));
}

#[test]
fn load_above_the_whole_fleet_stays_apart() {
    let heavy = |u: f64| 60.0 * u.powf(-0.5);
    let higher = |u: f64| if heavy(u) > 1000.0 { 2.0 * heavy(u) } else { heavy(u) };
    let (one, other) = (levels(10, heavy), levels(10, higher));
    assert_ne!(one.fresh, other.fresh, "some of the load lies above the whole fleet");
    let (one, other) = (tail(&plan(&one).unwrap()), tail(&plan(&other).unwrap()));
    assert!(other.shape > one.shape + 0.01, "{one:?}, {other:?}");
}

#[test]
fn where_there_is_no_tail_the_plan_says_why() {
    let reason = |request: &Request| {
        let plan = plan(request).unwrap();
        assert_eq!(plan.risk.tail, None);
        plan.risk.no_tail.expect("a reason")
    };
    assert_eq!(reason(&levels(10, |_| 400.0)), NoTail::NoSpread);
    // As much surge as is out: no load can be the rollout's fault.
    let mut covered = levels(10, |_| 950.0);
    covered.facts.offers = vec![offer("od", 0.6)];
    assert_eq!(reason(&covered), NoTail::Covered);
}
