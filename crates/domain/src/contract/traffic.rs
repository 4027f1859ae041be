//! What every load balancer adapter has to show.
//!
//! An adapter brings a [`World`]: the real load balancer with real servers behind it. [`run`]
//! makes a fresh one for every case. Requests are *held* at a server for as long as a case wants,
//! because fast requests hide a drain that does not work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::cut_short;
use crate::name::{Key, ServerName};
use crate::ports::{
    Admission, Backend, BackendState, Clock, PortError, Progress, Retry, Target, Traffic, Wanted,
};

/// How a call to the load balancer is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The load balancer never hears of it.
    BeforeEffect,
    /// The load balancer obeys, but its answer is lost.
    AfterEffect,
}

/// A request that a server holds until it is told to answer.
#[async_trait]
pub trait Held: Send {
    /// Lets the server answer; an error says how the client fared if it was not served well.
    async fn finish(self: Box<Self>) -> Result<(), String>;
}

/// A load balancer with servers behind it, for one case.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same load balancer, as after a restart of Presurge.
    fn traffic(&self) -> Arc<dyn Traffic>;

    /// The clock that the suite waits through.
    fn clock(&self) -> Arc<dyn Clock>;

    /// The servers that the load balancer knows from the start, in service; at least two.
    fn members(&self) -> Vec<Target>;

    /// A server that works, with an address, and that the load balancer does not know.
    fn spare(&self) -> Target;

    /// Sends requests one after the other through the load balancer, and counts who answered.
    /// A request that fails is an error.
    async fn requests(&self, count: usize) -> Result<BTreeMap<ServerName, usize>, String>;

    /// Sends requests through the load balancer until one is held at `server`.
    async fn hold(&self, server: &ServerName) -> Result<Box<dyn Held>, String>;

    /// Makes a server fail or pass the load balancer's health check, and returns once the load
    /// balancer has noticed. False where it has no health check.
    async fn set_healthy(&self, server: &ServerName, healthy: bool) -> bool;

    /// Makes the load balancer forget what it was told since its start, as a reload does. False
    /// where it cannot forget.
    async fn lose_settings(&self) -> bool;

    /// Makes the next call of the adapter fail. False where a call cannot fail.
    async fn fail_next(&self, fault: Fault) -> bool;
}

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    members_are_in_service(&make().await).await;
    what_is_served_is_counted(&make().await).await;
    a_drain_waits_for_what_is_under_way(&make().await).await;
    a_drain_can_be_taken_back(&make().await).await;
    a_cut_ends_what_is_under_way(&make().await).await;
    repeating_changes_nothing(&make().await).await;
    what_is_not_known_is_drained_and_removed(&make().await).await;
    a_newcomer_needs_an_address(&make().await).await;
    a_newcomer_comes_and_goes(&make().await).await;
    a_removal_waits_for_what_is_under_way(&make().await).await;
    a_sick_server_is_not_admitted(&make().await).await;
    weights_share_the_load(&make().await).await;
    a_call_cut_short_is_repeated(&make().await).await;
    lost_settings_are_healed(&make().await).await;
    for fault in [Fault::BeforeEffect, Fault::AfterEffect] {
        a_failed_call_is_repeated(&make().await, fault).await;
    }
}

async fn members_are_in_service<W: World>(world: &W) {
    let seen = observe(world).await;
    assert_eq!(seen.len(), world.members().len(), "exactly the members are known: {seen:?}");
    for member in world.members() {
        let backend = find(&seen, &member.server);
        assert_eq!(backend.state, BackendState::InService, "{member:?}");
        if let Some(address) = &backend.address {
            assert_eq!(Some(address), member.address.as_ref(), "the address of {member:?}");
        }
        done(world, &wish(&member, "already", Wanted::Admit(100))).await;
    }
    assert_serves(world, &world.members()[0].server, true).await;
}

/// Requests that are said to be counted are counted at the server that they went to.
async fn what_is_served_is_counted<W: World>(world: &W) {
    let counts = |seen: &[Backend]| -> BTreeMap<ServerName, u64> {
        let of = |b: &Backend| Some((b.server.clone(), b.served?.requests));
        seen.iter().filter_map(of).collect()
    };
    let before = counts(&observe(world).await);
    let served = world.requests(30).await.expect("the members serve");
    let seen = observe(world).await;
    let after = counts(&seen);
    assert_eq!(before.len(), after.len(), "who counts, goes on counting");
    for (server, was) in before {
        let mine = served.get(&server).copied().unwrap_or(0);
        assert_eq!(after[&server] - was, mine as u64, "{server}: {served:?}");
        let response = find(&seen, &server).served.and_then(|s| s.response_micros);
        let most = 10_000_000;
        assert!(response.is_none_or(|micros| micros < most), "{server}: {response:?} µs");
    }
}

