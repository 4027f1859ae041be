//! Why not otherwise: the alternatives to a choice, each with its reason in numbers.

use domain::plan::{Binding, Rejected};

use crate::demand::after;
use crate::layout::Layout;
use crate::problem::Fleet;
use crate::purchase::{Quote, lead_seconds};
use crate::search::{Choice, Problem, soonest_surge};
use crate::settings::REJECTED_AT_MOST;

/// A shortage in words: the moment, the dimension and the numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shortage {
    pub(crate) text: String,
    /// The deficit in shares of the whole fleet's capacity.
    pub(crate) share: f64,
    /// The same in numbers.
    pub(crate) binding: Binding,
}

/// The binding moment of a start with nothing bought: on the path that must still be covered
/// when `hits` paths may lack capacity, the step and dimension with the largest deficit.
pub(crate) fn shortage(
    problem: &Problem<'_>,
    layout: &Layout,
    start: usize,
    hits: f64,
) -> Option<Shortage> {
    let fleet = problem.fleet;
    let rank = hits.floor() as usize;
    let deficits = problem.deficits(layout, start, rank + 1);
    let worst = |(row, of): (usize, &Vec<f64>)| {
        let mut places: Vec<usize> = (0..of.len()).collect();
        let rank = rank.clamp(0, places.len().checked_sub(1)?);
        let higher = |a: &usize, b: &usize| {
            of[*b].total_cmp(&of[*a]).then(deficits.paths[*a].cmp(&deficits.paths[*b]))
        };
        let (_, place, _) = places.select_nth_unstable_by(rank, higher);
        Some((of[*place] / fleet.full_of(row), row, deficits.paths[*place] as usize))
    };
    let (share, row, path) =
        deficits.of.iter().enumerate().filter_map(worst).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let dimension = fleet.rows[row].dimension;
    let demand = &problem.choosing[dimension];
    let besides = problem.besides(layout, (start, start))[row];
    let full = fleet.full[dimension];
    let moment = |phase: &crate::layout::Phase| {
        let left = full - phase.loss[row] * fleet.facts.balance + besides;
        let steps = start + phase.from..(start + phase.to).clamp(0, demand.steps());
        let at = steps
            .map(|s| (demand.load(path, s), s))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        at.map(|(load, step)| (load - left, load, left, step))
    };
    let moments = layout.phases.iter().filter_map(moment);
    let (lacks, load, left, step) = moments.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let sure = 1.0 - hits / demand.paths() as f64;
    let text = format!(
        "at {} {} reaches {load:.1} (with {:.1} % certainty, margin included) and {left:.1} are \
         in service without more surge{}, {lacks:.1} too few",
        problem.grid.at(step),
        fleet.dimensions[dimension],
        sure * 100.0,
        after_losses(fleet, row),
    );
    let binding = Binding {
        at: problem.grid.at(step),
        step_seconds: problem.grid.step.seconds(),
        dimension: fleet.dimensions[dimension].clone(),
        quantile: sure,
        load,
        in_service: left,
        short: lacks,
        lost_zones: fleet.rows[row].zones.iter().cloned().collect(),
        lost_servers: fleet.few,
    };
    Some(Shortage { text, share, binding })
}

/// What a row reckons with, in words.
fn after_losses(fleet: &Fleet<'_>, row: usize) -> String {
    let zones: Vec<&str> = fleet.rows[row].zones.iter().map(|zone| zone.as_str()).collect();
    let mut lost = Vec::new();
    if !zones.is_empty() {
        lost.push(format!("zone {}", zones.join(" and ")));
    }
    if fleet.few > 0 {
        lost.push(format!("{} servers", fleet.few));
    }
    if lost.is_empty() { String::new() } else { format!(" after losing {}", lost.join(" and ")) }
}

