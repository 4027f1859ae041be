//! Plans whose numbers follow from a few lines of arithmetic.

mod fleet;

use domain::calendar::Interval;
use domain::name::{OfferName, ServerName};
use domain::plan::Plan;
use fleet::*;
use plan::{
    Absence, Canary, Held, Interruption, Ledger, Margin, Presence, Request, Schedule, Survive,
    check, plan,
};

fn checked(request: &Request) -> Plan {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    let findings = check(&plan, &request.facts);
    assert!(findings.is_empty(), "{findings:#?}\n{plan:#?}");
    plan
}

#[test]
fn with_enough_headroom_nothing_is_bought_and_the_largest_batches_start_at_once() {
    let plan = checked(&request(facts(10), |_, _| 400.0));
    // A canary of 1, then 9 servers in two batches: three times ten minutes.
    assert_eq!(plan.batches.iter().map(|b| b.servers.len()).collect::<Vec<_>>(), [1, 5, 4]);
    assert!(plan.surge.is_empty());
    assert_eq!(plan.cost.surge, 0.0);
    assert_eq!((plan.start_at, plan.finish_at), (minute(0), minute(30)));
    assert_eq!((plan.stabilised_at, plan.done_at), (minute(40), minute(40)));
    assert_eq!(plan.risk.planned, 0.0);
    assert!(plan.risk.upper95 > 0.0 && plan.risk.upper95 < 0.01);
}

#[test]
fn at_full_load_each_server_that_is_out_is_replaced_by_one_bought() {
    let mut request = request(facts(10), |_, _| 1000.0);
    request.facts.max_surge = 3;
    let plan = checked(&request);
    // One at a time, ten batches, one instance: 5 minutes of lead and warm-up, 100 minutes of
    // batches, 10 of watching, 1 of drain: 116 minutes at 0.6 an hour is 1.16. Batches of two
    // would cost 2 × 66 minutes, 1.32; of three 3 × 56, 1.68.
    assert_eq!(plan.batches.len(), 10);
    let [bought] = &plan.surge[..] else { panic!("{:?}", plan.surge) };
    assert_eq!(bought.count, 1);
    assert_eq!((bought.order_at, bought.ready_at), (minute(0), minute(5)));
    assert_eq!((bought.release_at, bought.end_at), (minute(115), minute(116)));
    assert!((plan.cost.surge - 1.16).abs() < 1e-9, "{}", plan.cost.surge);
    assert_eq!(plan.risk.planned, 0.0);
}

#[test]
fn load_that_falls_is_waited_for() {
    let load = |_, t| if t < 120 { 1000.0 } else { 550.0 };
    let plan = checked(&request(facts(10), load));
    // From minute 120 four may be out: 1 + 3 + 3 + 3, no surge. (The grid is the load's own.)
    assert!(plan.surge.is_empty());
    assert_eq!(plan.start_at, minute(120));
    assert_eq!(plan.batches.iter().map(|b| b.servers.len()).collect::<Vec<_>>(), [1, 3, 3, 3]);
    assert!(plan.rejected.iter().any(|r| r.reason.contains("costs")), "{:?}", plan.rejected);
    assert!(plan.rejected.len() <= 12);
}

#[test]
fn the_rarest_paths_may_lack_capacity_and_the_risk_says_so() {
    // One path in a hundred is too high all the time.
    let load = |p, _| if p % 100 == 0 { 990.0 } else { 400.0 };
    let plan = checked(&request(facts(10), load));
    assert!(plan.surge.is_empty());
    assert!((plan.risk.planned - 0.01).abs() < 1e-12, "{:?}", plan.risk);
    assert!(plan.risk.upper95 <= 0.05 && plan.risk.upper95 > 0.01);
    let at_risk = plan.timeline.iter().filter(|e| e.overload_probability > 0.0);
    assert!(at_risk.count() > 0);
    // One in ten may not.
    let load = |p, _| if p % 10 == 0 { 950.0 } else { 400.0 };
    let plan = checked(&request(facts(10), load));
    assert_eq!(plan.surge.len(), 1);
}

