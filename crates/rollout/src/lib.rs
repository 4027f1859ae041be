//! The rollout: a pure state machine, and the driver that carries it out in a world.
//!
//! ```text
//!            ┌────────── journal ◄──── every decision, every outcome
//!            ▼                                        ▲
//!          fold ──► State ──► decide(state, seen, now)─┤
//!                     │                               │
//!                     └──► commands(state, seen) ──► world
//! ```
//!
//! [`State`] is the fold of the journal and of nothing else. [`decide`] looks at it and at what
//! was [seen](observe::Seen) and answers with events; [`commands`] lists what must be made so
//! in that state. Neither does I/O nor reads a clock. [`Driver`] writes the events down, then
//! issues the commands, then writes down what became of them.

pub mod account;
pub mod approval;
pub mod asked;
pub mod command;
pub mod compared;
pub mod decide;
pub mod driver;
mod failure;
pub mod gates;
pub mod hooks;
pub mod lessons;
pub mod machine;
pub mod notices;
pub mod observe;
pub mod outcome;
pub mod planner;
pub mod pressure;
pub mod rollback;
mod serving;
pub mod settings;
pub mod size;
pub mod state;
pub mod terms;

pub use account::Account;
pub use command::{Command, commands};
pub use decide::{Decision, decide};
pub use driver::{Audience, DriveError, Driver, Ended, LoadWatch, Nobody, World};
pub use planner::{Planner, Revision};
pub use state::State;
