//! Load history: reading it, cleaning it, sampling its future.

use std::sync::Arc;
use std::time::Duration;

use domain::config::Measure;
use domain::forecast::Paths;
use domain::journal::Digest;
use domain::name::{Dimension, FleetName};
use domain::ports::{LoadSource, PortError};
use domain::series::{Sample, Series, Step};
use domain::signal::SignalBrought;
use forecast::hygiene::{Hygiene, clean};
use forecast::{AutoForecaster, Options};
use jiff::Timestamp;

use super::PlanError;
use super::carried::{Carried, Judged};
use super::saved::{Forecasters, Saved};
use super::signals::{Known, Laid, Telling};

/// History older than this is not asked for: six weeks show a week six times.
pub const REACH: Duration = Duration::from_secs(42 * 86_400);

/// A sample of saturation from before speaks of the steps after it, and others say for how long.
const SATURATION_BEFORE: Duration = Duration::from_secs(2 * 3600);

/// One dimension of load of a fleet.
#[derive(Clone)]
pub struct Feed {
    /// Which dimension.
    pub dimension: Dimension,
    /// Where it is read.
    pub source: Arc<dyn LoadSource>,
    /// What a sample says.
    pub measure: Measure,
    /// A sample is complete once this has passed.
    pub delay: Duration,
    /// So many samples may be missing before the load counts as unknown.
    pub stale_after: u32,
    /// What tells of saturation.
    pub saturation: Option<Saturation>,
    /// What tells of events and outside series.
    pub signals: Telling,
    /// What tells how well servers carry it, where their capacity is learned.
    pub judged: Option<Judged>,
}

impl Feed {
    /// The load alone, without what is known beside it.
    #[must_use]
    pub fn load_alone(self) -> Self {
        Self { signals: Telling::Sources(Vec::new()), judged: None, ..self }
    }
}

/// What tells when the load was more than was carried.
#[derive(Clone)]
pub enum Saturation {
    /// A source, above this value.
    Told(Arc<dyn LoadSource>, f64),
    /// What the archive keeps: from when to when.
    Kept(Vec<(Timestamp, Timestamp)>),
}

impl Saturation {
    /// When it was saturated between two moments.
    async fn between(
        &self,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Timestamp, Timestamp)>, PortError> {
        match self {
            Self::Told(source, above) => Ok(spans(&source.samples(from, now).await?, *above)),
            Self::Kept(spans) => {
                let within = spans.iter().filter(|(at, _)| whole(from) <= *at && *at < now);
                Ok(within.copied().collect())
            }
        }
    }
}

/// The second in which a moment lies: the archive keeps no fractions, and what is computed from it
/// again has to be the same.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The cleaned history of one dimension, in the unit of the capacity.
#[derive(Debug, Clone)]
pub struct History {
    /// The series.
    pub series: Series,
    /// What is known beside it.
    pub known: Known,
    /// The forecaster that knows it, where one is kept; else one is fitted.
    pub saved: Option<Saved>,
    /// What one server carries, where that is learned.
    pub carried: Option<Carried>,
    /// The digest of what it was made from, signals included.
    pub digest: Digest,
    /// The samples as they are archived: one `seconds,value` per line, then one `saturated,from,to` for
    /// each time of saturation, then one `signal,…` for each signal, then
    /// one `carried,…` for each observation that a capacity is learned from, then one `updated,…` for each of
    /// updated servers.
    pub archived: Vec<u8>,
    /// What was odd about it, in words.
    pub warnings: Vec<String>,
}

