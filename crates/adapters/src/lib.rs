//! The outside world behind the ports: one outside system per file, each with its typed
//! configuration, its code and its tests. No adapter knows another adapter.

pub mod calendar;
pub mod clock;
pub mod command;
#[cfg(test)]
mod free_port;
pub mod health;
pub mod hook;
pub mod load;
pub mod notify;
mod prometheus;
pub mod provisioner;
pub mod signal;
pub mod size;
pub mod traffic;
pub mod updater;
pub mod web;