#[test]
fn margin_buys_more_and_changes_no_risk() {
    let bare = checked(&request(facts(10), |_, _| 880.0));
    let mut wary = request(facts(10), |_, _| 880.0);
    wary.margin = [(requests(), Margin::Ratio(0.1))].into();
    let wary = checked(&wary);
    assert!(wary.cost.surge > bare.cost.surge);
    let mut absolute = request(facts(10), |_, _| 880.0);
    absolute.margin = [(requests(), Margin::Absolute(88.0))].into();
    assert_eq!(checked(&absolute).cost.surge, wary.cost.surge);
    assert_eq!(wary.timeline[0].load, bare.timeline[0].load);
}

#[test]
fn load_above_the_whole_fleet_is_baseline_and_not_the_rollouts() {
    let mut request = request(facts(10), |_, _| 1500.0);
    request.facts.max_surge = 10;
    let plan = checked(&request);
    assert_eq!(plan.risk.baseline, 1.0);
    assert_eq!(plan.risk.planned, 0.0);
    assert_eq!(plan.surge[0].count, 1);
}

#[test]
fn the_ledger_of_one_batch_by_hand() {
    let mut request = request(facts(10), |_, _| 100.0);
    request.facts.max_unavailable = 10;
    request.canary = Canary::Passed;
    request.facts.durations.warmup_from = 0.5;
    let plan = checked(&request);
    assert_eq!(plan.batches.len(), 2, "a single batch would leave nothing: {plan:?}");
    let ledger = Ledger::of(&plan, &request.facts).unwrap();
    // Five of ten out at minute 0, warming from minute 8 at half their capacity, back at 10.
    assert_eq!(ledger.capacity_at(minute(0)), [500.0]);
    assert_eq!(ledger.capacity_at(minute(7)), [500.0]);
    assert_eq!(ledger.capacity_at(minute(8)), [750.0]);
    assert_eq!(ledger.capacity_at(minute(9)), [875.0]);
    assert_eq!(ledger.least(minute(9), minute(11))[&requests()], 500.0);
    assert_eq!(ledger.in_service(minute(9), minute(10)), 5);
    assert_eq!(ledger.capacity_at(minute(20)), [1000.0]);
}

#[test]
fn windows_hold_the_whole_rollout_and_surge_may_be_ordered_before() {
    let mut request = request(facts(10), |_, _| 1000.0);
    request.facts.windows = vec![
        Interval::new(minute(10), minute(35)).unwrap(),
        Interval::new(minute(60), minute(90)).unwrap(),
    ];
    let plan = checked(&request);
    assert_eq!((plan.batches[0].out_at, plan.finish_at), (minute(60), minute(90)));
    assert_eq!(plan.surge[0].order_at, minute(55));
}

#[test]
fn the_canary_is_watched_before_the_next_batch() {
    let mut request = request(facts(10), |_, _| 400.0);
    request.canary = Canary::Size(2);
    request.canary_watch = minutes(7);
    let plan = checked(&request);
    assert_eq!(plan.batches[0].servers.len(), 2);
    assert_eq!(plan.batches[1].out_at, minute(17));
}

#[test]
fn a_given_schedule_is_kept_and_priced() {
    let mut request = request(facts(4), |_, _| 400.0);
    let name = |n: &str| ServerName::new(n).unwrap();
    let batches = vec![vec![name("web-4"), name("web-2")], vec![name("web-1"), name("web-3")]];
    request.schedule = Schedule { start_at: Some(minute(42)), batches: Some(batches.clone()) };
    let plan = checked(&request);
    assert_eq!(plan.batches.iter().map(|b| b.servers.clone()).collect::<Vec<_>>(), batches);
    assert_eq!(plan.batches[0].out_at, minute(42));
    assert_eq!(plan.surge[0].count, 2);
    assert_eq!(plan.surge[0].order_at, minute(37));
}

#[test]
fn spot_is_bought_with_enough_to_lose_or_not_at_all() {
    let mut request = request(facts(10), |_, _| 1000.0);
    let mut spot = offer("spot", 0.2);
    spot.interruption = Interruption { per_hour: 0.03, pool_per_hour: 0.0 };
    request.facts.offers.push(spot);
    let plan = checked(&request);
    assert_eq!(plan.surge[0].offer, OfferName::new("spot").unwrap());
    assert!(plan.surge[0].count >= 2, "{:?}", plan.surge);
    assert!(plan.risk.planned > 0.0 && plan.risk.planned <= 0.05, "{:?}", plan.risk);
    // A pool that goes as a whole cannot be backed by more of itself.
    request.facts.offers[1].interruption = Interruption { per_hour: 0.0, pool_per_hour: 0.1 };
    let plan = checked(&request);
    assert_eq!(plan.surge[0].offer, OfferName::new("od").unwrap());
}

