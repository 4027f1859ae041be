//! Limits over several offers: by hand, against trying every count, in refusals and the linter.

mod fleet;

use domain::name::OfferName;
use domain::plan::Plan;
use domain::spread::Spread;
use fleet::*;
use plan::{Canary, Held, Interruption, Offer, Quota, Request, Rule, check, plan};
use proptest::prelude::*;

fn name(text: &str) -> OfferName {
    OfferName::new(text).unwrap()
}

fn quota(limit: f64, used: f64, per: &[(&str, f64)]) -> Quota {
    let per = per.iter().map(|(offer, each)| (name(offer), *each)).collect();
    Quota { name: "vcpu".into(), limit, used, per }
}

fn sized(name: &str, price: f64, carries: f64) -> Offer {
    let plain = offer(name, price);
    Offer { capacity: one(carries), lead: Spread::ZERO, warmup: Spread::ZERO, ..plain }
}

/// Full load and two batches of five, so that 500 are missing all the time.
fn five_missing(offers: Vec<Offer>, quotas: Vec<Quota>) -> Request {
    let mut facts = facts(10);
    (facts.offers, facts.quotas) = (offers, quotas);
    facts.deadline = minute(25);
    let mut request = request(facts, |_, _| 1000.0);
    request.canary = Canary::Passed;
    request
}

fn bought(request: &Request) -> Vec<(String, u32)> {
    let plan = plan(request).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(check(&plan, &request.facts), []);
    plan.surge.iter().map(|p| (p.offer.to_string(), p.count)).collect()
}

fn counts(list: &[(&str, u32)]) -> Vec<(String, u32)> {
    list.iter().map(|(offer, count)| ((*offer).to_owned(), *count)).collect()
}

#[test]
fn a_quota_bounds_one_offer_and_a_mix() {
    let offers = || vec![sized("small", 0.1, 100.0), sized("large", 0.9, 300.0)];
    let with = |quotas| bought(&five_missing(offers(), quotas));
    assert_eq!(with(vec![]), counts(&[("small", 5)]));
    // 12 of 20 are left: three small ones at 4 each, or two and one large, which use 8 + 3.
    let per = [("small", 4.0), ("large", 3.0)];
    assert_eq!(with(vec![quota(20.0, 8.0, &per)]), counts(&[("small", 2), ("large", 1)]));
    assert_eq!(with(vec![quota(20.0, 0.0, &per)]), counts(&[("small", 5)]));
    // 7 are left: two large ones use 6, and two small with one large would use 11.
    assert_eq!(with(vec![quota(20.0, 13.0, &per)]), counts(&[("large", 2)]));
    // The tighter of two quotas binds, and an offer outside a quota is free of it.
    let two = vec![
        quota(100.0, 0.0, &per),
        Quota { name: "ip".into(), ..quota(3.0, 1.0, &[("small", 1.0)]) },
    ];
    assert_eq!(with(two), counts(&[("small", 2), ("large", 1)]));
}

#[test]
fn a_tenth_of_a_unit_is_not_lost_to_rounding() {
    let offers = vec![sized("small", 0.1, 100.0)];
    let exact = five_missing(offers, vec![quota(0.5, 0.0, &[("small", 0.1)])]);
    assert_eq!(bought(&exact), counts(&[("small", 5)]));
}

#[test]
fn held_surge_takes_its_part_of_the_quota() {
    let held = Held { offer: name("small"), count: 3, ready_at: minute(0), ends_at: None };
    let offers = vec![sized("small", 0.1, 100.0), sized("large", 0.9, 300.0)];
    let mut request = five_missing(offers, vec![quota(16.0, 0.0, &[("small", 4.0)])]);
    request.facts.held = vec![held];
    // 200 are missing; one more small one fits, two do not.
    assert_eq!(bought(&request), counts(&[("large", 1)]));
    request.facts.quotas[0].limit = 20.0;
    assert_eq!(bought(&request), counts(&[("small", 2)]));
}

#[test]
fn spot_in_a_mix_keeps_within_the_quota() {
    let mut spot = sized("spot", 0.1, 100.0);
    spot.interruption = Interruption { per_hour: 0.05, pool_per_hour: 0.0 };
    let per = [("spot", 1.0), ("od", 1.0)];
    let offers = vec![sized("od", 0.6, 100.0), spot];
    for left in [5.0, 6.0, 7.0] {
        let request = five_missing(offers.clone(), vec![quota(left, 0.0, &per)]);
        let all: u32 = bought(&request).iter().map(|(_, count)| count).sum();
        assert!(f64::from(all) <= left, "{all} of {left}");
    }
}

