//! The risk account: over any number of revisions, what batches spend is never more than was
//! stated, and where nothing is left, nothing more goes out.

mod support;

use domain::event::{Event, HoldReason, Outcome, RiskSpent};
use domain::journal::{Entry, Head, Record};
use domain::plan::Plan;
use rollout::driver::Ended;
use rollout::machine::{FoldError, fold};
use rollout::state::Phase;
use sim::{Fuse, Settings};
use support::{Hands, Stage};

/// What the rollout of the stage may spend.
const STATED: f64 = 0.01;

fn spent(hands: &Hands) -> Vec<RiskSpent> {
    let events = hands.records().into_iter().map(|record| record.event().unwrap());
    let risk = |event| match event {
        Event::BatchOpened { risk, .. } => Some(risk.expect("this release keeps the account")),
        _ => None,
    };
    events.filter_map(risk).collect()
}

fn plans(hands: &Hands) -> Vec<Plan> {
    let events = hands.records().into_iter().map(|record| record.event().unwrap());
    let plan = |event| match event {
        Event::PlanAdopted { plan } => Some(*plan),
        _ => None,
    };
    events.filter_map(plan).collect()
}

/// A pause after each batch makes the rest late, so that it is planned again.
fn pause_often(stage: &Stage) {
    for n in 0..12 {
        stage.later(400 + n * 2000, |h| h.append(vec![Event::PauseRequested {}]));
        stage.later(400 + n * 2000 + 1300, |h| {
            let ended = h.kinds().iter().any(|kind| kind == "Finished");
            if !ended {
                h.append(vec![Event::ResumeRequested {}]);
            }
        });
    }
}

#[test]
fn many_revisions_never_spend_more_than_was_stated() {
    for first_spends in [0.0, 0.1, 0.5, 0.7] {
        let mut stage = Stage::with(Settings::default(), |t| {
            (t.batch, t.first_spends) = (1, first_spends);
        });
        pause_often(&stage);
        let ended = stage.drive(&Fuse::at(400_000)).expect("the story ends");
        assert_eq!(ended, Ended::Finished(Outcome::Done), "{first_spends}");
        let (spent, plans) = (spent(&stage), plans(&stage));
        assert!(plans.len() >= 4, "{first_spends}: only {} plans", plans.len());
        assert_eq!(spent.len(), 6);
        let mut left = STATED;
        for entry in &spent {
            left -= entry.spent;
            assert!((entry.left - left).abs() < 1e-12, "{first_spends}: {entry:?}, {left}");
        }
        let total: f64 = spent.iter().map(|entry| entry.spent).sum();
        assert!(total <= STATED + 1e-12, "{first_spends}: {total}");
        // Every revision was planned at what was left when it was made.
        let targets: Vec<f64> = plans.iter().map(|plan| plan.risk.target).collect();
        assert!(targets.is_sorted_by(|a, b| a >= b), "{targets:?}");
        if first_spends > 0.0 {
            assert!(targets.last() < targets.first(), "{targets:?}");
        }
    }
}

#[test]
fn a_revision_with_nothing_left_is_refused_and_holds() {
    let mut stage = Stage::with(Settings::default(), |t| t.first_spends = 1.0);
    stage.later(400, |h| h.append(vec![Event::PauseRequested {}]));
    stage.later(2000, |h| h.append(vec![Event::ResumeRequested {}]));
    assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Waiting));
    let spent = spent(&stage);
    assert_eq!((spent.len(), spent[0].left), (1, 0.0));
    assert_eq!(plans(&stage).len(), 1, "no revision may be adopted");
    let events = stage.records().into_iter().map(|record| record.event().unwrap());
    let held: Vec<_> = events
        .filter_map(|event| match event {
            Event::Held { hold, detail } => Some((hold, detail)),
            _ => None,
        })
        .collect();
    let [(hold, detail)] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!(*hold, HoldReason::NoPlan);
    assert!(detail.contains("used up"), "{detail}");
    assert!(stage.world.out().is_empty(), "the batch that was out has come back");
    // A person can end it.
    stage.append(vec![Event::AbortRequested {}]);
    assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Finished(Outcome::Aborted)));
}

/// The same journal with one event changed.
fn with(records: &[Record], change: impl Fn(&mut Event)) -> Vec<Record> {
    let mut head = Head::empty();
    let mut chain = Vec::new();
    for old in records.iter().cloned() {
        let mut event = old.event().unwrap();
        change(&mut event);
        let Record { at, actor, cause, reason, inputs, .. } = old;
        let record =
            Record::chain(&old.rollout, &head, Entry { at, actor, cause, reason, inputs, event });
        head = record.head();
        chain.push(record);
    }
    chain
}

#[test]
fn a_journal_that_overdraws_or_misstates_the_account_is_refused() {
    let mut stage = Stage::new(Settings::default());
    stage.drive(&Fuse::never());
    let good = stage.records();
    let state = fold(&good).unwrap().unwrap();
    assert!((state.account.spent() - STATED).abs() < 1e-12);
    assert_eq!(state.account.entries().len(), 3);
    let refused = |change: &dyn Fn(&mut Event)| {
        let error = fold(&with(&good, change)).expect_err("it was folded");
        assert!(matches!(error, FoldError::Illegal { .. }), "{error}");
    };
    refused(&|event| {
        if let Event::BatchOpened { risk: Some(risk), .. } = event {
            risk.spent /= 2.0;
        }
    });
    refused(&|event| {
        if let Event::BatchOpened { risk: Some(risk), .. } = event {
            risk.left += 0.001;
        }
    });
    refused(&|event| {
        if let Event::PlanAdopted { plan } = event {
            plan.risk.target = 0.011;
        }
    });
    refused(&|event| {
        if let Event::PlanAdopted { plan } = event {
            plan.batches[2].risk = Some(0.009);
        }
    });
}

#[test]
fn journals_without_an_account_spend_an_equal_part_with_each_batch() {
    let mut stage = Stage::new(Settings::default());
    stage.drive(&Fuse::never());
    let former = with(&stage.records(), |event| match event {
        Event::BatchOpened { risk, .. } => *risk = None,
        Event::PlanAdopted { plan } => plan.batches.iter_mut().for_each(|b| b.risk = None),
        _ => {}
    });
    let state = fold(&former).unwrap().unwrap();
    assert_eq!(state.phase, Phase::Finished(Outcome::Done));
    let each: Vec<f64> = state.account.entries().iter().map(|entry| entry.risk).collect();
    assert_eq!(each.len(), 3);
    assert!(each.iter().all(|risk| (risk - STATED / 3.0).abs() < 1e-15), "{each:?}");
}

#[test]
fn a_batch_that_has_become_riskier_spends_what_it_risks_now() {
    let mut stage = Stage::with(Settings::default(), |t| {
        (t.first_spends, t.batch_risk) = (0.1, 0.002);
    });
    assert_eq!(stage.drive(&Fuse::never()), Some(Ended::Finished(Outcome::Done)));
    let spent: Vec<f64> = spent(&stage).iter().map(|entry| entry.spent).collect();
    // Planned at 0.1, 0.45 and 0.45 of 0.01. The first has become riskier than that, so that too
    // little is left for the last one as it was planned: it is planned again.
    let expected = [0.002, 0.0045, 0.0035];
    assert_eq!((spent.len(), plans(&stage).len()), (3, 2));
    assert!(spent.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{spent:?}");
}