#[test]
fn every_dimension_has_to_be_carried_on_the_same_path() {
    let mut request = request(facts(10), |_, _| 400.0);
    let cpu = domain::name::Dimension::new("cpu").unwrap();
    for server in &mut request.facts.servers {
        server.capacity.insert(cpu.clone(), 10.0);
    }
    let flat = |level: f64| paths(480, 400, move |_, _| level);
    request.choosing.insert(cpu.clone(), flat(100.0));
    request.fresh.insert(cpu.clone(), flat(100.0));
    // The offer carries no cpu, of which none can be missed.
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "offers");
    assert!(refused.detail.contains("cpu"), "{}", refused.detail);
    // With cpu, two instances carry what one server does.
    request.facts.offers[0].capacity.insert(cpu.clone(), 5.0);
    let plan = checked(&request);
    let largest = plan.batches.iter().map(|b| b.servers.len()).max().unwrap();
    assert_eq!(plan.surge[0].count as usize, 2 * largest);
}

#[test]
fn a_revision_counts_on_held_surge_and_buys_only_what_is_missing() {
    let mut request = request(facts(10), |_, _| 1000.0);
    for server in &mut request.facts.servers[..6] {
        server.pending = false;
    }
    request.canary = Canary::Passed;
    request.revision = 2;
    request.parent = Some(domain::journal::Digest::of_bytes(b"parent"));
    request.facts.held = vec![Held {
        offer: OfferName::new("od").unwrap(),
        count: 2,
        ready_at: minute(0),
        ends_at: None,
    }];
    let plan = checked(&request);
    assert!(plan.surge.is_empty());
    assert_eq!(plan.batches.iter().map(|b| b.servers.len()).collect::<Vec<_>>(), [2, 2]);
    // Two instances until minute 31 at 0.6 an hour.
    assert!((plan.cost.surge - 2.0 * 0.6 * 31.0 / 60.0).abs() < 1e-9, "{}", plan.cost.surge);
    assert_eq!(plan.timeline.iter().map(|e| e.surge).max(), Some(2));
    // Surge that goes too soon is not counted on.
    request.facts.held[0].ends_at = Some(minute(15));
    let plan = checked(&request);
    assert_eq!(plan.surge.len(), 1);
}

#[test]
fn uncertain_durations_make_longer_batches_and_are_in_the_risk() {
    let mut request = request(facts(10), |_, _| 400.0);
    request.facts.durations.work = domain::spread::Spread::between(minutes(5), minutes(9)).unwrap();
    let plan = checked(&request);
    let length = |b: &domain::plan::Batch| b.back_at.duration_since(b.out_at).as_secs();
    // The canary's quantile is that of one server: 1 + 9 + 2 minutes; of five it is later.
    assert_eq!(length(&plan.batches[0]), 720);
    assert!(length(&plan.batches[1]) > 720);
    // On a tenth of the paths load rises just after the planned end: late runs meet it.
    let end = plan.finish_at.duration_since(minute(0)).as_secs() / 60;
    let load = move |p: usize, t: usize| match p.is_multiple_of(10) && t as i64 > end {
        true => 1000.0,
        false => 400.0,
    };
    let mut late = fleet::request(facts(10), load);
    late.facts.durations = request.facts.durations;
    late.schedule.start_at = Some(plan.batches[0].out_at);
    late.risk = p(0.2);
    let plan = checked(&late);
    assert!(plan.risk.planned > 0.0 && plan.risk.planned < 0.1, "{:?}", plan.risk);
}

