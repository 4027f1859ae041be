//! What has to be true when a rollout waits, and when it has ended.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::{Event, HoldReason, HookPoint, Outcome};
use domain::journal::{Record, verify};
use domain::name::ServerName;
use rollout::State;
use rollout::settings::LEAST_RISK;
use rollout::state::{OrderStage, Stage, SurgeStage};

use super::scene::{Scene, old, target};
use crate::faults::{Dice, Fault};
use crate::world::Why;

/// Whether the reason that a rollout waits for is stated, and is so.
pub(super) fn waits_for_a_reason(scene: &Scene, dice: &Dice) {
    let told = scene.witness.with_state(|state| {
        let Some(hold) = &state.hold else {
            return state.paused.then_some(()).ok_or_else(|| "it waits without a hold".to_owned());
        };
        let is_so = holds(scene, dice, state, hold.reason);
        is_so.then_some(()).ok_or_else(|| {
            format!("it holds for {:?}, which is not so: {}", hold.reason, hold.detail)
        })
    });
    if let Some(Err(text)) = told {
        scene.witness.accuse(text);
    }
}

fn holds(scene: &Scene, dice: &Dice, state: &State, reason: HoldReason) -> bool {
    let missing = scene.world.missing();
    let serving = scene.world.surge_serving();
    let surge = || state.orders.values().flat_map(|o| &o.instances);
    match reason {
        HoldReason::ServerFailed => !state.failed().is_empty(),
        HoldReason::DrainTimeout => {
            let busy = scene.world.busy_at(scene.agenda.true_now() - super::UNSEEN);
            let server = |s: &&rollout::state::Server| {
                matches!(s.stage, Stage::Draining | Stage::Cutting | Stage::Failed(_))
            };
            let fleet = state.servers.values().filter(server).map(|s| &s.member.name);
            let leaving =
                surge().filter(|i| matches!(i.stage, SurgeStage::Draining | SurgeStage::Cutting));
            fleet.chain(leaving.map(|i| &i.running.name)).any(|name| busy.contains(name))
        }
        HoldReason::SurgeMissing => state.orders.values().any(|order| {
            let wanted = matches!(order.stage, OrderStage::Ordered | OrderStage::Running);
            wanted && order.names.iter().any(|name| !serving.contains(name))
        }),
        HoldReason::LoadLeftBand => {
            let now = scene.agenda.true_now();
            let entry = state.plan.as_ref().and_then(|p| p.timeline_at(&state.created.fleet, now));
            let band = entry.and_then(|e| e.load.values().next());
            band.is_some_and(|band| scene.world.load_now() > band.upper)
        }
        // Nobody freezes anything here.
        HoldReason::LoadUnknown | HoldReason::Frozen => false,
        HoldReason::ForeignOutage => {
            let foreign = missing.iter().any(|m| m.why != Why::Drained);
            let joined = |stage| matches!(stage, SurgeStage::Joined(_));
            let gone = |name: &ServerName| !serving.contains(name);
            foreign || surge().any(|i| joined(i.stage) && gone(&i.running.name))
        }
        HoldReason::OutcomeUnknown => dice.thrown().contains_key(&Fault::Unknown),
        HoldReason::NoPlan => {
            let spent = state.account.left() < LEAST_RISK;
            spent || scene.refused.lock().expect("no panic under the lock").is_some()
        }
        HoldReason::ApprovalNeeded => state.approval_needed().is_some(),
        HoldReason::HookFailed => state.hook_failed().is_some(),
        HoldReason::SizeChanged => loosened(scene, state),
        // A check that cannot tell is a fault, and faults are over when this is asked.
        HoldReason::GateInconclusive => false,
        HoldReason::AdapterFailing => scene.world.is_short_of_stock(),
    }
}

/// Whether somebody else gave the auto-scaler more freedom than the rollout did.
fn loosened(scene: &Scene, state: &State) -> bool {
    let (taken, is) = (state.size.as_ref(), scene.world.size_now());
    taken.zip(is).is_some_and(|(taken, is)| !is.weaker_than(&taken.lent.during).is_empty())
}