async fn a_drain_waits_for_what_is_under_way<W: World>(world: &W) {
    let member = &world.members()[0];
    let held = world.hold(&member.server).await.expect("a request reaches a member in service");
    let drain = wish(member, "drain", Wanted::Drain);
    for _ in 0..3 {
        let answer = ensure(world, &drain).await;
        assert!(matches!(answer, Progress::Pending { .. }), "a request is under way: {answer:?}");
    }
    let seen = observe(world).await;
    let backend = find(&seen, &member.server);
    assert_eq!(backend.state, BackendState::Drained, "a draining server gets nothing new");
    assert_ne!(backend.in_flight, Some(0), "a request is under way");
    assert_serves(world, &member.server, false).await;
    held.finish().await.expect("a drain does not cut what is under way");
    let drained = done(world, &drain).await;
    assert_eq!(drained.cut, 0, "nothing was cut");
    assert!(matches!(find(&observe(world).await, &member.server).in_flight, None | Some(0)));
    assert_serves(world, &member.server, false).await;
    done(world, &wish(member, "back", Wanted::Admit(100))).await;
    assert_eq!(find(&observe(world).await, &member.server).state, BackendState::InService);
    assert_serves(world, &member.server, true).await;
}

async fn a_drain_can_be_taken_back<W: World>(world: &W) {
    let member = &world.members()[0];
    let held = world.hold(&member.server).await.expect("a request reaches a member in service");
    ensure(world, &wish(member, "drain", Wanted::Drain)).await;
    done(world, &wish(member, "back", Wanted::Admit(100))).await;
    assert_serves(world, &member.server, true).await;
    held.finish().await.expect("going back does not cut what is under way");
}

async fn a_cut_ends_what_is_under_way<W: World>(world: &W) {
    let member = &world.members()[0];
    let held = world.hold(&member.server).await.expect("a request reaches a member in service");
    let answer = ensure(world, &wish(member, "drain", Wanted::Drain)).await;
    assert!(matches!(answer, Progress::Pending { .. }), "a request is under way: {answer:?}");
    let drained = done(world, &wish(member, "cut", Wanted::Cut)).await;
    assert_eq!(drained.cut, 1, "the connections that were cut are counted");
    assert!(matches!(find(&observe(world).await, &member.server).in_flight, None | Some(0)));
    held.finish().await.expect_err("the client of a request that was cut is told");
    assert_serves(world, &member.server, false).await;
    let idle = done(world, &wish(&world.members()[1], "idle", Wanted::Cut)).await;
    assert_eq!(idle.cut, 0, "nothing was under way");
    done(world, &wish(member, "back", Wanted::Admit(100))).await;
    done(world, &wish(&world.members()[1], "back", Wanted::Admit(100))).await;
    assert_serves(world, &member.server, true).await;
}

async fn repeating_changes_nothing<W: World>(world: &W) {
    let member = &world.members()[0];
    for round in 0..2 {
        for (what, wanted) in [("drain", Wanted::Drain), ("admit", Wanted::Admit(100))] {
            let admission = wish(member, &format!("{what}{round}"), wanted);
            done(world, &admission).await;
            let before = observe(world).await;
            for _ in 0..3 {
                let answer = ensure(world, &admission).await;
                assert!(matches!(answer, Progress::Done(_)), "{what} again: {answer:?}");
            }
            assert_eq!(before.len(), observe(world).await.len(), "{what} again adds nothing");
        }
    }
}

async fn what_is_not_known_is_drained_and_removed<W: World>(world: &W) {
    let known = observe(world).await.len();
    for target in [world.spare(), Target { address: None, ..world.spare() }] {
        for wanted in [Wanted::Drain, Wanted::Cut, Wanted::Remove] {
            let answer = ensure(world, &wish(&target, "gone", wanted)).await;
            assert!(matches!(answer, Progress::Done(_)), "{wanted:?} of {target:?}: {answer:?}");
        }
    }
    assert_eq!(observe(world).await.len(), known, "nothing became known by that");
}

async fn a_newcomer_needs_an_address<W: World>(world: &W) {
    let known = observe(world).await.len();
    let nowhere = Target { address: None, ..world.spare() };
    let answer = world.traffic().ensure_admission(&wish(&nowhere, "add", Wanted::Admit(100))).await;
    let error = answer.expect_err("a server without an address cannot be added");
    assert_eq!(error.retry, Retry::Never, "{error}");
    for hostile in ["", "localhost", "127.0.0.1:0 disabled", "127.0.0.1:80;show info", "x:99999"] {
        let target = Target { address: Some(hostile.into()), ..world.spare() };
        let answer = world.traffic().ensure_admission(&wish(&target, "x", Wanted::Admit(1))).await;
        let error = answer.expect_err("an address is host:port");
        assert_eq!(error.retry, Retry::Never, "{hostile:?}: {error}");
    }
    for wrong in [0, 101, 255] {
        let target = &world.members()[0];
        let answer =
            world.traffic().ensure_admission(&wish(target, "w", Wanted::Admit(wrong))).await;
        assert_eq!(answer.expect_err("1 to 100 percent").retry, Retry::Never, "weight {wrong}");
    }
    assert_eq!(observe(world).await.len(), known, "nothing became known by that");
}