/// The samples of a feed in `[from, to)`, each at its second.
pub async fn samples(
    feed: &Feed,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Sample>, PortError> {
    let mut samples = feed.source.samples(from, to).await?;
    samples.iter_mut().for_each(|sample| sample.at = whole(sample.at));
    Ok(samples)
}

/// Reads and cleans the history of a feed up to `now`.
pub async fn read(feed: &Feed, now: Timestamp) -> Result<History, PlanError> {
    let samples = samples(feed, now - REACH, now).await?;
    let mut archived = archived(&samples);
    let options = Hygiene { step: None, measure: feed.measure, delay: feed.delay, now: Some(now) };
    let cleaned = clean(&samples, &options)
        .map_err(|source| PlanError::History { dimension: feed.dimension.clone(), source })?;
    let known = feed.signals.at(now).await?;
    let odd = cleaned.warnings.iter().map(ToString::to_string).chain(known.warnings());
    let mut warnings: Vec<String> = odd.map(|w| format!("{}: {w}", feed.dimension)).collect();
    let series = match &feed.saturation {
        Some(saturation) => {
            let spans = saturation.between(now - REACH, now).await?;
            archived.extend(marks(&spans));
            cleaned.series.saturated_during(&spans)
        }
        None => cleaned.series,
    };
    archived.extend(known.archived().into_bytes());
    let carried = match &feed.judged {
        Some(judged) => {
            let seen = judged.seen(&series, now).await?;
            archived.extend(seen.archived().into_bytes());
            Some(Carried::learned(&feed.dimension, judged.objective, seen, now)?)
        }
        None => None,
    };
    let told = carried.as_ref().and_then(Carried::warning);
    warnings.extend(told.map(|w| format!("{}: {w}", feed.dimension)));
    let (saved, digest) = (None, Digest::of_bytes(&archived));
    Ok(History { series, known, saved, carried, digest, archived, warnings })
}

/// What has come since `from`, on the grid of a history that was read before: the values that [`read`]
/// gives.
pub async fn read_on(
    feed: &Feed,
    step: Step,
    from: Timestamp,
    now: Timestamp,
) -> Result<Series, PlanError> {
    let mut samples = feed.source.samples(from, now).await?;
    samples.iter_mut().for_each(|sample| sample.at = whole(sample.at));
    let options =
        Hygiene { step: Some(step), measure: feed.measure, delay: feed.delay, now: Some(now) };
    let cleaned = clean(&samples, &options)
        .map_err(|source| PlanError::History { dimension: feed.dimension.clone(), source })?;
    match &feed.saturation {
        Some(saturation) => {
            let spans = saturation.between(from - SATURATION_BEFORE, now).await?;
            Ok(cleaned.series.saturated_during(&spans))
        }
        None => Ok(cleaned.series),
    }
}

/// Samples as they are archived.
pub fn archived(samples: &[Sample]) -> Vec<u8> {
    use std::fmt::Write;
    let mut text = String::with_capacity(samples.len() * 24);
    for sample in samples {
        let _ = writeln!(text, "{},{}", sample.at.as_second(), sample.value);
    }
    text.into_bytes()
}

/// Each sample above the limit speaks of the time until the next, at most that between the others.
fn spans(told: &[Sample], above: f64) -> Vec<(Timestamp, Timestamp)> {
    let usual = Duration::from_secs(usual_step(told).max(1).unsigned_abs());
    let saturated = told.iter().filter(|sample| sample.value > above);
    saturated.map(|sample| (whole(sample.at), whole(sample.at) + usual)).collect()
}

/// The usual seconds between two samples; 0 where nobody can tell.
pub fn usual_step(samples: &[Sample]) -> i64 {
    let gap = |pair: &[Sample]| pair[1].at.as_second() - pair[0].at.as_second();
    let mut gaps: Vec<i64> = samples.windows(2).map(gap).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(0)
}

/// The times of saturation as they are archived, after the samples of the load.
fn marks(spans: &[(Timestamp, Timestamp)]) -> Vec<u8> {
    let line = |(from, to): &(Timestamp, Timestamp)| {
        format!("saturated,{},{}\n", from.as_second(), to.as_second())
    };
    spans.iter().map(line).collect::<String>().into_bytes()
}

/// How many steps of a series lie between its end and `until`, at least one.
fn steps_until(series: &Series, until: Timestamp) -> usize {
    let seconds = until.as_second() - series.end().as_second();
    let step = series.step().seconds();
    usize::try_from(seconds.div_euclid(step) + 1).unwrap_or(1).clamp(1, 200_000)
}

/// A forecaster that is calibrated as far as `until`, and what each signal brought to it: one that is at
/// hand and knows this history, which then has it, or one that is fitted.
pub fn forecaster(
    (fleet, dimension): (&FleetName, &Dimension),
    history: &mut History,
    until: Timestamp,
    at_hand: Option<&dyn Forecasters>,
) -> Result<(Arc<AutoForecaster>, Vec<SignalBrought>), PlanError> {
    let horizon = steps_until(&history.series, until);
    history.saved = at_hand.and_then(|all| all.knowing(fleet, dimension, history, horizon));
    if let Some(saved) = &history.saved {
        return Ok((saved.forecaster.clone(), Vec::new()));
    }
    let series = &history.series;
    let laid = Laid::of(&history.known, series, horizon);
    let signals = laid.signals.clone();
    let options = Options { horizon: Some(horizon), signals, ..Options::default() };
    let forecaster = forecast::auto(series, &options)
        .map_err(|source| PlanError::Forecast { dimension: dimension.clone(), source })?;
    let brought = laid.brought(series, forecaster.report().signals.as_ref());
    Ok((Arc::new(forecaster), brought))
}

/// Sampled load on the grid of a plan over `[from, until)`.
pub fn paths(
    dimension: &Dimension,
    series: &Series,
    forecaster: &AutoForecaster,
    grid: (Step, Timestamp, Timestamp),
    draw: (usize, u64),
) -> Result<Paths, PlanError> {
    let ((step, from, until), (count, seed)) = (grid, draw);
    let horizon = steps_until(series, until);
    let paths = forecaster
        .paths(horizon, count, seed)
        .map_err(|source| PlanError::Forecast { dimension: dimension.clone(), source })?;
    paths.resample(step, from, until).ok_or_else(|| PlanError::Nothing { from, until })
}
