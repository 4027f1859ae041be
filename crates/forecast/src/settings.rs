//! Every tuning constant, with its unit and where it comes from.
//!
//! "Measured" means: chosen on the developers' data sets by the example `accuracy`.

/// The newest values that models learn from, in steps. Four weeks of minutes; bounds the cost
/// of a fit on a year of minutes.
pub const MAX_FIT_POINTS: usize = 40_320;
/// Models that search (ETS, Theta, MSTL) learn from so many of the newest cycles of their longest
/// season …
pub const SEARCHED_CYCLES: usize = 8;
/// … and from at least so many of the newest values, in steps: two weeks of five minutes.
pub const SEARCHED_POINTS: usize = 4_032;
/// Values that may pile up beyond the reach of a model before the oldest are dropped: one for so
/// many within its reach.
pub const HISTORY_PER_SLACK: usize = 1_024;
/// Room that growing lists of a kept forecaster ask for at a time.
pub const HISTORY_SLACK: usize = 16;
/// Gaps up to this length are bridged by a straight line, in steps; longer ones stay gaps.
pub const BRIDGED_GAP: usize = 3;

/// Added to the diagonal of every regression, as a share of the total weight: keeps collinear
/// columns solvable without moving the others (columns are scaled to variance near 1).
pub const RIDGE_FLOOR: f64 = 1e-9;

/// The shortest candidate season, in steps.
pub const SHORTEST_SEASON: usize = 4;
/// A season shorter than this, in steps, is dropped if a longer one is a multiple of it.
pub const SHORTEST_KEPT: usize = 7;
/// How many cycles a longer season needs to stand in for a shorter one.
pub const CYCLES_TO_EXPLAIN: usize = 3;
/// Least leave-one-cycle-out R² of a season. Noise has about `−1/(cycles − 1)`.
pub const SEASON_GAIN: f64 = 0.02;
/// Periods that differ by less than this share are the same.
pub const SEASON_NEARNESS: f64 = 0.05;
/// Weeks of a fine step that are looked at for a week.
pub const WEEKS_LOOKED_AT: usize = 4;
/// The autocorrelation is taken on at most this many points, in steps of the thinned series.
pub const ACF_POINTS: usize = 2_000;
/// Series with fewer (thinned) points than this have no autocorrelation peaks.
pub const ACF_SHORTEST: usize = 20;
/// The least autocorrelation of a peak that is worth a test.
pub const ACF_PEAK: f64 = 0.2;
/// How many peaks are tested at most.
pub const ACF_PEAKS: usize = 3;

/// Cycles of a season that a regression needs before it has columns for it.
pub const CYCLES_FOR_PROFILE: usize = 2;
/// Cycles of a season that smoothing needs before it carries it.
pub const CYCLES_FOR_SMOOTHING: usize = 2;
/// Cycles that the starting values of smoothing are made from.
pub const CYCLES_TO_START: usize = 2;
/// The fewest values that smoothing learns from.
pub const SMOOTHING_LEAST: usize = 10;
/// Rounds of the search for the smoothing weights.
pub const SMOOTHING_ROUNDS: usize = 8;
/// How the step of that search shrinks from round to round.
pub const SMOOTHING_SHRINK: f64 = 0.7;
/// A limit that turns Huber's loss into the square.
pub const HUBER_OFF: f64 = f64::INFINITY;
/// Errors beyond this many robust standard deviations count linearly (Huber 1964: 1.345 gives
/// 95 % efficiency on normal errors; load is spiky, so measured).
pub const HUBER_LIMIT: f64 = 2.0;
/// Reweighting steps of a regression.
pub const HUBER_STEPS: usize = 1;
/// The median absolute deviation of a standard normal.
pub const MAD_NORMAL: f64 = 0.6745;
/// Ridge of the lag regressions, as a share of the total weight (columns have variance near 1).
pub const RIDGE: f64 = 1e-3;
/// Observations that a regression needs per column.
pub const ROWS_PER_COLUMN: usize = 4;
/// How far beyond the range of the history an iterated forecast may go, as a share of it.
pub const RANGE_ROOM: f64 = 1.0;
/// Logarithms are taken only if the smallest value is above this share of the mean.
pub const LOG_FLOOR: f64 = 1e-3;

