//! Nothing is bought and nobody goes out before somebody agrees to the plan; and which revisions
//! need another agreement.

mod support;

use std::time::Duration;

use domain::event::{
    AfterHold, ApprovalRule, Event, HoldLimit, HoldReason, HookLimit, HookPoint, Outcome,
};
use domain::journal::{Actor, Digest, Entry, Record};
use domain::notice::Topic;
use domain::ports::{Append, Authority, Journal};
use rollout::driver::Ended;
use rollout::machine::{FoldError, fold};
use rollout::notices::Notices;
use sim::{Fuse, Settings, run_until_stuck};
use support::{Hands, Stage, all, new};

fn stage(change: impl FnOnce(&mut ApprovalRule)) -> Stage {
    stage_with(change, 0.0)
}

/// Each instance that a plan buys costs so much.
fn stage_with(change: impl FnOnce(&mut ApprovalRule), each_costs: f64) -> Stage {
    let mut rule = ApprovalRule { by: Vec::new(), budget: None };
    change(&mut rule);
    Stage::under(Settings::default(), |timetable, policy| {
        timetable.each_costs = each_costs;
        timetable.revised_upper = 600.0;
        policy.approval = Some(rule);
    })
}

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

/// The digest of the plan in force.
fn in_force(stage: &Hands) -> Digest {
    let state = fold(&stage.records()).unwrap().unwrap();
    state.plan.unwrap().digest.clone()
}

fn approve(stage: &Hands) {
    stage.append(vec![Event::PlanApproved { digest: in_force(stage) }]);
}

/// The reasons for which it held, with what was said.
fn held(stage: &Hands) -> Vec<(HoldReason, String)> {
    let of = |record: Record| match record.event().unwrap() {
        Event::Held { hold, detail } => (hold, detail),
        other => panic!("{other:?}"),
    };
    all(stage, "Held").into_iter().map(of).collect()
}

#[test]
fn nothing_begins_before_somebody_agrees() {
    let mut stage = stage(|rule| rule.by = vec!["ann".into(), "test".into()]);
    assert_eq!(play(&mut stage), Ended::Waiting);
    let facts = stage.world.facts();
    assert!(facts.purchases.is_empty() && facts.updates.is_empty(), "{facts:?}");
    let [(HoldReason::ApprovalNeeded, detail)] = &held(&stage)[..] else {
        panic!("{:#?}", held(&stage));
    };
    let short = in_force(&stage).short().to_owned();
    let command = format!("`presurge rollout approve kernel#1 --digest {short}`");
    assert!(detail.starts_with("approval needed by ann, test: nobody has approved"), "{detail}");
    assert!(detail.ends_with(&command), "{detail}");
    // A person who says go on has not agreed to anything.
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(play(&mut stage), Ended::Waiting);
    assert!(stage.world.facts().purchases.is_empty());
    approve(&stage);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(stage.world.not_back(&new()).is_empty());
    assert_eq!(all(&stage, "PlanApproved")[0].actor, Actor::operator("test"));
    // What was late by then was planned again: later, and that needs nobody.
    assert!(all(&stage, "PlanAdopted").len() >= 2);
    assert_eq!(all(&stage, "PlanApproved").len(), 1);
}

#[test]
fn the_driver_may_die_at_every_crossing_while_it_waits_and_after() {
    let played = |fuse: &std::sync::Arc<Fuse>| {
        let mut stage = stage(|_| {});
        stage.later(60, approve);
        let ended = stage.drive(fuse);
        (stage, ended)
    };
    let counter = Fuse::never();
    assert_eq!(played(&counter).1, Some(Ended::Finished(Outcome::Done)));
    // Until the first batch is out; what comes then is the same without approval.
    for crossing in 1..=counter.crossings().min(250) {
        let (mut stage, ended) = played(&Fuse::at(crossing));
        assert_eq!(ended, None, "crossing {crossing}");
        let mut again = play(&mut stage);
        let waits = fold(&stage.records()).unwrap().unwrap().approval_needed().is_some();
        if again == Ended::Waiting && waits {
            assert!(stage.world.facts().purchases.is_empty(), "crossing {crossing}");
            approve(&stage);
            again = play(&mut stage);
        }
        assert_eq!(again, Ended::Finished(Outcome::Done), "crossing {crossing}");
        assert!(stage.world.facts().purchases.values().all(|n| *n == 1), "crossing {crossing}");
    }
}

