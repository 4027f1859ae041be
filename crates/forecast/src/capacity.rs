//! What one server carries within an objective, learned from load and how well it was served.
//!
//! Utilisation rises linearly with the load of a server (utilisation law, Denning and Buzen, ACM
//! Computing Surveys 10, 1978), and the inverse of a response time falls linearly: in an M/M/1 queue
//! mean and quantiles are a constant over `μ − x` (Kleinrock, *Queueing Systems* 1, §3.2). So one line
//! is fitted to either; where it meets the objective, with room for what scatters above it, the
//! server is full. How sure that is comes from drawing the hours of the history again (block
//! bootstrap, Künsch, Annals of Statistics 17, 1989).
//!
//! A decrease acts at once and an increase after a day: of what the newest day shows and what the
//! time before it shows, the smaller counts.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::settings;

mod line;
pub mod version;

use line::{Blocks, Point, fit};

/// What is to be kept, in the unit of the observations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// At most this much of a server is in use.
    Utilisation(f64),
    /// An answer takes at most so long.
    Latency(f64),
}

impl Objective {
    /// Whether an observed value keeps it.
    fn is_kept(self, value: f64) -> bool {
        let (Self::Utilisation(most) | Self::Latency(most)) = self;
        value <= most
    }

    /// A value on the scale on which it rises linearly with load; `None` for what no server shows.
    fn scaled(self, value: f64) -> Option<f64> {
        let scaled = match self {
            Self::Utilisation(_) => value,
            Self::Latency(_) if value > 0.0 => -1.0 / value,
            Self::Latency(_) => return None,
        };
        (scaled.is_finite() && value >= 0.0).then_some(scaled)
    }

    /// Itself on that scale.
    fn limit(self) -> f64 {
        let (Self::Utilisation(most) | Self::Latency(most)) = self;
        self.scaled(most).unwrap_or(f64::NAN)
    }
}

/// What was seen of the servers over one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// When the step began.
    pub at: Timestamp,
    /// The load of one server, in the unit of the load.
    pub load: f64,
    /// How it was served: utilisation, or latency.
    pub value: f64,
}

/// What one server carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// Equally likely values, rising, in the unit of the load; at least one.
    draws: Vec<f64>,
    /// The highest load of one server within the objective.
    pub carried: f64,
    /// Observations that it was learned from.
    pub observations: usize,
    /// What would have to be seen to know more; then `carried` is taken for the capacity.
    pub missing: Option<Missing>,
}

impl Learned {
    /// The quantile at `level`, of what the capacity may be.
    pub fn quantile(&self, level: f64) -> f64 {
        crate::quantile::of_sorted(&self.draws, level)
    }

    /// The value for one of many futures: over many of them each value comes equally often.
    pub fn draw(&self, future: usize) -> f64 {
        self.draws[nth(future, self.draws.len())]
    }

    fn middle(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// Which of `count` draws one of many futures takes: the golden ratio spreads them evenly, whatever their
/// number.
fn nth(future: usize, count: usize) -> usize {
    let share = (future as f64 * 0.618_033_988_749_895).fract();
    ((share * count as f64) as usize).min(count - 1)
}

/// Which observations are missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Missing {
    /// The load of a server has hardly varied.
    Contrast {
        /// The smallest load that was seen.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// The load has varied, and what was observed has not followed it.
    Response {
        /// The largest load that was seen.
        most: f64,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contrast { least, most } => write!(
                f,
                "the load of a server has only been between {least:.4} and {most:.4}; how it is \
                 served at a load that differs by half is not known"
            ),
            Self::Response { most } => write!(
                f,
                "what the objective is about does not rise with load up to {most:.4} of one \
                 server; it has not been seen nearer to the limit"
            ),
        }
    }
}

/// Why nothing can be said.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unknown {
    /// Load and objective were not seen at the same time often enough.
    #[error(
        "load and objective were seen together at {found} times over {hours} hours, and {needed} \
         times over more than {needed_hours} hours are needed"
    )]
    TooLittle {
        /// How often they were.
        found: usize,
        /// Over how long.
        hours: i64,
        /// How often they have to be.
        needed: usize,
        /// Over how long.
        needed_hours: i64,
    },
    /// The objective was never kept.
    #[error(
        "the objective was never kept: the least that was seen is {least:.4}; the unit may be another \
         one"
    )]
    NeverKept {
        /// The least value.
        least: f64,
    },
}

