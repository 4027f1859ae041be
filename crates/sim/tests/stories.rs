//! Scenarios and their transcripts, which read as the story of a rollout and are reviewed as
//! differences. `PRESURGE_BLESS=1 cargo test -p sim --test stories` writes them anew.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::event::{ApprovalRule, Event, HookLimit, OnFailure};
use domain::journal::Record;
use domain::name::{OfferName, ServerName};
use domain::plan::Replacement;
use domain::ports::Clock;
use domain::spread::Spread;
use jiff::Timestamp;
use sim::{Fuse, Settings, Sold, run_until_stuck};
use support::{Hands, Stage, crossing_after};

/// What happened, when, and after how many records.
type Note = (Timestamp, usize, String);

/// A stage, and what happens on it besides the rollout.
struct Story {
    stage: Stage,
    notes: Arc<Mutex<Vec<Note>>>,
}

impl Story {
    fn of(stage: Stage) -> Self {
        Self { stage, notes: Arc::default() }
    }

    /// Something happens after so many seconds, if a driver runs then.
    fn then(
        self,
        seconds: u64,
        what: &'static str,
        act: impl FnOnce(&Hands) + Send + 'static,
    ) -> Self {
        let notes = self.notes.clone();
        self.stage.later(seconds, move |hands| {
            let note = (hands.clock_now(), hands.records().len(), what.to_owned());
            notes.lock().unwrap().push(note);
            act(hands);
        });
        self
    }

    fn note(&self, what: impl Into<String>) {
        let note = (self.stage.clock_now(), self.stage.records().len(), what.into());
        self.notes.lock().unwrap().push(note);
    }

    /// A driver runs until it ends, waits or dies.
    fn drive(mut self, fuse: u64) -> Self {
        let ended = self.stage.drive(&Fuse::at(fuse));
        self.note(match ended {
            Some(ended) => format!("the driver returns: {ended:?}"),
            None => "the driver is killed".into(),
        });
        self
    }

    fn now(self, what: &str, act: impl FnOnce(&Hands)) -> Self {
        self.note(what);
        act(&self.stage);
        self
    }

    fn wait(self, seconds: u64) -> Self {
        let until = self.stage.clock.now() + Duration::from_secs(seconds);
        run_until_stuck(self.stage.clock.sleep_until(until));
        self
    }

    /// The journal and what happened besides, in the order of time.
    fn transcript(&self) -> String {
        let notes = self.notes.lock().unwrap().clone();
        let mut notes = notes.into_iter().peekable();
        let mut text = String::new();
        let mut line = |at: Timestamp, what: &str| {
            writeln!(text, "{}  {what}", at.strftime("%H:%M:%S")).unwrap();
        };
        for (index, record) in self.stage.records().iter().enumerate() {
            while let Some((at, _, what)) = notes.next_if(|(_, records, _)| *records <= index) {
                line(at, &format!("** {what}"));
            }
            line(record.at, &told(record));
        }
        notes.for_each(|(at, _, what)| line(at, &format!("** {what}")));
        text
    }

