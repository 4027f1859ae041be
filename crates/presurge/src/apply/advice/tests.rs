//! Figures that are counted by hand.

use std::fmt::Write as _;

use adapters::clock::SystemClock;
use domain::advice::{ADVICE, Came as CameOf};
use domain::ports::Journal;
use store::Sqlite;

use super::*;
use crate::documents;

/// Three servers that carry 100 each; one is out for eight minutes.
const CONFIG: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: web }
spec:
  servers: { static: { prefix: web, count: 3 } }
  capacity: { requests: 100 }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge:
    offers:
      - { name: od, capacity: { requests: 100 }, price: 0.6, lead: 3m, max: 20 }
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: kernel }
spec:
  fleets: [web]
  target: { version: "2" }
  risk: 0.05
  deadline: 4h
"#;

/// Day 6 of March 2026, 11:50.
const ASKED: &str = "2026-03-06T11:50:00Z";

struct Desk {
    folder: tempfile::TempDir,
    store: Sqlite,
    clock: Arc<dyn Clock>,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk =
            Self { folder, store: Sqlite::in_memory().unwrap(), clock: Arc::new(SystemClock) };
        std::fs::write(desk.folder.path().join("web.yaml"), CONFIG).unwrap();
        desk.load(840, 5 * 1440);
        desk
    }

    /// Samples of five minutes over a week: 120, and 280 from 12:00 to 14:00 of each day. On the sixth day the
    /// peak ends at that minute of the day; nothing is recorded there from minute `gap` on for an hour.
    fn load(&self, peak_ends: u32, gap: u32) {
        let mut text = String::from("ds,y\n");
        for minute in (0..7 * 1440_u32).step_by(5) {
            let (day, of_day) = (minute / 1440, minute % 1440);
            let end = if day == 5 { peak_ends } else { 840 };
            let value = if (720..end).contains(&of_day) { 280 } else { 120 };
            if day == 5 && (gap..gap + 60).contains(&of_day) {
                continue;
            }
            let (hour, rest) = (of_day / 60, of_day % 60);
            writeln!(text, "2026-03-{:02}T{hour:02}:{rest:02}:00Z,{value}", day + 1).unwrap();
        }
        std::fs::write(self.folder.path().join("load.csv"), text).unwrap();
    }

    async fn advise(&self, asked: &str) -> Piece {
        let file = self.folder.path().join("web.yaml");
        let documents = documents::load(&[file], &self.clock).unwrap();
        let all = Together::new(&documents, None, &self.clock, &[]).unwrap();
        let made = all.make_plan(at(asked), 1).await.unwrap();
        let kept = bundle::of(&documents, documents.rollout(None).unwrap());
        let kept = bundle::keep(&self.store, &kept).await.unwrap();
        let told = [Told { prepared: &all.parts[0], made: &made.parts[0] }];
        let petition = Petition::here("a test", at(asked));
        give(&self.store, &told, &kept, &petition).await.unwrap().remove(0)
    }

    async fn settle(&self, now: Timestamp) -> Account {
        settle(&self.store, &self.clock, now).await.unwrap()
    }

    async fn settled(&self) -> usize {
        let records = self.store.read(&Advice::chain(), 0).await.unwrap();
        records.iter().filter(|record| record.kind == "AdviceSettled").count()
    }
}

#[track_caller]
fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
}

#[tokio::test]
async fn waiting_for_the_end_of_a_peak_is_judged_as_it_is_counted_by_hand() {
    let desk = Desk::new();
    let piece = desk.advise(ASKED).await;
    assert!(piece.advised.start_at >= at("2026-03-06T14:00:00Z"), "{piece:?}");
    near(piece.advised.cost, 0.0);
    // Its time has not passed.
    let early = desk.settle(piece.advised.done_at - hours(1)).await;
    assert_eq!((early.waiting.len(), desk.settled().await), (0, 0));
    let account = desk.settle(piece.advised.done_at + hours(1)).await;
    let judged = account.advice.get(piece.seq).unwrap().judged().unwrap().clone();
    assert_eq!(judged.batch, 1);
    let came = |name: &str| judged.came[name];
    let waited = piece.advised.start_at.duration_since(piece.at).as_secs_f64() / 60.0;
    let advice = CameOf {
        cost: 0.0,
        instance_hours: 0.0,
        attributable_minutes: 0.0,
        waited_minutes: waited,
        finished_minutes: waited + 24.0,
        late: false,
    };
    assert_eq!(came(ADVICE), advice);
    // One at a time from 11:50: until 11:58 there is room. The line from 120 in the middle of 11:55 to 280 in
    // that of 12:00 passes 200 in the minute from 12:00 on. Until 12:06 six minutes lack capacity, since in the
    // last one it is 250 at first; and so do the eight of the third server.
    let bare = came("fixed-0");
    near(bare.attributable_minutes, 14.0);
    near(bare.cost, 0.0);
    assert_eq!((bare.waited_minutes, bare.finished_minutes), (0.0, 24.0));
    // One instance, ordered at 11:50, is warm at 11:55. It stays for 24 minutes and the ten of the watch, and
    // drains for one: 40 minutes at 0.6.
    let surge = came("fixed-25");
    near(surge.attributable_minutes, 0.0);
    near(surge.cost, 0.4);
    near(surge.instance_hours, 40.0 / 60.0);
    near(surge.finished_minutes, 29.0);

    // The sums, and what is published.
    let shown = account.shown(|_| true);
    let against = |name: &str| shown.account.iter().find(|line| line.against == name).unwrap();
    near(against("fixed-0").avoided_minutes, 14.0);
    near(against("fixed-25").saved, 0.4);
    near(against("fixed-25").later_minutes, waited + 24.0 - 29.0);
    assert_eq!(against("fixed-25").worse, 0);

    // It comes out again from what the archive keeps, without the file.
    std::fs::remove_file(desk.folder.path().join("load.csv")).unwrap();
    let piece = account.advice.get(piece.seq).unwrap();
    assert_eq!(again(&desk.store, piece, &desk.clock).await.unwrap(), Some(judged));
}

