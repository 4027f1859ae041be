//! `presurge serve`: the daemon. It drives rollouts that nobody else drives, and answers over HTTP.
//!
//! ```text
//! listen → exchange → route → routes::…     requests, one way in for all of them
//! keeper → apply::Applier → rollout::Driver rollouts, one task each
//! ```
//!
//! Replicas know nothing of each other: the store says who drives what, by leases.

pub mod access;
mod advice;
mod answered;
mod begin;
mod events;
mod exchange;
pub mod fresh;
mod keeper;
pub mod listen;
mod metrics;
mod openapi;
mod problem;
mod renewed;
mod route;
mod routes;
mod settings;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::name::FleetName;
use domain::ports::{Archive, Clock, Journal};
use rollout::driver::Stop;
use rollout::settings::Pace;
use store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use self::access::{Access, Caller};
use self::answered::Answered;
use self::fresh::Fresh;
use self::keeper::Keeper;
use self::listen::{Door, Place};
use self::metrics::{Counted, Meters};
use self::problem::Problem;
use self::route::Route;
use crate::anchors::{Watched, Writer};
use crate::apply::Applier;
use crate::apply::audience::Storyteller;
use crate::cli::{Code, Failed, StoreArgs};
use crate::documents::Documents;
use crate::pipeline::{Forecasters, Prepared, Together};

/// How far the daemon goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Forecast, plan and record; begin and drive nothing
    Observe,
    /// The same, and answer who would begin a rollout with advice, which is written down
    Advise,
    /// Begin and drive rollouts
    Act,
}

/// What the daemon is started with.
pub struct Wanted {
    /// Where to listen.
    pub listen: Place,
    /// The store.
    pub store: StoreArgs,
    /// The configuration.
    pub documents: Documents,
    /// How far to go.
    pub mode: Mode,
    /// Whom to let in.
    pub access: Access,
    /// Certificate and key, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How drivers pace themselves.
    pub pace: Pace,
    /// The most rollouts that this replica drives at once.
    pub most: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who signs heads.
    pub anchors: Arc<Writer>,
}

/// The daemon, as its parts see it.
pub struct Server {
    /// Journals and archive.
    pub store: Arc<dyn Store>,
    place: StoreArgs,
    documents: Documents,
    mode: Mode,
    access: Access,
    pace: Pace,
    most: usize,
    clock: Arc<dyn Clock>,
    anchors: Arc<Writer>,
    routes: Vec<Route>,
    keeper: Keeper,
    answered: Answered,
    meters: Meters,
    fresh: Arc<Fresh>,
    told_advice: advice::Kept,
    /// Asks drivers to stop.
    stop: Stop,
    /// How many drivers plan at once …
    turns: Arc<Semaphore>,
    /// … and how many plans and permits are computed for callers beside them.
    asked: Semaphore,
    /// Whoever fits waits for its turn …
    fits: Semaphore,
    /// … and so does whoever takes in new samples.
    updates: Semaphore,
    /// How many streams may be open.
    streams: Arc<Semaphore>,
    told: Mutex<BTreeMap<String, u32>>,
}

/// The same trouble is told again after so many more of it.
const TROUBLE_AGAIN: u32 = 60;

/// So many troubles are told apart.
const TROUBLES: usize = 1000;

impl Server {
    /// Labels of a fleet of the configuration.
    fn labels(&self, fleet: &FleetName) -> Option<&BTreeMap<String, String>> {
        self.documents.fleets.get(fleet).map(|file| &file.fleet.labels)
    }

