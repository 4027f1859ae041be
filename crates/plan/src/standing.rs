//! What a schedule that stands risks by load that is known now.

use domain::plan::Refused;

use crate::assess::{Assessment, Chosen, assess};
use crate::compose::FRESH_SEED;
use crate::demand::{Demand, Grid, Shape, after};
use crate::held;
use crate::layout::Slot;
use crate::problem::Fleet;
use crate::purchase::Quote;
use crate::request::Request;
use crate::search::horizon;

/// See [`standing`]. All numbers are probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The share of paths with attributable overload at any moment.
    pub planned: f64,
    /// Its one-sided 95 % upper bound.
    pub upper95: f64,
    /// What each batch has of the bound, in order; together they have all of it.
    pub batches: Vec<f64>,
}

/// The risk of the batches of the request's schedule, one after the other from its `startAt` on
/// (from now on where it gives none), with the surge that is held and no other. What is held but
/// not ready by then is there for the first batch that goes out when it is (the last one at the
/// latest, which waits for it). Held instances that can be lost are lost on the paths, as bought ones
/// are in [`plan`](crate::plan()).
///
/// # Errors
/// A request that [`Request::check`] does not pass, or batches that may not go out, are refused
/// with the field as the binding.
pub fn standing(request: &Request) -> Result<Standing, Refused> {
    request.check()?;
    let start = request.schedule.start_at.unwrap_or(request.facts.step.ceil(request.now));
    let facts = &request.facts;
    let fleet = Fleet::new(facts, request.choosing.keys()).surviving(request.survive);
    let layouts = crate::layouts(request, &fleet)?;
    let mut placed = layouts.iter().filter(|layout| layout.starts.admit(start));
    let layout = placed.next().expect("layouts are refused where there is none");
    let coming = held::coming(facts, start);
    let step = facts.step.seconds();
    let layout = &match held::last_ready(&coming) {
        None => layout.clone(),
        Some(ready_at) => {
            let out = |slot: &Slot| after(start, slot.offset as i64 * step);
            let bare = layout.slots.iter().position(|slot| out(slot) >= ready_at);
            layout.bare(bare.unwrap_or(layout.slots.len().saturating_sub(1)), step)
        }
    };
    let finish = after(start, layout.finish);
    let last = after(finish, facts.followed_seconds()).min(horizon(request));
    let grid = Grid::covering(facts.step, start, last);
    let fresh: Vec<Demand> = fleet
        .dimensions
        .iter()
        .map(|dimension| Demand::new(&request.fresh[*dimension], &grid, Shape::PLAIN))
        .collect();
    let coming = Quote { orders: coming.into_iter().map(|(order, _)| order).collect(), cost: 0.0 };
    let (whole, besides) = held::on_paths(&fleet, &coming, (start, finish));
    let chosen = Chosen { fleet: &fleet, layout, start: 0, quote: &whole, besides: &besides };
    let assessed = assess(&chosen, &fresh, request.seed ^ FRESH_SEED, &vec![0; grid.steps]);
    Ok(Standing {
        planned: assessed.share(assessed.hits),
        upper95: assessed.upper95(),
        batches: assessed.spent(Assessment::ALL),
    })
}
