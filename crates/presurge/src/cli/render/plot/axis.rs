//! A time axis: its ticks lie where people look for them, at whole minutes, hours and days (UTC).

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

const DAY: i64 = 86_400;

/// Lengths of time that people count in, in seconds.
const UNITS: [i64; 21] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
    DAY,
    2 * DAY,
    7 * DAY,
    28 * DAY,
];

/// No more ticks than this lie apart from each other.
const TICKS: f64 = 8.0;

/// Seconds since the Unix epoch, from the left to the right.
#[derive(Debug, Clone, Copy)]
pub struct TimeAxis {
    from: f64,
    to: f64,
}

impl TimeAxis {
    /// Over these seconds.
    pub fn over((from, to): (f64, f64)) -> Self {
        Self { from, to }
    }

    /// From one tick to the next, in seconds.
    fn unit(&self) -> i64 {
        let least = (self.to - self.from) / TICKS;
        let found = UNITS.into_iter().find(|unit| *unit as f64 >= least);
        found.unwrap_or_else(|| (least / (28 * DAY) as f64).ceil() as i64 * 28 * DAY)
    }

    fn ticks(&self) -> Vec<f64> {
        let unit = self.unit() as f64;
        let (first, last) = ((self.from / unit).ceil(), (self.to / unit).floor());
        let whole = (0..).map(|nth| first + f64::from(nth)).take_while(|at| *at <= last);
        whole.map(|at| at * unit).collect()
    }

    /// A moment as finely as the ticks ask for.
    pub fn moment(&self, at: f64) -> String {
        let format = match self.unit() {
            ..60 => "%H:%M:%S",
            60..DAY => "%d %b %H:%M",
            _ => "%d %b",
        };
        let at = Timestamp::from_second(at as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned_datetime(TimeZone::UTC).strftime(format).to_string()
    }
}

impl Ranged for TimeAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, at: &f64, pixels: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.from..self.to).map(at, pixels)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_lie_at_whole_units_and_say_when_that_is() {
        // Thirteen seconds before noon on 4 May 2026.
        let begin = 1_777_896_000.0 - 13.0;
        for (seconds, first, apart) in [
            (40.0, "11:59:50", 5.0),
            (420.0, "04 May 12:00", 60.0),
            (40_000.0, "04 May 12:00", 7_200.0),
            (1_000_000.0, "05 May", 172_800.0),
            (1e9, "", 125_798_400.0),
        ] {
            let axis = TimeAxis::over((begin, begin + seconds));
            let ticks = axis.ticks();
            assert!((2..=9).contains(&ticks.len()), "{seconds} s: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == apart), "{ticks:?}");
            assert!(ticks.iter().all(|at| at % apart == 0.0 && *at >= axis.from && *at <= axis.to));
            let said = axis.moment(ticks[0]);
            assert!(first.is_empty() || said == first, "{seconds} s: {said}");
        }
        assert_eq!(TimeAxis::over((0.0, 0.0)).ticks(), [0.0]);
    }
}
