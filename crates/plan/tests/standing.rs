//! What is left of a plan, weighed by load that came to be known later.

mod fleet;

use domain::name::OfferName;
use domain::plan::Plan;
use fleet::*;
use plan::{Held, Interruption, Market, Request, Schedule, plan, standing};

/// The question for what is left of a plan when its surge runs.
fn left(request: &Request, plan: &Plan, batches: &[usize]) -> Request {
    let rest: Vec<_> = batches.iter().map(|index| &plan.batches[*index]).collect();
    let now = rest[0].out_at;
    let held = plan.surge.iter().map(|purchase| Held {
        offer: purchase.offer.clone(),
        count: purchase.count,
        ready_at: purchase.ready_at,
        ends_at: None,
    });
    let mut facts = request.facts.clone();
    facts.held = held.collect();
    for server in &mut facts.servers {
        server.pending = rest.iter().any(|batch| batch.servers.contains(&server.name));
    }
    let batches = rest.iter().map(|batch| batch.servers.clone()).collect();
    let schedule = Schedule { start_at: Some(now), batches: Some(batches) };
    Request { now, facts, schedule, ..request.clone() }
}

#[test]
fn a_plan_weighed_on_the_same_paths_risks_what_it_states() {
    // One path in a hundred has a burst that the risk leaves room for.
    let burst = |p: usize| if noise(p, 7) > 0.99 { 120.0 } else { 0.0 };
    let load = |p: usize, t: usize| 780.0 + 0.5 * t as f64 + 60.0 * noise(p, t / 40) + burst(p);
    let mut request = request(facts(10), load);
    request.facts.deadline = minute(60);
    let plan = plan(&request).unwrap();
    assert!(!plan.surge.is_empty() && plan.risk.planned > 0.0, "{:?}", plan.risk);
    let all: Vec<usize> = (0..plan.batches.len()).collect();
    let weighed = standing(&left(&request, &plan, &all)).unwrap();
    assert_eq!(weighed.upper95, plan.risk.upper95);
    let spent: Vec<f64> = plan.batches.iter().map(|batch| batch.risk.unwrap()).collect();
    assert!(weighed.batches.iter().zip(&spent).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn surge_that_is_held_can_be_lost() {
    let mut request = request(facts(4), |_, _| 400.0);
    (request.facts.max_unavailable, request.facts.deadline) = (1, minute(60));
    let mut spot = offer("spot", 0.1);
    (spot.market, spot.boot_failure) = (Market::Spot, 0.9);
    spot.interruption = Interruption { per_hour: 0.2, pool_per_hour: 0.0 };
    request.facts.offers.push(spot);
    let plan = plan(&request).unwrap();
    assert_eq!(plan.surge[0].offer.as_str(), "od", "spot is too likely to be missing");
    let mut question = left(&request, &plan, &[0, 1, 2, 3]);
    question.facts.held[0].offer = OfferName::new("spot").unwrap();
    let weighed = standing(&question).unwrap();
    // It came up, so that only 40 minutes of 0.2 an hour can take it: 1 − 0.8^(2/3) = 13.8 %.
    assert!((0.138..0.19).contains(&weighed.upper95), "{weighed:?}");
    // A revision that holds it buys another of the sure kind.
    question.schedule = Schedule::default();
    let revised = plan::plan(&question).unwrap();
    assert_eq!(revised.surge.len(), 1);
    assert_eq!((revised.surge[0].offer.as_str(), revised.surge[0].count), ("od", 1));
    assert!(revised.risk.upper95 <= 0.05, "{:?}", revised.risk);
    // With two of them, losing one is no harm.
    question.facts.held[0].count = 2;
    assert!(standing(&question).unwrap().upper95 < 0.1);
}

#[test]
fn load_that_rose_since_makes_what_is_left_riskier() {
    let mut request = request(facts(10), |p, t| 600.0 + 60.0 * noise(p, t / 40));
    request.facts.deadline = minute(60);
    let plan = plan(&request).unwrap();
    let rest: Vec<usize> = (1..plan.batches.len()).collect();
    let before = standing(&left(&request, &plan, &rest)).unwrap();
    assert!(before.upper95 <= 0.05, "{before:?}");
    let risen = fleet::request(request.facts.clone(), |p, t| 850.0 + 60.0 * noise(p, t / 40));
    let after = standing(&left(&risen, &plan, &rest)).unwrap();
    assert!(after.upper95 > 0.9, "{after:?}");
    assert_eq!(after.batches.len(), rest.len());
    assert!((after.batches.iter().sum::<f64>() - after.upper95).abs() < 1e-12);
}

#[test]
fn surge_that_is_not_warm_yet_carries_nothing() {
    let mut request = request(facts(4), |_, _| 400.0);
    request.facts.max_unavailable = 1;
    let plan = plan(&request).unwrap();
    let mut question = left(&request, &plan, &[0, 1, 2, 3]);
    assert!(standing(&question).unwrap().upper95 < 0.05);
    question.facts.held[0].ready_at = question.now + minutes(1);
    assert!(standing(&question).unwrap().upper95 > 0.9);
}

#[test]
fn a_schedule_that_may_not_be_performed_is_refused_by_name() {
    let request = request(facts(4), |_, _| 100.0);
    let plan = plan(&request).unwrap();
    let all: Vec<usize> = (0..plan.batches.len()).collect();
    let mut question = left(&request, &plan, &all);
    question.facts.max_unavailable = 1;
    question.facts.servers[0].healthy = false;
    assert_eq!(standing(&question).unwrap_err().binding, "maxUnavailable");
    let mut question = left(&request, &plan, &all);
    question.facts.servers[0].pending = false;
    assert_eq!(standing(&question).unwrap_err().binding, "schedule.batches");
}
