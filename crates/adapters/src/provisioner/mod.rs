//! Where surge comes from.

pub mod process;