/// The most telling alternatives: the same batches at once, other batch sizes at the same start.
pub(crate) fn rejected(problem: &Problem<'_>, choice: &Choice, hits: f64) -> Vec<Rejected> {
    let mut looked: Vec<(usize, usize)> = Vec::new();
    let mut list = other_offers(problem, choice, hits);
    let fewest = 0;
    let at_once = [choice.layout, fewest].map(|layout| problem.soonest(layout));
    let mut candidates: Vec<(usize, usize)> = at_once.into_iter().flatten().collect();
    // The same batches with surge from the first on, and other batches, as they come out at this start.
    let first_out = problem.grid.at(choice.start);
    let here = |layout: &Layout| layout.bare == 0 && layout.starts.admit(first_out);
    let sizes: Vec<usize> =
        (0..problem.layouts.len()).filter(|i| here(&problem.layouts[*i])).collect();
    let step = sizes.len().div_ceil(REJECTED_AT_MOST - 3);
    let own = soonest_surge(problem.layouts, choice.layout);
    let place = sizes.iter().position(|index| *index == own).unwrap_or(0);
    let near = [Some(place), place.checked_sub(1), Some(place + 1)];
    let near = near.into_iter().flatten().filter_map(|place| sizes.get(place).copied());
    let others = near.chain(sizes.iter().copied().step_by(step.max(1)));
    candidates.extend(others.map(|layout| (layout, choice.start)));
    for (layout, start) in candidates {
        let same = (layout, start) == (choice.layout, choice.start);
        if same || looked.contains(&(layout, start)) || list.len() >= REJECTED_AT_MOST {
            continue;
        }
        looked.push((layout, start));
        let Some(reason) = reason(problem, choice, layout, start, hits) else { continue };
        let batch = u32::try_from(problem.layouts[layout].largest).unwrap_or(u32::MAX);
        list.push(Rejected { start_at: problem.grid.at(start), batch, reason });
    }
    list
}

/// The same batches at the same start with each offer alone, where there is a choice of offers.
fn other_offers(problem: &Problem<'_>, choice: &Choice, hits: f64) -> Vec<Rejected> {
    let facts = problem.fleet.facts;
    let orders = &choice.quote.orders;
    if facts.offers.len() < 2 || orders.is_empty() {
        return Vec::new();
    }
    let singles = problem.singles(choice.layout, choice.start, &problem.limits(hits));
    let layout = &problem.layouts[choice.layout];
    let in_time = problem.instant(choice.start) + layout.surge_at;
    let taken = |offer: usize| orders.len() == 1 && orders[0].offer == offer;
    let reason = |(offer, quote): (usize, Option<Quote>)| {
        let (offer, currency) = (&facts.offers[offer], &facts.currency);
        let reason = match quote {
            Some(quote) => format!(
                "{} × {} alone cost {:.2} {currency} instead of {:.2}",
                quote.count(),
                offer.name,
                quote.cost,
                choice.quote.cost
            ),
            None if lead_seconds(facts, offer, layout) > in_time => {
                format!("{} is not ready in time", offer.name)
            }
            None => format!(
                "{} alone does not cover it: at most {} are to be had, {} surge instances are \
                 allowed, and losses are counted",
                offer.name, offer.max, facts.max_surge
            ),
        };
        let batch = u32::try_from(problem.layouts[choice.layout].largest).unwrap_or(u32::MAX);
        Rejected { start_at: problem.grid.at(choice.start), batch, reason }
    };
    let others = singles.into_iter().filter(|(offer, _)| !taken(*offer)).map(reason);
    others.take(REJECTED_AT_MOST / 2).collect()
}

/// Why `layout` at `start` is not better; `None` if it is as good.
fn reason(
    problem: &Problem<'_>,
    choice: &Choice,
    index: usize,
    start: usize,
    hits: f64,
) -> Option<String> {
    let layout = &problem.layouts[index];
    let finish =
        |index: usize, start: usize| after(problem.grid.at(start), problem.layouts[index].finish);
    if !problem.starts(layout).iter().any(|(first, last)| (*first..=*last).contains(&start)) {
        return Some(format!(
            "it would end at {}, outside the window or after the deadline",
            finish(index, start)
        ));
    }
    let limits = problem.limits(hits);
    let (here, chosen) = (finish(index, start), finish(choice.layout, choice.start));
    let currency = &problem.fleet.facts.currency;
    match problem.quote(index, start, &limits) {
        Some(quote) if quote.cost > choice.quote.cost => Some(format!(
            "it needs {} surge and costs {:.2} {currency} instead of {:.2}",
            quote.count(),
            quote.cost,
            choice.quote.cost
        )),
        Some(_) if here > chosen => Some(format!("it ends at {here}, later than {chosen}")),
        Some(_) => None,
        None => {
            let lacks = shortage(problem, layout, start, hits).map(|s| s.text);
            Some(format!("no allowed surge covers it: {}", lacks.unwrap_or_default()))
        }
    }
}
