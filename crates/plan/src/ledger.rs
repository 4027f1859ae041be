//! The capacity ledger: what is in service when. Timeline, risk, check and pictures read it.

use domain::name::{Dimension, OfferName, ServerName};
use domain::plan::{Basis, OutageLine, PerDimension, Plan, SupplyLine};
use jiff::Timestamp;

use crate::hours::lengths_at;
use crate::problem::{Fleet, counts};
use crate::request::Facts;
use crate::updated::updated;

/// The share of its capacity that a server lacks at `at`, once it is out: all until its warm-up
/// starts at `warm`, then `1 − warmup_from` falling linearly to nothing at `back`. Any unit of
/// time.
pub fn share_out(at: f64, warm: f64, back: f64, warmup_from: f64) -> f64 {
    if at >= back {
        return 0.0;
    }
    if at < warm {
        return 1.0;
    }
    (1.0 - warmup_from) * (back - at) / (back - warm)
}

/// Servers that are out together.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// The index of the batch.
    pub batch: u32,
    /// How many healthy servers it takes out.
    pub servers: u32,
    /// What they carry together when in service, per dimension of the ledger, after `balance`.
    pub capacity: Vec<f64>,
    /// They carry nothing from here on.
    pub out_at: Timestamp,
    /// Their warm-up starts.
    pub warm_at: Timestamp,
    /// They carry everything again.
    pub back_at: Timestamp,
    /// What they carry less from then on than before, per dimension of the ledger, after `balance`; empty where
    /// they carry the same.
    pub then: Vec<f64>,
}

/// Surge that carries load for a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Supply {
    /// From which offer.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// What they carry together, per dimension of the ledger, after `balance`.
    pub capacity: Vec<f64>,
    /// They carry load from here on.
    pub ready_at: Timestamp,
    /// Until here.
    pub release_at: Timestamp,
}

/// One line of the capacity in service at some moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is.
    pub entry: Entry,
    /// What it adds, per dimension of the ledger; negative for what is out.
    pub capacity: Vec<f64>,
}

/// What a line of the ledger is.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// All healthy servers.
    Servers {
        /// How many.
        healthy: u32,
    },
    /// Capacity that is there for nothing.
    Spare,
    /// What servers that are updated carry less than before.
    Slower,
    /// A batch that is out, or warms up.
    Out {
        /// Its index.
        batch: u32,
        /// How many healthy servers.
        servers: u32,
        /// The share of their capacity that they lack.
        share: f64,
    },
    /// Surge in service.
    Surge {
        /// From which offer.
        offer: OfferName,
        /// How many instances.
        count: u32,
    },
}

/// What a line of the ledger is read from.
enum Source<'a> {
    Servers,
    Spare,
    Slower,
    Out(&'a Outage),
    Surge(&'a Supply),
}

/// Capacity in service over time, by the planned times of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// The dimensions; every list per dimension follows this order.
    pub dimensions: Vec<Dimension>,
    /// Capacity of all healthy servers, after `balance`.
    pub full: Vec<f64>,
    /// How many servers are healthy.
    pub healthy: u32,
    /// Capacity that is there for nothing.
    pub spare: Vec<f64>,
    /// What servers that are updated already carry less than before; empty where they carry the same.
    pub slower: Vec<f64>,
    /// What is taken out, in the order of the plan.
    pub outages: Vec<Outage>,
    /// Surge that is held, then surge that is bought.
    pub supplies: Vec<Supply>,
    warmup_from: f64,
}

/// A plan that names what the facts do not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// A server.
    #[error("batch {batch}: there is no server {server} in the fleet")]
    Server {
        /// The index of the batch.
        batch: u32,
        /// The server.
        server: ServerName,
    },
    /// An offer.
    #[error("there is no offer {0}")]
    Offer(OfferName),
}