/// The newest share of the history over which origins roll.
pub const EVALUATED_SHARE: f64 = 0.5;
/// How many origins are rolled at most (spacing grows with the history).
pub const ORIGINS: usize = 72;
/// How often models are fitted anew while rolling.
pub const REFITS: usize = 3;

/// How far a quantile may lie beyond the range of the history, as a share of it.
pub const WIDTH_CAP: f64 = 3.0;
/// Degrees of freedom that one independent block of origins is worth. Measured.
pub const FREEDOM_PER_BLOCK: f64 = 1.0;
/// The least degrees of freedom, where the expansion of the Student quantile still holds.
pub const LEAST_FREEDOM: f64 = 3.0;
/// The size of errors is averaged over this fraction (one over it) of the steps before and after.
pub const SCALE_SMOOTHING: usize = 4;
/// Steps with errors that are needed to measure their growth; below it a random walk is assumed.
pub const GROWTH_STEPS: usize = 8;
/// Known errors that a normaliser other than the flat one needs.
pub const NORMALISER_LEAST: usize = 200;
/// Forecasts that were wrong one way only, by more than so many times the mean size of errors, did not see the level
/// shift: half as far again as errors that last reach by chance, which seldom keep beyond three times for long.
pub const SHIFT_SIZE: f64 = 5.0;
/// … over this part of the horizon at least (an hour of half a day) …
pub const SHIFT_PART: usize = 12;
/// … and over so many steps.
pub const SHIFT_LEAST: usize = 4;
/// Rounds in which the mean size without them settles.
pub const SHIFT_ROUNDS: usize = 4;
/// What a level normaliser must be better by, in mean log-likelihood.
pub const NORMALISER_MARGIN: f64 = 0.01;
/// What a phase normaliser must be better by (it has many parameters).
pub const PHASE_MARGIN: f64 = 0.03;
/// Powers of the heat that are tried.
pub const HEAT_POWERS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Steps that the heat remembers, as a share of the horizon, …
pub const HEAT_MEMORY: f64 = 0.25;
/// … and at least.
pub const HEAT_MEMORY_LEAST: f64 = 6.0;
/// Weight of the usual size in the heat, as a share of the steps that it remembers. Measured.
pub const HEAT_PRIOR: f64 = 0.2;
/// Errors beyond this, in units of their usual size, count as this in the heat.
pub const HEAT_CLIP: f64 = 5.0;
/// The least forecast relative to the mean that still lowers the size of errors.
pub const LEVEL_FLOOR: f64 = 0.05;
/// Phase factors are averaged over this fraction (one over it) of the season to each side.
pub const PHASE_SMOOTHING: usize = 24;
/// Weight of the mean size against the phase's own, relative to the errors seen.
pub const PHASE_SHRINKAGE: f64 = 0.5;
/// The least phase factor.
pub const PHASE_LEAST: f64 = 0.1;
/// Values of a normal shape that are mixed into every pool of errors.
pub const PRIOR_ERRORS: usize = 10;
/// The standard deviation of a normal whose mean size is 1: √(π/2).
pub const SIZE_TO_DEVIATION: f64 = 1.253_314_137;
/// How many of the most extreme errors make the tail.
pub const TAIL_ERRORS: usize = 10;

/// Forecasts that wait for their values at a time, over one horizon.
pub const JUDGED_FORECASTS: usize = 16;
/// How far a quantile moves on a miss, in units of the size of errors, over as many steps as the
/// middle of its band of horizons. Measured.
pub const TRACKING_GAIN: f64 = 1.0;
/// The most that one value may move a quantile, in units of the size of errors.
pub const TRACKING_GAIN_MOST: f64 = 0.5;
/// The largest offset of a quantile, in units of the size of errors.
pub const OFFSET_MOST: f64 = 50.0;

