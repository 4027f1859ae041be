//! Surge from several offers: by hand, by trying everything, and what holds for every market.

mod fleet;

use domain::plan::Plan;
use domain::spread::Spread;
use fleet::*;
use plan::{Billing, Interruption, Offer, Request, check, plan};
use proptest::prelude::*;

fn checked(request: &Request) -> Plan {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    let findings = check(&plan, &request.facts);
    assert!(findings.is_empty(), "{findings:#?}\n{plan:#?}");
    plan
}

/// Full load and one batch of five at a time, so that 500 are missing all the time.
fn five_missing(offers: Vec<Offer>) -> Request {
    let mut facts = facts(10);
    facts.offers = offers;
    facts.deadline = minute(25);
    facts.now_ready();
    let mut request = request(facts, |_, _| 1000.0);
    request.canary = plan::Canary::Passed;
    request
}

trait Ready {
    fn now_ready(&mut self);
}

impl Ready for plan::Facts {
    /// Surge is there at once.
    fn now_ready(&mut self) {
        for offer in &mut self.offers {
            (offer.lead, offer.warmup) = (Spread::ZERO, Spread::ZERO);
        }
    }
}

fn sized(name: &str, price: f64, carries: f64, max: u32) -> Offer {
    Offer { capacity: one(carries), max, ..offer(name, price) }
}

fn bought(plan: &Plan) -> Vec<(&str, u32)> {
    plan.surge.iter().map(|p| (p.offer.as_str(), p.count)).collect()
}

#[test]
fn what_is_cheap_is_bought_up_to_its_limit_and_the_rest_where_it_is_dearer() {
    let request = five_missing(vec![sized("od", 0.6, 100.0, 20), sized("few", 0.2, 100.0, 2)]);
    let plan = checked(&request);
    assert_eq!(bought(&plan), [("od", 3), ("few", 2)]);
    // 20 minutes of batches, 10 of watching, 1 of drain: 31 minutes of 3 × 0.6 + 2 × 0.2.
    assert!((plan.cost.surge - 2.2 * 31.0 / 60.0).abs() < 1e-9, "{}", plan.cost.surge);
    let reasons: Vec<&str> = plan.rejected.iter().map(|r| r.reason.as_str()).collect();
    assert!(reasons.contains(&"5 × od alone cost 1.55 USD instead of 1.14"), "{reasons:?}");
    assert!(reasons.iter().any(|r| r.starts_with("few alone does not cover it")), "{reasons:?}");
}

#[test]
fn sizes_are_combined_so_that_nothing_is_left_over() {
    // 300 for 1.0 and 200 for 0.7 make 500 for 1.7; two of 300 would cost 2.0, three of 200 2.1.
    let offers = vec![sized("three", 1.0, 300.0, 9), sized("two", 0.7, 200.0, 9)];
    let plan = checked(&five_missing(offers));
    assert_eq!(bought(&plan), [("three", 1), ("two", 1)]);
}

#[test]
fn the_limit_on_instances_makes_them_larger() {
    let offers = vec![sized("small", 0.1, 100.0, 9), sized("large", 0.9, 300.0, 9)];
    let mut request = five_missing(offers);
    assert_eq!(bought(&checked(&request)), [("small", 5)]);
    request.facts.max_surge = 3;
    assert_eq!(bought(&checked(&request)), [("small", 2), ("large", 1)]);
    request.facts.max_surge = 2;
    assert_eq!(bought(&checked(&request)), [("large", 2)]);
    request.facts.max_surge = 1;
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "maxSurge");
    let change = |c: &str| refused.would_fit.iter().any(|w| w.change == c);
    assert!(change("maxSurge: 5"), "{:?}", refused.would_fit);
}

#[test]
fn lead_and_billing_decide_what_is_in_the_mix() {
    let mut hourly = sized("hourly", 0.4, 100.0, 3);
    hourly.billing = Billing { minimum: minutes(60), granularity: minutes(60) };
    let mut request = five_missing(vec![sized("od", 0.6, 100.0, 20), hourly]);
    // 31 minutes of 0.6 are 0.31, a begun hour of 0.4 is 0.4.
    assert_eq!(bought(&checked(&request)), [("od", 5)]);
    request.facts.stabilisation = minutes(39);
    // 60 minutes: 0.6 against 0.4.
    assert_eq!(bought(&checked(&request)), [("od", 2), ("hourly", 3)]);
    // What is not ready in time is not in it.
    request.facts.offers[1].lead = Spread::exactly(minutes(15));
    let plan = checked(&request);
    assert_eq!(bought(&plan), [("od", 5)]);
    assert!(plan.rejected.iter().any(|r| r.reason == "hourly is not ready in time"));
}

