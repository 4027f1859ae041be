//! What one server carries, where that is learned: seen beside the load, kept with it, and as unsure in
//! sampled futures as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::config::{self, Fleet, Is};
use domain::name::{Dimension, FleetName};
use domain::plan::{Carries, Inputs};
use domain::ports::{LoadSource, PortError};
use domain::series::{Sample, Series};
use forecast::capacity::{self, Learned, Objective, Observation};
use jiff::{SignedDuration, Timestamp};

use super::history::{REACH, usual_step, whole};
use super::{Outlook, PlanError, Prepared};
use crate::registry::{self, BadAdapter, Here};

/// A number of servers holds for so long after it was read.
const SERVERS_HOLD: SignedDuration = SignedDuration::from_hours(1);

/// An objective, and where it shows how well it is kept.
#[derive(Clone)]
pub struct Judged {
    /// What is to be kept.
    pub objective: Objective,
    /// How well it was.
    pub seen: Seen,
}

/// Who tells how well servers carry their load.
#[derive(Clone)]
pub enum Seen {
    /// What is configured.
    Told {
        /// How well the objective is kept.
        source: Arc<dyn LoadSource>,
        /// How many servers serve, and how many there are.
        serving: (Option<Arc<dyn LoadSource>>, usize),
        /// A sample is complete once this has passed.
        delay: Duration,
    },
    /// What the archive keeps.
    Kept(Vec<Observation>),
}

impl Judged {
    /// The objective of a configuration for a fleet of so many servers.
    pub fn new(given: &config::Objective, servers: usize, here: &Here) -> Result<Self, BadAdapter> {
        let objective = match given.is {
            Is::Latency => Objective::Latency(given.most),
            Is::Utilisation => Objective::Utilisation(given.most),
        };
        let serving = given.in_service.as_ref().map(|entry| registry::load(entry, here));
        let seen = Seen::Told {
            source: registry::load(&given.source, here)?,
            serving: (serving.transpose()?, servers),
            delay: given.delay,
        };
        Ok(Self { objective, seen })
    }

    /// What was seen of single servers up to `now` under the load of a fleet.
    pub async fn observations(
        &self,
        load: &Series,
        now: Timestamp,
    ) -> Result<Vec<Observation>, PortError> {
        let (source, (counts, servers), delay) = match &self.seen {
            Seen::Kept(observations) => return Ok(observations.clone()),
            Seen::Told { source, serving, delay } => (source, serving, *delay),
        };
        let told = source.samples(now - REACH, now).await?;
        let counts = match counts {
            Some(counts) => Some(counts.samples(now - REACH, now).await?),
            None => None,
        };
        let step = SignedDuration::from_secs(usual_step(&told).max(1));
        let complete = |sample: &&Sample| sample.at + step <= now - delay;
        let observed = |sample: &Sample| {
            let (from, to) = (whole(sample.at), whole(sample.at) + step);
            let serving = match &counts {
                Some(counts) => serving(counts, to)?,
                None => *servers as f64,
            };
            let load = mean(load, from, to)? / serving;
            Some(Observation { at: from, load, value: sample.value })
        };
        Ok(told.iter().filter(complete).filter_map(observed).collect())
    }
}

/// How many servers served last before a moment.
fn serving(counts: &[Sample], at: Timestamp) -> Option<f64> {
    let last = counts.iter().filter(|sample| sample.at < at).max_by_key(|sample| sample.at)?;
    let fresh = at.duration_since(last.at) <= SERVERS_HOLD;
    (fresh && last.value >= 1.0 && last.value.is_finite()).then_some(last.value)
}

/// The mean of a load between two moments, where all of it is known.
fn mean(load: &Series, from: Timestamp, to: Timestamp) -> Option<f64> {
    let step = load.step().seconds();
    let index = |at: Timestamp| (at.as_second() - load.start().as_second()).div_euclid(step);
    let first = usize::try_from(index(from)).ok()?;
    let last = usize::try_from(index(to - SignedDuration::from_secs(1))).ok()?.max(first);
    let values = load.values().get(first..=last)?;
    // Served load at saturation says nothing of what was asked for.
    let known = values.iter().all(|v| v.is_finite()) && (first..=last).all(|i| !load.is_bound(i));
    known.then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The observations as they are archived, one `carried,seconds,load,value` for each.
pub fn archived(observations: &[Observation]) -> String {
    let line = |o: &Observation| format!("carried,{},{},{}\n", o.at.as_second(), o.load, o.value);
    observations.iter().map(line).collect()
}

/// What stands in such a line behind `carried,`.
pub fn unarchived(text: &str) -> Option<Observation> {
    let mut parts = text.split(',');
    let at = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
    let (load, value) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Observation { at, load, value })
}

/// What one server carries by these observations.
pub fn learned(
    dimension: &Dimension,
    judged: &Judged,
    observations: &[Observation],
    now: Timestamp,
) -> Result<Learned, PlanError> {
    let found = capacity::learn(observations, judged.objective, now);
    found.map_err(|source| PlanError::Capacity { dimension: dimension.clone(), source })
}

/// A warning where too little was seen.
pub fn warning(learned: &Learned) -> Option<String> {
    let missing = learned.missing.as_ref()?;
    let carried = learned.carried;
    Some(format!("a server is taken to carry {carried:.4}, the most that it has: {missing}"))
}

/// What a plan says of it.
fn stated(learned: &Learned) -> Carries {
    Carries {
        p05: learned.quantile(0.05),
        p50: learned.quantile(0.5),
        carried: learned.carried,
        observations: learned.observations,
        missing: learned.missing.map(|missing| missing.to_string()),
    }
}

