//! The load that really came, on the grid of the plan.

use std::sync::Arc;
use std::time::Duration;

use domain::forecast::Paths;
use domain::name::Dimension;
use domain::plan::PerDimension;
use domain::ports::LoadSource;
use domain::series::{Sample, Series, Step};
use forecast::hygiene::{Hygiene, clean};
use jiff::Timestamp;
use sim::{RecordedLoad, SimClock};

use crate::pipeline::{self, Feed, PlanError, Prepared, REACH, Saturation};

/// Everything that was recorded, read once.
pub struct Recorded {
    feeds: Vec<Tape>,
    /// The load in the unit of the capacity, per dimension.
    pub truth: Truth,
}

/// The samples of a feed.
struct Tape {
    load: Arc<Vec<Sample>>,
    /// What tells of saturation.
    saturation: Option<Arc<Vec<Sample>>>,
}

/// The load that came in a stretch of time, and the samples that say so.
pub struct Came {
    /// The load in the unit of the capacity, per dimension.
    pub truth: Truth,
    /// The samples as they are archived.
    pub archived: PerDimension<Vec<u8>>,
    /// Whether it is known to its end, so that nothing changes when more is known.
    pub whole: bool,
}

/// So far before a stretch of time samples are read, to see how far apart they are.
const STEPS_SEEN: Duration = Duration::from_secs(3 * 86_400);

/// So many samples before a stretch of time are kept.
const KEPT_BEFORE: u32 = 3;

impl Came {
    /// Reads what is complete `now` of the load in `[from, to)`, and as much around it as the line through it
    /// depends on.
    ///
    /// # Errors
    /// A source fails, or what it says cannot be used.
    pub async fn read(
        prepared: &Prepared,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<Self, PlanError> {
        let (mut series, mut archived, mut whole) =
            (PerDimension::new(), PerDimension::new(), true);
        let begin = from.checked_sub(STEPS_SEEN).unwrap_or(Timestamp::MIN);
        for feed in &prepared.feeds {
            let mut samples = pipeline::samples(feed, begin, now).await?;
            let step = Duration::from_secs(pipeline::usual_step(&samples).unsigned_abs().max(1));
            samples
                .retain(|sample| from - step * KEPT_BEFORE <= sample.at && sample.at < to + step);
            let own = cleaned(feed, &samples, Some(now))?;
            whole &= own.end() >= to + own.step().duration();
            series.insert(feed.dimension.clone(), own);
            archived.insert(feed.dimension.clone(), pipeline::archived(&samples));
        }
        let truth = Truth::new(&series, prepared.rollout.step)
            .ok_or(PlanError::Nothing { from: begin, until: to })?;
        Ok(Self { truth, archived, whole })
    }
}

/// The load of every step of the plan's grid.
#[derive(Debug, Clone)]
pub struct Truth {
    step: Step,
    start: Timestamp,
    steps: usize,
    values: PerDimension<Vec<f64>>,
    /// Whether the load of a step was recorded in every dimension; elsewhere it is a line between
    /// its neighbours and nothing is judged.
    observed: Vec<bool>,
}

impl Recorded {
    /// Reads the feeds from as far back as a plan looks at `from`, to `to`.
    pub async fn read(
        prepared: &Prepared,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Self, PlanError> {
        let begin = from.checked_sub(REACH).unwrap_or(Timestamp::MIN);
        let mut feeds = Vec::new();
        let mut series = PerDimension::new();
        for feed in &prepared.feeds {
            let samples = feed.source.samples(begin, to).await?;
            let told = match &feed.saturation {
                Some(Saturation::Told(source, _)) => {
                    Some(Arc::new(source.samples(begin, to).await?))
                }
                Some(Saturation::Kept(_)) | None => None,
            };
            series.insert(feed.dimension.clone(), cleaned(feed, &samples, None)?);
            feeds.push(Tape { load: Arc::new(samples), saturation: told });
        }
        let truth = Truth::new(&series, prepared.rollout.step)
            .ok_or(PlanError::Nothing { from: begin, until: to })?;
        Ok(Self { feeds, truth })
    }

    /// The rollout with the recorded load in the place of its sources, as the clock lets it be
    /// seen.
    pub fn seen_by(&self, prepared: &Prepared, clock: &SimClock) -> Prepared {
        let mut own = prepared.clone();
        let source = |samples: &Arc<Vec<Sample>>| -> Arc<dyn LoadSource> {
            Arc::new(RecordedLoad::new(clock.clone(), samples.clone()))
        };
        for (feed, tape) in own.feeds.iter_mut().zip(&self.feeds) {
            feed.source = source(&tape.load);
            if let (Some(Saturation::Told(saturation, _)), Some(told)) =
                (&mut feed.saturation, &tape.saturation)
            {
                *saturation = source(told);
            }
        }
        own
    }
}

/// The series of what was recorded; of what is still being recorded, only what is complete `now`.
fn cleaned(feed: &Feed, samples: &[Sample], now: Option<Timestamp>) -> Result<Series, PlanError> {
    let delay = if now.is_some() { feed.delay } else { Duration::ZERO };
    let options = Hygiene { step: None, measure: feed.measure, delay, now };
    let cleaned = clean(samples, &options);
    let failed = |source| PlanError::History { dimension: feed.dimension.clone(), source };
    Ok(cleaned.map_err(failed)?.series)
}

impl Truth {
    /// The series on a common grid of `step`, from where all of them begin to where the first
    /// one ends.
    fn new(series: &PerDimension<Series>, step: Step) -> Option<Self> {
        let start = step.ceil(series.values().map(Series::start).max()?);
        let end = step.floor(series.values().map(Series::end).min()?);
        let steps = end.as_second() - start.as_second();
        let steps = usize::try_from(steps / step.seconds()).ok().filter(|steps| *steps > 0)?;
        let mut values = PerDimension::new();
        let mut observed = vec![true; steps];
        for (dimension, series) in series {
            let line = bridged(series.values());
            let paths = Paths::new(series.start(), series.step(), line.len(), line).ok()?;
            let paths = paths.resample(step, start, end)?;
            values.insert(dimension.clone(), paths.path(0).to_vec());
            for (index, observed) in observed.iter_mut().enumerate() {
                let at = start.as_second() + index as i64 * step.seconds();
                let own = (at - series.start().as_second()).div_euclid(series.step().seconds());
                let value = usize::try_from(own).ok().and_then(|own| series.values().get(own));
                *observed &= value.is_some_and(|value| value.is_finite());
            }
        }
        Some(Self { step, start, steps, values, observed })
    }

