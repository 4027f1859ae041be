//! Instances that are not delivered, do not come up, or are lost while a rollout runs, as events in
//! the sampled paths.

use crate::draw::{Chances, uniform};
use crate::hours::longest_warmup;
use crate::layout::Layout;
use crate::problem::Fleet;
use crate::purchase::{Order, Quote};
use crate::request::Interruption;

/// Losses are drawn apart from the durations of the same path.
const LOSS_SEED: u64 = 0x6c6f_7373_5f65_7665;

/// What never comes is drawn apart from what is lost later.
const BOOT_SEED: u64 = 0x626f_6f74_5f66_6169;

/// What was bought, and what each path takes of it away.
#[derive(Debug)]
pub(crate) struct Surviving {
    /// What all instances carry together, per row, less those that may be lost in the place of
    /// servers that carry less.
    all: Vec<f64>,
    /// The same before what is bought is there: of those that are held.
    held: Vec<f64>,
    /// Which orders are.
    is_held: Vec<bool>,
    /// Seconds after the first batch goes out until what is bought is there.
    surge_at: f64,
    /// What one instance of each order carries, per row.
    units: Vec<Vec<f64>>,
    /// Per path, what is lost.
    lost: Vec<Vec<Loss>>,
}

/// Instances of one order that go at the same moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Loss {
    /// Seconds after the first batch goes out; below zero while the instances warm up, before
    /// everything for those that never come.
    at: f64,
    order: usize,
    count: u32,
}

impl Surviving {
    /// Draws the losses of every path. Each instance comes or does not; those that do live an
    /// exponential time that begins when they run, and so does the pool of an offer as a whole.
    pub(crate) fn draw(
        fleet: &Fleet<'_>,
        quote: &Quote,
        layout: &Layout,
        paths: usize,
        seed: u64,
    ) -> Self {
        let facts = fleet.facts;
        let units: Vec<Vec<f64>> =
            quote.orders.iter().map(|o| fleet.row_unit(&facts.offers[o.offer])).collect();
        let together = |keep: &dyn Fn(&Order) -> bool| {
            let kept: Vec<_> = quote.orders.iter().zip(&units).filter(|(o, _)| keep(o)).collect();
            let worse = worse(fleet, kept.iter().map(|(_, unit)| *unit));
            let carries = |row: usize| {
                kept.iter().map(|(order, unit)| unit[row] * f64::from(order.count)).sum::<f64>()
            };
            worse.enumerate().map(|(row, worse)| carries(row) - worse).collect()
        };
        let (all, held) = (together(&|_| true), together(&|order| order.held));
        let is_held = quote.orders.iter().map(|order| order.held).collect();
        let surge_at = layout.surge_at as f64;
        let end = (layout.finish + facts.followed_seconds()) as f64;
        let of_path = |path: usize| {
            let mut lost = Vec::new();
            for (index, order) in quote.orders.iter().enumerate() {
                let offer = &facts.offers[order.offer];
                if !offer.can_be_missing() {
                    continue;
                }
                // What runs already has come up and is warm.
                let (never_comes, begin) = match order.held {
                    true => (0.0, 0.0),
                    false => {
                        let warmup = longest_warmup(facts, offer);
                        (offer.never_comes(), surge_at - warmup)
                    }
                };
                let draw = |nth: u64| uniform(seed ^ LOSS_SEED, [path as u64, index as u64, nth]);
                let boots = [path as u64, index as u64];
                let never_up = Chances::new(seed ^ BOOT_SEED, boots, never_comes)
                    .take_while(|nth| *nth < u64::from(order.count))
                    .fold(0, |count, _| count + 1);
                if never_up > 0 {
                    lost.push(Loss { at: f64::NEG_INFINITY, order: index, count: never_up });
                }
                let up = Order { count: order.count - never_up, ..*order };
                lost.extend(losses(&up, index, offer.interruption, (begin, end), draw));
            }
            lost
        };
        let lost = (0..paths).map(of_path).collect();
        Self { all, held, is_held, surge_at, units, lost }
    }

