//! What becomes of a rollout whose signals are gone.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use domain::event::Rung;
use domain::forecast::Probability;
use domain::plan::Plan;
use domain::ports::Clock;
use domain::signal::SignalBrought;
use jiff::Timestamp;
use rollout::planner::{Planner, Revision};
use rollout::state::Way;
use sim::SimClock;
use store::{Sqlite, Store};

use super::planner::{LivePlanner, keep, no_queue};
use crate::pipeline::{PlanError, Prepared};

const CONFIGURATION: &str = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers: { static: { prefix: web, count: 6 } }
  capacity: { requests: 100 }
  load: { requests: { csv: { path: load.csv } } }
  signals: [ { ical: { path: sales.ics } }, { csv: { path: prices.csv, known: [price] } } ]
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge: { offers: [{ name: od, capacity: { requests: 100 }, price: 0.2, lead: 3m, max: 6 }] }
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: { name: kernel }\nspec:
  fleets: [web]
  target: { version: \"2\" }
  risk: 0.02
  deadline: 3h\n";

const BEGIN: &str = "2026-03-01T00:00:00Z";
const HOURS: i64 = 14 * 24;

fn at(hour: i64) -> Timestamp {
    BEGIN.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(hour)
}

fn price(hour: i64) -> f64 {
    ((hour * hour) as f64 * 0.618).sin()
}

/// Two weeks of hours with sales and prices, the files of both, and a rollout.
struct Desk {
    folder: tempfile::TempDir,
    prepared: Arc<Prepared>,
    store: Arc<dyn Store>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let starts: Vec<i64> = (0..10).map(|k| 11 + 33 * k + (k * k) % 7).collect();
        let (mut load, mut prices) = (String::from("ds,y\n"), String::from("ds,price\n"));
        for hour in 0..HOURS + 72 {
            writeln!(prices, "{},{}", at(hour), price(hour)).unwrap();
            let on = starts.iter().any(|start| (*start..start + 3).contains(&hour));
            let unrest = (hour * 7_919 % 31 - 15) as f64;
            let y = 300.0 + unrest + 50.0 * price(hour) + if on { 150.0 } else { 0.0 };
            if hour < HOURS {
                writeln!(load, "{},{y}", at(hour)).unwrap();
            }
        }
        let mut calendar = String::from("BEGIN:VCALENDAR\r\n");
        for start in starts.into_iter().chain([HOURS + 1]) {
            let start = at(start).strftime("%Y%m%dT%H%M%SZ");
            write!(
                calendar,
                "BEGIN:VEVENT\r\nSUMMARY:sale\r\nDTSTART:{start}\r\nDURATION:PT3H\r\nEND:VEVENT\r\n"
            )
            .unwrap();
        }
        calendar += "END:VCALENDAR\r\n";
        for (name, text) in [
            ("web.yaml", CONFIGURATION),
            ("load.csv", &load),
            ("prices.csv", &prices),
            ("sales.ics", &calendar),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(at(HOURS)));
        let file = folder.path().join("web.yaml");
        let prepared = Arc::new(Prepared::of_file(&file, &clock));
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(folder.path().join("presurge.db")).unwrap());
        Self { folder, prepared, store }
    }

    fn lose(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    async fn first(&self) -> Result<Plan, PlanError> {
        let made = self.prepared.make_plan(self.prepared.first(at(HOURS), 7)?).await?;
        keep(self.store.as_ref(), &made.histories, &made.calendars).await?;
        Ok(made.plan)
    }

    fn planner(&self) -> LivePlanner {
        LivePlanner {
            prepared: self.prepared.clone(),
            archive: self.store.clone(),
            seed: 7,
            turns: no_queue(),
        }
    }

    fn revision(&self, plan: &Plan, rung: Rung) -> Revision {
        Revision {
            now: at(HOURS) + Duration::from_secs(600),
            parent: plan.digest.clone(),
            revision: 2,
            way: Way::Forth,
            pending: self.prepared.fleet.servers.iter().map(|s| s.name.clone()).collect(),
            unavailable: Vec::new(),
            held: Vec::new(),
            without: Vec::new(),
            deadline: at(HOURS + 3),
            risk: Probability::new(0.02).unwrap(),
            why: "a test".into(),
            rung,
            inputs: plan.inputs.clone(),
            updated_at: None,
        }
    }
}

fn brought<'a>(plan: &'a Plan, name: &str) -> &'a SignalBrought {
    let all = &plan.inputs.signals["web/requests"];
    all.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{name}: {all:?}"))
}

#[tokio::test]
async fn a_rollout_goes_on_without_a_series_and_says_so() {
    let desk = Desk::new();
    let plan = desk.first().await.unwrap();
    assert!(brought(&plan, "price").weight > 0.5 && brought(&plan, "sale").weight > 0.5);
    desk.lose("prices.csv");
    // Who asks for the first plan can repair it.
    let error = desk.first().await.unwrap_err().to_string();
    assert!(error.contains("signals[1]") && error.contains("prices.csv"), "{error}");
    // A rollout that is under way does without, and its next plan says so.
    let ask = desk.revision(&plan, Rung::Live);
    let then = desk.planner().revise(&ask).await.unwrap_or_else(|e| panic!("{e}"));
    let lost = brought(&then, "signals[1]");
    assert!(lost.unused.as_ref().unwrap().contains("prices.csv") && lost.weight == 0.0, "{lost:?}");
    assert!(brought(&then, "sale").weight > 0.5, "what is left is used");
    // What was missing then is missing when it is computed again.
    let kept = desk.prepared.as_recorded(desk.store.as_ref(), &then.inputs.load).await.unwrap();
    let planner = LivePlanner { prepared: Arc::new(kept), ..desk.planner() };
    assert_eq!(planner.revise(&ask).await.unwrap(), then);
    let weighed = desk.planner().weigh(&then.batches, &ask).await;
    assert!(weighed.is_ok(), "batches are weighed as well");
}

#[tokio::test]
async fn without_its_events_a_rollout_makes_no_plan_but_from_those_it_knew() {
    let desk = Desk::new();
    let plan = desk.first().await.unwrap();
    desk.lose("sales.ics");
    let live = desk.planner().revise(&desk.revision(&plan, Rung::Live)).await;
    let error = live.unwrap_err().to_string();
    assert!(error.contains("sales.ics"), "{error}");
    let weighed = desk.planner().weigh(&plan.batches, &desk.revision(&plan, Rung::Live)).await;
    assert!(weighed.is_err(), "the plan in force stands, which knows of the sale");
    // The last forecast is made from what the archive keeps, the events included.
    let ask = desk.revision(&plan, Rung::LastForecast);
    let then = desk.planner().revise(&ask).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(brought(&then, "sale").weight > 0.5, "{:?}", then.inputs.signals);
    assert_eq!(then.inputs.load, plan.inputs.load);
}
