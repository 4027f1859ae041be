//! How the pending servers are cut into batches, and where each batch lies in time.

use std::rc::Rc;

use domain::name::Zone;

use crate::hours::{Starts, Timetable, Timing};
use crate::problem::Fleet;
use crate::purchase::stabilisation_seconds;
use crate::request::{Canary, Durations, Facts};
use crate::settings::{CANARY_ONE_IN, EVERY_NUMBER_OF_BATCHES, RETREAT_LENGTHS};
use crate::updated::{Newer, Versions};

/// The lengths of one batch in whole seconds, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// From the start of the drain to the start of the warm-up.
    pub(crate) warm: i64,
    /// From the start of the drain to full load.
    pub(crate) back: i64,
}

/// The planned lengths of a batch of `servers` that take so long each: each part stands at the quantile `planAt` of the
/// slowest of them (the level `planAt^(1/n)` of one).
pub(crate) fn lengths(facts: &Facts, durations: Durations, servers: usize) -> Lengths {
    let level = facts.plan_at.get().powf(1.0 / servers as f64);
    let Durations { drain, work, warmup, .. } = durations;
    let out = drain.quantile_seconds(level) + work.quantile_seconds(level);
    let whole = |seconds: f64| (seconds - 1e-6).ceil() as i64;
    Lengths { warm: whole(out), back: whole(out + warmup.quantile_seconds(level)) }
}

/// One batch of a layout.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Where its servers stand in the order of the layout.
    pub(crate) first: usize,
    /// How many servers it has.
    pub(crate) size: usize,
    /// When it goes out, in steps after the start.
    pub(crate) offset: usize,
    /// Steps in which any of it is not fully back.
    pub(crate) covers: usize,
    /// How long its parts take by the plan.
    pub(crate) lengths: Lengths,
    /// How long they take each of its servers.
    pub(crate) durations: Durations,
    /// Capacity that it takes out, per row, before `balance`.
    pub(crate) loss: Vec<f64>,
    /// Who runs the new version meanwhile, where that makes a difference.
    pub(crate) newer: Option<Newer>,
}

/// Steps in a row over which the same capacity may be out: a batch until it is back, and as long
/// again, should it be rolled back when it was nearly done. Nobody else goes out meanwhile, so that
/// phases overlap and each is looked at for itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Phase {
    /// First step after the start.
    pub(crate) from: usize,
    /// The step after the last.
    pub(crate) to: usize,
    /// Capacity that is out or lacks, per row, before `balance`.
    pub(crate) loss: Vec<f64>,
    /// Whether what is bought is not there yet: nothing may lack.
    pub(crate) bare: bool,
}

/// Batches placed in time, relative to a start that is still open, and the batch from which on
/// what is bought is there.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// When it may start.
    pub(crate) starts: Starts,
    /// Indices of servers; the batches are runs of it.
    pub(crate) order: Rc<Vec<usize>>,
    pub(crate) slots: Vec<Slot>,
    /// What the capacity has to suffice for.
    pub(crate) phases: Vec<Phase>,
    /// Seconds from the start until the last batch is back.
    pub(crate) finish: i64,
    /// The size of the largest batch.
    pub(crate) largest: usize,
    /// Seconds of the watch between the first batch and the second.
    pub(crate) watch: i64,
    /// The number of batches, from the first on, that go out before what is bought is there.
    pub(crate) bare: usize,
    /// Seconds from the start until what is bought is there.
    pub(crate) surge_at: i64,
}

impl Layout {
    /// Batches of these sizes, taken from `order` one after the other, at these times. The second one waits
    /// `watch` seconds after the first.
    pub(crate) fn place(
        fleet: &Fleet,
        order: &Rc<Vec<usize>>,
        sizes: &[usize],
        times: Timetable,
        watch: i64,
    ) -> Self {
        let step = fleet.facts.step.seconds();
        let ceil = |seconds: i64| usize::try_from((seconds + step - 1) / step).unwrap_or(0);
        let mut slots: Vec<Slot> = Vec::with_capacity(sizes.len());
        let mut first = 0;
        let mut versions = Versions::new(fleet);
        for (&size, Timing { offset, durations, lengths }) in sizes.iter().zip(times.timings) {
            let covers = ceil(lengths.back);
            let members = &order[first..first + size];
            let loss = fleet.row_loss(members);
            let newer = versions.as_mut().map(|versions| versions.pass(members, &loss));
            slots.push(Slot { first, size, offset, covers, lengths, durations, loss, newer });
            first += size;
        }
        let finish = slots.last().map_or(0, |s| s.offset as i64 * step + s.lengths.back);
        let watched = ceil(finish + stabilisation_seconds(fleet.facts));
        let ends: Vec<usize> =
            slots.iter().skip(1).map(|slot| slot.offset).chain([watched]).collect();
        for (slot, until) in slots.iter_mut().zip(ends) {
            if let Some(newer) = &mut slot.newer {
                newer.until = until;
            }
        }
        let phases = phases(&slots, 0);
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let (order, starts) = (Rc::clone(order), times.starts);
        Self { starts, order, slots, phases, finish, largest, watch, bare: 0, surge_at: 0 }
    }

    /// The same batches, of which the first `bare` go out before what is bought is there.
    pub(crate) fn bare(&self, bare: usize, step: i64) -> Self {
        let phases = phases(&self.slots, bare);
        let surge_at = self.slots.get(bare).map_or(0, |slot| slot.offset as i64 * step);
        Self { phases, bare, surge_at, ..self.clone() }
    }

