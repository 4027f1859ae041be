//! What was learned of a fleet, in the place of what its configuration says.

use std::collections::BTreeMap;

use domain::config::{Fleet, Rollout};
use domain::learned::{Figure, Figures, Hourly, Quantity};
use domain::name::FleetName;
use domain::plan::Inputs;
use domain::spread::Spread;

use super::Prepared;
use super::request::proof;

/// What is believed of a fleet before anything is seen: what the configuration says.
pub fn configured(fleet: &Fleet, rollout: &Rollout) -> Figures {
    let durations = &fleet.durations;
    let mut figures = Figures::from([
        (Quantity::Drain, Figure::duration(durations.drain)),
        (Quantity::Update, Figure::duration(durations.update)),
        (Quantity::Verify, Figure::duration(Spread::exactly(proof(rollout)))),
        (Quantity::Warmup, Figure::duration(durations.warmup)),
        (Quantity::Balance, Figure::probability(fleet.balance)),
        (Quantity::UpdateFailure, Figure::probability(rollout.update_failure)),
    ]);
    let given = fleet.capacity.iter().filter(|(d, _)| !fleet.objectives.contains_key(*d));
    let given = given.map(|(d, amount)| {
        (Quantity::Capacity(d.clone()), Figure::Amount { p05: *amount, p50: *amount })
    });
    figures.extend(given);
    for offer in &fleet.offers {
        let name = || offer.name.clone();
        let interruption = Figure::probability(offer.interruption.per_hour);
        figures.extend([
            (Quantity::Lead(name()), Figure::duration(offer.lead)),
            (Quantity::Interruption(name()), interruption),
            (Quantity::Fulfilment(name()), Figure::probability(offer.fulfilment)),
            (Quantity::BootFailure(name()), Figure::probability(offer.boot_failure)),
        ]);
    }
    figures
}

impl Prepared {
    /// What was learned, as a plan names it.
    pub(super) fn learned_of_fleet(&self) -> BTreeMap<FleetName, Figures> {
        let learned = [(self.fleet.name.clone(), self.learned.clone())].into_iter();
        learned.filter(|(_, figures)| !figures.is_empty()).collect()
    }

    /// The same with what a plan was made with.
    #[must_use]
    pub fn with_learned_of(self, inputs: &Inputs) -> Self {
        let learned = inputs.learned.get(&self.fleet.name).cloned().unwrap_or_default();
        self.with_learned(&learned).with_capacity_of(inputs)
    }

    /// The same with figures that were learned. Those of offers that are no more are left out.
    #[must_use]
    pub fn with_learned(mut self, figures: &Figures) -> Self {
        for (quantity, figure) in figures {
            let day = quantity.of_day();
            let known = self.configured.contains_key(day.as_ref().unwrap_or(quantity))
                || self.learns(quantity);
            let good = known && quantity.check(*figure).is_ok();
            if good && self.takes(quantity, *figure) {
                self.learned.insert(quantity.clone(), *figure);
            }
        }
        self
    }

    /// Whether it is a capacity that plans learn.
    fn learns(&self, quantity: &Quantity) -> bool {
        matches!(quantity, Quantity::Capacity(d) if self.fleet.objectives.contains_key(d))
    }

