//! Plans that carry the need after losing servers or zones.

mod fleet;

use domain::name::{OfferName, ServerName, Zone};
use domain::plan::Plan;
use domain::spread::Spread;
use fleet::*;
use plan::{Canary, Facts, Held, Offer, Request, Schedule, Survive, check, plan};
use proptest::prelude::*;

fn checked(request: &Request) -> Plan {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    let findings = check(&plan, &request.facts);
    assert!(findings.is_empty(), "{findings:#?}\n{plan:#?}");
    plan
}

fn bought(plan: &Plan) -> Vec<(&str, u32)> {
    plan.surge.iter().map(|p| (p.offer.as_str(), p.count)).collect()
}

fn sizes(plan: &Plan) -> Vec<usize> {
    plan.batches.iter().map(|b| b.servers.len()).collect()
}

fn standing(name: &str, zone: Option<&str>, price: f64, carries: f64) -> Offer {
    let zone = zone.map(|zone| Zone::new(zone).unwrap());
    Offer { zone, capacity: one(carries), ..offer(name, price) }
}

#[test]
fn servers_that_may_be_lost_make_smaller_batches() {
    let mut request = request(facts(10), |_, _| 400.0);
    assert_eq!(sizes(&checked(&request)), [1, 5, 4]);
    // Of 500 in service two servers may go: too little. With three out, 500 are left.
    request.survive = Survive { servers: 2, zones: 0 };
    assert_eq!(sizes(&checked(&request)), [1, 3, 3, 3]);
}

#[test]
fn a_lost_server_is_backed_by_surge_that_may_be_lost_itself() {
    let mut request = request(facts(10), |_, _| 1000.0);
    request.facts.max_surge = 2;
    request.survive = Survive { servers: 1, zones: 0 };
    // One that is out, one that is lost.
    let plan = checked(&request);
    assert_eq!(bought(&plan), [("od", 2)]);
    assert_eq!(plan.risk.planned, 0.0);
    // Of instances of 300, one may be lost in the place of a server: one more is needed.
    request.facts.offers = vec![standing("large", None, 0.6, 300.0)];
    assert_eq!(bought(&checked(&request)), [("large", 2)]);
    // What is held may be lost as well.
    request.facts.offers = vec![standing("od", None, 0.6, 100.0)];
    let held =
        Held { offer: OfferName::new("od").unwrap(), count: 1, ready_at: minute(0), ends_at: None };
    request.facts.held = vec![held];
    assert_eq!(bought(&checked(&request)), [("od", 1)]);
}

/// Three servers in each of three zones; one of each zone is out at a time, and with a zone gone
/// four are left.
fn three_zones(level: f64) -> Request {
    let mut request = request(facts(9), |_, _| level);
    let names = |all: [u32; 3]| all.map(|n| ServerName::new(format!("web-{n}")).unwrap()).to_vec();
    let batches = vec![names([1, 2, 3]), names([4, 5, 6]), names([7, 8, 9])];
    request.schedule = Schedule { start_at: Some(minute(30)), batches: Some(batches) };
    request.survive = Survive { servers: 0, zones: 1 };
    request
}

#[test]
fn a_lost_zone_takes_its_servers_and_its_surge() {
    let request = three_zones(400.0);
    assert!(checked(&request).surge.is_empty());
    let mut request = three_zones(500.0);
    request.facts.offers = vec![
        standing("a", Some("a"), 0.3, 100.0),
        standing("b", Some("b"), 0.4, 100.0),
        standing("c", Some("c"), 0.9, 100.0),
    ];
    // One alone goes with its zone; two in different zones leave one whatever goes.
    let plan = checked(&request);
    assert_eq!(bought(&plan), [("a", 1), ("b", 1)]);
    assert_eq!(plan.risk.planned, 0.0);
    // A zone of its own is cheaper still.
    request.facts.offers.push(standing("d", Some("d"), 0.6, 100.0));
    assert_eq!(bought(&checked(&request)), [("d", 1)]);
    // A server besides makes two.
    request.survive.servers = 1;
    assert_eq!(bought(&checked(&request)), [("d", 2)]);
}

#[test]
fn an_offer_that_may_stand_anywhere_is_not_counted_on_and_the_refusal_says_so() {
    let request = three_zones(500.0);
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "survive");
    assert!(refused.detail.contains("after losing zone"), "{}", refused.detail);
    let change = "survive: { servers: 0, zones: 0 }";
    assert!(refused.would_fit.iter().any(|w| w.change == change), "{:?}", refused.would_fit);
}

#[derive(Debug, Clone)]
struct Case {
    servers: usize,
    zones: usize,
    level: f64,
    survive: Survive,
    offers: Vec<(f64, f64, usize)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![Just(50.0), Just(100.0), Just(250.0), 20.0_f64..250.0];
    let offers = prop::collection::vec((0.05_f64..2.0, sizes, 0_usize..5), 1..5);
    let survive = (0_u32..3, 0_u32..3);
    (4_usize..12, 2_usize..5, 0.3_f64..1.05, survive, offers).prop_map(
        |(servers, zones, level, (few, lost), offers)| Case {
            servers,
            zones,
            level,
            survive: Survive { servers: few, zones: lost.min(zones as u32 - 1) },
            offers,
        },
    )
}