/// The levels that planning reads; selection minimises the mean pinball loss over them.
pub const PLANNING_LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
/// The loss of a combination of `k` models counts `1 + this / k` times: small ones look better
/// over past origins than they are (combinations vary less on new data: Bates and Granger 1969).
/// Measured.
pub const SIZE_PENALTY: f64 = 0.5;
/// The newest share of the origins at which it is judged what a model adds.
pub const HELD_OUT_SHARE: f64 = 1.0 / 3.0;
/// The share of the held-out loss that a candidate has to save to take part. Measured.
pub const CANDIDATE_SAVES: f64 = 0.03;
/// What it has to save besides if it takes the whole budget; less in proportion. A choice.
pub const CANDIDATE_PRICE: f64 = 0.2;
/// The most members of a combination in which all weigh the same.
pub const BLEND_MOST: usize = 7;
/// The most members of one that is weighted by losses: bounds memory and the cost of an update.
pub const BLEND_WEIGHTED_MOST: usize = 12;
/// Weights in the weighted mean fall with this power of the loss. Measured.
pub const BLEND_POWER: f64 = 4.0;
/// Members with less weight than this, relative to the best, are left out.
pub const BLEND_LEAST_WEIGHT: f64 = 0.05;
/// Steps per horizon that are scored at most.
pub const SCORED_STEPS: usize = 96;

/// How many models live on after a fit, besides the naive ones and those of the best
/// combination: bounds memory and the cost of an update.
pub const EXPERTS_KEPT: usize = 8;
/// Rate `η` of the live weights per unit of relative loss. Measured by the example `live`.
pub const LEARNING_RATE: f64 = 0.5;
/// The share `α` of all weight that returns to the prior each round: one change of the leader
/// per `1/α` rounds is followed at little cost (Herbster and Warmuth 1998).
pub const RETURN_SHARE: f64 = 0.005;
/// How much of the returning weight goes to the choice of the fit; the rest is spread evenly.
pub const FAVOURITE_SHARE: f64 = 0.5;
/// Relative losses are clipped here, in units of the mean's own discounted loss.
pub const LOSS_CLIP: f64 = 3.0;
/// How fast live losses forget, per scored forecast: a memory of 50 scores.
pub const LOSS_DISCOUNT: f64 = 0.02;
/// How fast an expert's own quantiles follow its errors, in units of its loss per score.
/// Measured by the example `live`.
pub const OFFSET_RATE: f64 = 0.01;
/// Forecasts of one lead that wait for their values at most; long leads are scored less often.
pub const SCORED_AT_A_TIME: usize = 8;
/// Experts with less weight than this are left out of the forecast.
pub const LEAST_WEIGHT: f64 = 0.01;
/// A new leader must be ahead of the old one by this much weight.
pub const LEADER_MARGIN: f64 = 0.1;
/// Below this weight a model that had [`PROMOTED_WEIGHT`] counts as demoted.
pub const DEMOTED_WEIGHT: f64 = 0.02;
/// From this weight on a model that did not count does.
pub const PROMOTED_WEIGHT: f64 = 0.1;

/// The mean number of steps between false alarms of drift, for independent errors: five weeks
/// of five-minute steps.
pub const FALSE_ALARM_STEPS: f64 = 10_000.0;
/// The allowance `k` of the charts, in standard deviations: half the shift that is found soonest.
pub const DRIFT_ALLOWANCE: f64 = 0.5;
/// Scores are clipped here, in standard deviations.
pub const DRIFT_CLIP: f64 = 3.0;
/// Intervals are wider by this factor after drift was found.
pub const DRIFT_WIDENING: f64 = 1.3;
/// After so many steps half of that widening is gone.
pub const DRIFT_HALF_LIFE: f64 = 48.0;
/// A fit is too old after this share of the values that it learned from, and no sooner than
/// after one longest season. A choice; the example `live` compares refits when due with daily ones.
pub const REFIT_AGE: f64 = 0.1;
/// Steps after a fit before drift asks for the next: a fit needs values that came since.
pub const REFIT_REST: usize = 48;

