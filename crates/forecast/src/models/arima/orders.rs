//! How many terms a model has, and what the free numbers of an optimiser mean for them.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::polynomial::{self, Polynomial};
use crate::settings;

/// The terms at one stride: 1 for the plain part, else a season.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Steps between neighbouring lags.
    pub(super) stride: usize,
    /// Autoregressive terms.
    pub(super) ar: usize,
    /// Moving-average terms.
    pub(super) ma: usize,
}

/// The parts of a multiplicative model; strides rise and the first is 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Orders(pub(super) Vec<Part>);

/// One factor `1 − Σ_i c_i B^{i·stride}` of a polynomial.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Factor {
    pub(super) stride: usize,
    pub(super) coefficients: Vec<f64>,
}

/// Both polynomials as their factors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Factors {
    pub(super) ar: Vec<Factor>,
    pub(super) ma: Vec<Factor>,
}

impl Orders {
    /// How many free numbers there are.
    pub(super) fn parameters(&self) -> usize {
        self.0.iter().map(|part| part.ar + part.ma).sum()
    }

    /// How far back the autoregression reaches.
    pub(super) fn reach(&self) -> usize {
        self.0.iter().map(|part| part.ar * part.stride).sum()
    }

    /// The length of the state of an exact filter.
    pub(super) fn state(&self) -> usize {
        let ma: usize = self.0.iter().map(|part| part.ma * part.stride).sum();
        self.reach().max(ma + 1)
    }

    /// The factors for free numbers: per part, first those of the autoregression. All are
    /// stationary and invertible.
    pub(super) fn factors(&self, free: &[f64]) -> Factors {
        let mut factors = Factors { ar: Vec::new(), ma: Vec::new() };
        let mut from = 0;
        for part in &self.0 {
            for (count, list) in [(part.ar, &mut factors.ar), (part.ma, &mut factors.ma)] {
                if count > 0 {
                    let coefficients = polynomial::stationary(&free[from..from + count]);
                    list.push(Factor { stride: part.stride, coefficients });
                }
                from += count;
            }
        }
        factors
    }

    /// The exact filter before the first value; `None` near a unit root.
    pub(super) fn filter(&self, free: &[f64]) -> Option<Filter> {
        let factors = self.factors(free);
        Filter::stationary(&factors.autoregression(), &factors.moving_average())
    }

    /// Free numbers to start from where nothing is known.
    pub(super) fn start(&self) -> Vec<f64> {
        let none = self.0.iter().map(|part| Part { ar: 0, ma: 0, ..*part }).collect();
        self.warm(&Self(none), &[])
    }

    /// Free numbers for these orders, from those of a neighbour: what both have is kept.
    pub(super) fn warm(&self, other: &Self, free: &[f64]) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.parameters());
        let mut from = 0;
        for (part, old) in self.0.iter().zip(&other.0) {
            for (count, had, fresh) in [
                (part.ar, old.ar, settings::ARIMA_START_AR),
                (part.ma, old.ma, settings::ARIMA_START_MA),
            ] {
                out.extend((0..count).map(|i| if i < had { free[from + i] } else { fresh }));
                from += had;
            }
        }
        out
    }
}

impl Factors {
    /// The autoregressive polynomial.
    pub(super) fn autoregression(&self) -> Polynomial {
        product(&self.ar)
    }

    /// The moving-average polynomial.
    pub(super) fn moving_average(&self) -> Polynomial {
        product(&self.ma)
    }
}

fn product(factors: &[Factor]) -> Polynomial {
    factors.iter().fold(Polynomial::one(), |product, factor| {
        let negated: Vec<f64> = factor.coefficients.iter().map(|c| -c).collect();
        product.times(&Polynomial::of(&negated, factor.stride))
    })
}
