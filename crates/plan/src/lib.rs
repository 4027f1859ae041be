//! Plans of rollouts: which servers go out when, what surge is bought for it, what it costs, and
//! how likely the fleet lacks capacity at any moment.
//!
//! [`plan`] searches every start in the allowed windows and every number of batches for the
//! least cost, then the earliest finish, such that at most the allowed share of sampled load
//! paths meets attributable overload: a step in which min(load, capacity of the whole healthy
//! fleet) exceeds the capacity in service. The risk that the plan states is then measured on
//! other paths. [`check`] finds what is wrong with any plan, wherever it came from, and
//! [`Ledger`] is the one account of capacity over time that everything else reads.
//!
//! Nothing here does I/O, reads a clock or draws a random number that a seed does not fix.

mod assess;
mod basis;
mod check;
mod checked;
mod compose;
mod deficit;
mod demand;
mod draw;
mod explain;
mod failures;
mod held;
mod hours;
mod layout;
mod ledger;
mod losses;
mod mix;
mod odds;
mod peaks;
mod problem;
mod purchase;
mod record;
mod refuse;
mod rejected;
mod replace;
mod request;
mod room;
mod search;
mod settings;
mod shares;
mod standing;
mod tail;
mod timeline;
mod updated;
mod zones;

use std::collections::BTreeMap;
use std::rc::Rc;

use domain::plan::{Plan, Refused};

pub use check::{Finding, Rule, check, check_all};
pub use checked::BadRequest;
pub use draw::uniform;
pub use explain::{
    CostExplained, Difference, DimensionExplained, Explanation, FleetExplained, JointExplained,
    LineExplained, LoadExplained, Moment, OfferExplained, OrderExplained, RiskExplained, Spending,
    Taken, UpdateFailuresExplained, explain,
};
pub use ledger::{Entry, Ledger, Line, Outage, Supply, Unknown, share_out};
pub use odds::upper_bound;
pub use purchase::bill;
pub use record::{Absence, Presence};
pub use request::{
    Billing, Canary, Durations, Facts, Held, InHour, Interruption, Margin, Market, Offer, Quota,
    Request, Schedule, Server, Survive, Updated, paths_for,
};
pub use shares::{paths_for_each, plan_together};
pub use standing::{Standing, standing};

use hours::timetables;
use layout::{Layout, sizes, spread_order};
use problem::Fleet;
use search::Problem;
use settings::{
    CHOOSING_CONFIDENCE, LATER_SURGE_AT_MOST, LATER_SURGE_BATCHES, LOAD_TIMES_FLEET_AT_MOST,
    SURVIVED_ZONES_AT_MOST,
};
use zones::{dealt_order, spread};

/// The cheapest plan, and among equally cheap ones the one that finishes first; sealed with its
/// digest.
///
/// The purchase covers the deficit of all but so many paths that the one-sided 99.5 % bound on
/// the share of the rest lies at or under the risk, by the planned times and by times drawn from
/// the durations. It is one offer, or a mix of them, whichever costs less. While it chooses, a
/// server counts as out until it is back, and surge that can be lost as lost before the first
/// batch; the stated risk counts the warm-up, and losses when they happen.
///
/// # Errors
/// [`Refused`] names the constraint that binds, the moment, the dimension and the numbers, and
/// what would fit if one constraint gave way. A request that [`Request::check`] does not pass is
/// refused with the bad field as its binding.
pub fn plan(request: &Request) -> Result<Plan, Refused> {
    request.check()?;
    refused_at_once(request)?;
    let fleet = Fleet::new(&request.facts, request.choosing.keys()).surviving(request.survive);
    in_one_unit(request, &fleet)?;
    let layouts = layouts(request, &fleet)?;
    let hits = allowed_hits(request, request.risk.get()).ok_or_else(|| too_few_paths(request))?;
    let problem = Problem::new(request, &fleet, &layouts, request.facts.deadline);
    let limits = problem.limits(hits);
    match problem.search(&limits) {
        Some(choice) => Ok(compose::compose(&problem, &choice, hits)),
        None => Err(refuse::refuse(&problem, &limits)),
    }
}

/// How many paths may lack capacity.
pub(crate) fn allowed_hits(request: &Request, risk: f64) -> Option<f64> {
    let paths = request.choosing.values().next()?.count();
    odds::most_hits(risk, paths, CHOOSING_CONFIDENCE)
}

fn refused(binding: &str, detail: String) -> Refused {
    Refused { binding: binding.into(), detail, would_fit: Vec::new() }
}

fn too_few_paths(request: &Request) -> Refused {
    let paths = request.choosing.values().next().map_or(0, |p| p.count());
    let least = odds::least_trials(request.risk.get(), CHOOSING_CONFIDENCE);
    let detail = format!(
        "{paths} sampled paths cannot show a risk of {}; at least {least} can, {} are advised",
        request.risk.get(),
        paths_for(request.risk)
    );
    refused("paths", detail)
}

