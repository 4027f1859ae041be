//! The live view: load with its forecast band and the capacity, the servers, what happened last,
//! and the runs so far.

use std::io::{self, Stderr, stderr};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::{Constraint, Layout};
use ratatui::prelude::{Frame, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::super::board::{End, Figures, Light, Picture, Run};
use super::super::plan_words::{moment, time_of_day};
use super::super::stage::short;
use super::chart;

/// The terminal in its other screen; as it was before once this is dropped, on a panic too.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    /// What the keyboard was like.
    before: Option<Termios>,
}

impl Screen {
    /// Switches to the other screen. Keys are not shown, and still make their signals.
    ///
    /// # Errors
    /// When the terminal does not do it.
    pub fn open() -> io::Result<Self> {
        let before = without_echo();
        // What a panic says belongs on the screen that stays.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = execute!(stderr(), LeaveAlternateScreen, Show);
            usual(panic);
        }));
        execute!(stderr(), EnterAlternateScreen, Hide)?;
        let terminal = Terminal::new(CrosstermBackend::new(stderr()))?;
        Ok(Self { terminal, before })
    }

    /// Draws one picture.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, picture: &Picture) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, picture)).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone need not be restored.
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Turns off the echo of keys; returns how it was, where there is a keyboard.
fn without_echo() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &quiet).ok()?;
    Some(before)
}

fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let rows = [
        Constraint::Length(3),
        Constraint::Min(8),
        Constraint::Length(3),
        Constraint::Length(9),
        Constraint::Length(7),
    ];
    let [head, graph, fleet, events, table] = Layout::vertical(rows).areas(frame.area());
    heading(frame, head, picture);
    chart::draw(frame, graph, picture);
    servers(frame, fleet, picture);
    happened(frame, events, picture);
    runs(frame, table, picture);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn heading(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let title = picture.run.map_or("learning from four weeks of load", Run::title);
    let number = picture.done.len() + 1;
    let now = picture.now.map_or_else(String::new, moment);
    let lines = vec![
        Line::from(vec![
            Span::styled(format!(" presurge demo  {number}/4  {title} "), bold()),
            Span::raw(format!("  {now}  ({})", picture.heading)),
        ]),
        Line::from(format!(" {}", picture.plan)),
    ];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

fn servers(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let lamp = |light: Light| match light {
        Light::Old => Style::new().fg(Color::Black).bg(Color::Gray),
        Light::New => Style::new().fg(Color::Black).bg(Color::Green),
        Light::Draining => Style::new().fg(Color::Black).bg(Color::Yellow),
        Light::Updating => Style::new().fg(Color::White).bg(Color::Blue),
        Light::Checking => Style::new().fg(Color::Black).bg(Color::Cyan),
        Light::Failed => Style::new().fg(Color::White).bg(Color::Red),
    };
    // Without colours the letter says it.
    let letter = |light: Light| match light {
        Light::Old => ' ',
        Light::New => 'n',
        Light::Draining => 'd',
        Light::Updating => 'u',
        Light::Checking => 'c',
        Light::Failed => '!',
    };
    let mut spans = vec![Span::raw(" ")];
    for (name, light) in &picture.servers {
        spans.push(Span::styled(format!(" {}{} ", short(name), letter(*light)), lamp(*light)));
        spans.push(Span::raw(" "));
    }
    let title = " servers: d draining, u updating, c checking, n new version, + surge ";
    frame.render_widget(
        Paragraph::new(Line::from(spans)).block(Block::bordered().title(title)),
        area,
    );
}

fn happened(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let room = area.height.saturating_sub(2) as usize;
    let skip = picture.events.len().saturating_sub(room);
    let lines = picture.events.iter().skip(skip);
    let lines: Vec<Line> =
        lines.map(|(at, text)| Line::from(format!(" {}  {text}", time_of_day(*at)))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" events ")), area);
}

fn runs(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let mut lines = vec![Line::styled(
        format!(
            " {:<24}{:>9}{:>8}{:>10}{:>12}{:>12}",
            "", "requests", "failed", "p99", "overloaded", "surge cost"
        ),
        bold(),
    )];
    lines.extend(picture.done.iter().map(|(run, figures)| row(*run, figures)));
    if let (Some(run), Some(totals)) = (picture.run, picture.totals)
        && !picture.done.iter().any(|(done, _)| *done == run)
    {
        let (end, surge_cost) = (End::NoRollout, f64::NAN);
        let figures = Figures { end, totals, surge_cost, duration_seconds: 0.0, journal_events: 0 };
        lines.push(row(run, &figures));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn row(run: Run, figures: &Figures) -> Line<'static> {
    let totals = figures.totals;
    let cost = match figures.surge_cost {
        cost if cost.is_nan() => "…".into(),
        cost => format!("{cost:.2} USD"),
    };
    let text = format!(
        " {:<24}{:>9}{:>8}{:>7.0} ms{:>10} s{:>12}",
        run.title(),
        totals.requests,
        totals.failed,
        totals.p99_ms,
        totals.overloaded_seconds,
        cost
    );
    let bad = totals.failed > 0 || totals.overloaded_seconds > 0;
    Line::styled(text, if bad { Style::new().fg(Color::Red) } else { Style::new() })
}
