//! What a rollout came to, over what its first plan said: load, capacity in service and batches.

use std::io::{self, Write};

use jiff::Timestamp;

use super::canvas::{self, Canvas};
use super::plot::Point;

/// The time of a picture is cut into so many slices.
pub const SLICES: usize = 480;

/// A batch: its index, and when it is out.
pub type Batch = (u32, Timestamp, Timestamp);

/// One dimension of a rollout. Every list of values has one for each slice; what is not known is not finite.
pub struct Outcome {
    /// The line above it.
    pub title: String,
    /// From when.
    pub from: Timestamp,
    /// To when.
    pub to: Timestamp,
    /// The load that the first plan expected.
    pub mean: Vec<f64>,
    /// The upper edge of its band.
    pub upper: Vec<f64>,
    /// The least capacity in service, as it was planned.
    pub planned: Vec<f64>,
    /// … and as it came.
    pub came: Vec<f64>,
    /// The load that came, where it can be read.
    pub load: Vec<f64>,
    /// The load that was seen before each batch.
    pub looks: Vec<Point>,
    /// The batches of the first plan.
    pub plan_batches: Vec<Batch>,
    /// The batches as they came.
    pub batches: Vec<Batch>,
}

impl Outcome {
    /// The start of a slice; that of the one after the last is the end.
    pub fn at(&self, slice: usize) -> Timestamp {
        let length = self.to.duration_since(self.from).as_secs_f64();
        let seconds = length * slice as f64 / SLICES as f64;
        self.from + std::time::Duration::from_secs_f64(seconds.max(0.0))
    }

    /// The slice of a moment.
    pub fn slice(&self, at: Timestamp) -> Option<usize> {
        let length = self.to.duration_since(self.from).as_secs_f64();
        let since = at.duration_since(self.from).as_secs_f64();
        let slice = (since / length * SLICES as f64).floor();
        (slice >= 0.0 && slice < SLICES as f64).then_some(slice as usize)
    }

    /// Every finite value.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        let lists = [&self.mean, &self.upper, &self.planned, &self.came, &self.load];
        let looks = self.looks.iter().map(|(_, value)| value);
        lists.into_iter().flatten().chain(looks).copied().filter(|value| value.is_finite())
    }

    /// Draws it with characters, as wide as the terminal.
    pub fn draw(&self, out: &mut impl Write) -> io::Result<()> {
        self.draw_at(out, canvas::width())
    }

    fn draw_at(&self, out: &mut impl Write, width: usize) -> io::Result<()> {
        let Some(mut canvas) = Canvas::new(width, self.values()) else { return Ok(()) };
        let places = canvas.places();
        let slices = move |x: usize, width: usize| {
            let from = x * SLICES / places;
            from..((x + width) * SLICES / places).clamp(from + 1, SLICES.max(from + 1))
        };
        // The least of a character: a dip is never hidden.
        let least = |list: &[f64], x: usize| {
            let here = slices(x, 2).filter_map(|slice| list.get(slice).copied());
            here.filter(|v| v.is_finite()).reduce(f64::min).unwrap_or(f64::NAN)
        };
        let at = |list: &[f64], x: usize| list.get(slices(x, 1).start).copied().unwrap_or(f64::NAN);
        canvas.band(|x| {
            let (mean, upper) = (at(&self.mean, x), at(&self.upper, x));
            (mean.is_finite() && upper.is_finite()).then_some((mean, upper))
        });
        canvas.steps('┄', |x| least(&self.planned, x));
        canvas.steps('━', |x| least(&self.came, x));
        let seen = |x: usize| {
            let here = slices(x, 2);
            let look = self
                .looks
                .iter()
                .find(|(at, _)| self.slice(*at).is_some_and(|slice| here.contains(&slice)));
            look.map_or(f64::NAN, |(_, value)| *value)
        };
        canvas.steps('●', seen);
        canvas.line(|x| at(&self.load, x));
        writeln!(out, "{}", self.title)?;
        let middle = self.at(SLICES / 2);
        canvas.print(out, [self.from, middle, self.to])?;
        for (name, batches) in [("planned", &self.plan_batches), ("came", &self.batches)] {
            canvas.row_below(out, name, |x| {
                let here = slices(x, 2);
                let (from, to) = (self.at(here.start), self.at(here.end));
                let out = batches.iter().find(|(_, since, until)| *since < to && from < *until);
                out.map_or('·', |(index, ..)| digit(*index))
            })?;
        }
        let load = match self.load.iter().any(|value| value.is_finite()) {
            true => "⠤ load  ",
            false => "",
        };
        writeln!(out, "{load}● load at a batch  ░ forecast  ━ capacity  ┄ as planned")
    }
}

/// The last digit of the index of a batch.
fn digit(index: u32) -> char {
    char::from_digit(index % 10, 10).unwrap_or('#')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome() -> Outcome {
        let at = |minute: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(60 * minute);
        let level = |value: f64| vec![value; SLICES];
        let mut came = level(300.0);
        // A dip of one slice.
        came[SLICES / 2] = 200.0;
        Outcome {
            title: "web/requests".into(),
            from: at(0),
            to: at(100),
            mean: level(120.0),
            upper: level(150.0),
            planned: level(300.0),
            came,
            load: level(f64::NAN),
            looks: vec![(at(50), 130.0)],
            plan_batches: vec![(1, at(10), at(20)), (2, at(20), at(30))],
            batches: vec![(1, at(45), at(55))],
        }
    }

    fn drawn(outcome: &Outcome, width: usize) -> Vec<String> {
        let mut out = Vec::new();
        outcome.draw_at(&mut out, width).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn it_fits_wide_and_narrow_terminals_and_hides_no_dip() {
        for width in [30, 60, 80, 160] {
            let lines = drawn(&outcome(), width);
            let chart = &lines[..lines.len() - 3];
            assert!(chart.iter().all(|line| line.chars().count() <= width), "{chart:#?}");
            let dips = chart.iter().filter(|line| line.contains('━')).count();
            assert_eq!(dips, 2, "at 300 and at 200: {chart:#?}");
            assert!(chart.iter().any(|line| line.contains('░')));
            assert!(chart.iter().any(|line| line.contains('●')));
            let row = |name: &str| lines.iter().find(|line| line.ends_with(name)).unwrap().clone();
            assert!(row(" planned").contains("·1") && row(" planned").contains("2·"));
            assert!(row(" came").contains("·1") && !row(" came").contains('2'));
        }
    }

    #[test]
    fn nothing_at_all_is_no_picture() {
        let none = || vec![f64::NAN; SLICES];
        let empty = Outcome {
            mean: none(),
            upper: none(),
            planned: none(),
            came: none(),
            looks: Vec::new(),
            ..outcome()
        };
        assert!(drawn(&empty, 80).is_empty());
    }
}