/// What has to be true when a rollout has ended.
pub(super) fn ended_well(scene: &Scene, outcome: Outcome) {
    let accuse = |text: String| scene.witness.accuse(text);
    let facts = scene.world.facts();
    let records = scene.witness.records();
    is_whole(&records, &accuse);
    let ordered = names_ordered(&records);
    for (name, count) in &facts.purchases {
        if *count > 1 || !ordered.contains(name) {
            accuse(format!("{name} was bought {count} times, ordered: {}", ordered.contains(name)));
        }
    }
    for name in scene.world.surge_running() {
        accuse(format!("{name} is left running"));
    }
    for name in scene.world.surge_known() {
        accuse(format!("{name} is left at the load balancer"));
    }
    if !facts.updated_under_load.is_empty() {
        accuse(format!("updated under load: {:?}", facts.updated_under_load));
    }
    if !facts.updated_twice.is_empty() {
        accuse(format!("updated twice under one key: {:?}", facts.updated_twice));
    }
    if facts.most_out > scene.fate.batch {
        accuse(format!("{} servers were out at once", facts.most_out));
    }
    for (name, begun) in &facts.updates {
        let asked = records.iter().filter(|r| is_update_of(r, name)).count() as u32;
        let replaced = facts.replaced.get(name).copied().unwrap_or(0);
        if *begun > asked + replaced {
            accuse(format!("{name} was updated {begun} times, {asked} updates were decided"));
        }
    }
    hooks_ran(scene, outcome, &records);
    if let (Some(is), Some(was)) = (scene.world.size_now(), scene.world.size_without_us())
        && is != was
    {
        accuse(format!("the auto-scaler is left as {is:?}, and without the rollout it is {was:?}"));
    }
    let failed = scene.witness.with_state(|state| {
        state.failed().iter().map(|s| s.member.name.clone()).collect::<BTreeSet<_>>()
    });
    let failed = failed.unwrap_or_default();
    for missing in scene.world.missing() {
        if missing.why == Why::Drained && !failed.contains(&missing.server) {
            accuse(format!("{} is left out of service", missing.server));
        }
    }
    let expected = match outcome {
        Outcome::Done => Some(target()),
        Outcome::RolledBack => Some(old()),
        Outcome::Incomplete | Outcome::Aborted => None,
    };
    let looked = scene.witness.watched().unwrap_or(scene.agenda.true_now());
    for (name, version) in scene.world.versions() {
        // What became another machine after the last look cannot have been seen.
        let unseen = scene.world.died(&name).is_some_and(|at| at + super::UNSEEN >= looked);
        let replaced = facts.replaced.contains_key(&name);
        let excused = match outcome {
            Outcome::Done => replaced && unseen,
            _ => replaced || failed.contains(&name),
        };
        if expected.as_ref().is_some_and(|expected| *expected != version) && !excused {
            accuse(format!("it ended as {outcome:?}, and {name} runs {version}"));
        }
    }
}

/// Each run of a hook was decided and happened once; where the rollout was performed to its end, each
/// hook ended well once at each of its points.
fn hooks_ran(scene: &Scene, outcome: Outcome, records: &[Record]) {
    let (mut started, mut ended) = (BTreeMap::new(), BTreeMap::<HookPoint, usize>::new());
    for event in records.iter().filter_map(|record| record.event().ok()) {
        match event {
            Event::HookStarted { key, hook, .. } => drop(started.insert(key, hook)),
            Event::HookEnded { key, .. } => {
                let hook = started.get(&key).copied().unwrap_or(HookPoint::Before);
                *ended.entry(hook).or_default() += 1;
            }
            _ => {}
        }
    }
    let mut ran = BTreeSet::new();
    for order in scene.world.facts().hooks {
        if !ran.insert(order.key.clone()) {
            scene.witness.accuse(format!("{} ran twice", order.key));
        }
        if !started.contains_key(&order.key) {
            scene.witness.accuse(format!("{} ran and was not decided", order.key));
        }
    }
    if matches!(outcome, Outcome::Aborted | Outcome::RolledBack) {
        return;
    }
    let closed = records.iter().filter(|record| record.kind == "BatchClosed").count();
    for limit in &scene.fate.policy.hooks {
        let times = if limit.hook == HookPoint::AfterBatch { closed } else { 1 };
        let well = ended.get(&limit.hook).copied().unwrap_or(0);
        if well != times {
            let hook = limit.hook;
            scene.witness.accuse(format!("the hook {hook} ended well {well} times of {times}"));
        }
    }
}

fn is_whole(records: &[Record], accuse: &impl Fn(String)) {
    if let Err(broken) = verify(records) {
        accuse(format!("the journal does not verify: {broken}"));
    }
    for record in records {
        let asked_for = record.actor.0.starts_with("operator:");
        match record.cause {
            Some(cause) if cause >= 1 && cause < record.seq => {}
            None if asked_for => {}
            cause => {
                accuse(format!("record {} {} follows from {cause:?}", record.seq, record.kind))
            }
        }
    }
}

fn names_ordered(records: &[Record]) -> BTreeSet<ServerName> {
    let events = records.iter().filter_map(|record| record.event().ok());
    let names = events.filter_map(|event| match event {
        Event::SurgeOrdered { names, .. } => Some(names),
        _ => None,
    });
    names.flatten().collect()
}

fn is_update_of(record: &Record, name: &ServerName) -> bool {
    record.kind == "UpdateStarted" && record.payload["server"] == name.as_str()
}
