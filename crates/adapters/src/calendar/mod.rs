//! Calendars outside: times at which nothing may happen.

pub mod ical;
