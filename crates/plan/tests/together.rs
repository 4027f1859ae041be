//! Several fleets under one joint risk, on numbers that can be followed by hand.

mod fleet;

use domain::forecast::Probability;
use domain::name::FleetName;
use domain::plan::{Plan, joint_probability};
use fleet::{facts, minute, noise, offer, p, paths, request, requests};
use plan::{Facts, Request, Rule, check_all, explain, paths_for_each, plan_together};

const RISK: f64 = 0.05;

/// A fleet of ten servers whose load scatters by `scatter` around `level`.
fn question(name: &str, level: f64, scatter: f64, salt: usize) -> Request {
    let facts = Facts { fleet: FleetName::new(name).unwrap(), deadline: minute(60), ..facts(10) };
    let mut request = request(facts, |_, _| 0.0);
    let count = paths_for_each(p(RISK), 2);
    let set = |shift: usize| {
        let load = move |path: usize, _: usize| level + scatter * noise(path + shift, salt);
        [(requests(), paths(240, count, load))].into()
    };
    (request.choosing, request.fresh) = (set(0), set(1_000_000));
    request.inputs.load = [(format!("{name}/requests"), domain::journal::Digest::zero())].into();
    request
}

/// One fleet whose need rises steeply with its certainty, and one that needs little.
fn unequal() -> Vec<Request> {
    let mut dear = question("dear", 600.0, 0.0, 1);
    let count = paths_for_each(p(RISK), 2);
    // One path in forty needs two more instances.
    let steep = |shift: usize| {
        let load =
            move |path: usize, _: usize| if noise(path + shift, 3) < 0.025 { 890.0 } else { 500.0 };
        [(requests(), paths(240, count, load))].into()
    };
    (dear.choosing, dear.fresh) = (steep(0), steep(1_000_000));
    vec![dear, question("cheap", 300.0, 10.0, 2)]
}

fn joint(requests: &[Request], plans: &[Plan]) -> Plan {
    let joint = Plan::joining(plans, RISK, 7).unwrap();
    let facts: Vec<Facts> = requests.iter().map(|r| r.facts.clone()).collect();
    let findings = check_all(&joint, &facts);
    assert!(findings.is_empty(), "{findings:#?}");
    joint
}

#[test]
fn the_shares_keep_the_joint_risk_and_cost_no_more_than_equal_ones() {
    let requests = unequal();
    let plans = plan_together(&requests, p(RISK), None).unwrap();
    let shares: Vec<f64> = plans.iter().map(|plan| plan.risk.target).collect();
    let together = joint_probability(shares.iter().copied());
    assert!(together <= RISK && together > RISK * 0.999, "{shares:?} make {together}");
    let equal = 1.0 - (1.0 - RISK).sqrt();
    let even = |request: &Request| {
        let request = Request { risk: p(equal), ..request.clone() };
        plan::plan(&request).unwrap().cost.surge
    };
    let even: f64 = requests.iter().map(even).sum();
    let cost: f64 = plans.iter().map(|plan| plan.cost.surge).sum();
    // The steep fleet gets the larger share, and needs no surge for its rare peak.
    assert!(cost < even * 0.9, "{cost} of {even} by equal shares");
    assert!(shares[0] > 1.5 * equal, "{shares:?}");
    let joint = joint(&requests, &plans);
    assert!((joint.cost.surge - cost).abs() < 1e-9);
    assert!(joint.risk.planned <= RISK);
    assert!(explain(&joint).differences.is_empty(), "{:#?}", explain(&joint).differences);
}

#[test]
fn no_other_shares_of_the_grid_cost_less() {
    let requests = unequal();
    let plans = plan_together(&requests, p(RISK), None).unwrap();
    let cost: f64 = plans.iter().map(|plan| plan.cost.surge).sum();
    let whole = -(-RISK).ln_1p();
    for units in 1..12 {
        let risk = |n: usize| p(-(-whole * n as f64 / 12.0).exp_m1());
        let price = |request: &Request, risk: Probability| {
            plan::plan(&Request { risk, ..request.clone() }).ok().map(|plan| plan.cost.surge)
        };
        let both = price(&requests[0], risk(units)).zip(price(&requests[1], risk(12 - units)));
        if let Some((a, b)) = both {
            assert!(cost <= a + b + 1e-9, "{cost}, but {units} units of 12 cost {}", a + b);
        }
    }
}

#[test]
fn equal_fleets_share_equally() {
    let requests = [question("a", 770.0, 80.0, 5), question("b", 770.0, 80.0, 5)];
    let plans = plan_together(&requests, p(RISK), None).unwrap();
    let [a, b] = [plans[0].risk.target, plans[1].risk.target];
    assert!((a - b).abs() < 1e-12, "{a} {b}");
}