    /// Puts one figure into its place.
    fn takes(&mut self, quantity: &Quantity, figure: Figure) -> bool {
        if let (Quantity::Capacity(dimension), Figure::Amount { p50, .. }) = (quantity, figure) {
            self.fix_capacity(dimension, p50);
            return true;
        }
        let offer = quantity.offer();
        let offer = self.fleet.offers.iter_mut().find(|o| Some(&o.name) == offer);
        let durations = &mut self.fleet.durations;
        match (quantity, figure, offer) {
            (Quantity::UpdateFailure, Figure::Probability { probability }, _) => {
                self.rollout.update_failure = probability;
            }
            (Quantity::Balance, Figure::Probability { probability }, _) => {
                self.fleet.balance = probability;
            }
            (Quantity::Interruption(_), Figure::Probability { probability }, Some(offer)) => {
                offer.interruption.per_hour = probability;
            }
            (Quantity::Fulfilment(_), Figure::Probability { probability }, Some(offer)) => {
                offer.fulfilment = probability;
            }
            (Quantity::BootFailure(_), Figure::Probability { probability }, Some(offer)) => {
                offer.boot_failure = probability;
            }
            (_, Figure::Duration { .. }, offer) => {
                let Ok(spread) = figure.spread() else { return false };
                match (quantity, offer) {
                    (Quantity::Drain, _) => durations.drain = spread,
                    (Quantity::Update, _) => durations.update = spread,
                    (Quantity::Verify, _) => durations.verify = spread,
                    (Quantity::Warmup, _) => durations.warmup = spread,
                    (Quantity::Lead(_), Some(offer)) => offer.lead = spread,
                    (Quantity::At(what, hour), offer) => {
                        let all = match (what, offer) {
                            (Hourly::Drain, _) => &mut durations.drain_in,
                            (Hourly::Update, _) => &mut durations.update_in,
                            (Hourly::Warmup, _) => &mut durations.warmup_in,
                            (Hourly::Lead(_), Some(offer)) => &mut offer.lead_in,
                            _ => return false,
                        };
                        all.insert(*hour, spread);
                    }
                    _ => return false,
                }
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::hour::Hour;
    use domain::ports::Clock;
    use jiff::Timestamp;
    use sim::SimClock;

    use super::super::testing::SIX_SERVERS;
    use super::*;

    fn prepared(now: Timestamp) -> Prepared {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(now));
        Prepared::of_text(SIX_SERVERS, &clock)
    }

    #[test]
    fn warm_up_and_balance_take_the_place_of_what_is_configured() {
        let now: Timestamp = "2026-03-08T12:00:00Z".parse().unwrap();
        let figures: Figures = [("warmup", "3m..4m"), ("balance", "0.9")]
            .map(|(what, figure)| (what.parse().unwrap(), figure.parse().unwrap()))
            .into();
        let part = prepared(now).with_learned(&figures);
        let ask = part.first(now, 1).unwrap();
        let facts = crate::pipeline::facts(&part.fleet, &part.rollout, &ask);
        let warmup = figures[&Quantity::Warmup].spread().unwrap();
        assert_eq!((facts.durations.warmup, facts.offers[0].warmup), (warmup, warmup));
        assert_eq!(facts.balance, 0.9);
    }

    #[test]
    fn figures_of_an_hour_are_those_of_the_day_but_for_what_they_say() {
        let now: Timestamp = "2026-03-08T12:00:00Z".parse().unwrap();
        let figures: Figures = [
            ("update", "6m"),
            ("update@03", "9m"),
            ("drain@04", "2m"),
            ("warmup@04", "7m"),
            ("lead:od@03", "20m"),
            ("lead:gone@03", "1m"),
        ]
        .map(|(what, figure)| (what.parse().unwrap(), figure.parse().unwrap()))
        .into();
        let part = prepared(now).with_learned(&figures);
        // The offer is no more.
        assert_eq!(part.learned.len(), 5);
        let ask = part.first(now, 1).unwrap();
        let facts = crate::pipeline::facts(&part.fleet, &part.rollout, &ask);
        let minutes = |count: u64| Spread::exactly(std::time::Duration::from_secs(60 * count));
        let hour = |number| Hour::new(number).unwrap();
        let in_hour = |number| {
            let own = facts.durations_in(hour(number), hour(number));
            (own.drain, own.work, own.warmup)
        };
        assert_eq!(in_hour(2), (minutes(1), minutes(6), minutes(2)));
        assert_eq!(in_hour(3), (minutes(1), minutes(9), minutes(2)));
        assert_eq!(in_hour(4), (minutes(2), minutes(6), minutes(7)));
        assert_eq!(facts.hours.len(), 2);
        let offer = &facts.offers[0];
        assert_eq!([2, 3].map(|h| offer.lead_in(hour(h))), [minutes(3), minutes(20)]);
        assert_eq!([3, 4].map(|h| offer.warmup_in(hour(h))), [minutes(2), minutes(7)]);
    }
}
