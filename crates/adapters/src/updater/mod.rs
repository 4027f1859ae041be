//! How a server comes to run another version.

pub mod exec;