#[test]
fn parts_are_the_plans_that_they_were() {
    let requests = unequal();
    let plans = plan_together(&requests, p(RISK), None).unwrap();
    let joint = joint(&requests, &plans);
    assert_eq!(joint.parts(), plans);
    for part in joint.parts() {
        assert_eq!(part.computed_digest(), part.digest);
    }
    let text = serde_json::to_string(&joint).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), joint);
    assert_eq!(joint.part(&FleetName::new("other").unwrap()), None);
}

#[test]
fn a_joint_plan_that_is_changed_is_found() {
    let requests = unequal();
    let plans = plan_together(&requests, p(RISK), None).unwrap();
    let good = joint(&requests, &plans);
    let facts: Vec<Facts> = requests.iter().map(|r| r.facts.clone()).collect();
    let breaks = |rule: Rule, change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        let findings = check_all(&plan.sealed(), &facts);
        assert!(findings.iter().any(|f| f.rule == rule), "{rule:?} is not in {findings:#?}");
    };
    breaks(Rule::Risk, &|plan| plan.risk.target = RISK / 2.0);
    breaks(Rule::Joint, &|plan| plan.risk.planned = 0.9);
    breaks(Rule::Cost, &|plan| plan.cost.surge += 1.0);
    breaks(Rule::Joint, &|plan| plan.start_at = minute(-5));
    breaks(Rule::Joint, &|plan| plan.fleets.reverse());
    breaks(Rule::Once, &|plan| plan.batches[0].servers.clear());
    breaks(Rule::Digest, &|plan| plan.fleets[0].risk.planned = 0.5);
    let found = check_all(&Plan { fleets: Vec::new(), ..good.clone() }.sealed(), &facts);
    assert!(!found.is_empty());
}

#[test]
fn refusals_name_the_fleet_the_shares_and_the_money() {
    let mut requests = unequal();
    requests[1].facts.deadline = minute(5);
    let refused = plan_together(&requests, p(RISK), None).unwrap_err();
    assert_eq!(refused.binding, "deadline");
    assert!(refused.detail.starts_with("fleet cheap: "), "{}", refused.detail);
    assert!(refused.would_fit.iter().all(|fit| fit.change.starts_with("fleet cheap: ")));

    let requests = [question("a", 770.0, 80.0, 5), question("b", 770.0, 80.0, 6)];
    let cost: f64 =
        plan_together(&requests, p(RISK), None).unwrap().iter().map(|plan| plan.cost.surge).sum();
    assert!(cost > 0.0);
    let refused = plan_together(&requests, p(RISK), Some(cost / 2.0)).unwrap_err();
    assert_eq!(refused.binding, "budget");
    assert!((refused.would_fit[0].cost - cost).abs() < 1e-9);
    assert!(plan_together(&requests, p(RISK), Some(cost)).is_ok());

    // Without surge each of them can be done at some share, but not both within the joint risk.
    let tight = |name: &str, salt: usize| {
        let mut request = question(name, 0.0, 0.0, salt);
        request.facts.offers = vec![];
        let count = paths_for_each(p(RISK), 2);
        let set = |shift: usize| {
            let load = move |path: usize, _: usize| {
                if noise(path + shift, salt) < 0.025 { 950.0 } else { 100.0 }
            };
            [(fleet::requests(), paths(240, count, load))].into()
        };
        (request.choosing, request.fresh) = (set(0), set(1_000_000));
        request
    };
    let refused = plan_together(&[tight("a", 8), tight("b", 9)], p(RISK), None).unwrap_err();
    assert_eq!(refused.binding, "risk");
    let said = &refused.detail;
    assert!(said.contains("a at least ") && said.contains("b at least "), "{said}");
    assert!(refused.would_fit[0].risk > RISK);
}

#[test]
fn the_batches_of_a_plan_spend_at_most_its_risk() {
    for (level, scatter) in [(300.0, 10.0), (560.0, 80.0), (600.0, 300.0)] {
        let mut request = question("one", level, scatter, 4);
        request.facts.offers = vec![offer("od", 0.6)];
        let plan = plan::plan(&request).unwrap();
        let spent: Vec<f64> = plan.batches.iter().map(|b| b.risk.unwrap()).collect();
        let all: f64 = spent.iter().sum();
        assert!(spent.iter().all(|risk| *risk > 0.0), "{spent:?}: no batch is free");
        let due = if plan.risk.upper95 < RISK { plan.risk.upper95 } else { RISK };
        assert!((all - due).abs() < 1e-12, "{all} of {due}");
    }
}
