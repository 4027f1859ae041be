//! What a rollout came to, over what its first plan said.

use plotters::prelude::*;

use super::plan::RED;
use super::{Area, BLUE, Drawing, Drawn, INK, frame, seconds};
use crate::cli::render::outcome::{Outcome, SLICES};
use crate::cli::render::time::number;

impl Outcome {
    /// The stretches of a list without gaps, as steps.
    fn stairs(&self, list: &[f64]) -> Vec<Vec<(f64, f64)>> {
        let mut lines: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
        for (slice, value) in list.iter().enumerate().take(SLICES) {
            if !value.is_finite() {
                lines.push(Vec::new());
                continue;
            }
            let line = lines.last_mut().expect("there is one at first");
            line.extend([slice, slice + 1].map(|slice| (seconds(self.at(slice)), *value)));
        }
        lines.retain(|line| !line.is_empty());
        lines
    }
}

impl Drawing for Outcome {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let most = self.values().fold(0.0, f64::max);
        if most <= 0.0 {
            return area.fill(&WHITE);
        }
        let title = format!(
            "{}: load (red) over its forecast (blue), capacity (dark) and as planned (light), batches \
             (grey) and as planned (hollow)",
            self.title
        );
        let (times, room) = ((seconds(self.from), seconds(self.to)), 0.08 * most);
        let mut chart = frame(area, &title, times, (-2.0 * room, most + room), Some(number))?;
        for line in self.stairs(&self.upper) {
            let floor = self.stairs(&self.mean);
            let floor = floor.iter().flatten().rev().copied();
            let edge: Vec<(f64, f64)> = line.iter().copied().chain(floor).collect();
            chart.draw_series(std::iter::once(Polygon::new(edge, BLUE.mix(0.16))))?;
        }
        let lines = [
            (&self.mean, BLUE.stroke_width(1)),
            (&self.planned, INK.mix(0.35).stroke_width(2)),
            (&self.came, INK.stroke_width(2)),
            (&self.load, RED.stroke_width(2)),
        ];
        for (list, style) in lines {
            for line in self.stairs(list) {
                chart.draw_series(LineSeries::new(line, style))?;
            }
        }
        let looks = self.looks.iter().map(|(at, value)| (seconds(*at), *value));
        chart.draw_series(looks.map(|place| Circle::new(place, 4, RED.filled())))?;
        let bar = |batch: &(u32, _, _), row: f64, style: ShapeStyle| {
            let (top, bottom) = (-room * row, -room * (row + 0.8));
            Rectangle::new([(seconds(batch.1), top), (seconds(batch.2), bottom)], style)
        };
        let hollow = INK.mix(0.6).stroke_width(1);
        chart.draw_series(self.plan_batches.iter().map(|batch| bar(batch, 0.1, hollow)))?;
        let filled = INK.mix(0.55).filled();
        chart.draw_series(self.batches.iter().map(|batch| bar(batch, 1.1, filled)))?;
        Ok(())
    }
}
