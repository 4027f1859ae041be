//! What every provisioner has to show.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{cut_short, together};
use crate::name::{Key, OfferName, ServerName, Version};
use crate::ports::{
    Clock, Instance, InstanceState, PortError, Progress, Provisioner, Retry, SurgeOrder,
};

/// A place where instances come from, for one case. It begins without any.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same place, as after a restart of Presurge.
    fn provisioner(&self) -> Arc<dyn Provisioner>;

    /// The clock that the suite waits through.
    fn clock(&self) -> Arc<dyn Clock>;

    /// An offer that has at least four instances.
    fn offer(&self) -> OfferName;

    /// Every instance that there really is, in any order; one that is there twice is twice in it.
    async fn real(&self) -> Vec<ServerName>;

    /// Makes an instance end without being asked to.
    async fn lose(&self, name: &ServerName);
}

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    what_is_wanted_runs_once(&make().await).await;
    fewer_names_give_the_others_back(&make().await).await;
    orders_are_apart(&make().await).await;
    a_name_is_in_one_order_only(&make().await).await;
    what_was_lost_is_not_replaced(&make().await).await;
    what_was_given_back_can_be_had_again(&make().await).await;
    the_same_key_at_once_is_one_purchase(&make().await).await;
    a_call_cut_short_is_repeated(&make().await).await;
}

async fn what_is_wanted_runs_once<W: World>(world: &W) {
    assert!(observe(world).await.is_empty(), "it begins without instances");
    assert!(done(world, &order(world, "none", &[])).await.is_empty(), "nothing is wanted");
    let order = order(world, "a", &["s-1", "s-2", "s-3"]);
    for _ in 0..3 {
        let seen = done(world, &order).await;
        assert_eq!(names(&seen), ["s-1", "s-2", "s-3"]);
        assert!(seen.iter().all(|one| one.state == InstanceState::Running), "{seen:?}");
        assert!(seen.iter().all(|one| one.key == order.key), "each carries its key: {seen:?}");
        let addresses: BTreeSet<_> = seen.iter().filter_map(|one| one.address.clone()).collect();
        assert_eq!(addresses.len(), 3, "each has an address of its own: {seen:?}");
        assert_eq!(real(world).await, ["s-1", "s-2", "s-3"], "each is there once");
        let listed = observe(world).await;
        assert!(listed.iter().all(|one| seen.contains(one)) && listed.len() == 3, "{listed:?}");
    }
    end(world, &order).await;
}

async fn fewer_names_give_the_others_back<W: World>(world: &W) {
    let before = done(world, &order(world, "a", &["s-1", "s-2", "s-3"])).await;
    let fewer = order(world, "a", &["s-2"]);
    for _ in 0..2 {
        let seen = done(world, &fewer).await;
        assert_eq!(seen, [before[1].clone()], "what stays is not touched");
        assert_eq!(real(world).await, ["s-2"]);
        assert_eq!(names(&observe(world).await), ["s-2"], "what was given back is not listed");
    }
    let more = done(world, &order(world, "a", &["s-2", "s-4"])).await;
    assert_eq!(more[0], before[1], "what stays is not touched");
    assert_eq!(real(world).await, ["s-2", "s-4"]);
    end(world, &fewer).await;
}

async fn orders_are_apart<W: World>(world: &W) {
    let (one, two) = (order(world, "a", &["s-1"]), order(world, "b", &["s-2", "s-3"]));
    done(world, &one).await;
    done(world, &two).await;
    assert_eq!(names(&observe(world).await), ["s-1", "s-2", "s-3"], "all orders are listed");
    end(world, &one).await;
    assert_eq!(names(&done(world, &two).await), ["s-2", "s-3"], "the other order is untouched");
    end(world, &two).await;
    assert!(real(world).await.is_empty());
}

async fn a_name_is_in_one_order_only<W: World>(world: &W) {
    let one = order(world, "a", &["s-1"]);
    done(world, &one).await;
    let error = settle(world, &order(world, "b", &["s-1"])).await.expect_err("it is taken");
    assert_eq!(error.retry, Retry::Never, "{}", error.chain());
    end(world, &order(world, "b", &[])).await;
    assert_eq!(real(world).await, ["s-1"], "another order does not end it");
    end(world, &one).await;
}

async fn what_was_lost_is_not_replaced<W: World>(world: &W) {
    let order = order(world, "a", &["s-1", "s-2"]);
    done(world, &order).await;
    world.lose(&name("s-1")).await;
    for _ in 0..3 {
        let seen = done(world, &order).await;
        assert_eq!(names(&seen), ["s-1", "s-2"]);
        assert_eq!(seen[0].state, InstanceState::Lost);
        assert_eq!(seen[1].state, InstanceState::Running);
        assert_eq!(real(world).await, ["s-2"], "it is not replaced under the same name");
        assert_eq!(find(&observe(world).await, "s-1").state, InstanceState::Lost);
    }
    let rest = SurgeOrder { names: vec![name("s-2")], ..order.clone() };
    assert_eq!(names(&done(world, &rest).await), ["s-2"]);
    assert_eq!(names(&observe(world).await), ["s-2"], "no longer wanted, no longer listed");
    end(world, &order).await;
}