impl Ledger {
    /// The ledger of a plan. Its dimensions are those of the plan's timeline.
    ///
    /// # Errors
    /// The plan names a server or an offer that the facts do not know.
    pub fn of(plan: &Plan, facts: &Facts) -> Result<Self, Unknown> {
        let dimensions: Vec<Dimension> =
            plan.timeline.first().map(|e| e.load.keys().cloned().collect()).unwrap_or_default();
        Self::with(plan, facts, &dimensions)
    }

    pub(crate) fn with(
        plan: &Plan,
        facts: &Facts,
        dimensions: &[Dimension],
    ) -> Result<Self, Unknown> {
        let fleet = Fleet::new(facts, dimensions);
        let idle = Self::idle(facts, &fleet);
        Ok(Self { outages: outages(plan, &fleet)?, supplies: supplies(plan, &fleet)?, ..idle })
    }

    /// The ledger of a fleet of which nothing is out and to which nothing is added.
    pub(crate) fn idle(facts: &Facts, fleet: &Fleet<'_>) -> Self {
        let healthy = facts.servers.iter().filter(|s| s.healthy).count();
        let spare = |d: &&Dimension| facts.spare.get(*d).copied().unwrap_or(0.0);
        Self {
            dimensions: fleet.dimensions.iter().map(|d| (*d).clone()).collect(),
            full: fleet.full.clone(),
            healthy: u32::try_from(healthy).unwrap_or(u32::MAX),
            spare: fleet.dimensions.iter().map(spare).collect(),
            slower: slower(fleet),
            outages: Vec::new(),
            supplies: Vec::new(),
            warmup_from: facts.durations.warmup_from,
        }
    }

    /// The ledger that a plan states in its basis.
    pub fn stated(basis: &Basis) -> Self {
        let dimensions: Vec<Dimension> = basis.full.keys().cloned().collect();
        let list = |of: &PerDimension<f64>| -> Vec<f64> {
            dimensions.iter().map(|d| of.get(d).copied().unwrap_or(0.0)).collect()
        };
        let outage = |line: &OutageLine| Outage {
            batch: line.batch,
            servers: line.servers,
            capacity: list(&line.capacity),
            out_at: line.out_at,
            warm_at: line.warm_at,
            back_at: line.back_at,
            then: if line.then.is_empty() { Vec::new() } else { list(&line.then) },
        };
        let supply = |line: &SupplyLine| Supply {
            offer: line.offer.clone(),
            count: line.count,
            capacity: list(&line.capacity),
            ready_at: line.ready_at,
            release_at: line.release_at,
        };
        Self {
            full: list(&basis.full),
            healthy: basis.healthy,
            spare: list(&basis.spare),
            slower: basis.updated.as_ref().map_or_else(Vec::new, |updated| list(&updated.slower)),
            outages: basis.outages.iter().map(outage).collect(),
            supplies: basis.supplies.iter().map(supply).collect(),
            warmup_from: basis.warmup_from,
            dimensions,
        }
    }

    /// Every line that makes up the capacity in service at `at`; the capacity is their sum.
    pub fn lines_at(&self, at: Timestamp) -> Vec<Line> {
        let mut lines = Vec::new();
        self.each_at(at, |source, capacity, share| {
            let entry = match source {
                Source::Servers => Entry::Servers { healthy: self.healthy },
                Source::Spare => Entry::Spare,
                Source::Slower => Entry::Slower,
                Source::Out(o) => Entry::Out { batch: o.batch, servers: o.servers, share: -share },
                Source::Surge(s) => Entry::Surge { offer: s.offer.clone(), count: s.count },
            };
            let capacity = capacity.iter().map(|capacity| capacity * share).collect();
            lines.push(Line { entry, capacity });
        });
        lines
    }

    /// Capacity in service at `at`, per dimension of the ledger.
    pub fn capacity_at(&self, at: Timestamp) -> Vec<f64> {
        let mut sum = vec![0.0; self.dimensions.len()];
        self.each_at(at, |_, capacity, share| {
            for (sum, capacity) in sum.iter_mut().zip(capacity) {
                *sum += capacity * share;
            }
        });
        sum
    }

