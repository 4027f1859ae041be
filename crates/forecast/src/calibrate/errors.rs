//! What was said at past origins, beside what came.

use serde::{Deserialize, Serialize};

use super::Seen;
use crate::settings;

/// The past errors of one forecaster. The values are kept once, not once per origin, and what
/// was said as places in its own range: thousands of forecasters live side by side.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Errors {
    /// Index of the first value that each origin forecast; rising.
    origins: Vec<usize>,
    /// What was said, one row per origin.
    said: Rows,
    /// The values from the first origin on; `NaN` where nothing came.
    values: Vec<f64>,
    /// The indices, rising, whose values are lower bounds: the errors there are so too.
    floors: Vec<usize>,
}

/// Values as places between the least and the greatest of them, to one part in 65,534: errors are
/// told far more coarsely than that. The last place stands for `NaN`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    scale: Scale,
    places: Box<[u16]>,
}

/// Where the places of a row lie.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Scale {
    least: f64,
    unit: f64,
}

impl Scale {
    const STEPS: u16 = u16::MAX - 1;

    fn of(values: &[f64]) -> Self {
        let (least, most) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        // In halves, since the difference of two finite numbers may not be finite.
        Self { least, unit: (0.5 * most - 0.5 * least) / f64::from(Self::STEPS) * 2.0 }
    }

    fn place(self, value: f64) -> u16 {
        let Self { least, unit } = self;
        let share = if unit > 0.0 { (0.5 * value - 0.5 * least) / (0.5 * unit) } else { 0.0 };
        if value.is_nan() {
            u16::MAX
        } else {
            share.round().clamp(0.0, f64::from(Self::STEPS)) as u16
        }
    }

    fn value(self, place: u16) -> f64 {
        if place == u16::MAX { f64::NAN } else { self.least + self.unit * f64::from(place) }
    }
}

/// Rows of one length, side by side: each by itself would cost half as much again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Rows {
    width: usize,
    scales: Vec<Scale>,
    places: Vec<u16>,
}

impl Rows {
    fn push(&mut self, values: &[f64]) {
        let scale = Scale::of(values);
        make_room(&mut self.scales, 1);
        make_room(&mut self.places, values.len());
        self.scales.push(scale);
        self.places.extend(values.iter().map(|v| scale.place(*v)));
        self.width = values.len();
    }

    fn forget_first(&mut self) {
        self.scales.remove(0);
        self.places.drain(..self.width);
    }

    fn get(&self, row: usize, place: usize) -> Option<f64> {
        let scale = self.scales.get(row)?;
        let own = self.places.get(row * self.width..(row + 1) * self.width)?;
        own.get(place).map(|place| scale.value(*place))
    }
}

impl Row {
    pub(super) fn of(values: &[f64]) -> Self {
        let scale = Scale::of(values);
        Self { scale, places: values.iter().map(|v| scale.place(*v)).collect() }
    }

    /// The value in that place, if there is one.
    pub(super) fn get(&self, place: usize) -> Option<f64> {
        self.from(place).next()
    }

    /// The values from that place on.
    pub(super) fn from(&self, place: usize) -> impl Iterator<Item = f64> {
        self.places.iter().skip(place).map(|place| self.scale.value(*place))
    }
}

impl Errors {
    /// What was `said` from each of the rising `origins` on; `values` are those from the first
    /// origin on, as far as they have come.
    pub(crate) fn new(origins: Vec<usize>, said: &[Vec<f64>], values: &[f64]) -> Self {
        let mut rows = Rows::default();
        rows.scales.reserve_exact(said.len());
        rows.places.reserve_exact(said.iter().map(Vec::len).sum());
        said.iter().for_each(|row| rows.push(row));
        Self { origins, said: rows, values: values.to_vec(), floors: Vec::new() }
    }

    /// How many origins there are.
    pub(crate) fn count(&self) -> usize {
        self.origins.len()
    }

    /// How many steps were forecast.
    pub(crate) fn horizon(&self) -> usize {
        self.said.width
    }

    /// The index of the first value that each origin forecast; rising.
    pub(crate) fn origins(&self) -> &[usize] {
        &self.origins
    }

