//! Where load comes from.

pub mod csv;
pub mod prometheus;
