//! Metrics that vanish in the middle of a rollout: it goes on from what was last known, then from
//! surge alone, then not at all, and says each step.

mod support;

use domain::event::{Event, HoldReason, Outcome, Rung};
use rollout::driver::Ended;
use sim::{Fuse, Settings};
use support::{Hands, Stage};

/// Load is seen until 300 s, and again from `back` on.
fn play(blind: &[Rung], surge: u32, back: u64) -> (Stage, Ended) {
    let mut stage = Stage::under(Settings::default(), |timetable, policy| {
        policy.degrade = true;
        (timetable.blind, timetable.surge.1) = (blind.to_vec(), surge);
    });
    stage.later(300, |h| h.world.set_load(|_| f64::NAN));
    stage.later(back, |h| h.world.set_load(|_| 100.0));
    let ended = stage.drive(&Fuse::at(200_000)).expect("the story ends");
    (stage, ended)
}

/// The rungs in their order, and how many batches were opened on each.
fn rungs(stage: &Hands) -> Vec<(Rung, usize)> {
    let mut list = vec![(Rung::Live, 0)];
    for record in stage.records() {
        match record.event().unwrap() {
            Event::Degraded { rung, .. } => list.push((rung, 0)),
            Event::BatchOpened { look, .. } => {
                let (rung, count) = list.last_mut().unwrap();
                assert_eq!(look.rung, *rung, "the batch says what it stands on");
                *count += 1;
            }
            _ => {}
        }
    }
    list
}

fn holds(stage: &Hands) -> Vec<HoldReason> {
    let events = stage.records().into_iter().map(|record| record.event().unwrap());
    let hold = |event| match event {
        Event::Held { hold, .. } => Some(hold),
        _ => None,
    };
    events.filter_map(hold).collect()
}

const NEVER: u64 = 1_000_000;

#[test]
fn without_metrics_it_goes_on_from_the_last_forecast() {
    let (stage, ended) = play(&[], 2, NEVER);
    assert_eq!(ended, Ended::Finished(Outcome::Done));
    assert_eq!(rungs(&stage), [(Rung::Live, 1), (Rung::LastForecast, 2)]);
    assert!(holds(&stage).is_empty(), "{:?}", holds(&stage));
}

#[test]
fn metrics_that_come_back_are_used_again() {
    let (stage, ended) = play(&[], 2, 1000);
    assert_eq!(ended, Ended::Finished(Outcome::Done));
    assert_eq!(rungs(&stage), [(Rung::Live, 1), (Rung::LastForecast, 1), (Rung::Live, 1)]);
}

#[test]
fn without_any_forecast_it_goes_on_where_surge_replaces_what_is_out() {
    let (stage, ended) = play(&[Rung::LastForecast], 2, NEVER);
    assert_eq!(ended, Ended::Finished(Outcome::Done));
    let expected = [(Rung::Live, 1), (Rung::LastForecast, 0), (Rung::StaticSurge, 2)];
    assert_eq!(rungs(&stage), expected);
}

#[test]
fn without_enough_surge_either_it_refuses_until_metrics_are_back() {
    let blind = [Rung::LastForecast, Rung::StaticSurge, Rung::Refuse];
    let (stage, ended) = play(&blind, 1, 2400);
    assert_eq!(ended, Ended::Finished(Outcome::Done));
    let rungs = rungs(&stage);
    let down =
        [(Rung::Live, 1), (Rung::LastForecast, 0), (Rung::StaticSurge, 0), (Rung::Refuse, 0)];
    assert_eq!(rungs[..4], down, "{rungs:?}");
    assert_eq!(rungs.last(), Some(&(Rung::Live, 2)), "{rungs:?}");
    assert!(holds(&stage).contains(&HoldReason::NoPlan), "{:?}", holds(&stage));
}

#[test]
fn surge_is_bought_where_it_is_what_is_missing() {
    // One instance does not replace two servers; a plan for any load buys a second one.
    let mut stage = Stage::under(Settings::default(), |timetable, policy| {
        policy.degrade = true;
        timetable.blind = vec![Rung::LastForecast];
        timetable.surge.1 = 1;
    });
    stage.timetable.surge.1 = 2;
    stage.later(300, |h| h.world.set_load(|_| f64::NAN));
    assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Finished(Outcome::Done)));
    assert_eq!(stage.world.facts().purchases.len(), 2);
    assert_eq!(rungs(&stage).last(), Some(&(Rung::StaticSurge, 2)), "{:?}", rungs(&stage));
}

#[test]
fn former_releases_held_and_their_rollouts_still_do() {
    let mut stage = Stage::new(Settings::default());
    stage.later(300, |h| h.world.set_load(|_| f64::NAN));
    assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Waiting));
    assert_eq!(holds(&stage), [HoldReason::LoadUnknown]);
}
