//! Who is out, when, and for how long.

use std::collections::BTreeMap;

use domain::calendar::union;
use domain::name::ServerName;
use domain::plan::Plan;

use super::{Findings, Rule};
use crate::demand::after;
use crate::hours::lengths_at;
use crate::request::Facts;

pub(super) fn check(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    once(plan, facts, findings);
    sizes(plan, facts, findings);
    zones(plan, facts, findings);
    times(plan, facts, findings);
    windows(plan, facts, findings);
    let deadline = facts.deadline;
    findings.ensure(plan.finish_at <= deadline, Rule::Deadline, || {
        format!("the last batch is back at {}, the deadline is {deadline}", plan.finish_at)
    });
}

fn once(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let mut times_out: BTreeMap<&ServerName, usize> = BTreeMap::new();
    for server in plan.batches.iter().flat_map(|b| &b.servers) {
        *times_out.entry(server).or_default() += 1;
    }
    for server in &facts.servers {
        let times = times_out.remove(&server.name).unwrap_or(0);
        let wanted = usize::from(server.pending);
        findings.ensure(times == wanted, Rule::Once, || {
            format!("{} goes out {times} times, not {wanted}", server.name)
        });
    }
    for server in times_out.keys() {
        findings.ensure(false, Rule::Once, || format!("there is no server {server} in the fleet"));
    }
}

fn sizes(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let unhealthy = facts.servers.iter().filter(|s| !s.healthy).count();
    for batch in &plan.batches {
        let out = batch.servers.len() + unhealthy;
        findings.ensure(out <= facts.max_unavailable as usize, Rule::MaxUnavailable, || {
            format!(
                "batch {} makes {out} servers unavailable ({unhealthy} are unhealthy), {} are \
                 allowed",
                batch.index, facts.max_unavailable
            )
        });
        findings.ensure(!batch.servers.is_empty(), Rule::Once, || {
            format!("batch {} has no servers", batch.index)
        });
        findings.ensure(batch.fleet == facts.fleet, Rule::Once, || {
            format!("batch {} is of fleet {}", batch.index, batch.fleet)
        });
    }
}

fn zones(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    for (zone, most) in &facts.zone_limits {
        let here: BTreeMap<&ServerName, bool> = facts
            .servers
            .iter()
            .filter(|server| server.zone.as_ref() == Some(zone))
            .map(|server| (&server.name, server.healthy))
            .collect();
        let sick = here.values().filter(|healthy| !**healthy).count();
        for batch in &plan.batches {
            let out = batch.servers.iter().filter(|name| here.contains_key(name)).count();
            let all = out + if out > 0 { sick } else { 0 };
            findings.ensure(all <= *most as usize, Rule::ZoneLimit, || {
                format!(
                    "batch {} makes {all} servers of zone {zone} unavailable ({sick} are \
                     unhealthy), {most} are allowed",
                    batch.index
                )
            });
        }
    }
}

fn times(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    for (position, batch) in plan.batches.iter().enumerate() {
        findings.ensure(batch.index as usize == position + 1, Rule::Times, || {
            format!("batch {} stands at place {}", batch.index, position + 1)
        });
        let needed = lengths_at(facts, batch.out_at, batch.servers.len().max(1)).back;
        let length = batch.back_at.as_second() - batch.out_at.as_second();
        findings.ensure(length >= needed, Rule::BatchLength, || {
            format!("batch {} is out for {length} s, its parts take {needed} s", batch.index)
        });
    }
    for pair in plan.batches.windows(2) {
        findings.ensure(pair[1].out_at >= pair[0].back_at, Rule::OneAtATime, || {
            let (next, back) = (pair[1].index, pair[0].back_at);
            format!("batch {next} goes out at {}, the one before is back at {back}", pair[1].out_at)
        });
    }
}

/// Windows that touch are one.
fn windows(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let windows = union(facts.windows.clone());
    for batch in &plan.batches {
        let to = batch.back_at.max(after(batch.out_at, 1));
        findings.ensure(windows.iter().any(|w| w.covers(batch.out_at, to)), Rule::Windows, || {
            format!(
                "batch {} is out from {} to {}, which lies in no window",
                batch.index, batch.out_at, batch.back_at
            )
        });
    }
}