#[test]
fn a_quota_that_binds_is_named_with_its_numbers_and_the_nearest_plan() {
    let request = five_missing(
        vec![sized("small", 0.1, 100.0)],
        vec![quota(256.0, 244.0, &[("small", 4.0)])],
    );
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "quota");
    let numbers = "of quota vcpu 20 are needed besides the 244 that are used, 256 are allowed";
    assert!(refused.detail.starts_with(numbers), "{}", refused.detail);
    assert!(refused.detail.contains("requests reaches 1000.0"), "{}", refused.detail);
    let changes: Vec<&str> = refused.would_fit.iter().map(|w| w.change.as_str()).collect();
    assert!(changes.contains(&"limit: 264 of quota vcpu"), "{changes:?}");
    // With that limit it fits.
    let wider = five_missing(
        vec![sized("small", 0.1, 100.0)],
        vec![quota(264.0, 244.0, &[("small", 4.0)])],
    );
    assert_eq!(bought(&wider), counts(&[("small", 5)]));
}

#[test]
fn the_linter_finds_a_quota_that_is_overdrawn() {
    let mut request =
        five_missing(vec![sized("small", 0.1, 100.0)], vec![quota(20.0, 0.0, &[("small", 4.0)])]);
    let plan: Plan = plan(&request).unwrap();
    request.facts.quotas[0].used = 1.0;
    let rules: Vec<Rule> = check(&plan, &request.facts).iter().map(|f| f.rule).collect();
    assert_eq!(rules, [Rule::Quota]);
}

#[test]
fn quotas_that_make_no_sense_are_named() {
    let binding =
        |quotas| plan(&five_missing(vec![sized("small", 0.1, 100.0)], quotas)).unwrap_err().binding;
    assert_eq!(binding(vec![quota(f64::NAN, 0.0, &[])]), "surge.quotas.vcpu.limit");
    assert_eq!(binding(vec![quota(1.0, -1.0, &[])]), "surge.quotas.vcpu.used");
    assert_eq!(binding(vec![quota(1.0, 0.0, &[("small", -1.0)])]), "surge.quotas.vcpu.per.small");
    assert_eq!(binding(vec![quota(1.0, 0.0, &[("other", 1.0)])]), "surge.quotas.vcpu.per");
    assert_eq!(binding(vec![quota(1.0, 0.0, &[]), quota(1.0, 0.0, &[])]), "surge.quotas");
}

/// The least cost of counts that carry `need` within the quotas, by trying every count.
fn every_count(request: &Request, need: f64, minutes: f64) -> f64 {
    let facts = &request.facts;
    fn go(offers: &[Offer], need: f64, left: &[(f64, &Quota)], minutes: f64) -> f64 {
        if need <= 1e-6 {
            return 0.0;
        }
        let Some((offer, rest)) = offers.split_first() else { return f64::INFINITY };
        let mut best = f64::INFINITY;
        for count in 0..=offer.max {
            let used = |quota: &Quota| {
                quota.per.get(&offer.name).copied().unwrap_or(0.0) * f64::from(count)
            };
            let left: Vec<(f64, &Quota)> = left.iter().map(|(l, q)| (l - used(q), *q)).collect();
            if left.iter().any(|(left, _)| *left < -1e-9) {
                break;
            }
            let own = f64::from(count) * offer.price_per_hour * minutes / 60.0;
            let cost = own
                + go(rest, need - f64::from(count) * offer.capacity[&requests()], &left, minutes);
            best = if cost < best { cost } else { best };
        }
        best
    }
    let left: Vec<(f64, &Quota)> = facts.quotas.iter().map(|q| (q.limit - q.used, q)).collect();
    go(&facts.offers, need, &left, minutes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_counts_within_the_quotas_are_cheaper(
        offers in prop::collection::vec((0.05_f64..2.0, 30.0_f64..300.0, 0_u32..4, 0_u32..4), 2..4),
        limits in (2_u32..30, 2_u32..30),
    ) {
        let markets = offers.iter().enumerate().map(|(i, o)| Offer { max: 9, ..sized(&format!("o{i}"), o.0, o.1) });
        let per = |of: &dyn Fn(usize) -> u32| (0..offers.len()).map(|i| (name(&format!("o{i}")), f64::from(of(i)))).collect();
        let quotas = vec![
            Quota { name: "a".into(), limit: f64::from(limits.0), used: 1.0, per: per(&|i| offers[i].2) },
            Quota { name: "b".into(), limit: f64::from(limits.1), used: 0.0, per: per(&|i| offers[i].3) },
        ];
        let mut request = five_missing(markets.collect(), quotas);
        // Nothing else bounds the counts: small ones may need more instances than there are servers.
        request.facts.max_surge = 100;
        // Two batches of five: 20 minutes, 10 of watching, 1 of drain.
        request.schedule.batches = Some((0..2).map(|half| {
            request.facts.servers[half * 5..half * 5 + 5].iter().map(|s| s.name.clone()).collect()
        }).collect());
        request.schedule.start_at = Some(minute(0));
        let best = every_count(&request, 500.0, 31.0);
        match plan(&request) {
            Ok(plan) => {
                prop_assert_eq!(check(&plan, &request.facts), []);
                prop_assert!((plan.cost.surge - best).abs() < 1e-6, "{} against {}", plan.cost.surge, best);
            }
            Err(refused) => prop_assert!(best.is_infinite(), "{:?} against {}", refused, best),
        }
    }
}
