//! Every tuning constant of training, with its unit and where it comes from. All were chosen on
//! generated load.

/// Windows of one batch.
pub const BATCH: usize = 64;
/// Parts of a batch that are worked at beside each other: the same on every machine, so that sums
/// are the same.
pub const PARTS: usize = 2;
/// Held-out windows are those of an epoch over this …
pub const JUDGED_SHARE: usize = 2;
/// … and at most so many.
pub const JUDGED_MOST: usize = 2_048;

/// The greatest rate of learning.
pub const RATE: f64 = 4e-3;
/// The least rate, as a share of the greatest: what a cosine falls to over all epochs.
pub const RATE_LEAST: f64 = 0.02;
/// Batches over which the rate rises at first.
pub const RISING_BATCHES: f64 = 50.0;
/// How fast unused weights fade, per step and unit of the rate (Loshchilov and Hutter 2019).
pub const DECAY: f64 = 1e-4;
/// The greatest length of a gradient: longer ones are cut to it.
pub const GRADIENT_MOST: f64 = 1.0;
