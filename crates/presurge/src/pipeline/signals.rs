//! Events and outside series beside the load: read with it, kept with it, and laid on its grid.

use std::sync::Arc;

use domain::calendar::Interval;
use domain::ports::{SignalSource, Tells};
use domain::series::{Sample, Series};
use domain::signal::{Reach, Signal, SignalBrought};
use forecast::signals::{Category, Kind, Outside, SignalReport, Signals, SignalsReport};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PlanError;
use super::history::{REACH, usual_step, whole};

/// So many values of a series that is known up to now may be missing before it counts as gone.
const STALE_AFTER: i64 = 3;

/// Who tells of signals.
#[derive(Clone)]
pub enum Telling {
    /// What is configured, in its order.
    Sources(Vec<Arc<dyn SignalSource>>),
    /// What the archive keeps.
    Kept(Known),
}

/// What is known beside the load at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Every signal, each name once.
    told: Vec<Signal>,
    /// What a forecast has to do without.
    lost: Vec<Lost>,
}

/// A signal that a forecast has to do without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lost {
    /// Its name, or its place in the configuration.
    name: String,
    cause: Cause,
    /// Why, in words.
    why: String,
}

/// Who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cause {
    /// A person: it cannot be read, or makes no sense.
    Broken,
    /// Who writes it: it does not reach far enough.
    Late,
}

/// A line of the archive.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Events { name: String, times: Vec<(i64, i64)> },
    Series { name: String, reach: Reach, samples: Vec<(i64, f64)> },
    Lost(Lost),
}

impl Telling {
    /// What is known at `now`.
    ///
    /// Events have to be read: a plan that does not know of what is scheduled is made for the wrong
    /// load. An outside series may be missing: a forecast without it is as wide as its own past
    /// errors without it, so that the stated risk stays true.
    pub async fn at(&self, now: Timestamp) -> Result<Known, PlanError> {
        let sources = match self {
            Self::Kept(known) => return Ok(known.clone()),
            Self::Sources(sources) => sources,
        };
        let mut known = Known::default();
        for (index, source) in sources.iter().enumerate() {
            match (source.signals(now - REACH, now, now + REACH).await, source.tells()) {
                (Ok(signals), _) => signals.into_iter().for_each(|one| known.take(one, now)),
                (Err(error), Tells::Series) => {
                    known.lose(format!("signals[{index}]"), Cause::Broken, error.chain());
                }
                (Err(error), Tells::Events) => return Err(error.into()),
            }
        }
        Ok(known)
    }
}

impl Known {
    fn lose(&mut self, name: String, cause: Cause, why: String) {
        self.lost.push(Lost { name, cause, why });
    }

    /// Takes a signal in, with its times in whole seconds, as the archive keeps them.
    fn take(&mut self, signal: Signal, now: Timestamp) {
        let signal = in_seconds(signal);
        let same = self.told.iter_mut().find(|known| known.name() == signal.name());
        match (same, signal) {
            (Some(Signal::Events { times, .. }), Signal::Events { times: more, .. }) => {
                times.extend(more);
            }
            (Some(_), signal) => {
                let why = "another signal has the same name; rename one of them".to_owned();
                self.lose(signal.name().to_owned(), Cause::Broken, why);
            }
            (None, signal) => match late(&signal, now) {
                Some(why) => self.lose(signal.name().to_owned(), Cause::Late, why),
                None => self.told.push(signal),
            },
        }
    }

    /// Whether there is nothing beside the load, and nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty() && self.lost.is_empty()
    }

    /// Refuses what a person has to repair, for plans that a person waits for.
    pub fn is_sound(&self) -> Result<(), PlanError> {
        match self.lost.iter().find(|lost| lost.cause == Cause::Broken) {
            Some(Lost { name, why, .. }) => {
                Err(PlanError::Signal { name: name.clone(), why: why.clone() })
            }
            None => Ok(()),
        }
    }

    /// What a forecast has to do without, in words.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.lost.iter().map(|Lost { name, why, .. }| format!("without the signal {name}: {why}"))
    }

    /// One line for each, as they are archived.
    pub fn archived(&self) -> String {
        let signals = self.told.iter().map(|signal| match signal {
            Signal::Events { name, times } => Line::Events {
                name: name.clone(),
                times: times.iter().map(|t| (t.from().as_second(), t.to().as_second())).collect(),
            },
            Signal::Series { name, reach, samples } => Line::Series {
                name: name.clone(),
                reach: *reach,
                samples: samples.iter().map(|s| (s.at.as_second(), s.value)).collect(),
            },
        });
        let lost = self.lost.iter().cloned().map(Line::Lost);
        let text = |line: Line| serde_json::to_string(&line).expect("finite numbers and strings");
        signals.chain(lost).map(|line| format!("signal,{}\n", text(line))).collect()
    }

    /// Takes in what stands in such a line behind `signal,`. `None`: it is no such line.
    pub(super) fn take_line(&mut self, text: &str) -> Option<()> {
        let at = |second: i64| Timestamp::from_second(second).ok();
        match serde_json::from_str(text).ok()? {
            Line::Lost(lost) => self.lost.push(lost),
            Line::Events { name, times } => {
                let time = |(from, to): &(i64, i64)| Interval::new(at(*from)?, at(*to)?).ok();
                let times = times.iter().map(time).collect::<Option<_>>()?;
                self.told.push(Signal::Events { name, times });
            }
            Line::Series { name, reach, samples } => {
                let sample =
                    |(second, value): &(i64, f64)| Some(Sample { at: at(*second)?, value: *value });
                let samples = samples.iter().map(sample).collect::<Option<_>>()?;
                self.told.push(Signal::Series { name, reach, samples });
            }
        }
        Some(())
    }

    /// The signals on the grid of a load, for a forecast of `horizon` steps; and what it has to do
    /// without.
    fn on(&self, series: &Series, horizon: usize) -> (Signals, Vec<Lost>) {
        let mut signals = Signals { events: categories(self.told.clone()), series: Vec::new() };
        signals.events.retain(|category| !category.times.is_empty());
        let mut lost = self.lost.clone();
        for signal in &self.told {
            let Signal::Series { name, reach, samples } = signal else { continue };
            let length = series.values().len();
            let count = match reach {
                Reach::PastOnly => length,
                Reach::KnownAhead => length + horizon,
            };
            let (known, end) = (reaches(samples), series.at(count));
            if *reach == Reach::KnownAhead && known < end {
                let why = format!("it is known until {known} only, the forecast goes to {end}");
                lost.push(Lost { name: name.clone(), cause: Cause::Late, why });
                continue;
            }
            let values = held(samples, series, count);
            signals.series.push(Outside { name: name.clone(), reach: *reach, values });
        }
        (signals, lost)
    }
}

