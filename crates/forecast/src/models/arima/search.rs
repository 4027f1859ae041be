//! The search for orders: Hyndman and Khandakar, "Automatic time series forecasting: the forecast
//! package for R", J. Stat. Softw. 27(3), 2008, §3.2, on the conditional sum of squares.

use super::estimate::{Estimate, Sample, least_squares};
use super::orders::{Orders, Part};
use crate::settings;

/// The best orders for one way of differencing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) orders: Orders,
    pub(super) free: Vec<f64>,
    /// The corrected criterion of Akaike; comparable for the same sample alone.
    pub(super) criterion: f64,
}

/// What the search may try.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// Seasons that may have terms.
    pub(super) seasons: Vec<usize>,
    /// The most models that are estimated.
    pub(super) models: usize,
}

/// Climbs from four simple models to the best neighbour until none is better.
pub(super) fn stepwise(sample: Sample<'_>, room: &Room) -> Option<Found> {
    let mut climb = Climb { sample, tried: Vec::new(), best: None };
    for (plain, seasonal) in
        [((2, 2), (1, 1)), ((0, 0), (0, 0)), ((1, 0), (1, 0)), ((0, 1), (0, 1))]
    {
        let mut parts = vec![Part { stride: 1, ar: plain.0, ma: plain.1 }];
        let of = |stride: &usize| Part { stride: *stride, ar: seasonal.0, ma: seasonal.1 };
        parts.extend(room.seasons.iter().map(of));
        climb.try_one(Orders(parts));
    }
    'climb: while climb.tried.len() < room.models {
        let Some(centre) = climb.best.as_ref().map(|best| best.orders.clone()) else { break };
        for next in neighbours(&centre) {
            if climb.tried.len() >= room.models {
                break 'climb;
            }
            if climb.try_one(next) {
                continue 'climb;
            }
        }
        break;
    }
    climb.best
}

struct Climb<'a> {
    sample: Sample<'a>,
    tried: Vec<Orders>,
    best: Option<Found>,
}

impl Climb<'_> {
    /// Estimates a model; whether it is the best so far.
    fn try_one(&mut self, orders: Orders) -> bool {
        if self.tried.contains(&orders) {
            return false;
        }
        let start = match &self.best {
            Some(best) => orders.warm(&best.orders, &best.free),
            None => orders.start(),
        };
        self.tried.push(orders.clone());
        let Some(estimate) = least_squares(self.sample, &orders, start) else { return false };
        let Some(criterion) = criterion(&estimate, &orders, self.sample.values.len()) else {
            return false;
        };
        let better = self.best.as_ref().is_none_or(|best| criterion < best.criterion);
        if better {
            self.best = Some(Found { orders, free: estimate.free, criterion });
        }
        better
    }
}

/// `n ln σ² + 2k + 2k(k + 1)/(n − k − 1)` with the variance counted among the `k` parameters.
fn criterion(estimate: &Estimate, orders: &Orders, n: usize) -> Option<f64> {
    let k = (orders.parameters() + 1) as f64;
    let n = n as f64;
    let room = n - k - 1.0;
    (room > 0.0).then(|| {
        let fit = n * estimate.variance.max(f64::MIN_POSITIVE).ln();
        fit + 2.0 * k + 2.0 * k * (k + 1.0) / room
    })
}

/// All orders that differ by one term in one part, or by one term on both sides of a part.
fn neighbours(centre: &Orders) -> Vec<Orders> {
    let mut list = Vec::new();
    for place in 0..centre.0.len() {
        let most =
            if place == 0 { settings::ARIMA_PLAIN_MOST } else { settings::ARIMA_SEASONAL_MOST };
        for (ar, ma) in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)] {
            let mut parts = centre.0.clone();
            let part = &mut parts[place];
            let Some(p) = part.ar.checked_add_signed(ar) else { continue };
            let Some(q) = part.ma.checked_add_signed(ma) else { continue };
            if p <= most && q <= most {
                (part.ar, part.ma) = (p, q);
                list.push(Orders(parts));
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::simulated;
    use super::super::polynomial::Polynomial;
    use super::*;

    fn found(values: &[f64], seasons: &[usize]) -> Found {
        let seen = vec![true; values.len()];
        let room = Room { seasons: seasons.to_vec(), models: settings::ARIMA_MODELS_MOST };
        stepwise(Sample { values, seen: &seen }, &room).unwrap()
    }

    #[test]
    fn noise_has_few_terms_and_a_season_has_its_own() {
        let one = Polynomial::one();
        assert!(found(&simulated(&one, &one, 400), &[]).orders.parameters() <= 2);
        let season = found(&simulated(&one, &Polynomial::of(&[-0.7], 12), 400), &[12]);
        assert!(season.orders.0[1].ma + season.orders.0[1].ar > 0, "{season:?}");
    }

    #[test]
    fn the_order_of_an_autoregression_is_recovered_or_beaten() {
        let values = simulated(&Polynomial::of(&[-1.2, 0.6], 1), &Polynomial::one(), 600);
        let best = found(&values, &[]);
        let truth = Orders(vec![Part { stride: 1, ar: 2, ma: 0 }]);
        let sample = Sample { values: &values, seen: &[true; 600] };
        let estimate = least_squares(sample, &truth, truth.start()).unwrap();
        assert!(best.criterion <= criterion(&estimate, &truth, 600).unwrap() + 1e-6, "{best:?}");
    }

    #[test]
    fn neighbours_differ_by_one_term_a_side_and_stay_in_bounds() {
        let part = |ar, ma| Part { stride: 1, ar, ma };
        assert_eq!(neighbours(&Orders(vec![part(0, 0)])).len(), 3);
        let edge = neighbours(&Orders(vec![part(settings::ARIMA_PLAIN_MOST, 1)]));
        assert!(edge.iter().all(|o| o.0[0].ar <= settings::ARIMA_PLAIN_MOST));
    }
}
