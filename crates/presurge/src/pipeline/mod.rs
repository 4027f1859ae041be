//! From documents to a plan: load history → forecast → sampled paths → request → plan.
//!
//! (Written by the rollout engineer: `request.rs`, `history.rs`, `mod.rs`. The command line calls
//! [`Prepared::make_plan`].)
