use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::contract::signal as contract;
use domain::ports::SignalSource;
use domain::signal::{Reach, Signal};
use jiff::Timestamp;

use super::csv::{CsvSignals, CsvSignalsConfig};
use super::holidays::{Holidays, HolidaysConfig};
use super::ical::{IcalConfig, IcalSignals};

const NOON: &str = "2026-05-04T12:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

/// A folder, and what is made of a file in it.
struct World<F> {
    folder: tempfile::TempDir,
    make: F,
}

#[async_trait]
impl<F: Fn(&Path) -> Arc<dyn SignalSource> + Send + Sync> contract::World for World<F> {
    fn source(&self) -> Arc<dyn SignalSource> {
        (self.make)(self.folder.path())
    }

    fn noon(&self) -> Timestamp {
        noon()
    }
}

fn world<F: Fn(&Path) -> Arc<dyn SignalSource>>(text: &str, make: F) -> World<F> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), text).unwrap();
    World { folder, make }
}

fn events(folder: &Path) -> Arc<dyn SignalSource> {
    Arc::new(IcalSignals::new(IcalConfig { path: "x".into() }, folder))
}

fn series(text: &str) -> impl Fn(&Path) -> Arc<dyn SignalSource> + use<> {
    let config: CsvSignalsConfig = serde_json::from_str(text).unwrap();
    move |folder| Arc::new(CsvSignals::new(config.clone(), folder))
}

/// Rows of every six hours from 20 days before noon to 20 days after it.
fn rows(ids: &[&str]) -> String {
    let mut text = String::from("unique_id,ds,price,visits\n");
    for id in ids {
        for row in -80..80 {
            let at = noon() + jiff::SignedDuration::from_hours(6 * row);
            let price = if row % 9 == 0 { String::new() } else { row.to_string() };
            writeln!(text, "{id},{at},{price},{}", row * row).unwrap();
        }
    }
    text
}

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:a\r\nCATEGORIES:sale,fair\r\n\
    DTSTART:20260501T100000Z\r\nDURATION:PT6H\r\nRRULE:FREQ=DAILY;COUNT=6\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nSUMMARY:sale\r\nDTSTART;VALUE=DATE:20260507\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[tokio::test]
async fn sources_of_signals_keep_their_contract() {
    contract::run(world(CALENDAR, events)).await;
    contract::run(world(&rows(&["web"]), series(r#"{"path":"x","known":["price"]}"#))).await;
    contract::run(world(&rows(&["web", "api"]), series(r#"{"path":"x","series":"api"}"#))).await;
    let countries = vec!["DE".to_owned(), "gb".to_owned()];
    let holidays = Holidays::new(&HolidaysConfig { countries }).unwrap();
    contract::run(world("", move |_| Arc::new(holidays.clone()))).await;
}

async fn told(source: &dyn SignalSource, text: &str) -> Vec<Signal> {
    let week = Duration::from_secs(7 * 86_400);
    let told = source.signals(noon() - week, noon(), noon() + week).await;
    told.unwrap_or_else(|error| panic!("{text}: {}", error.chain()))
}

#[tokio::test]
async fn events_of_one_category_are_together() {
    let world = world(CALENDAR, events);
    let told = told(contract::World::source(&world).as_ref(), CALENDAR).await;
    let count = |signal: &Signal| match signal {
        Signal::Events { name, times } => (name.clone(), times.len()),
        Signal::Series { .. } => panic!("{signal:?}"),
    };
    let counts: Vec<_> = told.iter().map(count).collect();
    assert_eq!(counts, [("fair".to_owned(), 6), ("sale".to_owned(), 7)]);
}

#[tokio::test]
async fn columns_are_known_ahead_or_up_to_now() {
    let text = rows(&["web"]);
    let world = world(&text, series(r#"{"path":"x","known":["price"]}"#));
    let told = told(contract::World::source(&world).as_ref(), &text).await;
    let [Signal::Series { reach, samples: price, .. }, Signal::Series { samples: visits, .. }] =
        told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(*reach, Reach::KnownAhead);
    // Two weeks of every six hours, less the gaps; and one week.
    assert_eq!((price.len(), visits.len()), (56 - 7, 28));
    assert!(visits.last().unwrap().at < noon());
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_named() {
    let refused = async |text: &str, config: &str, what: &str| {
        let world = world(text, series(config));
        let source = contract::World::source(&world);
        let error = source.signals(noon(), noon(), noon()).await.expect_err(what).chain();
        assert!(error.contains(what), "{error}");
    };
    let plain = r#"{"path":"x"}"#;
    let two = rows(&["web", "api"]);
    refused(&two, plain, "holds several series; set series to one of them").await;
    let slip = r#"{"path":"x","series":"wbe"}"#;
    refused(&two, slip, "has no series \"wbe\"; did you mean \"web\"?").await;
    let slip = r#"{"path":"x","series":"web","known":["prise"]}"#;
    refused(&two, slip, "known: there is no column \"prise\"; did you mean \"price\"?").await;
    refused("ds,x\n2026-05-04,1\n2026-05-03,1\n", plain, "x:3: 2026-05-03T00:00:00Z does not come")
        .await;
    refused("ds,x\n2026-05-04,1\n2026-05-04,1\n", plain, "x:3: ").await;
    refused("ds,x\n2026-05-04,inf\n", plain, "x:2: x is \"inf\"").await;
    refused("ds,x\n2026-05-04,1\n", r#"{"path":"y"}"#, "cannot be read").await;
    let world = world("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\n", events);
    let source = contract::World::source(&world);
    let error = source.signals(noon(), noon(), noon()).await.unwrap_err().chain();
    assert!(error.contains("/x") && error.contains("line 2"), "{error}");
    let often = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nDTSTART:20260504T120000Z\nDURATION:PT1M\n\
        RRULE:FREQ=DAILY\nEND:VEVENT\nEND:VCALENDAR\n";
    let world = self::world(often, events);
    let source = contract::World::source(&world);
    let centuries = Duration::from_secs(300 * 366 * 86_400);
    let error = source.signals(noon(), noon(), noon() + centuries).await.unwrap_err().chain();
    assert!(error.contains("line 2: the event takes place more than 100000 times"), "{error}");
}
