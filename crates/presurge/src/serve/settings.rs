//! Bounds of the daemon, each with its unit and its reason.

use std::time::Duration;

/// The longest body of a request, in bytes: a large fleet's rollout is a tenth of it.
pub const BODY: usize = 1 << 20;

/// The head of a request has arrived within this, and so has its body after that. A connection on which
/// nothing is asked for so long is closed.
pub const READ: Duration = Duration::from_secs(15);

/// The longest head of a request, in bytes.
pub const HEAD: usize = 16 * 1024;

/// So many connections at once; further ones wait to be accepted.
pub const CONNECTIONS: usize = 1024;

/// So many streams of events at once.
pub const STREAMS: usize = 256;

/// From one look into the journal to the next, for a stream of events.
pub const STREAM_LOOK: Duration = Duration::from_millis(500);

/// A stream says that it is alive this often, so that proxies between do not close it.
pub const STREAM_ALIVE: Duration = Duration::from_secs(15);

/// So many records at most are answered at once.
pub const RECORDS: usize = 1000;

/// From one look for rollouts that nobody drives to the next: with a lease of six seconds a rollout is
/// taken over within ten.
pub const KEEP: Duration = Duration::from_secs(1);

/// From one look at the files of tokens and certificates to the next: who is let in no longer is refused
/// after that.
pub const READ_AGAIN: Duration = Duration::from_secs(2);

/// So many leases are asked for at once.
pub const LEASES_AT_ONCE: usize = 32;

/// A rollout whose driver failed is tried again after this, twice as long each time …
pub const REST_FIRST: Duration = Duration::from_secs(1);

/// … but at most this.
pub const REST_LONGEST: Duration = Duration::from_secs(30);

/// So long the end of the daemon waits for turns to end.
pub const LAST_TURNS: Duration = Duration::from_secs(12);

/// So many answers are kept, to be given again when a request comes again …
pub const ANSWERS: usize = 4096;

/// … for so long.
pub const ANSWERS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Whoever finds too much under way may ask again after this.
pub const BUSY: Duration = Duration::from_secs(5);

/// The store is asked whether it answers for at most so long.
pub const READY: Duration = Duration::from_secs(3);

/// Who is refused without a known time to ask again may do so after this.
pub const ASK_AGAIN: Duration = Duration::from_secs(60);

/// From one look for new samples to the next.
pub const FRESH: Duration = Duration::from_secs(5);

/// A source that failed is asked again after this.
pub const FRESH_REST: Duration = Duration::from_secs(60);

/// Sources that are read at once, so that one which answers slowly keeps no other waiting.
pub const READS_AT_ONCE: usize = 32;

/// … of which so many for fits, which take much longer than new samples.
pub const FITS_AT_ONCE: usize = 4;

/// A forecaster is fitted to look so far ahead, unless a plan asks for more.
pub const FRESH_REACH: Duration = Duration::from_secs(86_400);

/// A plan carries a forecaster on over so many steps by itself where it does not know the newest yet.
pub const FRESH_AHEAD: usize = 60;

/// A history that was changed afterwards leads to a fit no sooner than this after the former one.
pub const FRESH_ANEW: Duration = Duration::from_secs(600);

/// Forecasters are put into the store anew when the one that lies there is so much behind …
pub const FRESH_STORED: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);

/// … so many at once, about 4 MiB …
pub const FRESH_STORED_AT_ONCE: usize = 64;

/// … and all of them at the end, as far as that takes no longer than this.
pub const FRESH_LAST: Duration = Duration::from_secs(5);

/// So many changes of one forecaster are written down in an hour: more say that it cannot make up its mind.
pub const CHANGES_PER_HOUR: usize = 4;

/// So many changes wait for a store that does not answer.
pub const CHANGES_WAIT: usize = 4096;

/// So many changes of a forecaster are remembered.
pub const FRESH_EVENTS: usize = 20;

/// So many steps are forecast where nothing else is asked for …
pub const HORIZON: usize = 60;

/// … and so many at most: a day of minutes.
pub const HORIZON_LONGEST: usize = 1440;

/// Advice whose time has passed is looked for this often, and less often while the load of it is not known …
pub const SETTLE_FIRST: Duration = Duration::from_secs(10);

/// … but at least this often.
pub const SETTLE_LONGEST: Duration = Duration::from_secs(600);
