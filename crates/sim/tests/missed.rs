//! Surge that does not come: another offer takes its place, nothing is bought twice, and what was
//! given up is not left running.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::event::{Event, HoldReason, Outcome};
use domain::journal::{Entry, Record};
use domain::name::{Key, OfferName, ServerName};
use domain::plan::Replacement;
use domain::spread::Spread;
use rollout::driver::Ended;
use sim::{Fuse, Settings, Sold};
use support::{Hands, Stage, all, only};

fn offer(name: &str) -> OfferName {
    OfferName::new(name).unwrap()
}

fn sold_after(seconds: u64) -> Sold {
    let lead = Spread::exactly(Duration::from_secs(seconds));
    Sold { lead, interruption: Default::default() }
}

fn settings(lead_seconds: u64) -> Settings {
    let offers =
        [(offer("spare"), sold_after(lead_seconds)), (offer("sure"), sold_after(120))].into();
    Settings { offers, ..Settings::default() }
}

fn instead() -> Replacement {
    Replacement { offer: offer("sure"), ready_seconds: 240 }
}

/// Two instances of `spare` are planned, which come after so long; `sure` can take their place.
fn stage(lead_seconds: u64) -> Stage {
    Stage::with(settings(lead_seconds), |timetable| timetable.on_loss = Some(instead()))
}

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

fn ordered(hands: &Hands) -> Vec<(String, usize)> {
    let orders = all(hands, "SurgeOrdered").into_iter().map(|r| r.event().unwrap());
    let order = |event| match event {
        Event::SurgeOrdered { offer, names, .. } => (offer.to_string(), names.len()),
        other => panic!("{other:?}"),
    };
    orders.map(order).collect()
}

/// How many of each offer were really hired.
fn hired(hands: &Hands) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for hired in &hands.world.facts().hired {
        *count.entry(hired.offer.to_string()).or_default() += 1;
    }
    count
}

fn holds(hands: &Hands) -> Vec<HoldReason> {
    let events = all(hands, "Held").into_iter().map(|r| r.event().unwrap());
    let hold = |event| match event {
        Event::Held { hold, .. } => hold,
        other => panic!("{other:?}"),
    };
    events.map(hold).collect()
}

/// What has to be so whenever surge was missed and the rollout has ended.
fn judge(hands: &Hands, context: &str) {
    assert!(hands.world.not_back(&support::new()).is_empty(), "{context}");
    assert!(hands.world.surge_running().is_empty(), "{context}: something is left running");
    let facts = hands.world.facts();
    assert!(facts.purchases.values().all(|times| *times == 1), "{context}: {:?}", facts.purchases);
    let serving = |record: &Record| match record.event().unwrap() {
        Event::BatchOpened { look, .. } => look.surge,
        other => panic!("{other:?}"),
    };
    let opened: Vec<_> = all(hands, "BatchOpened").iter().map(serving).collect();
    assert!(opened.iter().all(|surge| *surge == 2), "{context}: {opened:?} serve");
}

#[test]
fn what_is_sold_out_comes_from_another_offer_at_once() {
    let mut stage = stage(120);
    stage.world.limit_stock(&offer("spare"), 1);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    judge(&stage, "sold out");
    assert_eq!(ordered(&stage), [("spare".into(), 2), ("sure".into(), 1)]);
    assert_eq!(hired(&stage), [("spare".into(), 1), ("sure".into(), 1)].into());
    let (first, missed) = (all(&stage, "SurgeOrdered").remove(0), only(&stage, "SurgeMissed"));
    assert!(missed.at.duration_since(first.at).as_secs() <= 20, "it is not waited for");
    let revised = all(&stage, "PlanAdopted").remove(1);
    assert_eq!(revised.at, missed.at);
    assert_eq!(
        revised.reason,
        "1 × spare did not come: simulated world: buying surge: offer \
                                spare is sold out"
    );
    assert_eq!(holds(&stage), [], "nobody has to look");
}

