//! Where load comes from.

pub mod csv;
pub mod file;
pub mod prometheus;
