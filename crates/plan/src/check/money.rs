//! What is bought, when it is there, and what it costs.

use domain::plan::{Plan, SurgePurchase};

use super::{Findings, Rule};
use crate::hours::lead_at;
use crate::purchase::{bill, release_seconds};
use crate::request::Facts;

/// Costs may differ by so much from rounding, in the unit of the prices.
const CENT: f64 = 0.005;

pub(super) fn check(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let mut cost = kept(plan, facts);
    for purchase in &plan.surge {
        cost += bought(plan, facts, purchase, findings);
    }
    limits(plan, facts, findings);
    quotas(plan, facts, findings);
    let stated = plan.cost.surge;
    let same = (stated - cost).abs() <= CENT + cost.abs() * 1e-9;
    findings.ensure(same, Rule::Cost, || {
        format!("the plan states {stated:.4}, its surge costs {cost:.4}")
    });
    findings.ensure(plan.cost.size >= 0.0, Rule::Cost, || "the cost of size is negative".into());
    findings.ensure(plan.cost.currency == facts.currency, Rule::Cost, || {
        format!("costs are in {}, prices in {}", plan.cost.currency, facts.currency)
    });
}

/// What held surge costs from the making of the plan until it goes.
fn kept(plan: &Plan, facts: &Facts) -> f64 {
    let until = plan.stabilised_at.as_second() + release_seconds(facts);
    facts.kept_cost((until - plan.created_at.as_second()) as f64)
}

fn limits(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let held: u64 = facts.held.iter().map(|h| u64::from(h.count)).sum();
    let all = held + plan.surge.iter().map(|p| u64::from(p.count)).sum::<u64>();
    let most = u64::from(facts.max_surge);
    let bought = !plan.surge.is_empty();
    findings.ensure(!bought || all <= most, Rule::SurgeLimit, || {
        format!("{all} surge instances, {most} are allowed")
    });
    for offer in &facts.offers {
        let of = plan.surge.iter().filter(|p| p.offer == offer.name);
        let bought: u64 = of.map(|p| u64::from(p.count)).sum();
        let all = bought + u64::from(facts.held_of(&offer.name));
        findings.ensure(bought == 0 || all <= u64::from(offer.max), Rule::SurgeLimit, || {
            format!("{all} × {}, at most {} are to be had", offer.name, offer.max)
        });
    }
}

fn quotas(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    for quota in facts.quotas.iter().filter(|_| !plan.surge.is_empty()) {
        let bought = plan.surge.iter().map(|p| quota.of(&p.offer) * f64::from(p.count));
        let bought: f64 = bought.sum();
        let left = quota.left(&facts.held);
        let within = bought <= 0.0 || bought <= left + quota.rounding();
        findings.ensure(within, Rule::Quota, || {
            let (name, limit, used) = (&quota.name, quota.limit, quota.limit - left);
            format!("{bought} of quota {name} are bought and {used} are used, {limit} are allowed")
        });
    }
}

/// Checks one purchase and returns what it costs.
fn bought(plan: &Plan, facts: &Facts, purchase: &SurgePurchase, findings: &mut Findings) -> f64 {
    let name = &purchase.offer;
    let Some(offer) = facts.offer(name) else {
        findings.ensure(false, Rule::SurgeLimit, || format!("there is no offer {name}"));
        return 0.0;
    };
    findings.ensure(purchase.count > 0, Rule::SurgeLimit, || format!("{name}: nothing is bought"));
    let seconds = |t: jiff::Timestamp| t.as_second();
    let (order, ready) = (seconds(purchase.order_at), seconds(purchase.ready_at));
    let (release, end) = (seconds(purchase.release_at), seconds(purchase.end_at));
    findings.ensure(order >= seconds(plan.created_at), Rule::Times, || {
        format!("{name} is ordered at {}, before the plan was made", purchase.order_at)
    });
    let ordered = order <= ready && ready <= release && release <= end;
    findings.ensure(ordered, Rule::Times, || {
        format!("order, ready, release and end of {name} do not follow each other")
    });
    if let Some(instead) = &purchase.on_loss {
        let sure = facts.offer(&instead.offer).is_some_and(|o| o.interruption.is_never());
        findings.ensure(sure, Rule::SurgeLimit, || {
            format!("{name} is to be replaced by {}, which is no sure offer", instead.offer)
        });
    }
    let lead = lead_at(facts, offer, purchase.order_at);
    findings.ensure(ready - order >= lead, Rule::SurgeReady, || {
        format!("{name} is ready {} s after its order, it takes {lead} s", ready - order)
    });
    let mut early = plan.batches.iter().filter(|b| b.out_at < purchase.ready_at);
    let late = early.find(|b| b.back_at > purchase.ready_at);
    findings.ensure(late.is_none(), Rule::SurgeReady, || {
        let batch = late.map_or(0, |b| b.index);
        format!("{name} is ready at {}, after batch {batch} went out", purchase.ready_at)
    });
    findings.ensure(purchase.release_at >= plan.stabilised_at, Rule::SurgeRelease, || {
        format!("{name} is released at {}, before the watch ends", purchase.release_at)
    });
    findings.ensure(end - release >= release_seconds(facts), Rule::SurgeRelease, || {
        format!("{name} ends {} s after its release, its drain takes longer", end - release)
    });
    let price = purchase.price_per_hour;
    findings.ensure((price - offer.price_per_hour).abs() <= 1e-9, Rule::Cost, || {
        format!("{name} costs {} an hour, the plan says {price}", offer.price_per_hour)
    });
    bill(offer.billing, price, purchase.count, end - order)
}
