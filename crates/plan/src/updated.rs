//! Servers that carry less once they are updated: what they lack beside what is out.

use crate::problem::{Fleet, Row};
use crate::request::{Facts, Updated};

/// Who runs the new version around a batch, in capacities per row, before `balance`.
#[derive(Debug, Clone)]
pub(crate) struct Newer {
    /// Servers that run it while the batch is out.
    pub(crate) others: Vec<f64>,
    /// Servers of the batch that run it afterwards.
    pub(crate) becomes: Vec<f64>,
    /// What is out and what the others lack, by the planned share.
    pub(crate) out: Vec<f64>,
    /// What all of them lack once the batch is back, by the planned share.
    pub(crate) back: Vec<f64>,
    /// The step after the start until which that is looked at: the next batch goes out, or the watch is over.
    pub(crate) until: usize,
}

impl Updated {
    /// The share of its capacity that a server lacks on a path.
    pub(crate) fn lacks_on(&self, path: usize) -> f64 {
        1.0 - self.draws[path % self.draws.len()]
    }
}

/// Which servers run the new version, batch after batch.
pub(crate) struct Versions<'a> {
    fleet: &'a Fleet<'a>,
    /// What those carry that run it now.
    running: Vec<f64>,
}

impl<'a> Versions<'a> {
    /// Before the first batch; `None` where it makes no difference.
    pub(crate) fn new(fleet: &'a Fleet<'a>) -> Option<Self> {
        let all: Vec<usize> = (0..fleet.facts.servers.len()).collect();
        let running = fleet.row_loss(&updated(fleet.facts, &all));
        (!fleet.facts.updated.is_empty()).then_some(Self { fleet, running })
    }

    /// Around the next batch, of which `loss` is out.
    pub(crate) fn pass(&mut self, members: &[usize], loss: &[f64]) -> Newer {
        let own = self.fleet.row_loss(&updated(self.fleet.facts, members));
        let others: Vec<f64> = self.running.iter().zip(&own).map(|(all, own)| all - own).collect();
        let becomes: Vec<f64> = loss.iter().zip(&own).map(|(loss, own)| loss - own).collect();
        self.running = others.iter().zip(&becomes).map(|(others, more)| others + more).collect();
        let lacks = |capacity: &[f64]| -> Vec<f64> {
            let rows = capacity.iter().zip(&self.fleet.rows);
            rows.map(|(capacity, row)| capacity * self.fleet.lacks(row)).collect()
        };
        let out = lacks(&others).iter().zip(loss).map(|(lacks, loss)| lacks + loss).collect();
        Newer { back: lacks(&self.running), out, others, becomes, until: 0 }
    }
}

/// Those of some servers that run the new version.
pub(crate) fn updated(facts: &Facts, servers: &[usize]) -> Vec<usize> {
    servers.iter().copied().filter(|index| facts.servers[*index].updated).collect()
}

impl Fleet<'_> {
    /// What a server lacks under the new version by what was seen of it, in shares of its capacity.
    pub(crate) fn seen(&self, dimension: usize) -> Option<&Updated> {
        self.facts.updated.get(self.dimensions[dimension])
    }

    /// What all healthy servers carry at least once everybody is where it goes, per dimension, after `balance`.
    pub(crate) fn afterwards(&self) -> Vec<f64> {
        let servers = self.facts.servers.iter().enumerate();
        let newer = servers.filter(|(_, server)| server.updated != server.pending);
        let newer = self.loss(&newer.map(|(index, _)| index).collect::<Vec<_>>());
        let all = self.full.iter().zip(newer).enumerate();
        let carry = |(dimension, (full, newer)): (usize, (&f64, f64))| {
            let lacks = self.seen(dimension).map_or(0.0, |seen| 1.0 - seen.p05);
            full - newer * self.facts.balance * lacks
        };
        all.map(carry).collect()
    }

    /// What it lacks in the dimension of a row, by the planned share.
    pub(crate) fn lacks(&self, row: &Row) -> f64 {
        self.seen(row.dimension).map_or(0.0, |updated| 1.0 - updated.p50)
    }

    /// The same on each of so many paths; nothing where it makes no difference.
    pub(crate) fn lacks_on_paths(&self, row: &Row, paths: usize) -> Vec<f64> {
        let seen = self.seen(row.dimension);
        seen.map_or(Vec::new(), |updated| (0..paths).map(|path| updated.lacks_on(path)).collect())
    }
}
