//! How forecasts have done lately: what was said is held against what came, by how far ahead it was said.
//!
//! Distances fall into bands: the next step, up to an hour, up to six, up to a day. Every band leaves a
//! forecast behind now and then, for the first, the second and the last third of its distances in turn. What
//! came long ago counts less, by `exp(−age / SCORES_MEMORY)`. A value that was measured at saturation
//! is a lower bound and says nothing here.

use std::collections::VecDeque;

use domain::forecast::Probability;
use domain::series::{Sample, Step};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::{SCORES_MEMORY, SCORES_WAITING};
use crate::{AutoForecaster, ForecastError, metrics};

/// The ends of the bands beyond the next step, in seconds, and how they are called.
const ENDS: [(i64, &str); 3] = [(3_600, "1h"), (21_600, "6h"), (86_400, "24h")];

/// What the band of the next step is called.
const NEXT: &str = "step";

/// The edges of the 95 % and the 80 % interval, and the level whose loss is compared.
const LEVELS: [f64; 5] = [0.025, 0.1, 0.9, 0.95, 0.975];

/// How the forecasts of one series have done lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    step: Step,
    bands: Vec<Band>,
}

/// Discounted sums of one band, and what waits for its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Band {
    /// More steps ahead than this …
    above: usize,
    /// … up to this.
    upto: usize,
    issued: u32,
    waiting: VecDeque<Said>,
    count: u64,
    /// When the newest value came, in seconds.
    newest: i64,
    weight: f64,
    inside: [f64; 2],
    loss: f64,
    naive: f64,
}

/// What was said of the value of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Said {
    /// The start of the step, in seconds.
    at: i64,
    quantiles: [f64; LEVELS.len()],
    naive: Option<f64>,
}

/// How forecasts for one band of distances have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scored {
    /// The band: `step`, or how far it reaches: `1h`, `6h`, `24h`.
    pub band: &'static str,
    /// The farthest steps ahead in it.
    pub steps_ahead: usize,
    /// Forecasts that were held against what came, since the beginning.
    pub forecasts: u64,
    /// Mean pinball loss at 0.95, relative to that of seasonal naive; absent where there is none.
    #[serde(rename = "pinball95RelativeToSeasonBefore")]
    pub relative_loss: Option<f64>,
    /// The share of values in the central 80 % interval.
    pub inside80: Option<f64>,
    /// The share of values in the central 95 % interval.
    pub inside95: Option<f64>,
}

impl Scores {
    /// Nothing yet, of a series with this step.
    pub fn new(step: Step) -> Self {
        let mut bands = vec![Band::new(0, 1)];
        for (seconds, _) in ENDS {
            let upto = usize::try_from(seconds / step.seconds()).unwrap_or(0);
            let above = bands[bands.len() - 1].upto;
            if upto > above {
                bands.push(Band::new(above, upto));
            }
        }
        Self { step, bands }
    }

    /// Leaves behind what a forecaster says now, before it takes in the next sample.
    pub fn issue(&mut self, by: &AutoForecaster) -> Result<(), ForecastError> {
        let begin = by.end();
        let number = begin.as_second().div_euclid(self.step.seconds());
        let due = |band: &Band| number.rem_euclid(band.stride()) == 0;
        let horizon = self.bands.iter().filter(|b| due(b)).map(Band::distance).max().unwrap_or(0);
        if horizon == 0 {
            return Ok(());
        }
        let levels = LEVELS.map(|level| Probability::new(level).expect("a level"));
        let said = by.forecast(horizon, &levels)?;
        let naive = by.benchmark(horizon);
        for band in self.bands.iter_mut().filter(|band| due(band)) {
            let ahead = band.distance() - 1;
            let at = (number + ahead as i64) * self.step.seconds();
            let mut quantiles = [0.0; LEVELS.len()];
            quantiles.copy_from_slice(&said.quantiles[ahead]);
            let naive = naive.get(ahead).copied();
            // In the order of their values, which may come earlier than what was said before.
            let place = band.waiting.partition_point(|said| said.at <= at);
            band.waiting.insert(place, Said { at, quantiles, naive });
            band.issued = band.issued.wrapping_add(1);
        }
        Ok(())
    }

    /// Holds what was said of a step against what came.
    pub fn came(&mut self, sample: Sample, at_saturation: bool) {
        let at = self.step.floor(sample.at).as_second();
        for band in &mut self.bands {
            while band.waiting.front().is_some_and(|said| said.at <= at) {
                let Some(said) = band.waiting.pop_front() else { break };
                if said.at == at && sample.value.is_finite() && !at_saturation {
                    band.score(&said, sample.value);
                }
            }
        }
    }

    /// How each band has done.
    pub fn table(&self) -> Vec<Scored> {
        let names = |band: &Band| {
            let seconds = band.upto as i64 * self.step.seconds();
            let far = ENDS.iter().find(|(end, _)| seconds <= *end && band.above > 0);
            far.map_or(NEXT, |(_, name)| name)
        };
        let row = |band: &Band| {
            let share = |sum: f64| (band.weight > 0.0).then(|| sum / band.weight);
            Scored {
                band: names(band),
                steps_ahead: band.upto,
                forecasts: band.count,
                relative_loss: (band.naive > 0.0).then(|| band.loss / band.naive),
                inside80: share(band.inside[0]),
                inside95: share(band.inside[1]),
            }
        };
        self.bands.iter().map(row).collect()
    }