/// The share of a horizon that must have come for an origin to serve as a template of paths.
pub const TEMPLATE_SHARE: f64 = 0.75;
/// The fewest templates; with fewer, paths are autoregressions.
pub const TEMPLATES_LEAST: usize = 8;
/// How much of a path is one past origin itself; the rest is a mixture of all.
pub const TEMPLATE_OWN: f64 = 0.8;
/// Correlation of neighbouring steps where no past errors tell it.
pub const CARRY_ON: f64 = 0.9;

/// Live scores remember so many seconds: a week.
pub const SCORES_MEMORY: f64 = 604_800.0;
/// Forecasts of one band that wait for their values at a time, about.
pub const SCORES_WAITING: usize = 8;

/// Missing steps between two samples that a forecaster carries; beyond it, fit anew.
pub const CARRIED_GAP: usize = 10_000;
/// The shortest default horizon, in steps.
pub const HORIZON_LEAST: usize = 12;
/// The longest calibrated horizon, in steps (a day of minutes).
pub const HORIZON_MOST: usize = 1_440;
/// The calibrated horizon is at most the history over this.
pub const HISTORY_PER_HORIZON: usize = 4;
/// Fewer values than this are reported as few.
pub const FEW_VALUES: usize = 40;
/// From this percentage of gaps on, a series is reported as sparse.
pub const SPARSE_PERCENT: usize = 20;

/// Plain lags of the regressions, in steps.
pub const LAGS: usize = 3;
/// Smoothing of the seasonal profiles over cycles. Measured.
pub const PROFILE_SMOOTHING: f64 = 0.3;

/// Values that the network reads back when it is fitted: three days of hours.
pub const LSTM_WARM: usize = 72;
/// The fewest values that it is fitted to.
pub const LSTM_LEAST: usize = 16;
/// The least mean change over a season, as a share of the spread of the series: below it changes
/// are told in this.
pub const LSTM_UNIT_LEAST: f32 = 0.02;
/// Seasons over which that mean is taken.
pub const LSTM_UNIT_SEASONS: f32 = 7.0;
/// Without a season, or with a shorter one, means are taken over so many steps.
pub const LSTM_SEASON_LEAST: usize = 8;
/// How fast the fast means follow, per value.
pub const LSTM_FAST: f32 = 0.3;
/// Steps further ahead than this are the same to the network.
pub const LSTM_FARTHEST: usize = 1_440;
/// Networks learn to look two shorter seasons ahead, but no fewer steps than this …
pub const LSTM_HORIZON_LEAST: usize = 48;
/// … and no more than this.
pub const LSTM_HORIZON_MOST: usize = 720;
/// Values further from the first candidate count as this far when networks learn and are judged,
/// in units of the mean change over a season.
pub const LSTM_TARGET_MOST: f32 = 30.0;

/// The longest grid, in steps: almost two years of minutes.
pub const GRID_MOST: usize = 1_000_000;
/// How far the median distance of samples may be from a usual step, as a share of it.
pub const STEP_TOLERANCE: f64 = 0.1;
/// Steps that sources usually have, in seconds.
pub const USUAL_STEPS: [i64; 14] =
    [1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 86_400];

/// Load at or below this share of its low quantile has collapsed.
pub const OUTAGE_LEVEL: f64 = 0.05;
/// That low quantile.
pub const OUTAGE_SHARE: f64 = 0.05;
/// So many collapses at one distance are a habit of the load.
pub const OUTAGE_REGULAR: usize = 3;
/// A collapse is believed after so long, in seconds: two hours of a rollout's caution.
pub const OUTAGE_SECONDS: i64 = 7_200;
/// And not before so many steps.
pub const OUTAGE_LEAST_STEPS: usize = 3;

