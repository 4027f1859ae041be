//! A line chart of characters: the end of a history, and its forecast with a band.

use std::io::{self, Write};

use domain::series::Series;

use super::canvas::{self, Canvas};

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
    draw_at(out, picture, canvas::width())
}

fn draw_at(out: &mut impl Write, picture: &Picture<'_>, width: usize) -> io::Result<()> {
    let all = picture.history.values();
    let tail = &all[all.len().saturating_sub(2 * picture.mean.len().max(1))..];
    let parts = [tail, &picture.low, &picture.high, picture.mean];
    let seen = parts.into_iter().flatten().copied().filter(|value| value.is_finite());
    let Some(mut canvas) = Canvas::new(width, seen) else { return Ok(()) };
    let length = tail.len() + picture.mean.len();
    let scale = (length.saturating_sub(1)) as f64 / (canvas.places() - 1) as f64;
    canvas.band(|x| {
        let step = ((x as f64 * scale).round() as usize).checked_sub(tail.len())?;
        Some((*picture.low.get(step)?, *picture.high.get(step)?))
    });
    canvas.line(|x| {
        let at = |index: usize| {
            let known =
                tail.get(index).or_else(|| picture.mean.get(index.checked_sub(tail.len())?));
            known.copied().unwrap_or(f64::NAN)
        };
        let (left, share) = ((x as f64 * scale).floor() as usize, (x as f64 * scale).fract());
        if share > 0.0 { at(left) * (1.0 - share) + at(left + 1) * share } else { at(left) }
    });
    writeln!(out, "{}", picture.title)?;
    let start = picture.history.at(all.len() - tail.len());
    let end = picture.history.at(all.len() + picture.mean.len());
    canvas.print(out, [start, picture.history.end(), end])
}

#[cfg(test)]
mod tests {
    use domain::series::Step;
    use jiff::Timestamp;

    use super::*;
    use crate::cli::render::canvas::HEIGHT;

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
            assert!(widest <= width, "{widest} of {width}");
            // Three moments stand below each other where they find no room side by side.
            assert_eq!(text.lines().count(), HEIGHT + if width == 30 { 4 } else { 2 });
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
