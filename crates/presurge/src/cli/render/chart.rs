//! A line chart of characters: the end of a history, and its forecast with a band.

use std::io::{self, Write};

use domain::series::Series;

use super::time::number;

/// Rows of characters.
const HEIGHT: usize = 12;

/// The widest chart, in characters.
const MAX_WIDTH: usize = 160;

/// The width where nobody says it.
const USUAL_WIDTH: usize = 80;

/// What is drawn.
pub struct Picture<'a> {
    /// The line above the chart.
    pub title: String,
    /// The past; its end is drawn, twice as long as the forecast or a third of the width.
    pub history: &'a Series,
    /// The expected future.
    pub mean: &'a [f64],
    /// The lower edge of the band.
    pub low: Vec<f64>,
    /// The upper edge of the band.
    pub high: Vec<f64>,
}

/// Draws a chart as wide as the terminal.
pub fn draw(out: &mut impl Write, picture: &Picture<'_>) -> io::Result<()> {
    let width = ratatui::crossterm::terminal::size().map_or(USUAL_WIDTH, |(w, _)| w as usize);
    draw_at(out, picture, width.clamp(30, MAX_WIDTH))
}

fn draw_at(out: &mut impl Write, picture: &Picture<'_>, width: usize) -> io::Result<()> {
    let all = picture.history.values();
    let tail = &all[all.len().saturating_sub(2 * picture.mean.len().max(1))..];
    let finite =
        |values: &[f64]| values.iter().copied().filter(|v| v.is_finite()).collect::<Vec<_>>();
    let mut seen = finite(tail);
    for values in [&picture.low[..], &picture.high, picture.mean] {
        seen.extend(finite(values));
    }
    let Some(bottom) = seen.iter().copied().reduce(f64::min) else { return Ok(()) };
    let top = seen.iter().copied().fold(bottom, f64::max);
    let top = if top > bottom { top } else { bottom + 1.0 };
    let labels = [number(top), number((top + bottom) / 2.0), number(bottom)];
    let margin = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(margin + 3).max(10);
    let canvas = canvas(picture, tail, columns, (bottom, top));
    writeln!(out, "{}", picture.title)?;
    for (index, row) in canvas.iter().enumerate() {
        let label = match index {
            0 => &labels[0],
            _ if index == HEIGHT / 2 => &labels[1],
            _ if index == HEIGHT - 1 => &labels[2],
            _ => "",
        };
        let row: String = row.iter().collect();
        writeln!(out, "{label:>margin$} ┤{}", row.trim_end())?;
    }
    let start = picture.history.at(all.len() - tail.len());
    let end = picture.history.at(all.len() + picture.mean.len());
    let now = picture.history.end();
    let gap = columns.saturating_sub(3 * 16) / 2;
    let when = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
    let space = " ".repeat(gap.max(1));
    writeln!(out, "{:margin$}  {}{space}{}{space}{}", "", when(start), when(now), when(end))
}

/// The characters: dots of the lines in Braille, the band in light shade behind them.
fn canvas(
    picture: &Picture<'_>,
    tail: &[f64],
    columns: usize,
    (bottom, top): (f64, f64),
) -> Vec<Vec<char>> {
    let length = tail.len() + picture.mean.len();
    let rows = (4 * HEIGHT - 1) as f64;
    let row =
        |value: f64| ((top - value) / (top - bottom) * rows).round().clamp(0.0, rows) as usize;
    let line = |x: f64| {
        let (left, share) = (x.floor() as usize, x.fract());
        let at = |index: usize| {
            let known =
                tail.get(index).or_else(|| picture.mean.get(index.checked_sub(tail.len())?));
            known.copied().unwrap_or(f64::NAN)
        };
        if share > 0.0 { at(left) * (1.0 - share) + at(left + 1) * share } else { at(left) }
    };
    let mut dots = vec![vec![0_u32; columns]; HEIGHT];
    let mut shade = vec![vec![false; columns]; HEIGHT];
    let scale = (length.saturating_sub(1)) as f64 / (2 * columns - 1) as f64;
    let mut before: Option<usize> = None;
    for x in 0..2 * columns {
        let at = x as f64 * scale;
        let value = line(at);
        if !value.is_finite() {
            before = None;
            continue;
        }
        let here = row(value);
        let (from, to) = before.map_or((here, here), |was| (was.min(here), was.max(here)));
        for y in from..=to {
            dots[y / 4][x / 2] |= 1 << bit(x % 2, y % 4);
        }
        before = Some(here);
        let step = (at.round() as usize).checked_sub(tail.len());
        if let Some((low, high)) =
            step.and_then(|step| Some((picture.low.get(step)?, picture.high.get(step)?)))
        {
            let cells = row(*high) / 4..=row(*low) / 4;
            shade[cells].iter_mut().for_each(|row| row[x / 2] = true);
        }
    }
    let cell = |dots: u32, shade: bool| match (dots, shade) {
        (0, true) => '░',
        (0, false) => ' ',
        (dots, _) => char::from_u32(0x2800 + dots).unwrap_or(' '),
    };
    dots.iter()
        .zip(&shade)
        .map(|(dots, shade)| dots.iter().zip(shade).map(|(d, s)| cell(*d, *s)).collect())
        .collect()
}

/// The bit of a dot in a Braille character (Unicode chart U+2800).
fn bit(x: usize, y: usize) -> u32 {
    match (x, y) {
        (0, 3) => 6,
        (1, 3) => 7,
        (0, y) => y as u32,
        (_, y) => 3 + y as u32,
    }
}

#[cfg(test)]
mod tests {
    use domain::series::Step;
    use jiff::Timestamp;

    use super::*;

    fn drawn(values: Vec<f64>, mean: &[f64], width: usize) -> String {
        let step = Step::from_seconds(3_600).unwrap();
        let history = Series::new(Timestamp::UNIX_EPOCH, step, values);
        let side = |by: f64| mean.iter().map(|value| value + by).collect();
        let picture = Picture {
            title: "t".into(),
            history: &history,
            mean,
            low: side(-2.0),
            high: side(2.0),
        };
        let mut out = Vec::new();
        draw_at(&mut out, &picture, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_chart_fits_its_width_and_shows_line_and_band() {
        let values: Vec<f64> = (0..48).map(|hour| f64::from(hour % 24)).collect();
        for width in [30, 80, 160] {
            let text = drawn(values.clone(), &[10.0; 24], width);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.max(60), "{widest} of {width}");
            assert_eq!(text.lines().count(), HEIGHT + 2);
            assert!(
                text.contains('░') && text.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c))
            );
        }
    }

    #[test]
    fn odd_series_are_drawn_too() {
        assert!(drawn(vec![f64::NAN, 5.0, f64::NAN], &[5.0], 80).lines().count() > 10);
        assert!(drawn(vec![3.0; 5], &[3.0; 2], 80).contains('5'));
        assert!(drawn(vec![1.0], &[1.0], 30).lines().count() > 10);
    }
}
