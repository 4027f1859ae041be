//! `presurge audit verify`: whether a journal is what was written, and how far that is proven.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use domain::freeze::Freezes;
use domain::journal::{
    Anchor, BadLine, Broken, Digest, Head, KnownHead, Record, prove, read_line, verify_lines,
};
use domain::name::RolloutId;

use crate::anchors::{self, PublicKey, Trusted};
use crate::apply::{chain, keyed};
use crate::cli::store::StoreArgs;
use crate::cli::{Code, Failed};

/// Checks numbers, order and hashes of every record. Ends with 65 and the first bad record where
/// something is wrong. A cut tail, or a chain that was computed anew, is found only against a head
/// that was kept elsewhere.
#[derive(Debug, Args)]
pub struct Verify {
    /// The rollout, by its name or by its id with the number of the attempt
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// A file of lines that `audit export` wrote, instead of the store
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A head that was kept elsewhere: a hash, with its number before it if you have that
    #[arg(long, value_name = "HASH|SEQ:HASH")]
    head: Option<KeptHead>,
    /// A file of signed heads that `apply --anchors` wrote, or of what a webhook was handed, one a
    /// line; the chain of freezes is held against those of it as well
    #[arg(long, value_name = "FILE", requires = "public_key")]
    anchors: Option<PathBuf>,
    /// The public key of the anchors; again for each further key
    #[arg(long, value_name = "FILE", requires = "anchors")]
    public_key: Vec<PathBuf>,
}

/// A head as a person writes it down.
#[derive(Debug, Clone)]
struct KeptHead {
    seq: Option<u64>,
    hash: Digest,
}

impl FromStr for KeptHead {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (seq, hash) = match text.split_once(':') {
            Some(("sha256", _)) | None => (None, text),
            Some((seq, hash)) => {
                let seq = seq.parse().ok().filter(|seq| *seq > 0);
                (Some(seq.ok_or("a head is HASH or SEQ:HASH, and SEQ counts from 1")?), hash)
            }
        };
        let long = if hash.starts_with("sha256:") { hash.into() } else { format!("sha256:{hash}") };
        Ok(Self { seq, hash: Digest::try_from(long).map_err(|error| error.to_string())? })
    }
}

