//! Servers whose update fails, as events in the sampled paths.
//!
//! What failed stays out until the watch after the last batch is over, while the rest of its batch
//! comes back. No further batch opens, so that the failures of one batch are all there are. Once
//! somebody has looked, the rollout goes on: the path counts by its course without the failure
//! as well, which [`crate::deficit`] goes through.

use crate::deficit::{Drawn, times};
use crate::demand::Demand;
use crate::draw::Chances;
use crate::layout::Layout;
use crate::problem::Fleet;
use crate::purchase::stabilisation_seconds;
use crate::updated::updated;

/// Failures are drawn apart from the durations of the same path.
const FAILURE_SEED: u64 = 0x7570_6461_7465_5f66;

/// The first batch of a path in which servers fail.
#[derive(Debug, PartialEq)]
struct Failed {
    batch: usize,
    /// Where they stand in the order of the layout.
    places: Vec<usize>,
}

/// What fails first on a path. Failures belong to places in the order of the updates, so that
/// layouts of any batch sizes have them in common.
fn first(layout: &Layout, path: usize, seed: u64, probability: f64) -> Option<Failed> {
    let mut failures =
        Chances::new(seed ^ FAILURE_SEED, [path as u64, 0], probability).map(|nth| nth as usize);
    let first = failures.next().filter(|place| *place < layout.order.len())?;
    let batch = layout.slots.partition_point(|slot| slot.first + slot.size <= first);
    let slot = layout.slots.get(batch)?;
    let others = failures.take_while(|place| *place < slot.first + slot.size);
    Some(Failed { batch, places: std::iter::once(first).chain(others).collect() })
}

/// On how many of so many paths a server fails.
pub(crate) fn count(fleet: &Fleet<'_>, layout: &Layout, paths: usize, seed: u64) -> usize {
    let probability = fleet.facts.update_failure;
    let fails = |path: &usize| first(layout, *path, seed, probability).is_some();
    (0..paths).filter(fails).count()
}

/// Shows what each path on which servers fail lacks in each step from the removal of their batch
/// until the watch is over, before anything that is bought: `visit(step, row, path, deficit)`.
#[allow(clippy::too_many_arguments, reason = "the same as the courses without failures")]
pub(crate) fn failing(
    fleet: &Fleet<'_>,
    demand: &[Demand<'_>],
    layout: &Layout,
    start: usize,
    besides: &[f64],
    seed: u64,
    mut visit: impl FnMut(usize, usize, usize, f64),
) {
    let (facts, step) = (fleet.facts, fleet.facts.step.seconds());
    let paths = demand.first().map_or(0, Demand::paths);
    let watched = (layout.finish + stabilisation_seconds(facts)) as f64;
    if facts.update_failure == 0.0 {
        return;
    }
    for path in 0..paths {
        let Some(failed) = first(layout, path, seed, facts.update_failure) else { continue };
        let drawn = course(fleet, layout, path, seed, failed.batch);
        let members: Vec<usize> = failed.places.iter().map(|place| layout.order[*place]).collect();
        let gone = fleet.row_loss(&members);
        let newer = layout.slots[failed.batch].newer.as_ref();
        let gone_back = newer.map(|_| fleet.row_loss(&updated(facts, &members)));
        let until = if drawn.back > watched { drawn.back } else { watched };
        let offsets =
            (drawn.out / step as f64).floor() as usize..(until / step as f64).ceil() as usize;
        let slot = &layout.slots[failed.batch];
        for (index, row) in fleet.rows.iter().enumerate() {
            let demand = &demand[row.dimension];
            let full = fleet.full_of(index);
            let left = full + besides[index] - gone[index] * facts.balance;
            let rest = (slot.loss[index] - gone[index]) * facts.balance;
            let lesser =
                fleet.seen(row.dimension).map_or(0.0, |seen| seen.lacks_on(path)) * facts.balance;
            for offset in offsets.clone() {
                let load = demand.load(path, (start + offset).clamp(0, demand.steps() - 1));
                let load = if load > full { full } else { load };
                let share = drawn.share(offset, step, facts.durations.warmup_from);
                let out = if share > 0.0 { rest * share } else { 0.0 };
                let newer = newer.zip(gone_back.as_ref()).map_or(0.0, |(newer, back)| {
                    let own = newer.becomes[index] - (gone[index] - back[index]);
                    (newer.others[index] + own * (1.0 - share.max(0.0))) * lesser
                });
                visit(start + offset, index, path, load - left + out + newer);
            }
        }
    }
}

/// The times of a batch on one path, after all before it.
fn course(fleet: &Fleet<'_>, layout: &Layout, path: usize, seed: u64, batch: usize) -> Drawn {
    let mut last = Drawn::NOTHING;
    for (index, slot) in layout.slots[..=batch].iter().enumerate() {
        let pause = if index == 1 { layout.watch as f64 } else { 0.0 };
        let planned = (slot.offset as i64 * fleet.facts.step.seconds()) as f64;
        let free = last.back + pause;
        last = times(slot, [path, index], seed, if free > planned { free } else { planned });
    }
    last
}
