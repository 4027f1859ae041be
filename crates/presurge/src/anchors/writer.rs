//! Signs heads and hands them on, on a thread for each destination: a disk that hangs, a pipe that
//! nobody reads, a receiver that does not answer must hold up neither the driver nor each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use domain::freeze::Freezes;
use domain::journal::{Anchor, Digest, Head, Statement};
use domain::name::RolloutId;
use domain::ports::Clock;

use tokio::runtime::{Builder, Runtime};

use super::key::SigningKey;
use crate::notify::Receiver;

/// The end of the program waits so long for the last anchors, no longer.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Where anchors go.
#[derive(Clone)]
pub enum Destination {
    /// Lines are appended to this file, each durable before the next.
    File(PathBuf),
    /// Lines go to standard output.
    Stdout,
    /// Somebody who is told what happens keeps them.
    Receiver(Receiver),
}

impl Destination {
    /// In words.
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdout => "standard output".into(),
            Self::Receiver(receiver) => receiver.name.clone(),
        }
    }
}

#[derive(Clone)]
enum Message {
    Saw(RolloutId, Head),
    /// Sign what is not signed yet, and answer.
    Close(Sender<()>),
}

/// Where heads are handed in. The threads behind it live until the program ends.
pub struct Writer {
    benches: Vec<Sender<Message>>,
    troubles: Mutex<mpsc::Receiver<String>>,
}

impl Writer {
    /// Nobody asked for anchors.
    pub fn idle() -> Self {
        Self { benches: Vec::new(), troubles: Mutex::new(mpsc::channel().1) }
    }

    /// Signs, per chain and destination, the first head that it is shown, then one for every `every`
    /// records, and the last; of the chain of freezes, where little happens, each.
    pub fn start(
        key: SigningKey,
        to: Vec<Destination>,
        every: NonZeroU64,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (trouble, troubles) = mpsc::channel();
        let (key, mut benches) = (Arc::new(key), Vec::with_capacity(to.len()));
        for to in to {
            let (messages, queue) = mpsc::channel();
            let (key, clock, trouble) = (key.clone(), clock.clone(), Some(trouble.clone()));
            let bench = Bench { key, to, every, clock, chains: BTreeMap::new(), trouble };
            thread::Builder::new().name("anchors".into()).spawn(move || bench.work(&queue))?;
            benches.push(messages);
        }
        Ok(Self { benches, troubles: Mutex::new(troubles) })
    }

    /// A chain now ends here.
    pub fn saw(&self, rollout: &RolloutId, head: Head) {
        for bench in &self.benches {
            // A thread that has died has said so.
            let _ = bench.send(Message::Saw(rollout.clone(), head.clone()));
        }
    }

    /// What went wrong first, told once.
    pub fn trouble(&self) -> Option<String> {
        self.troubles.lock().expect("no panic under the lock").try_recv().ok()
    }

    /// Has the last heads signed, and says what could not be written.
    pub fn close(&self) -> Option<String> {
        let (done, ended) = mpsc::channel();
        let mut asked = 0;
        for bench in &self.benches {
            asked += usize::from(bench.send(Message::Close(done.clone())).is_ok());
        }
        // They work side by side: after one that is too late, nobody is waited for.
        let late = asked < self.benches.len()
            || (0..asked).any(|_| ended.recv_timeout(LAST_WAIT).is_err());
        let text = "the last anchors are not written: their destination does not take them";
        self.trouble().or_else(|| late.then(|| text.into()))
    }
}

/// What a thread knows.
struct Bench {
    key: Arc<SigningKey>,
    to: Destination,
    every: NonZeroU64,
    clock: Arc<dyn Clock>,
    /// Per chain its newest head, and the number of the last one that was signed.
    chains: BTreeMap<RolloutId, (Head, Option<u64>)>,
    /// Gone once something was told.
    trouble: Option<Sender<String>>,
}

