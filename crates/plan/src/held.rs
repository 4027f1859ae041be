//! Surge that runs already and can be lost.
//!
//! The choice does not count on so many of its instances that more are lost with a probability of
//! at most [`LOSS_SHARE`] of the risk, which the load gets less for it; on the paths that the risk
//! is stated by, it is lost when it is, as what is bought.

use jiff::Timestamp;

use crate::layout::Layout;
use crate::odds::Losses;
use crate::problem::{Fleet, counts};
use crate::purchase::{Order, Quote, interrupted_within};
use crate::request::{Facts, Held, Offer};
use crate::settings::LOSS_SHARE;

/// What is held of offers that can be lost, with the index of the offer.
fn risky(facts: &Facts) -> impl Iterator<Item = (usize, &Offer, &Held)> {
    facts.held.iter().filter_map(|held| {
        let index = facts.offers.iter().position(|offer| offer.name == held.offer)?;
        let offer = &facts.offers[index];
        (!offer.interruption.is_never() && held.count > 0).then_some((index, offer, held))
    })
}

/// The share of the allowed paths that is left for the load.
pub(crate) fn share_of_load(facts: &Facts) -> f64 {
    if risky(facts).next().is_some() { 1.0 - LOSS_SHARE } else { 1.0 }
}

/// What of the held surge the choice does not count on for batches within `[start, finish)`, per
/// row, after `balance`.
pub(crate) fn doubtful(
    fleet: &Fleet<'_>,
    layout: &Layout,
    (start, finish): (Timestamp, Timestamp),
    risk: f64,
) -> Vec<f64> {
    let mut sum = vec![0.0; fleet.rows.len()];
    let rare = risk * LOSS_SHARE / risky(fleet.facts).count().max(1) as f64;
    for (_, offer, held) in risky(fleet.facts).filter(|(.., held)| counts(held, start, finish)) {
        let (each, pool) = interrupted_within(offer, layout.finish as f64);
        let losses = Losses::new(held.count, each, pool);
        let spare = (0..held.count).find(|spare| losses.short(i64::from(*spare)) <= rare);
        for (sum, unit) in sum.iter_mut().zip(fleet.row_unit(offer)) {
            *sum += unit * f64::from(spare.unwrap_or(held.count));
        }
    }
    sum
}

/// What is held but does not carry load by `start`, with when it will.
pub(crate) fn coming(facts: &Facts, start: Timestamp) -> Vec<(Order, Timestamp)> {
    let order = |held: &Held| {
        let offer = facts.offers.iter().position(|offer| offer.name == held.offer)?;
        Some((Order { offer, count: held.count, held: false }, held.ready_at))
    };
    facts.held.iter().filter(|held| held.ready_at > start).filter_map(order).collect()
}

/// When all of it will.
pub(crate) fn last_ready(coming: &[(Order, Timestamp)]) -> Option<Timestamp> {
    coming.iter().map(|(_, ready_at)| *ready_at).max()
}

/// What the paths lose of: what is bought, and what is held and can be lost; and per row, after
/// `balance`, what is there besides these for batches within `[start, finish)`.
pub(crate) fn on_paths(
    fleet: &Fleet<'_>,
    quote: &Quote,
    (start, finish): (Timestamp, Timestamp),
) -> (Quote, Vec<f64>) {
    let (mut whole, mut besides) = (quote.clone(), fleet.besides(start, finish));
    for (index, offer, held) in risky(fleet.facts).filter(|(.., h)| counts(h, start, finish)) {
        whole.orders.push(Order { offer: index, count: held.count, held: true });
        for (besides, unit) in besides.iter_mut().zip(fleet.row_unit(offer)) {
            *besides -= unit * f64::from(held.count);
        }
    }
    (whole, besides)
}