impl Case {
    fn zone(index: usize) -> Zone {
        Zone::new(format!("zone-{index}")).unwrap()
    }

    fn request(&self, survive: Survive) -> Request {
        let mut facts = facts(self.servers);
        for (index, server) in facts.servers.iter_mut().enumerate() {
            server.zone = Some(Self::zone(index % self.zones));
            server.capacity = one(60.0 + 20.0 * (index % 4) as f64);
        }
        let full: f64 = facts.servers.iter().map(|s| s.capacity[&requests()]).sum();
        let offer = |(index, (price, carries, zone)): (usize, &(f64, f64, usize))| {
            let zone = (*zone > 0).then(|| Self::zone(*zone - 1));
            let plain = standing(&format!("offer-{index}"), None, *price, *carries);
            let (lead, warmup) = (Spread::exactly(minutes(1)), Spread::ZERO);
            Offer { zone, lead, warmup, max: 12, ..plain }
        };
        facts.offers = self.offers.iter().enumerate().map(offer).collect();
        facts.deadline = minute(150);
        facts.max_surge = 20;
        let mut request = request(facts, |_, t| full * (self.level - 0.001 * (t % 60) as f64));
        request.canary = Canary::Passed;
        request.survive = survive;
        request
    }
}

/// The least that is in service after the worst loss, less the load, while batches are out;
/// counted from the plan alone, for load that is the same on every path.
fn headroom(request: &Request, plan: &Plan) -> f64 {
    let facts = &request.facts;
    let all =
        |facts: &Facts| -> f64 { facts.servers.iter().map(|s| s.capacity[&requests()]).sum() };
    let full = all(facts);
    let load = request.choosing[&requests()].path(0);
    let mut zones: Vec<Option<&Zone>> = facts.servers.iter().map(|s| s.zone.as_ref()).collect();
    zones.extend(facts.offers.iter().map(|o| o.zone.as_ref()));
    zones.sort();
    zones.dedup();
    let known: Vec<&Zone> = zones.into_iter().flatten().collect();
    let losses: Vec<Vec<&Zone>> = match request.survive.zones {
        0 => vec![vec![]],
        1 => known.iter().map(|zone| vec![*zone]).collect(),
        _ => known.iter().flat_map(|a| known.iter().map(move |b| vec![*a, *b])).collect(),
    };
    let mut least = f64::INFINITY;
    for batch in &plan.batches {
        for lost in &losses {
            let stands = |zone: &Option<Zone>| match zone {
                Some(zone) => !lost.contains(&zone),
                None => lost.is_empty(),
            };
            let left = facts.servers.iter().filter(|s| stands(&s.zone));
            let mut each: Vec<f64> = left
                .filter(|s| !batch.servers.contains(&s.name))
                .map(|s| s.capacity[&requests()])
                .collect();
            for order in &plan.surge {
                let offer = facts.offer(&order.offer).unwrap();
                if stands(&offer.zone) {
                    each.extend((0..order.count).map(|_| offer.capacity[&requests()]));
                }
            }
            each.sort_by(|a, b| b.total_cmp(a));
            let in_service: f64 = each.iter().skip(request.survive.servers as usize).sum();
            let minutes =
                |at: jiff::Timestamp| at.duration_since(minute(0)).as_secs() as usize / 60;
            for load in &load[minutes(batch.out_at)..minutes(batch.back_at)] {
                let room = in_service - load.clamp(0.0, full);
                least = if room < least { room } else { least };
            }
        }
    }
    least
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_left_after_any_loss_carries_the_load(case in cases()) {
        let request = case.request(case.survive);
        if let Ok(plan) = plan(&request) {
            let findings = check(&plan, &request.facts);
            prop_assert!(findings.is_empty(), "{:#?}", findings);
            prop_assert!(headroom(&request, &plan) > -1e-3, "{:?}", plan.surge);
            prop_assert_eq!(plan.risk.planned, 0.0);
        }
    }

    #[test]
    fn more_to_survive_never_costs_less(case in cases()) {
        let cost = |survive| plan(&case.request(survive)).map_or(f64::INFINITY, |p| p.cost.surge);
        let Survive { servers, zones } = case.survive;
        let all = cost(case.survive);
        let less = [(0, zones), (servers, 0), (0, 0)];
        for (servers, zones) in less {
            let less = cost(Survive { servers, zones });
            prop_assert!(less <= all + 1e-9, "{} against {}", less, all);
        }
    }

    #[test]
    fn an_added_offer_never_costs_more_where_losses_are_survived(case in cases()) {
        let mut request = case.request(case.survive);
        let all = plan(&request).map_or(f64::INFINITY, |p| p.cost.surge);
        request.facts.offers.pop();
        let fewer = plan(&request).map_or(f64::INFINITY, |p| p.cost.surge);
        prop_assert!(all <= fewer + 1e-9);
    }
}