/// A chain that does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the journal of {0} does not verify")]
pub(super) struct Bad(pub(super) String, #[source] pub(super) Broken);

/// One chain as it was found: a record, or what stands where one should.
struct Chain {
    name: String,
    lines: Vec<Result<Record, String>>,
}

impl Verify {
    pub async fn answer(self, store: &StoreArgs) -> Result<Code, Failed> {
        let trusted = self.trusted()?;
        let chains = match &self.file {
            Some(file) => from_file(file, self.name.as_deref())?,
            None => {
                let name = self.name.as_deref().unwrap_or_default();
                from_store(store, name, trusted.as_ref()).await?
            }
        };
        if self.head.is_some() && chains.len() > 1 {
            let names: Vec<&str> = chains.iter().map(|chain| chain.name.as_str()).collect();
            let text = format!("--head is of one chain; say which: {}", names.join(", "));
            return Err(Failed::usage(text));
        }
        for chain in chains {
            let name = chain.name;
            let bad = |broken| Failed::data(Bad(name.clone(), broken));
            let records = verify_lines(chain.lines).map_err(bad)?;
            let known = self.known(&name, &records, trusted.as_ref())?;
            let proven = prove(&records, &known).map_err(bad)?;
            say(&name, &records, proven, &known);
        }
        Ok(Code::Done)
    }

    fn trusted(&self) -> Result<Option<Trusted>, Failed> {
        let Some(file) = &self.anchors else { return Ok(None) };
        let keys: Result<Vec<PublicKey>, _> =
            self.public_key.iter().map(|file| PublicKey::read(file)).collect();
        let trusted = anchors::read(file, &keys.map_err(Failed::data)?).map_err(Failed::data)?;
        for warning in &trusted.warnings {
            eprintln!("warning: {warning}");
        }
        Ok(Some(trusted))
    }

    /// The heads of a chain that are known from elsewhere.
    fn known(
        &self,
        name: &str,
        records: &[Record],
        trusted: Option<&Trusted>,
    ) -> Result<Vec<KnownHead>, Failed> {
        let mut known = Vec::new();
        if let Some(trusted) = trusted {
            let ours = trusted.anchors.iter().filter(|anchor| anchor.rollout.as_str() == name);
            known.extend(ours.map(signed));
            if known.is_empty() {
                return Err(Failed::data(format!(
                    "none of the {} anchors in the file is of {name}, so that they prove nothing \
                     of it; leave --anchors out to check the chain alone",
                    trusted.anchors.len()
                )));
            }
        }
        if let Some(head) = &self.head {
            let by_hash = || records.iter().find(|r| r.hash == head.hash).map(|r| r.seq);
            let seq = head.seq.or_else(by_hash).ok_or_else(|| {
                let last = records.last().map_or(0, |record| record.seq);
                Failed::data(format!(
                    "the journal of {name} does not verify\n  because: none of its {last} records \
                     has the hash of the given head, {}: the tail was cut, or the chain was \
                     computed anew; with its number, SEQ:HASH, the place can be told",
                    head.hash
                ))
            })?;
            let head = Head { seq, hash: head.hash.clone() };
            known.push(KnownHead { head, from: "the head that was given".into() });
        }
        Ok(known)
    }
}

fn signed(anchor: &Anchor) -> KnownHead {
    KnownHead {
        head: Head { seq: anchor.seq, hash: anchor.hash.clone() },
        from: format!("the head that was signed at {}", anchor.at),
    }
}

/// What was found, and how far it is proven.
fn say(name: &str, records: &[Record], proven: u64, known: &[KnownHead]) {
    let head = records.last().map_or_else(Head::empty, Record::head);
    println!("{name}: {} records verify; head {}:{}", records.len(), head.seq, head.hash);
    if let Some(by) = known.iter().find(|known| known.head.seq == proven) {
        println!("records 1 to {proven} are proven by {}", by.from);
    }
    // Only what people were told of the end may follow it.
    let ended = records.iter().any(|record| record.kind == "Finished");
    match proven {
        0 => println!(
            "tail not proven: a cut tail, or a chain computed anew, is seen only against a head \
             that was kept elsewhere (--head, --anchors)"
        ),
        seq if seq < head.seq => println!(
            "tail not proven: the {} records after record {seq} are newer than every known head",
            head.seq - seq
        ),
        _ if RolloutId::new(name).is_ok_and(|id| !chain::is_rollout(&id)) => {
            println!("the last record is proven; whether there were more after it is not known")
        }
        _ if ended => println!("the journal is whole: the rollout has ended with it"),
        _ => println!(
            "tail not proven: the last record is proven, and the rollout had not ended with it; \
             what may have followed is not known"
        ),
    }
}

async fn from_store(
    store: &StoreArgs,
    name: &str,
    trusted: Option<&Trusted>,
) -> Result<Vec<Chain>, Failed> {
    let journal = store.open()?;
    let here = journal.rollouts().await?;
    let signed = trusted.into_iter().flat_map(|trusted| &trusted.anchors);
    let gone = |anchor: &&Anchor| {
        let asked = is_of(anchor.rollout.as_str(), name) || anchor.rollout == Freezes::chain();
        asked && !here.contains(&anchor.rollout)
    };
    if let Some(gone) = signed.filter(gone).max_by_key(|anchor| anchor.seq) {
        return Err(Failed::data(format!(
            "the journal of {} is gone: it is not in the store, and it had {} records when its head \
             was signed at {}",
            gone.rollout, gone.seq, gone.at
        )));
    }
    let mut chains = Vec::new();
    let freezes = Freezes::chain();
    let mut wanted = keyed::existing_all(journal.as_ref(), name).await?;
    // Whoever could take out a server while it was frozen would have to forge that chain too.
    if !wanted.contains(&freezes) && trusted.is_some_and(|trusted| trusted.has(&freezes)) {
        wanted.push(freezes);
    }
    for id in wanted {
        let lines = journal.lines(&id).await?.into_iter().enumerate();
        let lines = lines.map(|(index, (number, text))| {
            let record = checked(&text, Some(&id))?;
            let here = index as u64 + 1;
            if record.seq == here && number != here {
                return Err(format!("it is stored under the number {number}"));
            }
            Ok(record)
        });
        chains.push(Chain { name: id.to_string(), lines: lines.collect() });
    }
    Ok(chains)
}

/// The chains of a file, in the order in which they begin. A line that cannot be read belongs to
/// the chain of the line before it.
fn from_file(path: &Path, name: Option<&str>) -> Result<Vec<Chain>, Failed> {
    let bytes =
        std::fs::read(path).map_err(|e| Failed::data(format!("{}: {e}", path.display())))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut chains: Vec<Chain> = Vec::new();
    let mut current = 0;
    for (index, line) in text.lines().enumerate() {
        let line = checked(line, None)
            .map_err(|error| format!("{}:{}: {error}", path.display(), index + 1));
        if let Ok(record) = &line {
            let id = record.rollout.as_str();
            let begun = chains.iter().position(|chain| chain.name == id || chain.name.is_empty());
            current = begun.unwrap_or(chains.len());
        }
        if current == chains.len() {
            chains.push(Chain { name: String::new(), lines: Vec::new() });
        }
        let chain = &mut chains[current];
        if let Ok(record) = &line {
            chain.name = record.rollout.to_string();
        }
        chain.lines.push(line);
    }
    for chain in chains.iter_mut().filter(|chain| chain.name.is_empty()) {
        chain.name = path.display().to_string();
    }
    if chains.is_empty() {
        return Err(Failed::data(format!("{}: there is no record in this file", path.display())));
    }
    let Some(name) = name else { return Ok(chains) };
    let here: Vec<String> = chains.iter().map(|chain| chain.name.clone()).collect();
    let wanted: Vec<Chain> = chains.into_iter().filter(|chain| is_of(&chain.name, name)).collect();
    if wanted.is_empty() {
        let (path, here) = (path.display(), here.join(", "));
        return Err(Failed::data(format!("{path}: there is no record of {name}, only of {here}")));
    }
    Ok(wanted)
}

/// Whether a chain is an attempt of the rollout of this name, or of one of its fleets.
fn is_of(id: &str, name: &str) -> bool {
    let stem = id.rsplit_once('#').map_or(id, |(stem, _)| stem);
    id == name || stem == name || stem.strip_prefix(name).is_some_and(|rest| rest.starts_with('@'))
}

fn checked(line: &str, id: Option<&RolloutId>) -> Result<Record, String> {
    let record = read_line(line).map_err(|error: BadLine| error.to_string())?;
    match id {
        Some(id) if record.rollout != *id => {
            Err(format!("it belongs to another rollout, {}", record.rollout))
        }
        _ => Ok(record),
    }
}
