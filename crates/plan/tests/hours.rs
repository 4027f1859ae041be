//! What takes another time in some hours of the day, in plans that can be followed by hand. Minute 0 is
//! midnight, UTC.

mod fleet;

use domain::hour::Hour;
use domain::plan::Plan;
use domain::spread::Spread;
use fleet::*;
use plan::{Canary, InHour, Request, Rule, Schedule, check, explain, plan, standing};

fn checked(request: &Request) -> Plan {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(check(&plan, &request.facts), []);
    let differences = explain(&plan).differences;
    assert!(differences.is_empty(), "{differences:?}");
    plan
}

fn hour(number: u8) -> Hour {
    Hour::new(number).unwrap()
}

/// Four servers, one at a time, ten minutes each; in an hour of the day `length` minutes.
fn slow(load: f64, number: u8, length: u64) -> Request {
    let mut request = request(facts(4), move |_, _| load);
    request.canary = Canary::Passed;
    request.facts.max_unavailable = 1;
    let [drain, work, warmup] = [1, length - 3, 2].map(|m| Spread::exactly(minutes(m)));
    let own = InHour { drain, work, warmup };
    request.facts.hours = [(hour(number), own)].into();
    request
}

/// How long each batch is out, in minutes.
fn lengths(plan: &Plan) -> Vec<i64> {
    plan.batches.iter().map(|b| b.back_at.duration_since(b.out_at).as_secs() / 60).collect()
}

#[test]
fn a_rollout_waits_for_the_hour_in_which_it_is_short() {
    // From midnight on the first batch takes 90 minutes and the others 10: it ends at 02:00. From
    // 01:00 on all take 10: it ends at 01:40.
    let plan = checked(&slow(200.0, 0, 90));
    assert_eq!((plan.batches[0].out_at, plan.finish_at), (minute(60), minute(100)));
    assert_eq!(lengths(&plan), [10, 10, 10, 10]);
    // Where the first takes 60 minutes it is over at 01:30, sooner than by waiting.
    let plan = checked(&slow(200.0, 0, 60));
    assert_eq!((plan.batches[0].out_at, plan.finish_at), (minute(0), minute(90)));
    assert_eq!(lengths(&plan), [60, 10, 10, 10]);
    // But with surge for whoever is out it costs more: 5 minutes of lead, 90 or 40 of batches, 10 of
    // watching and 1 of drain at 0.6 an hour.
    let plan = checked(&slow(400.0, 0, 60));
    assert_eq!((plan.batches[0].out_at, plan.finish_at), (minute(60), minute(100)));
    assert!((plan.cost.surge - 0.56).abs() < 1e-9, "{}", plan.cost.surge);
}

#[test]
fn an_hour_that_is_shorter_is_looked_for_as_well() {
    let mut request = slow(400.0, 2, 5);
    let own = request.facts.hours[&hour(2)];
    request.facts.hours.insert(hour(3), own);
    let plan = checked(&request);
    // 5 + 4 × 5 + 11 minutes.
    assert_eq!((lengths(&plan), plan.batches[0].out_at), (vec![5, 5, 5, 5], minute(120)));
    assert!((plan.cost.surge - 0.36).abs() < 1e-9, "{}", plan.cost.surge);
}

#[test]
fn a_batch_that_may_lie_in_either_hour_takes_the_longer() {
    let mut request = slow(200.0, 3, 30);
    let at = |minute_of_start| Schedule { start_at: Some(minute(minute_of_start)), batches: None };
    // The second batch of a start between 02:00 and 02:59 goes out between 02:10 and 03:09.
    request.schedule = at(140);
    assert_eq!(lengths(&checked(&request)), [10, 30, 30, 30]);
    // That of a start between 01:00 and 01:59 is back before three.
    request.schedule = at(60);
    assert_eq!(lengths(&checked(&request)), [10, 10, 10, 10]);
}

#[test]
fn an_order_takes_the_lead_of_its_hour() {
    // Surge needs 45 minutes where it is ordered before 01:00, else 5.
    let mut request = slow(400.0, 12, 10);
    request.facts.offers[0].leads = [(hour(0), Spread::exactly(minutes(43)))].into();
    let plan = checked(&request);
    let [bought] = &plan.surge[..] else { panic!("{:?}", plan.surge) };
    // What is ready between 01:00 and 02:00 may have to be ordered before 01:00.
    assert_eq!((bought.order_at, bought.ready_at), (minute(115), minute(120)));
    assert!((plan.cost.surge - 0.56).abs() < 1e-9, "{}", plan.cost.surge);
    // In a hurry the long lead is paid for: 45 + 40 + 11 minutes.
    request.facts.deadline = minute(100);
    let plan = checked(&request);
    let [bought] = &plan.surge[..] else { panic!("{:?}", plan.surge) };
    assert_eq!((bought.order_at, bought.ready_at), (minute(0), minute(45)));
    assert!((plan.cost.surge - 0.96).abs() < 1e-9, "{}", plan.cost.surge);
    // Nothing is ready sooner.
    request.facts.deadline = minute(80);
    assert!(plan::plan(&request).is_err());
}

