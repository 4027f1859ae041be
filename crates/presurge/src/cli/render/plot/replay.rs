//! The report of a replay: its table, and what it looks like.

use domain::name::Dimension;
use jiff::Timestamp;
use plotters::prelude::*;

use super::plan::{GREEN, RED};
use super::{Area, BLUE, Drawing, Drawn, INK, escaped, frame, seconds, svg, tabulated};
use crate::cli::render::time::number;
use crate::cli::replay::document::{CHECKED, Document};
use crate::pipeline::Prepared;
use crate::replay::{Row, Strategy, Truth};

/// At most so many points of a load are drawn; beyond, each is the largest of its stretch.
const MOST_POINTS: usize = 2_000;

/// The page of a replay.
pub fn replayed(prepared: &Prepared, truth: &Truth, document: &Document, rows: &[Row]) -> String {
    let mut page = super::head(&format!("Replay of {}", document.rollout));
    page.push_str(&format!("<p>{}.</p>\n", escaped(&document.heading())));
    page.push_str(&tabulated(&document.table()));
    page.push_str(&format!("<p>{}</p>\n", escaped(CHECKED)));
    let names: Vec<String> = document.strategies.iter().map(|s| s.strategy.clone()).collect();
    let minutes: Vec<f64> = document.strategies.iter().map(|s| s.attributable_minutes).collect();
    let costs: Vec<f64> = document.strategies.iter().map(|s| s.cost).collect();
    let mut pictures: Vec<Box<dyn Drawing + '_>> = Vec::new();
    for dimension in truth.dimensions() {
        pictures.push(Box::new(Instants::new(prepared, truth, &dimension, rows)));
    }
    let title = "Minutes of overload that the rollouts are to blame for";
    pictures.push(Box::new(Bars { title: title.into(), names: &names, values: minutes, ink: RED }));
    let title = format!("Cost of extra capacity in {}", document.currency);
    pictures.push(Box::new(Bars { title, names: &names, values: costs, ink: GREEN }));
    for (what, row) in examples(rows) {
        for dimension in truth.dimensions() {
            pictures.push(Box::new(Example::new(what, truth, &dimension, row)));
        }
    }
    for picture in &pictures {
        page.push_str(&svg(&[picture.as_ref()]));
        page.push('\n');
    }
    page.push_str("</html>\n");
    page
}

/// The worst rollout of Presurge, then one that cost as much as half of them.
fn examples(rows: &[Row]) -> Vec<(&'static str, &Row)> {
    let own = rows.iter().filter(|row| row.strategy == Strategy::Presurge && row.performed());
    let mut own: Vec<&Row> = own.collect();
    own.sort_by(|a, b| a.account.cost.total_cmp(&b.account.cost));
    let worst = own.iter().max_by(|a, b| {
        let key = |row: &Row| (row.account.attributable_minutes, -row.account.headroom_ratio);
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let typical = own.get(own.len() / 2);
    let worst = worst.map(|row| ("Presurge at its worst", *row));
    worst.into_iter().chain(typical.map(|row| ("A typical rollout by Presurge", *row))).collect()
}

/// The load with the instants at which rollouts were started.
struct Instants {
    title: String,
    load: Vec<(f64, f64)>,
    full: f64,
    instants: Vec<(f64, bool)>,
}

impl Instants {
    fn new(prepared: &Prepared, truth: &Truth, dimension: &Dimension, rows: &[Row]) -> Self {
        let first = rows.first().map_or(truth.start(), |row| row.instant);
        let last = rows.last().map_or(truth.end(), |row| row.instant);
        let day = std::time::Duration::from_secs(86_400);
        let (from, to) = ((first - day).max(truth.start()), (last + day).min(truth.end()));
        let own = rows.iter().filter(|row| row.strategy == Strategy::Presurge);
        let each = prepared.fleet.servers.iter().filter_map(|s| s.capacity.get(dimension));
        Self {
            title: format!(
                "{dimension} over time, what the whole fleet carries (grey), and the instants \
                 (blue; red: overload)"
            ),
            load: load(truth, dimension, from, to),
            full: each.sum::<f64>() * prepared.fleet.balance,
            instants: own.map(|row| (seconds(row.instant), row.breached())).collect(),
        }
    }
}

fn load(truth: &Truth, dimension: &Dimension, from: Timestamp, to: Timestamp) -> Vec<(f64, f64)> {
    let line = truth.line(dimension, from, to);
    let stretch = line.len().div_ceil(MOST_POINTS).max(1);
    let step = truth.step().seconds() as f64;
    let largest = |part: &[f64]| part.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let start = seconds(truth.step().floor(from));
    let points = line.chunks(stretch).enumerate();
    points.map(|(n, part)| (start + (n * stretch) as f64 * step, largest(part))).collect()
}

/// First and last moment, and the room above the largest value.
fn room(load: &[(f64, f64)], full: f64) -> ((f64, f64), (f64, f64)) {
    let first = load.first().map_or(0.0, |point| point.0);
    let last = load.last().map_or(1.0, |point| point.0).max(first + 1.0);
    let most = load.iter().map(|point| point.1).fold(full, f64::max);
    ((first, last), (0.0, (most * 1.08).max(f64::MIN_POSITIVE)))
}

impl Drawing for Instants {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let (times, values) = room(&self.load, self.full);
        let mut chart = frame(area, &self.title, times, values, Some(number))?;
        let tick = |(at, breached): &(f64, bool)| {
            let ink = if *breached { RED.mix(0.9) } else { BLUE.mix(0.35) };
            PathElement::new(vec![(*at, 0.0), (*at, values.1 * 0.06)], ink.stroke_width(1))
        };
        chart.draw_series(self.instants.iter().map(tick))?;
        let full = [(times.0, self.full), (times.1, self.full)];
        chart.draw_series(LineSeries::new(full, INK.mix(0.4).stroke_width(1)))?;
        chart.draw_series(LineSeries::new(self.load.clone(), INK.stroke_width(1)))?;
        Ok(())
    }
}

/// A value per strategy.
struct Bars<'a> {
    title: String,
    names: &'a [String],
    values: Vec<f64>,
    ink: RGBColor,
}