/// Rounds of the expectation above lower bounds; it moves little after these. Measured.
pub const BOUNDED_ROUNDS: usize = 12;
/// Ridge of its waves, as a share of the total weight: holds them where nothing else does.
pub const BOUNDED_RIDGE: f64 = 1e-4;
/// Waves per season that carry a peak over its cut: more of them bend too freely.
pub const BOUNDED_WAVES: usize = 3;
/// The window of the level where there is no season, in steps.
pub const BOUNDED_WINDOW: usize = 48;
/// How far expected demand may lie above all that was seen, as a share of the range.
pub const BOUNDED_ROOM: f64 = 1.0;

/// How much of a path may be noise of its own; the choice between them is made on past maxima.
pub const LOOSENESS: [f64; 5] = [0.0, 0.1, 0.25, 0.5, 1.0];
/// What a further loosening must gain, as a share of the loss.
pub const LOOSENESS_MARGIN: f64 = 0.01;
/// Paths that the choice is made with.
pub const WINDOW_PATHS: usize = 120;
/// The levels of the maximum that are judged.
pub const WINDOW_LEVELS: [f64; 3] = [0.9, 0.95, 0.99];

/// The longest stretch of wild values that is brought back, in steps; a longer one is load.
pub const SPIKE_RUN: usize = 3;
/// The share of the values (at each end) that may be wild.
pub const SPIKE_SHARE: f64 = 0.002;
/// How far beyond the others a value is wild, as a multiple of their range.
pub const SPIKE_ROOM: f64 = 1.0;
/// Shorter series are not clipped.
pub const SPIKES_LEAST: usize = 50;

/// Lags whose autocorrelations are summed in the test of a season, at most; more are sampled.
pub const ACF_LAGS: usize = 256;
/// The least phase of a multiplicative season.
pub const LEAST_PHASE: f64 = 1e-6;

/// The longest season of exponential smoothing, in steps: a week of five minutes.
pub const ETS_LONGEST: usize = 2_016;
/// Values that the starting level is taken from, at least (R's `forecast`).
pub const ETS_START: usize = 10;
/// Values that a form needs beyond its parameters.
pub const ETS_SPARE: usize = 4;
/// The least expected value of a multiplicative form, over the mean of the series.
pub const ETS_LEAST: f64 = 1e-12;
/// The greatest.
pub const ETS_MOST: f64 = 1e12;
/// The least starting phase of a multiplicative season (R's `forecast`).
pub const ETS_LEAST_PHASE: f64 = 1e-2;
/// The mean squared error, over the squared mean of the series, that counts as none.
pub const ETS_NO_ERROR: f64 = 1e-20;
/// Weights of the level that the search starts from.
pub const ETS_LEVELS: [f64; 3] = [0.1, 0.5, 0.9];
/// Weights of the season that the search starts from, as a share of what the level leaves.
pub const ETS_CYCLES: [f64; 2] = [0.05, 0.4];
/// The weight of the trend that the search starts from, as a share of the level's.
pub const ETS_TREND: f64 = 0.1;
/// The damping that the search starts from.
pub const ETS_DAMPING: f64 = 0.95;
/// The range of the damping (R's `forecast`).
pub const ETS_DAMPING_RANGE: (f64, f64) = (0.8, 0.98);
/// How near a weight comes to the ends of its range (R's `forecast`).
pub const ETS_EDGE: f64 = 1e-4;
/// The size of the first simplex, in logits.
pub const ETS_WIDTH: f64 = 1.0;
/// Evaluations of the likelihood per form, at most.
pub const ETS_EVALUATIONS: usize = 150;
/// Twice the log-likelihood is found to within this; a parameter costs 2.
pub const ETS_TOLERANCE: f64 = 0.05;

/// The range of the level's weight in the Theta method (Fiorucci et al. 2016).
pub const THETA_ALPHAS: (f64, f64) = (0.05, 0.99);
/// Parts of that range that are tried before the search.
pub const THETA_GRID: usize = 6;
/// How near the search comes.
pub const THETA_PRECISION: f64 = 5e-3;
/// The greatest `1 − 1/θ`.
pub const THETA_KAPPA_MOST: f64 = 1.0 - 1e-9;