    /// Compares the transcript with the one that is kept.
    #[track_caller]
    fn reads_as(self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
        let (path, text) = (folder.join(format!("{name}.txt")), self.transcript());
        if std::env::var_os("PRESURGE_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "the story of {name} has changed; it reads now:\n{text}");
    }
}

fn told(record: &Record) -> String {
    let about = ["server", "key", "index", "outcome", "detail", "error"];
    let field = |name: &&str| record.payload.get(name).map(|value| value.to_string());
    let about = about.iter().find_map(field).unwrap_or_default();
    let about = about.trim_matches('"');
    let mut text = record.kind.clone();
    if !about.is_empty() {
        write!(text, " {about}").unwrap();
    }
    write!(text, " — {}", record.reason).unwrap();
    text
}

fn plain() -> Story {
    Story::of(Stage::new(Settings::default()))
}

const FOR_GOOD: u64 = 400_000;

#[test]
fn undisturbed() {
    plain().drive(FOR_GOOD).reads_as("undisturbed");
}

#[test]
fn the_load_balancer_is_reloaded_while_servers_are_out() {
    plain()
        .then(400, "the load balancer is reloaded", |h| h.world.reload())
        .drive(FOR_GOOD)
        .reads_as("reloaded");
}

#[test]
fn the_load_balancer_is_reloaded_while_no_driver_lives() {
    plain()
        .drive(crossing_after("UpdateStarted"))
        .now("the load balancer is reloaded", |h| h.world.reload())
        .wait(300)
        .drive(FOR_GOOD)
        .reads_as("reloaded-unseen");
}

#[test]
fn surge_is_taken_away_and_replaced_at_once() {
    let sure = OfferName::new("sure").unwrap();
    let instead = Replacement { offer: sure.clone(), ready_seconds: 300 };
    let lead = Spread::exactly(Duration::from_secs(240));
    let offers = BTreeMap::from([(sure, Sold { lead, interruption: Default::default() })]);
    let settings = Settings { offers, ..Settings::default() };
    Story::of(Stage::with(settings, |t| t.on_loss = Some(instead)))
        .then(540, "the seller takes an instance away", |h| {
            h.world.lose(&h.world.surge_running()[0])
        })
        .drive(FOR_GOOD)
        .reads_as("spot-loss");
}

#[test]
fn surge_is_sold_out_and_a_person_gives_up() {
    plain()
        .now("the seller has one instance left", |h| {
            h.world.limit_stock(&OfferName::new("spare").unwrap(), 1);
        })
        .drive(FOR_GOOD)
        .now("a person says abort", |h| h.append(vec![Event::AbortRequested {}]))
        .drive(FOR_GOOD)
        .reads_as("sold-out");
}

#[test]
fn a_server_fails_and_a_person_tries_again() {
    let settings =
        Settings { fails_first: vec![ServerName::new("web-3").unwrap()], ..Settings::default() };
    Story::of(Stage::new(settings))
        .drive(FOR_GOOD)
        .now("a person says resume", |h| h.append(vec![Event::ResumeRequested {}]))
        .drive(FOR_GOOD)
        .reads_as("failed-server");
}

#[test]
fn a_server_dies_while_a_batch_is_out() {
    plain()
        .then(400, "web-6 dies for half an hour", |h| {
            let until = h.clock_now() + Duration::from_secs(1800);
            h.world.kill(&ServerName::new("web-6").unwrap(), until);
        })
        .drive(FOR_GOOD)
        .reads_as("death");
}

#[test]
fn somebody_replaces_a_server_while_it_is_updated() {
    plain()
        .then(400, "somebody puts a fresh machine of the old version in the place of web-1", |h| {
            let until = h.clock_now() + Duration::from_secs(60);
            h.world.replace(&ServerName::new("web-1").unwrap(), &support::old(), until);
        })
        .drive(FOR_GOOD)
        .reads_as("replaced");
}

#[test]
fn connections_of_surge_do_not_end() {
    plain()
        .then(500, "connections of a surge instance will not end", |h| {
            let until = h.clock_now() + Duration::from_secs(1_000_000);
            h.world.hang(&h.world.surge_running()[0], until);
        })
        .drive(FOR_GOOD)
        .now("a person ends them", |h| h.world.unhang())
        .drive(FOR_GOOD)
        .reads_as("endless-connections");
}

#[test]
fn load_leaves_its_band_and_the_rest_is_planned_again() {
    Story::of(Stage::with(Settings::default(), |t| t.revised_upper = 600.0))
        .then(300, "load rises to 500", |h| h.world.set_load(|_| 500.0))
        .drive(FOR_GOOD)
        .reads_as("load-left-band");
}

#[test]
fn metrics_vanish_and_come_back() {
    plain()
        .then(300, "the metrics have no numbers any more", |h| h.world.set_load(|_| f64::NAN))
        .then(2400, "they have numbers again", |h| h.world.set_load(|_| 100.0))
        .drive(FOR_GOOD)
        .reads_as("no-metrics");
}

#[test]
fn the_driver_dies_in_the_middle_of_a_batch_and_another_goes_on() {
    plain().drive(crossing_after("Updated")).wait(120).drive(FOR_GOOD).reads_as("killed");
}

#[test]
fn gates_cannot_tell_for_a_while() {
    plain()
        .then(500, "the metrics that gates ask give nothing", |h| {
            h.world.blind_checks(Some("the query gives nothing"));
        })
        .then(1500, "they tell again", |h| h.world.blind_checks(None))
        .drive(FOR_GOOD)
        .reads_as("vague-gate");
}

#[test]
fn somebody_agrees_and_a_hook_fails() {
    let stage = Stage::under(Settings::default(), |_, policy| {
        policy.approval = Some(ApprovalRule { by: vec!["test".into()], budget: None });
        let limit = |hook| HookLimit { hook, timeout_seconds: 60.0 };
        policy.hooks = support::POINTS.map(limit).into();
    });
    Story::of(stage)
        .then(30, "somebody agrees to the plan", |h| {
            let plan = h.records().into_iter().rev().find_map(|r| match r.event() {
                Ok(Event::PlanAdopted { plan }) => Some(plan),
                _ => None,
            });
            h.append(vec![Event::PlanApproved { digest: plan.unwrap().digest }]);
        })
        .then(650, "the next hook will fail", |h| h.world.fail_hooks(1))
        .drive(FOR_GOOD)
        .now("a person says resume", |h| h.append(vec![Event::ResumeRequested {}]))
        .drive(FOR_GOOD)
        .reads_as("approval-and-hooks");
}

#[test]
fn a_version_that_is_bad_is_rolled_back() {
    let bad = vec![(ServerName::new("web-3").unwrap(), support::new())];
    let settings = Settings { bad, ..Settings::default() };
    let stage = Stage::under(settings, |_, policy| policy.on_failure = OnFailure::Rollback);
    Story::of(stage).drive(FOR_GOOD).reads_as("rolled-back");
}

#[test]
fn a_person_rolls_back_while_a_batch_is_out_and_the_fleet_is_frozen() {
    Story::of(Stage::with(Settings::default(), |timetable| timetable.target = 0.003))
        .then(930, "a person says rollback", |h| h.append(vec![Event::RollbackRequested {}]))
        .then(1000, "a person freezes everything", |h| {
            h.freeze(Event::FreezeRequested { fleet: None, until: None });
        })
        .then(2500, "the freeze is lifted", |h| {
            h.freeze(Event::UnfreezeRequested { fleet: None });
        })
        .drive(FOR_GOOD)
        .reads_as("rolled-back-by-hand");
}
