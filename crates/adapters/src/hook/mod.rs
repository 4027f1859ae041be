//! What runs at the points of a rollout.

pub mod exec;
