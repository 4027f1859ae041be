//! A week of real load as figures: hour-of-week levels, and the noise around them.
//!
//! Measured by `crates/presurge/examples/measure_profile.rs` with a step of 1,800 s on
//! `azure.csv` of <https://github.com/amcs1729/Predicting-cloud-CPU-usage-on-Azure-data>
//! (Apache-2.0): the CPU load of all virtual machines, every 5 minutes for 30 days, made from
//! the Azure Public Dataset V1 (CC BY 4.0), described in Cortez et al., "Resource Central",
//! SOSP 2017. The hours explain 89 % of its variance. The trace itself is not part of Presurge.

/// Load in each hour of the week, from Monday 00:00 UTC, relative to the mean of the week.
pub const HOUR_OF_WEEK: [f64; 168] = [
    // Monday, hours 0 to 11 and 12 to 23 UTC
    0.9245, 0.9136, 0.8956, 0.8886, 0.8977, 0.9069, 0.9387, 0.9598, 0.9789, 0.9786, 0.9950, 1.0056,
    1.0171, 1.0332, 1.0719, 1.0873, 1.1217, 1.1292, 1.1142, 1.0898, 1.0558, 1.0249, 0.9843, 0.9561,
    // Tuesday, hours 0 to 11 and 12 to 23 UTC
    0.9124, 0.9035, 0.8855, 0.8865, 0.8952, 0.9071, 0.9206, 0.9426, 0.9552, 0.9785, 0.9771, 0.9888,
    0.9949, 1.0080, 1.0546, 1.0730, 1.1095, 1.1221, 1.0990, 1.0708, 1.0452, 1.0159, 0.9913, 0.9597,
    // Wednesday, hours 0 to 11 and 12 to 23 UTC
    0.9286, 0.9102, 0.8993, 0.9023, 0.9116, 0.9245, 0.9415, 0.9556, 0.9604, 0.9704, 1.0070, 1.0274,
    1.0084, 1.0395, 1.0733, 1.0917, 1.1325, 1.1367, 1.1177, 1.0889, 1.0568, 1.0335, 0.9907, 0.9600,
    // Thursday, hours 0 to 11 and 12 to 23 UTC
    0.9345, 0.8998, 0.9002, 0.8910, 0.8917, 0.9032, 0.9205, 0.9332, 0.9483, 0.9665, 0.9896, 0.9888,
    0.9976, 1.0112, 1.0576, 1.0862, 1.1232, 1.1395, 1.1253, 1.0825, 1.0599, 1.0232, 0.9995, 0.9638,
    // Friday, hours 0 to 11 and 12 to 23 UTC
    0.9323, 0.9072, 0.8998, 0.8896, 0.9001, 0.9090, 0.9320, 0.9385, 0.9632, 0.9707, 0.9974, 0.9889,
    1.0053, 1.0205, 1.0735, 1.0800, 1.1428, 1.1294, 1.0994, 1.1002, 1.1015, 1.0753, 1.0593, 0.9987,
    // Saturday, hours 0 to 11 and 12 to 23 UTC
    0.9549, 0.9217, 0.8877, 0.8654, 0.8636, 0.8781, 0.9009, 0.9283, 0.9576, 0.9833, 1.0185, 1.0232,
    1.0269, 1.0355, 1.0592, 1.0692, 1.1078, 1.1009, 1.0999, 1.1045, 1.1124, 1.1018, 1.0609, 1.0023,
    // Sunday, hours 0 to 11 and 12 to 23 UTC
    0.9533, 0.9121, 0.8872, 0.8687, 0.8636, 0.8718, 0.8963, 0.9110, 0.9508, 0.9777, 1.0210, 1.0384,
    1.0481, 1.0632, 1.0894, 1.0932, 1.1424, 1.1415, 1.1196, 1.1035, 1.0718, 1.0230, 0.9952, 0.9529,
];

/// Relative deviation from the profile over steps of [`NOISE_STEP_SECONDS`]: quantile level and
/// deviation. Beyond the outer levels the deviation stays what it is there; the trace has one
/// incident of +26 %, which is left to the scenario `incident`.
pub const NOISE: [(f64, f64); 9] = [
    (0.01, -0.0592),
    (0.05, -0.0373),
    (0.1, -0.0283),
    (0.25, -0.0137),
    (0.5, -0.0002),
    (0.75, 0.0136),
    (0.9, 0.0326),
    (0.95, 0.0529),
    (0.99, 0.1014),
];

/// Correlation of the deviations of neighbouring steps.
pub const NOISE_CORRELATION: f64 = 0.829;

/// The step at which the noise was measured, in seconds.
pub const NOISE_STEP_SECONDS: i64 = 1_800;