    /// How long what is bought serves until the last batch is back.
    pub(crate) fn surge_seconds(&self) -> i64 {
        self.finish - self.surge_at
    }

    /// The step after the start from which on what is bought is there.
    pub(crate) fn surge_step(&self, step: i64) -> usize {
        usize::try_from(self.surge_at / step).unwrap_or(0)
    }

    /// How many servers its batches have.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().map(|slot| slot.size)
    }

    /// The servers of a batch.
    pub(crate) fn members(&self, slot: &Slot) -> &[usize] {
        &self.order[slot.first..slot.first + slot.size]
    }
}

/// Each batch with its retreat, and what a slower version lacks until the next; cut where surge comes, after `bare` batches; those that touch and
/// take out the same are joined.
fn phases(slots: &[Slot], bare: usize) -> Vec<Phase> {
    let surge_at =
        if bare > 0 { slots.get(bare).map_or(usize::MAX, |slot| slot.offset) } else { 0 };
    let mut phases: Vec<Phase> = Vec::new();
    let mut push = |from: usize, to: usize, loss: &Vec<f64>, bare: bool| match phases.last_mut() {
        _ if from >= to => {}
        // A batch that takes longer may be on its retreat when the next one would be back already.
        Some(last) if last.to >= from && (&last.loss, last.bare) == (loss, bare) => {
            last.to = last.to.max(to);
        }
        _ => phases.push(Phase { from, to, loss: loss.clone(), bare }),
    };
    for slot in slots.iter().filter(|s| s.covers > 0) {
        let (from, to) = (slot.offset, slot.offset + slot.covers * RETREAT_LENGTHS);
        let out = slot.newer.as_ref().map_or(&slot.loss, |newer| &newer.out);
        push(from, to.min(surge_at), out, true);
        push(from.max(surge_at), to, out, false);
        if let Some(newer) = &slot.newer {
            let (from, to) = (slot.offset + slot.covers, newer.until);
            push(from, to.min(surge_at), &newer.back, true);
            push(from.max(surge_at), to, &newer.back, false);
        }
    }
    phases
}

/// The pending servers in an order of which every run is spread over the zones as the whole is.
pub(crate) fn spread_order(facts: &Facts) -> Vec<usize> {
    let pending: Vec<usize> =
        (0..facts.servers.len()).filter(|i| facts.servers[*i].pending).collect();
    let zone = |index: &usize| facts.servers[*index].zone.as_ref();
    let mut sizes: std::collections::BTreeMap<Option<&Zone>, usize> = Default::default();
    for index in &pending {
        *sizes.entry(zone(index)).or_default() += 1;
    }
    let mut seen: std::collections::BTreeMap<Option<&Zone>, usize> = Default::default();
    let mut placed: Vec<(f64, usize)> = pending
        .iter()
        .map(|index| {
            let nth = seen.entry(zone(index)).or_default();
            *nth += 1;
            ((*nth as f64 - 0.5) / sizes[&zone(index)] as f64, *index)
        })
        .collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    placed.into_iter().map(|(_, index)| index).collect()
}

/// Every list of batch sizes that is looked at: a canary, then batches that differ by at most one
/// server; every number of them up to [`EVERY_NUMBER_OF_BATCHES`], beyond that each number that
/// is the least for some size. Rising in the number of batches.
pub(crate) fn sizes(pending: usize, largest: usize, canary: Canary) -> Vec<Vec<usize>> {
    let canary = match canary {
        Canary::Passed => 0,
        Canary::Auto => (pending / CANARY_ONE_IN).clamp(1, largest),
        Canary::Size(size) => (size as usize).clamp(1, largest),
    };
    let canary = canary.clamp(0, pending);
    let rest = pending - canary;
    let head = |tail: Vec<usize>| {
        let canary = if canary > 0 { vec![canary] } else { vec![] };
        canary.into_iter().chain(tail).collect()
    };
    if rest == 0 {
        return vec![head(vec![])];
    }
    let largest = largest.clamp(1, rest);
    let fewest = rest.div_ceil(largest);
    let each = fewest..=rest.clamp(1, EVERY_NUMBER_OF_BATCHES.max(fewest));
    let by_size = (1..=largest).rev().map(|size| rest.div_ceil(size));
    let mut numbers: Vec<usize> = each.chain(by_size).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let lists = numbers.into_iter().map(|batches| {
        let (small, extra) = (rest / batches, rest % batches);
        head((0..batches).map(|i| small + usize::from(i < extra)).collect())
    });
    lists.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_balanced_and_complete() {
        for pending in 1..60 {
            for largest in 1..=pending {
                for canary in [Canary::Auto, Canary::Passed, Canary::Size(3)] {
                    let lists = sizes(pending, largest, canary);
                    assert!(!lists.is_empty());
                    for list in &lists {
                        assert_eq!(list.iter().sum::<usize>(), pending);
                        assert!(list.iter().all(|s| (1..=largest).contains(s)), "{list:?}");
                        let bulk = if canary == Canary::Passed { &list[..] } else { &list[1..] };
                        let (low, high) = (bulk.iter().min(), bulk.iter().max());
                        assert!(high.unwrap_or(&0) - low.unwrap_or(&0) <= 1);
                    }
                    assert!(lists.windows(2).all(|w| w[0].len() < w[1].len()));
                }
            }
        }
        assert_eq!(sizes(20, 10, Canary::Auto)[0], [1, 10, 9]);
        assert_eq!(sizes(1, 1, Canary::Auto), [[1]]);
    }
}
