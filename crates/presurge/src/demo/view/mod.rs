//! How the demo is watched: a live view on a terminal, lines elsewhere.

mod chart;
mod terminal;

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::board::Board;
use super::plan_words::moment;
use terminal::Screen;

/// From one picture to the next.
const EVERY: Duration = Duration::from_millis(125);

/// Watches a board until it is stopped.
pub struct View {
    /// What is watched.
    pub board: Board,
    drawing: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl View {
    /// Begins to watch: with a live view on standard error, or with a line for each event there.
    ///
    /// # Errors
    /// When the terminal does not do what it should.
    pub fn start(live: bool, heading: String) -> io::Result<Self> {
        if !live {
            return Ok(Self { board: Board::new(heading, Box::new(line)), drawing: None });
        }
        let board = Board::new(heading, Box::new(|_, _| {}));
        let mut screen = Screen::open()?;
        let (stop, mut stopped) = oneshot::channel();
        let watched = board.clone();
        let task = tokio::spawn(async move {
            // A terminal that goes away takes the view with it, not the demo.
            while screen.draw(&watched.look()).is_ok() {
                tokio::select! {
                    _ = &mut stopped => return,
                    () = pause() => {}
                }
            }
        });
        Ok(Self { board, drawing: Some((stop, task)) })
    }

    /// Ends the view; the terminal is as it was before.
    pub async fn stop(self) {
        if let Some((stop, task)) = self.drawing {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

fn line(at: Timestamp, text: &str) {
    // Whoever closed the pipe does not want to read it; the demo goes on.
    let _ = writeln!(io::stderr(), "{}  {text}", moment(at));
}

#[expect(clippy::disallowed_methods, reason = "people watch in real time")]
async fn pause() {
    tokio::time::sleep(EVERY).await;
}