/// Four servers, one at a time, ten minutes each, two of which are the warm-up; in an hour of the day that takes
/// `length` minutes, of servers and of surge.
fn cold(load: f64, number: u8, length: u64) -> Request {
    let mut request = slow(load, number, 10);
    let warmup = Spread::exactly(minutes(length));
    request.facts.hours.get_mut(&hour(number)).unwrap().warmup = warmup;
    request.facts.offers[0].warmups = [(hour(number), warmup)].into();
    request
}

#[test]
fn a_warm_up_is_that_of_the_hour_in_which_a_server_comes_back() {
    let mut request = cold(200.0, 3, 22);
    let at = |minute_of_start| Schedule { start_at: Some(minute(minute_of_start)), batches: None };
    // A start at 02:00 lies before 03:00 by an hour: 02:59 and eight minutes do not.
    request.schedule = at(120);
    assert_eq!(lengths(&checked(&request)), [30, 30, 30, 30]);
    // What goes out before 02:00 is back before 02:40.
    request.schedule = at(60);
    assert_eq!(lengths(&checked(&request)), [10, 10, 10, 10]);
    // In the hour of three the third batch is back after four, wherever in it the first goes out.
    request.schedule = at(215);
    assert_eq!(lengths(&checked(&request)), [30, 30, 10, 10]);
    // Out before three, back after it: a plan that says less is found out.
    request.schedule = at(175);
    let mut short = checked(&request);
    short.batches[0].back_at = minute(185);
    let found = check(&short, &request.facts);
    assert!(found.iter().any(|finding| finding.rule == Rule::BatchLength), "{found:?}");
    let plan = checked(&cold(200.0, 0, 60));
    // From midnight on: 68, then 10 each, over at 01:38. From one on: over at 01:40.
    assert_eq!((plan.batches[0].out_at, lengths(&plan)), (minute(0), vec![68, 10, 10, 10]));
}

#[test]
fn an_order_takes_the_warm_up_of_the_hour_in_which_its_instances_run() {
    let mut request = cold(400.0, 3, 22);
    let at = |minute_of_start| Schedule { start_at: Some(minute(minute_of_start)), batches: None };
    let bought = |request: &Request| {
        let plan = checked(request);
        let [bought] = &plan.surge[..] else { panic!("{:?}", plan.surge) };
        (plan.batches[0].out_at, bought.ready_at.duration_since(bought.order_at).as_secs() / 60)
    };
    // Three minutes of lead and two of warming.
    request.schedule = at(90);
    assert_eq!(bought(&request), (minute(90), 5));
    // What runs from 03:00 on takes 22; for a start after three it may run then.
    request.schedule = at(190);
    assert_eq!(bought(&request), (minute(190), 25));
    // At 04:00 it runs since 03:38.
    request.schedule = at(240);
    assert_eq!(bought(&request), (minute(240), 25));
}

#[test]
fn hours_that_are_like_the_day_change_nothing() {
    let plain = request(facts(10), load);
    let mut same = plain.clone();
    let day = same.facts.durations;
    let own = InHour { drain: day.drain, work: day.work, warmup: day.warmup };
    same.facts.hours = Hour::all().map(|hour| (hour, own)).collect();
    let offer = &mut same.facts.offers[0];
    offer.leads = [(hour(5), offer.lead)].into();
    offer.warmups = [(hour(6), offer.warmup)].into();
    assert_eq!(plan(&plain).unwrap(), plan(&same).unwrap());
}

fn load(path: usize, step: usize) -> f64 {
    850.0 + 100.0 * (step as f64 / 40.0).sin() + 60.0 * noise(path, step / 9)
}

#[test]
fn the_risk_is_that_of_the_hour() {
    // Forty minutes after the start all four are needed: whoever takes longer is still out by then.
    let rises = |_: usize, t: usize| if t < 40 { 200.0 } else { 400.0 };
    let risk = |length: u64| {
        let mut request = request(facts(4), rises);
        request.canary = Canary::Passed;
        request.facts.max_unavailable = 4;
        let own = InHour {
            drain: Spread::exactly(minutes(1)),
            work: Spread::between(minutes(length - 3), minutes(length)).unwrap(),
            warmup: request.facts.durations.warmup,
        };
        request.facts.hours = [(hour(0), own)].into();
        request.facts.servers[2..].iter_mut().for_each(|server| server.pending = false);
        let both = request.facts.servers[..2].iter().map(|server| server.name.clone()).collect();
        request.schedule = Schedule { start_at: Some(minute(0)), batches: Some(vec![both]) };
        standing(&request).unwrap().planned
    };
    assert_eq!(risk(20), 0.0);
    assert_eq!(risk(50), 1.0);
}
