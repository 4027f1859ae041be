//! A plan: load and capacity over time, and which batch is out when.

use domain::name::Dimension;
use domain::plan::{Plan, TimelineEntry};
use plotters::prelude::*;

use super::{Area, BLUE, Drawing, Drawn, INK, frame, seconds};
use crate::cli::render::time::{number, percent};

/// What the surge adds.
pub const GREEN: RGBColor = RGBColor(62, 142, 65);
/// What is missing, or may be.
pub const RED: RGBColor = RGBColor(190, 48, 48);

/// The pictures of a plan: one for each dimension of load, then the batches and the risk.
pub fn rollout<'a>(plan: &'a Plan, units: &'a [(Dimension, String)]) -> Vec<Box<dyn Drawing + 'a>> {
    let mut list: Vec<Box<dyn Drawing + 'a>> = Vec::new();
    for (dimension, unit) in units {
        list.push(Box::new(Capacity { plan, dimension, unit }));
    }
    list.push(Box::new(Batches { plan }));
    list.push(Box::new(Risk { plan }));
    list
}

/// A title with the fleet of the plan: a page may hold the pictures of several.
fn of_fleet(plan: &Plan, title: &str) -> String {
    let fleet = plan.timeline.first().map(|entry| entry.fleet.as_str());
    format!("{}: {title}", fleet.unwrap_or_default())
}

/// The moments that a plan is about, in seconds.
fn span(plan: &Plan) -> (f64, f64) {
    let first = plan.timeline.first().map_or(plan.start_at, |entry| entry.from);
    let last = plan.timeline.last().map_or(plan.done_at, |entry| entry.to);
    (seconds(first), seconds(last).max(seconds(first) + 1.0))
}

/// Load with its band, and the capacity that the plan keeps in service.
struct Capacity<'a> {
    plan: &'a Plan,
    dimension: &'a Dimension,
    unit: &'a str,
}

impl Capacity<'_> {
    /// What is read off an entry, as a step line.
    fn steps(&self, value: impl Fn(&TimelineEntry) -> Option<f64>) -> Vec<(f64, f64)> {
        let corners = |entry: &TimelineEntry| {
            let value = value(entry)?;
            Some([(seconds(entry.from), value), (seconds(entry.to), value)])
        };
        self.plan.timeline.iter().filter_map(corners).flatten().collect()
    }
}

impl Drawing for Capacity<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let capacity = self.steps(|entry| entry.capacity.get(self.dimension).copied());
        let mean = self.steps(|entry| entry.load.get(self.dimension).map(|load| load.mean));
        let upper = self.steps(|entry| entry.load.get(self.dimension).map(|load| load.upper));
        let own = self.steps(|entry| {
            let all = entry.in_service + entry.surge;
            let capacity = entry.capacity.get(self.dimension)?;
            Some(capacity * f64::from(entry.in_service) / f64::from(all.max(1)))
        });
        let most = capacity.iter().chain(&upper).map(|(_, value)| *value).fold(0.0, f64::max);
        let title = format!(
            "{} in {}: expected, upper edge, and capacity (green: by surge)",
            self.dimension, self.unit
        );
        let most = (most * 1.08).max(f64::MIN_POSITIVE);
        let title = of_fleet(self.plan, &title);
        let mut chart = frame(area, &title, span(self.plan), (0.0, most), Some(number))?;
        for (line, fill) in [(&capacity, GREEN.mix(0.25)), (&own, WHITE.mix(1.0))] {
            chart.draw_series(std::iter::once(Polygon::new(floored(line), fill)))?;
        }
        chart.draw_series(std::iter::once(Polygon::new(floored(&own), INK.mix(0.10))))?;
        let band: Vec<(f64, f64)> =
            upper.iter().copied().chain(mean.iter().rev().copied()).collect();
        chart.draw_series(std::iter::once(Polygon::new(band, BLUE.mix(0.16))))?;
        chart.draw_series(LineSeries::new(upper, BLUE.mix(0.6).stroke_width(1)))?;
        chart.draw_series(LineSeries::new(mean, BLUE.stroke_width(2)))?;
        chart.draw_series(LineSeries::new(capacity, INK.stroke_width(2)))?;
        Ok(())
    }
}

/// The area below a line.
pub fn floored(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let ends = line.last().zip(line.first()).map(|(last, first)| [(last.0, 0.0), (first.0, 0.0)]);
    line.iter().copied().chain(ends.into_iter().flatten()).collect()
}

/// Which batch is out when, and when each order of surge is paid for and carries load.
struct Batches<'a> {
    plan: &'a Plan,
}

impl Drawing for Batches<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let rows = self.plan.batches.len() + self.plan.surge.len();
        let what = "batches out (grey), surge paid for (light green) and carrying load (green)";
        let title = of_fleet(self.plan, what);
        let mut chart = frame(area, &title, span(self.plan), (rows.max(1) as f64, 0.0), None)?;
        let bar = |row: usize, start, end, style: ShapeStyle| {
            let (top, bottom) = (row as f64 + 0.12, row as f64 + 0.88);
            Rectangle::new([(seconds(start), top), (seconds(end), bottom)], style)
        };
        let surge = self.plan.surge.iter().enumerate();
        let paid =
            surge.clone().map(|(row, s)| bar(row, s.order_at, s.end_at, GREEN.mix(0.25).filled()));
        chart.draw_series(paid)?;
        let ready = surge.map(|(row, s)| bar(row, s.ready_at, s.release_at, GREEN.filled()));
        chart.draw_series(ready)?;
        let first = self.plan.surge.len();
        let out = self.plan.batches.iter().enumerate();
        let out = out.map(|(row, b)| bar(first + row, b.out_at, b.back_at, INK.mix(0.55).filled()));
        chart.draw_series(out)?;
        Ok(())
    }
}

/// The probability of overload over time.
struct Risk<'a> {
    plan: &'a Plan,
}

impl Drawing for Risk<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let (from, to) = span(self.plan);
        let timeline = &self.plan.timeline;
        let most = timeline.iter().map(|entry| entry.overload_probability).fold(0.0, f64::max);
        let top = (1.1 * most.max(self.plan.risk.target)).max(1e-6);
        let title = format!(
            "Probability of overload, beside the {} that is allowed",
            percent(self.plan.risk.target)
        );
        let title = of_fleet(self.plan, &title);
        let mut chart = frame(area, &title, (from, to), (0.0, top), Some(percent))?;
        chart.draw_series(timeline.iter().map(|entry| {
            let corner = (seconds(entry.to), entry.overload_probability);
            Rectangle::new([(seconds(entry.from), 0.0), corner], RED.mix(0.6).filled())
        }))?;
        let allowed = [(from, self.plan.risk.target), (to, self.plan.risk.target)];
        chart.draw_series(LineSeries::new(allowed, RED.stroke_width(1)))?;
        Ok(())
    }
}