    /// When the newest value was scored.
    pub fn newest(&self) -> Option<Timestamp> {
        let newest = self.bands.iter().filter(|band| band.count > 0).map(|band| band.newest).max();
        newest.and_then(|second| Timestamp::from_second(second).ok())
    }
}

impl Band {
    fn new(above: usize, upto: usize) -> Self {
        Self {
            above,
            upto,
            issued: 0,
            waiting: VecDeque::new(),
            count: 0,
            newest: i64::MIN,
            weight: 0.0,
            inside: [0.0; 2],
            loss: 0.0,
            naive: 0.0,
        }
    }

    /// Steps between two forecasts that are left behind: only so many wait at a time.
    fn stride(&self) -> i64 {
        self.upto.div_ceil(SCORES_WAITING) as i64
    }

    /// How many steps ahead the next forecast is made.
    fn distance(&self) -> usize {
        let third = self.issued as usize % 3 + 1;
        self.above + ((self.upto - self.above) * third).div_ceil(3)
    }

    fn score(&mut self, said: &Said, value: f64) {
        let age = said.at.saturating_sub(self.newest).max(0);
        let keep = if self.count == 0 { 0.0 } else { (-(age as f64) / SCORES_MEMORY).exp() };
        let [low95, low80, high80, upper, high95] = said.quantiles;
        let inside = [(low80..=high80).contains(&value), (low95..=high95).contains(&value)];
        self.weight = keep * self.weight + 1.0;
        for (sum, inside) in self.inside.iter_mut().zip(inside) {
            *sum = keep * *sum + f64::from(u8::from(inside));
        }
        (self.loss, self.naive) = (keep * self.loss, keep * self.naive);
        if let Some(naive) = said.naive {
            self.loss += metrics::pinball(value, upper, 0.95);
            self.naive += metrics::pinball(value, naive, 0.95);
        }
        self.newest = said.at;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use domain::series::Series;

    use super::*;
    use crate::{Options, auto};

    const DAY: usize = 144;

    fn value(index: usize) -> f64 {
        let noise = ((index * index) as f64 * 0.618).sin();
        40.0 + 15.0 * (std::f64::consts::TAU * (index % DAY) as f64 / DAY as f64).sin()
            + 2.0 * noise
    }

    fn lived(noise: f64, days: usize) -> (Scores, AutoForecaster) {
        let step = Step::from_seconds(600).unwrap();
        let known = 10 * DAY;
        let values: Vec<f64> = (0..known).map(value).collect();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
        let mut forecaster = auto(&series, &Options::default()).unwrap();
        let mut scores = Scores::new(step);
        for index in known..known + days * DAY {
            scores.issue(&forecaster).unwrap();
            let wild = if index % 2 == 0 { noise } else { -noise };
            let sample = Sample { at: forecaster.end(), value: value(index) + wild };
            scores.came(sample, false);
            // It does not learn from what is wild here.
            forecaster.update(Sample { value: value(index), ..sample }).unwrap();
        }
        (scores, forecaster)
    }

    #[test]
    fn good_forecasts_are_told_from_bad_ones_in_every_band() {
        let (good, _) = lived(0.0, 3);
        let (bad, _) = lived(50.0, 3);
        let names: Vec<&str> = good.table().iter().map(|row| row.band).collect();
        assert_eq!(names, ["step", "1h", "6h", "24h"]);
        for (good, bad) in good.table().iter().zip(bad.table()) {
            assert!(good.forecasts > 12 && good.forecasts == bad.forecasts, "{good:?}");
            assert!(good.inside95.unwrap() > 0.85 && good.relative_loss.unwrap() < 1.0, "{good:?}");
            assert!(good.inside80.unwrap() <= good.inside95.unwrap());
            assert!(
                bad.inside95.unwrap() < 0.1 && bad.relative_loss > good.relative_loss,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn what_came_long_ago_counts_less_and_what_is_no_value_counts_nothing() {
        let (mut scores, forecaster) = lived(0.0, 2);
        let before = scores.table();
        scores.issue(&forecaster).unwrap();
        let sample = Sample { at: forecaster.end(), value: 1e9 };
        let mut gap = scores.clone();
        gap.came(Sample { value: f64::NAN, ..sample }, false);
        assert_eq!(gap.table(), before);
        let mut saturated = scores.clone();
        saturated.came(sample, true);
        assert_eq!(saturated.table(), before);
        scores.came(sample, false);
        let (old, new) = (&before[0], &scores.table()[0]);
        let drop = old.inside95.unwrap() - new.inside95.unwrap();
        // 288 values of two days, of which the first counts three quarters.
        assert!((1.0 / 288.0..1.0 / 230.0).contains(&drop), "{drop}");
        assert_eq!(scores.newest(), Some(forecaster.end()));
    }

    #[test]
    fn bands_are_those_that_a_step_can_tell_apart() {
        let names = |seconds: i64| {
            let table = Scores::new(Step::from_seconds(seconds).unwrap()).table();
            table.iter().map(|row| (row.band, row.steps_ahead)).collect::<Vec<_>>()
        };
        assert_eq!(names(60), [("step", 1), ("1h", 60), ("6h", 360), ("24h", 1440)]);
        assert_eq!(names(3_600), [("step", 1), ("6h", 6), ("24h", 24)]);
        assert_eq!(names(86_400), [("step", 1)]);
        assert_eq!(names(300 * 86_400), [("step", 1)]);
    }
}
