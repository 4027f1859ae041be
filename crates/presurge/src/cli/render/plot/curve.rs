//! Losses over the epochs of a training.

use plotters::prelude::*;

use super::{Area, BLUE, Drawing, Drawn, INK};
use crate::cli::render::time::number;

/// One picture.
pub struct Curve {
    /// The line above it.
    pub title: String,
    /// The loss on what is learned from and on what is held out, epoch by epoch.
    pub epochs: Vec<(f64, f64)>,
    /// What the held-out loss has to beat.
    pub beside: f64,
}

impl Drawing for Curve {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        area.fill(&WHITE)?;
        let own = self.epochs.iter().flat_map(|(learned, held_out)| [*learned, *held_out]);
        let all = own.chain([self.beside]).filter(|loss| loss.is_finite());
        let (low, high) =
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Ok(());
        }
        let room = if high > low { 0.05 * (high - low) } else { 1.0 };
        let last = (self.epochs.len() as f64).max(2.0);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 16).into_font().color(&INK))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(1.0..last, low - room..high + room)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.4))
            .x_label_formatter(&|epoch: &f64| format!("{epoch:.0}"))
            .y_label_formatter(&|loss: &f64| number(*loss))
            .draw()?;
        let line = |loss: fn(&(f64, f64)) -> f64| {
            self.epochs.iter().enumerate().map(move |(e, losses)| ((e + 1) as f64, loss(losses)))
        };
        chart.draw_series(LineSeries::new(line(|e| e.0), INK.stroke_width(1)))?;
        chart.draw_series(LineSeries::new(line(|e| e.1), BLUE.stroke_width(2)))?;
        let beside = [(1.0, self.beside), (last, self.beside)];
        chart.draw_series(DashedLineSeries::new(beside, 6, 4, INK.mix(0.6).stroke_width(1)))?;
        Ok(())
    }
}
