//! What the journals of a fleet show of it: how long things took, how often they failed. Pure: the
//! journals come in, figures go out.

mod estimate;
mod hours;
mod moved;
mod observed;

use std::collections::BTreeMap;

use domain::learned::{Evidence, Figure, Figures, Quantity};

pub use estimate::{Length, Trials, duration, probability};
pub use moved::{Change, Moved, Reason, moved};
pub use observed::{Observed, observed};

/// What was seen in a rollout counts this much less with every rollout that came after it: a new
/// kernel, another instance type or a busier fleet is believed after a few rollouts.
pub const FADES: f64 = 0.9;

/// No more rollouts than this are looked at: what lies further back weighs less than a thirtieth.
pub const ROLLOUTS: usize = 32;

/// A figure stays as it is until one of its quantiles, or its probability, would move by more than
/// this share of itself: plans should not change for noise.
pub const STEP: f64 = 0.05;

/// The same of `balance`, which is close to 1 and counts for the whole fleet.
pub const BALANCE_STEP: f64 = 0.01;

/// A figure that was learned, and from what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// The figure.
    pub figure: Figure,
    /// What it was learned from.
    pub evidence: Evidence,
}

/// What finished rollouts of a fleet show, newest first, where `configured` is what is believed
/// before anything is seen. Quantities that are not configured are not learned. An hour of the day stands
/// beside the whole day where it differs; the figure of the day is then that of the other hours.
pub fn findings(configured: &Figures, newest_first: &[Observed]) -> BTreeMap<Quantity, Finding> {
    let weight = |age: usize| FADES.powi(i32::try_from(age).unwrap_or(i32::MAX));
    let mut found = BTreeMap::new();
    for (quantity, prior) in configured {
        let by_hour = hours::by_hour(quantity, *prior, newest_first, weight);
        if !by_hour.is_empty() {
            found.extend(by_hour);
            continue;
        }
        let (mut lengths, mut trials) = (Vec::new(), Trials::default());
        let mut evidence = Evidence { rollouts: 0, seen: 0.0, of_which: 0.0 };
        for (age, observed) in newest_first.iter().take(ROLLOUTS).enumerate() {
            let mine = observed.lengths.get(quantity).map_or(&[][..], Vec::as_slice);
            lengths.extend(mine.iter().map(|length| (*length, weight(age))));
            let counted = observed.trials.get(quantity).copied().unwrap_or_default();
            trials.add(counted, weight(age));
            let censored = mine.iter().filter(|length| length.is_censored()).count();
            evidence.seen += (mine.len() - censored) as f64 + counted.tried;
            evidence.of_which += censored as f64 + counted.failed;
            evidence.rollouts += u32::from(!mine.is_empty() || counted.tried > 0.0);
        }
        let figure = match *prior {
            Figure::Duration { .. } => {
                let Ok(spread) = prior.spread() else { continue };
                duration(spread, &lengths).map(Figure::duration)
            }
            Figure::Probability { probability: prior } => {
                (trials.tried > 0.0).then(|| {
                    let share = match quantity {
                        // What is delivered, or used; not what is missing.
                        Quantity::Fulfilment(_) | Quantity::Balance => {
                            1.0 - probability(1.0 - prior, trials)
                        }
                        _ => probability(prior, trials),
                    };
                    Figure::probability(share)
                })
            }
            // Journals do not show what a server carries.
            Figure::Amount { .. } => None,
        };
        if let Some(figure) = figure.filter(|figure| quantity.check(*figure).is_ok()) {
            found.insert(quantity.clone(), Finding { figure, evidence });
        }
    }
    found
}

/// Whether a figure is so far from the one in force that plans should be made with it.
pub fn moves(quantity: &Quantity, before: Figure, after: Figure) -> bool {
    let step = if *quantity == Quantity::Balance { BALANCE_STEP } else { STEP };
    let far = |from: f64, to: f64| (to - from).abs() > step * from.abs().max(f64::MIN_POSITIVE);
    match (before, after) {
        (
            Figure::Duration { p50_seconds: p50, p95_seconds: p95 },
            Figure::Duration { p50_seconds, p95_seconds },
        ) => far(p50, p50_seconds) || far(p95, p95_seconds),
        (Figure::Probability { probability: from }, Figure::Probability { probability: to }) => {
            far(from, to)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