#[test]
fn the_budget_binds_the_mix() {
    let offers = vec![sized("od", 0.6, 100.0, 20), sized("few", 0.2, 100.0, 2)];
    let mut request = five_missing(offers);
    request.budget = Some(1.14);
    let plan = checked(&request);
    assert!(plan.cost.surge <= 1.14);
    request.budget = Some(1.13);
    let refused = plan::plan(&request).unwrap_err();
    assert_eq!(refused.binding, "budget");
    assert!(refused.would_fit.iter().any(|w| w.change == "budget: 1.14"), "{refused:?}");
}

#[test]
fn every_dimension_is_covered_by_the_mix_together() {
    let cpu = domain::name::Dimension::new("cpu").unwrap();
    let mut wide = sized("requests", 0.1, 100.0, 20);
    let mut deep = sized("cpu", 0.1, 0.0, 20);
    wide.capacity.insert(cpu.clone(), 0.0);
    deep.capacity.insert(cpu.clone(), 10.0);
    let mut request = five_missing(vec![wide, deep]);
    for server in &mut request.facts.servers {
        server.capacity.insert(cpu.clone(), 10.0);
    }
    for set in [&mut request.choosing, &mut request.fresh] {
        set.insert(cpu.clone(), paths(210, 400, |_, _| 80.0));
    }
    let plan = checked(&request);
    // Five servers out leave 500 of 1000 requests and 50 of 80 cpu.
    assert_eq!(bought(&plan), [("requests", 5), ("cpu", 3)]);
    assert_eq!(plan.risk.planned, 0.0);
}

#[test]
fn spot_makes_a_part_of_the_mix_with_some_to_spare() {
    let mut spot = sized("spot", 0.1, 100.0, 4);
    spot.interruption = Interruption { per_hour: 0.1, pool_per_hour: 0.0 };
    let mut request = five_missing(vec![sized("od", 0.6, 100.0, 20), spot]);
    let plan = checked(&request);
    let [("od", sure), ("spot", lossy)] = bought(&plan)[..] else { panic!("{:?}", plan.surge) };
    assert!((1..5).contains(&sure) && sure + lossy > 5, "{:?}", plan.surge);
    assert!(plan.risk.planned <= 0.05 && plan.risk.upper95 <= 0.05, "{:?}", plan.risk);
    // A pool that goes too often is not counted on, and not bought.
    request.facts.offers[1].interruption = Interruption { per_hour: 0.1, pool_per_hour: 0.2 };
    assert_eq!(bought(&checked(&request)), [("od", 5)]);
}

#[test]
fn losses_are_in_the_stated_risk_from_when_they_happen() {
    let mut spot = sized("spot", 0.1, 100.0, 20);
    spot.interruption = Interruption { per_hour: 0.05, pool_per_hour: 0.02 };
    let mut request = five_missing(vec![spot]);
    request.risk = p(0.2);
    let plan = checked(&request);
    assert!(plan.risk.planned > 0.0 && plan.risk.planned <= 0.2, "{:?}", plan.risk);
    // What was lost stays lost, so that the second batch finds less than the first.
    let at = |at| plan.timeline.iter().find(|e| e.from == at).unwrap().overload_probability;
    let [first, second] = [plan.batches[0].out_at, plan.batches[1].out_at].map(at);
    assert!(0.0 < first && first < second, "{first} {second}");
}

#[test]
fn offers_that_are_not_enough_together_are_named() {
    let request = five_missing(vec![sized("a", 0.1, 100.0, 1), sized("b", 0.2, 100.0, 1)]);
    let mut request = Request { schedule: Default::default(), ..request };
    request.facts.max_unavailable = 10;
    request.facts.deadline = minute(25);
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "offers");
    assert!(refused.detail.contains("1 × a, 1 × b"), "{}", refused.detail);
    let changes: Vec<&str> = refused.would_fit.iter().map(|w| w.change.as_str()).collect();
    assert!(changes.iter().any(|c| c.contains("of offer a")), "{changes:?}");
}