fn losses_can_be_survived(request: &Request) -> Result<(), Refused> {
    let (survive, facts) = (request.survive, &request.facts);
    let zones = problem::zones(facts).len();
    if survive.zones > 0 {
        if let Some(server) = facts.servers.iter().find(|s| s.zone.is_none()) {
            let detail = format!(
                "it is not known in which zone {} stands; give every server its zone",
                server.name
            );
            return Err(refused("survive.zones", detail));
        }
        if survive.zones as usize >= zones || survive.zones > SURVIVED_ZONES_AT_MOST {
            let detail = format!(
                "{} of the {zones} zones of the fleet cannot be lost; write less than {zones}, \
                 and at most {SURVIVED_ZONES_AT_MOST}",
                survive.zones
            );
            return Err(refused("survive.zones", detail));
        }
    }
    if survive.servers as usize >= facts.servers.len() {
        let servers = facts.servers.len();
        let detail = format!("all of {servers} servers cannot be lost; write less than {servers}");
        return Err(refused("survive.servers", detail));
    }
    Ok(())
}

/// Load and capacity that lie so far apart are not in the same unit.
fn in_one_unit(request: &Request, fleet: &Fleet<'_>) -> Result<(), Refused> {
    for (dimension, full) in fleet.dimensions.iter().zip(&fleet.full) {
        let paths = &request.choosing[*dimension];
        // The middle of the horizon on each path is enough to tell the order of magnitude.
        let sum: f64 = paths.iter().map(|path| path[path.len() / 2]).sum();
        let mean = sum / paths.count() as f64;
        if mean > full * LOAD_TIMES_FLEET_AT_MOST {
            let detail = format!(
                "the forecast load is {mean:.1}, {:.0} times what the whole fleet carries \
                 ({full:.1}); give load.{dimension} and capacity.{dimension} in the same unit",
                mean / full
            );
            return Err(refused(&format!("load.{dimension}"), detail));
        }
    }
    Ok(())
}

/// What no search has to find out.
fn refused_at_once(request: &Request) -> Result<(), Refused> {
    losses_can_be_survived(request)?;
    let resolution = 1.0 / (f64::from(request.comparable_windows) + 1.0);
    let risk = request.risk.get();
    if request.strict_risk && risk < resolution {
        let detail = format!(
            "a risk of {risk} is below {resolution:.4}, the least that {} comparable windows of \
             history can show; give a longer history, a higher risk, or strictRisk: false",
            request.comparable_windows
        );
        return Err(refused("strictRisk", detail));
    }
    let facts = &request.facts;
    if facts.deadline <= request.now {
        let detail = format!("{} is not after the present moment {}", facts.deadline, request.now);
        return Err(refused("deadline", detail));
    }
    Ok(())
}

pub(crate) fn layouts(request: &Request, fleet: &Fleet<'_>) -> Result<Vec<Layout>, Refused> {
    let facts = &request.facts;
    let most = fleet.may_be_out();
    let watch = match request.canary {
        Canary::Passed => 0,
        _ => request.canary_watch.as_secs().cast_signed(),
    };
    if most == 0 {
        let unhealthy = facts.servers.iter().filter(|s| !s.healthy).count();
        let detail = format!(
            "at most {} servers may be unavailable, and {unhealthy} are unhealthy already; no \
             server can go out",
            facts.max_unavailable
        );
        return Err(refused("maxUnavailable", detail));
    }
    if let Some(batches) = &request.schedule.batches {
        let largest = batches.iter().map(Vec::len).max().unwrap_or(0);
        if largest > most {
            let detail = format!("a given batch has {largest} servers, at most {most} may go out");
            return Err(refused("maxUnavailable", detail));
        }
        let places: BTreeMap<_, _> =
            facts.servers.iter().enumerate().map(|(i, s)| (&s.name, i)).collect();
        let order = batches.iter().flatten().filter_map(|name| places.get(name).copied()).collect();
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        let given = placed(fleet, &Rc::new(order), &sizes, watch);
        return Ok(with_later_surge(spread(given.collect(), facts)?, facts));
    }
    let order = Rc::new(spread_order(facts));
    let sizes = sizes(order.len(), most, request.canary);
    let layouts = sizes.iter().flat_map(|sizes| {
        let order = match facts.zone_limits.is_empty() {
            true => Rc::clone(&order),
            false => Rc::new(dealt_order(facts, &order, sizes, request.canary)),
        };
        placed(fleet, &order, sizes, watch)
    });
    Ok(with_later_surge(spread(layouts.collect(), facts)?, facts))
}

/// The same batches, once for all starts for which they come out the same.
fn placed<'a>(
    fleet: &'a Fleet<'_>,
    order: &Rc<Vec<usize>>,
    sizes: &'a [usize],
    watch: i64,
) -> impl Iterator<Item = Layout> + use<'a> {
    let order = Rc::clone(order);
    let tables = timetables(fleet.facts, sizes, watch).into_iter();
    tables.map(move |times| Layout::place(fleet, &order, sizes, times, watch))
}

/// Each layout, followed by the same batches of which the first go out before there is surge.
fn with_later_surge(layouts: Vec<Layout>, facts: &Facts) -> Vec<Layout> {
    let can_buy = facts.max_surge > 0 && facts.offers.iter().any(|offer| offer.max > 0);
    let all = layouts.into_iter().flat_map(|layout| {
        let batches = layout.slots.len();
        let most = if can_buy && batches <= LATER_SURGE_BATCHES { LATER_SURGE_AT_MOST } else { 0 };
        let bare = 1..=most.min(batches.saturating_sub(1));
        let later: Vec<_> = bare.map(|bare| layout.bare(bare, facts.step.seconds())).collect();
        std::iter::once(layout).chain(later)
    });
    all.collect()
}