async fn a_newcomer_comes_and_goes<W: World>(world: &W) {
    let spare = world.spare();
    for round in 0..2 {
        let add = wish(&spare, &format!("add{round}"), Wanted::Admit(100));
        done(world, &add).await;
        done(world, &add).await;
        let seen = observe(world).await;
        assert_eq!(seen.len(), world.members().len() + 1, "added once: {seen:?}");
        let backend = find(&seen, &spare.server);
        assert_eq!(backend.state, BackendState::InService);
        if backend.address.is_some() {
            assert_eq!(backend.address, spare.address);
        }
        assert_serves(world, &spare.server, true).await;
        let drain = wish(&spare, &format!("drain{round}"), Wanted::Drain);
        done(world, &drain).await;
        assert_serves(world, &spare.server, false).await;
        let remove = wish(&spare, &format!("remove{round}"), Wanted::Remove);
        done(world, &remove).await;
        done(world, &remove).await;
        let seen = observe(world).await;
        assert_eq!(seen.len(), world.members().len(), "forgotten: {seen:?}");
        assert!(matches!(ensure(world, &drain).await, Progress::Done(_)), "gone is drained");
    }
}

async fn a_removal_waits_for_what_is_under_way<W: World>(world: &W) {
    let spare = world.spare();
    done(world, &wish(&spare, "add", Wanted::Admit(100))).await;
    let held = world.hold(&spare.server).await.expect("a request reaches the newcomer");
    let remove = wish(&spare, "remove", Wanted::Remove);
    for _ in 0..3 {
        let answer = ensure(world, &remove).await;
        assert!(matches!(answer, Progress::Pending { .. }), "a request is under way: {answer:?}");
    }
    assert_serves(world, &spare.server, false).await;
    held.finish().await.expect("a removal does not cut what is under way");
    done(world, &remove).await;
    assert!(observe(world).await.iter().all(|backend| backend.server != spare.server));
}

async fn a_sick_server_is_not_admitted<W: World>(world: &W) {
    let member = &world.members()[0];
    done(world, &wish(member, "drain", Wanted::Drain)).await;
    if !world.set_healthy(&member.server, false).await {
        return;
    }
    let admit = wish(member, "admit", Wanted::Admit(100));
    for _ in 0..5 {
        let answer = ensure(world, &admit).await;
        let Progress::Pending { poll_after } = answer else {
            panic!("a server that fails its health check is not in service: {answer:?}");
        };
        pause(world, poll_after).await;
    }
    assert_eq!(find(&observe(world).await, &member.server).state, BackendState::Down);
    assert_serves(world, &member.server, false).await;
    world.set_healthy(&member.server, true).await;
    done(world, &admit).await;
    assert_serves(world, &member.server, true).await;
}

async fn weights_share_the_load<W: World>(world: &W) {
    const REQUESTS: usize = 400;
    let member = &world.members()[0];
    let count = world.members().len();
    done(world, &wish(member, "ramp", Wanted::Admit(20))).await;
    let told = find(&observe(world).await, &member.server).weight;
    assert!(told.is_none_or(|percent| (15..=25).contains(&percent)), "{told:?} instead of 20");
    let share = served(world, &member.server, REQUESTS).await;
    // Its fair share is 20 parts of 20 + 100 for each of the others.
    let fair = REQUESTS * 20 / (20 + 100 * (count - 1));
    assert!(share > 0, "a fifth of the weight is not nothing");
    assert!(share <= fair * 2, "{share} of {REQUESTS} requests at a fair share of {fair}");
    done(world, &wish(member, "least", Wanted::Admit(1))).await;
    assert_eq!(find(&observe(world).await, &member.server).state, BackendState::InService);
    assert!(served(world, &member.server, REQUESTS).await > 0, "1 percent is not nothing");
    done(world, &wish(member, "full", Wanted::Admit(100))).await;
    let told = find(&observe(world).await, &member.server).weight;
    assert!(matches!(told, None | Some(100)), "{told:?} at full weight");
    let share = served(world, &member.server, REQUESTS).await;
    assert!(share * count * 2 >= REQUESTS, "full weight again: {share} of {REQUESTS}");
}

