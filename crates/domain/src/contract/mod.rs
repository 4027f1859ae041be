//! The contract suites of the ports: what every adapter has to show.

pub mod health;
pub mod load;
pub mod provisioner;
pub mod traffic;
pub mod updater;
