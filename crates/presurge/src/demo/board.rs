//! What there is to see of the demo at a moment; written by whoever knows, read by the view.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use domain::name::ServerName;
use domain::series::Sample;
use jiff::Timestamp;

use super::outlook::Band;
use super::tally::{Second, Totals};

/// So many events are kept for the view.
const EVENTS: usize = 60;

/// One of the four runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Run {
    /// By Presurge.
    Presurge,
    /// No rollout at all.
    NoRollout,
    /// A fixed roll of a quarter at a time.
    Fixed,
    /// The same with a quarter of surge.
    FixedSurge,
}

impl Run {
    /// In the order in which they are performed.
    pub const ALL: [Self; 4] = [Self::Presurge, Self::NoRollout, Self::Fixed, Self::FixedSurge];

    /// What it is called in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Presurge => "Presurge",
            Self::NoRollout => "no rollout",
            Self::Fixed => "fixed 25 %",
            Self::FixedSurge => "fixed 25 % + 25 % surge",
        }
    }
}

/// What is happening to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// Gets requests and runs the old version.
    Old,
    /// Gets requests and runs the new version.
    New,
    /// Gets no new requests.
    Draining,
    /// Its process is being replaced, or it starts.
    Updating,
    /// It is asked whether it is well, and goes back into service.
    Checking,
    /// It failed and stays out.
    Failed,
}

/// How the rollout of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There was none.
    NoRollout,
    /// All servers run the new version.
    Done,
    /// It still held when the load of the demo ended, and was aborted.
    Aborted,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// How its rollout ended.
    pub end: End,
    /// Its requests.
    pub totals: Totals,
    /// What its surge cost, in the time and the prices of the story.
    pub surge_cost: f64,
    /// From the moment the rollout was asked for to its end, in real seconds; 0 without one.
    pub duration_seconds: f64,
    /// Records in the journal.
    pub journal_events: u64,
}

/// Everything that the view shows.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// What was asked for, in words.
    pub heading: String,
    /// The run under way.
    pub run: Option<Run>,
    /// The plan in words.
    pub plan: String,
    /// The present moment of the story, its beginning and its end.
    pub now: Option<Timestamp>,
    /// The window that is shown.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The forecast; made by Presurge, shown in all runs.
    pub bands: Vec<Band>,
    /// Load that came, by the middle of its step.
    pub load: Vec<Sample>,
    /// Capacity in service, whenever it changed.
    pub capacity: Vec<Sample>,
    /// The servers by name, surge among them.
    pub servers: BTreeMap<ServerName, Light>,
    /// What happened last.
    pub events: VecDeque<(Timestamp, String)>,
    /// The requests of this run so far.
    pub totals: Option<Totals>,
    /// The real seconds of this run so far.
    pub seconds: Vec<Second>,
    /// The runs that are over.
    pub done: Vec<(Run, Figures)>,
}

/// Who is told of each event as it happens.
pub type Listener = Box<dyn Fn(Timestamp, &str) + Send + Sync>;

/// See the module. Copies show the same.
#[derive(Clone)]
pub struct Board {
    picture: Arc<Mutex<Picture>>,
    listener: Arc<Listener>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// An empty board.
    pub fn new(heading: String, listener: Listener) -> Self {
        let picture = Picture { heading, ..Picture::default() };
        Self { picture: Arc::new(Mutex::new(picture)), listener: Arc::new(listener) }
    }

    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What there is to see now.
    pub fn look(&self) -> Picture {
        self.picture().clone()
    }

    /// A run begins; what was shown of the one before goes, the forecast stays.
    pub fn begin(&self, run: Run, window: (Timestamp, Timestamp), servers: Vec<ServerName>) {
        let mut picture = self.picture();
        let old = std::mem::take(&mut *picture);
        *picture = Picture {
            heading: old.heading,
            bands: old.bands,
            done: old.done,
            run: Some(run),
            window: Some(window),
            now: Some(window.0),
            servers: servers.into_iter().map(|name| (name, Light::Old)).collect(),
            ..Picture::default()
        };
        drop(picture);
        self.event(window.0, run.title());
    }

    /// Something happened.
    pub fn event(&self, at: Timestamp, text: &str) {
        (self.listener)(at, text);
        let mut picture = self.picture();
        picture.events.push_back((at, text.to_owned()));
        while picture.events.len() > EVENTS {
            picture.events.pop_front();
        }
    }

    /// A server does something else now.
    pub fn light(&self, server: &ServerName, light: Light) {
        self.picture().servers.insert(server.clone(), light);
    }

    /// A server is no more.
    pub fn gone(&self, server: &ServerName) {
        self.picture().servers.remove(server);
    }

    /// The forecast.
    pub fn forecast(&self, bands: Vec<Band>) {
        self.picture().bands = bands;
    }

    /// The plan in words.
    pub fn plan(&self, text: String) {
        self.picture().plan = text;
    }

    /// How things stand.
    pub fn stands(&self, now: Timestamp, totals: Totals, seconds: Vec<Second>, load: Vec<Sample>) {
        let mut picture = self.picture();
        picture.now = Some(now);
        picture.totals = Some(totals);
        picture.seconds = seconds;
        picture.load = load;
    }

    /// The capacity in service.
    pub fn capacity(&self, at: Timestamp, value: f64) {
        let mut picture = self.picture();
        let last = picture.capacity.last().map(|s| s.value);
        if last != Some(value) {
            // A step, not a slope.
            picture.capacity.extend(last.map(|value| Sample { at, value }));
            picture.capacity.push(Sample { at, value });
        }
    }

    /// A run is over.
    pub fn end(&self, run: Run, figures: Figures) {
        self.picture().done.push((run, figures));
    }
}
