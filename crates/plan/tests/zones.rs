//! Batches that leave enough of each zone in service.

mod fleet;

use std::collections::BTreeMap;

use domain::name::Zone;
use domain::plan::Plan;
use fleet::*;
use plan::{Canary, Facts, Request, Rule, check, plan};
use proptest::prelude::*;

fn zone(name: &str) -> Zone {
    Zone::new(name).unwrap()
}

/// A fleet at low load with so many servers in each zone, and the same limit for all.
fn in_zones(sizes: &[(&str, usize)], limit: u32) -> Request {
    let all: usize = sizes.iter().map(|(_, size)| size).sum();
    let mut facts = facts(all);
    let zones = sizes.iter().flat_map(|(name, size)| std::iter::repeat_n(*name, *size));
    for (server, name) in facts.servers.iter_mut().zip(zones) {
        server.zone = Some(zone(name));
    }
    facts.zone_limits = sizes.iter().map(|(name, _)| (zone(name), limit)).collect();
    facts.max_unavailable = all as u32;
    facts.deadline = minute(600);
    let mut request = request(facts, |_, _| 1.0);
    request.canary = Canary::Passed;
    request
}

fn most_out(plan: &Plan, facts: &Facts) -> BTreeMap<Zone, usize> {
    let of = |name: &domain::name::ServerName| {
        facts.servers.iter().find(|s| s.name == *name).unwrap().zone.clone().unwrap()
    };
    let mut most = BTreeMap::new();
    for batch in &plan.batches {
        let mut here: BTreeMap<Zone, usize> = BTreeMap::new();
        for name in &batch.servers {
            *here.entry(of(name)).or_default() += 1;
        }
        for (zone, out) in here {
            let known = most.entry(zone).or_insert(0);
            *known = out.max(*known);
        }
    }
    most
}

#[test]
fn one_of_each_zone_at_a_time_takes_as_many_batches_as_the_largest_zone_has_servers() {
    let request = in_zones(&[("a", 6), ("b", 3), ("c", 2)], 1);
    let made = plan(&request).unwrap();
    assert_eq!(check(&made, &request.facts), []);
    assert_eq!(made.batches.len(), 6);
    assert!(most_out(&made, &request.facts).values().all(|out| *out == 1));
    // Twice as many at once, half as many batches.
    let request = in_zones(&[("a", 6), ("b", 3), ("c", 2)], 2);
    assert_eq!(plan(&request).unwrap().batches.len(), 3);
    // A limit for one zone only.
    let mut request = in_zones(&[("a", 6), ("b", 6)], 6);
    request.facts.zone_limits = [(zone("b"), 2)].into();
    let made = plan(&request).unwrap();
    assert_eq!(made.batches.len(), 3);
    assert_eq!(most_out(&made, &request.facts)[&zone("b")], 2);
}

#[test]
fn the_canary_and_the_sick_count_against_their_zone() {
    let mut request = in_zones(&[("a", 4), ("b", 6)], 2);
    request.canary = Canary::Auto;
    request.facts.servers[0].healthy = false;
    request.facts.servers[0].pending = false;
    let made = plan(&request).unwrap();
    assert_eq!(check(&made, &request.facts), []);
    let most = most_out(&made, &request.facts);
    assert_eq!((most[&zone("a")], most[&zone("b")]), (1, 2));
    // With two of them sick nothing of the zone may go out any more.
    request.facts.servers[1].healthy = false;
    request.facts.servers[1].pending = false;
    let refused = plan(&request).unwrap_err();
    assert_eq!(refused.binding, "batch.limits");
    let says = "at most 2 servers of zone a may be unavailable; 2 are unhealthy already";
    assert!(refused.detail.starts_with(says), "{}", refused.detail);
}

#[test]
fn a_given_schedule_is_held_against_the_limits() {
    let mut request = in_zones(&[("a", 2), ("b", 2)], 1);
    let names = |of: [usize; 2]| of.map(|i| request.facts.servers[i].name.clone()).to_vec();
    let (good, bad) = (vec![names([0, 2]), names([1, 3])], vec![names([0, 1]), names([2, 3])]);
    request.schedule.batches = Some(good);
    assert_eq!(check(&plan(&request).unwrap(), &request.facts), []);
    request.schedule.batches = Some(bad);
    assert_eq!(plan(&request).unwrap_err().binding, "batch.limits");
}

#[test]
fn the_linter_finds_a_zone_of_which_too_many_are_out() {
    let mut request = in_zones(&[("a", 4), ("b", 4)], 2);
    let made = plan(&request).unwrap();
    request.facts.zone_limits = [(zone("a"), 1)].into();
    let rules: Vec<Rule> = check(&made, &request.facts).iter().map(|f| f.rule).collect();
    assert!(!rules.is_empty() && rules.iter().all(|rule| *rule == Rule::ZoneLimit), "{rules:?}");
}

#[test]
fn a_limit_for_a_zone_that_is_not_there_is_refused() {
    let mut request = in_zones(&[("a", 2), ("b", 2)], 1);
    request.facts.zone_limits = [(zone("c"), 1)].into();
    assert_eq!(plan(&request).unwrap_err().binding, "batch.limits");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn as_few_batches_as_the_limits_allow(
        sizes in (1_usize..9, 1_usize..9, 1_usize..9), limit in 1_u32..5, most in 1_u32..9,
    ) {
        let mut request = in_zones(&[("a", sizes.0), ("b", sizes.1), ("c", sizes.2)], limit);
        request.facts.max_unavailable = most;
        let made = plan(&request).unwrap();
        prop_assert_eq!(check(&made, &request.facts), []);
        let of_zone = [sizes.0, sizes.1, sizes.2].map(|size| size.div_ceil(limit as usize));
        let all = (sizes.0 + sizes.1 + sizes.2).div_ceil(most as usize);
        let needed = of_zone.into_iter().max().unwrap().max(all);
        // One batch of the whole fleet would leave nothing in service.
        let whole = made.batches.len() == 2 && needed == 1;
        prop_assert!(made.batches.len() == needed || whole, "{} of {}", made.batches.len(), needed);
    }
}