async fn a_call_cut_short_is_repeated<W: World>(world: &W) {
    let (member, spare) = (&world.members()[0], &world.spare());
    for polls in 1..4 {
        for (target, what, wanted) in [
            (spare, "add", Wanted::Admit(100)),
            (spare, "remove", Wanted::Remove),
            (member, "drain", Wanted::Drain),
            (member, "admit", Wanted::Admit(100)),
        ] {
            let admission = wish(target, &format!("{what}{polls}"), wanted);
            cut_short(world.traffic().ensure_admission(&admission), polls).await;
            done(world, &admission).await;
        }
    }
    let seen = observe(world).await;
    assert_eq!(seen.len(), world.members().len(), "nothing is left over: {seen:?}");
    assert!(seen.iter().all(|backend| backend.state == BackendState::InService), "{seen:?}");
}

async fn lost_settings_are_healed<W: World>(world: &W) {
    let (member, spare) = (&world.members()[0], &world.spare());
    let drain = wish(member, "drain", Wanted::Drain);
    let add = wish(spare, "add", Wanted::Admit(100));
    done(world, &drain).await;
    done(world, &add).await;
    if !world.lose_settings().await {
        return;
    }
    done(world, &drain).await;
    done(world, &add).await;
    let seen = observe(world).await;
    assert_eq!(find(&seen, &member.server).state, BackendState::Drained);
    assert_eq!(find(&seen, &spare.server).state, BackendState::InService);
    assert_serves(world, &member.server, false).await;
    assert_serves(world, &spare.server, true).await;
}

async fn a_failed_call_is_repeated<W: World>(world: &W, fault: Fault) {
    let (member, spare) = (&world.members()[0], &world.spare());
    for (target, what, wanted) in [
        (member, "drain", Wanted::Drain),
        (member, "admit", Wanted::Admit(100)),
        (spare, "add", Wanted::Admit(100)),
        (spare, "remove", Wanted::Remove),
    ] {
        if !world.fail_next(fault).await {
            return;
        }
        let admission = wish(target, what, wanted);
        match world.traffic().ensure_admission(&admission).await {
            Err(error) => assert_ne!(error.retry, Retry::Never, "{what}: {}", error.chain()),
            Ok(answer) => panic!("{what}: the call failed, {fault:?}, and answered {answer:?}"),
        }
        done(world, &admission).await;
    }
    let seen = observe(world).await;
    assert_eq!(seen.len(), world.members().len(), "nothing is left over: {seen:?}");
    assert_serves(world, &member.server, true).await;
}

fn wish(target: &Target, key: &str, wanted: Wanted) -> Admission {
    Admission { key: Key::of(&["contract", key]), target: target.clone(), wanted }
}

async fn observe<W: World>(world: &W) -> Vec<Backend> {
    let seen = world.traffic().observe().await;
    seen.unwrap_or_else(|error| panic!("observe: {}", error.chain()))
}

fn find<'a>(seen: &'a [Backend], server: &ServerName) -> &'a Backend {
    let mut found = seen.iter().filter(|backend| backend.server == *server);
    let backend = found.next().unwrap_or_else(|| panic!("{server} is not in {seen:?}"));
    assert!(found.next().is_none(), "{server} is twice in {seen:?}");
    backend
}

async fn ensure<W: World>(world: &W, admission: &Admission) -> Progress<crate::ports::Drained> {
    let answer: Result<_, PortError> = world.traffic().ensure_admission(admission).await;
    answer.unwrap_or_else(|error| panic!("{admission:?}: {}", error.chain()))
}

/// Repeats until done, for at most a minute of the world's clock.
async fn done<W: World>(world: &W, admission: &Admission) -> crate::ports::Drained {
    let until = world.clock().now() + Duration::from_secs(60);
    loop {
        match ensure(world, admission).await {
            Progress::Done(drained) => return drained,
            Progress::Pending { poll_after } => pause(world, poll_after).await,
            Progress::Unknown { detail } => panic!("{admission:?} is unknown: {detail}"),
        }
        assert!(world.clock().now() < until, "{admission:?} is still not done");
    }
}

async fn pause<W: World>(world: &W, wait: Duration) {
    assert!(wait > Duration::ZERO, "a wait of nothing would spin");
    world.clock().sleep_until(world.clock().now() + wait).await;
}

async fn served<W: World>(world: &W, server: &ServerName, count: usize) -> usize {
    let answered = world.requests(count).await.expect("every request is served");
    assert_eq!(answered.values().sum::<usize>(), count, "every request is counted");
    answered.get(server).copied().unwrap_or(0)
}

async fn assert_serves<W: World>(world: &W, server: &ServerName, wanted: bool) {
    let count = served(world, server, 8 * (world.members().len() + 1)).await;
    assert_eq!(count > 0, wanted, "{server} answered {count} requests");
}
