//! The calendar as inputs: time of day and day of the week, in UTC.

use super::shape::{CALENDAR, Calendar};

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;
/// The Unix epoch was a Thursday: Monday is three days before.
const MONDAY: i64 = 3 * DAY;

/// Which moments the values of a series belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Times {
    /// The first value, in seconds since the Unix epoch.
    pub(crate) start: i64,
    /// Seconds from value to value.
    pub(crate) step: i64,
}

impl Times {
    /// The inputs at the value of that index.
    pub(crate) fn inputs(self, index: usize, calendar: Calendar) -> [f32; CALENDAR] {
        if calendar == Calendar::Unused {
            return [0.0; CALENDAR];
        }
        let steps = i64::try_from(index).unwrap_or(i64::MAX);
        let second = self.start.saturating_add(self.step.saturating_mul(steps));
        let angle = |since: i64, length: i64| {
            std::f32::consts::TAU * (since.rem_euclid(length) as f32) / length as f32
        };
        let (day_sin, day_cos) = angle(second, DAY).sin_cos();
        let (week_sin, week_cos) = angle(second.saturating_add(MONDAY), WEEK).sin_cos();
        [day_sin, day_cos, week_sin, week_cos]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_a_week_come_round() {
        // Monday, 1 January 2024, 00:00 UTC.
        let times = Times { start: 1_704_067_200, step: 3_600 };
        assert_eq!(times.inputs(0, Calendar::Used), [0.0, 1.0, 0.0, 1.0]);
        let noon = times.inputs(12, Calendar::Used);
        assert!(noon[0].abs() < 1e-6 && (noon[1] + 1.0).abs() < 1e-6, "{noon:?}");
        let [_, _, sin, cos] = times.inputs(84, Calendar::Used);
        assert!(sin.abs() < 1e-6 && (cos + 1.0).abs() < 1e-6, "half a week: {sin} {cos}");
        assert_eq!(times.inputs(168, Calendar::Used), times.inputs(0, Calendar::Used));
        assert_eq!(times.inputs(7, Calendar::Unused), [0.0; CALENDAR]);
    }
}