    /// The first instant of which the load is known.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The instant just after the last one of which the load is known.
    pub fn end(&self) -> Timestamp {
        self.start + self.step.duration() * u32::try_from(self.steps).unwrap_or(u32::MAX)
    }

    /// The grid.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The dimensions.
    pub fn dimensions(&self) -> Vec<Dimension> {
        self.values.keys().cloned().collect()
    }

    /// The load in the step of `at`, in the order of the dimensions; `None` where nothing was
    /// recorded.
    pub fn load(&self, at: Timestamp) -> Option<Vec<f64>> {
        let index = self.index(at).filter(|index| self.observed[*index])?;
        Some(self.values.values().map(|values| values[index]).collect())
    }

    /// The load of one dimension over `[from, to)`, gaps bridged.
    pub fn line(&self, dimension: &Dimension, from: Timestamp, to: Timestamp) -> &[f64] {
        let Some(values) = self.values.get(dimension) else { return &[] };
        let place = |at: Timestamp| {
            let index = (at.as_second() - self.start.as_second()).div_euclid(self.step.seconds());
            usize::try_from(index).unwrap_or(0).min(self.steps)
        };
        &values[place(from)..place(to).max(place(from))]
    }

    /// `count` copies of what comes in `[from, to)`, per dimension.
    pub fn paths(
        &self,
        from: Timestamp,
        to: Timestamp,
        count: usize,
    ) -> Option<PerDimension<Paths>> {
        let from = self.step.floor(from);
        let one = |dimension: &Dimension| {
            let line = self.line(dimension, from, to.min(self.end()));
            let paths = Paths::new(from, self.step, line.len(), line.repeat(count)).ok()?;
            Some((dimension.clone(), paths))
        };
        self.values.keys().map(one).collect()
    }

    fn index(&self, at: Timestamp) -> Option<usize> {
        let index = (at.as_second() - self.start.as_second()).div_euclid(self.step.seconds());
        usize::try_from(index).ok().filter(|index| *index < self.steps)
    }
}

/// The values with lines over their gaps. Both ends of a cleaned series are values.
fn bridged(values: &[f64]) -> Vec<f64> {
    let mut line = values.to_vec();
    let mut index = 0;
    while index < line.len() {
        if line[index].is_finite() {
            index += 1;
            continue;
        }
        let length = line[index..].iter().take_while(|v| !v.is_finite()).count();
        let left = index.checked_sub(1).map_or(0.0, |before| line[before]);
        let right = line.get(index + length).copied().unwrap_or(left);
        for k in 0..length {
            let share = (k + 1) as f64 / (length + 1) as f64;
            line[index + k] = left * (1.0 - share) + right * share;
        }
        index += length;
    }
    line
}
