//! What is seen of servers beside their load, read or as it was archived.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use domain::config;
use domain::config::Is;
use domain::name::Version;
use domain::ports::{LoadSource, PortError};
use domain::series::{Sample, Series};
use forecast::capacity::{Objective, Observation};
use jiff::{SignedDuration, Timestamp};

use super::super::history::{REACH, usual_step, whole};
use crate::registry::{self, BadAdapter, Here};

/// A number of servers holds for so long after it was read.
const SERVERS_HOLD: SignedDuration = SignedDuration::from_hours(1);

/// What was seen of updated servers is asked for so far back: later they are most of the fleet, and what is
/// learned of all shows them.
const UPDATED_REACH: SignedDuration = SignedDuration::from_hours(24);

/// An objective, and where it shows how well it is kept.
#[derive(Clone)]
pub struct Judged {
    /// What is to be kept.
    pub objective: Objective,
    /// Who tells how well it was.
    pub witness: Witness,
}

/// Who tells how well servers carry their load.
#[derive(Clone)]
pub enum Witness {
    /// What is configured.
    Told {
        /// How well the objective is kept.
        source: Arc<dyn LoadSource>,
        /// The same of servers that run the target.
        updated: Option<Arc<dyn LoadSource>>,
        /// How many servers serve, and how many there are.
        serving: (Option<Arc<dyn LoadSource>>, usize),
        /// A sample is complete once this has passed.
        delay: Duration,
    },
    /// What the archive keeps.
    Kept(Seen),
}

/// What was seen of single servers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Of the fleet.
    pub fleet: Vec<Observation>,
    /// Of those that run the target; `None` where nobody tells.
    pub updated: Option<Vec<Observation>>,
}

impl Judged {
    /// The objective of a configuration for a fleet of so many servers, of which some may run `target`.
    pub fn new(
        given: &config::Objective,
        servers: usize,
        target: Option<&Version>,
        here: &Here,
    ) -> Result<Self, BadAdapter> {
        let objective = match given.is {
            Is::Latency => Objective::Latency(given.most),
            Is::Utilisation => Objective::Utilisation(given.most),
        };
        let load = |entry: &config::AdapterRef| registry::load(entry, here);
        let updated = target.and_then(|target| given.updated_to(target));
        let witness = Witness::Told {
            source: load(&given.source)?,
            updated: updated.as_ref().map(load).transpose()?,
            serving: (given.in_service.as_ref().map(load).transpose()?, servers),
            delay: given.delay,
        };
        Ok(Self { objective, witness })
    }

