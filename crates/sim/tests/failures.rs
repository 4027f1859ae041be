//! Servers that fail: each is tried again, then stays out while the rest goes on, up to the failure
//! budget; over it the rollout holds.

mod support;

use std::collections::BTreeMap;

use domain::event::{Event, HoldReason, Outcome, Policy};
use domain::journal::{Head, Record};
use domain::name::ServerName;
use domain::ports::{Backend, BackendState};
use rollout::driver::Ended;
use rollout::machine::{FoldError, fold};
use rollout::observe::{GateState, Seen};
use rollout::{Decision, decide};
use sim::{Fuse, Settings};
use support::{Hands, Stage, new};

fn names(list: &[&str]) -> Vec<ServerName> {
    list.iter().map(|name| ServerName::new(*name).unwrap()).collect()
}

fn at_first(list: &[&str]) -> Settings {
    Settings { fails_first: names(list), ..Settings::default() }
}

fn always(list: &[&str]) -> Settings {
    Settings { fails_always: names(list), ..Settings::default() }
}

/// A rollout that tries failed servers again so often, and bears so many.
fn stage(settings: Settings, retries: u32, budget: u32) -> Stage {
    Stage::under(settings, |_, policy: &mut Policy| {
        (policy.retries, policy.failure_budget) = (retries, budget);
    })
}

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

/// The holds with their details.
fn holds(stage: &Hands) -> Vec<(HoldReason, String)> {
    let events = stage.records().into_iter().map(|record| record.event().unwrap());
    let hold = |event| match event {
        Event::Held { hold, detail, .. } => Some((hold, detail)),
        _ => None,
    };
    events.filter_map(hold).collect()
}

fn first(stage: &Hands, kind: &str) -> Record {
    stage.records().into_iter().find(|r| r.kind == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn tries(stage: &Hands, server: &str) -> u32 {
    stage.world.facts().updates[&names(&[server])[0]]
}

#[test]
fn a_failed_server_is_tried_again_by_itself_once() {
    let mut stage = stage(at_first(&["web-3"]), 1, 0);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(holds(&stage).is_empty(), "{:?}", holds(&stage));
    assert!(stage.world.not_back(&new()).is_empty());
    assert_eq!(tries(&stage, "web-3"), 2);
    let (failed, retried) = (first(&stage, "ServerFailed"), first(&stage, "ServerRetried"));
    assert_eq!((retried.cause, retried.at), (Some(failed.seq), failed.at));
    assert!(retried.reason.contains("tried once more"), "{}", retried.reason);
    assert!(stage.world.facts().updated_under_load.is_empty());
}

#[test]
fn a_server_that_fails_again_holds_where_nothing_may_fail() {
    let mut stage = stage(always(&["web-3"]), 1, 0);
    assert_eq!(play(&mut stage), Ended::Waiting);
    let [(HoldReason::ServerFailed, detail)] = &holds(&stage)[..] else {
        panic!("{:?}", holds(&stage))
    };
    assert!(detail.starts_with("web-3: "), "{detail}");
    assert_eq!((tries(&stage, "web-3"), stage.world.out()), (2, names(&["web-3"])));
    assert!(!stage.kinds().contains(&"Finished".into()));
    assert_eq!(stage.world.surge_running().len(), 2, "the surge stays while the fleet is short");
}

/// What has to be true of a rollout that bore the failure of one server.
fn judge_borne(stage: &Stage, server: &str, context: &str) {
    let facts = stage.world.facts();
    assert_eq!(stage.world.not_back(&new()), names(&[server]), "{context}");
    assert!(stage.world.surge_running().is_empty(), "{context}");
    assert!(holds(stage).is_empty(), "{context}: {:?}", holds(stage));
    // A server that stays out counts as one that is out.
    assert!(facts.most_out <= 2, "{context}: {facts:?}");
    let expected: BTreeMap<_, _> = names(&["web-1", "web-2", "web-3", "web-4", "web-5", "web-6"])
        .into_iter()
        .map(|name| (name.clone(), if name.as_str() == server { 2 } else { 1 }))
        .collect();
    assert_eq!(facts.updates, expected, "{context}");
    assert!(facts.purchases.values().all(|n| *n == 1), "{context}: {facts:?}");
    assert!(facts.updated_under_load.is_empty(), "{context}: {facts:?}");
}

#[test]
fn within_the_budget_a_failed_server_stays_out_and_the_rest_is_planned_again_without_it() {
    let mut stage = stage(always(&["web-3"]), 1, 1);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Incomplete));
    judge_borne(&stage, "web-3", "undisturbed");
    let records = stage.records();
    let closed = records.iter().filter(|r| r.kind == "BatchClosed").nth(1).unwrap();
    assert!(closed.reason.contains("1 of at most 1"), "{}", closed.reason);
    let revised = records.iter().find(|r| r.seq > closed.seq && r.kind == "PlanAdopted").unwrap();
    assert_eq!(revised.reason, "web-3 failed and stays out");
    let Event::PlanAdopted { plan } = revised.event().unwrap() else { panic!("{revised:?}") };
    assert!(plan.batches.iter().all(|batch| batch.servers.len() == 1), "{:?}", plan.batches);
    let next = records.iter().find(|r| r.seq > closed.seq && r.kind == "BatchOpened").unwrap();
    assert!(revised.seq < next.seq);
}

#[test]
fn a_server_that_fails_in_the_last_batch_ends_the_rollout_incomplete() {
    let mut stage = stage(always(&["web-6"]), 1, 1);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Incomplete));
    judge_borne(&stage, "web-6", "last batch");
    let watched = first(&stage, "StabilisationStarted").reason;
    assert!(watched.contains("but 1 that failed"), "{watched}");
}