#[test]
fn refusals_name_the_constraint_the_moment_and_what_would_fit() {
    // No surge, full load until minute 400, deadline at 300.
    let load = |_, t| if t < 400 { 1000.0 } else { 300.0 };
    let mut request = request(facts(10), load);
    request.facts.max_surge = 0;
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "maxSurge");
    assert!(refused.detail.contains("requests reaches 1000.0"), "{}", refused.detail);
    assert!(refused.detail.contains("2026-03-02T"), "{}", refused.detail);
    let changes: Vec<&str> = refused.would_fit.iter().map(|w| w.change.as_str()).collect();
    assert!(changes.iter().any(|c| c.starts_with("deadline: 2026-03-02T07:10")), "{changes:?}");
    assert!(changes.contains(&"maxSurge: 1"), "{changes:?}");

    request.facts.max_surge = 10;
    request.budget = Some(0.5);
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "budget");
    assert!(refused.would_fit.iter().any(|w| w.change == "budget: 1.16"), "{refused:?}");

    request.budget = None;
    request.facts.offers.clear();
    assert_eq!(plan(&request).unwrap_err().binding, "risk");

    request.facts.deadline = minute(25);
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "deadline");
    assert!(refused.detail.contains("30.0 minutes"), "{}", refused.detail);
}

#[test]
fn more_risk_is_offered_where_it_helps() {
    let load = |p, _| if p % 10 == 0 { 1000.0 } else { 300.0 };
    let mut request = request(facts(10), load);
    request.facts.offers.clear();
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.would_fit[0].change, "risk: 0.2");
    assert!((refused.would_fit[0].risk - 0.1).abs() < 1e-9);
}

#[test]
fn what_cannot_be_planned_is_refused_by_name() {
    let binding = |change: &dyn Fn(&mut Request)| {
        let mut request = request(facts(10), |_, _| 400.0);
        change(&mut request);
        let refused = plan(&request).unwrap_err();
        assert!(!refused.detail.is_empty());
        refused.binding
    };
    assert_eq!(binding(&|r| r.survive = Survive { servers: 10, zones: 0 }), "survive.servers");
    assert_eq!(binding(&|r| r.survive = Survive { servers: 0, zones: 3 }), "survive.zones");
    let nowhere = |r: &mut Request| {
        r.survive = Survive { servers: 0, zones: 1 };
        r.facts.servers[4].zone = None;
    };
    assert_eq!(binding(&nowhere), "survive.zones");
    assert_eq!(binding(&|r| r.facts.deadline = minute(-1)), "deadline");
    assert_eq!(binding(&|r| r.facts.max_unavailable = 0), "maxUnavailable");
    assert_eq!(binding(&|r| r.facts.windows.clear()), "windows");
    assert_eq!(binding(&|r| r.risk = p(0.001)), "paths");
    assert_eq!(binding(&|r| (r.risk, r.strict_risk) = (p(0.016), true)), "strictRisk");
    assert_eq!(binding(&|r| r.facts.balance = f64::NAN), "balance");
    assert_eq!(binding(&|r| r.facts.offers[0].price_per_hour = -1.0), "surge.offers.od.price");
    assert_eq!(binding(&|r| r.facts.offers[0].capacity.clear()), "surge.offers.od.capacity");
    assert_eq!(binding(&|r| r.facts.servers.clear()), "servers");
    assert_eq!(binding(&|r| r.facts.servers[1] = r.facts.servers[0].clone()), "servers");
    assert_eq!(binding(&|r| r.choosing.clear()), "load");
    assert_eq!(binding(&|r| r.schedule.start_at = Some(minute(-1))), "schedule.startAt");
    assert_eq!(binding(&|r| r.schedule.batches = Some(vec![vec![]])), "schedule.batches");
    assert_eq!(binding(&|r| r.now = minute(5000)), "load.requests");
    let hundredfold = |r: &mut Request| {
        r.choosing = [(requests(), paths(480, 400, |_, _| 100_000.0))].into();
    };
    assert_eq!(binding(&hundredfold), "load.requests");
    for server in 0..10 {
        let negative = |r: &mut Request| r.facts.servers[server].capacity = one(-1.0);
        assert_eq!(binding(&negative), format!("servers.web-{}.capacity.requests", server + 1));
    }
}

#[test]
fn a_moment_between_the_seconds_and_a_rollout_beyond_all_time_are_no_trouble() {
    let mut request = request(facts(10), |_, _| 1000.0);
    request.now += std::time::Duration::from_millis(500);
    let plan = checked(&request);
    assert!(plan.start_at >= request.now, "{}", plan.start_at);
    let mut request = fleet::request(facts(3000), |_, _| 1000.0);
    request.facts.max_unavailable = 1;
    request.facts.durations.work = domain::spread::Spread::exactly(minutes(360 * 1440));
    assert_eq!(fleet_binding(&request), "deadline");
}

