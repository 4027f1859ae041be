//! Forecasts that are kept fresh: one forecaster for each dimension of each fleet of the configuration. It is
//! fitted once, takes in each new sample, and is fitted anew when it says so. Plans are made from it where
//! it knows exactly the history that they are made from.

mod keeping;
mod taken;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use domain::name::{Dimension, FleetName};
use domain::series::{Sample, Series};
use forecast::settings::HORIZON_MOST;
use forecast::{AutoForecaster, Event, ForecastError, Options};
use jiff::Timestamp;

use self::taken::{Compared, Taken};
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
}

/// What a plan would have needed of a forecaster.
#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    /// To look so many seconds ahead.
    reach: i64,
    /// To know the history as it is now: it was changed afterwards.
    anew: bool,
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
        Ok((Self { forecaster, taken, reach, fitted_at: now }, told))
    }

    /// The same with what a series holds beyond it.
    fn carried(&self, series: &Series) -> Result<(Self, Told), ForecastError> {
        let (end, mut told) = (self.forecaster.end(), Vec::new());
        let mut forecaster = AutoForecaster::clone(&self.forecaster);
        for (index, value) in series.values().iter().enumerate() {
            let sample = Sample { at: series.at(index), value: *value };
            if sample.at < end {
                continue;
            }
            let events = match series.is_bound(index) {
                true => forecaster.update_at_saturation(sample)?,
                false => forecaster.update(sample)?,
            };
            told.extend(events.into_iter().map(|event| (sample.at, event)));
        }
        let mut taken = self.taken.clone();
        taken.follow(series);
        Ok((Self { forecaster: Arc::new(forecaster), taken, ..*self }, told))
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

    fn set(&self, key: Key, kept: Kept) {
        self.all.lock().expect("nobody panics with it").insert(key, kept);
    }

    fn wish(&self, key: &Key) -> Wish {
        let wishes = self.wishes.lock().expect("nobody panics with it");
        wishes.get(key).copied().unwrap_or_default()
    }

    fn wishes(&self, key: Key, change: impl FnOnce(&mut Wish)) {
        change(self.wishes.lock().expect("nobody panics with it").entry(key).or_default());
    }
}

/// Reaches are whole multiples of this, so that each plan does not ask for a little more.
fn rounded(seconds: i64) -> i64 {
    let unit = FRESH_REACH.as_secs().cast_signed() / 4;
    (seconds + unit - 1).div_euclid(unit) * unit
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
            // It is fitted next.
            self.wishes(key, |wish| wish.reach = wish.reach.max(1));
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
            self.wishes(key, |wish| wish.reach = wish.reach.max(rounded(needed)));
            return None;
        }
        let known = if more == 0 { known } else { known.carried(series).ok()?.0 };
        Some(Saved::of(known.forecaster))
    }
}