#[test]
fn what_is_sold_out_while_batches_go_out_comes_from_another_offer() {
    let mut stage = Stage::with(settings(120), |_| {});
    stage.later(460, |h| {
        h.world.limit_stock(&offer("spare"), 0);
        h.world.lose(&h.world.surge_running()[0]);
    });
    // The plan in force foresees nothing in its place; the one that is made then wants another of
    // the same, and the one after that cannot.
    stage.timetable.on_loss = Some(instead());
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    judge(&stage, "sold out later");
    assert_eq!(ordered(&stage), [("spare".into(), 2), ("spare".into(), 1), ("sure".into(), 1)]);
    assert_eq!(hired(&stage), [("spare".into(), 2), ("sure".into(), 1)].into());
}

#[test]
fn the_driver_may_die_anywhere_while_another_offer_takes_the_place() {
    let ready = || {
        let stage = stage(120);
        stage.world.limit_stock(&offer("spare"), 1);
        stage
    };
    let counter = Fuse::never();
    ready().drive(&counter);
    for crossing in 1..=counter.crossings() {
        let context = format!("stopped at crossing {crossing}");
        let mut stage = ready();
        assert_eq!(stage.drive(&Fuse::at(crossing)), None, "{context}");
        let ended = stage.drive(&Fuse::never());
        assert_eq!(ended, Some(Ended::Finished(Outcome::Done)), "{context}");
        judge(&stage, &context);
    }
}

#[test]
fn what_does_not_come_in_time_is_given_up_as_a_whole() {
    let mut stage = stage(100_000);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    judge(&stage, "late");
    let (ordered_first, missed) =
        (all(&stage, "SurgeOrdered").remove(0), only(&stage, "SurgeMissed"));
    // The surge time-out of the stage, to the tick.
    let waited = missed.at.duration_since(ordered_first.at).as_secs();
    assert!((900..=920).contains(&waited), "{waited} s");
    assert_eq!(ordered(&stage), [("spare".into(), 2), ("sure".into(), 2)]);
    assert_eq!(holds(&stage), [], "nobody has to look");
}

#[test]
fn what_is_never_well_is_given_up_and_ended() {
    let mut stage = stage(120);
    stage.world.make_unwell(1);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    judge(&stage, "never well");
    assert_eq!(ordered(&stage), [("spare".into(), 2), ("sure".into(), 1)]);
    let missed = only(&stage, "SurgeMissed");
    let ended = stage.world.facts().hired.iter().filter_map(|h| h.ended_at).min().unwrap();
    assert!(ended.duration_since(missed.at).as_secs() <= 20, "it costs nothing any more");
}

#[test]
fn where_nothing_else_is_on_sale_the_offer_is_asked_again_after_its_rest() {
    let mut stage = Stage::new(Settings::default());
    stage.world.limit_stock(&offer("spare"), 1);
    stage.later(300, |h| h.world.restock(&offer("spare")));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    judge(&stage, "again");
    assert_eq!(holds(&stage), [HoldReason::NoPlan]);
    let missed = only(&stage, "SurgeMissed");
    let again = all(&stage, "PlanAdopted").remove(1);
    let waited = again.at.duration_since(missed.at).as_secs();
    assert!((900..=960).contains(&waited), "{waited} s");
}

#[test]
fn what_has_come_cannot_be_missed() {
    let mut stage = stage(120);
    play(&mut stage);
    let records = stage.records();
    let joined = records.iter().position(|r| r.kind == "SurgeJoined").unwrap();
    let Event::SurgeOrdered { key, names, .. } =
        records.iter().find(|r| r.kind == "SurgeOrdered").unwrap().event().unwrap()
    else {
        panic!("no order")
    };
    let refused = |names: Vec<_>, key| {
        let mut forged = records[..=joined].to_vec();
        let last = forged.last().unwrap();
        let event = Event::SurgeMissed { key, names, detail: "forged".into() };
        let (at, actor, reason) = (last.at, last.actor.clone(), "forged".into());
        let entry = Entry { at, actor, cause: Some(1), reason, inputs: None, event };
        let next = Record::chain(&stage.id, &last.head(), entry);
        forged.push(next);
        rollout::machine::fold(&forged).is_err()
    };
    let joined = names.iter().find(|n| records[joined].payload["server"] == n.as_str()).unwrap();
    assert!(refused(vec![joined.clone()], key.clone()), "it serves");
    assert!(refused(Vec::new(), key.clone()), "nobody");
    assert!(refused(vec![ServerName::new("web-1").unwrap()], key.clone()), "not of the order");
    assert!(refused(names, Key::of(&["other"])), "no such order");
}
