//! A plan over several fleets.

use domain::plan::{Plan, joint_probability};

use super::{Finding, Findings, Rule};
use crate::request::Facts;

pub(super) fn check(plan: &Plan, fleets: &[Facts]) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let names: Vec<_> = plan.fleets.iter().map(|part| &part.fleet).collect();
    let known: Vec<_> = fleets.iter().map(|facts| &facts.fleet).collect();
    findings.ensure(names == known, Rule::Joint, || {
        let list = |names: &[&domain::name::FleetName]| {
            names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        format!("it is over {}, the rollout is over {}", list(&names), list(&known))
    });
    for facts in fleets {
        let Some(part) = plan.part(&facts.fleet) else { continue };
        let named = |finding: Finding| Finding {
            detail: format!("fleet {}: {}", facts.fleet, finding.detail),
            ..finding
        };
        findings.0.extend(super::check(&part, facts).into_iter().map(named));
    }
    risk(plan, &mut findings);
    whole(plan, &mut findings);
    findings.0
}

fn risk(plan: &Plan, findings: &mut Findings) {
    let shares = joint_probability(plan.fleets.iter().map(|part| part.risk.target));
    findings.ensure(shares <= plan.risk.target + 1e-12, Rule::Risk, || {
        format!("its shares make a joint risk of {shares}, {} is allowed", plan.risk.target)
    });
    let cost: f64 = plan.fleets.iter().map(|part| part.cost.surge).sum();
    findings.ensure((cost - plan.cost.surge).abs() <= 1e-6, Rule::Cost, || {
        format!("the plan states {:.4}, its parts cost {cost:.4}", plan.cost.surge)
    });
}

/// The plan is what its parts make.
fn whole(plan: &Plan, findings: &mut Findings) {
    let digest = plan.computed_digest();
    findings.ensure(plan.digest == digest, Rule::Digest, || {
        format!("the plan says {}, its content is {digest}", plan.digest)
    });
    let joined = Plan::joining(&plan.parts(), plan.risk.target, plan.seed);
    let same = joined.is_some_and(|joined| joined.computed_digest() == digest);
    findings.ensure(same, Rule::Joint, || {
        "its batches, surge, timeline, times, risk or cost are not those of its parts".into()
    });
}