/// What the seasons of MSTL learn of an unexpected value between two fits: about the weight of
/// the newest cycle in a local mean over eleven.
pub const MSTL_CARRY: f64 = 0.1;

/// The largest partial autocorrelation of an ARMA factor: its roots stay outside the circle of
/// radius 1/this (the R package rejects models with roots within 1.01).
pub const PARTIAL_MOST: f64 = 0.99;
/// Rounds of the search for ARMA parameters by conditional least squares. Measured: 12 are no
/// better, since each model starts from its neighbour.
pub const ARIMA_ROUNDS: usize = 5;
/// Rounds of the search for ARMA parameters by exact likelihood.
pub const ARIMA_EXACT_ROUNDS: usize = 3;
/// The first damping of that search (Marquardt 1963), in units of the mean square of a column.
pub const ARIMA_DAMPING: f64 = 0.1;
/// Damped steps that one round tries.
pub const ARIMA_TRIES: usize = 4;
/// The nudge of a free number for its forward difference.
pub const ARIMA_NUDGE: f64 = 1e-5;
/// The longest step of one free number in one round.
pub const ARIMA_STRIDE: f64 = 1.0;
/// The largest free number: `tanh` of it is 1 up to 1e-3.
pub const ARIMA_EDGE: f64 = 4.0;
/// The search ends when a round lowers the sum of squares by less than this share.
pub const ARIMA_GAIN: f64 = 1e-5;
/// The most plain terms on each side (Hyndman and Khandakar 2008: 5).
pub const ARIMA_PLAIN_MOST: usize = 5;
/// The most seasonal terms on each side (Hyndman and Khandakar 2008: 2).
pub const ARIMA_SEASONAL_MOST: usize = 2;
/// The fewest values that an ARIMA model learns from.
pub const ARIMA_LEAST: usize = 16;
/// Ridge of the regression on waves and outside columns, as a share of the total weight.
pub const ARIMA_RIDGE: f64 = 1e-9;
/// Outside values count up to this many spreads.
pub const OUTSIDE_MOST: f64 = 10.0;
/// The 5 % point of the KPSS statistic around a level (Kwiatkowski et al. 1992, table 1).
pub const KPSS_CRITICAL: f64 = 0.463;
/// With fewer values there is no test for stationarity.
pub const KPSS_LEAST: usize = 10;
/// The most plain differences.
pub const ARIMA_DIFFERENCES: usize = 1;
/// Models that one search for orders estimates at most. Measured: 60 are no better.
pub const ARIMA_MODELS_MOST: usize = 24;
/// Models that it estimates on the longest series: four to start and their neighbours.
pub const ARIMA_MODELS_LEAST: usize = 8;
/// Values times models of one search, between these bounds.
pub const ARIMA_SEARCH_WORK: usize = 36_000;
/// A filter has settled when the variance of its errors is that of an innovation up to this share.
pub const ARIMA_SETTLED: f64 = 1e-12;
/// How far free numbers are drawn inwards when rounding leaves no filter, and how often.
pub const ARIMA_RETREAT: f64 = 0.8;
/// The most of these.
pub const ARIMA_RETREATS: usize = 20;
/// The most work (values times state) of one exact likelihood in a search for parameters; beyond
/// it the parameters of conditional squares stay. One unit costs about a nanosecond.
pub const ARIMA_EXACT_WORK: usize = 1_000_000;
/// The longest season with terms of its own, in steps: a day of minutes.
pub const ARIMA_SEASON_MOST: usize = 1_440;
/// Cycles of a season that its terms need.
pub const ARIMA_CYCLES_LEAST: usize = 2;
/// The newest values that orders and parameters are learned from, in steps, …
pub const ARIMA_VALUES_MOST: usize = 4_000;
/// … or in cycles of the longest season, if that is more.
pub const ARIMA_CYCLES_MOST: usize = 8;
/// One over the newest share that is held out to choose whether seasons matter; also the most
/// cycles of that stretch.
pub const ARIMA_HELD_OUT: usize = 4;
/// Origins over the held-out values.
pub const ARIMA_ORIGINS: usize = 32;
/// Steps that a forecast from there looks ahead at most.
pub const ARIMA_LOOK: usize = 288;
/// From this share explained on, a season needs no proof on held-out values (the R package
/// takes seasonal differences from a strength of 0.64 on: Wang, Smith and Hyndman 2006).
pub const SEASON_STRONG: f64 = 0.64;
/// A shorter season that explains this share of what the strongest does is the one to difference.
pub const SEASON_NEARLY: f64 = 0.5;
/// Where new terms start (free numbers): off zero and apart, since equal terms on both sides
/// cancel and then no direction is better than another.
pub const ARIMA_START_AR: f64 = 0.1;
/// The same for moving averages.
pub const ARIMA_START_MA: f64 = 0.25;

