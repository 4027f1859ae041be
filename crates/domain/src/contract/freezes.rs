//! What every journal has to show of the chain of freezes, which one process writes and all others
//! read on in.

use jiff::Timestamp;

use super::journal::World;
use crate::event::Event;
use crate::freeze::{BadFreezes, Freezes};
use crate::journal::{Actor, Entry, Head, Record};
use crate::name::FleetName;
use crate::ports::{Append, AppendError, Authority};

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    a_freeze_is_seen_by_who_came_before_and_after(&make().await).await;
    a_freeze_stops_its_fleet_alone_until_it_is_lifted_or_over(&make().await).await;
    of_two_who_freeze_at_once_neither_is_lost(&make().await).await;
    what_is_no_freeze_is_refused(&make().await).await;
}

async fn a_freeze_is_seen_by_who_came_before_and_after<W: World>(world: &W) {
    let mut before = Freezes::default();
    read_on(world, &mut before).await.expect("nobody has frozen anything");
    assert_eq!(before.in_force(at(0)).count(), 0);
    append(world, before.head(), freeze(None, None), 10).await.expect("it is the first");
    let mut after = Freezes::default();
    for freezes in [&mut before, &mut after] {
        read_on(world, freezes).await.expect("one freeze");
        let found = freezes.on(&fleet("web"), at(10)).expect("everything is frozen");
        assert_eq!(
            found.to_string(),
            "everything is frozen by operator:ann since 1970-01-01T00:00:10Z: payments fail"
        );
    }
    assert_eq!(before, after);
    let chain = world.journal().read(&Freezes::chain(), 0).await.unwrap();
    assert_eq!(crate::journal::verify(&chain).as_ref(), Ok(after.head()), "it can be audited");
}

async fn a_freeze_stops_its_fleet_alone_until_it_is_lifted_or_over<W: World>(world: &W) {
    let (web, db) = (fleet("web"), fleet("db"));
    let mut freezes = Freezes::default();
    for event in [
        freeze(Some(&web), Some(60)),
        freeze(Some(&db), None),
        freeze(None, Some(30)),
        Event::UnfreezeRequested { fleet: None },
        freeze(Some(&web), Some(20)),
    ] {
        append(world, freezes.head(), event, 5).await.expect("nobody else writes");
        read_on(world, &mut freezes).await.expect("a whole chain");
    }
    let stops = |name: &FleetName, second| freezes.on(name, at(second)).is_some();
    assert!(!stops(&fleet("app"), 10), "the freeze of everything was lifted");
    assert!(stops(&web, 59) && !stops(&web, 60), "the longer of two counts, and no longer");
    assert!(stops(&db, 1_000_000), "a freeze of one fleet outlasts that of everything");
    append(world, freezes.head(), Event::UnfreezeRequested { fleet: Some(web.clone()) }, 6)
        .await
        .expect("nobody else writes");
    read_on(world, &mut freezes).await.expect("a whole chain");
    assert!(freezes.on(&web, at(10)).is_none() && freezes.on(&db, at(10)).is_some());
}

async fn of_two_who_freeze_at_once_neither_is_lost<W: World>(world: &W) {
    let empty = Head::empty();
    append(world, &empty, freeze(Some(&fleet("web")), None), 0).await.expect("the first");
    let late = append(world, &empty, freeze(Some(&fleet("db")), None), 0).await;
    let Err(AppendError::Conflict(head)) = late else { panic!("not told of the first: {late:?}") };
    append(world, &head, freeze(Some(&fleet("db")), None), 0).await.expect("told and tried again");
    let mut freezes = Freezes::default();
    read_on(world, &mut freezes).await.expect("both");
    assert_eq!(freezes.in_force(at(0)).count(), 2);
}

async fn what_is_no_freeze_is_refused<W: World>(world: &W) {
    append(world, &Head::empty(), Event::PauseRequested {}, 0).await.expect("it is a chain");
    let mut freezes = Freezes::default();
    let error = read_on(world, &mut freezes).await.expect_err("a pause freezes nothing");
    assert!(matches!(error, BadFreezes::Foreign { seq: 1, .. }), "{error}");
    assert_eq!(freezes, Freezes::default(), "what is refused changes nothing");
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn fleet(name: &str) -> FleetName {
    FleetName::new(name).unwrap()
}

fn freeze(fleet: Option<&FleetName>, until: Option<i64>) -> Event {
    Event::FreezeRequested { fleet: fleet.cloned(), until: until.map(at) }
}

async fn read_on<W: World>(world: &W, freezes: &mut Freezes) -> Result<(), BadFreezes> {
    let read = world.journal().read(&Freezes::chain(), freezes.head().seq).await;
    let records = read.unwrap_or_else(|error| panic!("read: {}", error.chain()));
    records.iter().try_for_each(|record| freezes.take(record))
}

async fn append<W: World>(
    world: &W,
    after: &Head,
    event: Event,
    second: i64,
) -> Result<Vec<Record>, AppendError> {
    let entry = Entry {
        at: at(second),
        actor: Actor::operator("ann"),
        cause: None,
        reason: "payments fail".into(),
        inputs: None,
        event,
    };
    let (rollout, authority, entries) = (&Freezes::chain(), Authority::Operator, vec![entry]);
    world.journal().append(Append { rollout, authority, after, entries }).await
}