impl Drawing for Bars<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        area.fill(&WHITE)?;
        let most = self.values.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let (left, top, bottom, right) = (130, 30, 312, 860);
        let height = f64::from(bottom - top) / self.values.len().max(1) as f64;
        let caption = ("sans-serif", 16).into_font().color(&INK);
        area.draw(&Text::new(self.title.clone(), (left, 8), caption))?;
        let small = ("sans-serif", 12.0_f64.min(height)).into_font().color(&INK);
        for (n, (name, value)) in self.names.iter().zip(&self.values).enumerate() {
            let y = top + (n as f64 * height) as i32;
            let low = y + (height * 0.8) as i32;
            let length = (value / most * f64::from(right - left)).max(0.0) as i32;
            let bar = Rectangle::new([(left, y), (left + length, low)], self.ink.mix(0.6).filled());
            area.draw(&bar)?;
            area.draw(&Text::new(name.clone(), (8, y), small.clone()))?;
            area.draw(&Text::new(number(*value), (left + length + 6, y), small.clone()))?;
        }
        Ok(())
    }
}

/// Capacity in steps against the load that came.
struct Example {
    title: String,
    load: Vec<(f64, f64)>,
    capacity: Vec<(f64, f64)>,
    own: Vec<(f64, f64)>,
    full: f64,
}

impl Example {
    fn new(what: &str, truth: &Truth, dimension: &Dimension, row: &Row) -> Self {
        let ledger = &row.course.ledger;
        let place = ledger.dimensions.iter().position(|d| d == dimension).unwrap_or(0);
        let (start, finish) = row.course.span.unwrap_or((row.instant, row.instant));
        let last = ledger.moments().last().copied().unwrap_or(finish).max(finish);
        let around = std::time::Duration::from_secs(1200);
        let step = truth.step();
        let (from, to) = (step.floor(start - around), (last + around).min(truth.end()));
        let mut servers = ledger.clone();
        servers.supplies.clear();
        let (mut capacity, mut own, mut at) = (Vec::new(), Vec::new(), from);
        while at < to {
            let next = at + step.duration();
            for (line, of) in [(&mut capacity, ledger), (&mut own, &servers)] {
                let least = of.least(at, next).get(dimension).copied().unwrap_or(0.0);
                line.extend([(seconds(at), least), (seconds(next), least)]);
            }
            at = next;
        }
        let (minutes, cost) = (row.account.attributable_minutes, row.account.cost);
        Self {
            title: format!(
                "{what}, started {:.0}: {dimension} (line), servers (grey), surge (green); \
                 overload {} min, cost {}",
                row.instant,
                number(minutes),
                number(cost)
            ),
            load: load(truth, dimension, from, to),
            capacity,
            own,
            full: ledger.full.get(place).copied().unwrap_or(0.0),
        }
    }
}

impl Drawing for Example {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let most = self.capacity.iter().map(|point| point.1).fold(self.full, f64::max);
        let (times, values) = room(&self.load, most);
        let mut chart = frame(area, &self.title, times, values, Some(number))?;
        for (line, fill) in [
            (&self.capacity, GREEN.mix(0.25)),
            (&self.own, WHITE.mix(1.0)),
            (&self.own, INK.mix(0.12)),
        ] {
            chart.draw_series(std::iter::once(Polygon::new(super::plan::floored(line), fill)))?;
        }
        chart.draw_series(LineSeries::new(self.capacity.clone(), INK.stroke_width(2)))?;
        chart.draw_series(LineSeries::new(self.load.clone(), BLUE.stroke_width(2)))?;
        Ok(())
    }
}
