//! Forecasts with their bands, over what was seen.

use jiff::Timestamp;
use plotters::prelude::*;

use super::{Area, BLUE, Drawing, Drawn, INK, Point, frame, seconds};
use crate::cli::render::time::number;

/// One forecast.
pub struct Future {
    /// The expected values.
    pub mean: Vec<Point>,
    /// The bands, widest first: moment, lower and upper edge.
    pub bands: Vec<Vec<(Timestamp, f64, f64)>>,
}

/// One picture.
pub struct Picture {
    /// The line above it.
    pub title: String,
    /// What was seen, before and after the forecasts begin.
    pub seen: Vec<Point>,
    /// The forecasts, each from its own origin.
    pub futures: Vec<Future>,
}

impl Drawing for Picture {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let picture = self;
        let Some((times, values)) = extent(picture) else { return area.fill(&WHITE) };
        let mut chart = frame(area, &picture.title, times, values, Some(number))?;
        for future in &picture.futures {
            for band in &future.bands {
                let upper = band.iter().map(|(at, _, high)| (seconds(*at), *high));
                let lower = band.iter().rev().map(|(at, low, _)| (seconds(*at), *low));
                let edge: Vec<(f64, f64)> = upper.chain(lower).collect();
                chart.draw_series(std::iter::once(Polygon::new(edge, BLUE.mix(0.16))))?;
            }
        }
        for line in unbroken(&picture.seen) {
            chart.draw_series(LineSeries::new(line, INK.stroke_width(1)))?;
        }
        for future in &picture.futures {
            for line in unbroken(&future.mean) {
                chart.draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?;
            }
        }
        Ok(())
    }
}

/// First and last moment, least and greatest value with some room; `None` if there is nothing.
fn extent(picture: &Picture) -> Option<((f64, f64), (f64, f64))> {
    let bands = picture.futures.iter().flat_map(|f| f.bands.iter().flatten());
    let edges = bands.flat_map(|(at, low, high)| [(*at, *low), (*at, *high)]);
    let means = picture.futures.iter().flat_map(|f| f.mean.iter().copied());
    let all = picture.seen.iter().copied().chain(means).chain(edges).filter(|(_, v)| v.is_finite());
    let range = all.fold(None, |range, (at, value)| {
        let ((t0, t1), (v0, v1)) = range.unwrap_or(((f64::MAX, f64::MIN), (f64::MAX, f64::MIN)));
        let at = seconds(at);
        Some(((f64::min(t0, at), f64::max(t1, at)), (f64::min(v0, value), f64::max(v1, value))))
    });
    range.map(|((t0, t1), (v0, v1))| {
        let room = if v1 > v0 { 0.05 * (v1 - v0) } else { 1.0 };
        ((t0, if t1 > t0 { t1 } else { t0 + 1.0 }), (v0 - room, v1 + room))
    })
}

/// The stretches without gaps.
fn unbroken(points: &[Point]) -> Vec<Vec<(f64, f64)>> {
    points
        .split(|(_, value)| !value.is_finite())
        .filter(|line| !line.is_empty())
        .map(|line| line.iter().map(|(at, value)| (seconds(*at), *value)).collect())
        .collect()
}
