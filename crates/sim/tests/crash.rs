//! The driver is stopped at every crossing between it and the world: before and after every
//! journal write and every call. A new driver then finishes, and everything is as it should be.

mod support;

use domain::event::Outcome;
use domain::journal::verify;
use rollout::driver::Ended;
use sim::{Fuse, Settings};
use support::{Stage, new};

/// What has to be true after every rollout that ended well, however often its driver died.
fn judge(stage: &Stage, context: &str) {
    let facts = stage.world.facts();
    assert!(stage.world.not_back(&new()).is_empty(), "{context}: left out or old");
    assert!(stage.world.surge_running().is_empty(), "{context}: surge left running");
    assert!(facts.purchases.values().all(|n| *n == 1), "{context}: bought twice: {facts:?}");
    assert_eq!(facts.purchases.len(), 2, "{context}: {facts:?}");
    assert_eq!(facts.updates.len(), 6, "{context}: {facts:?}");
    assert!(facts.updates.values().all(|n| *n == 1), "{context}: updated twice: {facts:?}");
    assert!(facts.updated_under_load.is_empty(), "{context}: {facts:?}");
    assert!(facts.most_out <= 2, "{context}: {facts:?}");
    let records = stage.records();
    verify(&records).unwrap_or_else(|e| panic!("{context}: {e}"));
    for record in &records[1..] {
        if let Some(cause) = record.cause {
            assert!(cause < record.seq, "{context}: {} is its own cause", record.seq);
        }
    }
}

#[test]
fn an_undisturbed_rollout_ends_well() {
    let mut stage = Stage::new(Settings::default());
    let ended = stage.drive(&Fuse::never());
    assert_eq!(ended, Some(Ended::Finished(Outcome::Done)), "{:#?}", stage.kinds());
    judge(&stage, "undisturbed");
}

#[test]
fn the_driver_may_die_at_every_crossing() {
    let mut stage = Stage::new(Settings::default());
    let counter = Fuse::never();
    stage.drive(&counter);
    let crossings = counter.crossings();
    assert!(crossings > 500, "only {crossings} crossings: the test has lost its eyes");
    for crossing in 1..=crossings {
        let mut stage = Stage::new(Settings::default());
        assert_eq!(stage.drive(&Fuse::at(crossing)), None, "crossing {crossing}");
        let ended = stage.drive(&Fuse::never());
        assert_eq!(ended, Some(Ended::Finished(Outcome::Done)), "crossing {crossing}");
        judge(&stage, &format!("stopped at crossing {crossing}"));
    }
}

#[test]
fn the_driver_may_die_again_and_again() {
    for pace in [7, 23, 61, 150] {
        let mut stage = Stage::new(Settings::default());
        let mut lives = 0;
        let ended = loop {
            lives += 1;
            assert!(lives < 400, "no end in sight with a death every {pace} crossings");
            let pace = if lives < 40 { pace } else { pace + lives };
            if let Some(ended) = stage.drive(&Fuse::at(pace)) {
                break ended;
            }
        };
        assert_eq!(ended, Ended::Finished(Outcome::Done));
        judge(&stage, &format!("{lives} lives"));
    }
}
