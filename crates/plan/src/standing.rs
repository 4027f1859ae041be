//! What a schedule that stands risks by load that is known now.

use domain::plan::Refused;

use crate::assess::{Assessment, Chosen, assess};
use crate::compose::FRESH_SEED;
use crate::demand::{Demand, Grid, Shape, after};
use crate::problem::Fleet;
use crate::purchase::{Order, Quote};
use crate::request::{Facts, Request};
use crate::search::horizon;
use crate::settings::FOLLOWED_LATE_SECONDS;

/// See [`standing`]. All numbers are probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The one-sided 95 % upper bound of attributable overload at any moment.
    pub upper95: f64,
    /// What each batch has of it, in order; together they have all of it.
    pub batches: Vec<f64>,
}

/// The risk of the batches of the request's schedule, one after the other from its `startAt` on
/// (from now on where it gives none), with the surge that is held and no other. Held instances
/// that can be lost are lost on the paths, as bought ones are in [`plan`](crate::plan()).
///
/// # Errors
/// A request that [`Request::check`] does not pass, or batches that may not go out, are refused
/// with the field as the binding.
pub fn standing(request: &Request) -> Result<Standing, Refused> {
    request.check()?;
    let start = request.schedule.start_at.unwrap_or(request.facts.step.ceil(request.now));
    let quote = Quote { orders: held(&request.facts, start), cost: 0.0 };
    let mut facts = Facts { held: Vec::new(), ..request.facts.clone() };
    // What is held has come up.
    facts.offers.iter_mut().for_each(|offer| offer.boot_failure = 0.0);
    let fleet = Fleet::new(&facts, request.choosing.keys()).surviving(request.survive);
    let layouts = crate::layouts(request, &fleet)?;
    let layout = layouts.first().expect("layouts are refused where there is none");
    let finish = after(start, layout.finish);
    let last = after(finish, FOLLOWED_LATE_SECONDS).min(horizon(request));
    let grid = Grid::covering(facts.step, start, last);
    let fresh: Vec<Demand> = fleet
        .dimensions
        .iter()
        .map(|dimension| Demand::new(&request.fresh[*dimension], &grid, Shape::PLAIN))
        .collect();
    let besides = fleet.besides(start, finish);
    let chosen = Chosen { fleet: &fleet, layout, start: 0, quote: &quote, besides: &besides };
    let assessed = assess(&chosen, &fresh, request.seed ^ FRESH_SEED, &vec![0; grid.steps]);
    Ok(Standing { upper95: assessed.upper95(), batches: assessed.spent(Assessment::ALL) })
}

/// The surge that carries load from `start` on, as if it had just been bought.
fn held(facts: &Facts, start: jiff::Timestamp) -> Vec<Order> {
    let warm = facts.held.iter().filter(|held| held.ready_at <= start && held.count > 0);
    let order = |held: &crate::request::Held| {
        let offer = facts.offers.iter().position(|offer| offer.name == held.offer)?;
        Some(Order { offer, count: held.count })
    };
    warm.filter_map(order).collect()
}
