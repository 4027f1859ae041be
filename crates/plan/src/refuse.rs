//! No plan fits: which constraint binds, and what would fit if one gave way.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::forecast::Probability;
use domain::name::{OfferName, Zone};
use domain::plan::{PerDimension, Refused, WouldFit};
use domain::spread::Spread;

use crate::compose::compose;
use crate::demand::after;
use crate::layout::Layout;
use crate::problem::{Fleet, zones};
use crate::purchase::{Limits, Quotas};
use crate::rejected::shortage;
use crate::request::{Billing, Facts, Interruption, Market, Offer, Quota, Request, Survive};
use crate::search::{Choice, Problem, horizon};
use crate::settings::RISKS_TO_OFFER;
use crate::{allowed_hits, layouts};

/// The refusal of a request of which no plan fits the limits.
pub(crate) fn refuse(problem: &Problem<'_>, limits: &Limits) -> Refused {
    let (binding, detail) = binding(problem, limits);
    let mut would_fit = Vec::new();
    would_fit.extend(later(problem, limits));
    would_fit.extend(riskier(problem, limits));
    would_fit.extend(more_surge(problem, limits));
    would_fit.extend(more_quota(problem, limits));
    would_fit.extend(more_money(problem, limits));
    would_fit.extend(undisturbed(problem, limits));
    Refused { binding, detail, would_fit }
}

fn binding(problem: &Problem<'_>, limits: &Limits) -> (String, String) {
    let Problem { request, layouts, .. } = *problem;
    let facts = &request.facts;
    let fits = |layout: &&Layout| !problem.starts(layout).is_empty();
    if !layouts.iter().any(|l| fits(&l)) {
        return no_room(problem);
    }
    let unbounded = Limits { budget: f64::INFINITY, ..*limits };
    if let Some(choice) = problem.search(&unbounded) {
        let detail = format!(
            "the cheapest plan costs {:.2} {}, the budget is {:.2}",
            choice.quote.cost, facts.currency, limits.budget
        );
        return ("budget".into(), detail);
    }
    let wide = Limits { max_surge: u32::MAX, ..unbounded };
    let lacking = closest(problem, limits).map_or_else(String::new, |c| {
        let shortage = shortage(problem, &layouts[c.layout], c.start, limits.hits);
        shortage.map_or_else(String::new, |s| format!(": {}", s.text))
    });
    if let Some(choice) = problem.search(&wide) {
        let held: u32 = facts.held.iter().map(|h| h.count).sum();
        let detail = format!(
            "{} surge instances are needed, {} are allowed{lacking}",
            choice.quote.count().saturating_add(held),
            limits.max_surge
        );
        return ("maxSurge".into(), detail);
    }
    let free = Limits { quotas: Quotas::LeftAside, ..unbounded };
    if let Some(choice) = problem.search(&free) {
        let over = over_quota(problem, &choice);
        let over = over.iter().map(|(quota, needed)| {
            format!(
                "of quota {} {} are needed besides the {} that are used, {} are allowed",
                quota.name,
                plain(*needed),
                plain(quota.used),
                plain(quota.limit)
            )
        });
        let detail = format!("{}{lacking}", over.collect::<Vec<_>>().join("; "));
        return ("quota".into(), detail);
    }
    if let Some(choice) = undisturbed(problem, limits) {
        let survive = request.survive;
        let detail = format!(
            "a plan that need not survive the loss of {} servers and {} zones costs {:.2} {}; no \
             surge that is to be had covers that loss as well{lacking}",
            survive.servers, survive.zones, choice.cost, facts.currency
        );
        return ("survive".into(), detail);
    }
    let offers = facts.offers.iter().map(|o| format!("{} × {}", o.max, o.name));
    let offers: Vec<String> = offers.collect();
    if offers.is_empty() {
        let detail = format!("no start and no batch size does without surge{lacking}");
        return ("risk".into(), detail);
    }
    let detail = format!(
        "the offers do not cover what is needed in time ({}), nor do they together{lacking}",
        offers.join(", ")
    );
    ("offers".into(), detail)
}

