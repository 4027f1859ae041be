//! The linter finds each of many corruptions, and nothing else.

mod fleet;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::name::{OfferName, ServerName};
use domain::plan::Plan;
use fleet::*;
use plan::{Facts, Rule, check, plan};

fn made() -> (Plan, Facts) {
    let mut facts = facts(10);
    facts.windows = vec![domain::calendar::Interval::new(minute(0), minute(200)).unwrap()];
    let request = request(facts, |p, t| 850.0 + 100.0 * noise(p, t / 10));
    (plan(&request).unwrap(), request.facts)
}

/// The rules that a changed plan breaks, once its digest is right again.
fn broken(change: impl FnOnce(&mut Plan, &mut Facts)) -> BTreeSet<Rule> {
    let (mut plan, mut facts) = made();
    assert!(check(&plan, &facts).is_empty());
    change(&mut plan, &mut facts);
    check(&plan.sealed(), &facts).into_iter().map(|f| f.rule).collect()
}

fn only(rule: Rule) -> BTreeSet<Rule> {
    [rule].into()
}

#[test]
fn a_changed_number_breaks_the_digest() {
    let (mut plan, facts) = made();
    plan.seed += 1;
    let findings = check(&plan, &facts);
    assert_eq!(findings.iter().map(|f| f.rule).collect::<Vec<_>>(), [Rule::Digest]);
    plan = plan.sealed();
    assert!(check(&plan, &facts).is_empty());
}

#[test]
fn a_server_that_is_out_twice_never_or_unknown_is_found() {
    let twice = broken(|plan, _| {
        let name = plan.batches[0].servers[0].clone();
        plan.batches[1].servers[0] = name;
    });
    assert!(twice.contains(&Rule::Once), "{twice:?}");
    let never = broken(|plan, _| {
        plan.batches[1].servers.pop();
    });
    assert!(never.contains(&Rule::Once), "{never:?}");
    let unknown = broken(|plan, _| {
        plan.batches[1].servers[0] = ServerName::new("stranger").unwrap();
    });
    assert!(unknown.contains(&Rule::Once) && unknown.contains(&Rule::Ledger), "{unknown:?}");
    assert_eq!(broken(|_, facts| facts.servers[3].pending = false), only(Rule::Once));
}

#[test]
fn more_out_than_allowed_is_found() {
    assert_eq!(broken(|_, facts| facts.max_unavailable = 0), only(Rule::MaxUnavailable));
    let sick = broken(|_, facts| {
        facts.servers[0].healthy = false;
        facts.max_unavailable = 1;
    });
    assert!(sick.contains(&Rule::MaxUnavailable), "{sick:?}");
}

#[test]
fn surge_that_comes_late_or_goes_early_is_found() {
    let late = broken(|plan, _| plan.surge[0].ready_at += minutes(1));
    assert!(late.contains(&Rule::SurgeReady) && late.contains(&Rule::Ledger), "{late:?}");
    let rushed = broken(|_, facts| {
        facts.offers[0].lead = domain::spread::Spread::exactly(minutes(30));
    });
    assert_eq!(rushed, only(Rule::SurgeReady));
    let early = broken(|plan, _| {
        plan.surge[0].release_at = plan.stabilised_at - minutes(1);
    });
    assert!(early.contains(&Rule::SurgeRelease), "{early:?}");
    assert_eq!(broken(|_, facts| facts.max_surge = 0), only(Rule::SurgeLimit));
    assert_eq!(broken(|_, facts| facts.offers[0].max = 0), only(Rule::SurgeLimit));
    let unknown = broken(|plan, _| plan.surge[0].offer = OfferName::new("other").unwrap());
    assert!(unknown.contains(&Rule::SurgeLimit), "{unknown:?}");
}

#[test]
fn costs_that_do_not_add_up_are_found() {
    assert_eq!(broken(|plan, _| plan.cost.surge += 0.02), only(Rule::Cost));
    assert_eq!(broken(|_, facts| facts.offers[0].price_per_hour = 0.5), only(Rule::Cost));
    assert_eq!(broken(|_, facts| facts.currency = "EUR".into()), only(Rule::Cost));
}

#[test]
fn times_out_of_order_or_out_of_bounds_are_found() {
    let overlap = broken(|plan, _| {
        let earlier = plan.batches[1].out_at - Duration::from_secs(60);
        plan.batches[1].out_at = earlier;
    });
    assert!(overlap.contains(&Rule::OneAtATime), "{overlap:?}");
    let hasty = broken(|plan, _| plan.batches[0].back_at -= minutes(5));
    assert!(hasty.contains(&Rule::BatchLength), "{hasty:?}");
    assert_eq!(broken(|plan, _| plan.start_at += minutes(1)), only(Rule::Times));
    assert_eq!(
        broken(|_, facts| facts.windows[0] =
            domain::calendar::Interval::new(minute(199), minute(200)).unwrap()),
        only(Rule::Windows)
    );
    assert_eq!(broken(|_, facts| facts.deadline = minute(1)), only(Rule::Deadline));
}

#[test]
fn a_false_timeline_or_risk_is_found() {
    let gap = broken(|plan, _| {
        plan.timeline.remove(1);
    });
    assert_eq!(gap, only(Rule::Timeline));
    let boast = broken(|plan, _| {
        for capacity in plan.timeline[1].capacity.values_mut() {
            *capacity += 100.0;
        }
    });
    assert_eq!(boast, only(Rule::Ledger));
    assert_eq!(broken(|plan, _| plan.timeline[1].surge += 1), only(Rule::Ledger));
    assert_eq!(broken(|plan, _| plan.risk.planned = 0.9), only(Rule::Risk));
    assert_eq!(broken(|plan, _| plan.risk.extrapolated = true), only(Rule::Risk));
    assert_eq!(broken(|plan, _| plan.batches[0].risk = Some(0.5)), only(Rule::Risk));
    assert_eq!(broken(|plan, _| plan.batches[0].risk = Some(-0.1)), only(Rule::Risk));
    assert_eq!(broken(|plan, _| plan.kind = "Other".into()), only(Rule::Kind));
}

#[test]
fn what_makes_no_sense_at_all_is_found_and_never_panics() {
    let (mut plan, facts) = made();
    plan.batches.clear();
    plan.timeline.clear();
    plan.surge.clear();
    let rules: BTreeSet<Rule> = check(&plan, &facts).into_iter().map(|f| f.rule).collect();
    for rule in [Rule::Digest, Rule::Once, Rule::Times, Rule::Timeline, Rule::Cost] {
        assert!(rules.contains(&rule), "{rule:?} in {rules:?}");
    }
    let (mut plan, facts) = made();
    plan.batches[0].servers.clear();
    plan.batches[0].back_at = jiff::Timestamp::MIN;
    plan.surge[0].release_at = jiff::Timestamp::MIN;
    plan.timeline[0].to = jiff::Timestamp::MAX;
    plan.cost.surge = f64::NAN;
    plan.risk.planned = f64::NAN;
    assert!(check(&plan, &facts).len() > 5);
}
