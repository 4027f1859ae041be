//! Constants of the replay, each with its unit and its reason. Those of the strategies that
//! Presurge is set beside are told in `docs/replay.md` as well.

use std::time::Duration;

/// So much history has to lie before the first instant: a daily rhythm shows itself from the
/// second day on.
pub const HISTORY_AT_LEAST: Duration = Duration::from_secs(2 * 86_400);

/// Load is followed this long after a deadline where it is known, for what ends late.
pub const AFTER_DEADLINE: Duration = Duration::from_secs(12 * 3600);

/// More instants than this in one replay are a slip of the pen: a plan for each takes about a
/// second.
pub const MOST_INSTANTS: usize = 100_000;

/// The driver looks at the world so many times in one step of the plan.
pub const LOOKS_PER_STEP: u32 = 6;

/// … and at least this often.
pub const LONGEST_TICK: Duration = Duration::from_secs(30);

/// A hold that lasts this long is ended as a person on call would end it: the rollout is aborted
/// and counts as unfinished. (`hold: { max: 2h }` is the usual value in a configuration.)
pub const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// So many revisions are computed for one rollout at most, so that no rollout runs for ever.
pub const MOST_REVISIONS: u32 = 40;

/// The share of the fleet in one batch of the fixed strategies: the default `maxUnavailable` of
/// a Kubernetes Deployment.
pub const FIXED_BATCH_RATIO: f64 = 0.25;

/// The first and the last hour of the night of the night strategies, by the wall clock: the usual
/// maintenance window.
pub const NIGHT_HOURS: (&str, &str) = ("02:00", "05:00");

/// Utilisation at which target tracking wants the servers to be, as a share of what they carry
/// safely: the middle of the 60 to 70 % that its manuals advise.
pub const TRACKING_TARGET_RATIO: f64 = 0.65;

/// Metrics of one minute are seen so many minutes after their end: collection, aggregation and
/// the evaluation of the alarm.
pub const TRACKING_LAG_MINUTES: usize = 2;

/// So many minutes in a row above the target add instances (the alarms that EC2 Auto Scaling
/// makes for target tracking have three data points).
pub const TRACKING_OUT_MINUTES: usize = 3;

/// So many minutes in a row below the target remove instances (the same alarms: fifteen).
pub const TRACKING_IN_MINUTES: usize = 15;

/// Instances are removed only below this share of the target (the same alarms: 10 % under it).
pub const TRACKING_IN_RATIO: f64 = 0.9;

/// Target tracking runs this many minutes before the rollout, so that it begins in the state in
/// which it would be.
pub const TRACKING_BEFORE_MINUTES: i64 = 60;

/// The margins of the hourly point forecast.
pub const HOURLY_MARGINS: [f64; 3] = [0.1, 0.2, 0.3];

/// The fixed buffer of the hourly point forecast, as a share of the fleet's capacity.
pub const HOURLY_BUFFER_RATIO: f64 = 0.1;

/// The hourly point forecast looks back so many days for an hour of which anything is known.
pub const HOURLY_DAYS_BACK: i64 = 14;

/// The clairvoyant plans on this many copies of the one path that comes; more than one only
/// because the planner wants a sample.
pub const CLAIRVOYANT_COPIES: usize = 16;

/// … at this risk, of which the copies can use nothing: they lack capacity all or none.
pub const CLAIRVOYANT_RISK: f64 = 0.5;

/// Draws of the bootstrap.
pub const BOOTSTRAP_DRAWS: u32 = 2_000;

/// The confidence of every one-sided bound.
pub const CONFIDENCE: f64 = 0.95;

/// Deficits below this share of the fleet's capacity are rounding, not overload.
pub const ROUNDING_RATIO: f64 = 1e-9;
