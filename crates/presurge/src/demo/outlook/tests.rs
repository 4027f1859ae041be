//! Plans of the demo for several seeds.

use super::super::profile::Curve;
use super::super::settings::ASKED_AT;
use super::*;

fn outlook(seed: u64, length: Option<Duration>) -> (Outlook, Timestamp) {
    let origin: Timestamp = ASKED_AT.parse().unwrap();
    let weeks = Duration::from_secs(HISTORY_WEEKS.unsigned_abs() * 7 * 86_400);
    let history = Curve::generate(seed, origin - weeks, 1_400).samples(origin);
    let load = Arc::new(Measured { history, origin, tally: Arc::default() });
    (Outlook::learn(load, seed, deadline(origin, length)).unwrap(), origin)
}

#[test]
fn plans_keep_their_rules_and_cost_less_than_a_quarter_of_surge_for_as_long() {
    for seed in 1..=10 {
        let (outlook, origin) = outlook(seed, None);
        let plan = outlook.first(origin).unwrap();
        let question = Question { pending: Fleet::names(), ..Question::first(origin) };
        let findings = plan::check(&plan, &outlook.facts(&question));
        assert!(findings.is_empty(), "seed {seed}: {findings:?}");
        assert!(plan.risk.planned <= RISK, "seed {seed}: {:?}", plan.risk);
        assert!(!plan.surge.is_empty(), "seed {seed}: there is surge to be seen");
        let bought = plan.surge.iter().map(|s| s.order_at).min().unwrap();
        let quarter = surge_cost(FIXED_BATCH, bought, plan.done_at);
        assert!(plan.cost.surge < quarter, "seed {seed}: {} of {quarter}", plan.cost.surge);
    }
}

#[test]
fn a_deadline_that_is_too_short_is_refused_by_its_name() {
    let (outlook, origin) = outlook(1, Some(Duration::from_secs(7_200)));
    match outlook.first(origin) {
        Err(OutlookError::Refused(refused)) => assert_eq!(refused.binding, "deadline"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn surge_is_billed_in_whole_seconds_and_for_a_minute_at_least() {
    let at = |seconds: f64| {
        let origin: Timestamp = ASKED_AT.parse().unwrap();
        origin + Duration::from_secs_f64(seconds)
    };
    let per_second = PRICE / 3_600.0;
    assert!((surge_cost(2, at(0.0), at(10.0)) - 120.0 * per_second).abs() < 1e-12);
    assert!((surge_cost(1, at(0.0), at(99.2)) - 100.0 * per_second).abs() < 1e-12);
}
