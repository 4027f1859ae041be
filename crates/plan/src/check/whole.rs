//! The document as a whole: digest, order of its times, risk, timeline.

use domain::plan::{API_VERSION, Plan, TimelineEntry};

use super::{Findings, Rule};
use crate::ledger::Ledger;
use crate::request::Facts;

pub(super) fn check(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let digest = plan.computed_digest();
    findings.ensure(plan.digest == digest, Rule::Digest, || {
        format!("the plan says {}, its content is {digest}", plan.digest)
    });
    findings.ensure(plan.api_version == API_VERSION && plan.kind == "Plan", Rule::Kind, || {
        format!("{} {} is not {API_VERSION} Plan", plan.api_version, plan.kind)
    });
    findings.ensure(plan.revision >= 1, Rule::Kind, || "revisions count from 1".into());
    times(plan, findings);
    risk(plan, findings);
    timeline(plan, findings);
    match Ledger::of(plan, facts) {
        Ok(ledger) => {
            for entry in &plan.timeline {
                agrees(&ledger, entry, findings);
            }
        }
        Err(unknown) => findings.ensure(false, Rule::Ledger, || unknown.to_string()),
    }
}

fn times(plan: &Plan, findings: &mut Findings) {
    let removals = plan.batches.iter().map(|b| b.out_at);
    let first = removals.chain(plan.surge.iter().map(|s| s.order_at)).min();
    findings.ensure(first == Some(plan.start_at), Rule::Times, || {
        format!("startAt is {}, not the first order or removal", plan.start_at)
    });
    let last = plan.batches.iter().map(|b| b.back_at).max();
    findings.ensure(last == Some(plan.finish_at), Rule::Times, || {
        format!("finishAt is {}, not the last backAt", plan.finish_at)
    });
    let order = plan.created_at <= plan.start_at
        && plan.finish_at <= plan.stabilised_at
        && plan.stabilised_at <= plan.done_at;
    findings.ensure(order, Rule::Times, || {
        "createdAt, startAt, finishAt, stabilisedAt and doneAt do not follow each other".into()
    });
    let first_out = plan.batches.first().map(|b| b.out_at);
    findings.ensure(first_out.is_none_or(|out| plan.valid_until >= out), Rule::Times, || {
        format!("validUntil is {}, before the first batch", plan.valid_until)
    });
    let last = plan.surge.iter().map(|s| s.end_at).max();
    findings.ensure(last.is_none_or(|end| end <= plan.done_at), Rule::Times, || {
        format!("doneAt is {}, before the last surge is gone", plan.done_at)
    });
}

fn risk(plan: &Plan, findings: &mut Findings) {
    let risk = &plan.risk;
    let all = [risk.target, risk.planned, risk.upper95, risk.resolution, risk.baseline];
    let shares = all.iter().all(|p| (0.0..=1.0).contains(p));
    findings.ensure(shares, Rule::Risk, || "a probability is not between 0 and 1".into());
    findings.ensure(risk.planned <= risk.upper95, Rule::Risk, || {
        format!("upper95 {} is below planned {}", risk.upper95, risk.planned)
    });
    let spent: f64 = plan.batches.iter().filter_map(|b| b.risk).sum();
    let shares = plan.batches.iter().filter_map(|b| b.risk).all(|r| (0.0..=1.0).contains(&r));
    findings.ensure(shares && spent <= risk.target + 1e-9, Rule::Risk, || {
        format!("its batches spend {spent} together, {} is allowed", risk.target)
    });
    let extrapolated = risk.target < risk.resolution;
    findings.ensure(risk.extrapolated == extrapolated, Rule::Risk, || {
        format!("extrapolated is {}, against target and resolution", risk.extrapolated)
    });
    let over = plan.timeline.iter().find(|e| {
        let p = e.overload_probability;
        !(0.0..=1.0).contains(&p) || p > risk.planned + 1e-9
    });
    findings.ensure(over.is_none(), Rule::Risk, || {
        let from = over.map(|e| e.from.to_string()).unwrap_or_default();
        format!("the overload probability at {from} is above that of the whole plan")
    });
}

fn timeline(plan: &Plan, findings: &mut Findings) {
    let covers = match (plan.timeline.first(), plan.timeline.last()) {
        (Some(first), Some(last)) => first.from <= plan.start_at && last.to >= plan.done_at,
        _ => false,
    };
    findings.ensure(covers, Rule::Timeline, || "it does not cover the rollout".into());
    for entry in &plan.timeline {
        findings.ensure(entry.from < entry.to, Rule::Timeline, || {
            format!("the entry at {} ends before it begins", entry.from)
        });
    }
    for pair in plan.timeline.windows(2) {
        findings.ensure(pair[0].to == pair[1].from, Rule::Timeline, || {
            format!(
                "the entry at {} ends at {}, the next one does not begin there",
                pair[0].from, pair[0].to
            )
        });
    }
}

fn agrees(ledger: &Ledger, entry: &TimelineEntry, findings: &mut Findings) {
    let (from, to) = (entry.from, entry.to);
    if from >= to {
        return;
    }
    let (in_service, surge) = (ledger.in_service(from, to), ledger.surge(from, to));
    findings.ensure(entry.in_service == in_service && entry.surge == surge, Rule::Ledger, || {
        format!(
            "at {from} the timeline has {} servers and {} surge in service, the ledger {in_service} \
             and {surge}",
            entry.in_service, entry.surge
        )
    });
    for (dimension, least) in ledger.least(from, to) {
        let stated = entry.capacity.get(&dimension).copied().unwrap_or(f64::NAN);
        let same = (stated - least).abs() <= 1e-6 * (1.0 + least.abs());
        findings.ensure(same, Rule::Ledger, || {
            format!("at {from} the timeline has {stated} of {dimension}, the ledger {least}")
        });
    }
}