/// A small rollout at high load, with a market of random offers.
#[derive(Debug, Clone)]
struct Case {
    servers: usize,
    level: f64,
    swing: f64,
    scatter: f64,
    seed: usize,
    deadline: i64,
    risk: f64,
    max_surge: u32,
    offers: Vec<(f64, f64, u32, u64, u64, f64)>,
}

fn cases(lossy: bool) -> impl Strategy<Value = Case> {
    let lost = if lossy { 0.0..0.3 } else { 0.0..1e-300 };
    let sizes = prop_oneof![Just(50.0), Just(100.0), Just(150.0), 20.0_f64..250.0];
    let offer = (0.05_f64..2.0, sizes, 1_u32..6, 0_u64..20, 1_u64..90, lost);
    let offers = prop::collection::vec(offer, 2..5);
    let load = (0.6_f64..1.05, 0.0_f64..0.3, 0.0_f64..0.3, 0_usize..10_000);
    (2_usize..10, load, 40_i64..160, 0.03_f64..0.3, 1_u32..10, offers).prop_map(
        |(servers, load, deadline, risk, max_surge, offers)| Case {
            servers,
            level: load.0,
            swing: load.1,
            scatter: load.2,
            seed: load.3,
            deadline,
            risk,
            max_surge,
            offers,
        },
    )
}

impl Case {
    fn load(&self, path: usize, step: usize) -> f64 {
        let wave = (step as f64 / 70.0 * std::f64::consts::TAU).sin();
        let own = noise(path, self.seed) - 0.5;
        let here = noise(path * 7919 + step, self.seed + 1) - 0.5;
        let load = self.level + self.swing * wave + self.scatter * (own + 0.5 * here);
        load.clamp(0.0, 10.0) * 100.0 * self.servers as f64
    }

    fn offer(&self, index: usize) -> Offer {
        let (price, carries, max, lead, billed, lost) = self.offers[index];
        let mut offer = sized(&format!("offer-{index}"), price, carries, max);
        offer.lead = Spread::exactly(minutes(lead));
        offer.billing = Billing { minimum: minutes(billed), granularity: minutes(1 + billed / 3) };
        // Every second offer is never lost.
        let per_hour = if index % 2 == 1 && lost > 1e-200 { lost } else { 0.0 };
        offer.interruption = Interruption { per_hour, pool_per_hour: per_hour / 100.0 };
        offer
    }

    fn request(&self, offers: usize, deadline: i64) -> Request {
        let mut facts = facts(self.servers);
        facts.deadline = minute(320);
        facts.max_surge = self.max_surge;
        facts.offers = (0..offers).map(|index| self.offer(index)).collect();
        let mut request = request(facts, |p, t| self.load(p, t));
        request.facts.deadline = minute(deadline);
        request.risk = p(self.risk);
        request
    }

    fn whole(&self) -> Request {
        self.request(self.offers.len(), self.deadline)
    }
}