#[test]
fn a_rejection_ends_the_rollout_and_gives_back_what_there_is() {
    let mut stage = stage(|_| {});
    stage.later(60, |h| h.append(vec![Event::PlanRejected { digest: in_force(h) }]));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted));
    assert!(stage.world.facts().purchases.is_empty());
    let (rejected, aborted) = (&all(&stage, "PlanRejected")[0], &all(&stage, "AbortRequested")[0]);
    assert_eq!(aborted.cause, Some(rejected.seq));
    assert_eq!(aborted.actor, Actor::decider());
}

#[test]
fn waiting_has_the_maximum_of_a_hold() {
    let mut stage = Stage::under(Settings::default(), |_, policy| {
        policy.approval = Some(ApprovalRule { by: Vec::new(), budget: None });
        policy.hold = Some(HoldLimit { max_seconds: 1_800.0, then: AfterHold::Abort });
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted));
    let overdue = all(&stage, "HoldOverdue")[0].event().unwrap();
    let Event::HoldOverdue { hold, .. } = overdue else { panic!("{overdue:?}") };
    assert_eq!(hold, HoldReason::ApprovalNeeded);
    let took = all(&stage, "HoldOverdue")[0].at.duration_since(all(&stage, "Held")[0].at);
    assert_eq!(took.as_secs(), 1_800);
}

