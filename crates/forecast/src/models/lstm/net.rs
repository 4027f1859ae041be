//! The network: one cell of long short-term memory, and a head that looks at one step ahead.
//!
//! The cell is that of Hochreiter and Schmidhuber (1997) with the forget gate of Gers,
//! Schmidhuber and Cummins (2000). The head is a hidden layer over the state of the cell, what is
//! known of the series, and what is known of the step, as the local decoder of the multi-horizon
//! quantile network (Wen et al. 2017) is. Of its outputs come weights of the naive forecasts of
//! the step (a softmax), a correction of their mean, and the gaps between the quantiles, which
//! are positive, so that no quantiles cross.

use super::shape::{CANDIDATES, LEVELS, MEDIAN, OUTPUTS};
use super::track::Step;
use super::weights::Weights;

/// The state of a cell.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Memory {
    /// What the cell says.
    pub(crate) output: Vec<f32>,
    /// What it keeps to itself.
    pub(crate) kept: Vec<f32>,
}

impl Memory {
    /// That of a cell which has seen nothing.
    pub(crate) fn empty(units: usize) -> Self {
        Self { output: vec![0.0; units], kept: vec![0.0; units] }
    }
}

/// `out += inputs · rows`, a row of `rows` for each input.
fn add_product(inputs: &[f32], rows: &[f32], out: &mut [f32]) {
    for (input, row) in inputs.iter().zip(rows.chunks_exact(out.len())) {
        out.iter_mut().zip(row).for_each(|(out, weight)| *out += input * weight);
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// By one exponential, which is faster than the library's and as exact as single precision.
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / ((2.0 * x).exp() + 1.0)
}

/// `ln(1 + eˣ)`, without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// One value further. `gates` is room for the sums.
pub(crate) fn advance(
    weights: &Weights,
    memory: &mut Memory,
    inputs: &[f32],
    gates: &mut Vec<f32>,
) {
    let units = weights.shape().cell;
    gates.clear();
    gates.extend_from_slice(weights.matrix(1));
    let (from_inputs, from_output) = weights.matrix(0).split_at(inputs.len() * 4 * units);
    add_product(inputs, from_inputs, gates);
    add_product(&memory.output, from_output, gates);
    for unit in 0..units {
        let gate = |place: usize| gates[place * units + unit];
        let (enter, forget, leave, new) = (gate(0), gate(1), gate(2), gate(3));
        let kept = sigmoid(forget) * memory.kept[unit] + sigmoid(enter) * tanh(new);
        memory.kept[unit] = kept;
        memory.output[unit] = sigmoid(leave) * tanh(kept);
    }
}

/// The head at one origin: what does not change with the step is summed once.
pub(crate) struct Head<'a> {
    weights: &'a Weights,
    origin: Vec<f32>,
    hidden: Vec<f32>,
    outputs: [f32; OUTPUTS],
}

impl<'a> Head<'a> {
    pub(crate) fn new(weights: &'a Weights, memory: &Memory, statics: &[f32]) -> Self {
        let mut origin = weights.matrix(4).to_vec();
        let (from_cell, from_statics) =
            weights.matrix(2).split_at(memory.output.len() * origin.len());
        add_product(&memory.output, from_cell, &mut origin);
        add_product(statics, from_statics, &mut origin);
        let hidden = Vec::with_capacity(origin.len());
        Self { weights, origin, hidden, outputs: [0.0; OUTPUTS] }
    }

    /// The median of a step, in units of the series above the first candidate.
    pub(crate) fn median(&mut self, step: &Step) -> f32 {
        self.hidden.clear();
        self.hidden.extend_from_slice(&self.origin);
        add_product(&step.inputs, self.weights.matrix(3), &mut self.hidden);
        self.hidden.iter_mut().for_each(|unit| *unit = tanh(*unit));
        self.outputs.copy_from_slice(self.weights.matrix(6));
        add_product(&self.hidden, self.weights.matrix(5), &mut self.outputs);
        let scores = &self.outputs[..CANDIDATES];
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut sum, mut total) = (0.0, 0.0);
        for (score, candidate) in scores.iter().zip(step.candidates) {
            let weight = (score - most).exp();
            sum += weight * candidate;
            total += weight;
        }
        sum / total + self.outputs[CANDIDATES]
    }

    /// All quantiles of a step, in units of the series above the first candidate.
    pub(crate) fn quantiles(&mut self, step: &Step) -> [f32; LEVELS.len()] {
        let median = self.median(step);
        let gaps = &self.outputs[CANDIDATES + 1..];
        let mut quantiles = [median; LEVELS.len()];
        for place in (0..MEDIAN).rev() {
            quantiles[place] = quantiles[place + 1] - softplus(gaps[place]);
        }
        for place in MEDIAN + 1..LEVELS.len() {
            quantiles[place] = quantiles[place - 1] + softplus(gaps[place - 1]);
        }
        quantiles
    }
}
