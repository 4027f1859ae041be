//! What is there already goes before what is bought, fleets without room for surge terminate
//! first, and every batch can be rolled back.

mod fleet;

use domain::plan::Plan;
use fleet::*;
use plan::{Canary, Interruption, Market, Request, Schedule, check, plan};

fn checked(request: &Request) -> Plan {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(check(&plan, &request.facts), []);
    plan
}

fn sizes(plan: &Plan) -> Vec<usize> {
    plan.batches.iter().map(|batch| batch.servers.len()).collect()
}

fn bought(plan: &Plan) -> Vec<(&str, u32)> {
    plan.surge.iter().map(|p| (p.offer.as_str(), p.count)).collect()
}

#[test]
fn spare_capacity_is_used_and_nothing_is_bought() {
    let mut request = request(facts(10), |_, _| 1000.0);
    request.facts.spare = one(300.0);
    let plan = checked(&request);
    // Three may be out: a canary, then three times three.
    assert_eq!((sizes(&plan), bought(&plan)), (vec![1, 3, 3, 3], vec![]));
    assert_eq!((plan.cost.surge, plan.risk.planned), (0.0, 0.0));
    // Without it every server that is out has to be replaced.
    request.facts.spare.clear();
    assert!(checked(&request).cost.surge > 0.0);
}

#[test]
fn standby_servers_go_before_any_purchase() {
    let mut request = request(facts(10), |_, _| 1000.0);
    let mut standby = offer("standby", 0.0);
    (standby.market, standby.max) = (Market::Standby, 2);
    request.facts.offers.push(standby);
    let plan = checked(&request);
    // Two at a time are replaced for nothing, and five batches of them take 60 minutes at most.
    assert_eq!(bought(&plan), [("standby", 2)]);
    assert_eq!((sizes(&plan), plan.cost.surge), (vec![1, 2, 2, 2, 2, 1], 0.0));
    // In less time more have to be out: both standby servers, and the rest is bought.
    request.facts.deadline = minute(25);
    request.canary = Canary::Passed;
    let plan = checked(&request);
    assert_eq!((sizes(&plan), bought(&plan)), (vec![5, 5], vec![("od", 3), ("standby", 2)]));
}

#[test]
fn a_fleet_without_room_for_surge_terminates_first() {
    let mut request = request(facts(10), |_, _| 750.0);
    request.facts.max_surge = 0;
    let plan = checked(&request);
    // 750 leave room for two, nothing is ordered, and the first removal is the start.
    assert_eq!((sizes(&plan), bought(&plan)), (vec![1, 2, 2, 2, 2, 1], vec![]));
    assert_eq!(plan.start_at, plan.batches[0].out_at);
    assert_eq!(plan.done_at, plan.stabilised_at);
}

#[test]
fn spot_is_taken_where_the_joint_risk_allows_it_only() {
    // One server out at a time and one spot instance: it is lost within the 42 minutes from its
    // start to the end of the rollout with 1 − 0.99^0.7 = 0.7 %.
    let mut request = request(facts(4), |_, _| 400.0);
    let mut spot = offer("spot", 0.1);
    (spot.market, spot.max) = (Market::Spot, 1);
    spot.interruption = Interruption { per_hour: 0.01, pool_per_hour: 0.0 };
    request.facts.offers.push(spot);
    request.facts.max_unavailable = 1;
    // Of 400 paths at 5 %, so many may lack capacity that 99.5 % sure: 2 %, above 0.7 %.
    let plan = checked(&request);
    assert_eq!(bought(&plan), [("spot", 1)]);
    // If it is lost, an on-demand instance takes its place, ready as soon as one can be.
    let instead = plan.surge[0].on_loss.clone().expect("there is a sure offer");
    let od = request.facts.offers.iter().find(|o| o.name.as_str() == "od").unwrap();
    let ready = od.lead.p95().as_secs() + od.warmup.p95().as_secs();
    assert_eq!((instead.offer.as_str(), instead.ready_seconds), ("od", ready as i64));
    // Not where the budget does not reach for it, or the offer is used up.
    let mut poor = request.clone();
    poor.budget = Some(plan.cost.surge);
    assert_eq!(checked(&poor).surge[0].on_loss, None);
    let mut scarce = request.clone();
    scarce.facts.offers[0].max = 0;
    assert_eq!(checked(&scarce).surge[0].on_loss, None);
    assert!(plan.risk.planned > 0.0 && plan.risk.upper95 <= 0.05, "{:?}", plan.risk);
    // At 2 % none may, and neither may a spot instance be lost.
    request.risk = p(0.02);
    let plan = checked(&request);
    assert_eq!((bought(&plan), plan.risk.planned), (vec![("od", 1)], 0.0));
}

#[test]
fn the_batch_that_is_out_can_be_rolled_back_before_the_load_rises() {
    let rising_at = |minute: usize| {
        let load = move |_: usize, t: usize| if t < minute { 400.0 } else { 900.0 };
        request(facts(10), load)
    };
    // The last batch goes out at minute 20 and is back at 30. Rolled back at its end, it is out
    // until 40: load that rises then is no trouble.
    let plan = checked(&rising_at(40));
    assert_eq!((sizes(&plan), plan.finish_at), (vec![1, 5, 4], minute(30)));
    assert!(plan.surge.is_empty());
    // Load that rises at 39 would meet four servers out. Two may be out from 10 to 20, since their
    // retreat ends at 30; after that one at a time, which costs nothing as well.
    let plan = checked(&rising_at(39));
    assert_eq!((sizes(&plan), plan.finish_at), (vec![1, 2, 1, 1, 1, 1, 1, 1, 1], minute(90)));
    assert!(plan.surge.is_empty());
    // Where there is no time for that, surge covers the retreat: four are out, one may be.
    let mut urgent = rising_at(39);
    urgent.facts.deadline = minute(35);
    let plan = checked(&urgent);
    assert_eq!((plan.batches.len(), bought(&plan)), (3, vec![("od", 3)]));
}

#[test]
fn a_given_schedule_buys_what_its_retreat_needs() {
    let load = |_: usize, t: usize| if t < 45 { 200.0 } else { 400.0 };
    let mut request = request(facts(4), load);
    let names: Vec<_> = request.facts.servers.iter().map(|s| s.name.clone()).collect();
    let batches = vec![names[..2].to_vec(), names[2..].to_vec()];
    request.schedule = Schedule { start_at: Some(minute(20)), batches: Some(batches) };
    // Out from 20 to 40, the second until 50 if it is rolled back: two are missing from 45 on.
    assert_eq!(bought(&checked(&request)), [("od", 2)]);
    request.schedule.start_at = Some(minute(15));
    assert_eq!(bought(&checked(&request)), []);
}
