//! The innovations state space: states that move by the one-step error.

use serde::{Deserialize, Serialize};

use super::form::{Cycle, Form, Noise};
use crate::settings;

/// The smoothing weights. Within `0 < β < α < 1`, `0 < γ < 1 − α`, `0.8 ≤ φ ≤ 0.98` (the usual
/// region) past values weigh less the older they are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Weights {
    pub(crate) level: f64,
    pub(crate) trend: f64,
    pub(crate) cycle: f64,
    pub(crate) damping: f64,
}

/// Level, slope and the phases of the season; `phase` is that of the next value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) level: f64,
    pub(crate) slope: f64,
    pub(crate) cycle: Vec<f64>,
    pub(crate) phase: usize,
}

/// Values with the marks of those that were seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) observed: &'a [bool],
}

/// What one step expected, and by how much the value differed.
struct Step {
    fitted: f64,
    error: f64,
}

// The parts of a form as constants, so that the loop over the values of each form is compiled by
// itself and without branches.
const ADDITIVE: u8 = 0;
const MULTIPLICATIVE: u8 = 1;
const NONE: u8 = 2;

impl State {
    #[inline(always)]
    fn step<const CYCLE: u8>(&mut self, w: &Weights, value: f64, seen: bool) -> Step {
        let base = self.level + w.damping * self.slope;
        // A level that a season multiplies stays positive.
        let base = if CYCLE == MULTIPLICATIVE { base.max(settings::ETS_LEAST) } else { base };
        let s = if CYCLE == NONE { 0.0 } else { self.cycle[self.phase] };
        let fitted = match CYCLE {
            ADDITIVE => base + s,
            MULTIPLICATIVE => base * s,
            _ => base,
        };
        let error = if seen { value - fitted } else { 0.0 };
        let move_of_level = if CYCLE == MULTIPLICATIVE { error / s } else { error };
        self.level = base + w.level * move_of_level;
        self.slope = w.damping * self.slope + w.trend * move_of_level;
        if CYCLE != NONE {
            let change = if CYCLE == MULTIPLICATIVE { error / base } else { error };
            self.cycle[self.phase] = s + w.cycle * change;
            self.phase += 1;
            if self.phase == self.cycle.len() {
                self.phase = 0;
            }
        }
        Step { fitted, error }
    }

    /// Runs over the values and returns `−2 ln L` up to a constant:
    /// `n ln Σ ε² + 2 Σ ln |ŷ|` (the second term for relative errors alone). Infinite where the
    /// form cannot describe them.
    fn run<const NOISE: u8, const CYCLE: u8>(&mut self, w: &Weights, seen: Seen<'_>) -> f64 {
        let (mut squares, mut count) = (0.0, 0usize);
        let (mut logs, mut product) = (0.0, 1.0_f64);
        for (i, (value, observed)) in seen.values.iter().zip(seen.observed).enumerate() {
            let Step { fitted, error } = self.step::<CYCLE>(w, *value, *observed);
            if (NOISE == MULTIPLICATIVE || CYCLE == MULTIPLICATIVE)
                && !(settings::ETS_LEAST..settings::ETS_MOST).contains(&fitted)
            {
                return f64::INFINITY;
            }
            if NOISE == MULTIPLICATIVE {
                squares += (error / fitted).powi(2);
                product *= if *observed { fitted } else { 1.0 };
                // One logarithm for a few values: their product stays in range.
                if i % LOGARITHM_EVERY == 0 {
                    logs += product.ln();
                    product = 1.0;
                }
            } else {
                squares += error * error;
            }
            count += usize::from(*observed);
        }
        logs += product.ln();
        let n = count as f64;
        n * (squares.max(settings::ETS_NO_ERROR * n)).ln() + 2.0 * logs
    }

    /// [`State::run`] for a form.
    pub(crate) fn likelihood(&mut self, form: Form, w: &Weights, seen: Seen<'_>) -> f64 {
        let Form { noise, cycle, .. } = form;
        match (noise, cycle) {
            (Noise::Additive, Cycle::None) => self.run::<ADDITIVE, NONE>(w, seen),
            (Noise::Additive, Cycle::Additive) => self.run::<ADDITIVE, ADDITIVE>(w, seen),
            (Noise::Additive, Cycle::Multiplicative) => {
                self.run::<ADDITIVE, MULTIPLICATIVE>(w, seen)
            }
            (Noise::Multiplicative, Cycle::None) => self.run::<MULTIPLICATIVE, NONE>(w, seen),
            (Noise::Multiplicative, Cycle::Additive) => {
                self.run::<MULTIPLICATIVE, ADDITIVE>(w, seen)
            }
            (Noise::Multiplicative, Cycle::Multiplicative) => {
                self.run::<MULTIPLICATIVE, MULTIPLICATIVE>(w, seen)
            }
        }
    }

    /// Takes in one value; without one the states move as expected.
    pub(crate) fn update(&mut self, cycle: Cycle, w: &Weights, value: Option<f64>) {
        let (value, seen) = (value.unwrap_or(0.0), value.is_some());
        match cycle {
            Cycle::None => self.step::<NONE>(w, value, seen),
            Cycle::Additive => self.step::<ADDITIVE>(w, value, seen),
            Cycle::Multiplicative => self.step::<MULTIPLICATIVE>(w, value, seen),
        };
    }

    /// The next `horizon` values that the states expect.
    pub(crate) fn ahead(&self, cycle: Cycle, w: &Weights, horizon: usize) -> Vec<f64> {
        let (mut base, mut slope) = (self.level, self.slope);
        (0..horizon)
            .map(|h| {
                slope *= w.damping;
                base += slope;
                let phase = |h: usize| self.cycle[(self.phase + h) % self.cycle.len()];
                match cycle {
                    Cycle::None => base,
                    Cycle::Additive => base + phase(h),
                    Cycle::Multiplicative => base * phase(h),
                }
            })
            .collect()
    }

    /// Whether all states are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.level.is_finite() && self.slope.is_finite() && self.cycle.iter().all(|s| s.is_finite())
    }
}

/// Values whose logarithms are taken together; each is between [`settings::ETS_LEAST`] and
/// [`settings::ETS_MOST`].
const LOGARITHM_EVERY: usize = 8;
