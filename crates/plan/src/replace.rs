//! What takes the place of surge that is lost.

use domain::plan::Replacement;

use crate::hours::longest_lead;
use crate::layout::Layout;
use crate::problem::Fleet;
use crate::purchase::{Quote, price};
use crate::request::{Facts, Offer, Quota};

/// The cheapest offer that is never lost and carries as much as `lost` in every dimension, if its
/// limit, the quotas and the money leave room for as many as can be lost. The limit of all surge
/// does, since each takes the place of one.
pub(crate) fn replacement(
    fleet: &Fleet<'_>,
    quote: &Quote,
    lost: &Offer,
    layout: &Layout,
    budget_left: f64,
) -> Option<Replacement> {
    let facts = fleet.facts;
    if !lost.can_be_missing() {
        return None;
    }
    let lossy = quote.orders.iter().map(|o| (&facts.offers[o.offer], o.count));
    let lossy: u32 = lossy.filter(|(o, _)| o.can_be_missing()).map(|(_, n)| n).sum();
    let need = fleet.row_unit(lost);
    let fits = |offer: &&Offer| {
        let carries = fleet.row_unit(offer).iter().zip(&need).all(|(has, need)| has >= need);
        let dear = price(facts, offer, lossy, layout) > budget_left;
        offer.interruption.is_never() && carries && !dear && has_room(facts, quote, offer, lossy)
    };
    let fitting = facts.offers.iter().filter(fits);
    let cheapest = fitting.min_by(|a, b| a.price_per_hour.total_cmp(&b.price_per_hour))?;
    // Nobody knows when it is ordered.
    let ready_seconds = longest_lead(facts, cheapest);
    Some(Replacement { offer: cheapest.name.clone(), ready_seconds })
}

/// Whether `more` instances of an offer can be had besides what is bought and held.
fn has_room(facts: &Facts, quote: &Quote, offer: &Offer, more: u32) -> bool {
    let bought = quote.orders.iter().map(|order| (&facts.offers[order.offer].name, order.count));
    let bought: Vec<_> = bought.collect();
    let own: u32 = bought.iter().filter(|(name, _)| **name == offer.name).map(|(_, n)| n).sum();
    let all = own.saturating_add(facts.held_of(&offer.name)).saturating_add(more);
    let within = |quota: &Quota| {
        let used: f64 = bought.iter().map(|(name, n)| quota.of(name) * f64::from(*n)).sum();
        let wanted = used + quota.of(&offer.name) * f64::from(more);
        wanted <= quota.left(&facts.held) + quota.rounding()
    };
    all <= offer.max && facts.quotas.iter().all(within)
}
