//! The network of `forecast::models::lstm` once more, on tensors that know their gradients.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use forecast::models::lstm::shape::{CANDIDATES, LEVELS, MEDIAN};
use forecast::models::lstm::{Origin, Shape, Weights, WeightsError};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::batch::Batch;

/// The matrices of a network, in the order of its file.
pub struct Network {
    shape: Shape,
    variables: Vec<Var>,
}

impl Network {
    /// A network that knows nothing yet: weights evenly drawn within one over the root of the
    /// number of inputs, forget gates open (Jozefowicz et al. 2015), other biases zero.
    pub fn new(shape: Shape, draw: &mut ChaCha8Rng) -> Result<Self> {
        let mut variables = Vec::new();
        for (place, (rows, columns)) in shape.matrices().into_iter().enumerate() {
            let mut numbers = vec![0.0_f32; rows * columns];
            if place == FORGET_BIAS {
                numbers[shape.cell..2 * shape.cell].fill(1.0);
            } else if rows > 1 {
                let most = 1.0 / (rows as f32).sqrt();
                numbers.iter_mut().for_each(|n| *n = draw.random_range(-most..most));
            }
            variables.push(Var::from_vec(numbers, (rows, columns), &Device::Cpu)?);
        }
        Ok(Self { shape, variables })
    }

    /// The network of a file.
    pub fn of(weights: &Weights) -> Result<Self> {
        let mut rest = weights.numbers();
        let mut variables = Vec::new();
        for (rows, columns) in weights.shape().matrices() {
            let (own, others) = rest.split_at(rows * columns);
            rest = others;
            variables.push(Var::from_slice(own, (rows, columns), &Device::Cpu)?);
        }
        Ok(Self { shape: weights.shape(), variables })
    }

    /// The sizes of the network.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What is learned.
    pub fn variables(&self) -> &[Var] {
        &self.variables
    }

    /// The file of this network as it is now.
    pub fn weights(&self, origin: Origin) -> std::result::Result<Weights, crate::TrainError> {
        let mut numbers = Vec::with_capacity(self.shape.parameters());
        for variable in &self.variables {
            numbers.extend(variable.flatten_all()?.to_vec1::<f32>()?);
        }
        Weights::new(self.shape, origin, numbers).map_err(|error: WeightsError| error.into())
    }

    /// The state of the cell at each origin of each window: rows in their order.
    fn memories(&self, batch: &Batch) -> Result<Tensor> {
        let units = self.shape.cell;
        let (weights, bias) = (self.variables[0].as_tensor(), self.variables[1].as_tensor());
        let mut output = Tensor::zeros((batch.windows, units), DType::F32, &Device::Cpu)?;
        let mut kept = output.clone();
        let mut seen = Vec::new();
        for (row, asked) in &batch.cell {
            let inputs = Tensor::cat(&[row, &output], 1)?;
            let sums = inputs.matmul(weights)?.broadcast_add(bias)?;
            let gates = candle_nn::ops::sigmoid(&sums.narrow(1, 0, 3 * units)?)?;
            let gate = |place: usize| gates.narrow(1, place * units, units);
            let new = sums.narrow(1, 3 * units, units)?.tanh()?;
            kept = ((gate(1)? * kept)? + (gate(0)? * new)?)?;
            output = (gate(2)? * kept.tanh()?)?;
            if *asked {
                seen.push(output.clone());
            }
        }
        let origins = seen.len();
        Tensor::stack(&seen, 1)?.reshape((batch.windows * origins, units))
    }

    /// The quantiles of every step of a batch, one column for each level.
    pub fn quantiles(&self, batch: &Batch) -> Result<Tensor> {
        let v = |place: usize| self.variables[place].as_tensor();
        let known = Tensor::cat(&[&self.memories(batch)?, &batch.statics], 1)?;
        let origins = known.dim(0)?;
        let steps = batch.steps.dim(0)?;
        let known = known.matmul(v(2))?.broadcast_add(v(4))?;
        let own = batch.steps.matmul(v(3))?.reshape((origins, steps / origins, self.shape.head))?;
        let hidden = own.broadcast_add(&known.unsqueeze(1)?)?.tanh()?;
        let outputs =
            hidden.reshape((steps, self.shape.head))?.matmul(v(5))?.broadcast_add(v(6))?;
        let shares = candle_nn::ops::softmax(&outputs.narrow(1, 0, CANDIDATES)?, D::Minus1)?;
        let mean = (shares * &batch.candidates)?.sum_keepdim(1)?;
        let median = (mean + outputs.narrow(1, CANDIDATES, 1)?)?;
        let gaps = softplus(&outputs.narrow(1, CANDIDATES + 1, LEVELS.len() - 1)?)?;
        let gap = |place: usize| gaps.narrow(1, place, 1);
        let mut below = vec![median.clone()];
        for place in (0..MEDIAN).rev() {
            below.push((&below[below.len() - 1] - gap(place)?)?);
        }
        below.reverse();
        for place in MEDIAN + 1..LEVELS.len() {
            below.push((&below[below.len() - 1] + gap(place - 1)?)?);
        }
        Tensor::cat(&below, 1)
    }

    /// The sum of the pinball losses over all steps and levels.
    pub fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let levels = Tensor::new(&LEVELS, &Device::Cpu)?.unsqueeze(0)?;
        let errors = batch.targets.broadcast_sub(&self.quantiles(batch)?)?;
        let above = errors.relu()?.broadcast_mul(&levels)?;
        let below = errors.neg()?.relu()?.broadcast_mul(&(1.0 - levels)?)?;
        (above + below)?.broadcast_mul(&batch.known)?.sum_all()
    }
}

/// The place of the biases of the cell.
const FORGET_BIAS: usize = 1;

/// `ln(1 + eˣ)` as `max(x, 0) + ln(1 + e^−|x|)`.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}
