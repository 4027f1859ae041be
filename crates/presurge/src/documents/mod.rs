//! Configuration files: read, checked, and what is wrong with them in the words of their author.
//!
//! [`load`] answers with every document of the files, checked, or with [`Complaints`]: each with
//! file, line, column, what was expected, and the nearest name.

mod complaint;
mod explain;
mod load;
mod slots;
mod source;
mod typed;

pub use explain::read_body;
pub use load::{BadDocuments, Documents, FleetFile, Given, RolloutFile, load, of_given};
pub use typed::{read as read_all, read_text};

#[cfg(test)]
mod tests;
