//! Every figure of the demo, with its unit and its reason.
//!
//! Time is compressed: one real second is [`SPEED`] seconds of the story. Requests, queues and
//! processes are real, and so are the seconds that overload is counted in.

use std::time::Duration;

/// Seconds of the story in one real second: half an hour.
pub const SPEED: f64 = 1_800.0;

/// When the rollout is asked for, on a Wednesday at the peak of the day.
pub const ASKED_AT: &str = "2026-03-04T17:30:00Z";

/// How long each of the four runs lasts, in the time of the story: 29 real seconds.
pub const RUN: Duration = Duration::from_secs(29 * 1_800);

/// The last server has to be back this long after the rollout is asked for, unless said
/// otherwise. Leaves time for stabilisation and for giving back the surge within [`RUN`].
pub const DEADLINE: Duration = Duration::from_secs(13 * 3_600);

/// Weeks of history that the forecast may learn from.
pub const HISTORY_WEEKS: i64 = 4;

/// The step of the load samples in seconds: one real second.
pub const LOAD_STEP_SECONDS: i64 = 1_800;

/// The step of the plan in seconds.
pub const PLAN_STEP_SECONDS: i64 = 300;

/// Servers of the fleet.
pub const SERVERS: u32 = 12;

/// Servers that the fixed rolls take out together, a quarter; also the surge of the second.
pub const FIXED_BATCH: usize = 3;

/// Requests that a server works on at the same time.
pub const WORKERS: usize = 4;

/// Requests that wait for a worker; one more is refused. About 0.8 s of work.
pub const QUEUE: usize = 20;

/// The shortest and the longest work for one request, in milliseconds; evenly spread between.
pub const WORK_MS: (u64, u64) = (100, 220);

/// What a server carries safely, in requests per second: 92 % of the 25 that its workers can
/// finish. The rest keeps waits short while requests come unevenly.
pub const SERVER_CAPACITY: f64 = 23.0;

/// Load in the middle of the busiest hour, in requests per second: 95 % of the fleet's capacity.
pub const PEAK_RATE: f64 = 262.0;

/// A request that waited longer than this for a worker makes its second an overloaded one.
pub const WAIT_LIMIT: Duration = Duration::from_millis(250);

/// A request that was not answered within this failed.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests under way at most; one more fails at once. All queues of the fleet are shorter.
pub const IN_FLIGHT: usize = 1_000;

/// How long the installation of a new version takes, in real time, besides the restart.
pub const INSTALL: Duration = Duration::from_millis(900);

/// A server that does not serve this long after its start has failed, in real time.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Planned lengths in the time of the story: drain, update, surge from order to service. They
/// leave room for a busy machine: a batch of 50 minutes really takes about 1.3 s of 1.7.
pub const PLANNED_DRAIN: Duration = Duration::from_secs(300);
/// See [`PLANNED_DRAIN`].
pub const PLANNED_UPDATE: Duration = Duration::from_secs(2_700);
/// See [`PLANNED_DRAIN`].
pub const PLANNED_LEAD: Duration = Duration::from_secs(900);

/// Watch this long after the last batch before the surge goes: 1 real second.
pub const STABILISATION: Duration = Duration::from_secs(1_800);

/// Allowed probability that capacity lacks at any moment of the rollout.
pub const RISK: f64 = 0.01;

/// Price of a surge process per hour of the story, billed from the order until it is gone.
pub const PRICE: f64 = 0.192;

/// Surge processes that can be bought at most.
pub const MAX_SURGE: u32 = 12;

/// Ports of servers are looked for from here on, below the range from which the system takes the
/// ports of outgoing connections.
pub const PORTS: std::ops::Range<u16> = 20_000..29_000;

/// Ports of surge, and how many of them one demo looks through. Apart from [`PORTS`], so that no
/// surge takes the port of a server that is being replaced.
pub const SURGE_PORTS: std::ops::Range<u16> = 29_000..32_000;
/// See [`SURGE_PORTS`].
pub const SURGE_PORTS_EACH: u16 = 30;

/// The shape of the incident: from when after the beginning it rises, how long it rises, stays
/// and falls, in seconds of the story, and by how much of the load. It is as high as the one in
/// the measured trace.
pub const INCIDENT_SECONDS: (f64, f64, f64) = (27_000.0, 1_800.0, 5_400.0);
/// See [`INCIDENT_SECONDS`].
pub const INCIDENT_RATIO: f64 = 0.26;

/// So many newest samples in a row above the band make a hold.
pub const BAND_BREACHES: u32 = 2;

/// How long an abort at the end of a run may take, in the time of the story: 10 real seconds.
pub const PATIENCE: Duration = Duration::from_secs(18_000);

/// How often the board is brought up to date, in the time of the story: 0.1 real seconds.
pub const WATCH_EVERY: Duration = Duration::from_secs(180);
