//! Rolling back: what is out turns round, what was done goes back in batches, and every server runs
//! what it ran before.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::event::{AfterHold, Event, HoldLimit, HoldReason, OnFailure, Outcome};
use domain::journal::{Actor, Entry, Record, verify};
use domain::name::{ServerName, Version};
use rollout::asked::revision;
use rollout::driver::Ended;
use rollout::machine::{FoldError, fold};
use rollout::state::{Phase, Way};
use sim::{Fuse, Settings};
use support::{Hands, Stage, all, new, old, only};

const BACK: Option<Ended> = Some(Ended::Finished(Outcome::RolledBack));

fn name(server: &str) -> ServerName {
    ServerName::new(server).unwrap()
}

/// Servers that never get well at the target.
fn bad(servers: &[&str]) -> Settings {
    let bad = servers.iter().map(|server| (name(server), new())).collect();
    Settings { bad, ..Settings::default() }
}

fn by_itself(settings: Settings) -> Stage {
    Stage::under(settings, |_, policy| policy.on_failure = OnFailure::Rollback)
}

/// A rollout whose plans spend little of the risk, so that enough is left for the way back.
fn plain() -> Stage {
    Stage::with(Settings::default(), |timetable| timetable.target = 0.003)
}

fn ask(hands: &Hands) {
    hands.append(vec![Event::RollbackRequested {}]);
}

fn drive(stage: &mut Stage) -> Option<Ended> {
    stage.drive(&Fuse::at(200_000))
}

/// The first crossing after which an event is in the journal of a roll-back.
fn first_crossing_after(kind: &str, crossings: u64) -> u64 {
    let written = |crossing: u64| {
        let mut stage = by_itself(bad(&["web-3"]));
        stage.drive(&Fuse::at(crossing));
        stage.kinds().iter().any(|k| k == kind)
    };
    let (mut before, mut after) = (0, crossings);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if written(middle) { after = middle } else { before = middle }
    }
    after
}

