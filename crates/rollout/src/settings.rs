//! Tuning constants of the rollout, each with its unit and its reason.

use std::time::Duration;

/// How a driver paces itself. All lengths are in the time of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one look at the world to the next.
    pub tick: Duration,
    /// A call that has not answered by then is given up; its key makes a late effect harmless.
    pub call_timeout: Duration,
    /// How long a lease lasts; it is renewed after a third of it.
    pub lease: Duration,
    /// From one query of the newest load to the next.
    pub load_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            call_timeout: Duration::from_secs(4),
            lease: Duration::from_secs(6),
            load_every: Duration::from_secs(5),
        }
    }
}

/// A call that said when to ask again is not asked sooner than this: adapters tell a fraction of
/// a second, and every look asks everybody.
pub const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// A batch that could not open this long after its time needs a new plan, since its risk was
/// computed for its time: a quarter of the batch's length, but at least this many seconds.
pub const LATE_AT_LEAST_SECONDS: f64 = 60.0;

/// See [`LATE_AT_LEAST_SECONDS`].
pub const LATE_SHARE_OF_BATCH: f64 = 0.25;

/// The whole weight of a server, in percent.
pub const FULL: u8 = 100;

/// A server that somebody else took out blocks new batches at once; after this many seconds the
/// rollout says so as a hold.
pub const FOREIGN_OUTAGE_SECONDS: f64 = 30.0;

/// The first pause after a failed call, in seconds; it doubles with each failure.
pub const BACKOFF_FIRST_SECONDS: f64 = 1.0;

/// The longest pause between two tries of a failed call, in seconds.
pub const BACKOFF_LONGEST_SECONDS: f64 = 30.0;

/// So many failures of the same call in a row make a hold.
pub const FAILURES_TO_HOLD: u32 = 5;

/// So many failures of one call are written to the journal; the rest only to the audience.
pub const FAILURES_WRITTEN: u32 = 20;

/// So many changes of one gate's verdict on one server are written to the journal; a gate that
/// goes back and forth says nothing new.
pub const VERDICTS_WRITTEN: u32 = 20;

/// A hook that its adapter should have ended is given up after this many seconds more.
pub const HOOK_GRACE_SECONDS: f64 = 60.0;

/// The auto-scaler is taken so long before the first order or removal, in seconds: time to look at
/// it and to set it, and little more of its freedom than is needed.
pub const SIZE_AHEAD_SECONDS: u64 = 60;

/// From one look at the auto-scaler to the next, in seconds: it is asked by command, or far away.
pub const SIZE_LOOK_SECONDS: u64 = 20;

/// A call that set the auto-scaler and went astray has arrived after this many seconds, so that what
/// is put back then stays.
pub const SIZE_ASTRAY_SECONDS: u64 = 30;

/// So many times in a row somebody else may change the auto-scaler between a look and a command,
/// before a person is asked.
pub const SIZE_CONFLICTS: u32 = 5;

/// From one look at what an updated server runs to the next, in seconds.
pub const VERSION_LOOK_SECONDS: u64 = 60;

/// So many updated servers are asked at once what they run: a sixtieth of them, so that a driver that
/// looks each second has asked each within a minute, but at least and at most so many.
pub const VERSION_LOOKS: std::ops::RangeInclusive<usize> = 8..=64;

/// A refused revision is asked for again after this many seconds.
pub const REVISE_AGAIN_SECONDS: f64 = 60.0;

/// An offer that did not deliver is not ordered from again for so many seconds: what is sold out stays
/// so for minutes, and it may be all that there is.
pub const OFFER_RESTS_SECONDS: u64 = 900;

/// It rests for twice as long each time, up to 16 hours: whoever waits for it has to be told that the
/// rollout waits, instead of seeing it begin again.
pub const OFFER_REST_DOUBLES_AT_MOST: u32 = 6;

/// Decisions may follow from decisions; more rounds than this in one tick are a defect.
pub const MAX_ROUNDS: usize = 64;

/// Sums of risks differ by rounding in this share of the stated risk.
pub const RISK_ROUNDING: f64 = 1e-9;

/// A revision is not asked for when less than this probability is left: a million sampled paths,
/// the most that are drawn, cannot show less.
pub const LEAST_RISK: f64 = 6e-6;
