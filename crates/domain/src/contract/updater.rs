//! What every updater has to show.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{cut_short, together};
use crate::name::{Key, Version};
use crate::ports::{Clock, PortError, Progress, Retry, Target, UpdateOrder, UpdateState, Updater};

/// A server that can be updated, for one case. It begins with version `1`.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same server, as after a restart of Presurge.
    fn updater(&self) -> Arc<dyn Updater>;

    /// The clock that the suite waits through.
    fn clock(&self) -> Arc<dyn Clock>;

    /// The server.
    fn target(&self) -> Target;

    /// Whether the updater can see what the server runs.
    fn observes(&self) -> bool;

    /// What the server really runs.
    async fn version(&self) -> Version;

    /// How many updates have begun on the server since the case began.
    async fn begun(&self) -> usize;

    /// Updates that have begun do not end while this is set.
    async fn hold(&self, held: bool);

    /// Updates fail, without effect, while this is set.
    async fn fail(&self, failing: bool);

    /// Cuts the update under way short, before its effect, in such a way that nobody hears how it
    /// ended. False where that cannot happen.
    async fn interrupt(&self) -> bool;
}

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    a_server_is_updated_once(&make().await).await;
    what_is_so_already_is_not_touched(&make().await).await;
    an_update_under_way_is_pending(&make().await).await;
    the_same_key_at_once_is_one_update(&make().await).await;
    a_failure_stays_until_there_is_a_new_key(&make().await).await;
    a_call_cut_short_is_repeated(&make().await).await;
    an_interruption_is_never_taken_for_success(&make().await).await;
}

async fn a_server_is_updated_once<W: World>(world: &W) {
    if world.observes() {
        let seen = observe(world).await;
        assert_eq!(seen.version, Some(version("1")), "a server begins with version 1");
        assert!(!seen.in_progress, "nothing is under way");
    }
    let order = order(world, "once", "2");
    for _ in 0..3 {
        let state = done(world, &order).await;
        assert_eq!(world.version().await, version("2"), "done means that it is so");
        assert_eq!(world.begun().await, 1, "the same key has one effect");
        if world.observes() {
            assert_eq!(state.version, Some(version("2")));
        }
        assert!(!state.in_progress, "done is not under way");
    }
    if world.observes() {
        assert_eq!(observe(world).await.version, Some(version("2")));
    }
}

async fn what_is_so_already_is_not_touched<W: World>(world: &W) {
    if !world.observes() {
        return;
    }
    let state = done(world, &order(world, "already", "1")).await;
    assert_eq!(state.version, Some(version("1")));
    assert_eq!(world.begun().await, 0, "it runs the version already");
}

async fn an_update_under_way_is_pending<W: World>(world: &W) {
    world.hold(true).await;
    let order = order(world, "long", "2");
    begin(world, &order).await;
    for _ in 0..3 {
        let answer = ensure(world, &order).await;
        assert!(matches!(answer, Progress::Pending { .. }), "it is under way: {answer:?}");
        assert!(observe(world).await.in_progress, "it is under way");
    }
    world.hold(false).await;
    done(world, &order).await;
    assert!(!observe(world).await.in_progress, "it has ended");
    assert_eq!(world.begun().await, 1);
}

async fn the_same_key_at_once_is_one_update<W: World>(world: &W) {
    for (count, wanted) in ["2", "3", "4"].into_iter().enumerate() {
        let order = order(world, &format!("at-once-{wanted}"), wanted);
        let updaters = [world.updater(), world.updater(), world.updater()];
        let [one, two, three] = updaters.each_ref().map(|updater| updater.ensure_version(&order));
        for answer in together(one, two, three).await {
            let answer = answer.unwrap_or_else(|error| panic!("at once: {}", error.chain()));
            assert!(!matches!(answer, Progress::Unknown { .. }), "{answer:?}");
        }
        done(world, &order).await;
        assert_eq!(world.version().await, version(wanted));
        assert_eq!(world.begun().await, count + 1, "three callers, one update");
    }
}