    /// What the origin in place `o` said of the value `ahead` steps ahead (0 is the next one).
    pub(crate) fn centre(&self, o: usize, ahead: usize) -> f64 {
        self.said.get(o, ahead).unwrap_or(f64::NAN)
    }

    /// What came then; `NaN` if nothing did (yet).
    pub(crate) fn value(&self, o: usize, ahead: usize) -> f64 {
        *self.values.get(self.origins[o] - self.origins[0] + ahead).unwrap_or(&f64::NAN)
    }

    /// What came minus what was said.
    pub(crate) fn error(&self, o: usize, ahead: usize) -> f64 {
        self.value(o, ahead) - self.centre(o, ahead)
    }

    /// Whether the value at `index` is a lower bound.
    pub(crate) fn is_floor(&self, index: usize) -> bool {
        self.floors.binary_search(&index).is_ok()
    }

    /// Takes note of the value at `index`; indices come in rising order.
    pub(crate) fn came(&mut self, index: usize, seen: Seen) {
        let (Seen::Value(value) | Seen::AtLeast(value)) = seen;
        let Some(place) = self.origins.first().and_then(|first| index.checked_sub(*first)) else {
            return;
        };
        if place >= self.values.len() {
            let more = place + 1 - self.values.len();
            make_room(&mut self.values, more);
            self.values.resize(place + 1, f64::NAN);
        }
        self.values[place] = value;
        if matches!(seen, Seen::AtLeast(_)) {
            self.floors.push(index);
        }
    }

    /// Takes note of what is said from `origin` on; the oldest of too many origins is forgotten,
    /// with what only it spoke of.
    pub(crate) fn issue(&mut self, origin: usize, said: &[f64]) {
        let first = self.origins.first().copied();
        if let (Some(first), true) = (first, self.count() >= settings::ORIGINS) {
            self.said.forget_first();
            self.origins.remove(0);
            let oldest = self.origins.first().copied().unwrap_or(origin);
            let cut = (oldest - first).min(self.values.len());
            self.values.drain(..cut);
            self.floors.retain(|floor| *floor >= oldest);
        }
        make_room(&mut self.origins, 1);
        self.said.push(said);
        self.origins.push(origin);
    }

    /// Every known error: place of the origin, steps ahead, what was said, and the error.
    pub(crate) fn known(&self) -> impl Iterator<Item = (usize, usize, f64, f64)> {
        let each = (0..self.count()).flat_map(|o| (0..self.horizon()).map(move |h| (o, h)));
        let known = each.map(|(o, h)| (o, h, self.centre(o, h), self.error(o, h)));
        known.filter(|(o, h, _, error)| error.is_finite() && !self.is_floor(self.origins[*o] + h))
    }
}

/// Room for so many more, and a few; not doubled: thousands of these live side by side.
fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more + settings::HISTORY_SLACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_what_came_minus_what_was_said_whatever_the_level() {
        for level in [0.0, -5.0, 1e12, 1e300] {
            let said = vec![level, level + 1.0, level + 0.25];
            let mut past = Errors::new(vec![10, 12], &[said.clone(), said], &[level + 2.0]);
            assert!((past.error(0, 0) - ((level + 2.0) - level)).abs() < 1e-6, "{level}");
            assert!(past.error(0, 1).is_nan());
            past.came(12, Seen::AtLeast(level + 3.0));
            assert!(past.value(0, 1).is_nan(), "what was jumped over did not come");
            assert_eq!(past.error(0, 2), past.value(1, 0) - past.centre(0, 2));
            assert!(past.is_floor(12));
            assert_eq!(past.known().count(), 1);
        }
    }

    #[test]
    fn the_oldest_is_forgotten_with_what_only_it_spoke_of() {
        let mut past = Errors::new(vec![0], &[vec![0.0; 4]], &[]);
        for index in 0..3 * settings::ORIGINS {
            past.came(index, Seen::Value(index as f64));
            if index % 2 == 1 {
                past.issue(index + 1, &[0.0; 4]);
            }
        }
        assert_eq!(past.count(), settings::ORIGINS);
        let first = past.origins()[0];
        assert_eq!(past.value(0, 3), (first + 3) as f64);
        assert_eq!(past.values.len(), 3 * settings::ORIGINS - first);
    }
}
