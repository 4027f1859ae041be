//! Lines, bands and steps over time, drawn with characters. They need no colour.

use std::io::{self, Write};

use jiff::Timestamp;

use super::time::number;

/// Rows of characters.
pub const HEIGHT: usize = 12;

/// The widest chart, in characters.
const MAX_WIDTH: usize = 160;

/// The narrowest.
const MIN_WIDTH: usize = 30;

/// The width where nobody says it.
const USUAL_WIDTH: usize = 80;

/// As many characters as a line of the terminal has.
pub fn width() -> usize {
    let width = ratatui::crossterm::terminal::size().map_or(USUAL_WIDTH, |(w, _)| w as usize);
    width.clamp(MIN_WIDTH, MAX_WIDTH)
}

/// See the module. Places along the time are halves of a character, from the left.
pub struct Canvas {
    columns: usize,
    margin: usize,
    labels: [String; 3],
    range: (f64, f64),
    dots: Vec<Vec<u32>>,
    signs: Vec<Vec<char>>,
}

impl Canvas {
    /// A canvas for finite values, so wide with its labels; `None` where there is no value.
    pub fn new(width: usize, values: impl Iterator<Item = f64>) -> Option<Self> {
        let (bottom, top) = values.fold(None, |range, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((f64::min(low, value), f64::max(high, value)))
        })?;
        let top = if top > bottom { top } else { bottom + 1.0 };
        let labels = [number(top), number((top + bottom) / 2.0), number(bottom)];
        let margin = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let columns = width.saturating_sub(margin + 3).max(10);
        Some(Self {
            columns,
            margin,
            labels,
            range: (bottom, top),
            dots: vec![vec![0; columns]; HEIGHT],
            signs: vec![vec![' '; columns]; HEIGHT],
        })
    }

    /// So many places are there along the time.
    pub fn places(&self) -> usize {
        2 * self.columns
    }

    /// The row of a value, in quarters of a character from the top.
    fn row(&self, value: f64) -> usize {
        let (bottom, top) = self.range;
        let rows = (4 * HEIGHT - 1) as f64;
        ((top - value) / (top - bottom) * rows).round().clamp(0.0, rows) as usize
    }

    /// A line of dots, in Braille; a value that is not finite is a gap.
    pub fn line(&mut self, value: impl Fn(usize) -> f64) {
        let mut before: Option<usize> = None;
        for x in 0..self.places() {
            let value = value(x);
            if !value.is_finite() {
                before = None;
                continue;
            }
            let here = self.row(value);
            let (from, to) = before.map_or((here, here), |was| (was.min(here), was.max(here)));
            for y in from..=to {
                self.dots[y / 4][x / 2] |= 1 << bit(x % 2, y % 4);
            }
            before = Some(here);
        }
    }

    /// A band between two edges, in light shade behind everything else.
    pub fn band(&mut self, edges: impl Fn(usize) -> Option<(f64, f64)>) {
        for x in 0..self.places() {
            let Some((low, high)) = edges(x) else { continue };
            for y in self.row(high) / 4..=self.row(low) / 4 {
                self.signs[y][x / 2] = '░';
            }
        }
    }

    /// Steps drawn with a sign, before the band and what was drawn earlier.
    pub fn steps(&mut self, sign: char, value: impl Fn(usize) -> f64) {
        for column in 0..self.columns {
            let value = value(2 * column);
            if value.is_finite() {
                let y = self.row(value) / 4;
                self.signs[y][column] = sign;
            }
        }
    }

    /// Prints the canvas with its labels, and three moments below: of the left edge, between, and of the right.
    pub fn print(&self, out: &mut impl Write, moments: [Timestamp; 3]) -> io::Result<()> {
        let margin = self.margin;
        for (index, (dots, signs)) in self.dots.iter().zip(&self.signs).enumerate() {
            let label = match index {
                0 => &self.labels[0],
                _ if index == HEIGHT / 2 => &self.labels[1],
                _ if index == HEIGHT - 1 => &self.labels[2],
                _ => "",
            };
            let cell = |(dots, sign): (&u32, &char)| match dots {
                0 => *sign,
                dots => char::from_u32(0x2800 + dots).unwrap_or(' '),
            };
            let row: String = dots.iter().zip(signs).map(cell).collect();
            writeln!(out, "{label:>margin$} ┤{}", row.trim_end())?;
        }
        let when = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
        let [left, between, right] = moments.map(when);
        let gap = self.columns.saturating_sub(3 * 16) / 2;
        let space = " ".repeat(gap.max(1));
        if self.columns < 3 * 16 + 2 {
            for (place, at) in [("from", left), ("to", between), ("to", right)] {
                writeln!(out, "{:margin$}  {place:>4} {at}", "")?;
            }
            return Ok(());
        }
        writeln!(out, "{:margin$}  {left}{space}{between}{space}{right}", "")
    }

    /// Prints one more row of signs below, under a name that fits into the margin or stands behind it.
    pub fn row_below(
        &self,
        out: &mut impl Write,
        name: &str,
        sign: impl Fn(usize) -> char,
    ) -> io::Result<()> {
        let margin = self.margin;
        let row: String = (0..self.columns).map(|column| sign(2 * column)).collect();
        writeln!(out, "{:margin$} │{} {name}", "", row)
    }
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
