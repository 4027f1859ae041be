//! Calendars outside: times at which nothing may happen, and days that move the load.

pub mod holidays;
pub mod ical;
