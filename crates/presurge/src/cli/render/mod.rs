//! Pictures and pages for people.

pub mod chart;
pub mod explain;
pub mod plan;
pub mod plot;
pub mod time;
