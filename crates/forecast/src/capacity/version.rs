//! What a server carries under a new version, from the few that run it already.
//!
//! Under the same load a version that needs `k` times the work for each request uses `k` times as much
//! beside what is used idly (utilisation law), or serves as one whose rate is a `k`th (M/M/1). So each
//! sample of the updated servers gives one `k`, beside the line of the fleet before the update. How far
//! their median strays for reasons that have nothing to do with the version is seen in the past: as many
//! samples in a row, drawn from the time before, are beside the same line as well (a placebo test; Abadie
//! et al., *Journal of the American Statistical Association* 105, 2010).

use std::fmt;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::line::{Blocks, Line};
use super::{Objective, Observation, Unknown, points, usable};
use crate::settings;

/// What a server carries under the new version, in shares of what it carried before.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Equally likely shares, rising, each above 0 and at most 1.
    draws: Vec<f64>,
    /// Samples of updated servers that it was learned from.
    pub observations: usize,
}

impl Share {
    /// The quantile at `level`, of what the share may be.
    pub fn quantile(&self, level: f64) -> f64 {
        crate::quantile::of_sorted(&self.draws, level)
    }

    /// Whether the version is slower by more than chance.
    pub fn is_slower(&self) -> bool {
        self.quantile(1.0 - settings::CAPACITY_SLOWER_CHANCE) < 1.0
    }

    /// Equally likely shares for paths in turn.
    pub fn spread(&self) -> Vec<f64> {
        let count = self.draws.len();
        (0..count).map(|future| self.draws[super::nth(future, count)]).collect()
    }
}

/// Why nothing can be said of a new version.
#[derive(Debug, Clone, PartialEq)]
pub enum Unseen {
    /// Too few samples of updated servers.
    Few {
        /// How many there are.
        found: usize,
    },
    /// The fleet before the update does not tell what is usual.
    Before {
        /// How many samples of updated servers there are.
        found: usize,
        /// What is missing.
        why: Unknown,
    },
    /// What was observed did not follow the load.
    Response {
        /// How many samples of updated servers there are.
        found: usize,
    },
}

impl Unseen {
    /// How many samples of updated servers there are.
    pub fn found(&self) -> usize {
        let (Self::Few { found } | Self::Before { found, .. } | Self::Response { found }) = self;
        *found
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Few { found } => write!(
                f,
                "updated servers were seen {found} times under load, and {} times are needed; a longer \
                 batch.canary.watch gives more",
                settings::CAPACITY_UPDATED_LEAST
            ),
            Self::Before { why, .. } => write!(f, "before the update {why}"),
            Self::Response { .. } => {
                f.write_str("what the objective is about did not rise with load before the update")
            }
        }
    }
}

/// Compares updated servers with the fleet as it was. `before` is what was seen of the fleet up to the moment
/// when the first updated server served, `updated` what was seen of those since then; the load is that of one
/// server in both.
///
/// # Errors
/// What would have to be seen.
pub fn share(
    before: &[Observation],
    updated: &[Observation],
    objective: Objective,
    now: Timestamp,
) -> Result<Share, Unseen> {
    let (before, updated) = (usable(before, objective, now), usable(updated, objective, now));
    if updated.len() < settings::CAPACITY_UPDATED_LEAST {
        return Err(Unseen::Few { found: updated.len() });
    }
    let found = updated.len();
    super::enough(&before).map_err(|why| Unseen::Before { found, why })?;
    let points = points(&before, objective, now);
    let line = super::line::fit(&points);
    if !line.rises(&Blocks::of(&points, &line)) {
        return Err(Unseen::Response { found });
    }
    let work = |all: &[Observation]| -> Vec<f64> {
        all.iter().filter_map(|o| times_the_work(&line, objective, o)).collect()
    };
    let (usual, new) = (work(&before), work(&updated));
    if new.len() < settings::CAPACITY_UPDATED_LEAST || usual.len() < new.len() {
        return Err(Unseen::Few { found: new.len() });
    }
    let limit = objective.limit() - line.above(&points, settings::CAPACITY_KEPT);
    let mut chance = ChaCha8Rng::seed_from_u64(0);
    let mut draw = || {
        let again: Vec<f64> =
            (0..new.len()).map(|_| new[chance.random_range(0..new.len())]).collect();
        let from = chance.random_range(0..=usual.len() - new.len());
        let work = median(again) / median(usual[from..from + new.len()].to_vec());
        line.share_at(limit, objective, work).clamp(settings::CAPACITY_FLOOR, 1.0)
    };
    let mut draws: Vec<f64> = (0..settings::CAPACITY_DRAWS).map(|_| draw()).collect();
    draws.sort_by(f64::total_cmp);
    Ok(Share { draws, observations: new.len() })
}

/// How many times the usual work each request took; `None` where a server did nothing.
fn times_the_work(line: &Line, objective: Objective, seen: &Observation) -> Option<f64> {
    let scaled = objective.scaled(seen.value)?;
    let times = match objective {
        // value = idle + k · slope · load.
        Objective::Utilisation(_) => (scaled - line.level()) / (line.at(seen.load) - line.level()),
        // −1/value = level / k + slope · load.
        Objective::Latency(_) => line.level() / (scaled - (line.at(seen.load) - line.level())),
    };
    (times.is_finite() && times > 0.0).then_some(times)
}

impl Line {
    /// The share of the load that a server carries up to `limit` when each request takes so many times
    /// the work.
    fn share_at(&self, limit: f64, objective: Objective, work: f64) -> f64 {
        match objective {
            Objective::Utilisation(_) => 1.0 / work,
            Objective::Latency(_) => (limit - self.level() / work) / (limit - self.level()),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    crate::quantile::of_sorted(&values, 0.5)
}
