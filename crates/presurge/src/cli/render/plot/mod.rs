//! Pictures for a file, as SVG or as a page. They need no font, script or network.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::cli::Failed;

mod axis;
#[cfg(feature = "train")]
mod curve;
mod outcome;
mod plan;
mod replay;
mod series;

use axis::TimeAxis;
#[cfg(feature = "train")]
pub use curve::Curve;
pub use plan::rollout;
pub use replay::replayed;
pub use series::{Future, Picture};

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

/// What a picture is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A chart over time.
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<TimeAxis, RangedCoordf64>>;

/// Whether it could be drawn.
pub type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// One picture.
pub trait Drawing {
    /// Draws itself on an area of the usual size.
    fn draw(&self, area: &Area<'_>) -> Drawn;
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
pub fn file(kind: Kind, head: &str, table: &[Vec<String>], pictures: &[&dyn Drawing]) -> String {
    let shown = &pictures[..pictures.len().min(MAX_PICTURES)];
    match kind {
        Kind::Svg => svg(shown),
        Kind::Html => page(head, table, shown, pictures.len() - shown.len()),
    }
}

fn page(head: &str, table: &[Vec<String>], pictures: &[&dyn Drawing], left: usize) -> String {
    let mut html = self::head(head);
    html.push_str(&tabulated(table));
    for picture in pictures {
        html.push_str(&svg(&[*picture]));
        html.push('\n');
    }
    if left > 0 {
        let _ = writeln!(html, "<p>{left} more series are not drawn.</p>");
    }
    html.push_str("</html>\n");
    html
}

/// The beginning of a page, with its heading.
fn head(heading: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<style>\n\
         body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}\n\
         table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .6rem; text-align: right; }}\n\
         td:first-child, th:first-child {{ text-align: left; }} tr + tr {{ border-top: 1px solid #ddd; }}\n\
         svg {{ width: 100%; height: auto; }}\n</style>\n<h1>{0}</h1>\n",
        escaped(heading)
    )
}

/// Rows of text, the first of which names the columns.
fn tabulated(table: &[Vec<String>]) -> String {
    let mut html = String::new();
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
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn svg(pictures: &[&dyn Drawing]) -> String {
    let count = pictures.len().max(1);
    let mut text = String::new();
    {
        let height = SIZE.1 * u32::try_from(count).unwrap_or(1);
        let root = SVGBackend::with_string(&mut text, (SIZE.0, height)).into_drawing_area();
        for (area, picture) in root.split_evenly((count, 1)).iter().zip(pictures) {
            // Writing into a string cannot fail.
            let _ = picture.draw(area);
        }
    }
    text
}

/// Title, axes and grid of a picture over `times` (in seconds) and `values`.
fn frame<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    times: (f64, f64),
    values: (f64, f64),
    label: Option<fn(f64) -> String>,
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16).into_font().color(&INK))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(TimeAxis::over(times), values.0..values.1)?;
    let moment = |at: &f64| TimeAxis::over(times).moment(*at);
    let label = |value: &f64| label.map_or(String::new(), |label| label(*value));
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.4))
        .y_labels(6)
        .x_label_formatter(&moment)
        .y_label_formatter(&label)
        .draw()?;
    Ok(chart)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
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
        let svg = file(Kind::Svg, "", &[], &[&picture("load")]);
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
        let pictures: Vec<&dyn Drawing> = pictures.iter().map(|one| one as &dyn Drawing).collect();
        let html = file(Kind::Html, "x & y", &table, &pictures);
        assert!(html.contains("<h1>x &amp; y</h1>") && html.contains("<td>&lt;script&gt;</td>"));
        assert_eq!(html.matches("<svg ").count(), MAX_PICTURES);
        assert!(html.contains("3 more series are not drawn") && !html.contains("a<b"));
    }

    #[test]
    fn nothing_at_all_is_an_empty_picture() {
        let empty = Picture { title: String::new(), seen: Vec::new(), futures: Vec::new() };
        assert!(file(Kind::Svg, "", &[], &[&empty]).contains("<svg "));
        assert_eq!(Kind::of(Path::new("a.SVG")), Some(Kind::Svg));
        assert_eq!(Kind::of(Path::new("a.png")), None);
    }
}