/// Changepoints of Prophet's trend (its default, as the next scales and shares).
pub const PROPHET_CHANGEPOINTS: usize = 25;
/// The most that can be asked for.
pub const PROPHET_CHANGEPOINTS_MOST: usize = 200;
/// The scale of the Laplace prior of its bends.
pub const PROPHET_BEND_SCALE: f64 = 0.05;
/// The oldest share of the history in which the trend bends.
pub const PROPHET_CHANGE_RANGE: f64 = 0.8;
/// The deviation of the normal priors of slope and level.
pub const PROPHET_LINE_SCALE: f64 = 5.0;
/// That of waves, events and regressors.
pub const PROPHET_EFFECT_SCALE: f64 = 10.0;
/// Frequencies of a season that is not of the calendar: as many as a day has.
pub const PROPHET_ORDER: usize = 4;
/// The fewest values that Prophet learns from.
pub const PROPHET_LEAST: usize = 10;
/// The least deviation of its noise, over the greatest value: keeps a fit through every point from
/// being infinitely likely.
pub const PROPHET_NOISE_LEAST: f64 = 1e-5;
/// Rounds of coefficients and noise in turn; three to six are usual.
pub const PROPHET_ROUNDS: usize = 60;
/// They end when the negative log-posterior falls by less than this per value.
pub const PROPHET_TOLERANCE: f64 = 1e-10;
/// How often a step is halved until it helps.
pub const PROPHET_HALVINGS: usize = 25;
/// Changes of the set of bends in one minimisation at most.
pub const PROPHET_ACTIVE_STEPS: usize = 400;
/// How far a slope may exceed its penalty at the minimum, as a share of it.
pub const PROPHET_SLACK: f64 = 1e-7;
/// Added to the diagonal, per value: keeps columns apart that rounding would make one.
pub const PROPHET_RIDGE: f64 = 1e-10;
/// The share of new values after which the coefficients are found again.
pub const PROPHET_FRESH: f64 = 0.005;

/// Trees of a forest.
pub const TREES: usize = 60;
/// Splits from the root of a tree to a leaf.
pub const TREE_DEPTH: usize = 4;
/// Trees of a forest that many series share.
pub const TREES_SHARED: usize = 200;
/// And splits from their roots to their leaves.
pub const TREE_DEPTH_SHARED: usize = 6;
/// The share of what is left in a leaf that it takes off.
pub const TREE_RATE: f64 = 0.1;
/// The fewest rows in a leaf.
pub const TREE_LEAF_LEAST: usize = 20;
/// The least gain of a split for the median, where each row has a sign of a half: what a place drawn
/// by lot gains is a quarter in the mean.
pub const TREE_GAIN_LEAST: f64 = 1.0;
/// Pieces that a column is cut into.
pub const TREE_BINS: usize = 63;
/// The quantile that a forest learns.
pub const TREE_LEVEL: f64 = 0.5;
/// Rows that one series teaches a forest at most, …
pub const TREE_ROWS: usize = 2_000;
/// … at least, …
pub const TREE_ROWS_LEAST: usize = 40;
/// … and all series together that share one, about.
pub const TREE_ROWS_SHARED: usize = 40_000;
/// Parts of the time that many series cover after which models learn from all of them, for fits
/// at past origins: a forecast tries its models from a half on, a backtest from a third.
pub const TAUGHT_AT: [f64; 4] = [1.0 / 3.0, 0.5, 2.0 / 3.0, 5.0 / 6.0];
/// Steps that the level of a series is the mean of, where it has no season.
pub const TREE_WINDOW: usize = 24;
/// Steps of the short mean.
pub const TREE_FEW: usize = 4;
/// Cycles of the shortest season whose phases are averaged.
pub const TREE_CYCLES: usize = 4;

