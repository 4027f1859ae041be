//! Broken deciders, drivers and adapters: each is found out by the trials, within a stated number
//! of seeds. What no trial can find out would be a hole in them.

#[path = "mutants/adapters.rs"]
mod adapters;
#[path = "mutants/deciders.rs"]
mod deciders;
#[path = "mutants/drivers.rs"]
mod drivers;

use std::sync::Arc;

use sim::trial::{Rig, Telling, run_with};

/// What is broken, and within how many seeds it is found out.
struct Mutant {
    what: &'static str,
    within: u64,
    rig: Rig,
}

fn mutant(what: &'static str, within: u64, change: impl FnOnce(&mut Rig)) -> Mutant {
    let mut rig = Rig::default();
    change(&mut rig);
    Mutant { what, within, rig }
}

#[rustfmt::skip]
fn mutants() -> Vec<Mutant> {
    use adapters::*;
    vec![
        // Deciders.
        mutant("surge is not awaited", 40, |r| r.decide = deciders::surge_is_not_awaited),
        mutant("the warm-up of surge is not awaited", 40, |r| r.decide = deciders::surge_counts_cold),
        mutant("surge is bought for a paused rollout", 600, |r| r.decide = deciders::a_pause_is_ignored),
        mutant("load above its band is ignored", 200, |r| r.decide = deciders::the_band_is_ignored),
        mutant("old samples count as new", 400, |r| r.decide = deciders::old_load_counts_as_new),
        mutant("a batch opens before its time", 20, |r| r.decide = deciders::time_is_ignored),
        mutant("a plan that is late is performed", 60, |r| r.decide = deciders::lateness_is_ignored),
        mutant("servers that others took out are ignored", 200, |r| r.decide = deciders::outages_are_ignored),
        mutant("the risk account is always full", 20, |r| r.decide = deciders::the_account_is_full),
        mutant("an abort is ignored", 400, |r| r.decide = deciders::an_abort_is_ignored),
        mutant("surge is released before the fleet is stable", 20, |r| r.decide = deciders::stability_is_ignored),
        mutant("the watch after the last batch is left out", 20, |r| r.decide = deciders::no_watch),
        mutant("surge is never released", 20, |r| r.decide = deciders::surge_stays),
        mutant("gates are not awaited", 20, |r| r.decide = deciders::gates_are_ignored),
        mutant("failed servers are tried again for ever", 100, |r| r.decide = deciders::failure_is_ignored),
        mutant("it never holds", 400, |r| r.decide = deciders::no_holds),
        mutant("a roll-back is not begun", 200, |r| r.decide = deciders::a_roll_back_is_ignored),
        mutant("gates are not awaited on the way back", 200, |r| r.decide = deciders::the_way_back_is_not_proven),
        mutant("what failed is not turned round", 400, |r| r.decide = deciders::failures_stay),
        mutant("the auto-scaler is never put back", 40, |r| r.decide = deciders::the_size_stays),
        mutant("an auto-scaler that was set free is ignored", 600, |r| r.decide = deciders::freedom_is_ignored),
        mutant("batches are never closed", 20, |r| r.decide = deciders::batches_stay_open),
        // Drivers, by what they write.
        mutant("an update is not written down before it begins", 20, |r| r.journal = |p| Arc::new(drivers::Forgetful(p))),
        mutant("events are lost", 20, |r| r.journal = |p| Arc::new(drivers::Lossy(p))),
        mutant("causes are not written down", 20, |r| r.journal = |p| Arc::new(drivers::Causeless(p))),
        mutant("a batch states less risk than it spends", 20, |r| r.journal = |p| Arc::new(drivers::Understating(p))),
        // Planners.
        mutant("a revision takes out twice as many", 100, |r| r.planner = |p| Arc::new(drivers::Greedy(p))),
        mutant("a roll-back takes out twice as many", 400, |r| r.planner = |p| Arc::new(drivers::Hurried(p))),
        mutant("a revision forgets the surge that runs", 200, |r| r.planner = |p| Arc::new(drivers::Oblivious(p))),
        // Adapters.
        mutant("a drain is done before it is", 20, |r| r.traffic = |p| Arc::new(Hasty(p))),
        mutant("the load balancer ignores drains", 20, |r| r.balancer = |p| Arc::new(Deaf(p))),
        mutant("servers are not admitted again", 20, |r| r.balancer = |p| Arc::new(Closed(p))),
        mutant("surge is not removed from the load balancer", 20, |r| r.balancer = |p| Arc::new(Clinging(p))),
        mutant("what is down is told as in service", 200, |r| r.traffic = |p| Arc::new(Rosy(p))),
        mutant("the seller ignores the key", 20, |r| r.seller = |p| Arc::new(Keyless::new(p))),
        mutant("the seller ends nothing", 20, |r| r.seller = |p| Arc::new(Endless(p))),
        mutant("neither losses nor outages are told", 200, |r| {
            r.provisioner = |p| Arc::new(Concealing(p));
            r.traffic = |p| Arc::new(Rosy(p));
        }),
        mutant("lost drains are told as drains", 400, |r| r.traffic = |p| Arc::new(Remembering::new(p))),
        mutant("the updater ignores the key", 400, |r| r.worker = |p| Arc::new(Repeating::new(p))),
        mutant("a roll-back brings the target", 200, |r| r.updater = |p| Arc::new(Onward(p))),
        mutant("what updated servers run is not looked at", 400, |r| r.updater = |p| Arc::new(Forgetting(p))),
        mutant("an update is done before it is", 20, |r| r.updater = |p| Arc::new(Boasting(p))),
        mutant("what runs hooks ignores the key", 200, |r| r.runner = |p| Arc::new(Anew::new(p))),
        mutant("an auto-scaler that others changed is set all the same", 600, |r| {
            r.decide = deciders::nobody_else_changed_the_size;
            r.scaler = |p| Arc::new(Rash(p));
        }),
        mutant("the auto-scaler says that it is put back, and is not", 40, |r| r.scaler = |p| Arc::new(Stuck(p))),
        mutant("an auto-scaler is taken without looking what others do", 400, |r| r.scaler = |p| Arc::new(Rash(p))),
        mutant("a gate always passes", 20, |r| r.health = |p| Arc::new(Blind(p))),
    ]
}

#[test]
fn every_mutant_is_found_out() {
    let mutants = mutants();
    assert!(mutants.len() >= 20);
    let survivors: Vec<&str> = std::thread::scope(|scope| {
        // Two at a time: what needs many seeds keeps nobody else waiting.
        let halves = [0, 1].map(|half| {
            let own = mutants.iter().skip(half).step_by(2);
            scope.spawn(move || own.filter(|mutant| survives(mutant)).map(|m| m.what).collect())
        });
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap_or_else(|_| vec!["a panic"]))
            .collect()
    });
    assert!(survivors.is_empty(), "not found out: {survivors:#?}");
}

fn survives(mutant: &Mutant) -> bool {
    let caught = (0..mutant.within).find_map(|seed| {
        let report = run_with(seed, &mutant.rig, Telling::Silent);
        report.accusations.first().map(|text| (seed, text.clone()))
    });
    match &caught {
        Some((seed, text)) => println!("{} — seed {seed}: {text}", mutant.what),
        None => println!("{} — survives {} seeds", mutant.what, mutant.within),
    }
    caught.is_none()
}