#[tokio::test]
async fn advice_that_met_a_peak_which_lasted_longer_is_told_as_worse() {
    let desk = Desk::new();
    let piece = desk.advise(ASKED).await;
    // That day the peak lasts until 16:00: each of the 24 minutes lacks capacity.
    desk.load(960, 5 * 1440);
    let account = desk.settle(piece.advised.done_at + hours(2)).await;
    let judged = account.advice.get(piece.seq).unwrap().judged().unwrap();
    near(judged.came[ADVICE].attributable_minutes, 24.0);
    let shown = account.shown(|_| true);
    let line = shown.account.iter().find(|line| line.against == "fixed-0").unwrap();
    near(line.avoided_minutes, -10.0);
    assert_eq!((line.pieces, line.worse), (1, 1));
}

#[tokio::test]
async fn load_that_is_not_known_is_waited_for_and_then_said_to_be_unknown() {
    let desk = Desk::new();
    let piece = desk.advise(ASKED).await;
    // Nothing is recorded from 12:00 to 13:00, when the others would have had servers out.
    desk.load(840, 720);
    let account = desk.settle(piece.advised.done_at + hours(2)).await;
    assert!(account.waiting[&piece.seq].contains("was not recorded"), "{:?}", account.waiting);
    assert_eq!(desk.settled().await, 0);
    let account = desk.settle(piece.advised.done_at + PATIENCE).await;
    let shown = account.shown(|_| true);
    assert_eq!((shown.advice[0].state, shown.account.len()), (rows::State::Unknown, 0));
    let why = shown.advice[0].why.as_deref().unwrap();
    assert!(why.contains("the first at 2026-03-06T12:0"), "{why}");
    // It stays so, also when the load is known after all.
    desk.load(840, 5 * 1440);
    desk.settle(piece.advised.done_at + PATIENCE + hours(1)).await;
    assert_eq!(desk.settled().await, 1);
    // A gap in which nobody would have been out does not matter.
    let desk = Desk::new();
    let piece = desk.advise(ASKED).await;
    desk.load(840, 750);
    let account = desk.settle(piece.advised.done_at + hours(2)).await;
    assert!(account.advice.get(piece.seq).unwrap().judged().is_some(), "{:?}", account.waiting);
}

#[tokio::test]
async fn who_settles_at_the_same_time_settles_once_and_a_store_that_lost_the_plan_says_so() {
    let desk = Desk::new();
    let piece = desk.advise(ASKED).await;
    let now = piece.advised.done_at + hours(1);
    let all = (0..5).map(|_| settle(&desk.store, &desk.clock, now));
    for account in futures_util::future::join_all(all).await {
        assert!(account.unwrap().advice.get(piece.seq).unwrap().judged().is_some());
    }
    assert_eq!(desk.settled().await, 1);

    // A record that names another plan.
    let desk = Desk::new();
    let piece = desk.advise(ASKED).await;
    let lie = Advised { cost: 9.0, done_at: at("2026-03-06T16:00:00Z"), ..piece.advised.clone() };
    let petition = Petition::here("a lie", at("2026-03-06T17:00:00Z"));
    let lie = |_: &Advice| vec![chain::asked(Event::Advised(Box::new(lie.clone())), &petition)];
    chain::write(&desk.store, lie).await.unwrap();
    let account = desk.settle(at("2026-03-07T16:00:00Z")).await;
    let shown = account.shown(|_| true);
    assert_eq!(shown.advice[0].state, rows::State::Judged);
    assert_eq!(shown.advice[1].state, rows::State::Unknown);
    assert!(shown.advice[1].why.as_deref().unwrap().contains("is not the one that was advised"));
}