#[test]
fn over_the_budget_it_holds_and_names_everybody_and_a_resume_tries_all_again() {
    let mut stage = stage(at_first(&["web-3", "web-4"]), 0, 1);
    assert_eq!(play(&mut stage), Ended::Waiting);
    let [(HoldReason::ServerFailed, detail)] = &holds(&stage)[..] else {
        panic!("{:?}", holds(&stage))
    };
    for part in ["2 servers failed, the budget is 1", "web-3: ", "web-4: "] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(stage.world.out(), names(&["web-3", "web-4"]));
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(stage.world.not_back(&new()).is_empty());
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn a_canary_that_fails_as_a_whole_is_over_any_budget() {
    let mut stage = stage(always(&["web-1", "web-2"]), 1, 3);
    assert_eq!(play(&mut stage), Ended::Waiting);
    let [(HoldReason::ServerFailed, detail)] = &holds(&stage)[..] else {
        panic!("{:?}", holds(&stage))
    };
    assert!(detail.starts_with("no server of the first batch runs 2: web-1: "), "{detail}");
    assert_eq!(stage.kinds().iter().filter(|kind| *kind == "BatchOpened").count(), 1);
    stage.append(vec![Event::AbortRequested {}]);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted));
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn a_person_may_have_a_borne_server_tried_again_at_any_time() {
    let told = || stage(at_first(&["web-3"]), 0, 1);
    let mut alone = told();
    assert_eq!(play(&mut alone), Ended::Finished(Outcome::Incomplete));
    let records = alone.records();
    let moments = [
        ("ServerFailed", 0),
        ("BatchClosed", 1),
        ("BatchOpened", 2),
        ("UpdateStarted", 4),
        ("StabilisationStarted", 0),
        ("SurgeReleasing", 0),
    ];
    for (kind, nth) in moments {
        let moment = records.iter().filter(|r| r.kind == kind).nth(nth).unwrap().at;
        let mut stage = told();
        let after = moment.duration_since(records[0].at).as_secs().unsigned_abs() + 1;
        stage.later(after, |h| h.append(vec![Event::ResumeRequested {}]));
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "after {kind}");
        assert!(stage.world.not_back(&new()).is_empty(), "after {kind}");
        assert_eq!(tries(&stage, "web-3"), 2, "after {kind}");
        assert!(stage.world.facts().most_out <= 2, "after {kind}");
        assert!(stage.world.facts().updated_under_load.is_empty(), "after {kind}");
    }
}

#[test]
fn the_driver_may_die_anywhere_while_servers_fail() {
    let counter = Fuse::never();
    stage(always(&["web-3"]), 1, 1).drive(&counter);
    let crossings = counter.crossings();
    for crossing in (1..=crossings).step_by(5) {
        let context = format!("stopped at crossing {crossing}");
        let mut stage = stage(always(&["web-3"]), 1, 1);
        assert_eq!(stage.drive(&Fuse::at(crossing)), None, "{context}");
        let ended = stage.drive(&Fuse::never());
        assert_eq!(ended, Some(Ended::Finished(Outcome::Incomplete)), "{context}");
        judge_borne(&stage, "web-3", &context);
    }
}

#[test]
fn a_journal_that_bears_more_than_its_policy_says_is_no_rollout() {
    let mut stage = stage(always(&["web-3"]), 1, 1);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Incomplete));
    let mut records = stage.records();
    assert!(fold(&records).is_ok());
    records[0].payload["policy"].as_object_mut().unwrap().remove("failureBudget").unwrap();
    let mut head = Head::empty();
    for record in &mut records {
        record.previous = head.hash;
        record.hash = record.computed_hash();
        head = record.head();
    }
    let refused = fold(&records).unwrap_err();
    assert!(
        matches!(&refused, FoldError::Illegal { event, .. } if event == "BatchClosed"),
        "{refused:?}"
    );
}

#[test]
fn a_failed_server_is_tried_again_once_it_gets_no_requests_and_its_gates_rest() {
    let mut stage = stage(at_first(&["web-3"]), 1, 0);
    play(&mut stage);
    let mut records = stage.records();
    let failed = first(&stage, "ServerFailed").seq as usize;
    records.truncate(failed);
    let (state, now) = (fold(&records).unwrap().unwrap(), records[failed - 1].at);
    let web_3 = &names(&["web-3"])[0];
    let tried = |traffic: Option<Vec<(BackendState, Option<u64>)>>, gate: Option<GateState>| {
        let backend = |(state, in_flight)| {
            let server = web_3.clone();
            let weight = None;
            (
                server.clone(),
                Backend { server, address: None, state, in_flight, weight, served: None },
            )
        };
        let traffic = traffic.map(|all| all.into_iter().map(backend).collect());
        let gates = gate.map(|gate| (web_3.clone(), gate)).into_iter().collect();
        let seen = Seen { traffic, gates, ..Seen::default() };
        let retried = |d: &Decision| matches!(d, Decision::Write { event: Event::ServerRetried { server }, .. } if server == web_3);
        decide(&state, &seen, now).iter().any(retried)
    };
    assert!(tried(Some(vec![(BackendState::Drained, Some(0))]), None));
    assert!(tried(Some(vec![(BackendState::Drained, None)]), None));
    assert!(tried(Some(Vec::new()), None), "the load balancer does not know it");
    assert!(!tried(None, None), "nobody knows what it gets");
    assert!(!tried(Some(vec![(BackendState::InService, Some(0))]), None));
    assert!(!tried(Some(vec![(BackendState::Drained, Some(3))]), None));
    let red = GateState::Red("connection refused".into());
    assert!(!tried(Some(vec![(BackendState::Drained, Some(0))]), Some(red)), "of the last try");
}
