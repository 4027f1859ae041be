//! What every way to tell people has to show.

use std::sync::Arc;

use jiff::Timestamp;

use crate::journal::{Anchor, Digest, Head, Signature, Statement};
use crate::name::{FleetName, RolloutId};
use crate::notice::{Course, Notice, Severity, Topic};
use crate::ports::{Notify, PortError, Retry};

/// How the receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes what it is told.
    Good,
    /// It takes it, and answers with more than anybody wants to read.
    Floods,
    /// It has no time now.
    Busy,
    /// It will never take this.
    Refuses,
    /// It points to another address.
    Redirects,
    /// It closes the connection without an answer.
    Closes,
    /// It answers with what is no answer.
    Babbles,
    /// It never answers.
    Hangs,
    /// It answers a byte at a time, for ever.
    Drips,
    /// Nobody is there.
    Gone,
}

/// A receiver for one case. Its address has the text [`SECRET`] in it.
pub trait World: Send + Sync {
    /// The adapter, pointed at the receiver.
    fn notify(&self) -> Arc<dyn Notify>;
    /// Every notice that has arrived so far, in whatever form; not what `reach` asked.
    fn told(&self) -> Vec<String>;
    /// Every request that has arrived so far, with its head.
    fn requests(&self) -> Vec<String>;
}

/// What no error may repeat.
pub const SECRET: &str = "s3cr3t-p4th";

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn(Mood) -> W) {
    what_is_told_arrives_once_and_whole(&make(Mood::Good).await).await;
    what_is_told_again_can_be_known_by_its_id(&make(Mood::Good).await).await;
    what_is_to_be_kept_arrives_once_and_whole(&make(Mood::Good).await).await;
    a_flood_is_no_failure(&make(Mood::Floods).await).await;
    asking_whether_it_is_there_tells_nothing(&make(Mood::Good).await).await;
    for (mood, again) in [
        (Mood::Busy, true),
        (Mood::Refuses, false),
        (Mood::Redirects, false),
        (Mood::Closes, true),
        (Mood::Babbles, true),
        (Mood::Hangs, true),
        (Mood::Drips, true),
        (Mood::Gone, true),
    ] {
        a_failure_says_whether_to_try_again_and_keeps_the_secret(&make(mood).await, mood, again)
            .await;
    }
}

async fn what_is_told_arrives_once_and_whole<W: World>(world: &W) {
    let notice = notice(Course::Begun);
    tell(world, &notice).await.expect("it takes it");
    let told = world.told();
    assert_eq!(told.len(), 1, "once: {told:#?}");
    for text in ["kernel#1", "web", "no more servers go out", "78.5 above"] {
        assert!(told[0].contains(text), "{text} is not in {}", told[0]);
    }
}

async fn what_is_told_again_can_be_known_by_its_id<W: World>(world: &W) {
    for course in [Course::Begun, Course::Begun, Course::Over { begun: at(10) }] {
        tell(world, &notice(course)).await.expect("it takes it");
    }
    let told = world.told();
    assert_eq!(told[0], told[1], "the same notice is the same whenever it is told");
    assert_ne!(told[0], told[2]);
}

/// The line of the anchor is in what arrives, so that it can be found and checked again.
async fn what_is_to_be_kept_arrives_once_and_whole<W: World>(world: &W) {
    let answer = world.notify().keep(&anchor()).await;
    if !world.notify().keeps_anchors() {
        let error = answer.expect_err("it keeps none");
        assert_eq!((error.retry, world.requests().len()), (Retry::Never, 0), "{}", error.chain());
        return;
    }
    answer.expect("it takes it");
    let told = world.told();
    assert_eq!(told.len(), 1, "once: {told:#?}");
    let signature = String::from(anchor().signature);
    let hash = anchor().hash.to_string();
    for text in ["kernel#1", hash.as_str(), signature.as_str()] {
        assert!(told[0].contains(text), "{text} is not in {}", told[0]);
    }
}

async fn a_flood_is_no_failure<W: World>(world: &W) {
    tell(world, &notice(Course::Once)).await.expect("it took it");
}

async fn asking_whether_it_is_there_tells_nothing<W: World>(world: &W) {
    let answer = world.notify().reach().await;
    answer.unwrap_or_else(|error| panic!("it is there: {}", error.chain()));
    assert_eq!(world.told(), Vec::<String>::new());
    assert!(!world.requests().is_empty(), "it was asked");
}

async fn a_failure_says_whether_to_try_again_and_keeps_the_secret<W: World>(
    world: &W,
    mood: Mood,
    again: bool,
) {
    let error = tell(world, &notice(Course::Begun)).await.expect_err("it did not take it");
    assert_eq!(error.retry != Retry::Never, again, "{mood:?}: {}", error.chain());
    let kept = world.notify().keep(&anchor()).await.expect_err("it did not take it");
    if world.notify().keeps_anchors() {
        assert_eq!(kept.retry != Retry::Never, again, "{mood:?}: {}", kept.chain());
    }
    assert!(!kept.chain().contains(SECRET), "{mood:?}: the secret is in {}", kept.chain());
    let text = error.chain();
    assert!(!text.contains(SECRET), "{mood:?}: the secret is in {text}");
    assert!(text.len() < 500 && !text.contains(char::is_control), "{mood:?}: {text:?}");
    if let Err(error) = world.notify().reach().await {
        assert!(!error.chain().contains(SECRET), "{mood:?}: the secret is in {}", error.chain());
    } else {
        assert_ne!(mood, Mood::Gone, "nobody is there");
    }
}

async fn tell<W: World>(world: &W, notice: &Notice) -> Result<(), PortError> {
    world.notify().tell(notice).await
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_330_400 + second).unwrap()
}

fn anchor() -> Anchor {
    let statement = Statement {
        rollout: RolloutId::new("kernel#1").unwrap(),
        head: Head { seq: 17, hash: Digest::of_bytes(b"a head") },
        at: at(60),
        key: Digest::of_bytes(b"a key"),
    };
    statement.signed(Signature([0xA5; 64]))
}

fn notice(course: Course) -> Notice {
    Notice {
        seq: 17,
        at: at(60),
        rollout: RolloutId::new("kernel#1").unwrap(),
        fleet: FleetName::new("web").unwrap(),
        topic: Topic::Breach,
        course,
        severity: Severity::Warning,
        title: "kernel#1: no more servers go out".into(),
        detail: "requests is at 78.5 above the forecast band, \"<!channel>\" & \u{fc}".into(),
    }
}