/// Nothing fits in time, whatever it costs.
fn no_room(problem: &Problem<'_>) -> (String, String) {
    let Problem { request, layouts, .. } = *problem;
    let facts = &request.facts;
    let shortest = layouts.iter().map(|l| l.finish).min().unwrap_or(0);
    let needed = |seconds: i64| format!("{:.1} minutes", seconds as f64 / 60.0);
    let known = horizon(request);
    if known < facts.deadline && after(request.now, shortest) > known {
        let detail = format!(
            "the shortest rollout takes {}, the forecast ends at {known}",
            needed(shortest)
        );
        return ("forecast".into(), detail);
    }
    if after(request.now, shortest) > facts.deadline {
        let detail = format!(
            "the shortest rollout takes {} ({} batches of at most {} servers); from {} it ends \
             after the deadline {}",
            needed(shortest),
            layouts.iter().map(|l| l.slots.len()).min().unwrap_or(0),
            facts.max_unavailable,
            request.now,
            facts.deadline
        );
        return ("deadline".into(), detail);
    }
    if let Some(start) = request.schedule.start_at {
        let detail = format!(
            "a rollout that starts at {start} takes at least {} and does not lie in one window \
             before the deadline {}",
            needed(shortest),
            facts.deadline
        );
        return ("schedule.startAt".into(), detail);
    }
    let windows: Vec<String> =
        problem.open_windows().iter().take(5).map(|w| w.to_string()).collect();
    let detail = format!(
        "the shortest rollout takes {} and has to lie in one window before the deadline {}; open: {}",
        needed(shortest),
        facts.deadline,
        if windows.is_empty() {
            "nothing; the freezes, or the days and hours of the windows, leave no time".into()
        } else {
            windows.join(", ")
        }
    );
    ("windows".into(), detail)
}

/// The choice that lacks the least capacity: what the search takes when it may buy any number of
/// average servers of this fleet, at once.
fn closest(problem: &Problem<'_>, limits: &Limits) -> Option<Choice> {
    let facts = &problem.request.facts;
    let healthy = facts.servers.iter().filter(|s| s.healthy).count() as f64;
    let capacity: PerDimension<f64> = problem
        .fleet
        .dimensions
        .iter()
        .zip(&problem.fleet.full)
        .map(|(d, full)| ((*d).clone(), full / (1000.0 * healthy * facts.balance)))
        .collect();
    let mut wider = facts.clone();
    for offer in &mut wider.offers {
        offer.max = 0;
    }
    wider.offers.push(anything(&wider, capacity));
    let fleet = Fleet::new(&wider, problem.fleet.dimensions.iter().copied()).like(problem.fleet);
    let relaxed = problem.with(problem.request, &fleet);
    let limits = Limits { max_surge: u32::MAX, budget: f64::INFINITY, ..*limits };
    relaxed.search(&limits)
}

/// A zone in which nothing of the fleet stands.
fn elsewhere(facts: &Facts) -> Option<Zone> {
    let taken = zones(facts);
    let mut names = (0..).filter_map(|n| Zone::new(format!("any-{n}")).ok());
    names.find(|zone| !taken.contains(zone))
}

fn anything(facts: &Facts, capacity: PerDimension<f64>) -> Offer {
    let taken = |name: &OfferName| facts.offer(name).is_some();
    let names = (0..).map(|n| OfferName::new(format!("any-{n}")).expect("a plain name"));
    Offer {
        name: names.into_iter().find(|n| !taken(n)).expect("there is always another number"),
        market: Market::Standby,
        zone: elsewhere(facts),
        capacity,
        price_per_hour: 1.0,
        lead: Spread::ZERO,
        leads: BTreeMap::new(),
        warmup: Spread::ZERO,
        warmups: BTreeMap::new(),
        max: u32::MAX,
        billing: Billing { minimum: Duration::from_secs(3600), granularity: Duration::ZERO },
        interruption: Interruption::default(),
        fulfilment: 1.0,
        boot_failure: 0.0,
    }
}

fn would_fit(problem: &Problem<'_>, choice: &Choice, hits: f64, change: String) -> WouldFit {
    let plan = compose(problem, choice, hits);
    WouldFit { change, finish_at: plan.finish_at, cost: plan.cost.surge, risk: plan.risk.planned }
}

/// The same with the deadline as far as the forecast reaches.
fn later(problem: &Problem<'_>, limits: &Limits) -> Option<WouldFit> {
    let request = problem.request;
    let known = horizon(request);
    if known <= request.facts.deadline {
        return None;
    }
    let relaxed = Problem::new(request, problem.fleet, problem.layouts, known);
    let choice = relaxed.search(limits)?;
    let finish = relaxed.layouts[choice.layout].finish;
    let finish = after(relaxed.grid.at(choice.start), finish);
    let change = format!("deadline: {finish}");
    Some(would_fit(&relaxed, &choice, limits.hits, change))
}

