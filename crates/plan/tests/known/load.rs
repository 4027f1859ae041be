//! A load of which everything is known: the season of a day, a known rise, noise that remembers, rare bursts.

use domain::forecast::Paths;
use domain::name::Dimension;
use domain::plan::PerDimension;
use domain::series::Step;

use super::Stream;
use crate::fleet::minute;

/// How strongly the noise of a minute follows that of the minute before.
const MEMORY: f64 = 0.97;

/// A burst falls to 1/e within so many minutes.
const BURST_MINUTES: f64 = 20.0;

/// The known rise takes so many minutes.
const RISE_MINUTES: f64 = 3.0;

/// The load of one dimension, in its unit.
#[derive(Debug, Clone)]
pub struct Season {
    /// Which dimension.
    pub dimension: Dimension,
    /// The mean of a day.
    pub mean: f64,
    /// Half of the way from the lowest to the highest of a day.
    pub swing: f64,
    /// Minutes since the mean was passed upwards, at the moment of the plan.
    pub phase: f64,
    /// The standard deviation of the noise.
    pub noise: f64,
    /// The mean height of a burst; heights are exponential.
    pub burst: f64,
}

/// The random process that load comes from, one value a minute from the moment of the plan on.
#[derive(Debug, Clone)]
pub struct Process {
    /// The dimensions; their noises are independent, their bursts come together.
    pub seasons: Vec<Season>,
    /// Bursts in a minute.
    pub bursts_per_minute: f64,
    /// A rise that everybody knows of, as of an announced event: when it begins, and how high it
    /// is as a share of each dimension's mean.
    pub rise: (f64, f64),
    /// How many minutes are drawn.
    pub steps: usize,
}

impl Process {
    /// One course of the load: a list of minutes per dimension.
    pub fn draw(&self, stream: &mut Stream) -> Vec<Vec<f64>> {
        let mut noises: Vec<f64> = self.seasons.iter().map(|_| stream.normal()).collect();
        let fresh = (1.0 - MEMORY * MEMORY).sqrt();
        let fading = (-1.0 / BURST_MINUTES).exp();
        let (mut burst, mut next) = (0.0, self.gap(stream));
        let mut all: Vec<Vec<f64>> =
            self.seasons.iter().map(|_| Vec::with_capacity(self.steps)).collect();
        for step in 0..self.steps {
            let risen = self.rise.1 * ((step as f64 - self.rise.0) / RISE_MINUTES).clamp(0.0, 1.0);
            burst *= fading;
            while next <= step as f64 {
                burst += stream.exponential();
                next += self.gap(stream);
            }
            for ((season, noise), values) in self.seasons.iter().zip(&mut noises).zip(&mut all) {
                let turn = (season.phase + step as f64) / 1440.0 * std::f64::consts::TAU;
                let here = season.mean * (1.0 + risen) + season.swing * turn.sin();
                let load = here + season.noise * *noise + season.burst * burst;
                values.push(if load > 0.0 { load } else { 0.0 });
                *noise = MEMORY * *noise + fresh * stream.normal();
            }
        }
        all
    }

    /// So many courses, as a planner takes them.
    pub fn paths(&self, count: usize, stream: &mut Stream) -> PerDimension<Paths> {
        let mut values: Vec<Vec<f64>> =
            self.seasons.iter().map(|_| Vec::with_capacity(count * self.steps)).collect();
        for _ in 0..count {
            for (all, own) in values.iter_mut().zip(self.draw(stream)) {
                all.extend(own);
            }
        }
        let step = Step::from_seconds(60).unwrap();
        let paths = |values| Paths::new(minute(0), step, self.steps, values).unwrap();
        let names = self.seasons.iter().map(|season| season.dimension.clone());
        names.zip(values.into_iter().map(paths)).collect()
    }

    /// Minutes until the next burst.
    fn gap(&self, stream: &mut Stream) -> f64 {
        stream.exponential() / self.bursts_per_minute
    }
}