impl Bench {
    fn work(mut self, queue: &mpsc::Receiver<Message>) {
        let to = self.to.clone();
        let hand = match Hand::of(&to) {
            Ok(hand) => hand,
            Err(error) => return self.tell(&error),
        };
        while let Ok(message) = queue.recv() {
            let mut all = vec![message];
            if hand.is_slow() {
                // What waited behind a slow answer is out of date; the newest head covers it.
                all.extend(queue.try_iter());
            }
            let mut due = BTreeSet::new();
            for message in all {
                match message {
                    Message::Saw(rollout, head) => {
                        let signed = self.chains.get(&rollout).and_then(|chain| chain.1);
                        self.chains.insert(rollout.clone(), (head, signed));
                        due.insert(rollout);
                    }
                    Message::Close(done) => {
                        self.sign_all(&hand);
                        let _ = done.send(());
                    }
                }
            }
            for rollout in due.iter().filter(|rollout| self.is_due(rollout)).collect::<Vec<_>>() {
                self.sign(rollout, &hand);
            }
        }
    }

    fn is_due(&self, rollout: &RolloutId) -> bool {
        let every = if *rollout == Freezes::chain() { 1 } else { self.every.get() };
        self.chains.get(rollout).is_some_and(|(head, signed)| {
            signed.is_none_or(|signed| head.seq >= signed.saturating_add(every))
        })
    }

    /// Signs the newest head of every chain that is not signed yet.
    fn sign_all(&mut self, hand: &Hand<'_>) {
        let open = |(head, signed): &(Head, Option<u64>)| *signed != Some(head.seq);
        let chains = self.chains.iter().filter(|(_, chain)| open(chain));
        let chains: Vec<RolloutId> = chains.map(|(id, _)| id.clone()).collect();
        for id in &chains {
            self.sign(id, hand);
        }
    }

    fn tell(&mut self, error: &io::Error) {
        if let Some(trouble) = self.trouble.take() {
            let _ = trouble.send(format!(
                "{}: anchors cannot be written ({error}); the rollout goes on, and its journal is \
                 not proven against them until they can",
                self.to.name()
            ));
        }
    }

    /// Signs the newest head of a chain. What cannot be written is tried again with the next head.
    fn sign(&mut self, rollout: &RolloutId, hand: &Hand<'_>) {
        let Some((head, signed)) = self.chains.get_mut(rollout) else { return };
        let statement = Statement {
            rollout: rollout.clone(),
            head: head.clone(),
            at: self.clock.now(),
            key: Digest::clone(self.key.id()),
        };
        match hand.over(&self.key.sign(statement)) {
            Ok(()) => *signed = Some(head.seq),
            Err(error) => self.tell(&error),
        }
    }
}

/// How anchors are handed on.
enum Hand<'a> {
    File(&'a Path),
    Stdout,
    /// A call needs a runtime.
    Calls(&'a Receiver, Runtime),
}

impl<'a> Hand<'a> {
    fn of(to: &'a Destination) -> io::Result<Self> {
        Ok(match to {
            Destination::File(path) => Self::File(path),
            Destination::Stdout => Self::Stdout,
            Destination::Receiver(receiver) => {
                Self::Calls(receiver, Builder::new_current_thread().enable_all().build()?)
            }
        })
    }

    fn is_slow(&self) -> bool {
        matches!(self, Self::Calls(..))
    }

    fn over(&self, anchor: &Anchor) -> io::Result<()> {
        if let Self::Calls(receiver, runtime) = self {
            let kept = runtime.block_on(receiver.notify.keep(anchor));
            return kept.map_err(|error| io::Error::other(error.chain()));
        }
        let mut line = serde_json::to_vec(anchor)?;
        line.push(b'\n');
        match self {
            Self::File(path) => append(path, line),
            Self::Stdout | Self::Calls(..) => {
                let mut out = io::stdout().lock();
                out.write_all(&line)?;
                out.flush()
            }
        }
    }
}

/// Appends a line and waits until it is on the disk. The file is opened anew each time, so that it
/// may be rotated away; a line that was cut short by a full disk or a crash is ended first.
fn append(path: &Path, mut line: Vec<u8>) -> io::Result<()> {
    let new = !path.exists();
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.is_file() && cut_short(path) {
        line.insert(0, b'\n');
    }
    file.write_all(&line)?;
    match file.sync_data() {
        // A pipe or a terminal has nothing to sync.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        other => other?,
    }
    if new && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Whether a file that can be read does not end with the end of a line.
fn cut_short(path: &Path) -> bool {
    let last = |mut file: File| {
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok::<u8, io::Error>(byte[0])
    };
    // An empty file has no last byte: the seek fails.
    File::open(path).and_then(last).is_ok_and(|byte| byte != b'\n')
}
