//! Signs heads and appends them, on a thread of its own: a disk that hangs, a pipe that nobody
//! reads, must not hold the driver up.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use domain::journal::{Anchor, Digest, Head, Statement};
use domain::name::RolloutId;
use domain::ports::Clock;

use super::key::SigningKey;

/// The end of the program waits so long for the last anchors, no longer.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Where anchors go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Lines are appended to this file, each durable before the next.
    File(PathBuf),
    /// Lines go to standard output.
    Stdout,
}

enum Message {
    Saw(RolloutId, Head),
    /// Sign what is not signed yet, and answer.
    Close(Sender<()>),
}

/// Where heads are handed in. The thread behind it lives until the program ends.
pub struct Writer {
    messages: Option<Sender<Message>>,
    troubles: Mutex<Receiver<String>>,
}

impl Writer {
    /// Nobody asked for anchors.
    pub fn idle() -> Self {
        Self { messages: None, troubles: Mutex::new(mpsc::channel().1) }
    }

    /// Signs, per chain, the first head that it is shown, then one for every `every` records, and
    /// the last.
    pub fn start(
        key: SigningKey,
        to: Destination,
        every: NonZeroU64,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (messages, queue) = mpsc::channel();
        let (trouble, troubles) = mpsc::channel();
        let bench =
            Bench { key, to, every, clock, chains: BTreeMap::new(), trouble: Some(trouble) };
        thread::Builder::new().name("anchors".into()).spawn(move || bench.work(&queue))?;
        Ok(Self { messages: Some(messages), troubles: Mutex::new(troubles) })
    }

    /// A chain now ends here.
    pub fn saw(&self, rollout: &RolloutId, head: Head) {
        if let Some(messages) = &self.messages {
            // A thread that has died has said so.
            let _ = messages.send(Message::Saw(rollout.clone(), head));
        }
    }

    /// What went wrong first, told once.
    pub fn trouble(&self) -> Option<String> {
        self.troubles.lock().expect("no panic under the lock").try_recv().ok()
    }

    /// Has the last heads signed, and says what could not be written.
    pub fn close(&self) -> Option<String> {
        let messages = self.messages.as_ref()?;
        let (done, ended) = mpsc::channel();
        let late = || {
            Some("the last anchors are not written: their destination does not take them".into())
        };
        match messages.send(Message::Close(done)) {
            Ok(()) if ended.recv_timeout(LAST_WAIT).is_ok() => self.trouble(),
            _ => self.trouble().or_else(late),
        }
    }
}

/// What the thread knows.
struct Bench {
    key: SigningKey,
    to: Destination,
    every: NonZeroU64,
    clock: Arc<dyn Clock>,
    /// Per chain its newest head, and the number of the last one that was signed.
    chains: BTreeMap<RolloutId, (Head, Option<u64>)>,
    /// Gone once something was told.
    trouble: Option<Sender<String>>,
}

impl Bench {
    fn work(mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            match message {
                Message::Saw(rollout, head) => {
                    let seq = head.seq;
                    let known = self.chains.entry(rollout.clone()).or_insert((head.clone(), None));
                    known.0 = head;
                    if known.1.is_none_or(|signed| seq >= signed.saturating_add(self.every.get())) {
                        self.sign(&rollout);
                    }
                }
                Message::Close(done) => {
                    let open = |(head, signed): &(Head, Option<u64>)| *signed != Some(head.seq);
                    let chains = self.chains.iter().filter(|(_, chain)| open(chain));
                    let chains: Vec<RolloutId> = chains.map(|(id, _)| id.clone()).collect();
                    for id in &chains {
                        self.sign(id);
                    }
                    let _ = done.send(());
                }
            }
        }
    }

    /// Signs the newest head of a chain. What cannot be written is tried again with the next head.
    fn sign(&mut self, rollout: &RolloutId) {
        let Some((head, signed)) = self.chains.get_mut(rollout) else { return };
        let statement = Statement {
            rollout: rollout.clone(),
            head: head.clone(),
            at: self.clock.now(),
            key: Digest::clone(self.key.id()),
        };
        match write(&self.to, &self.key.sign(statement)) {
            Ok(()) => *signed = Some(head.seq),
            Err(error) => {
                let place = match &self.to {
                    Destination::File(path) => path.display().to_string(),
                    Destination::Stdout => "standard output".into(),
                };
                if let Some(trouble) = self.trouble.take() {
                    let _ = trouble.send(format!(
                        "{place}: anchors cannot be written ({error}); the rollout goes on, and \
                         its journal is not proven against them until they can"
                    ));
                }
            }
        }
    }
}

fn write(to: &Destination, anchor: &Anchor) -> io::Result<()> {
    let mut line = serde_json::to_vec(anchor)?;
    line.push(b'\n');
    match to {
        Destination::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(&line)?;
            out.flush()
        }
        Destination::File(path) => append(path, line),
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
