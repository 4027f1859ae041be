//! Pictures and pages for people.

pub mod added;
pub mod brought;
pub mod canvas;
pub mod capacity;
pub mod chart;
pub mod explain;
pub mod outcome;
pub mod plan;
pub mod plot;
pub mod time;
