//! What every health gate has to show.

use std::sync::Arc;

use async_trait::async_trait;

use super::cut_short;
use crate::ports::{Health, Target, Verdict};

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is well.
    Well,
    /// It says itself that it is not well.
    Sick,
    /// It accepts no connection.
    Refusing,
    /// It accepts, and never answers.
    Hanging,
    /// It answers nonsense.
    Babbling,
    /// It answers without end.
    Flooding,
}

/// A gate and a server that it judges.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter with the same configuration.
    fn gate(&self) -> Arc<dyn Health>;

    /// The server.
    fn target(&self) -> Target;

    /// Brings the server into a condition. False where this gate cannot see such a condition.
    async fn set(&self, condition: Condition) -> bool;
}

/// The longest text of a verdict, in bytes: it goes into journals and terminals.
pub const MAX_TEXT: usize = 1_000;

/// Runs every case.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    let world = make().await;
    assert!(world.set(Condition::Well).await, "every gate can see a server that is well");
    for _ in 0..3 {
        well(&check(&world).await, "at first");
    }
    for condition in [
        Condition::Sick,
        Condition::Refusing,
        Condition::Hanging,
        Condition::Babbling,
        Condition::Flooding,
    ] {
        if !world.set(condition).await {
            continue;
        }
        for polls in 0..3 {
            cut_short(world.gate().check(&world.target()), polls).await;
            judge(condition, check(&world).await);
        }
        assert!(world.set(Condition::Well).await);
        well(&check(&world).await, &format!("again after {condition:?}"));
    }
}

fn well(verdict: &Verdict, when: &str) {
    let Verdict::Pass(text) = verdict else { panic!("well {when}, and yet {verdict:?}") };
    says_how(Condition::Well, text);
}

fn judge(condition: Condition, verdict: Verdict) {
    let text = match (&verdict, condition) {
        (Verdict::Fail(text), _) => text,
        (
            Verdict::Inconclusive(text),
            Condition::Hanging | Condition::Babbling | Condition::Flooding,
        ) => text,
        _ => panic!("{condition:?} is not {verdict:?}"),
    };
    says_how(condition, text);
}

fn says_how(condition: Condition, text: &str) {
    assert!(!text.trim().is_empty(), "{condition:?}: a verdict says how");
    assert!(text.len() <= MAX_TEXT, "{condition:?}: {} bytes of text", text.len());
    assert!(!text.contains(char::is_control), "{condition:?}: {text:?}");
}

async fn check<W: World>(world: &W) -> Verdict {
    let verdict = world.gate().check(&world.target()).await;
    verdict.unwrap_or_else(|error| panic!("a gate that works is no error: {}", error.chain()))
}
