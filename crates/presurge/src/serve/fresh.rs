//! Forecasts that are kept fresh: one forecaster for each dimension of each fleet of the configuration. It is
//! fitted once, takes in each new sample, and is fitted anew when it says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use domain::name::{Dimension, FleetName};
use domain::series::{Sample, Step};
use forecast::hygiene::{Hygiene, clean};
use forecast::{AutoForecaster, ForecastError, Options};
use jiff::Timestamp;
use tokio::sync::watch;

use super::settings::{FRESH, FRESH_EVENTS, FRESH_REST};
use super::{Server, told};
use crate::pipeline::{self, Feed, History};

/// What is known of all fleets.
#[derive(Default)]
pub struct Fresh(Mutex<BTreeMap<(FleetName, Dimension), Kept>>);

/// One dimension of a fleet.
#[derive(Clone, Default)]
pub struct Kept {
    /// What forecasts, once it is fitted.
    pub forecaster: Option<Arc<AutoForecaster>>,
    /// The length of a step.
    step: Option<Step>,
    /// When it was fitted last.
    pub fitted_at: Option<Timestamp>,
    /// Until when the load is known.
    pub known_until: Option<Timestamp>,
    /// What has changed lately, in words, the newest last.
    pub events: VecDeque<String>,
    /// Why it is not up to date.
    pub trouble: Option<String>,
    /// It is tried again then.
    rests: Option<Timestamp>,
}

impl Fresh {
    /// What is known of a fleet.
    pub fn of(&self, fleet: &FleetName) -> Vec<(Dimension, Kept)> {
        let all = self.0.lock().expect("nobody panics with it");
        let mine = all.iter().filter(|((name, _), _)| name == fleet);
        mine.map(|((_, dimension), kept)| (dimension.clone(), kept.clone())).collect()
    }

    /// Until when the load of each dimension is known.
    pub fn ages(&self) -> Vec<((FleetName, Dimension), Option<Timestamp>)> {
        let all = self.0.lock().expect("nobody panics with it");
        all.iter().map(|(key, kept)| (key.clone(), kept.known_until)).collect()
    }

    fn get(&self, key: &(FleetName, Dimension)) -> Kept {
        self.0.lock().expect("nobody panics with it").get(key).cloned().unwrap_or_default()
    }

    fn set(&self, key: (FleetName, Dimension), kept: Kept) {
        self.0.lock().expect("nobody panics with it").insert(key, kept);
    }
}

/// Keeps every forecast fresh until it is told to stop, one after the other.
pub async fn keep(server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    let feeds = match pipeline::feeds_of(&server.documents, &server.clock) {
        Ok(feeds) => feeds,
        Err(error) => return server.trouble("forecasts are not kept fresh", &error),
    };
    loop {
        for (fleet, feed) in &feeds {
            let key = (fleet.clone(), feed.dimension.clone());
            let now = server.clock.now();
            let mut kept = server.fresh.get(&key);
            if !is_due(&kept, feed, now) {
                continue;
            }
            let moved = tokio::select! {
                () = told(&mut stop) => return,
                moved = renew(&server, feed, &mut kept, now) => moved,
            };
            kept.trouble = moved.err();
            kept.rests = kept.trouble.as_ref().map(|_| now + FRESH_REST);
            if kept.trouble.is_some() {
                server.meters.trouble();
            }
            server.fresh.set(key, kept);
        }
        tokio::select! {
            () = told(&mut stop) => return,
            () = server.pause(FRESH) => {}
        }
    }
}

/// Whether there may be a sample that is not known yet.
fn is_due(kept: &Kept, feed: &Feed, now: Timestamp) -> bool {
    if kept.rests.is_some_and(|until| now < until) {
        return false;
    }
    let (Some(forecaster), Some(step)) = (&kept.forecaster, kept.step) else { return true };
    now >= forecaster.end() + step.duration() + feed.delay
}

/// Takes in what is new, or fits where that is due.
async fn renew(
    server: &Server,
    feed: &Feed,
    kept: &mut Kept,
    now: Timestamp,
) -> Result<(), String> {
    let (Some(forecaster), Some(step)) = (kept.forecaster.clone(), kept.step) else {
        return fit(server, feed, kept, now).await;
    };
    let end = forecaster.end();
    let from = end - step.duration() * 2;
    let samples = feed.source.samples(from, now).await.map_err(|error| error.chain())?;
    let options =
        Hygiene { step: Some(step), measure: feed.measure, delay: feed.delay, now: Some(now) };
    let Ok(cleaned) = clean(&samples, &options) else {
        return Err("there are no new samples".into());
    };
    let series = cleaned.series;
    let new = (0..series.values().len())
        .map(|index| Sample { at: series.at(index), value: series.values()[index] })
        .filter(|sample| sample.at >= end);
    let new: Vec<Sample> = new.collect();
    let took = Server::compute(&server.fits, move || {
        let mut forecaster = AutoForecaster::clone(&forecaster);
        let mut events = Vec::new();
        for sample in new {
            let told = forecaster.update(sample)?;
            events.extend(told.iter().map(|event| format!("{:.0}: {event}", sample.at)));
        }
        Ok::<_, ForecastError>((forecaster, events))
    });
    match took.await? {
        Ok((forecaster, events)) => {
            let due = forecaster.refit_due();
            kept.known_until = Some(forecaster.end());
            kept.forecaster = Some(Arc::new(forecaster));
            tell(kept, events);
            match due {
                Some(_) => fit(server, feed, kept, now).await,
                None => Ok(()),
            }
        }
        // Too long was nothing known.
        Err(ForecastError::Ahead { .. }) => fit(server, feed, kept, now).await,
        Err(error) => Err(error.to_string()),
    }
}

/// Fits to the whole history.
async fn fit(server: &Server, feed: &Feed, kept: &mut Kept, now: Timestamp) -> Result<(), String> {
    let read = pipeline::read(feed, now).await;
    let History { series, .. } = read.map_err(|error| crate::causes::chain(&error))?;
    let (old, step) = (kept.forecaster.clone(), series.step());
    let fitted = Server::compute(&server.fits, move || match old {
        None => Ok((forecast::auto(&series, &Options::default())?, Vec::new())),
        Some(old) => {
            let mut forecaster = AutoForecaster::clone(&old);
            let events = forecaster.refit(&series, &Options::default())?;
            Ok::<_, ForecastError>((forecaster, events))
        }
    });
    let (forecaster, events) = fitted.await?.map_err(|error| error.to_string())?;
    kept.known_until = Some(forecaster.end());
    (kept.fitted_at, kept.step) = (Some(now), Some(step));
    kept.forecaster = Some(Arc::new(forecaster));
    tell(kept, events.iter().map(|event| format!("{now:.0}: {event}")).collect());
    Ok(())
}

fn tell(kept: &mut Kept, events: Vec<String>) {
    kept.events.extend(events);
    while kept.events.len() > FRESH_EVENTS {
        kept.events.pop_front();
    }
}
