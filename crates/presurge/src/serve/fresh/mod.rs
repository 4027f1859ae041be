//! Forecasts that are kept fresh: one forecaster for each dimension of each fleet of the configuration. It is
//! fitted once, takes in each new sample, and is fitted anew when it says so. Plans are made from it where
//! it knows exactly the history that they are made from.

mod keeping;
pub mod rows;
mod taken;
mod told;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use domain::name::{Dimension, FleetName};
use domain::series::{Sample, Series};
use forecast::settings::HORIZON_MOST;
use forecast::{AutoForecaster, Event, ForecastError, Options, Scored, Scores};
use jiff::Timestamp;

use self::taken::{Compared, Taken};
use self::told::Change;
use super::settings::{FRESH_AHEAD, FRESH_EVENTS, FRESH_REACH};
use crate::pipeline::{Forecasters, History, Saved};

pub use self::keeping::keep;

/// A dimension of a fleet.
pub type Key = (FleetName, Dimension);

/// What is known of all fleets.
#[derive(Default)]
pub struct Fresh {
    all: Mutex<BTreeMap<Key, Kept>>,
    /// What plans would have needed.
    wishes: Mutex<BTreeMap<Key, Wish>>,
    /// What has changed and is not written down yet.
    changes: Mutex<Vec<Change>>,
    progress: Mutex<Progress>,
}

/// How far the forecasters of a daemon are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Dimensions of fleets that are configured.
    pub all: usize,
    /// Those that have a forecaster.
    pub fitted: usize,
    /// Those that are not up to date since something does not work.
    pub failing: usize,
    /// Times that new samples were taken in, and fits that were made, since the start.
    pub updates: u64,
    /// See `updates`.
    pub fits: u64,
}

/// One dimension of a fleet.
#[derive(Clone, Default)]
pub struct Kept {
    /// What forecasts, once it is fitted.
    pub known: Option<Known>,
    /// What has changed lately, in words, the newest last.
    pub events: VecDeque<String>,
    /// Why it is not up to date.
    pub trouble: Option<String>,
    /// It is tried again then.
    rests: Option<Timestamp>,
    /// Whether the store was asked for one.
    asked_for: bool,
    /// When the one that the store keeps was fitted, and until when it knew the load.
    stored: Option<(Timestamp, Timestamp)>,
}

/// A forecaster that is carried on from sample to sample.
#[derive(Clone)]
pub struct Known {
    /// The forecaster.
    pub forecaster: Arc<AutoForecaster>,
    /// What it has taken in.
    taken: Taken,
    /// It was fitted to look so many seconds ahead.
    reach: i64,
    /// When it was fitted.
    pub fitted_at: Timestamp,
    /// How it has done.
    pub scores: Scores,
}

/// What a plan would have needed of a forecaster.
#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    /// To look so many seconds ahead.
    reach: i64,
    /// To know the history as it is now: there was none, or the history was changed afterwards.
    anew: bool,
}

impl Wish {
    /// To look so many seconds ahead. It is asked for in large steps, so that not every plan asks for a
    /// little more.
    fn looks(&mut self, seconds: i64) {
        let unit = FRESH_REACH.as_secs().cast_signed() / 4;
        let steps = seconds.saturating_add(unit / 2).div_euclid(unit).saturating_add(1);
        self.reach = self.reach.max(steps.saturating_mul(unit));
    }
}

/// What has happened to a forecaster, and at which sample.
type Told = Vec<(Timestamp, Event)>;

impl Known {
    /// Fits to a history, for so many seconds ahead; `former` says what changes.
    fn fit(
        former: Option<&Known>,
        series: &Series,
        reach: i64,
        now: Timestamp,
    ) -> Result<(Self, Told), ForecastError> {
        let steps = usize::try_from(reach / series.step().seconds()).unwrap_or(1).max(1);
        let options = Options { horizon: Some(steps), ..Options::default() };
        let (forecaster, events) = match former {
            None => (forecast::auto(series, &options)?, Vec::new()),
            Some(former) => {
                let mut forecaster = AutoForecaster::clone(&former.forecaster);
                let events = forecaster.refit(series, &options)?;
                (forecaster, events)
            }
        };
        let told = events.into_iter().map(|event| (now, event)).collect();
        let (forecaster, taken) = (Arc::new(forecaster), Taken::all(series));
        let scores = former.filter(|former| former.taken.step() == taken.step());
        let scores = scores.map_or_else(|| Scores::new(taken.step()), |f| f.scores.clone());
        Ok((Self { forecaster, taken, reach, fitted_at: now, scores }, told))
    }

