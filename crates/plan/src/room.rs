//! How near to attributable overload each path comes.

use crate::assess::Chosen;
use crate::deficit::{followed, sampled};
use crate::demand::Demand;
use crate::failures::failing;
use crate::losses::Surviving;

/// The largest deficit of each path in shares of the fleet's capacity, in steps in which any load
/// could meet attributable overload; below zero where room is left, minus infinity where what is
/// out is covered whatever the load. Load above the whole fleet counts in full, so that the highest
/// loads stay apart.
pub(crate) fn deficits(chosen: &Chosen<'_>, fresh: &[Demand<'_>], seed: u64) -> Vec<f64> {
    let Chosen { fleet, layout, start, quote, besides } = *chosen;
    let paths = fresh.first().map_or(0, Demand::paths);
    let length = fleet.facts.step.seconds();
    let surviving = Surviving::draw(fleet, quote, layout, paths, seed);
    let mut most = vec![f64::NEG_INFINITY; paths];
    let mut look = |step: usize, row: usize, path: usize, load: f64, lacks: f64| {
        let full = fleet.full_of(row);
        let counted = if load > full { full } else { load };
        let until = ((step + 1 - start) as i64 * length) as f64;
        let lacks = lacks - surviving.left(path, row, until);
        if lacks - counted + full > fleet.rounding(row) {
            let share = (lacks - counted + load) / full;
            most[path] = if share > most[path] { share } else { most[path] };
        }
    };
    sampled(fleet, fresh, layout, start, besides, seed, |step, row, deficits| {
        let demand = &fresh[fleet.rows[row].dimension];
        let at = followed(fleet, step, start, layout).clamp(0, demand.steps() - 1);
        let out = deficits.iter().zip(demand.row(at)).enumerate();
        for (path, (lacks, load)) in out.filter(|(_, (lacks, _))| lacks.is_finite()) {
            look(step, row, path, *load, *lacks);
        }
    });
    failing(fleet, fresh, layout, start, besides, seed, |step, row, path, lacks| {
        let demand = &fresh[fleet.rows[row].dimension];
        look(step, row, path, demand.load(path, step.clamp(0, demand.steps() - 1)), lacks);
    });
    most
}
