//! What every adapter of an auto-scaler has to show.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{cut_short, together};
use crate::name::{FleetName, Key, RolloutId, ServerName};
use crate::ports::{Clock, PortError, Progress, Size, SizeEnd, SizeOrder};
use crate::size::SizeSettings;

/// An auto-scaler, for one case.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same auto-scaler, as after a restart of Presurge.
    fn size(&self) -> Arc<dyn Size>;

    /// The clock that the suite waits through.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Members that the auto-scaler has, at least three.
    fn members(&self) -> Vec<ServerName>;

    /// Processes that it can suspend, at least two.
    fn processes(&self) -> Vec<String>;

    /// Somebody else sets everything.
    async fn set(&self, settings: &SizeSettings);
}

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    what_is_set_is_observed(&make().await).await;
    it_is_set_and_put_back(&make().await).await;
    what_is_so_already_is_done_whatever_was_expected(&make().await).await;
    what_somebody_else_changed_is_left_alone(&make().await).await;
    a_change_cut_short_goes_on(&make().await).await;
    the_same_call_may_be_made_side_by_side(&make().await).await;
}

async fn what_is_set_is_observed<W: World>(world: &W) {
    for settings in [calm(world), tight(world)] {
        world.set(&settings).await;
        assert_eq!(observe(world).await, settings);
    }
}

async fn it_is_set_and_put_back<W: World>(world: &W) {
    let (before, during) = (calm(world), tight(world));
    world.set(&before).await;
    for _ in 0..2 {
        assert_eq!(done(world, &order("set", &before, &during)).await, SizeEnd::Set);
        assert_eq!(observe(world).await, during);
    }
    assert_eq!(done(world, &order("back", &during, &before)).await, SizeEnd::Set);
    assert_eq!(observe(world).await, before);
}

async fn what_is_so_already_is_done_whatever_was_expected<W: World>(world: &W) {
    let (is, expected) = (tight(world), calm(world));
    world.set(&is).await;
    assert_eq!(done(world, &order("so", &expected, &is)).await, SizeEnd::Set);
    let other = SizeSettings { minimum: 0, ..expected };
    assert_eq!(done(world, &order("so-too", &other, &is)).await, SizeEnd::Set);
    assert_eq!(observe(world).await, is);
}

async fn what_somebody_else_changed_is_left_alone<W: World>(world: &W) {
    let (before, during) = (calm(world), tight(world));
    let (member, process) = (&world.members()[2], &world.processes()[1]);
    let mut cases: Vec<SizeSettings> = vec![
        SizeSettings { minimum: before.minimum + 1, ..before.clone() },
        SizeSettings { maximum: before.maximum + 1, ..before.clone() },
        before.clone(),
        before.clone(),
    ];
    cases[2].protected.insert(member.clone());
    cases[3].suspended.insert(process.clone());
    for (index, found) in cases.iter().enumerate() {
        world.set(found).await;
        let order = order(&format!("other-{index}"), &before, &during);
        for _ in 0..2 {
            assert_eq!(done(world, &order).await, SizeEnd::Changed(found.clone()), "case {index}");
            assert_eq!(observe(world).await, *found, "case {index} is left alone");
        }
    }
}

async fn a_change_cut_short_goes_on<W: World>(world: &W) {
    let (before, during) = (calm(world), tight(world));
    // What a change leaves that was cut short at any of its parts.
    let half = SizeSettings {
        maximum: before.maximum,
        suspended: before.suspended.clone(),
        ..during.clone()
    };
    world.set(&half).await;
    assert_eq!(done(world, &order("half", &before, &during)).await, SizeEnd::Set);
    assert_eq!(observe(world).await, during);
    for polls in 0..6 {
        world.set(&before).await;
        let order = order(&format!("cut-{polls}"), &before, &during);
        cut_short(world.size().ensure(&order), polls).await;
        assert_eq!(done(world, &order).await, SizeEnd::Set, "cut after {polls} polls");
        assert_eq!(observe(world).await, during, "cut after {polls} polls");
    }
}

async fn the_same_call_may_be_made_side_by_side<W: World>(world: &W) {
    let (before, during) = (calm(world), tight(world));
    world.set(&before).await;
    let order = order("together", &before, &during);
    let ports = [world.size(), world.size(), world.size()];
    let [one, two, three] = ports.each_ref().map(|port| port.ensure(&order));
    for answer in together(one, two, three).await {
        match answer.unwrap_or_else(|error| panic!("at once: {}", error.chain())) {
            Progress::Pending { .. } | Progress::Done(SizeEnd::Set) => {}
            answer => panic!("nobody else changed anything: {answer:?}"),
        }
    }
    assert_eq!(done(world, &order).await, SizeEnd::Set);
    assert_eq!(observe(world).await, during);
}

/// Settings as they are without a rollout.
fn calm<W: World>(world: &W) -> SizeSettings {
    let protected = world.members().into_iter().take(1).collect();
    SizeSettings { minimum: 1, maximum: 4, protected, suspended: Default::default() }
}

/// Settings as a rollout wants them; the last member and the last process are for somebody else.
fn tight<W: World>(world: &W) -> SizeSettings {
    let protected = world.members().into_iter().take(2).collect();
    let suspended = world.processes().into_iter().take(1).collect();
    SizeSettings { minimum: 3, maximum: 6, protected, suspended }
}

fn order(key: &str, expected: &SizeSettings, wanted: &SizeSettings) -> SizeOrder {
    SizeOrder {
        key: Key::of(&["contract", key]),
        rollout: RolloutId::new("contract#1").expect("an id"),
        fleet: FleetName::new("web").expect("a name"),
        expected: expected.clone(),
        wanted: wanted.clone(),
    }
}

async fn observe<W: World>(world: &W) -> SizeSettings {
    match world.size().observe().await {
        Ok(settings) => settings,
        Err(error) => panic!("observing: {}", error.chain()),
    }
}

/// Repeats for at most a minute of the world's clock, until the answer is not `Pending`.
async fn settle<W: World>(world: &W, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
    let until = world.clock().now() + Duration::from_secs(60);
    loop {
        match world.size().ensure(order).await {
            Ok(Progress::Pending { poll_after }) => {
                assert!(poll_after > Duration::ZERO, "a wait of nothing would spin");
                world.clock().sleep_until(world.clock().now() + poll_after).await;
            }
            answer => return answer,
        }
        assert!(world.clock().now() < until, "{} is still pending", order.key);
    }
}

async fn done<W: World>(world: &W, order: &SizeOrder) -> SizeEnd {
    match settle(world, order).await {
        Ok(Progress::Done(end)) => end,
        Ok(answer) => panic!("{}: {answer:?}", order.key),
        Err(error) => panic!("{}: {}", order.key, error.chain()),
    }
}