/// Learns what a server carries from what was seen before `now`; times may come in any order.
///
/// # Errors
/// Too little was seen, or the objective was never kept.
pub fn learn(
    observations: &[Observation],
    objective: Objective,
    now: Timestamp,
) -> Result<Learned, Unknown> {
    let day = SignedDuration::from_secs(settings::CAPACITY_DELAY);
    let all = usable(observations, objective, now);
    let split = all.partition_point(|o| o.at < now - day);
    let (before, newest) = all.split_at(split);
    let whole = of(before, objective, now).or_else(|why| match why {
        // Who begins has nothing that is older than a day.
        Unknown::TooLittle { .. } => of(&all, objective, now),
        other => Err(other),
    })?;
    match of(newest, objective, now) {
        // A fall shows only where the newest day is known by itself.
        Ok(fallen) if fallen.missing.is_none() && fallen.middle() < whole.middle() => Ok(fallen),
        _ => Ok(whole),
    }
}

/// The observations that something can be learned from, in the order of their times.
fn usable(observations: &[Observation], objective: Objective, now: Timestamp) -> Vec<Observation> {
    let good = |o: &&Observation| {
        o.at < now && o.load.is_finite() && o.load > 0.0 && objective.scaled(o.value).is_some()
    };
    let mut all: Vec<Observation> = observations.iter().filter(good).copied().collect();
    all.sort_by_key(|o| o.at);
    all
}

/// Whether observations in the order of their times are enough to learn from.
fn enough(all: &[Observation]) -> Result<(), Unknown> {
    let hours = match (all.first(), all.last()) {
        (Some(first), Some(last)) => last.at.duration_since(first.at).as_hours(),
        _ => 0,
    };
    if all.len() >= settings::CAPACITY_LEAST && hours >= settings::CAPACITY_HOURS_LEAST {
        return Ok(());
    }
    Err(Unknown::TooLittle {
        found: all.len(),
        hours,
        needed: settings::CAPACITY_LEAST,
        needed_hours: settings::CAPACITY_HOURS_LEAST,
    })
}

/// The observations as points of a line; the newer, the more they count.
fn points(all: &[Observation], objective: Objective, now: Timestamp) -> Vec<Point> {
    let point = |o: &Observation| Point {
        x: o.load,
        y: objective.scaled(o.value).unwrap_or(f64::NAN),
        weight: 0.5_f64
            .powf(now.duration_since(o.at).as_secs_f64() / settings::CAPACITY_HALF_LIFE as f64),
        block: o.at.as_second().div_euclid(settings::CAPACITY_BLOCK),
    };
    all.iter().map(point).collect()
}

/// What observations in the order of their times show.
fn of(all: &[Observation], objective: Objective, now: Timestamp) -> Result<Learned, Unknown> {
    enough(all)?;
    let kept = all.iter().filter(|o| objective.is_kept(o.value)).map(|o| o.load);
    let Some(carried) = kept.max_by(f64::total_cmp) else {
        let least = all.iter().map(|o| o.value).fold(f64::INFINITY, f64::min);
        return Err(Unknown::NeverKept { least });
    };
    let known = |missing| Learned {
        draws: vec![carried],
        carried,
        observations: all.len(),
        missing: Some(missing),
    };
    let mut loads: Vec<f64> = all.iter().map(|o| o.load).collect();
    loads.sort_by(f64::total_cmp);
    let at = |level| crate::quantile::of_sorted(&loads, level);
    let (least, most) = (at(0.01), at(0.99));
    if most < settings::CAPACITY_CONTRAST * least {
        return Ok(known(Missing::Contrast { least, most }));
    }
    let points = points(all, objective, now);
    let line = fit(&points);
    let blocks = Blocks::of(&points, &line);
    if !line.rises(&blocks) {
        return Ok(known(Missing::Response { most: loads[loads.len() - 1] }));
    }
    let limit = objective.limit() - line.above(&points, settings::CAPACITY_KEPT);
    let highest = settings::CAPACITY_BEYOND * carried;
    let full = |(level, slope): (f64, f64)| {
        let load = (limit - level) / slope;
        // A line that does not rise meets the limit nowhere.
        let least = settings::CAPACITY_FLOOR * carried;
        if slope > 0.0 && load.is_finite() { load.clamp(least, highest) } else { highest }
    };
    let mut draws: Vec<f64> = blocks.drawn_again().map(full).collect();
    draws.sort_by(f64::total_cmp);
    Ok(Learned { draws, carried, observations: all.len(), missing: None })
}

#[cfg(test)]
mod tests;
