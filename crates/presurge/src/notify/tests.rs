use std::collections::VecDeque;
use std::sync::Mutex;

use adapters::clock::ScaledClock;
use async_trait::async_trait;
use domain::event::{Event, HoldReason, Outcome};
use domain::journal::{Actor, Entry, Head, Record};
use domain::notice::{Course, Topic};
use domain::ports::{Append, Authority, PortError, Retry};
use rollout::observe::Seen;
use rollout::state::State;
use sim::MemoryJournal;

use super::*;

/// Answers as it was told to, then takes everything. What it took is kept.
#[derive(Default)]
struct Pager {
    answers: Mutex<VecDeque<Retry>>,
    told: Mutex<Vec<Notice>>,
}

#[async_trait]
impl Notify for Pager {
    async fn reach(&self) -> Result<(), PortError> {
        Ok(())
    }

    async fn tell(&self, notice: &Notice) -> Result<(), PortError> {
        match self.answers.lock().unwrap().pop_front() {
            Some(retry) => Err(PortError::new("pager", "tell", retry, "it said no")),
            None => {
                self.told.lock().unwrap().push(notice.clone());
                Ok(())
            }
        }
    }
}

impl Pager {
    fn answering(answers: impl IntoIterator<Item = Retry>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn told(&self) -> Vec<(Topic, &'static str)> {
        self.told.lock().unwrap().iter().map(|n| (n.topic, n.course.as_str())).collect()
    }
}

/// A receiver that never answers.
struct Silence;

#[async_trait]
impl Notify for Silence {
    async fn reach(&self) -> Result<(), PortError> {
        std::future::pending().await
    }

