//! Where journals and archived inputs are kept: one SQLite file behind the `Journal` and
//! `Archive` ports.
//!
//! The file may be opened by several processes of one machine at once. It must lie on a local
//! disk: the locks of SQLite do not hold on network file systems.

mod archive;
mod error;
mod file;
mod journal;
mod lines;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

pub use archive::MAX_BYTES;
pub use error::StoreError;
pub use sqlite::Sqlite;
