//! Where signals come from: what is known beside the load and may explain it.

pub mod csv;
pub mod holidays;
pub mod ical;
#[cfg(test)]
mod tests;
