//! Plans from forecasters that are kept, as the daemon makes them.

use std::fmt::Write as _;
use std::time::Duration;

use domain::plan::PerDimension;
use domain::ports::Clock;
use domain::series::Step;
use sim::SimClock;
use store::{Sqlite, Store};

use super::*;
use crate::apply::planner::keep;
use crate::pipeline::{self, Prepared};

const CONFIGURATION: &str = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers: { static: { prefix: web, count: 6 } }
  capacity: { requests: 100 }
  load: { requests: { csv: { path: load.csv } } }
  saturation: { requests: { csv: { path: full.csv }, above: 0.5 } }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge: { offers: [{ name: od, capacity: { requests: 100 }, price: 0.2, lead: 3m, max: 6 }] }
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: { name: kernel }\nspec:
  fleets: [web]
  target: { version: \"2\" }
  risk: 0.02
  deadline: 3h\n";

/// Steps of ten minutes, three weeks of them.
const STEPS: i64 = 21 * 144;
const BEGIN: &str = "2026-03-01T00:00:00Z";

fn at(step: i64) -> Timestamp {
    BEGIN.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(600 * step)
}

fn key() -> Key {
    (FleetName::new("web").unwrap(), Dimension::new("requests").unwrap())
}

/// A fleet whose load is known, was saturated for an hour a day ago, and is kept by a daemon.
struct Desk {
    folder: tempfile::TempDir,
    clock: Arc<dyn Clock>,
    prepared: Prepared,
    fresh: Arc<Fresh>,
    store: Arc<dyn Store>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.yaml");
        std::fs::write(&file, CONFIGURATION).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(at(STEPS)));
        write(folder.path(), STEPS, |_| 0.0);
        let fresh = Arc::new(Fresh::default());
        let prepared = Prepared::of_file(&file, &clock).with_forecasters(fresh.clone());
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(folder.path().join("presurge.db")).unwrap());
        Self { folder, clock, prepared, fresh, store }
    }

    /// Fits to what is known at a step, for two days ahead.
    async fn fits(&self, step: i64) {
        let series = pipeline::read(&self.prepared.feeds[0], at(step)).await.unwrap().series;
        let (known, told) = Known::fit(None, &series, 2 * 86_400, at(step)).unwrap();
        assert!(told.is_empty());
        self.fresh.set(key(), Kept { known: Some(known), ..Kept::default() });
    }

    /// Takes in what is new at a step, as the loop does.
    async fn carries_on(&self, step: i64) {
        let kept = self.fresh.get(&key());
        let known = kept.known.unwrap();
        let from = known.forecaster.end() - known.taken.step().duration() * 2;
        let feed = self.prepared.feeds[0].clone().load_alone();
        let series = pipeline::read_on(&feed, known.taken.step(), from, at(step)).await.unwrap();
        let known = known.carried(&series).unwrap().0;
        self.fresh.set(key(), Kept { known: Some(known), ..Kept::default() });
    }

    /// A plan at a step, and whether it was made from the forecaster that is kept.
    async fn plans(&self, step: i64) -> (pipeline::Made, bool) {
        let ask = self.prepared.first(at(step), 7).unwrap();
        let made = self.prepared.make_plan(ask).await.unwrap_or_else(|e| panic!("{e}"));
        let kept = made.plan.inputs.models.contains_key("web/requests");
        (made, kept)
    }
}

/// The load and its saturation up to a step; `more` is added to the load.
fn write(folder: &std::path::Path, upto: i64, more: impl Fn(i64) -> f64) {
    let (mut load, mut full) = (String::from("ds,y\n"), String::from("ds,y\n"));
    for step in 0..upto {
        let day = (std::f64::consts::TAU * (step % 144) as f64 / 144.0).sin();
        let noise = ((step * step) as f64 * 0.618).sin();
        let y = 250.0 + 60.0 * day + 10.0 * noise + more(step);
        writeln!(load, "{},{y}", at(step)).unwrap();
        let saturated = (STEPS - 144..STEPS - 138).contains(&step) || step == STEPS + 1;
        writeln!(full, "{},{}", at(step), u8::from(saturated)).unwrap();
    }
    std::fs::write(folder.join("load.csv"), load).unwrap();
    std::fs::write(folder.join("full.csv"), full).unwrap();
}

