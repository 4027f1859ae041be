//! The configuration: the whole schema of `Fleet` and `Rollout` documents.

mod span;

pub use span::{BadSpan, LONGEST, PositiveSpan, Span};
