//! The nouns of Presurge, checked once at the door: names, time series,
//! forecasts, plans, events and the ports to the outside world.
//!
//! Nothing here does I/O, reads a clock or draws a random number.

pub mod advice;
pub mod calendar;
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
pub mod event;
pub mod forecast;
pub mod freeze;
pub mod hour;
pub mod journal;
pub mod learned;
pub mod models;
pub mod name;
pub mod notice;
pub mod permit;
pub mod plan;
pub mod ports;
pub mod schema;
pub mod series;
pub mod signal;
pub mod size;
pub mod spread;
