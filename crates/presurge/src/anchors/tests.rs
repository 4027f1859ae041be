//! Keys and writers on real files, on a full device, and on a pipe that nobody reads.

#![allow(clippy::disallowed_methods, reason = "these tests wait for a thread in real time")]

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::clock::SystemClock;
use domain::journal::{Digest, Head, Statement};
use domain::name::RolloutId;
use domain::ports::{Notify, PortError};
use tempfile::TempDir;

use super::key::KeyError;
use super::reader::ReadError;
use super::{Destination, PublicKey, SigningKey, Writer, make, read};
use crate::notify::Receiver;

fn key(folder: &Path, name: &str) -> (SigningKey, PublicKey, PathBuf) {
    let file = folder.join(name);
    let (public, beside) = make(&file).unwrap();
    let (signing, warning) = SigningKey::read(&file).unwrap();
    assert_eq!(warning, None);
    assert_eq!(signing.id(), public.id());
    assert_eq!(PublicKey::read(&beside).unwrap().id(), public.id());
    (signing, public, file)
}

fn id(text: &str) -> RolloutId {
    RolloutId::new(text).unwrap()
}

fn head(seq: u64) -> Head {
    Head { seq, hash: Digest::of_bytes(&seq.to_be_bytes()) }
}

fn start(key: SigningKey, to: &Path, every: u64) -> Writer {
    let every = NonZeroU64::new(every).unwrap();
    let to = Destination::File(to.to_owned());
    Writer::start(key, vec![to], every, Arc::new(SystemClock)).unwrap()
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_is_made_for_its_owner_alone_and_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let (_, _, file) = key(folder.path(), "key");
    assert_eq!(mode(&file), 0o600);
    let before = fs::read(&file).unwrap();
    assert!(matches!(make(&file), Err(KeyError::Exists(_))));
    fs::remove_file(folder.path().join("key.pub")).unwrap();
    assert!(matches!(make(&file), Err(KeyError::Exists(_))));
    assert!(!folder.path().join("key.pub").exists(), "a public key of nothing");
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let (_, warning) = SigningKey::read(&file).unwrap();
    assert!(warning.unwrap().contains("chmod 600"));
    let nowhere = folder.path().join("none/key");
    assert!(matches!(make(&nowhere), Err(KeyError::Io(..))));
}

#[test]
fn what_is_no_key_is_told_apart() {
    let folder = TempDir::new().unwrap();
    let (_, _, file) = key(folder.path(), "key");
    let public = folder.path().join("key.pub");
    for (text, name) in [("", "empty"), ("-----BEGIN PRIVATE KEY-----\nAAAA", "cut"), ("ü", "text")]
    {
        let bad = folder.path().join(name);
        fs::write(&bad, text).unwrap();
        assert!(matches!(SigningKey::read(&bad), Err(KeyError::NoKey { .. })), "{name}");
        assert!(matches!(PublicKey::read(&bad), Err(KeyError::NoKey { .. })), "{name}");
    }
    assert!(matches!(SigningKey::read(&public), Err(KeyError::NoKey { .. })));
    assert!(matches!(PublicKey::read(&file), Err(KeyError::NoKey { .. })));
    assert!(matches!(SigningKey::read(folder.path()), Err(KeyError::Io(..))));
}

