//! The real world of a rollout: its adapters, put together from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::config::{Fleet, FleetServer, Measure};
use domain::event::{
    ApprovalRule, Created, FORMAT, HoldLimit, HookLimit, HookPoint, Member, Policy, SizeRule,
};
use domain::name::{Dimension, ServerName};
use domain::plan::{PerDimension, Plan};
use domain::ports::{Hook, Size};
use domain::series::Step;
use domain::spread::Spread;
use jiff::Timestamp;
use rollout::driver::{LoadWatch, World};
use rollout::gates::Gate;

use crate::cli::Failed;
use crate::pipeline::{History, Prepared};
use crate::registry;

/// The updater has a time limit of its own; this one is for an updater that lost its own.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// A server without a gate has this long to be taken back by the load balancer.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(300);

/// What warms up for at least so long gets its traffic in [`WARMUP_STEPS`] equal steps.
const STEPPED_WARMUP: Duration = Duration::from_secs(20);

/// A quarter of its weight at a time.
const WARMUP_STEPS: u32 = 4;

/// A failed server is tried again by itself so many times.
const RETRIES: u32 = 1;

/// Surge may take this many times its lead, and the time of its gates, before the rollout holds.
const SURGE_PATIENCE: f64 = 3.0;

/// So many newest samples in a row above the band make a hold: one alone is noise at any level
/// of the band that is not certainty.
pub const BAND_BREACHES: u32 = 2;

/// A field of the fleet that `apply` cannot do without.
#[derive(Debug, thiserror::Error)]
#[error("fleet {fleet}: `apply` needs `spec.{field}`; for instance {example}")]
struct Missing {
    fleet: String,
    field: &'static str,
    example: &'static str,
}

/// The adapters of a rollout. Nothing is asked yet.
pub fn world(
    prepared: &Prepared,
    histories: &PerDimension<History>,
    plan_buys: bool,
) -> Result<World, Failed> {
    let fleet = &prepared.fleet;
    let missing =
        |field, example| Failed::data(Missing { fleet: fleet.name.to_string(), field, example });
    let traffic = fleet.traffic.as_ref().ok_or_else(|| {
        missing(
            "traffic",
            "traffic: { haproxy: { socket: /run/haproxy/admin.sock, backend: web } }",
        )
    })?;
    let update = fleet.update.as_ref().ok_or_else(|| {
        missing("update", "update: { exec: { command: [./update, \"{server}\", \"{version}\"] } }")
    })?;
    let here = &prepared.fleet_here;
    let provisioner = match &fleet.provisioner {
        Some(entry) => Some(registry::provisioner(entry, here).map_err(Failed::data)?),
        None if plan_buys => {
            let example = "provisioner: { process: { command: [./server, \"{port}\"] } }";
            return Err(missing("surge.provisioner", example));
        }
        None => None,
    };
    Ok(World {
        clock: here.clock.clone(),
        traffic: registry::traffic(traffic, here).map_err(Failed::data)?,
        provisioner,
        updater: registry::updater(update, here).map_err(Failed::data)?,
        gates: gates(prepared)?,
        load: watches(prepared, histories),
        hooks: hooks(prepared)?,
        size: size(prepared)?,
        shares: shares(fleet),
    })
}

/// What each server carries beside the others: the mean over the dimensions of its share of what the
/// largest carries.
fn shares(fleet: &Fleet) -> BTreeMap<ServerName, f64> {
    let largest = |dimension: &Dimension| {
        let all = fleet.servers.iter().filter_map(|server| server.capacity.get(dimension));
        all.copied().fold(0.0, f64::max)
    };
    let share = |server: &FleetServer| {
        let parts = server.capacity.iter().map(|(dimension, amount)| amount / largest(dimension));
        let share = parts.clone().sum::<f64>() / parts.count() as f64;
        (share > 0.0 && share < 1.0).then(|| (server.name.clone(), share))
    };
    fleet.servers.iter().filter_map(share).collect()
}

fn gates(prepared: &Prepared) -> Result<Vec<Gate>, Failed> {
    let all = &prepared.rollout.gates;
    let gate = |(index, gate): (usize, &domain::config::Gate)| {
        let health = registry::health(&gate.adapter, &prepared.rollout_here);
        Ok(Gate {
            name: gate_name(all, index),
            health: health.map_err(Failed::data)?,
            every: gate.every,
            successes: gate.successes,
            failures: gate.failures,
            timeout: gate.timeout,
        })
    };
    all.iter().enumerate().map(gate).collect()
}

/// The name of a gate in messages and in the journal: its adapter, with a number from the second
/// one of that adapter on.
fn gate_name(all: &[domain::config::Gate], index: usize) -> String {
    let name = &all[index].adapter.adapter;
    match all[..index].iter().filter(|gate| gate.adapter.adapter == *name).count() {
        0 => name.clone(),
        before => format!("{name}/{}", before + 1),
    }
}

fn hooks(prepared: &Prepared) -> Result<BTreeMap<HookPoint, Arc<dyn Hook>>, Failed> {
    let hook = |hook: &domain::config::Hook| {
        let built = registry::hook(&hook.adapter, &prepared.rollout_here);
        Ok((hook.point, built.map_err(Failed::data)?))
    };
    prepared.rollout.hooks.iter().map(hook).collect()
}

fn size(prepared: &Prepared) -> Result<Option<Arc<dyn Size>>, Failed> {
    let scaler = prepared.fleet.size.as_ref();
    let built = scaler.map(|scaler| registry::size(&scaler.adapter, &prepared.fleet_here));
    built.transpose().map_err(Failed::data)
}

