//! Where journals and archived inputs are kept, behind the `Journal` and `Archive` ports: one
//! SQLite file, or a PostgreSQL database (feature `postgres`).
//!
//! The file may be opened by several processes of one machine at once. It must lie on a local
//! disk: the locks of SQLite do not hold on network file systems. A database serves any number of
//! processes on any number of machines.

mod archive;
mod error;
mod file;
mod journal;
mod lines;
#[cfg(feature = "postgres")]
pub mod postgres;
mod schema;
mod sqlite;
mod store;
#[cfg(test)]
mod tests;

pub use archive::MAX_BYTES;
pub use error::StoreError;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use sqlite::Sqlite;
pub use store::Store;