#[test]
fn every_changed_byte_of_an_anchor_is_found() {
    let folder = TempDir::new().unwrap();
    let (signing, public, _) = key(folder.path(), "key");
    let (_, other, _) = key(folder.path(), "other");
    let at = "2026-03-01T02:00:00Z".parse().unwrap();
    let key = signing.id().clone();
    let anchor = signing.sign(Statement { rollout: id("kernel#1"), head: head(7), at, key });
    let good = serde_json::to_string(&anchor).unwrap();
    let file = folder.path().join("anchors");
    let keys = [other.clone(), public];
    let mut unreadable = 0;
    for place in 0..good.len() {
        for with in ['0', '9', 'a', 'x'] {
            let mut text = good.clone();
            text.replace_range(place..=place, &with.to_string());
            if text == good {
                continue;
            }
            fs::write(&file, &text).unwrap();
            match read(&file, &keys) {
                Err(ReadError::Forged { .. } | ReadError::OtherKey { .. }) => {}
                Err(other) => panic!("{text}: {other}"),
                Ok(trusted) => {
                    assert!(trusted.anchors.is_empty(), "an edit went unseen: {text}");
                    assert_eq!(trusted.warnings.len(), 1);
                    unreadable += 1;
                }
            }
        }
    }
    assert!(unreadable > 100);
    fs::write(&file, &good).unwrap();
    assert_eq!(read(&file, &keys).unwrap().anchors, [anchor]);
    assert!(matches!(read(&file, &[other]), Err(ReadError::OtherKey { line: 1, .. })));
}

#[test]
fn the_first_every_so_many_and_the_last_head_are_signed() {
    let folder = TempDir::new().unwrap();
    let (signing, public, _) = key(folder.path(), "key");
    let file = folder.path().join("anchors");
    // A line that a crash has cut short stays behind, and stands for itself.
    fs::write(&file, "{\"apiVersion\":\"presurge/v1\",\"ki").unwrap();
    let writer = start(signing, &file, 10);
    for seq in 5..=38 {
        writer.saw(&id("kernel@eu#1"), head(seq));
        if seq % 2 == 0 {
            writer.saw(&id("kernel@us#1"), head(seq / 2));
        }
    }
    assert_eq!(writer.close(), None);
    assert_eq!(writer.close(), None, "what is signed is not signed again");
    let trusted = read(&file, &[public]).unwrap();
    assert_eq!(trusted.warnings.len(), 1, "{:?}", trusted.warnings);
    let of = |name| {
        let ours = trusted.anchors.iter().filter(move |a| a.rollout == id(name));
        ours.map(|anchor| anchor.seq).collect::<Vec<u64>>()
    };
    assert_eq!(of("kernel@eu#1"), [5, 15, 25, 35, 38]);
    assert_eq!(of("kernel@us#1"), [3, 13, 19]);
    assert!(trusted.anchors.iter().all(|anchor| anchor.hash == head(anchor.seq).hash));
    let (signing, ..) = key(folder.path(), "another");
    let fresh = folder.path().join("fresh");
    start(signing, &fresh, 1).close();
    assert!(!fresh.exists(), "nothing was seen, and a file was made");
}

