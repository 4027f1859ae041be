//! Servers that carry less once they are updated.

mod fleet;

use domain::plan::Plan;
use fleet::*;
use plan::{Canary, Entry, Facts, Ledger, Request, Updated, check, explain, plan, standing};

fn planned(request: &Request) -> Plan {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    let findings = check(&plan, &request.facts);
    assert!(findings.is_empty(), "{findings:#?}\n{plan:#?}");
    let different = explain(&plan).differences;
    assert!(different.is_empty(), "{different:#?}");
    plan
}

fn slower(facts: Facts, share: f64) -> Facts {
    let updated = Updated { p05: share - 0.05, p50: share, draws: vec![share] };
    Facts { updated: [(requests(), updated)].into(), ..facts }
}

/// Ten servers, of which the first has been updated, at most one out at a time.
fn after_the_canary(share: Option<f64>, load: impl Fn(usize, usize) -> f64) -> Request {
    let mut facts = facts(10);
    facts.max_unavailable = 1;
    (facts.servers[0].pending, facts.servers[0].updated) = (false, true);
    let facts = match share {
        Some(share) => slower(facts, share),
        None => facts,
    };
    Request { canary: Canary::Passed, ..request(facts, load) }
}

#[test]
fn each_server_that_is_back_carries_less_and_the_last_batches_need_surge() {
    let same = planned(&after_the_canary(None, |_, _| 850.0));
    assert!(same.surge.is_empty() && same.basis[0].updated.is_none());
    // With k of ten updated to 85 and one out: 900 − 15 k are in service, so that the fifth lacks.
    let request = after_the_canary(Some(0.85), |_, _| 850.0);
    let plan = planned(&request);
    let [bought] = &plan.surge[..] else { panic!("{:?}", plan.surge) };
    assert_eq!((bought.count, bought.ready_at), (1, plan.batches[3].out_at), "not before it lacks");
    let ledger = Ledger::of(&plan, &request.facts).unwrap();
    for (batch, k) in plan.batches.iter().zip(1..) {
        let surge = if k >= 4 { 100.0 } else { 0.0 };
        let capacity = ledger.capacity_at(batch.out_at)[0];
        assert!((capacity - (900.0 - 15.0 * f64::from(k) + surge)).abs() < 1e-9, "{k}: {capacity}");
    }
    let end = ledger.lines_at(plan.done_at);
    let [all, lacks] = &end[..] else { panic!("{end:?}") };
    assert_eq!((&all.entry, &lacks.entry), (&Entry::Servers { healthy: 10 }, &Entry::Slower));
    assert!((lacks.capacity[0] + 150.0).abs() < 1e-9);
    // While it warms up it has a part of what it will have.
    let (out, back) = (plan.batches[0].out_at, plan.batches[0].back_at);
    let warm = ledger.capacity_at(out + minutes(9))[0];
    assert!((warm - (885.0 + 0.5 * 85.0)).abs() < 1e-9, "{warm}");
    assert!((ledger.capacity_at(back + minutes(0))[0] - 870.0).abs() < 1e-9);
}

#[test]
fn the_room_at_the_next_peak_is_told_by_the_lower_bound() {
    let room = |share| planned(&after_the_canary(share, |_, _| 500.0)).exposure.unwrap().headroom;
    assert_eq!(room(None)[&requests()], 500.0);
    assert!((room(Some(0.85))[&requests()] - 300.0).abs() < 1e-9);
}

#[test]
fn a_slower_version_is_covered_until_the_watch_is_over() {
    // The load rises once the last batch is back, above what ten slower servers carry.
    let load = |_, t: usize| if t < 90 { 600.0 } else { 900.0 };
    let mut request = after_the_canary(Some(0.85), load);
    request.facts.deadline = minute(90);
    let plan = planned(&request);
    assert_eq!((plan.finish_at, plan.surge.len()), (minute(90), 1), "{plan:?}");
    assert!(plan.surge[0].ready_at <= plan.finish_at && plan.surge[0].release_at == minute(100));
    request.facts.updated.clear();
    assert!(planned(&request).surge.is_empty());
    // Between two batches as well: the peak falls into the watch of the first.
    let mut request = request_of_all(|_, t| if (30..40).contains(&t) { 900.0 } else { 400.0 });
    request.schedule.start_at = Some(minute(5));
    (request.canary, request.canary_watch) = (Canary::Size(5), minutes(30));
    assert_eq!(planned(&request).surge.len(), 0);
    request.facts = slower(request.facts, 0.7);
    // Five at 70 lack 150 of 1000: 50 too few.
    assert_eq!(planned(&request).surge[0].count, 1);
}

fn request_of_all(load: impl Fn(usize, usize) -> f64) -> Request {
    request(facts(10), load)
}

#[test]
fn every_path_goes_by_its_own_draw_and_the_risk_counts_them() {
    let mut request = after_the_canary(Some(0.9), |_, _| 850.0);
    // One path in ten has a version that carries 70; the others lack nothing to the last.
    let draws = (0..10).map(|k| if k == 3 { 0.7 } else { 1.0 }).collect();
    request.facts.updated.get_mut(&requests()).unwrap().draws = draws;
    request.facts.updated.get_mut(&requests()).unwrap().p50 = 1.0;
    let standing = standing(&request).unwrap();
    assert!((standing.planned - 0.1).abs() < 1e-12, "{standing:?}");
    // At 5 % it has to be covered.
    let plan = planned(&request);
    // While the last is out nine carry 70 each.
    assert_eq!((plan.surge[0].count, plan.risk.planned), (3, 0.0), "{:?}", plan.surge);
    request.risk = p(0.3);
    assert!(planned(&request).surge.is_empty());
}

#[test]
fn going_back_gives_it_back() {
    let mut request = request(slower(facts(10), 0.85), |_, _| 790.0);
    request.canary = Canary::Passed;
    request.facts.max_unavailable = 1;
    request.facts.servers.iter_mut().for_each(|server| server.updated = true);
    let plan = planned(&request);
    let ledger = Ledger::of(&plan, &request.facts).unwrap();
    for (batch, k) in plan.batches.iter().zip(0..) {
        // The first two batches lack, and what is bought for them stays.
        let own = ledger.capacity_at(batch.out_at)[0] - 100.0;
        assert!((own - (765.0 + 15.0 * f64::from(k))).abs() < 1e-9, "{k}: {own}");
    }
    assert_eq!((plan.surge.len(), plan.surge[0].count), (1, 1));
    assert_eq!(ledger.capacity_at(plan.done_at), [1000.0]);
    assert_eq!(plan.exposure.unwrap().headroom[&requests()], 210.0);
}

#[test]
fn a_share_that_is_none_is_refused() {
    for bad in [0.0, 1.5, f64::NAN, -1.0] {
        let mut request = after_the_canary(Some(0.9), |_, _| 100.0);
        request.facts.updated.get_mut(&requests()).unwrap().draws.push(bad);
        assert_eq!(plan(&request).unwrap_err().binding, "capacity.requests", "{bad}");
    }
}