    /// What is left of the purchase on a path, after all that is lost before `until` (seconds
    /// after the first batch goes out).
    pub(crate) fn left(&self, path: usize, row: usize, until: f64) -> f64 {
        let bare = until <= self.surge_at;
        let gone = self.lost[path].iter().filter(|loss| loss.at < until);
        let gone = gone.filter(|loss| !bare || self.is_held[loss.order]);
        gone.fold(if bare { self.held[row] } else { self.all[row] }, |left, loss| {
            left - self.units[loss.order][row] * f64::from(loss.count)
        })
    }
}

/// How much worse than the loss of the largest servers it is, per row, to lose as many of the
/// largest instances.
fn worse<'a>(
    fleet: &'a Fleet<'_>,
    units: impl Iterator<Item = &'a Vec<f64>> + Clone + 'a,
) -> impl Iterator<Item = f64> + 'a {
    fleet.rows.iter().enumerate().map(move |(index, row)| {
        let larger = units.clone().filter(|unit| fleet.spared(unit) > 0).map(|unit| unit[index]);
        let lost = larger.map(|unit| unit * f64::from(fleet.few) - row.few_largest);
        lost.fold(0.0, |a, b| if b > a { b } else { a })
    })
}

/// The losses of one order between `begin` and `end`: the instances one after the other (the
/// gaps between the order statistics of n exponential times are exponential with rates
/// n·λ, (n−1)·λ, …; Rényi 1953), until the pool goes.
fn losses(
    order: &Order,
    index: usize,
    interruption: Interruption,
    (begin, end): (f64, f64),
    draw: impl Fn(u64) -> f64,
) -> Vec<Loss> {
    let rate = |per_hour: f64| -(-per_hour).ln_1p() / 3600.0;
    let gap = |nth: u64, rate: f64| if rate > 0.0 { -draw(nth).ln() / rate } else { f64::INFINITY };
    let pool = begin + gap(0, rate(interruption.pool_per_hour));
    let until = if pool < end { pool } else { end };
    let mut lost = Vec::new();
    let mut at = begin;
    for gone in 0..order.count {
        let left = order.count - gone;
        at += gap(u64::from(gone) + 1, rate(interruption.per_hour) * f64::from(left));
        if at >= until {
            if pool < end {
                lost.push(Loss { at: pool, order: index, count: left });
            }
            break;
        }
        lost.push(Loss { at, order: index, count: 1 });
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost_by(interruption: Interruption, count: u32, end: f64) -> Vec<u32> {
        let order = Order { offer: 0, count, held: false };
        let one = |path: u64| {
            let draw = |nth| uniform(3, [path, 0, nth]);
            let lost = losses(&order, 0, interruption, (0.0, end), draw);
            assert!(lost.windows(2).all(|pair| pair[0].at <= pair[1].at));
            lost.iter().map(|loss| loss.count).sum()
        };
        (0..20_000).map(one).collect()
    }

    #[test]
    fn single_losses_are_binomial() {
        let interruption = Interruption { per_hour: 0.2, pool_per_hour: 0.0 };
        let lost = lost_by(interruption, 5, 3600.0);
        // Five times 0.2 are lost in an hour; none with 0.8⁵ = 0.328.
        let mean = f64::from(lost.iter().sum::<u32>()) / lost.len() as f64;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        let none = lost.iter().filter(|lost| **lost == 0).count() as f64 / lost.len() as f64;
        assert!((none - 0.327_68).abs() < 0.012, "{none}");
        // In half an hour each is lost with 1 − √0.8.
        let lost = lost_by(interruption, 5, 1800.0);
        let mean = f64::from(lost.iter().sum::<u32>()) / lost.len() as f64;
        assert!((mean - 5.0 * (1.0 - 0.8_f64.sqrt())).abs() < 0.03, "{mean}");
    }

    #[test]
    fn a_pool_goes_as_a_whole() {
        let interruption = Interruption { per_hour: 0.0, pool_per_hour: 0.1 };
        let lost = lost_by(interruption, 7, 3600.0);
        assert!(lost.iter().all(|lost| *lost == 0 || *lost == 7));
        let share = lost.iter().filter(|lost| **lost == 7).count() as f64 / lost.len() as f64;
        assert!((share - 0.1).abs() < 0.01, "{share}");
        // Nobody is lost twice.
        let both = Interruption { per_hour: 0.9, pool_per_hour: 0.9 };
        assert!(lost_by(both, 7, 3600.0).iter().all(|lost| *lost <= 7));
    }
}