/// How often each server was updated.
fn updates(stage: &Hands) -> BTreeMap<String, u32> {
    stage.world.facts().updates.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

/// What has to be true of every rollout that was rolled back, however often its driver died.
fn judge(stage: &Stage, context: &str) {
    let facts = stage.world.facts();
    assert!(stage.world.not_back(&old()).is_empty(), "{context}: left out or new");
    assert!(stage.world.surge_running().is_empty(), "{context}: surge left running");
    assert!(facts.purchases.values().all(|n| *n == 1), "{context}: bought twice: {facts:?}");
    assert!(facts.updated_twice.is_empty(), "{context}: {facts:?}");
    assert!(facts.updated_under_load.is_empty(), "{context}: {facts:?}");
    assert!(facts.most_out <= 2, "{context}: {facts:?}");
    let records = stage.records();
    verify(&records).unwrap_or_else(|e| panic!("{context}: {e}"));
    let asked = records.iter().position(|r| r.kind == "RollbackRequested").unwrap();
    for record in &records[asked..] {
        if let Event::UpdateStarted { version, .. } = record.event().unwrap() {
            assert_eq!(version, Some(old()), "{context}: {}", record.seq);
        }
    }
}

#[test]
fn a_gate_that_is_red_in_the_second_batch_rolls_everything_back() {
    let mut stage = by_itself(bad(&["web-3"]));
    assert_eq!(drive(&mut stage), BACK, "{:#?}", stage.kinds());
    judge(&stage, "undisturbed");
    let twice = ["web-1", "web-2", "web-3", "web-4"].map(|server| (server.to_owned(), 2));
    assert_eq!(updates(&stage), twice.into(), "nobody else was touched");
    let (asked, failed) = (only(&stage, "RollbackRequested"), only(&stage, "ServerFailed"));
    assert_eq!((&asked.actor, asked.cause), (&Actor::decider(), Some(failed.seq)));
    assert!(asked.reason.contains("web-3: gate http did not pass"), "{}", asked.reason);
    assert!(all(&stage, "Held").is_empty(), "nobody is asked first");
    // The batch that was out first, then what had been done.
    let plans = all(&stage, "PlanAdopted");
    let Event::PlanAdopted { plan } = plans.last().unwrap().event().unwrap() else { panic!() };
    let servers: Vec<_> = plan.batches.iter().map(|batch| batch.servers.clone()).collect();
    assert_eq!(servers, [vec![name("web-1"), name("web-2")], vec![name("web-4")]]);
    let state = fold(&stage.records()).unwrap().unwrap();
    assert_eq!(state.account.entries().len(), 4, "the roll-back spends the same account");
    assert!(state.account.spent() <= 0.01 * (1.0 + 1e-9));
}

#[test]
fn what_was_replaced_after_its_update_is_brought_back_as_well() {
    let mut stage = plain();
    stage.later(1_300, |h| {
        let well = h.clock_now() + Duration::from_secs(60);
        h.world.replace(&name("web-1"), &Version::new("image").unwrap(), well);
    });
    stage.when("ServerReverted", ask);
    assert_eq!(drive(&mut stage), BACK, "{:#?}", stage.kinds());
    judge(&stage, "replaced");
    assert_eq!(updates(&stage)["web-1"], 2, "there, and back from what it was replaced by");
}

#[test]
fn the_driver_may_die_at_every_crossing_of_a_roll_back() {
    let mut stage = by_itself(bad(&["web-3"]));
    let counter = Fuse::never();
    assert_eq!(stage.drive(&counter), BACK);
    let crossings = counter.crossings();
    // What comes before are the crossings of `crash.rs`.
    let first = first_crossing_after("ServerFailed", crossings) - 1;
    assert!(crossings - first > 250, "only {crossings} crossings: the test has lost its eyes");
    for crossing in first..=crossings {
        let context = format!("stopped at crossing {crossing}");
        let mut stage = by_itself(bad(&["web-3"]));
        assert_eq!(stage.drive(&Fuse::at(crossing)), None, "{context}");
        assert_eq!(stage.drive(&Fuse::never()), BACK, "{context}");
        judge(&stage, &context);
        assert!(updates(&stage).values().all(|count| *count == 2), "{context}");
    }
}

#[test]
fn a_person_may_ask_at_any_moment() {
    let mut whole = plain();
    drive(&mut whole);
    let records = whole.records();
    let seconds =
        |record: &Record| record.at.duration_since(records[0].at).as_secs().unsigned_abs();
    let moments: std::collections::BTreeSet<u64> =
        records.iter().filter(|r| r.kind != "Finished").map(seconds).collect();
    assert!(moments.len() > 20);
    for moment in moments.into_iter().flat_map(|at| [at + 1, at + 21]) {
        let context = format!("after {moment} s");
        let mut stage = plain();
        stage.later(moment, |hands| {
            let state = fold(&hands.records()).unwrap().unwrap();
            if state.may_roll_back().is_ok() {
                ask(hands);
            }
        });
        let ended = drive(&mut stage);
        if all(&stage, "RollbackRequested").is_empty() {
            assert_eq!(ended, Some(Ended::Finished(Outcome::Done)), "{context}");
            continue;
        }
        assert_eq!(ended, BACK, "{context}");
        judge(&stage, &context);
    }
}

#[test]
fn what_has_not_begun_is_over_at_once() {
    let mut stage = plain();
    ask(&stage);
    assert_eq!(drive(&mut stage), BACK);
    assert!(all(&stage, "SurgeOrdered").is_empty() && updates(&stage).is_empty());
}

#[test]
fn a_rollout_that_is_stable_goes_back_as_a_whole_and_buys_again_what_it_needs() {
    let mut stage = plain();
    // In the middle of the watch after the last batch.
    let watch = |hands: &Hands| hands.kinds().iter().any(|kind| kind == "StabilisationStarted");
    for minute in 0..120 {
        stage.later(minute * 60, move |hands| {
            let asked = hands.kinds().iter().any(|kind| kind == "RollbackRequested");
            if watch(hands) && !asked && hands.kinds().iter().all(|kind| kind != "Finished") {
                ask(hands);
            }
        });
    }
    assert_eq!(drive(&mut stage), BACK);
    judge(&stage, "after the last batch");
    assert!(updates(&stage).values().all(|count| *count == 2));
    assert_eq!(updates(&stage).len(), 6);
    let opened = all(&stage, "BatchOpened").len();
    assert_eq!(opened, 6, "three batches forth and three back");
    assert_eq!(all(&stage, "SurgeOrdered").len(), 1, "the surge that runs is enough");
}

#[test]
fn a_hold_that_lasts_too_long_is_rolled_back_where_that_is_asked_for() {
    let mut stage = Stage::under(bad(&["web-3"]), |_, policy| {
        policy.hold = Some(HoldLimit { max_seconds: 1_807.0, then: AfterHold::Rollback });
    });
    assert_eq!(drive(&mut stage), BACK);
    judge(&stage, "overdue");
    let (held, overdue) = (only(&stage, "Held"), only(&stage, "HoldOverdue"));
    let asked = only(&stage, "RollbackRequested");
    assert_eq!((asked.actor, asked.cause), (Actor::decider(), Some(overdue.seq)));
    assert!(held.reason.ends_with("it is rolled back"), "{}", held.reason);
    let Event::HoldOverdue { then, .. } = overdue.event().unwrap() else { panic!() };
    assert_eq!(then, AfterHold::Rollback);
}

#[test]
fn a_server_that_cannot_be_brought_back_holds_and_a_person_tries_again() {
    let mut settings = bad(&["web-3"]);
    settings.bad.push((name("web-4"), old()));
    let mut stage = by_itself(settings);
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    let Event::Held { hold, detail } = all(&stage, "Held").last().unwrap().event().unwrap() else {
        panic!()
    };
    assert_eq!(hold, HoldReason::ServerFailed);
    assert!(detail.starts_with("web-4: "), "{detail}");
    assert_eq!(stage.world.out(), [name("web-4")]);
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(drive(&mut stage), Some(Ended::Waiting), "it is as broken as before");
    stage.append(vec![Event::AbortRequested {}]);
    assert_eq!(drive(&mut stage), Some(Ended::Finished(Outcome::Aborted)));
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn within_the_failure_budget_the_rest_goes_back_all_the_same() {
    let mut settings = bad(&["web-3", "web-4"]);
    settings.bad.push((name("web-4"), old()));
    let mut stage = Stage::under(settings, |_, policy| {
        (policy.on_failure, policy.failure_budget) = (OnFailure::Rollback, 1);
    });
    assert_eq!(drive(&mut stage), BACK);
    assert_eq!(stage.world.not_back(&old()), [name("web-4")]);
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn an_abort_ends_a_roll_back_and_leaves_servers_as_they_are() {
    let mut stage = by_itself(bad(&["web-3"]));
    stage.later(1_500, |hands| {
        let state = fold(&hands.records()).unwrap().unwrap();
        assert_eq!(state.phase, Phase::RollingBack, "the test has lost its moment");
        hands.append(vec![Event::AbortRequested {}]);
    });
    assert_eq!(drive(&mut stage), Some(Ended::Finished(Outcome::Aborted)));
    let runs = |server: &str| {
        let versions: BTreeMap<ServerName, Version> = stage.world.versions().into_iter().collect();
        versions[&name(server)].clone()
    };
    assert_eq!((runs("web-1"), runs("web-6")), (new(), old()));
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn a_freeze_keeps_what_is_in_service_there_and_lets_the_batch_that_is_out_turn_round() {
    let mut stage = by_itself(bad(&["web-3"]));
    stage.later(1_000, |hands| {
        hands.freeze(Event::FreezeRequested { fleet: None, until: None });
    });
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    assert!(stage.world.out().is_empty(), "what was out is back");
    assert_eq!(updates(&stage)["web-3"], 2);
    assert_eq!(updates(&stage)["web-1"], 1, "nothing more goes out");
    stage.freeze(Event::UnfreezeRequested { fleet: None });
    assert_eq!(drive(&mut stage), BACK);
    judge(&stage, "thawed");
}

#[test]
fn a_pause_stands_still_between_batches_and_resume_goes_on() {
    let mut stage = by_itself(bad(&["web-3"]));
    stage.later(1_500, |hands| hands.append(vec![Event::PauseRequested {}]));
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    assert_eq!(updates(&stage)["web-1"], 1);
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(drive(&mut stage), BACK);
    judge(&stage, "resumed");
}

#[test]
fn who_has_paused_it_is_not_overruled() {
    let mut stage = by_itself(bad(&["web-3"]));
    stage.later(700, |hands| hands.append(vec![Event::PauseRequested {}]));
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    assert!(all(&stage, "RollbackRequested").is_empty());
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(drive(&mut stage), BACK, "tried once more by a person, then rolled back");
    judge(&stage, "resumed");
}

#[test]
fn after_the_deadline_a_roll_back_has_as_long_as_the_rollout_was_given() {
    let mut stage = by_itself(bad(&["web-3"]));
    stage.later(100, |hands| hands.append(vec![Event::PauseRequested {}]));
    let state = |stage: &Stage| fold(&stage.records()).unwrap().unwrap();
    drive(&mut stage);
    let day = Duration::from_secs(86_400);
    let created = state(&stage);
    assert_eq!(created.deadline(), created.created_at + day);
    ask(&stage);
    let asked = only(&stage, "RollbackRequested");
    assert_eq!(state(&stage).deadline(), asked.at + day, "and not the one that was given");
    let question = revision(&state(&stage), asked.at, "it is rolled back").unwrap().unwrap();
    assert_eq!((question.way, question.deadline), (Way::Back, asked.at + day));
}

/// The journal of a stage with one more event.
fn with(stage: &Hands, event: Event) -> Result<(), FoldError> {
    let mut records = stage.records();
    let head = records.last().unwrap().head();
    let entry = Entry {
        at: stage.clock_now(),
        actor: Actor::operator("test"),
        cause: None,
        reason: "asked for".into(),
        inputs: None,
        event,
    };
    records.push(Record::chain(&stage.id, &head, entry));
    fold(&records).map(|_| ())
}

#[test]
fn what_cannot_be_undone_is_never_rolled_back() {
    let mut stage = Stage::under(bad(&["web-3"]), |_, policy| {
        policy.reversible = false;
        policy.on_failure = OnFailure::Rollback;
        policy.hold = Some(HoldLimit { max_seconds: 600.0, then: AfterHold::Rollback });
    });
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    let Event::Held { detail, .. } = only(&stage, "Held").event().unwrap() else { panic!() };
    assert!(
        detail.contains("it is not rolled back: ") && detail.contains("reversible"),
        "{detail}"
    );
    let Event::HoldOverdue { then, .. } = only(&stage, "HoldOverdue").event().unwrap() else {
        panic!()
    };
    assert_eq!(then, AfterHold::Page);
    let refused = with(&stage, Event::RollbackRequested {}).unwrap_err().to_string();
    assert!(refused.contains("reversible: false"), "{refused}");
}

#[test]
fn a_roll_back_that_knows_no_former_version_is_refused_and_says_what_is_missing() {
    let mut stage = Stage::blind(bad(&["web-3"]), |policy| policy.on_failure = OnFailure::Rollback);
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    let Event::Held { detail, .. } = only(&stage, "Held").event().unwrap() else { panic!() };
    assert!(detail.contains("nobody knows what web-1 and 3 others ran before"), "{detail}");
    assert!(detail.contains("an updater that can observe"), "{detail}");
    assert!(with(&stage, Event::RollbackRequested {}).is_err());
}

#[test]
fn a_roll_back_cannot_begin_twice_nor_take_a_server_to_the_target() {
    let mut stage = by_itself(bad(&["web-3"]));
    let asked = |stage: &Stage| stage.kinds().iter().any(|kind| kind == "RollbackRequested");
    let mut crossing = 200;
    while !asked(&stage) {
        crossing += 20;
        stage = by_itself(bad(&["web-3"]));
        assert_eq!(stage.drive(&Fuse::at(crossing)), None);
    }
    assert!(with(&stage, Event::RollbackRequested {}).is_err());
    let forth = |version| Event::UpdateStarted { server: name("web-3"), attempt: 1, version };
    assert!(with(&stage, forth(None)).is_err());
    assert!(with(&stage, forth(Some(new()))).is_err());
    assert!(with(&stage, Event::Finished { outcome: Outcome::RolledBack }).is_err());
    let until = stage.clock_now();
    assert!(with(&stage, Event::StabilisationStarted { until }).is_err());
}

#[test]
fn with_nothing_left_of_the_risk_it_holds_and_says_what_to_do() {
    // The first batch spends all of it.
    let mut stage = Stage::under(Settings::default(), |timetable, _| timetable.first_spends = 1.0);
    stage.later(1_000, ask);
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    let Event::Held { hold, detail } = all(&stage, "Held").last().unwrap().event().unwrap() else {
        panic!()
    };
    assert_eq!(hold, HoldReason::NoPlan);
    assert!(
        detail.contains("is used up") && detail.contains("apply the former version"),
        "{detail}"
    );
    assert!(stage.world.out().is_empty());
}

/// Found by seeds 7209 and 8945 of the trials: the failed server was turned round, and the rollout
/// went on waiting for it to be tried again.
#[test]
fn who_says_resume_after_a_roll_back_was_asked_for_does_not_stop_it() {
    let mut stage = Stage::new(bad(&["web-3"]));
    assert_eq!(drive(&mut stage), Some(Ended::Waiting));
    ask(&stage);
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(drive(&mut stage), BACK);
    judge(&stage, "resumed");
}

/// A server that is turned round within one look has all the time of its gates again: what they said of
/// its other version does not count.
#[test]
fn what_gates_said_before_a_server_turned_round_does_not_count() {
    let mut stage = Stage::new(bad(&["web-1"]));
    // Its gates are asked from 570 s on, and give up at 870 s.
    stage.later(780, |hands| {
        let until = hands.clock_now() + Duration::from_secs(150);
        hands.world.replace(&name("web-1"), &old(), until);
    });
    stage.later(800, ask);
    assert_eq!(drive(&mut stage), BACK);
    assert!(all(&stage, "ServerFailed").is_empty());
    let turned = all(&stage, "UpdateStarted").into_iter().find(|r| r.payload["version"] == "1");
    let turned = turned.unwrap().at.duration_since(stage.records()[0].at).as_secs();
    assert!((800..870).contains(&turned), "at {turned} s: the test has lost its moment");
}