async fn what_was_given_back_can_be_had_again<W: World>(world: &W) {
    let order = order(world, "a", &["s-1"]);
    for _ in 0..2 {
        done(world, &order).await;
        assert_eq!(real(world).await, ["s-1"]);
        end(world, &order).await;
        assert!(real(world).await.is_empty());
    }
}

async fn the_same_key_at_once_is_one_purchase<W: World>(world: &W) {
    for round in ["a", "b", "c"] {
        let order = order(world, round, &["s-1", "s-2"]);
        at_once(world, &order).await;
        assert_eq!(names(&done(world, &order).await), ["s-1", "s-2"]);
        assert_eq!(real(world).await, ["s-1", "s-2"], "three callers, one purchase");
        let none = SurgeOrder { names: Vec::new(), ..order };
        at_once(world, &none).await;
        end(world, &none).await;
    }
}

async fn at_once<W: World>(world: &W, order: &SurgeOrder) {
    let all = [world.provisioner(), world.provisioner(), world.provisioner()];
    let [one, two, three] = all.each_ref().map(|provisioner| provisioner.ensure_surge(order));
    for answer in together(one, two, three).await {
        let answer = answer.unwrap_or_else(|error| panic!("at once: {}", error.chain()));
        assert!(!matches!(answer, Progress::Unknown { .. }), "{answer:?}");
    }
}

async fn a_call_cut_short_is_repeated<W: World>(world: &W) {
    for polls in 0..6 {
        let order = order(world, &format!("cut-{polls}"), &["s-1", "s-2"]);
        cut_short(world.provisioner().ensure_surge(&order), polls).await;
        assert_eq!(names(&done(world, &order).await), ["s-1", "s-2"]);
        assert_eq!(real(world).await, ["s-1", "s-2"], "cut after {polls} polls: once");
        let none = SurgeOrder { names: Vec::new(), ..order };
        cut_short(world.provisioner().ensure_surge(&none), polls).await;
        end(world, &none).await;
    }
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("a name")
}

fn order<W: World>(world: &W, key: &str, names: &[&str]) -> SurgeOrder {
    SurgeOrder {
        key: Key::of(&["contract", key]),
        offer: world.offer(),
        names: names.iter().map(|text| name(text)).collect(),
        version: Some(Version::new("1").expect("a version")),
    }
}

fn names(instances: &[Instance]) -> Vec<&str> {
    let mut names: Vec<_> = instances.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn find<'a>(instances: &'a [Instance], name: &str) -> &'a Instance {
    let found = instances.iter().find(|one| one.name.as_str() == name);
    found.unwrap_or_else(|| panic!("{name} is not in {instances:?}"))
}

async fn real<W: World>(world: &W) -> Vec<String> {
    let mut names: Vec<_> = world.real().await.into_iter().map(String::from).collect();
    names.sort_unstable();
    names
}

async fn observe<W: World>(world: &W) -> Vec<Instance> {
    let seen = world.provisioner().observe().await;
    seen.unwrap_or_else(|error| panic!("observe: {}", error.chain()))
}

/// Repeats for at most a minute of the world's clock, until the answer is not `Pending`.
async fn settle<W: World>(
    world: &W,
    order: &SurgeOrder,
) -> Result<Progress<Vec<Instance>>, PortError> {
    let until = world.clock().now() + Duration::from_secs(60);
    loop {
        let poll_after = match world.provisioner().ensure_surge(order).await? {
            Progress::Pending { poll_after } => poll_after,
            answer => return Ok(answer),
        };
        assert!(poll_after > Duration::ZERO, "a wait of nothing would spin");
        world.clock().sleep_until(world.clock().now() + poll_after).await;
        assert!(world.clock().now() < until, "{} is still pending", order.key);
    }
}

/// What runs when it is done, in the order of names.
async fn done<W: World>(world: &W, order: &SurgeOrder) -> Vec<Instance> {
    match settle(world, order).await {
        Ok(Progress::Done(mut instances)) => {
            instances.sort_by(|one, two| one.name.cmp(&two.name));
            instances
        }
        Ok(answer) => panic!("{}: {answer:?}", order.key),
        Err(error) => panic!("{}: {}", order.key, error.chain()),
    }
}

/// Gives everything of an order back.
async fn end<W: World>(world: &W, order: &SurgeOrder) {
    let none = SurgeOrder { names: Vec::new(), ..order.clone() };
    for _ in 0..2 {
        assert!(done(world, &none).await.is_empty(), "nothing is left of {}", order.key);
    }
    let listed = observe(world).await;
    assert!(listed.iter().all(|one| one.key != order.key), "{listed:?}");
}
