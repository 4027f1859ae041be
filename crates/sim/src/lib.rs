//! A simulated world with a virtual clock: servers, a load balancer, an updater, a provisioner
//! and load behind the production ports, so that the production driver runs a whole rollout in
//! about a millisecond, the same way for the same inputs. With [`RecordedLoad`] in the place of made-up
//! load it is a replayed world.
//!
//! Time moves only when the driver waits. A [`fuse::Fuse`] stops the driver for good at any
//! chosen crossing between it and the world, before or after the effect of a call; what the world
//! and the journal hold at that moment is what a new driver finds.

pub mod agenda;
pub mod clock;
pub mod draws;
pub mod executor;
pub mod faults;
pub mod fuse;
pub mod horizon;
pub mod journal;
pub mod planner;
pub mod recorded;
pub mod trial;
pub mod world;

pub use agenda::Agenda;
pub use clock::SimClock;
pub use executor::run_until_stuck;
pub use fuse::Fuse;
pub use journal::MemoryJournal;
pub use recorded::RecordedLoad;
pub use world::{Facts, REPLACING, Settings, SimWorld, Sold};