#[tokio::test]
async fn a_plan_is_made_from_what_is_kept_and_comes_out_of_the_archive_again() {
    let desk = Desk::new();
    assert!(!desk.plans(STEPS - 20).await.1, "nothing is kept yet");
    assert!(desk.fresh.wish(&key()).anew, "and it is fitted next");
    desk.fits(STEPS - 20).await;
    let (made, kept) = desk.plans(STEPS - 20).await;
    assert!(kept);
    // It goes on with each sample; a plan that comes a little before it carries it on by itself.
    let (early, kept) = desk.plans(STEPS - 3).await;
    assert!(kept);
    desk.carries_on(STEPS - 10).await;
    desk.carries_on(STEPS - 3).await;
    let (then, kept) = desk.plans(STEPS - 3).await;
    assert!(kept && early.plan == then.plan);
    // Who has gone on knows more than a plan of before may.
    assert!(!desk.plans(STEPS - 4).await.1);
    for made in [made, then] {
        let (plan, store) = (&made.plan, desk.store.as_ref());
        let again = async || {
            let own = desk.prepared.as_recorded(store, &plan.inputs.load).await.unwrap();
            own.with_models_of(store, &plan.inputs.models).await
        };
        keep(store, &PerDimension::new(), &[]).await.unwrap();
        store.put(&made.histories.values().next().unwrap().archived).await.unwrap();
        let gone = again().await.map(|_| ()).unwrap_err().to_string();
        assert!(gone.contains("the state of the forecaster of web/requests"), "{gone}");
        keep(store, &made.histories, &[]).await.unwrap();
        let ask = desk.prepared.first(plan.created_at, 7).unwrap();
        assert_eq!(again().await.unwrap().make_plan(ask).await.unwrap().plan, *plan);
    }
}

#[tokio::test]
async fn what_does_not_know_exactly_the_history_is_not_asked() {
    let desk = Desk::new();
    desk.fits(STEPS).await;
    assert!(desk.plans(STEPS).await.1);
    // Somebody corrects a value of three days ago.
    write(desk.folder.path(), STEPS, |step| if step == STEPS - 432 { 0.5 } else { 0.0 });
    assert!(!desk.plans(STEPS).await.1);
    assert!(desk.fresh.wish(&key()).anew);
    write(desk.folder.path(), STEPS, |_| 0.0);
    assert!(desk.plans(STEPS).await.1);
    // A step that was measured at saturation is a lower bound for both, however it was taken in.
    write(desk.folder.path(), STEPS + 4, |_| 0.0);
    desk.carries_on(STEPS + 1).await;
    desk.carries_on(STEPS + 3).await;
    assert!(desk.plans(STEPS + 3).await.1);
    let history = pipeline::read(&desk.prepared.feeds[0], at(STEPS + 3)).await.unwrap();
    let forgets = Series::new(
        history.series.start(),
        Step::from_seconds(600).unwrap(),
        history.series.values().to_vec(),
    );
    let (fleet, dimension) = key();
    let without = History { series: forgets, ..history };
    assert!(desk.fresh.knowing(&fleet, &dimension, &without, 10).is_none(), "the mark counts");
    // A plan that looks further than it was fitted for is made from another fit, and asks for more.
    let far = desk.prepared.first(at(STEPS + 3), 7).unwrap();
    let far = pipeline::Ask { deadline: far.deadline + Duration::from_secs(3 * 86_400), ..far };
    let made = desk.prepared.make_plan(far).await.unwrap();
    assert!(made.plan.inputs.models.is_empty());
    assert!(desk.fresh.wish(&key()).reach > 4 * 86_400);
    assert_eq!(desk.clock.now(), at(STEPS));
}

