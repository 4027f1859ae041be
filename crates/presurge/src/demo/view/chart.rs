//! The chart: hours of the story to the right, requests per second upwards.

use jiff::Timestamp;
use ratatui::prelude::{Frame, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};

use super::super::board::Picture;
use super::super::plan_words::time_of_day;
use super::super::settings::{SERVER_CAPACITY, SERVERS};

type Points = Vec<(f64, f64)>;

const LOAD: Color = Color::Yellow;
const FORECAST: Color = Color::Blue;
const BAND: Color = Color::DarkGray;
const CAPACITY: Color = Color::Green;

/// Draws it, once it is known which window to show.
pub fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let Some((from, to)) = picture.window else {
        frame.render_widget(Paragraph::new("").block(Block::bordered()), area);
        return;
    };
    let hours = |at: Timestamp| at.duration_since(from).as_secs_f64() / 3_600.0;
    let band = |of: fn(&super::super::outlook::Band) -> f64| -> Points {
        picture.bands.iter().map(|b| (hours(b.at), of(b))).collect()
    };
    let (low, mean, high) = (band(|b| b.low), band(|b| b.mean), band(|b| b.high));
    let load: Points = picture.load.iter().map(|s| (hours(s.at), s.value)).collect();
    let mut capacity: Points = picture.capacity.iter().map(|s| (hours(s.at), s.value)).collect();
    if let (Some((_, value)), Some(now)) = (capacity.last().copied(), picture.now) {
        capacity.push((hours(now), value));
    }
    let fleet = f64::from(SERVERS) * SERVER_CAPACITY;
    let all = [&low, &high, &load, &capacity].into_iter().flatten().map(|(_, y)| *y);
    let (bottom, top) = all.fold((fleet, fleet), |(l, h), y| (l.min(y), h.max(y)));
    let (bottom, top) = ((bottom / 20.0).floor() * 20.0, (top / 20.0).ceil() * 20.0);
    let line = |points, colour| {
        let set = Dataset::default().data(points).graph_type(GraphType::Line);
        set.marker(Marker::Braille).style(Style::new().fg(colour))
    };
    let sets = vec![
        line(&low, BAND),
        line(&high, BAND),
        line(&mean, FORECAST),
        line(&capacity, CAPACITY),
        line(&load, LOAD),
    ];
    let middle = from + (to.duration_since(from) / 2).unsigned_abs();
    let x = Axis::default()
        .bounds([0.0, hours(to)])
        .labels([from, middle, to].map(|at| Line::from(time_of_day(at))));
    let y = Axis::default()
        .bounds([bottom, top])
        .labels([bottom, (bottom + top) / 2.0, top].map(|y| Line::from(format!("{y:.0}"))));
    let name = |text, colour| Span::styled(text, Style::new().fg(colour));
    let title = Line::from(vec![
        Span::raw(" requests per second: "),
        name("load ", LOAD),
        name("forecast ", FORECAST),
        name("with its 98 % band ", BAND),
        name("capacity ", CAPACITY),
    ]);
    let chart = Chart::new(sets).block(Block::bordered().title(title)).x_axis(x).y_axis(y);
    frame.render_widget(chart, area);
}