#[test]
fn the_file_is_its_owners_and_is_found_again_after_it_was_rotated_away() {
    let folder = TempDir::new().unwrap();
    let (signing, public, _) = key(folder.path(), "key");
    let file = folder.path().join("anchors");
    let writer = start(signing, &file, 1);
    writer.saw(&id("kernel#1"), head(1));
    let patience = Instant::now();
    while !file.exists() {
        assert!(patience.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(mode(&file), 0o600);
    let old = folder.path().join("anchors.1");
    fs::rename(&file, &old).unwrap();
    writer.saw(&id("kernel#1"), head(2));
    assert_eq!(writer.close(), None);
    let seqs = |file: &Path| {
        let trusted = read(file, std::slice::from_ref(&public)).unwrap();
        trusted.anchors.iter().map(|anchor| anchor.seq).collect::<Vec<_>>()
    };
    assert_eq!((seqs(&old), seqs(&file)), (vec![1], vec![2]));
}

#[test]
fn a_full_device_is_told_once_and_tried_again() {
    let folder = TempDir::new().unwrap();
    let (signing, public, _) = key(folder.path(), "key");
    let file = folder.path().join("anchors");
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let writer = start(signing, &file, 1);
    for seq in 1..=3 {
        writer.saw(&id("kernel#1"), head(seq));
    }
    let told = writer.close().expect("it cannot be written");
    assert!(told.contains("anchors cannot be written"), "{told}");
    assert_eq!(writer.close(), None, "told twice");
    // There is room again.
    fs::remove_file(&file).unwrap();
    writer.saw(&id("kernel#1"), head(4));
    assert_eq!(writer.close(), None);
    assert_eq!(read(&file, &[public]).unwrap().anchors[0].seq, 4);
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up() {
    let folder = TempDir::new().unwrap();
    let (signing, ..) = key(folder.path(), "key");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let writer = start(signing, &pipe, 1);
    let begun = Instant::now();
    for seq in 1..=1000 {
        writer.saw(&id("kernel#1"), head(seq));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "the driver was held up");
    let told = writer.close().expect("it was not written");
    assert!(told.contains("not written"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Takes what it is handed, or does not answer.
#[derive(Default)]
struct Safe {
    kept: std::sync::Mutex<Vec<domain::journal::Anchor>>,
    hangs: bool,
}

#[async_trait::async_trait]
impl Notify for Safe {
    async fn reach(&self) -> Result<(), PortError> {
        Ok(())
    }

    async fn tell(&self, _: &domain::notice::Notice) -> Result<(), PortError> {
        panic!("it is told nothing")
    }

    fn keeps_anchors(&self) -> bool {
        true
    }

    async fn keep(&self, anchor: &domain::journal::Anchor) -> Result<(), PortError> {
        if self.hangs {
            return std::future::pending().await;
        }
        self.kept.lock().unwrap().push(anchor.clone());
        Ok(())
    }
}

fn receiver(safe: &Arc<Safe>) -> Destination {
    Destination::Receiver(Receiver { name: "safe/0".into(), notify: safe.clone() })
}

#[test]
fn a_receiver_keeps_the_newest_head_and_every_freeze() {
    let folder = TempDir::new().unwrap();
    let (signing, public, _) = key(folder.path(), "key");
    let safe = Arc::new(Safe::default());
    let every = NonZeroU64::new(10).unwrap();
    let writer =
        Writer::start(signing, vec![receiver(&safe)], every, Arc::new(SystemClock)).unwrap();
    for seq in 1..=38 {
        writer.saw(&id("kernel#1"), head(seq));
    }
    let freezes = domain::freeze::Freezes::chain();
    for seq in 1..=3 {
        writer.saw(&freezes, head(seq));
        let patience = Instant::now();
        while safe.kept.lock().unwrap().last().is_none_or(|a| a.rollout != freezes || a.seq != seq)
        {
            assert!(patience.elapsed() < Duration::from_secs(10), "freeze {seq} is not signed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(writer.close(), None);
    let kept = safe.kept.lock().unwrap();
    assert!(kept.iter().all(|anchor| public.signed(anchor)));
    let last = kept.iter().rfind(|anchor| anchor.rollout == id("kernel#1")).unwrap();
    assert_eq!(last.seq, 38);
    assert_eq!(kept.iter().filter(|anchor| anchor.rollout == freezes).count(), 3);
}

#[test]
fn a_receiver_that_never_answers_holds_up_neither_the_driver_nor_the_file() {
    let folder = TempDir::new().unwrap();
    let (signing, public, _) = key(folder.path(), "key");
    let file = folder.path().join("anchors");
    let silent = Arc::new(Safe { hangs: true, ..Safe::default() });
    let to = vec![receiver(&silent), Destination::File(file.clone())];
    let every = NonZeroU64::new(1).unwrap();
    let writer = Writer::start(signing, to, every, Arc::new(SystemClock)).unwrap();
    let begun = Instant::now();
    for seq in 1..=100 {
        writer.saw(&id("kernel#1"), head(seq));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "the driver was held up");
    let told = writer.close().expect("one is not handed over");
    assert!(told.contains("not written"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(read(&file, &[public]).unwrap().anchors.last().unwrap().seq, 100);
}