/// Signals that a forecaster is given, and what it has to do without.
pub(super) struct Laid {
    pub(super) signals: Signals,
    lost: Vec<Lost>,
}

impl Laid {
    pub(super) fn of(known: &Known, series: &Series, horizon: usize) -> Self {
        let (signals, lost) = known.on(series, horizon);
        Self { signals, lost }
    }

    /// What each brought, by what the forecaster says.
    pub(super) fn brought(
        &self,
        series: &Series,
        report: Option<&SignalsReport>,
    ) -> Vec<SignalBrought> {
        let judged = report
            .iter()
            .flat_map(|report| report.each.iter().map(|one| brought(one, series, report)));
        let lost = self.lost.iter().map(|lost| SignalBrought {
            name: lost.name.clone(),
            kind: String::new(),
            unused: Some(lost.why.clone()),
            loss_without: None,
            loss_with: None,
            weight: 0.0,
            acts: String::new(),
            effect: 0.0,
            lead_seconds: 0,
            tail_seconds: 0,
        });
        judged.chain(lost).collect()
    }
}

fn brought(one: &SignalReport, series: &Series, all: &SignalsReport) -> SignalBrought {
    let kind = match one.kind {
        Kind::Event => "event",
        Kind::Series(Reach::KnownAhead) => "known-ahead",
        Kind::Series(Reach::PastOnly) => "past-only",
    };
    let seconds = |steps: usize| steps as u64 * series.step().seconds().unsigned_abs();
    let finite = |loss: f64| loss.is_finite().then_some(loss);
    SignalBrought {
        name: one.name.clone(),
        kind: kind.to_owned(),
        unused: one.unused.map(|why| why.to_string()),
        loss_without: finite(one.loss.0),
        loss_with: finite(one.loss.1),
        weight: if one.unused.is_some() { 0.0 } else { all.weight },
        acts: all.acts.to_string(),
        effect: one.effect,
        lead_seconds: seconds(one.lead.0),
        tail_seconds: seconds(one.tail.0),
    }
}

/// The events among signals, those of one name together.
pub fn categories(signals: impl IntoIterator<Item = Signal>) -> Vec<Category> {
    let mut all: Vec<Category> = Vec::new();
    for signal in signals {
        let Signal::Events { name, times } = signal else { continue };
        match all.iter_mut().find(|known| known.name == name) {
            Some(known) => known.times.extend(times),
            None => all.push(Category { name, times }),
        }
    }
    all
}

fn in_seconds(signal: Signal) -> Signal {
    match signal {
        Signal::Events { name, times } => {
            let time = |t: Interval| Interval::new(whole(t.from()), whole(t.to())).ok();
            Signal::Events { name, times: times.into_iter().filter_map(time).collect() }
        }
        Signal::Series { name, reach, mut samples } => {
            samples.iter_mut().for_each(|sample| sample.at = whole(sample.at));
            Signal::Series { name, reach, samples }
        }
    }
}

/// Why a series does not reach up to now, if it does not.
fn late(signal: &Signal, now: Timestamp) -> Option<String> {
    let Signal::Series { reach, samples, .. } = signal else { return None };
    let Some(last) = samples.last() else {
        let days = REACH.as_secs() / 86_400;
        return Some(format!("it has no value of the last {days} days"));
    };
    let missing = (now.as_second() - last.at.as_second()) / usual_step(samples).max(1);
    let is_late = *reach == Reach::PastOnly && missing > STALE_AFTER;
    is_late.then(|| format!("its newest value is that of {}, and {missing} are missing", last.at))
}

/// Until when a series is known: its last value holds as long as one usually does.
fn reaches(samples: &[Sample]) -> Timestamp {
    let last = samples.last().map_or(0, |sample| sample.at.as_second());
    Timestamp::from_second(last.saturating_add(usual_step(samples))).unwrap_or(Timestamp::MAX)
}

/// The values on the first `count` steps of a series: at the beginning of each, the newest one.
fn held(samples: &[Sample], series: &Series, count: usize) -> Vec<f64> {
    let value = |index: usize| {
        let after = samples.partition_point(|sample| sample.at <= series.at(index));
        after.checked_sub(1).map_or(f64::NAN, |newest| samples[newest].value)
    };
    (0..count).map(value).collect()
}