    /// What makes up the capacity in service at `at`, each with the share of it that counts;
    /// the share of what is out is negative.
    fn each_at(&self, at: Timestamp, mut line: impl FnMut(Source<'_>, &[f64], f64)) {
        line(Source::Servers, &self.full, 1.0);
        if self.spare.iter().any(|spare| *spare != 0.0) {
            line(Source::Spare, &self.spare, 1.0);
        }
        let mut slower = self.slower.clone();
        for outage in self.outages.iter().filter(|o| o.out_at <= at) {
            let seconds = |t: Timestamp| t.as_millisecond() as f64 / 1000.0;
            let (warm, back) = (seconds(outage.warm_at), seconds(outage.back_at));
            let share = share_out(seconds(at), warm, back, self.warmup_from);
            if at < outage.back_at {
                line(Source::Out(outage), &outage.capacity, -share);
            }
            for (slower, then) in slower.iter_mut().zip(&outage.then) {
                *slower += then * (1.0 - share);
            }
        }
        if slower.iter().any(|lacks| *lacks != 0.0) {
            line(Source::Slower, &slower, -1.0);
        }
        for supply in self.supplies.iter().filter(|s| s.ready_at <= at && at < s.release_at) {
            line(Source::Surge(supply), &supply.capacity, 1.0);
        }
    }

    /// The moment of `[from, to)` at which the capacity in the dimension of that index is least.
    pub fn least_at(&self, from: Timestamp, to: Timestamp, dimension: usize) -> Timestamp {
        let mut least = (from, self.capacity_at(from)[dimension]);
        for at in self.falls().filter(|at| from < *at && *at < to) {
            let here = self.capacity_at(at)[dimension];
            if here < least.1 {
                least = (at, here);
            }
        }
        least.0
    }

    /// The moments at which capacity falls.
    fn falls(&self) -> impl Iterator<Item = Timestamp> {
        let out = self.outages.iter().map(|o| o.out_at);
        out.chain(self.supplies.iter().map(|s| s.release_at))
    }

    /// The least capacity in `[from, to)`. Capacity only falls where a batch goes out or surge
    /// is released, and rises in between, so that it is least at `from` or at one of these.
    pub fn least(&self, from: Timestamp, to: Timestamp) -> PerDimension<f64> {
        let inside = self.falls().filter(|at| from < *at && *at < to);
        let mut least = self.capacity_at(from);
        for at in inside {
            for (low, here) in least.iter_mut().zip(self.capacity_at(at)) {
                *low = if here < *low { here } else { *low };
            }
        }
        self.dimensions.iter().cloned().zip(least).collect()
    }

    /// The fewest servers of the fleet that carry full load at any moment of `[from, to)`.
    pub fn in_service(&self, from: Timestamp, to: Timestamp) -> u32 {
        let touching = || self.outages.iter().filter(move |o| o.out_at < to && from < o.back_at);
        let out_at = |at: Timestamp| {
            touching().filter(|o| o.out_at <= at && at < o.back_at).map(|o| o.servers).sum::<u32>()
        };
        let moments = touching().map(|o| o.out_at.max(from));
        self.healthy.saturating_sub(moments.map(out_at).max().unwrap_or(0))
    }

    /// Surge instances that carry load in all of `[from, to)`.
    pub fn surge(&self, from: Timestamp, to: Timestamp) -> u32 {
        let whole = self.supplies.iter().filter(|s| s.ready_at <= from && to <= s.release_at);
        whole.map(|s| s.count).sum()
    }

    /// Every moment at which capacity changes, rising, each once. While a batch warms up,
    /// capacity rises between them as well.
    pub fn moments(&self) -> Vec<Timestamp> {
        let outages = self.outages.iter().flat_map(|o| [o.out_at, o.warm_at, o.back_at]);
        let supplies = self.supplies.iter().flat_map(|s| [s.ready_at, s.release_at]);
        let mut moments: Vec<Timestamp> = outages.chain(supplies).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// Whether a batch warms up at some moment of `[from, to)`.
    pub fn warms(&self, from: Timestamp, to: Timestamp) -> bool {
        self.outages.iter().any(|o| o.warm_at < to && from < o.back_at)
    }
}

fn outages(plan: &Plan, fleet: &Fleet<'_>) -> Result<Vec<Outage>, Unknown> {
    let facts = fleet.facts;
    let places: std::collections::BTreeMap<&ServerName, usize> =
        facts.servers.iter().enumerate().map(|(i, s)| (&s.name, i)).collect();
    let mut list = Vec::with_capacity(plan.batches.len());
    for batch in &plan.batches {
        let place = |server: &ServerName| {
            let unknown = || Unknown::Server { batch: batch.index, server: server.clone() };
            places.get(server).copied().ok_or_else(unknown)
        };
        let members: Vec<usize> = batch.servers.iter().map(place).collect::<Result<_, _>>()?;
        let healthy = members.iter().filter(|i| facts.servers[**i].healthy).count();
        let lengths = lengths_at(facts, batch.out_at, members.len().max(1));
        let warmup = std::time::Duration::from_secs((lengths.back - lengths.warm).unsigned_abs());
        let (capacity, then) = lost(fleet, &members);
        list.push(Outage {
            batch: batch.index,
            servers: u32::try_from(healthy).unwrap_or(u32::MAX),
            capacity,
            then,
            out_at: batch.out_at,
            warm_at: batch.back_at.checked_sub(warmup).unwrap_or(batch.out_at).max(batch.out_at),
            back_at: batch.back_at,
        });
    }
    Ok(list)
}

/// What servers that are updated already carry less than before, by the planned share.
fn slower(fleet: &Fleet<'_>) -> Vec<f64> {
    if fleet.facts.updated.is_empty() {
        return Vec::new();
    }
    let all: Vec<usize> = (0..fleet.facts.servers.len()).collect();
    lacking(fleet, &updated(fleet.facts, &all))
}

/// What servers lack that run the new version, by the planned share.
fn lacking(fleet: &Fleet<'_>, servers: &[usize]) -> Vec<f64> {
    let lacks = |(dimension, carry): (usize, &f64)| {
        carry * fleet.facts.balance * fleet.seen(dimension).map_or(0.0, |seen| 1.0 - seen.p50)
    };
    fleet.loss(servers).iter().enumerate().map(lacks).collect()
}

/// What goes out with these servers, and what they carry less afterwards.
fn lost(fleet: &Fleet<'_>, members: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let all: Vec<f64> = fleet.loss(members).iter().map(|c| c * fleet.facts.balance).collect();
    if fleet.facts.updated.is_empty() {
        return (all, Vec::new());
    }
    // Who goes back lacks it before, who goes forth afterwards.
    let before = lacking(fleet, &updated(fleet.facts, members));
    let each = lacking(fleet, members);
    let then = each.iter().zip(&before).map(|(each, before)| each - 2.0 * before).collect();
    (all.iter().zip(&before).map(|(all, before)| all - before).collect(), then)
}

fn supplies(plan: &Plan, fleet: &Fleet<'_>) -> Result<Vec<Supply>, Unknown> {
    let supply = |name: &OfferName, count: u32, ready_at, release_at| {
        let offer = fleet.facts.offer(name).ok_or_else(|| Unknown::Offer(name.clone()))?;
        let capacity = fleet.unit(offer).iter().map(|c| c * f64::from(count)).collect();
        Ok(Supply { offer: name.clone(), count, capacity, ready_at, release_at })
    };
    let first = plan.batches.first().map_or(plan.start_at, |b| b.out_at);
    let held = fleet.facts.held.iter().filter(|h| counts(h, first, plan.finish_at)).map(|h| {
        let end = h.ends_at.map_or(plan.stabilised_at, |end| end.min(plan.stabilised_at));
        supply(&h.offer, h.count, h.ready_at, end)
    });
    let bought = plan.surge.iter().map(|p| supply(&p.offer, p.count, p.ready_at, p.release_at));
    held.chain(bought).collect()
}