    /// The same with what a series holds beyond it.
    fn carried(&self, series: &Series) -> Result<(Self, Told), ForecastError> {
        let (end, mut told) = (self.forecaster.end(), Vec::new());
        let mut forecaster = AutoForecaster::clone(&self.forecaster);
        let mut scores = self.scores.clone();
        for (index, value) in series.values().iter().enumerate() {
            let sample = Sample { at: series.at(index), value: *value };
            if sample.at < end {
                continue;
            }
            let at_saturation = series.is_bound(index);
            scores.issue(&forecaster)?;
            scores.came(sample, at_saturation);
            let events = match at_saturation {
                true => forecaster.update_at_saturation(sample)?,
                false => forecaster.update(sample)?,
            };
            told.extend(events.into_iter().map(|event| (sample.at, event)));
        }
        let mut taken = self.taken.clone();
        taken.follow(series);
        Ok((Self { forecaster: Arc::new(forecaster), taken, scores, ..*self }, told))
    }
}

impl Kept {
    /// Until when the load is known.
    pub fn known_until(&self) -> Option<Timestamp> {
        self.known.as_ref().map(|known| known.forecaster.end())
    }

    fn tell(&mut self, told: &Told) {
        self.events.extend(told.iter().map(|(at, event)| format!("{at:.0}: {event}")));
        while self.events.len() > FRESH_EVENTS {
            self.events.pop_front();
        }
    }
}

impl Fresh {
    /// What is known of a fleet.
    pub fn of(&self, fleet: &FleetName) -> Vec<(Dimension, Kept)> {
        let all = self.all.lock().expect("nobody panics with it");
        let mine = all.iter().filter(|((name, _), _)| name == fleet);
        mine.map(|((_, dimension), kept)| (dimension.clone(), kept.clone())).collect()
    }

    /// Until when the load of each dimension is known.
    pub fn ages(&self) -> Vec<(Key, Option<Timestamp>)> {
        let all = self.all.lock().expect("nobody panics with it");
        all.iter().map(|(key, kept)| (key.clone(), kept.known_until())).collect()
    }

    fn get(&self, key: &Key) -> Kept {
        self.all.lock().expect("nobody panics with it").get(key).cloned().unwrap_or_default()
    }

    /// How each dimension has done.
    pub fn scores(&self) -> Vec<(Key, Vec<Scored>)> {
        let all = self.all.lock().expect("nobody panics with it");
        let known = all.iter().filter_map(|(key, kept)| Some((key, kept.known.as_ref()?)));
        known.map(|(key, known)| (key.clone(), known.scores.table())).collect()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let mut progress = *self.progress.lock().expect("nobody panics with it");
        let all = self.all.lock().expect("nobody panics with it");
        progress.fitted = all.values().filter(|kept| kept.known.is_some()).count();
        progress.failing = all.values().filter(|kept| kept.trouble.is_some()).count();
        progress
    }

    fn set(&self, key: Key, mut kept: Kept) {
        let mut all = self.all.lock().expect("nobody panics with it");
        // It may have been stored meanwhile.
        kept.stored = all.get(&key).and_then(|before| before.stored).or(kept.stored);
        all.insert(key, kept);
    }

    fn counts(&self, count: impl FnOnce(&mut Progress)) {
        count(&mut self.progress.lock().expect("nobody panics with it"));
    }

    fn wish(&self, key: &Key) -> Wish {
        let wishes = self.wishes.lock().expect("nobody panics with it");
        wishes.get(key).copied().unwrap_or_default()
    }

    fn wishes(&self, key: Key, change: impl FnOnce(&mut Wish)) {
        change(self.wishes.lock().expect("nobody panics with it").entry(key).or_default());
    }
}

impl Forecasters for Fresh {
    /// A forecaster is fitted anew where the history has signals, which none here is fitted with; where it
    /// has not taken in what the history says, and nothing else; where the plan looks further ahead.
    fn knowing(
        &self,
        fleet: &FleetName,
        dimension: &Dimension,
        history: &History,
        horizon: usize,
    ) -> Option<Saved> {
        let key = (fleet.clone(), dimension.clone());
        let Some(known) = self.get(&key).known else {
            self.wishes(key, |wish| wish.anew = true);
            return None;
        };
        let series = &history.series;
        if !history.known.is_empty() {
            return None;
        }
        let more = match known.taken.compare(series) {
            Compared::Same { more } if more <= FRESH_AHEAD => more,
            Compared::Same { .. } | Compared::Ahead => return None,
            Compared::Other => {
                self.wishes(key, |wish| wish.anew = true);
                return None;
            }
        };
        // No fit is calibrated for more steps.
        let steps = i64::try_from(horizon.min(HORIZON_MOST)).unwrap_or(i64::MAX);
        let needed = steps.saturating_mul(series.step().seconds());
        if known.reach < needed {
            self.wishes(key, |wish| wish.looks(needed));
            return None;
        }
        let known = if more == 0 { known } else { known.carried(series).ok()?.0 };
        Some(Saved::of(known.forecaster))
    }
}

#[cfg(test)]
mod tests;