#[test]
fn unhealthy_servers_count_as_unavailable() {
    let mut request = request(facts(10), |_, _| 100.0);
    request.facts.servers[0].healthy = false;
    request.facts.servers[0].pending = false;
    let plan = checked(&request);
    assert!(plan.batches.iter().all(|b| b.servers.len() <= 4));
    assert_eq!(plan.timeline[0].in_service, 8);
    request.facts.max_unavailable = 1;
    assert_eq!(fleet_binding(&request), "maxUnavailable");
}

fn fleet_binding(request: &Request) -> String {
    plan(request).unwrap_err().binding
}

#[test]
fn batches_are_spread_over_the_zones() {
    let plan = checked(&request(facts(30), |_, _| 100.0));
    for batch in &plan.batches {
        let mut zones = [0_usize; 3];
        for name in &batch.servers {
            let number: usize = name.as_str()[4..].parse().unwrap();
            zones[number % 3] += 1;
        }
        let (low, high) = (zones.iter().min().unwrap(), zones.iter().max().unwrap());
        assert!(high - low <= 1, "{zones:?}");
    }
}

#[test]
fn a_plan_outlives_its_json() {
    let plan = checked(&request(facts(10), |p, t| 700.0 + 100.0 * noise(p, t / 30)));
    let text = serde_json::to_string(&plan).unwrap();
    let again: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(again, plan);
    assert_eq!(again.computed_digest(), plan.digest);
}

#[test]
fn load_in_another_unit_is_told_from_overload() {
    let at = |level: f64| plan(&request(facts(10), move |_, _| level));
    // Twice the fleet is overload; a hundred times the fleet is a mistake.
    assert_eq!(at(2_000.0).unwrap().risk.baseline, 1.0);
    let refused = at(100_000.0).unwrap_err();
    let says = "the forecast load is 100000.0, 100 times what the whole fleet carries (1000.0)";
    assert!(refused.detail.starts_with(says), "{}", refused.detail);
    assert!(refused.detail.contains("capacity.requests in the same unit"), "{}", refused.detail);
}

#[test]
fn freezes_that_leave_nothing_are_said() {
    let mut request = request(facts(10), |_, _| 400.0);
    request.facts.windows.clear();
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "windows");
    assert!(refused.detail.contains("the freezes"), "{}", refused.detail);
    // Windows that are each too short are listed.
    let short = |from| Interval::new(minute(from), minute(from + 15)).unwrap();
    request.facts.windows = vec![short(10), short(100)];
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "windows");
    assert!(refused.detail.contains("2026-03-02T00:10:00Z to 2026-03-02T00:25:00Z"));
}

#[test]
fn a_record_of_what_was_planned_has_the_ledger_of_the_plan() {
    let request = request(facts(10), |_, _| 970.0);
    let plan = checked(&request);
    assert!(!plan.surge.is_empty(), "the ledger has no surge to show");
    let planned = Ledger::of(&plan, &request.facts).unwrap();
    let absence = |batch: &domain::plan::Batch| Absence {
        servers: batch.servers.clone(),
        out_at: batch.out_at,
        warm_at: batch.back_at - minutes(2),
        back_at: batch.back_at,
    };
    let absences: Vec<_> = plan.batches.iter().map(absence).collect();
    let presences: Vec<_> = plan
        .surge
        .iter()
        .map(|bought| Presence {
            offer: bought.offer.clone(),
            count: bought.count,
            ready_at: bought.ready_at,
            release_at: bought.release_at,
        })
        .collect();
    let recorded = Ledger::of_record(&request.facts, &[requests()], &absences, &presences);
    assert_eq!(recorded.unwrap(), planned);
    let unknown =
        Absence { servers: vec![ServerName::new("db-1").unwrap()], ..absence(&plan.batches[0]) };
    let error = Ledger::of_record(&request.facts, &[requests()], &[unknown], &[]).unwrap_err();
    assert!(error.to_string().contains("db-1"), "{error}");
}