    async fn tell(&self, _: &Notice) -> Result<(), PortError> {
        std::future::pending().await
    }
}

#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Audience for Ear {
    fn recorded(&self, _: &State, _: &Record) {}
    fn looked(&self, _: &State, _: &Seen, _: jiff::Timestamp) {}
    fn troubled(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

fn created() -> Event {
    let payload = serde_json::json!({
        "format": 1, "name": "kernel", "fleet": "web", "target": "2", "risk": 0.01,
        "spec": domain::journal::Digest::zero(), "deadline": "2026-03-02T02:00:00Z",
        "servers": [{ "name": "web-1", "zone": null, "address": null }],
        "policy": {
            "drainTimeoutSeconds": 600.0, "drainOnTimeout": "hold", "updateTimeoutSeconds": 900.0,
            "verifyTimeoutSeconds": 300.0, "warmupSeconds": 30.0, "surgeTimeoutSeconds": 900.0,
            "canaryWatchSeconds": 60.0, "stabilisationSeconds": 300.0, "bandBreaches": 3,
            "staleAfterSeconds": 300.0,
        },
    });
    Event::from_parts("RolloutCreated", &payload).expect("an event")
}

/// A rollout in a journal, and a clock that is in a hurry.
struct Stage {
    desk: Desk,
    ear: Arc<Ear>,
}

impl Stage {
    async fn new() -> Self {
        let ear = Arc::new(Ear::default());
        let desk = Desk {
            id: RolloutId::new("kernel#1").unwrap(),
            journal: Arc::new(MemoryJournal::new()),
            clock: Arc::new(
                ScaledClock::new("2026-03-01T02:00:00Z".parse().unwrap(), 200.0).unwrap(),
            ),
            audience: ear.clone(),
            owner: "here".into(),
        };
        let stage = Self { desk, ear };
        stage.write(created()).await;
        stage.driven_by("here").await;
        stage
    }

    async fn driven_by(&self, owner: &str) {
        let (owner, build) = (owner.to_owned(), "test".to_owned());
        let started = Event::DriverStarted { owner, epoch: 1, build, planning: None, format: None };
        self.write(started).await;
    }

    async fn write(&self, event: Event) {
        let records = self.records().await;
        let after = records.last().map_or_else(Head::empty, Record::head);
        let entry = Entry {
            at: self.desk.clock.now(),
            actor: Actor::decider(),
            cause: None,
            reason: "the load fell".into(),
            inputs: None,
            event,
        };
        let (rollout, authority) = (&self.desk.id, Authority::Operator);
        let append = Append { rollout, authority, after: &after, entries: vec![entry] };
        self.desk.journal.append(append).await.expect("nobody else writes");
    }

    async fn held(&self, hold: HoldReason) {
        self.write(Event::Held { hold, detail: "78.5 above 70".into() }).await;
    }

    async fn records(&self) -> Vec<Record> {
        self.desk.journal.read(&self.desk.id, 0).await.unwrap()
    }

    async fn kinds(&self, kind: &str) -> usize {
        self.records().await.iter().filter(|r| r.kind == kind).count()
    }

    async fn tell_one(&self, pager: &Arc<Pager>) {
        let pager: Arc<dyn Notify> = pager.clone();
        self.tell(&[pager]).await;
    }

    async fn tell(&self, receivers: &[Arc<dyn Notify>]) {
        let receiver = |(index, notify): (usize, &Arc<dyn Notify>)| Receiver {
            name: format!("pager/{index}"),
            notify: notify.clone(),
        };
        let receivers = receivers.iter().enumerate().map(receiver).collect();
        Notifier::start(self.desk.clone(), receivers).close().await;
    }
}

#[tokio::test]
async fn holds_are_told_with_their_end_and_the_rollout_with_its() {
    let (stage, pager) = (Stage::new().await, Pager::answering([]));
    stage.held(HoldReason::LoadLeftBand).await;
    stage.held(HoldReason::LoadLeftBand).await;
    stage.held(HoldReason::Frozen).await;
    stage.write(Event::HoldEnded { detail: "over".into() }).await;
    stage.write(Event::AbortRequested {}).await;
    stage.write(Event::Finished { outcome: Outcome::Aborted }).await;
    stage.tell_one(&pager).await;
    let expected = [
        (Topic::Breach, "begun"),
        (Topic::Breach, "over"),
        (Topic::Freeze, "begun"),
        (Topic::Freeze, "over"),
        (Topic::Rollout, "once"),
    ];
    assert_eq!(pager.told(), expected);
    let told = pager.told.lock().unwrap().clone();
    assert_eq!(told[1].course, Course::Over { begun: told[0].at });
    assert_eq!(told[0].detail, "78.5 above 70");
    assert_eq!(stage.kinds("Notified").await, 5, "also after the end of the rollout");
}

#[tokio::test]
async fn after_a_restart_only_what_was_not_told_yet_is_told() {
    let (stage, pager) = (Stage::new().await, Pager::answering([]));
    stage.held(HoldReason::DrainTimeout).await;
    stage.tell_one(&pager).await;
    stage.write(Event::HoldEnded { detail: "over".into() }).await;
    for _ in 0..3 {
        stage.tell_one(&pager).await;
    }
    assert_eq!(pager.told(), [(Topic::Hold, "begun"), (Topic::Hold, "over")]);
}

#[tokio::test]
async fn who_does_not_drive_tells_nothing() {
    let (stage, pager) = (Stage::new().await, Pager::answering([]));
    stage.driven_by("elsewhere").await;
    stage.held(HoldReason::DrainTimeout).await;
    stage.tell_one(&pager).await;
    assert_eq!(pager.told(), []);
    stage.driven_by("here").await;
    stage.tell_one(&pager).await;
    assert_eq!(pager.told(), [(Topic::Hold, "begun")]);
}

#[tokio::test]
async fn what_fails_is_tried_again_and_what_fails_for_good_is_written_down_once() {
    let (stage, busy) = (Stage::new().await, Pager::answering([Retry::Backoff; 5]));
    let (worse, refuses) =
        (Pager::answering([Retry::Backoff; 6]), Pager::answering([Retry::Never]));
    stage.held(HoldReason::DrainTimeout).await;
    let all: [Arc<dyn Notify>; 3] = [busy.clone(), worse.clone(), refuses.clone()];
    for _ in 0..2 {
        stage.tell(&all).await;
    }
    assert_eq!((busy.told().len(), worse.told().len(), refuses.told().len()), (1, 0, 0));
    assert_eq!((stage.kinds("Notified").await, stage.kinds("NotifyFailed").await), (1, 2));
    let heard = stage.ear.0.lock().unwrap();
    assert_eq!(heard.len(), 2, "{heard:#?}");
    assert!(heard.iter().all(|text| text.contains("it said no")), "{heard:#?}");
}

#[tokio::test]
async fn who_never_answers_keeps_nobody_else_from_being_told() {
    let (stage, pager) = (Stage::new().await, Pager::answering([]));
    stage.held(HoldReason::DrainTimeout).await;
    stage.tell(&[Arc::new(Silence), pager.clone()]).await;
    assert_eq!(pager.told(), [(Topic::Hold, "begun")]);
    assert_eq!(stage.kinds("NotifyFailed").await, 0, "it is told by the next apply");
}