#[test]
fn a_hook_before_everything_waits_for_the_approval_as_well() {
    let mut stage = Stage::under(Settings::default(), |_, policy| {
        policy.approval = Some(ApprovalRule { by: Vec::new(), budget: None });
        policy.hooks = vec![HookLimit { hook: HookPoint::Before, timeout_seconds: 60.0 }];
    });
    stage.later(600, |h| {
        assert!(h.world.facts().hooks.is_empty());
        approve(h);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(stage.world.facts().hooks.len(), 1);
}

/// Load leaves its band while the first batch is out: the rest is planned again, with more surge.
fn replanned(change: impl FnOnce(&mut ApprovalRule), each_costs: f64) -> Stage {
    let mut stage = stage_with(change, each_costs);
    stage.timetable.surge.1 = 3;
    approve(&stage);
    stage.later(300, |h| h.world.set_load(|_| 500.0));
    stage
}

#[test]
fn a_revision_that_adds_surge_within_the_approved_budget_needs_nobody() {
    let mut stage = replanned(|rule| rule.budget = Some(10.0), 1.0);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(all(&stage, "PlanAdopted").len() >= 2);
    assert!(stage.world.facts().purchases.len() > 2, "it did add surge");
    assert!(held(&stage).iter().all(|(hold, _)| *hold != HoldReason::ApprovalNeeded));
}

#[test]
fn a_revision_that_costs_more_than_was_approved_waits_for_another_approval() {
    let mut stage = replanned(|_| {}, 1.0);
    // Two were approved at 1 USD each; what runs has cost 0.1 an hour, and one more would cost 1.
    stage.timetable.each_costs = 2.5;
    assert_eq!(play(&mut stage), Ended::Waiting);
    let (hold, detail) = held(&stage).pop().unwrap();
    assert_eq!(hold, HoldReason::ApprovalNeeded, "{detail}");
    assert!(detail.contains("with it the surge costs 2.5"), "{detail}");
    assert!(detail.contains(" USD, approved are 2.00"), "{detail}");
    assert_eq!(stage.world.facts().purchases.len(), 2, "nothing is bought meanwhile");
    let opened = all(&stage, "BatchOpened").len();
    approve(&stage);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(all(&stage, "BatchOpened").len() > opened);
    assert_eq!(all(&stage, "PlanApproved").len(), 2);
}

#[test]
fn a_revision_that_takes_out_more_at_once_waits_for_another_approval() {
    let mut stage = stage(|_| {});
    stage.timetable.batch = 3;
    approve(&stage);
    stage.later(300, |h| h.world.set_load(|_| 500.0));
    assert_eq!(play(&mut stage), Ended::Waiting);
    let (hold, detail) = held(&stage).pop().unwrap();
    assert_eq!(hold, HoldReason::ApprovalNeeded);
    assert!(detail.contains("it takes out 3 at once, approved are 2"), "{detail}");
}

fn refused(stage: &Hands, actor: &str, event: Event) -> String {
    let records = stage.records();
    let entry = Entry {
        at: stage.clock_now(),
        actor: Actor(actor.into()),
        cause: None,
        reason: "asked for".into(),
        inputs: None,
        event,
    };
    let after = records.last().unwrap().head();
    let authority = Authority::Operator;
    let append = Append { rollout: &stage.id, authority, after: &after, entries: vec![entry] };
    run_until_stuck(stage.journal.append(append)).unwrap().unwrap();
    match fold(&stage.records()) {
        Err(FoldError::Illegal { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_approval_by_somebody_else_or_of_another_plan_is_no_approval() {
    let of = |digest: &Digest| Event::PlanApproved { digest: digest.clone() };
    let stage_1 = stage(|rule| rule.by = vec!["ann".into()]);
    let why = refused(&stage_1, "operator:bob", of(&in_force(&stage_1)));
    assert_eq!(why, "bob may not approve it; ann may");
    let stage_2 = stage(|_| {});
    let why = refused(&stage_2, "presurge", of(&in_force(&stage_2)));
    assert_eq!(why, "only a person may approve a plan");
    let stage_3 = stage(|_| {});
    let why = refused(&stage_3, "operator:ann", of(&Digest::zero()));
    assert!(why.starts_with("the plan in force is sha256:"), "{why}");
    let stage_4 = stage(|_| {});
    approve(&stage_4);
    let why = refused(&stage_4, "operator:ann", of(&in_force(&stage_4)));
    assert_eq!(why, "operator:test has approved it in record 3");
    let stage_5 = Stage::new(Settings::default());
    let why = refused(&stage_5, "operator:ann", of(&in_force(&stage_5)));
    assert_eq!(why, "the plans of this rollout need no approval");
}

#[test]
fn what_is_over_can_neither_be_approved_nor_rejected() {
    let reject = |stage: &Hands| Event::PlanRejected { digest: in_force(stage) };
    let rejected = stage(|_| {});
    rejected.append(vec![reject(&rejected)]);
    let digest = in_force(&rejected);
    let why = refused(&rejected, "operator:ann", Event::PlanApproved { digest });
    assert_eq!(why, "its plan was rejected in record 3");
    let aborting = stage(|_| {});
    aborting.append(vec![Event::AbortRequested {}]);
    let why = refused(&aborting, "operator:ann", reject(&aborting));
    assert!(why.contains("it is being aborted"), "{why}");
}

#[test]
fn a_journal_in_which_the_approval_is_left_out_is_no_rollout() {
    let mut stage = stage(|_| {});
    approve(&stage);
    play(&mut stage);
    let mut previous = domain::journal::Head::empty();
    let mut forged = Vec::new();
    for mut record in stage.records() {
        if record.kind == "PlanApproved" {
            continue;
        }
        (record.seq, record.previous) = (previous.seq + 1, previous.hash.clone());
        record.hash = record.computed_hash();
        previous = record.head();
        forged.push(record);
    }
    let error = fold(&forged).unwrap_err();
    let FoldError::Illegal { event, why, .. } = &error else { panic!("{error}") };
    assert!(why.contains("is not approved: nobody has approved"), "{event}: {why}");
}

#[test]
fn people_are_told_what_to_type() {
    let mut stage = stage(|_| {});
    stage.later(600, approve);
    play(&mut stage);
    let records = stage.records();
    let mut notices = Notices::default();
    let mut told = Vec::new();
    for upto in 1..=records.len() {
        let state = fold(&records[..upto]).unwrap().unwrap();
        told.extend(notices.take(&state, &records[upto - 1]));
    }
    let told: Vec<_> = told.into_iter().filter(|notice| notice.topic == Topic::Approval).collect();
    assert_eq!(told.len(), 2, "it begins, and it is over: {told:#?}");
    assert_eq!(told[0].title, "kernel#1: approval needed");
    assert!(told[0].detail.contains("`presurge rollout approve kernel#1 --digest "));
    assert!(told[1].at >= told[0].at + Duration::from_secs(580));
}