/// The same at the least of some higher risks that suffices.
fn riskier(problem: &Problem<'_>, limits: &Limits) -> Option<WouldFit> {
    let request = problem.request;
    let higher = RISKS_TO_OFFER.iter().filter(|risk| **risk > request.risk.get());
    for risk in higher {
        let Some(hits) = allowed_hits(request, *risk) else { continue };
        let Some(choice) = problem.search(&Limits { hits, ..*limits }) else { continue };
        let Ok(risk) = Probability::new(*risk) else { continue };
        let request = Request { risk, ..request.clone() };
        let relaxed = problem.with(&request, problem.fleet);
        return Some(would_fit(&relaxed, &choice, hits, format!("risk: {}", risk.get())));
    }
    None
}

/// The same with as much surge as it takes.
fn more_surge(problem: &Problem<'_>, limits: &Limits) -> Option<WouldFit> {
    let facts = &problem.request.facts;
    let mut wider = facts.clone();
    for offer in &mut wider.offers {
        offer.max = u32::MAX;
    }
    let fleet = Fleet::new(&wider, problem.fleet.dimensions.iter().copied()).like(problem.fleet);
    let relaxed = problem.with(problem.request, &fleet);
    let choice = relaxed.search(&Limits { max_surge: u32::MAX, ..*limits })?;
    let held: u32 = wider.held.iter().map(|h| h.count).sum();
    let needed = choice.quote.count().saturating_add(held);
    let mut change = Vec::new();
    if needed > limits.max_surge {
        change.push(format!("maxSurge: {needed}"));
    }
    for order in &choice.quote.orders {
        let offer = &facts.offers[order.offer];
        let needed = order.count.saturating_add(facts.held_of(&offer.name));
        if needed > offer.max {
            change.push(format!("max: {needed} of offer {}", offer.name));
        }
    }
    let change = change.join(", ");
    (!change.is_empty()).then(|| would_fit(&relaxed, &choice, limits.hits, change))
}

/// The same with as much of each quota as it takes.
fn more_quota(problem: &Problem<'_>, limits: &Limits) -> Option<WouldFit> {
    let choice = problem.search(&Limits { quotas: Quotas::LeftAside, ..*limits })?;
    let over = over_quota(problem, &choice);
    let change = over.iter().map(|(quota, needed)| {
        format!("limit: {} of quota {}", plain(quota.used + needed), quota.name)
    });
    let change = change.collect::<Vec<_>>().join(", ");
    (!change.is_empty()).then(|| would_fit(problem, &choice, limits.hits, change))
}

/// The quotas that a choice does not keep within, with what it needs of them, held surge included.
fn over_quota<'a>(problem: &Problem<'a>, choice: &Choice) -> Vec<(&'a Quota, f64)> {
    let facts = problem.fleet.facts;
    let needed = |quota: &Quota| {
        let held = facts.held.iter().map(|held| quota.of(&held.offer) * f64::from(held.count));
        let orders = choice.quote.orders.iter();
        let bought = orders.map(|o| quota.of(&facts.offers[o.offer].name) * f64::from(o.count));
        held.chain(bought).fold(0.0, |sum, used| sum + used)
    };
    let all = facts.quotas.iter().map(|quota| (quota, needed(quota)));
    all.filter(|(quota, needed)| quota.used + needed > quota.limit + quota.rounding()).collect()
}

/// A number without the digits that rounding leaves.
fn plain(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// The same without a loss to survive.
fn undisturbed(problem: &Problem<'_>, limits: &Limits) -> Option<WouldFit> {
    if problem.request.survive == Survive::default() {
        return None;
    }
    let request = Request { survive: Survive::default(), ..problem.request.clone() };
    let fleet = Fleet::new(&request.facts, problem.fleet.dimensions.iter().copied());
    let layouts = layouts(&request, &fleet).ok()?;
    let relaxed = Problem::new(&request, &fleet, &layouts, problem.deadline);
    let choice = relaxed.search(limits)?;
    let change = "survive: { servers: 0, zones: 0 }".into();
    Some(would_fit(&relaxed, &choice, limits.hits, change))
}

/// The same with as much money as it takes.
fn more_money(problem: &Problem<'_>, limits: &Limits) -> Option<WouldFit> {
    if limits.budget.is_infinite() {
        return None;
    }
    let choice = problem.search(&Limits { budget: f64::INFINITY, ..*limits })?;
    let change = format!("budget: {:.2}", (choice.quote.cost * 100.0).ceil() / 100.0);
    Some(would_fit(problem, &choice, limits.hits, change))
}
