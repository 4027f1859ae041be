//! Tuning constants of the planner, each with its unit and its reason.

/// Deficits below this share of the fleet's capacity are rounding, not overload.
pub(crate) const ROUNDING_RATIO: f64 = 1e-9;

/// The confidence of the bound that is reported (`upper95`).
pub(crate) const REPORTED_CONFIDENCE: f64 = 0.95;

/// The confidence of the bound that a plan is chosen by. It is stricter than the reported one,
/// so that the bound on fresh paths, which scatters, lies below the target as well most times.
pub(crate) const CHOOSING_CONFIDENCE: f64 = 0.995;

/// An automatic canary is one server in this many, at least one.
pub(crate) const CANARY_ONE_IN: usize = 100;

/// Every number of batches up to this is tried; beyond, only the least number for each batch
/// size, since the sizes in between differ by next to nothing.
pub(crate) const EVERY_NUMBER_OF_BATCHES: usize = 64;

/// A sampled rollout that runs late is followed until this many seconds after its planned end;
/// what comes later is judged by the load at that moment.
pub(crate) const FOLLOWED_LATE_SECONDS: i64 = 3600;

/// The longest interval of the timeline in seconds: the band that live load is compared with
/// must follow the forecast. The load's own step, where it is longer, takes its place.
pub(crate) const TIMELINE_LONGEST_SECONDS: i64 = 600;

/// The timeline begins so many seconds before the start, so that the samples that are looked at
/// before the first batch have a band.
pub(crate) const TIMELINE_LEAD_SECONDS: i64 = 900;

/// The lowest level of the band that live load is compared with.
pub(crate) const BAND_AT_LEAST: f64 = 0.95;

/// The next peak is looked for so many seconds after the end.
pub(crate) const EXPOSURE_SECONDS: i64 = 86_400;

/// At most so many rejected alternatives are listed.
pub(crate) const REJECTED_AT_MOST: usize = 12;

/// A plan stays valid for this share of its first batch's length after that batch's time, but
/// at least [`VALID_AT_LEAST_SECONDS`]: later, its risk was computed for another load.
pub(crate) const VALID_SHARE_OF_BATCH: f64 = 0.25;

/// See [`VALID_SHARE_OF_BATCH`].
pub(crate) const VALID_AT_LEAST_SECONDS: i64 = 60;

/// Risks that are tried, in order, to say what would fit.
pub(crate) const RISKS_TO_OFFER: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// No horizon of a plan has more steps than this: a year of minutes.
pub(crate) const STEPS_AT_MOST: i64 = 527_040;

/// Steps × paths × dimensions that are held in memory at most (8 bytes each, and a third more).
pub(crate) const CELLS_AT_MOST: i64 = 100_000_000;

/// No single length of time in a request is longer than this many seconds: a year.
pub(crate) const LONGEST_SECONDS: u64 = 366 * 86_400;

/// Branch-and-bound nodes that the solver of a mix looks at, at most. Mixes of ten offers take a
/// few hundred; a limit in time would make plans depend on the machine.
pub(crate) const SOLVER_NODES_AT_MOST: u64 = 5_000;

/// In a mix with instances that can be lost, this share of the allowed paths is kept for their
/// loss, the rest for the load. What has to be spared grows with the logarithm of the risk only,
/// so that the load gets the larger part.
pub(crate) const LOSS_SHARE: f64 = 0.25;

/// A mix counts on at most so many offers of which instances can be lost.
pub(crate) const RISKY_OFFERS_AT_MOST: usize = 3;

/// Of an offer of which instances can be lost, a mix takes at most so many.
pub(crate) const RISKY_INSTANCES_AT_MOST: u32 = 16_384;

/// Sizes of the lots in which such instances are bought grow by this ratio.
pub(crate) const LOT_RATIO: f64 = 1.5;

/// Offers whose capacities have no common measure above this share of the largest are compared
/// as real numbers.
pub(crate) const GRAIN_AT_LEAST: f64 = 1.0 / 4096.0;

/// Where instances can be lost, bounds look at so many paths for each that may lack capacity:
/// those below lack little, and are rarely short by a loss.
pub(crate) const WATCHED_FOR_LOSSES: usize = 24;

/// A batch is reckoned with for so many times its length: it is updated, and may be rolled back,
/// which takes drain, update and warm-up once more.
pub(crate) const RETREAT_LENGTHS: usize = 2;

/// So many batches may go out before there is surge: mostly the canary, and what goes out before a
/// rise that is coming.
pub(crate) const LATER_SURGE_AT_MOST: usize = 3;

/// … where there are at most so many: of more, one takes too short a time for its surge to cost
/// anything.
pub(crate) const LATER_SURGE_BATCHES: usize = 20;

/// A mean load of more than so many times the capacity of the whole fleet is in another unit: an
/// overload can be tenfold, and units differ by 60, 100 or 1,000.
pub(crate) const LOAD_TIMES_FLEET_AT_MOST: f64 = 20.0;

/// Costs are compared in units of this share of the currency, so that the order in which they
/// are added up does not matter.
pub(crate) const COST_UNIT: f64 = 1e-9;

/// At most so many zones are lost together: every choice of them is looked at.
pub(crate) const SURVIVED_ZONES_AT_MOST: u32 = 2;

/// The joint risk of several fleets is shared out in so many units for each fleet: the least share
/// is a sixth of an equal one, below which more paths would be needed than are worth their time.
pub(crate) const UNITS_PER_FLEET: usize = 6;

/// The tail of the paths is fitted to this share of them, the largest: the 10 % that is customary
/// (DuMouchel 1983).
pub(crate) const TAIL_SHARE: f64 = 0.1;

/// … to so many at least, below which the estimates of its shape say nothing.
pub(crate) const TAIL_AT_LEAST: usize = 20;

/// … and to so many at most: more paths are better spent on a higher threshold.
pub(crate) const TAIL_AT_MOST: usize = 2_000;

/// The error of the tail is taken over so many samples drawn from it: to within 5 % of itself.
pub(crate) const TAIL_REPLICATES: u64 = 200;
