//! What every hook has to show.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{cut_short, together};
use crate::event::HookPoint;
use crate::name::{FleetName, Key, RolloutId, ServerName, Version};
use crate::ports::{Clock, Hook, HookEnd, HookOrder, PortError, Progress};

/// Something that a hook runs, for one case.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same place, as after a restart of Presurge.
    fn hook(&self) -> Arc<dyn Hook>;

    /// The clock that the suite waits through.
    fn clock(&self) -> Arc<dyn Clock>;

    /// How many runs have begun since the case began.
    async fn begun(&self) -> usize;

    /// Runs that have begun do not end by themselves while this is set.
    async fn hold(&self, held: bool);

    /// Runs fail while this is set.
    async fn fail(&self, failing: bool);

    /// Cuts the run under way short, so that nobody hears how it ended. False where that cannot happen.
    async fn interrupt(&self) -> bool;
}

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    the_same_key_runs_once(&make().await).await;
    a_failure_stays_until_there_is_a_new_key(&make().await).await;
    what_takes_too_long_is_ended(&make().await).await;
    a_call_cut_short_is_repeated(&make().await).await;
    an_interruption_is_never_taken_for_an_end(&make().await).await;
}

async fn the_same_key_runs_once<W: World>(world: &W) {
    world.hold(true).await;
    let order = order("once");
    let hooks = [world.hook(), world.hook(), world.hook()];
    let [one, two, three] = hooks.each_ref().map(|hook| hook.ensure_run(&order));
    for answer in together(one, two, three).await {
        let answer = answer.unwrap_or_else(|error| panic!("at once: {}", error.chain()));
        assert!(matches!(answer, Progress::Pending { .. }), "it is under way: {answer:?}");
    }
    begin(world, &order).await;
    world.hold(false).await;
    let first = done(world, &order).await;
    assert!(matches!(first, HookEnd::Well(_)), "{first:?}");
    for _ in 0..3 {
        assert_eq!(done(world, &order).await, first, "the answer stays");
    }
    assert_eq!(world.begun().await, 1, "the same key runs once");
}

async fn a_failure_stays_until_there_is_a_new_key<W: World>(world: &W) {
    world.fail(true).await;
    let first = order("first");
    let failed = done(world, &first).await;
    let HookEnd::Badly(why) = &failed else { panic!("it fails: {failed:?}") };
    assert!(!why.trim().is_empty(), "a failure says how");
    world.fail(false).await;
    assert_eq!(done(world, &first).await, failed, "the same key does not try again");
    assert_eq!(world.begun().await, 1);
    let second = done(world, &order("second")).await;
    assert!(matches!(second, HookEnd::Well(_)), "{second:?}");
    assert_eq!(world.begun().await, 2, "a new key tries again");
}

async fn what_takes_too_long_is_ended<W: World>(world: &W) {
    world.hold(true).await;
    let order = HookOrder { timeout: Duration::from_secs(1), ..order("slow") };
    let end = done(world, &order).await;
    assert!(matches!(end, HookEnd::Badly(_)), "it takes too long: {end:?}");
    world.hold(false).await;
    assert_eq!(done(world, &order).await, end, "what it does later is not heard");
}

async fn a_call_cut_short_is_repeated<W: World>(world: &W) {
    for polls in 0..6 {
        let order = order(&format!("cut-{polls}"));
        cut_short(world.hook().ensure_run(&order), polls).await;
        done(world, &order).await;
        assert_eq!(world.begun().await, polls as usize + 1, "cut after {polls} polls: once");
    }
}

async fn an_interruption_is_never_taken_for_an_end<W: World>(world: &W) {
    world.hold(true).await;
    let order = order("interrupted");
    begin(world, &order).await;
    let interrupted = world.interrupt().await;
    world.hold(false).await;
    if !interrupted {
        return;
    }
    for _ in 0..3 {
        match settle(world, &order).await {
            Ok(Progress::Unknown { detail }) => assert!(!detail.trim().is_empty()),
            answer => panic!("nobody knows how it ended: {answer:?}"),
        }
    }
    assert_eq!(world.begun().await, 1, "the unknown is never repeated blindly");
}

fn order(key: &str) -> HookOrder {
    HookOrder {
        key: Key::of(&["contract", key]),
        hook: HookPoint::AfterBatch,
        rollout: RolloutId::new("contract#1").expect("an id"),
        fleet: FleetName::new("web").expect("a name"),
        version: Version::new("2").expect("a version"),
        revision: 1,
        batch: Some(1),
        servers: vec![ServerName::new("web-1").expect("a name")],
        timeout: Duration::from_secs(60),
    }
}

/// Starts a run that is held, and returns once it has begun.
async fn begin<W: World>(world: &W, order: &HookOrder) {
    let until = world.clock().now() + Duration::from_secs(60);
    while world.begun().await == 0 {
        assert!(world.clock().now() < until, "{} does not begin", order.key);
        match world.hook().ensure_run(order).await {
            Ok(Progress::Pending { poll_after }) => pause(world, poll_after).await,
            answer => panic!("a run that is held does not end: {answer:?}"),
        }
    }
}

/// Repeats for at most a minute of the world's clock, until the answer is not `Pending`.
async fn settle<W: World>(world: &W, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
    let until = world.clock().now() + Duration::from_secs(60);
    loop {
        match world.hook().ensure_run(order).await {
            Ok(Progress::Pending { poll_after }) => pause(world, poll_after).await,
            answer => return answer,
        }
        assert!(world.clock().now() < until, "{} is still pending", order.key);
    }
}

async fn done<W: World>(world: &W, order: &HookOrder) -> HookEnd {
    match settle(world, order).await {
        Ok(Progress::Done(end)) => end,
        Ok(answer) => panic!("{}: {answer:?}", order.key),
        Err(error) => panic!("{}: {}", order.key, error.chain()),
    }
}

async fn pause<W: World>(world: &W, wait: Duration) {
    assert!(wait > Duration::ZERO, "a wait of nothing would spin");
    world.clock().sleep_until(world.clock().now() + wait).await;
}
