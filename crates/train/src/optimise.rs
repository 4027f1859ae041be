//! Descent along the gradients: Adam (Kingma and Ba 2015) with gradients that are cut to a
//! greatest length, and a rate that rises for a moment and falls as a cosine does.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use forecast::models::lstm::examples::Window;
use rayon::prelude::*;

use crate::batch::Batch;
use crate::network::Network;
use crate::settings;

/// A descent over some epochs.
pub struct Descent {
    epochs: u32,
    batches: f64,
    adam: Option<AdamW>,
}

impl Descent {
    pub fn new(_network: &Network, epochs: u32) -> Self {
        Self { epochs, batches: 0.0, adam: None }
    }

    /// Learns from the windows once; the mean loss.
    pub fn epoch(&mut self, network: &Network, windows: &[Window], number: u32) -> Result<f64> {
        // Windows of one series lie together: each batch takes every n-th, so that it mixes them.
        let batches = windows.len().div_ceil(settings::BATCH);
        let (mut sum, mut count) = (0.0, 0.0);
        for batch in 0..batches {
            let own: Vec<&Window> = windows.iter().skip(batch).step_by(batches).collect();
            let done = f64::from(number - 1) + batch as f64 / batches as f64;
            let share = done / f64::from(self.epochs);
            let falling = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
            let rising = ((self.batches + 1.0) / settings::RISING_BATCHES).min(1.0);
            let least = settings::RATE_LEAST;
            let rate = settings::RATE * rising * (least + (1.0 - least) * falling);
            let (loss, known) = self.step(network, &own, rate)?;
            self.batches += 1.0;
            sum += loss;
            count += known;
        }
        Ok(sum / count)
    }

    /// One step down: the sum of the losses, and how many they are.
    fn step(&mut self, network: &Network, windows: &[&Window], rate: f64) -> Result<(f64, f64)> {
        let parts: Vec<&[&Window]> =
            windows.chunks(windows.len().div_ceil(settings::PARTS)).collect();
        let one = |part: &&[&Window]| {
            let batch = Batch::of(part, network.shape())?;
            let loss = network.loss(&batch)?;
            let gradients = loss.backward()?;
            Ok((f64::from(loss.to_scalar::<f32>()?), batch.count, gradients))
        };
        let done: Vec<(f64, f64, GradStore)> =
            parts.par_iter().map(one).collect::<Result<Vec<_>>>()?;
        let levels = forecast::models::lstm::LEVELS.len() as f64;
        let count = levels * done.iter().map(|(_, count, _)| count).sum::<f64>();
        if count == 0.0 {
            return Ok((0.0, 0.0));
        }
        let loss = done.iter().map(|(loss, ..)| loss).sum::<f64>();
        let mut sums: Vec<Tensor> = Vec::new();
        for variable in network.variables() {
            let mut own = done.iter().filter_map(|(.., gradients)| gradients.get(variable));
            let first = own.next().cloned().map_or_else(|| variable.zeros_like(), Ok)?;
            sums.push((own.try_fold(first, |sum, next| sum + next)? / count)?);
        }
        let mut square = 0.0;
        for sum in &sums {
            square += f64::from(sum.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let shrink = if square.is_finite() {
            (settings::GRADIENT_MOST / square.sqrt().max(1e-12)).min(1.0)
        } else {
            0.0
        };
        let mut store = done.into_iter().next().expect("a batch has a part").2;
        for (variable, sum) in network.variables().iter().zip(sums) {
            store.insert(variable, (sum * shrink)?);
        }
        let adam = match &mut self.adam {
            Some(adam) => adam,
            none => none.insert(AdamW::new(
                network.variables().to_vec(),
                ParamsAdamW { lr: rate, weight_decay: settings::DECAY, ..ParamsAdamW::default() },
            )?),
        };
        adam.set_learning_rate(rate);
        adam.step(&store)?;
        Ok((loss, count))
    }
}
