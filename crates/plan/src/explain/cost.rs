//! What is paid, and why these offers.

use domain::name::OfferName;
use domain::plan::{Basis, KeptLine, OfferLine, Plan, SurgePurchase};
use serde::Serialize;

use super::Differences;

/// What a plan costs, line by line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostExplained {
    /// The unit of all prices.
    pub currency: String,
    /// What is bought.
    pub orders: Vec<OrderExplained>,
    /// What surge that runs already goes on costing.
    pub kept: Vec<KeptLine>,
    /// The sum that the plan states.
    pub surge: f64,
}

/// An order: `count × pricePerHour × billedSeconds / 3600`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderExplained {
    /// From which offer.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// Price of one instance per hour.
    pub price_per_hour: f64,
    /// From the order to the end.
    pub run_seconds: i64,
    /// What of it, and beyond it, is billed.
    pub billed_seconds: Option<f64>,
    /// What it costs.
    pub cost: Option<f64>,
}

/// Whether an offer was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Taken {
    /// It alone.
    Alone,
    /// Together with others.
    InAMix,
    /// Not at all.
    No,
}

/// An offer, and why it was taken or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferExplained {
    /// Whether it was taken.
    pub taken: Taken,
    /// Why, in words with numbers.
    pub why: String,
    /// All that its cost follows from.
    pub terms: OfferLine,
}

pub(super) fn explained(
    plan: &Plan,
    basis: Option<&Basis>,
    different: &mut Differences,
) -> CostExplained {
    let order = |purchase: &SurgePurchase| order(purchase, basis);
    let orders: Vec<OrderExplained> = plan.surge.iter().map(order).collect();
    let kept = basis.map_or_else(Vec::new, |basis| basis.kept.clone());
    let bought: Option<f64> = orders.iter().map(|order| order.cost).sum();
    if let (Some(bought), Some(_)) = (bought, basis) {
        let kept: f64 = kept.iter().map(|line| line.cost).sum();
        different.note("cost.surge", plan.cost.surge, bought + kept);
    }
    CostExplained { currency: plan.cost.currency.clone(), orders, kept, surge: plan.cost.surge }
}

fn order(purchase: &SurgePurchase, basis: Option<&Basis>) -> OrderExplained {
    let run_seconds = purchase.end_at.as_second() - purchase.order_at.as_second();
    let terms = basis.and_then(|basis| basis.offers.iter().find(|o| o.offer == purchase.offer));
    let billed = terms.map(|terms| billed_seconds(terms, run_seconds));
    let price = f64::from(purchase.count) * purchase.price_per_hour;
    OrderExplained {
        offer: purchase.offer.clone(),
        count: purchase.count,
        price_per_hour: purchase.price_per_hour,
        run_seconds,
        billed_seconds: billed,
        cost: billed.map(|billed| price * billed / 3600.0),
    }
}

/// How long is billed for an instance that runs for so many seconds, by the terms of an offer.
fn billed_seconds(terms: &OfferLine, run_seconds: i64) -> f64 {
    let length = |seconds| std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let billing = crate::request::Billing {
        minimum: length(terms.billing_minimum_seconds),
        granularity: length(terms.billing_granularity_seconds),
    };
    crate::purchase::billed_seconds(billing, run_seconds)
}

pub(super) fn offers(plan: &Plan, basis: &Basis) -> Vec<OfferExplained> {
    let bought = basis.offers.iter().filter(|offer| offer.count > 0).count();
    let explained = |terms: &OfferLine| {
        let taken = match (terms.count, bought) {
            (0, _) => Taken::No,
            (_, 1) => Taken::Alone,
            _ => Taken::InAMix,
        };
        OfferExplained { taken, why: why(plan, terms, taken, bought), terms: terms.clone() }
    };
    basis.offers.iter().map(explained).collect()
}

fn why(plan: &Plan, terms: &OfferLine, taken: Taken, bought: usize) -> String {
    let (cost, currency) = (plan.cost.surge, &plan.cost.currency);
    let bought_for = plan.surge.iter().map(|purchase| purchase.ready_at).min();
    let needed = bought_for.or(plan.batches.first().map(|batch| batch.out_at));
    let ready = needed.map_or(i64::MAX, |at| at.as_second() - plan.created_at.as_second());
    match (taken, terms.alone) {
        (Taken::No, _) if bought == 0 => "no surge is needed".into(),
        (Taken::No, _) if terms.lead_seconds > ready => format!(
            "it takes {} s to be ready, surge is needed {ready} s after the plan is made",
            terms.lead_seconds
        ),
        (Taken::No, Some(alone)) if alone.cost > cost => format!(
            "{} of it alone would do, for {:.2} {currency} instead of {cost:.2}",
            alone.count, alone.cost
        ),
        (Taken::No, Some(alone)) => {
            format!(
                "{} of it alone would do for the same {:.2} {currency}",
                alone.count, alone.cost
            )
        }
        (Taken::No, None) => format!(
            "it alone does not cover the need: at most {} are to be had, and losses are counted",
            terms.max
        ),
        (Taken::Alone, _) => {
            format!(
                "{} × {} is the cheapest purchase that covers the need",
                terms.count, terms.offer
            )
        }
        (Taken::InAMix, Some(alone)) => format!(
            "part of the cheapest mix; {} of it alone would cost {:.2} {currency} instead of \
             {cost:.2}",
            alone.count, alone.cost
        ),
        (Taken::InAMix, None) => {
            "part of the cheapest mix; it alone does not cover the need".into()
        }
    }
}