/// How the newest load is watched.
pub fn watches(prepared: &Prepared, histories: &PerDimension<History>) -> Vec<LoadWatch> {
    let minute = Step::from_seconds(60).expect("a minute is a step");
    let watch = |feed: &crate::pipeline::Feed| {
        let step = histories.get(&feed.dimension).map_or(minute, |h| h.series.step());
        let scale = match feed.measure {
            Measure::Count => 1.0 / step.seconds() as f64,
            _ => 1.0,
        };
        LoadWatch {
            dimension: feed.dimension.clone(),
            source: feed.source.clone(),
            scale,
            delay: feed.delay,
            step: step.duration(),
        }
    };
    prepared.feeds.iter().map(watch).collect()
}

/// What is asked for, frozen: the first event of the journal.
pub fn created(
    prepared: &Prepared,
    histories: &PerDimension<History>,
    plan: &Plan,
    deadline: Timestamp,
) -> Created {
    let (fleet, rollout) = (&prepared.fleet, &prepared.rollout);
    let member = |s: &domain::config::FleetServer| Member {
        name: s.name.clone(),
        zone: s.zone.clone(),
        address: s.address.clone(),
    };
    let gates = rollout.gates.iter().map(|g| g.timeout).max();
    let verify = gates.unwrap_or(VERIFY_TIMEOUT);
    let lead = fleet.offers.iter().map(|o| o.longest_lead()).max().unwrap_or_default();
    let (warmup, warmup_in) = (fleet.durations.warmup, &fleet.durations.warmup_in);
    let longest_warmup = fleet.durations.longest_warmup();
    let warmup_seconds = |warmup: &Spread| warmup.quantile_seconds(rollout.plan_at.get());
    let stale = prepared.feeds.iter().map(|feed| {
        let step = histories.get(&feed.dimension).map_or(60, |h| h.series.step().seconds());
        feed.delay.as_secs_f64() + step as f64 * f64::from(feed.stale_after + 1)
    });
    Created {
        format: FORMAT,
        name: rollout.name.to_string(),
        spec: prepared.config.clone(),
        fleet: fleet.name.clone(),
        target: rollout.target.clone(),
        servers: fleet.servers.iter().filter(|server| !server.own).map(member).collect(),
        before: BTreeMap::new(),
        learned: prepared.learned.clone(),
        deadline,
        risk: plan.risk.target,
        policy: Policy {
            drain_timeout_seconds: fleet.drain.timeout.as_secs_f64(),
            drain_on_timeout: fleet.drain.on_timeout,
            update_timeout_seconds: UPDATE_TIMEOUT.as_secs_f64(),
            verify_timeout_seconds: verify.as_secs_f64(),
            warmup_seconds: warmup_seconds(&warmup),
            warmup_seconds_in: warmup_in.iter().map(|(h, w)| (*h, warmup_seconds(w))).collect(),
            warmup_steps: if longest_warmup < STEPPED_WARMUP { 1 } else { WARMUP_STEPS },
            surge_timeout_seconds: lead.as_secs_f64() * SURGE_PATIENCE
                + verify.as_secs_f64()
                + longest_warmup.as_secs_f64(),
            canary_watch_seconds: rollout.canary.watch.as_secs_f64(),
            stabilisation_seconds: rollout.stabilisation.as_secs_f64(),
            degrade: true,
            retries: RETRIES,
            failure_budget: rollout.failure_budget,
            on_failure: rollout.on_failure,
            reversible: rollout.reversible,
            hold: Some(HoldLimit {
                max_seconds: rollout.hold.max.duration().as_secs_f64(),
                then: rollout.hold.then,
            }),
            approval: rollout
                .approval
                .as_ref()
                .map(|by| ApprovalRule { by: by.clone(), budget: rollout.budget }),
            hooks: rollout.hooks.iter().map(hook_limit).collect(),
            size: fleet.size.as_ref().map(|scaler| SizeRule { suspend: scaler.suspend.clone() }),
            band_breaches: BAND_BREACHES,
            stale_after_seconds: stale.fold(60.0, |a, b| if b > a { b } else { a }),
        },
    }
}

fn hook_limit(hook: &domain::config::Hook) -> HookLimit {
    HookLimit { hook: hook.point, timeout_seconds: hook.timeout.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use domain::ports::Clock;
    use sim::SimClock;

    use super::*;

    #[test]
    fn servers_are_compared_by_what_they_carry() {
        let text = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers:
    static:
      servers:
        - { name: big, capacity: { requests: 200, cpu: 4 } }
        - { name: half, capacity: { requests: 100, cpu: 2 } }
        - { name: odd, capacity: { requests: 200, cpu: 2 } }
  capacity: { requests: 200, cpu: 4 }
  load: { requests: { csv: { path: load.csv } }, cpu: { csv: { path: cpu.csv } } }
  durations: { drain: 1m, update: 5m }
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: { name: kernel }\nspec:
  fleets: [web]
  target: { version: \"2\" }
  deadline: 3h\n";
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at("2026-03-08T12:00:00Z".parse().unwrap()));
        let part = Prepared::of_text(text, &clock);
        let shares = shares(&part.fleet);
        let share = |name: &str| shares.get(&ServerName::new(name).unwrap()).copied();
        assert_eq!([share("big"), share("half"), share("odd")], [None, Some(0.5), Some(0.75)]);
    }
}