async fn a_failure_stays_until_there_is_a_new_key<W: World>(world: &W) {
    world.fail(true).await;
    let first = order(world, "first", "2");
    let error = refused(world, &first).await;
    assert_eq!(error.retry, Retry::Never, "{}", error.chain());
    world.fail(false).await;
    let begun = world.begun().await;
    for _ in 0..3 {
        let again = refused(world, &first).await;
        assert_eq!(again.retry, Retry::Never, "{}", again.chain());
    }
    assert_eq!(world.begun().await, begun, "the same key does not try again");
    assert_eq!(world.version().await, version("1"), "it failed without effect");
    done(world, &order(world, "second", "2")).await;
    assert_eq!(world.version().await, version("2"));
    assert_eq!(world.begun().await, begun + 1, "a new key tries again");
}

async fn a_call_cut_short_is_repeated<W: World>(world: &W) {
    for polls in 0..6 {
        let wanted = (polls + 2).to_string();
        let order = order(world, &format!("cut-{polls}"), &wanted);
        cut_short(world.updater().ensure_version(&order), polls).await;
        done(world, &order).await;
        assert_eq!(world.version().await, version(&wanted));
        assert_eq!(world.begun().await, polls as usize + 1, "cut after {polls} polls: once");
    }
}

async fn an_interruption_is_never_taken_for_success<W: World>(world: &W) {
    world.hold(true).await;
    let order = order(world, "interrupted", "2");
    begin(world, &order).await;
    if !world.interrupt().await {
        world.hold(false).await;
        return;
    }
    world.hold(false).await;
    match settle(world, &order).await {
        Ok(Progress::Done(_)) => {
            assert_eq!(world.version().await, version("2"), "done means that it is so");
        }
        Ok(Progress::Unknown { detail }) => {
            assert!(!detail.trim().is_empty(), "a person needs to know what is known");
            let again = ensure(world, &order).await;
            assert!(matches!(again, Progress::Unknown { .. }), "it stays unknown: {again:?}");
            assert_eq!(world.begun().await, 1, "the unknown is never repeated blindly");
        }
        Ok(answer) => panic!("it has settled: {answer:?}"),
        Err(error) => panic!("an interruption is no failure: {}", error.chain()),
    }
}

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

fn order<W: World>(world: &W, key: &str, wanted: &str) -> UpdateOrder {
    let (key, target) = (Key::of(&["contract", key]), world.target());
    UpdateOrder { key, target, version: version(wanted) }
}

async fn observe<W: World>(world: &W) -> UpdateState {
    let seen = world.updater().observe(&world.target()).await;
    seen.unwrap_or_else(|error| panic!("observe: {}", error.chain()))
}

async fn ensure<W: World>(world: &W, order: &UpdateOrder) -> Progress<UpdateState> {
    let answer = world.updater().ensure_version(order).await;
    answer.unwrap_or_else(|error| panic!("{}: {}", order.key, error.chain()))
}

/// Starts an update that is held, and returns once it has reached the server.
async fn begin<W: World>(world: &W, order: &UpdateOrder) {
    let until = world.clock().now() + Duration::from_secs(60);
    while world.begun().await == 0 {
        let Progress::Pending { poll_after } = ensure(world, order).await else {
            panic!("an update that is held does not end");
        };
        pause(world, poll_after).await;
        assert!(world.clock().now() < until, "{} does not begin", order.key);
    }
}

/// Repeats for at most a minute of the world's clock, until the answer is not `Pending`.
async fn settle<W: World>(
    world: &W,
    order: &UpdateOrder,
) -> Result<Progress<UpdateState>, PortError> {
    let until = world.clock().now() + Duration::from_secs(60);
    loop {
        match world.updater().ensure_version(order).await {
            Ok(Progress::Pending { poll_after }) => pause(world, poll_after).await,
            answer => return answer,
        }
        assert!(world.clock().now() < until, "{} is still pending", order.key);
    }
}

async fn done<W: World>(world: &W, order: &UpdateOrder) -> UpdateState {
    match settle(world, order).await {
        Ok(Progress::Done(state)) => state,
        Ok(answer) => panic!("{}: {answer:?}", order.key),
        Err(error) => panic!("{}: {}", order.key, error.chain()),
    }
}

async fn refused<W: World>(world: &W, order: &UpdateOrder) -> PortError {
    settle(world, order).await.expect_err("an update that fails is an error")
}

async fn pause<W: World>(world: &W, wait: Duration) {
    assert!(wait > Duration::ZERO, "a wait of nothing would spin");
    world.clock().sleep_until(world.clock().now() + wait).await;
}