    /// What was seen of single servers up to `now` under the load of a fleet.
    pub async fn seen(&self, load: &Series, now: Timestamp) -> Result<Seen, PortError> {
        let (source, updated, (counts, servers), delay) = match &self.witness {
            Witness::Kept(seen) => return Ok(seen.clone()),
            Witness::Told { source, updated, serving, delay } => (source, updated, serving, *delay),
        };
        let told = source.samples(now - REACH, now).await?;
        let counts = match counts {
            Some(counts) => Some(counts.samples(now - REACH, now).await?),
            None => None,
        };
        let updated = match updated {
            Some(updated) => Some(updated.samples(now - UPDATED_REACH, now).await?),
            None => None,
        };
        // One sample alone does not say how long it lasts.
        let usual = usual_step(&told).max(1);
        let observed = |told: &Vec<Sample>| -> Vec<Observation> {
            let step = SignedDuration::from_secs(match usual_step(told) {
                0 => usual,
                own => own,
            });
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
            told.iter().filter(complete).filter_map(observed).collect()
        };
        Ok(Seen { fleet: observed(&told), updated: updated.as_ref().map(observed) })
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

/// The marks of the lines in the archive.
const MARKS: [&str; 2] = ["carried", "updated"];

impl Seen {
    /// As it is archived: one `carried,seconds,load,value` for each observation, then one
    /// `updated,seconds,load,value` for each of updated servers, and `updated,` where there could have been some.
    pub fn archived(&self) -> String {
        let mut text = String::new();
        let mut lines = |mark: &str, all: &[Observation]| {
            for o in all {
                let _ = writeln!(text, "{mark},{},{},{}", o.at.as_second(), o.load, o.value);
            }
        };
        lines(MARKS[0], &self.fleet);
        lines(MARKS[1], self.updated.as_deref().unwrap_or_default());
        if self.updated.is_some() {
            text += "updated,\n";
        }
        text
    }

    /// Takes such a line: its mark, and what stands behind. `None`: it is another line; `Some(None)`: it is
    /// broken.
    pub fn take_line(&mut self, mark: &str, rest: &str) -> Option<Option<()>> {
        let place = MARKS.iter().position(|known| *known == mark)?;
        if place == 0 {
            return Some(observation(rest).map(|seen| self.fleet.push(seen)));
        }
        let updated = self.updated.get_or_insert_default();
        Some(match rest {
            "" => Some(()),
            rest => observation(rest).map(|seen| updated.push(seen)),
        })
    }
}

fn observation(text: &str) -> Option<Observation> {
    let mut parts = text.split(',');
    let at = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
    let (load, value) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Observation { at, load, value })
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

    async fn all_seen(
        load: &Series,
        [values, updated]: [&[(i64, f64)]; 2],
        counts: Option<&[(i64, f64)]>,
        now: i64,
    ) -> Seen {
        let serving = (counts.map(told), 10);
        let updated = (!updated.is_empty()).then(|| told(updated));
        let delay = Duration::ZERO;
        let witness = Witness::Told { source: told(values), updated, serving, delay };
        Judged { objective: Objective::Latency(1.0), witness }.seen(load, at(now)).await.unwrap()
    }

    fn plain(all: &[Observation]) -> Vec<(i64, f64, f64)> {
        all.iter().map(|o| (o.at.as_second() - at(0).as_second(), o.load, o.value)).collect()
    }

    async fn seen(
        load: &Series,
        values: &[(i64, f64)],
        counts: Option<&[(i64, f64)]>,
        now: i64,
    ) -> Vec<(i64, f64, f64)> {
        plain(&all_seen(load, [values, &[]], counts, now).await.fleet)
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

    #[tokio::test]
    async fn updated_servers_are_seen_by_themselves_under_the_load_of_each() {
        let load = load(&[100.0, 200.0, 300.0, 400.0, 500.0, 600.0]);
        let coarse = [(0, 0.1), (120, 0.2), (240, 0.3)];
        let fine = [(180, 0.5), (240, 0.6), (300, 0.7)];
        let found = all_seen(&load, [&coarse, &fine], None, 330).await;
        assert_eq!(plain(&found.updated.unwrap()), [(180, 40.0, 0.5), (240, 50.0, 0.6)]);
        // One sample alone lasts as long as those of the fleet.
        let found = all_seen(&load, [&coarse, &fine[..1]], None, 360).await;
        assert_eq!(plain(&found.updated.unwrap()), [(180, 45.0, 0.5)]);
    }

    fn taken(text: &str) -> Option<Seen> {
        let mut seen = Seen::default();
        for line in text.lines() {
            let (mark, rest) = line.split_once(',')?;
            seen.take_line(mark, rest)??;
        }
        Some(seen)
    }

    #[test]
    fn observations_come_back_from_the_archive_as_they_were() {
        let all = vec![
            Observation { at: at(0), load: 1.0 / 3.0, value: 0.1 + 0.2 },
            Observation { at: at(60), load: 1e-12, value: 7e9 },
        ];
        for updated in [None, Some(Vec::new()), Some(all[1..].to_vec())] {
            let seen = Seen { fleet: all.clone(), updated };
            assert_eq!(taken(&seen.archived()).unwrap(), seen);
        }
        for bad in ["", "1,2", "1,2,3,4", "x,2,3", "1,2,y"] {
            assert_eq!(taken(&format!("carried,{bad}")), None, "{bad}");
            assert!(bad.is_empty() || taken(&format!("updated,{bad}")).is_none(), "{bad}");
        }
        assert_eq!(Seen::default().take_line("1772323200", "3"), None);
    }
}