    /// Whether a caller has to do with a fleet.
    fn in_scope(&self, who: &Caller, fleet: &FleetName) -> Result<(), Problem> {
        if who.sees(self.labels(fleet)) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("{} has nothing to do with fleet {fleet}", who.name)))
    }

    /// Whether anything is begun here.
    fn acts(&self) -> Result<(), Problem> {
        if self.mode == Mode::Act {
            return Ok(());
        }
        let detail = "this daemon only observes; start it with --mode act";
        Err(Problem::conflict("observes", "Nothing is begun here", detail))
    }

    async fn pause(&self, length: Duration) {
        keeper::pause(self.clock.as_ref(), length).await;
    }

    /// Computes something when it is its turn, beside everything that waits.
    async fn compute<T: Send + 'static>(
        turns: &Semaphore,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let _turn = turns.acquire().await.map_err(|error| error.to_string())?;
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
    }

    /// Says on standard error what does not work; the same thing only now and then.
    fn trouble(&self, what: &str, error: &(dyn std::error::Error + 'static)) {
        self.warn(format!("{what}: {}", crate::causes::chain(error)));
    }

    fn warn(&self, text: String) {
        let mut told = self.told.lock().expect("nobody panics with it");
        if told.len() > TROUBLES {
            told.clear();
        }
        let count = told.entry(text.clone()).or_default();
        *count += 1;
        if *count % TROUBLE_AGAIN == 1 {
            eprintln!("warning: {text}");
        }
    }

    /// A rollout of some documents, planned with the forecasters that are kept here.
    fn together(&self, documents: &Documents, name: &str) -> Result<Together, Failed> {
        let forecasters: Arc<dyn Forecasters> = self.fresh.clone();
        let all = Together::new(documents, Some(name), &self.clock, &[])?;
        Ok(all.with_forecasters(&forecasters))
    }

    /// What drives a rollout here.
    fn applier(self: &Arc<Self>, prepared: Arc<Prepared>, id: &domain::name::RolloutId) -> Applier {
        let teller = Arc::new(Storyteller::of(id.as_str()));
        let watched = Arc::new(Watched::new(teller, self.anchors.clone()));
        let counted = Counted::new(watched, self.clone(), self.pace.tick);
        Applier {
            prepared,
            journal: self.store.clone() as Arc<dyn Journal>,
            archive: self.store.clone() as Arc<dyn Archive>,
            audience: Arc::new(counted),
            pace: self.pace,
            patience: None,
            seed: 1,
            anchors: self.anchors.clone(),
            stop: self.stop.clone(),
            turns: self.turns.clone(),
        }
    }
}

/// Returns when the daemon shall end.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A thousand rollouts and as many connections are more files than a process may open at first.
fn open_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it may not, the daemon does with what it has.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Runs the daemon until it is asked to end.
pub async fn run(wanted: Wanted) -> Result<Code, Failed> {
    let public = wanted.listen.is_public();
    if public && (wanted.tls.is_none() || !wanted.access.has_tokens()) {
        let text = "others than this machine reach that address: give --tls-cert, --tls-key and --tokens, \
                    or listen on 127.0.0.1 or unix:PATH";
        return Err(Failed::usage(text));
    }
    let shown = wanted.tls.as_ref().map(|(cert, key)| tls::Shown::read(cert, key));
    let shown = shown.transpose().map_err(Failed::data)?.map(Arc::new);
    let tls = shown.clone().map(tls::Shown::acceptor).transpose().map_err(Failed::data)?;
    open_many_files();
    let store = wanted.store.open()?;
    let door = Door::open(&wanted.listen).await?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let server = Arc::new(Server {
        store,
        place: wanted.store,
        documents: wanted.documents,
        mode: wanted.mode,
        access: wanted.access,
        pace: wanted.pace,
        most: wanted.most,
        clock: wanted.clock,
        anchors: wanted.anchors,
        routes: routes::table(),
        keeper: Keeper::default(),
        answered: Answered::default(),
        meters: Meters::default(),
        fresh: Arc::default(),
        told_advice: advice::Kept::default(),
        stop: Stop::default(),
        turns: Arc::new(Semaphore::new(cores)),
        asked: Semaphore::new(cores.div_ceil(2)),
        fits: Semaphore::new(cores.div_ceil(2)),
        updates: Semaphore::new(cores.div_ceil(2)),
        streams: Arc::new(Semaphore::new(settings::STREAMS)),
        told: Mutex::default(),
    });
    let (tell, told) = watch::channel(false);
    let mode = format!("{:?}", server.mode).to_lowercase();
    let scheme = if tls.is_some() { "https" } else { "http" };
    eprintln!("presurge listens on {} ({scheme}, mode {mode})", door.name());
    let listening = tokio::spawn(listen::serve(server.clone(), door, tls, told.clone()));
    let freshening = tokio::spawn(fresh::keep(server.clone(), told.clone()));
    let settling = tokio::spawn(advice::keep(server.clone(), told.clone()));
    let renewing = tokio::spawn(renewed::keep(server.clone(), shown, told.clone()));
    let keeping = match server.mode {
        Mode::Act => Some(tokio::spawn(keeper::keep(server.clone(), told))),
        Mode::Observe | Mode::Advise => None,
    };
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ended = async {
        if let Some(keeping) = keeping {
            let _ = keeping.await;
        }
        let _ = (listening.await, freshening.await, settling.await, renewing.await);
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    eprintln!("ending: no new work; what is under way ends its turn");
    server.stop.ask();
    tell.send_replace(true);
    tokio::select! {
        () = ended => {}
        _ = terminate.recv() => eprintln!("ended at once; leases run out by themselves"),
        _ = interrupt.recv() => eprintln!("ended at once; leases run out by themselves"),
    }
    if let Some(text) = server.anchors.close() {
        eprintln!("warning: {text}");
    }
    Ok(Code::Done)
}
