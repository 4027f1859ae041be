//! Windows as tensors.

use candle_core::{Device, Result, Tensor};
use forecast::models::lstm::examples::{LENGTH, ORIGINS, SPACING, STEPS, Window};
use forecast::models::lstm::shape::{CANDIDATES, STATICS};
use forecast::models::lstm::{Shape, WARM};

/// Some windows side by side.
pub struct Batch {
    /// How many.
    pub windows: usize,
    /// What the cell sees, value by value, and whether an origin follows it.
    pub cell: Vec<(Tensor, bool)>,
    /// What is known of the series, a row for each origin.
    pub statics: Tensor,
    /// What is known of the steps, a row for each.
    pub steps: Tensor,
    /// Their naive forecasts.
    pub candidates: Tensor,
    /// What came, 0 where nothing did: one column.
    pub targets: Tensor,
    /// 1 where something came: one column.
    pub known: Tensor,
    /// How many steps that are.
    pub count: f64,
}

impl Batch {
    /// The windows as tensors.
    pub fn of(windows: &[&Window], shape: Shape) -> Result<Self> {
        let (device, n) = (&Device::Cpu, windows.len());
        let (origins, steps) = (n * ORIGINS, n * ORIGINS * STEPS);
        let row = |place: usize| {
            let width = shape.cell_inputs();
            let own = |w: &&Window| w.cell[place * width..(place + 1) * width].to_vec();
            let numbers: Vec<f32> = windows.iter().flat_map(own).collect();
            let asked = place + 1 >= WARM && (place + 1 - WARM).is_multiple_of(SPACING);
            Ok((Tensor::from_vec(numbers, (n, width), device)?, asked))
        };
        let table = |part: fn(&Window) -> &[f32], rows: usize, width: usize| {
            let numbers: Vec<f32> = windows.iter().flat_map(|w| part(w).iter().copied()).collect();
            Tensor::from_vec(numbers, (rows, width), device)
        };
        let came = windows.iter().flat_map(|w| w.targets.iter().copied());
        let known: Vec<f32> = came.clone().map(|v| f32::from(v.is_finite())).collect();
        let targets: Vec<f32> = came.map(|v| if v.is_finite() { v } else { 0.0 }).collect();
        Ok(Self {
            windows: n,
            cell: (0..LENGTH).map(row).collect::<Result<_>>()?,
            statics: table(|w| &w.statics, origins, STATICS)?,
            steps: table(|w| &w.steps, steps, shape.step_inputs())?,
            candidates: table(|w| &w.candidates, steps, CANDIDATES)?,
            count: known.iter().map(|k| f64::from(*k)).sum(),
            targets: Tensor::from_vec(targets, (steps, 1), device)?,
            known: Tensor::from_vec(known, (steps, 1), device)?,
        })
    }
}
