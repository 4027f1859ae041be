//! Where the states start: the classical season, and a line through what is left at first.

use super::filter::State;
use super::form::{Cycle, Form, Trend};
use crate::classical::{self, Season};
use crate::settings;

/// The starting states of a form. The phases are those of the whole history (with a small
/// weight of the season they are what the whole history says), level and slope those of its
/// first cycles.
pub(crate) fn start(values: &[f64], form: Form, period: usize) -> State {
    let (cycle, adjusted): (Vec<f64>, Vec<f64>) = match form.cycle {
        Cycle::None => (Vec::new(), values.to_vec()),
        Cycle::Additive => {
            let phases = classical::phases(values, period, Season::Additive);
            let rest = values.iter().enumerate().map(|(i, v)| v - phases[i % period]).collect();
            (phases, rest)
        }
        Cycle::Multiplicative => {
            let mut phases = classical::phases(values, period, Season::Multiplicative);
            phases.iter_mut().for_each(|p| *p = p.max(settings::ETS_LEAST_PHASE));
            let rest = values.iter().enumerate().map(|(i, v)| v / phases[i % period]).collect();
            (phases, rest)
        }
    };
    let reach = if form.cycle == Cycle::None { 1 } else { period };
    let head = &adjusted[..adjusted.len().min((2 * reach).max(settings::ETS_START))];
    let mean = head.iter().sum::<f64>() / head.len().max(1) as f64;
    if form.trend == Trend::None {
        return State { level: mean, slope: 0.0, cycle, phase: 0 };
    }
    let middle = 0.5 * (head.len() as f64 - 1.0);
    let (mut cross, mut square) = (0.0, 0.0);
    for (i, value) in head.iter().enumerate() {
        let x = i as f64 - middle;
        cross += x * (value - mean);
        square += x * x;
    }
    let slope = if square > 0.0 { cross / square } else { 0.0 };
    State { level: mean - slope * (middle + 1.0), slope, cycle, phase: 0 }
}