/// The least share of the held-out loss that a signal has to save.
pub const SIGNAL_GAIN_LEAST: f64 = 0.005;
/// A load of more steps is judged in longer ones, as many as these at most: about twelve weeks of
/// hours. The search takes seconds then.
pub const SIGNAL_POINTS: usize = 2_016;
/// Models with signals are fitted anew so often at past origins: each event that is over teaches.
pub const SIGNAL_REFITS: usize = 9;
/// A signal has to save more than it does when it is moved to so many other times …
pub const SIGNAL_PLACEBOS: usize = 19;
/// … and so many times as much as the best of these, since its windows are searched more finely.
/// Measured: random signals enter in fewer than 5 of 100 seeds.
pub const SIGNAL_MARGIN: f64 = 1.5;
/// The share of the held-out loss that a longer window before or after events has to save.
pub const SIGNAL_WINDOW_GAIN: f64 = 0.002;
/// Windows that are tried grow by this ratio; then the best is refined.
pub const SIGNAL_WINDOW_RATIO: usize = 2;
/// The same at the wrong times, where it is done often.
pub const SIGNAL_PLACEBO_RATIO: usize = 4;
/// Windows before and after events are at most so long, in seconds: three days …
pub const SIGNAL_WINDOW_SECONDS: i64 = 3 * 86_400;
/// … or so many steps, if that is longer …
pub const SIGNAL_WINDOW_STEPS: usize = 14;
/// … and the history is at least so many times as long.
pub const SIGNAL_HISTORY_PER_WINDOW: usize = 12;

/// Observations from which a capacity is learned, at least: two days of hours, …
pub const CAPACITY_LEAST: usize = 20;
/// … over so many hours.
pub const CAPACITY_HOURS_LEAST: i64 = 12;
/// The highest load that was seen is at least so many times the lowest, or no line can be told.
pub const CAPACITY_CONTRAST: f64 = 1.5;
/// After so many seconds an observation counts half: three days.
pub const CAPACITY_HALF_LIFE: i64 = 3 * 86_400;
/// What is newer than this, in seconds, can lower a capacity and not raise it: a day.
pub const CAPACITY_DELAY: i64 = 86_400;
/// Seconds that are drawn together: six hours, over which errors may be alike.
pub const CAPACITY_BLOCK: i64 = 6 * 3_600;
/// Histories that are drawn again.
pub const CAPACITY_DRAWS: usize = 200;
/// The share of the observations that keeps the objective at the capacity.
pub const CAPACITY_KEPT: f64 = 0.95;
/// A capacity is never above so many times the highest load that was carried within the objective.
pub const CAPACITY_BEYOND: f64 = 1.1;
/// … nor below this share of it: it is above zero.
pub const CAPACITY_FLOOR: f64 = 0.01;
/// A line rises where fewer than this share of the histories that are drawn again do not.
pub const CAPACITY_CHANCE: f64 = 0.01;
/// Points further from a line than so many standard deviations count less: the usual constant, with
/// 95 % efficiency for normal errors (Huber, *Robust Statistics*).
pub const CAPACITY_HUBER: f64 = 1.345;
/// Rounds of reweighting.
pub const CAPACITY_ROUNDS: usize = 10;
/// Samples of updated servers that something is said from, at least.
pub const CAPACITY_UPDATED_LEAST: usize = 5;
/// A version is slower where it is no slower in fewer than this share of the draws.
pub const CAPACITY_SLOWER_CHANCE: f64 = 0.05;