fn cost(request: &Request) -> f64 {
    plan(request).map_or(f64::INFINITY, |plan| plan.cost.surge)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_mix_passes_the_linter(case in cases(true)) {
        let request = case.whole();
        match plan(&request) {
            Ok(plan) => {
                let findings = check(&plan, &request.facts);
                prop_assert!(findings.is_empty(), "{:#?}", findings);
            }
            Err(refused) => prop_assert!(!refused.binding.is_empty() && !refused.detail.is_empty()),
        }
    }

    #[test]
    fn more_risk_or_more_room_or_a_later_deadline_never_cost_more(
        case in cases(true), risk in 1.01_f64..2.0, room in 1_u32..5, later in 1_i64..100,
    ) {
        let strict = cost(&case.whole());
        let wider = Case { risk: case.risk * risk, ..case.clone() };
        prop_assert!(cost(&wider.whole()) <= strict + 1e-9);
        let wider = Case { max_surge: case.max_surge + room, ..case.clone() };
        prop_assert!(cost(&wider.whole()) <= strict + 1e-9);
        let wider = Case { deadline: case.deadline + later, ..case };
        prop_assert!(cost(&wider.whole()) <= strict + 1e-9);
    }

    #[test]
    fn an_offer_added_to_a_market_never_costs_more(case in cases(true)) {
        let costs = (1..=case.offers.len()).map(|n| cost(&case.request(n, case.deadline)));
        let costs: Vec<f64> = costs.collect();
        prop_assert!(costs.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{:?}", costs);
    }

    #[test]
    fn no_start_no_batches_and_no_counts_are_cheaper(case in cases(false)) {
        let request = case.whole();
        let (found, best) = (cost(&request), everything(&case, &request));
        prop_assert!((found - best).abs() < 1e-6 || found == best, "{} against {}", found, best);
    }
}

/// The least cost over every start, number of batches and count of every offer, written from the
/// definitions alone, for offers that are never lost.
fn everything(case: &Case, request: &Request) -> f64 {
    let paths = &request.choosing[&requests()];
    let hits = allowed(case.risk, paths.count());
    let mut best = f64::INFINITY;
    for batches in usize::from(case.servers > 1)..case.servers {
        let (small, extra) =
            ((case.servers - 1) / batches.max(1), (case.servers - 1) % batches.max(1));
        let bulk = (0..batches).map(|i| small + usize::from(i < extra));
        let sizes: Vec<usize> = std::iter::once(1).chain(bulk).collect();
        if sizes.iter().any(|size| *size > request.facts.max_unavailable as usize) {
            continue;
        }
        let length = 10 * sizes.len() as i64;
        // Surge may come with each of the first four batches.
        let begins = (0..=(case.deadline - length))
            .flat_map(|start| (0..sizes.len().min(4)).map(move |bare| (start, bare)));
        for (start, bare) in begins {
            let mut needs: Vec<f64> =
                paths.iter().map(|path| need(path, &sizes, start as usize, bare)).collect();
            needs.sort_by(|a, b| b.total_cmp(a));
            let (surge_at, serves) = (start + 10 * bare as i64, length - 10 * bare as i64);
            let in_time =
                request.facts.offers.iter().filter(|offer| {
                    offer.lead.p50() + offer.warmup.p50() <= minutes(surge_at as u64)
                });
            let priced: Vec<(f64, f64, u32)> = in_time
                .map(|offer| {
                    let lead = (offer.lead.p50() + offer.warmup.p50()).as_secs() as i64 / 60;
                    let running = (lead + serves + 11) as f64 * 60.0;
                    let least = offer.billing.minimum.as_secs_f64();
                    let unit = offer.billing.granularity.as_secs_f64();
                    let running = if running < least { least } else { running };
                    let hours = (running / unit - 1e-9).ceil() * unit / 3600.0;
                    (offer.price_per_hour * hours, offer.capacity[&requests()], offer.max)
                })
                .collect();
            let here = counts(&priced, needs[hits] - 1e-6, case.max_surge);
            best = if here < best { here } else { best };
        }
    }
    best
}

fn counts(offers: &[(f64, f64, u32)], need: f64, room: u32) -> f64 {
    if need <= 0.0 {
        return 0.0;
    }
    if need.is_infinite() {
        return f64::INFINITY;
    }
    let Some(((cost, carries, max), rest)) = offers.split_first() else { return f64::INFINITY };
    let each = (0..=room.min(*max)).map(|count| {
        let left = need - f64::from(count) * carries;
        f64::from(count) * cost + counts(rest, left, room - count)
    });
    each.fold(f64::INFINITY, |a, b| if b < a { b } else { a })
}

/// The most that a path lacks while batches of these sizes are out, ten minutes each, and ten
/// more should one be rolled back; without limit if it lacks anything before batch `bare`, from 0
/// on, goes out.
fn need(path: &[f64], sizes: &[usize], start: usize, bare: usize) -> f64 {
    let surge_at = start + 10 * bare;
    let full = 100.0 * sizes.iter().sum::<usize>() as f64;
    let batches = sizes.iter().enumerate();
    let lacks = batches.flat_map(|(index, size)| {
        let from = start + 10 * index;
        let load =
            (from..path.len().clamp(from, from + 20)).map(|at| (at, path[at].clamp(0.0, full)));
        load.map(move |(at, load)| {
            let lacks = load - (full - 100.0 * *size as f64);
            if at < surge_at && lacks > 1e-6 { f64::INFINITY } else { lacks }
        })
    });
    lacks.fold(0.0, |a, b| if b > a { b } else { a })
}

/// The most hits of which the one-sided 99.5 % bound stays within the risk, by summing the
/// binomial distribution.
fn allowed(risk: f64, paths: usize) -> usize {
    let n = paths as f64;
    let mut term = (n * (-risk).ln_1p()).exp();
    let (mut sum, mut hits) = (term, 0_usize);
    while sum <= 0.005 {
        term *= (n - hits as f64) / (hits as f64 + 1.0) * risk / (1.0 - risk);
        sum += term;
        hits += 1;
    }
    hits.saturating_sub(1)
}
