//! Bounds of the connection to PostgreSQL, each with its unit and its reason.

use std::time::Duration;

/// The longest that a call on the journal may take, waiting for a connection included: the call
/// time-out of a driver, which is shorter than its lease.
pub(super) const CALL: Duration = Duration::from_secs(4);

/// A call on the archive may take longer by a second for so many bytes.
pub(super) const ARCHIVE_BYTES_PER_SECOND: usize = 8 * 1024 * 1024;

/// The longest that a server may take to accept a connection, names and encryption included.
pub(super) const CONNECT: Duration = Duration::from_secs(2);

/// The server gives a statement up after this, before the caller does.
pub(super) const STATEMENT: Duration = Duration::from_millis(3_500);

/// The server gives waiting for a row up after this.
pub(super) const LOCK: Duration = Duration::from_secs(2);

/// The server ends a session that has left a transaction open for so long.
pub(super) const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(4);

/// Both ends look this often whether a silent connection still stands, and give it up after
/// [`SILENT_PROBES`] of them.
pub(super) const SILENT: Duration = Duration::from_secs(2);

/// See [`SILENT`].
pub(super) const SILENT_PROBES: u32 = 2;

/// The server looks so often, while it works on a statement, whether its client is still there.
pub(super) const CLIENT_CHECK: Duration = Duration::from_secs(1);

/// So many connections at most from one process: commits that come at once share a flush of the
/// server's log, so that a few serve a thousand rollouts (`cargo bench -p store --features postgres`).
pub(super) const CONNECTIONS: usize = 8;

/// The pause after a first connection that failed; it doubles with each further one.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause between two tries to connect: short beside the ten seconds within which a
/// rollout is taken over.
pub(super) const PAUSE_LONGEST: Duration = Duration::from_secs(1);