impl Outlook {
    /// Lets servers carry in each sampled future what one of the learned values says. All quantities
    /// are computed with the median; where a server carries a tenth less than that, its load weighs a
    /// ninth more. Surge is as unsure as the fleet, since it runs the same.
    pub(super) fn carrying(
        mut self,
        fleet: &FleetName,
        each: BTreeMap<Dimension, Learned>,
    ) -> Self {
        for (dimension, learned) in each {
            let stated = stated(&learned);
            let weight = |future: usize| stated.p50 / learned.draw(future);
            for paths in [&mut self.choosing, &mut self.fresh] {
                if let Some(paths) = paths.get_mut(&dimension) {
                    *paths = paths.weighted(weight);
                }
            }
            self.inputs.capacity.insert(format!("{fleet}/{dimension}"), stated);
        }
        self
    }
}

/// The fleet with what a plan took its servers to carry.
pub fn with_capacity(fleet: &Fleet, inputs: &Inputs) -> Fleet {
    let mut fleet = fleet.clone();
    for dimension in fleet.objectives.keys().cloned().collect::<Vec<_>>() {
        if let Some(carries) = inputs.capacity.get(&format!("{}/{dimension}", fleet.name)) {
            carry(&mut fleet, &dimension, carries.p50);
        }
    }
    fleet
}

/// Every server that carries what the others do carries this.
pub(super) fn carry(fleet: &mut Fleet, dimension: &Dimension, amount: f64) {
    let Some(common) = fleet.capacity.insert(dimension.clone(), amount) else { return };
    for server in &mut fleet.servers {
        match server.capacity.get_mut(dimension) {
            Some(own) if *own == common => *own = amount,
            _ => {}
        }
    }
}

impl Prepared {
    /// The same with what a plan took its servers to carry, for who cannot see how they do now.
    #[must_use]
    pub fn with_capacity_of(mut self, inputs: &Inputs) -> Self {
        self.fleet = with_capacity(&self.fleet, inputs);
        let own = format!("{}/", self.fleet.name);
        let known = inputs.capacity.iter().filter(|(which, _)| which.starts_with(&own));
        self.carries = known.map(|(which, carries)| (which.clone(), carries.clone())).collect();
        self
    }

    /// The same with a capacity that somebody has fixed.
    pub(super) fn fix_capacity(&mut self, dimension: &Dimension, amount: f64) {
        carry(&mut self.fleet, dimension, amount);
        self.fleet.objectives.remove(dimension);
        for feed in self.feeds.iter_mut().filter(|feed| feed.dimension == *dimension) {
            feed.judged = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::series::Step;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_323_200 + seconds).unwrap()
    }

    struct Told(Vec<Sample>);

    #[async_trait::async_trait]
    impl LoadSource for Told {
        async fn samples(&self, _: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
            Ok(self.0.iter().filter(|sample| sample.at < to).copied().collect())
        }
    }

    fn told(samples: &[(i64, f64)]) -> Arc<dyn LoadSource> {
        Arc::new(Told(
            samples.iter().map(|(s, value)| Sample { at: at(*s), value: *value }).collect(),
        ))
    }

    fn load(values: &[f64]) -> Series {
        Series::new(at(0), Step::from_seconds(60).unwrap(), values.to_vec())
    }

    async fn seen(
        load: &Series,
        values: &[(i64, f64)],
        counts: Option<&[(i64, f64)]>,
        now: i64,
    ) -> Vec<(i64, f64, f64)> {
        let serving = (counts.map(told), 10);
        let seen = Seen::Told { source: told(values), serving, delay: Duration::ZERO };
        let judged = Judged { objective: Objective::Latency(1.0), seen };
        let all = judged.observations(load, at(now)).await.unwrap();
        all.iter().map(|o| (o.at.as_second() - at(0).as_second(), o.load, o.value)).collect()
    }

    #[tokio::test]
    async fn load_and_objective_are_paired_over_the_time_of_a_sample() {
        let load = load(&[100.0, 200.0, 300.0, f64::NAN, 500.0, 600.0]);
        // As fine as the load; a gap is left out, and what is not over.
        let fine: Vec<_> = (0..6).map(|k| (60 * k, 0.1 * k as f64)).collect();
        let found = seen(&load, &fine, None, 359).await;
        let loads: Vec<_> = found.iter().map(|o| (o.0, o.1)).collect();
        assert_eq!(loads, [(0, 10.0), (60, 20.0), (120, 30.0), (240, 50.0)]);
        // Coarser: the mean of the load.
        let coarse = [(0, 0.1), (120, 0.2), (240, 0.3)];
        assert_eq!(seen(&load, &coarse, None, 360).await, [(0, 15.0, 0.1), (240, 55.0, 0.3)]);
        // Where the number of servers is told it counts, while it is fresh.
        let counts = [(-10, 5.0), (130, 0.0)];
        assert_eq!(seen(&load, &coarse, Some(&counts), 360).await, [(0, 30.0, 0.1)]);
        assert!(seen(&load, &coarse, Some(&[(-4_000, 5.0)]), 360).await.is_empty());
    }

    #[test]
    fn observations_come_back_from_the_archive_as_they_were() {
        let all = [
            Observation { at: at(0), load: 1.0 / 3.0, value: 0.1 + 0.2 },
            Observation { at: at(60), load: 1e-12, value: 7e9 },
        ];
        let text = archived(&all);
        let lines = text.lines().map(|line| unarchived(line.strip_prefix("carried,").unwrap()));
        assert_eq!(lines.collect::<Option<Vec<_>>>().unwrap(), all);
        for bad in ["", "1,2", "1,2,3,4", "x,2,3", "1,2,y"] {
            assert_eq!(unarchived(bad), None, "{bad}");
        }
    }
}