#[tokio::test]
async fn what_the_store_keeps_goes_on_as_it_would_have() {
    let desk = Desk::new();
    desk.fits(STEPS - 40).await;
    desk.carries_on(STEPS - 20).await;
    let kept = desk.fresh.get(&key());
    let known = kept.known.clone().unwrap();
    let load = domain::journal::Digest::of_bytes(b"the configuration");
    let bytes = rows::written(&key(), &known, &kept, &load);
    desk.store.keep(vec![(rows::name(&key()), bytes.clone())]).await.unwrap();
    let found = desk.store.kept(&rows::name(&key())).await.unwrap().unwrap();
    let row = rows::Row::read(&found).unwrap().of(&key(), &load).unwrap();
    assert!(row.known.forecaster.save() == known.forecaster.save());
    assert_eq!(row.known.scores.table(), known.scores.table());
    assert!(known.scores.table()[0].forecasts == 20);
    let back = Kept { known: Some(row.known), ..Kept::default() };
    desk.fresh.set(key(), back);
    assert!(desk.plans(STEPS - 18).await.1, "it knows the same history");
    // What is of another load, or not whole, is not used.
    let other = domain::journal::Digest::of_bytes(b"another configuration");
    assert!(rows::Row::read(&bytes).unwrap().of(&key(), &other).is_err());
    let api = (FleetName::new("api").unwrap(), key().1);
    assert!(rows::Row::read(&bytes).unwrap().of(&api, &load).is_err());
    for cut in [0, 10, bytes.len() / 3, bytes.len() - 1] {
        assert!(rows::Row::read(&bytes[..cut]).is_err(), "{cut}");
    }
}

#[tokio::test]
async fn what_was_measured_at_saturation_is_a_lower_bound() {
    let desk = Desk::new();
    desk.fits(STEPS).await;
    let known = desk.fresh.get(&key()).known.unwrap();
    let (step, end) = (known.taken.step(), known.forecaster.end());
    let plain = Series::new(end, step, vec![400.0; 3]);
    let full = plain.clone().saturated_during(&[(end, plain.end())]);
    let mut by_hand = AutoForecaster::clone(&known.forecaster);
    for index in 0..3 {
        let sample = Sample { at: full.at(index), value: 400.0 };
        by_hand.update_at_saturation(sample).unwrap();
    }
    assert!(known.carried(&full).unwrap().0.forecaster.save() == by_hand.save());
    assert!(known.carried(&plain).unwrap().0.forecaster.save() != by_hand.save());
}

#[tokio::test]
async fn changes_are_written_once_and_no_more_than_a_few_in_an_hour() {
    let (desk, other) = (Desk::new(), Fresh::default());
    let led = |sample: i64| {
        let event = Event::LeaderChanged {
            from: "naive".into(),
            to: "mstl".into(),
            relative_losses: [1.2, 0.9],
        };
        (at(sample), event)
    };
    let told: Told = (0..10).map(led).collect();
    let (mut mine, mut theirs) = (Default::default(), Default::default());
    let store = desk.store.as_ref();
    desk.fresh.note(Change::among(&key(), &told));
    desk.fresh.write_down(store, &mut mine, at(10)).await.unwrap();
    // Another replica has seen the same.
    other.note(Change::among(&key(), &told[..4].to_vec()));
    other.write_down(store, &mut theirs, at(20)).await.unwrap();
    let drifted = vec![(at(30), Event::Drifted(forecast::Drift::Above)), led(31)];
    other.note(Change::among(&key(), &drifted));
    other.write_down(store, &mut theirs, at(31)).await.unwrap();
    let chain = domain::models::Models::chain();
    let records = store.read(&chain, 0).await.unwrap();
    assert_eq!(records.len(), 6);
    let first = &records[0];
    assert_eq!(
        (first.actor.0.as_str(), first.payload["before"].as_str()),
        ("forecaster", Some("naive"))
    );
    assert!(first.reason.contains("mstl leads instead of naive"), "{}", first.reason);
    assert_eq!(records[4].payload["what"], "width");
    let listed = crate::apply::chain::rollouts(store).await.unwrap();
    assert!(listed.is_empty(), "it is no rollout");
}

#[tokio::test]
async fn a_history_with_signals_is_never_asked_of_one_that_was_fitted_without() {
    let desk = Desk::new();
    desk.fits(STEPS).await;
    assert!(desk.plans(STEPS).await.1);
    let sales = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:sale\r\n\
                 DTSTART:20260310T120000Z\r\nDURATION:PT2H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    std::fs::write(desk.folder.path().join("sales.ics"), sales).unwrap();
    let file = desk.folder.path().join("sales.yaml");
    let signals = "  signals: [ { ical: { path: sales.ics } } ]\n  durations:";
    std::fs::write(&file, CONFIGURATION.replace("  durations:", signals)).unwrap();
    let prepared = Prepared::of_file(&file, &desk.clock).with_forecasters(desk.fresh.clone());
    let made = prepared.make_plan(prepared.first(at(STEPS), 7).unwrap()).await.unwrap();
    assert!(made.plan.inputs.models.is_empty());
}
