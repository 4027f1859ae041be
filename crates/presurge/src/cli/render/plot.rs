//! Pictures for a file: forecasts with their bands, as SVG or as a page with one picture for each
//! series. They need no font, script or network.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::cli::Failed;

/// The size of one picture, in pixels.
const SIZE: (u32, u32) = (960, 320);

/// The most pictures in one file.
pub const MAX_PICTURES: usize = 100;

/// The past and what came of it.
const INK: RGBColor = RGBColor(40, 44, 52);
/// What is expected, and the bands around it.
const BLUE: RGBColor = RGBColor(31, 111, 184);

/// A value at a moment; one that is not finite is a gap.
pub type Point = (Timestamp, f64);

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

/// What kind of file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One picture below the other.
    Svg,
    /// A page.
    Html,
}

impl Kind {
    /// The file that was asked for, and its kind.
    pub fn asked(path: Option<&Path>) -> Result<Option<(&Path, Self)>, Failed> {
        let Some(path) = path else { return Ok(None) };
        let kind = Self::of(path).ok_or_else(|| {
            Failed::usage(format!("--plot {}: end the name with .svg or .html", path.display()))
        })?;
        Ok(Some((path, kind)))
    }

    /// The kind that a file's name says, if it says one.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }
}

/// The file with all pictures (but no more than [`MAX_PICTURES`]); `head` is the heading of a
/// page, and `table` rows of text, the first of which names the columns.
pub fn file(kind: Kind, head: &str, table: &[Vec<String>], pictures: &[Picture]) -> String {
    let shown = &pictures[..pictures.len().min(MAX_PICTURES)];
    match kind {
        Kind::Svg => svg(shown),
        Kind::Html => page(head, table, shown, pictures.len() - shown.len()),
    }
}

fn page(head: &str, table: &[Vec<String>], pictures: &[Picture], left: usize) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<style>\n\
         body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}\n\
         table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .6rem; text-align: right; }}\n\
         td:first-child, th:first-child {{ text-align: left; }} tr + tr {{ border-top: 1px solid #ddd; }}\n\
         svg {{ width: 100%; height: auto; }}\n</style>\n<h1>{0}</h1>\n",
        escaped(head)
    );
    for (index, row) in table.iter().enumerate() {
        let cell = if index == 0 { "th" } else { "td" };
        html.push_str(if index == 0 { "<table>\n<tr>" } else { "<tr>" });
        for text in row {
            let _ = write!(html, "<{cell}>{}</{cell}>", escaped(text));
        }
        html.push_str("</tr>\n");
    }
    if !table.is_empty() {
        html.push_str("</table>\n");
    }
    for picture in pictures {
        html.push_str(&svg(std::slice::from_ref(picture)));
        html.push('\n');
    }
    if left > 0 {
        let _ = writeln!(html, "<p>{left} more series are not drawn.</p>");
    }
    html.push_str("</html>\n");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn svg(pictures: &[Picture]) -> String {
    let count = pictures.len().max(1);
    let mut text = String::new();
    {
        let height = SIZE.1 * u32::try_from(count).unwrap_or(1);
        let root = SVGBackend::with_string(&mut text, (SIZE.0, height)).into_drawing_area();
        for (area, picture) in root.split_evenly((count, 1)).iter().zip(pictures) {
            // Writing into a string cannot fail.
            let _ = draw(area, picture);
        }
    }
    text
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, picture: &Picture) -> Drawn {
    area.fill(&WHITE)?;
    let Some((times, values)) = extent(picture) else { return Ok(()) };
    let mut chart = ChartBuilder::on(area)
        .caption(&picture.title, ("sans-serif", 16).into_font().color(&INK))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(times.0..times.1, values.0..values.1)?;
    let moment = |at: &f64| moment(*at, times.1 - times.0);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.4))
        .x_labels(7)
        .y_labels(6)
        .x_label_formatter(&moment)
        .y_label_formatter(&|value| super::time::number(*value))
        .draw()?;
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

fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

/// A moment (UTC) as finely as the length of the picture asks for.
fn moment(at: f64, length: f64) -> String {
    let format = if length > 3.0 * 86_400.0 { "%d %b" } else { "%d %b %H:%M" };
    let at = Timestamp::from_second(at as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned_datetime(TimeZone::UTC).strftime(format).to_string()
}

/// The stretches without gaps.
fn unbroken(points: &[Point]) -> Vec<Vec<(f64, f64)>> {
    points
        .split(|(_, value)| !value.is_finite())
        .filter(|line| !line.is_empty())
        .map(|line| line.iter().map(|(at, value)| (seconds(*at), *value)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_777_896_000 + hour * 3_600).unwrap()
    }

    fn picture(title: &str) -> Picture {
        let seen = (0..48).map(|h| (at(h), if h == 20 { f64::NAN } else { h as f64 })).collect();
        let mean = (48..60).map(|h| (at(h), h as f64)).collect();
        let band = (48..60).map(|h| (at(h), h as f64 - 5.0, h as f64 + 5.0)).collect();
        Picture { title: title.into(), seen, futures: vec![Future { mean, bands: vec![band] }] }
    }

    #[test]
    fn a_picture_has_both_sides_of_a_gap_the_forecast_and_its_band() {
        let svg = file(Kind::Svg, "", &[], &[picture("load")]);
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("<polygon").count(), 1);
        let blue = svg.matches("stroke=\"#1F6FB8\"").count();
        let ink = svg.lines().filter(|l| l.contains("<polyline") && l.contains("#282C34"));
        assert_eq!(blue, 1);
        assert!(ink.filter(|l| l.contains("opacity=\"1\"")).count() >= 2, "{svg}");
        assert!(svg.contains("load"));
    }

    #[test]
    fn a_page_is_escaped_and_says_what_it_leaves_out() {
        let pictures: Vec<Picture> = (0..MAX_PICTURES + 3).map(|_| picture("a<b")).collect();
        let table = [vec!["model".to_owned()], vec!["<script>".to_owned()]];
        let html = file(Kind::Html, "x & y", &table, &pictures);
        assert!(html.contains("<h1>x &amp; y</h1>") && html.contains("<td>&lt;script&gt;</td>"));
        assert_eq!(html.matches("<svg ").count(), MAX_PICTURES);
        assert!(html.contains("3 more series are not drawn") && !html.contains("a<b"));
    }

    #[test]
    fn nothing_at_all_is_an_empty_picture() {
        let empty = Picture { title: String::new(), seen: Vec::new(), futures: Vec::new() };
        assert!(file(Kind::Svg, "", &[], &[empty]).contains("<svg "));
        assert_eq!(Kind::of(Path::new("a.SVG")), Some(Kind::Svg));
        assert_eq!(Kind::of(Path::new("a.png")), None);
    }
}
