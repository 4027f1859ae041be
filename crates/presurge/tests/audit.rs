//! `presurge audit` as auditors meet it: forged stores and exports, heads kept elsewhere, keys.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use domain::journal::{Digest, Entry, Head, Record, Signature, Statement};
use domain::name::RolloutId;
use domain::ports::{Append, Authority, Journal};
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use tempfile::TempDir;

/// The journal of a whole rollout, of a former release.
const GOLDEN: &str = "../sim/tests/golden/journal-0.1.0.jsonl";

/// A folder with a store that holds the golden journal as `kernel#1`.
struct Desk {
    folder: TempDir,
    records: Vec<Record>,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: TempDir::new().unwrap(), records: golden() };
        desk.store("kernel#1", &desk.records);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same events as a chain of another rollout, or as they are.
    fn store(&self, id: &str, records: &[Record]) -> Vec<Record> {
        let id = RolloutId::new(id).unwrap();
        let entry = |record: &Record| Entry {
            at: record.at,
            actor: record.actor.clone(),
            cause: record.cause,
            reason: record.reason.clone(),
            inputs: record.inputs.clone(),
            event: record.event().unwrap(),
        };
        let entries = records.iter().map(entry).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = store::Sqlite::open(self.path("presurge.db")).unwrap();
        let (authority, after) = (Authority::Operator, &Head::empty());
        runtime.block_on(store.append(Append { rollout: &id, authority, after, entries })).unwrap()
    }

    /// Does to the store what only somebody with the file can do.
    fn tamper(&self, sql: &str) {
        let file = rusqlite::Connection::open(self.path("presurge.db")).unwrap();
        file.execute_batch("DROP TRIGGER record_unchanged; DROP TRIGGER record_kept").ok();
        file.execute_batch(sql).unwrap();
    }

    /// Runs `presurge audit …`; what it says, and that it ends with `code`.
    fn ends(&self, code: i32, args: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_presurge"))
            .arg("audit")
            .args(args.split_whitespace())
            .current_dir(self.folder.path())
            .env("PRESURGE_STORE", "presurge.db")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "audit {args}\n{said}");
        said
    }

    /// Writes the anchors of records, as the holder of the key in the file `key` signs them.
    fn anchor(&self, name: &str, key: &str, heads: &[(&str, Head)]) {
        let text = fs::read_to_string(self.path(key)).unwrap();
        let der = text.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        let spki = public.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let spki = base64::engine::general_purpose::STANDARD.decode(spki).unwrap();
        let mut lines = String::new();
        for (rollout, head) in heads {
            let statement = Statement {
                rollout: RolloutId::new(*rollout).unwrap(),
                head: head.clone(),
                at: "2026-03-01T05:00:00Z".parse().unwrap(),
                key: Digest::of_bytes(&spki),
            };
            let signature = pair.sign(&statement.bytes()).as_ref().try_into().unwrap();
            let anchor = statement.signed(Signature(signature));
            lines += &serde_json::to_string(&anchor).unwrap();
            lines.push('\n');
        }
        fs::write(self.path(name), lines).unwrap();
    }

    /// A key, and anchors of every tenth record and the last.
    fn anchored(&self) {
        self.ends(0, "key key");
        let last = self.records.len() as u64;
        let tenth = |record: &&Record| record.seq.is_multiple_of(10) || record.seq == last;
        let heads: Vec<(&str, Head)> =
            self.records.iter().filter(tenth).map(|r| ("kernel#1", r.head())).collect();
        self.anchor("anchors", "key", &heads);
    }

    fn export(&self, name: &str, format: &str) -> Vec<String> {
        let text = self.ends(0, &format!("export kernel --format {format}"));
        fs::write(self.path(name), &text).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn write(&self, name: &str, lines: &[String]) {
        fs::write(self.path(name), lines.join("\n") + "\n").unwrap();
    }
}

fn golden() -> Vec<Record> {
    let text = fs::read_to_string(GOLDEN).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The chain with another reason in record `seq`, and every hash from there on computed anew.
fn computed_anew(good: &[Record], seq: usize) -> Vec<Record> {
    let mut records = good.to_vec();
    records[seq - 1].reason = "it seemed best".into();
    for here in seq - 1..records.len() {
        if here > 0 {
            records[here].previous = records[here - 1].hash.clone();
        }
        records[here].hash = records[here].computed_hash();
    }
    records
}

fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| serde_json::to_string(record).unwrap()).collect()
}

const AGAINST: &str = "--anchors anchors --public-key key.pub";

#[test]
fn without_a_kept_head_the_tail_is_not_proven() {
    let desk = Desk::new();
    let said = desk.ends(0, "verify kernel");
    assert!(said.contains("tail not proven"), "{said}");
    let last = desk.records.last().unwrap();
    assert!(said.contains(&format!("head {}:{}", last.seq, last.hash)), "{said}");
    desk.tamper("DELETE FROM record WHERE seq > 20");
    let said = desk.ends(0, "verify kernel");
    assert!(said.contains("20 records verify") && said.contains("tail not proven"), "{said}");
}

#[test]
fn a_store_that_was_changed_names_the_first_bad_record() {
    for (sql, seq) in [
        (
            "UPDATE record SET line = replace(line, '\"reason\":\"', '\"reason\":\"not ') WHERE seq = 9",
            9,
        ),
        ("UPDATE record SET line = '{' WHERE seq IN (12, 14)", 12),
        ("UPDATE record SET line = CAST(x'ff7b' AS TEXT) WHERE seq = 3", 3),
        ("DELETE FROM record WHERE seq BETWEEN 17 AND 19", 17),
        ("UPDATE record SET seq = 1000 WHERE seq = 21", 21),
        ("UPDATE record SET seq = 1000 WHERE seq = (SELECT max(seq) FROM record)", 0),
        ("UPDATE record SET line = replace(line, 'kernel#1', 'kernel#2') WHERE seq = 2", 2),
        ("INSERT INTO record SELECT rollout, 1000, line FROM record WHERE seq = 5", -1),
    ] {
        let desk = Desk::new();
        desk.tamper(sql);
        let last = desk.records.len() as i64;
        let seq = match seq {
            0 => last,
            -1 => last + 1,
            seq => seq,
        };
        let said = desk.ends(65, "verify kernel");
        assert!(said.contains(&format!("record {seq}: ")), "{sql}: {said}");
        assert!(said.contains("kernel#1 does not verify"), "{sql}: {said}");
    }
}

#[test]
fn kept_heads_prove_the_whole_and_find_a_cut_tail() {
    let desk = Desk::new();
    desk.anchored();
    let last = desk.records.last().unwrap().head();
    let said = desk.ends(0, &format!("verify kernel {AGAINST}"));
    assert!(said.contains("the journal is whole"), "{said}");
    for head in [format!("{}:{}", last.seq, last.hash), last.hash.to_string()] {
        let said = desk.ends(0, &format!("verify kernel --head {head}"));
        assert!(said.contains("the journal is whole"), "{said}");
        let bare = head.replace("sha256:", "");
        desk.ends(0, &format!("verify kernel --head {bare}"));
    }
    let tenth = desk.records[9].hash.to_string();
    let said = desk.ends(0, &format!("verify kernel --head {tenth}"));
    assert!(said.contains("records 1 to 10 are proven"), "{said}");
    assert!(said.contains("tail not proven"), "{said}");
    desk.tamper("DELETE FROM record WHERE seq > 33");
    let said = desk.ends(65, &format!("verify kernel {AGAINST}"));
    assert!(said.contains("record 34: is missing: the tail was cut"), "{said}");
    let said = desk.ends(65, &format!("verify kernel --head {}:{}", last.seq, last.hash));
    assert!(said.contains("record 34: is missing"), "{said}");
    let said = desk.ends(65, &format!("verify kernel --head {}", last.hash));
    assert!(said.contains("none of its 33 records"), "{said}");
    desk.tamper("DELETE FROM record; DELETE FROM rollout");
    let said = desk.ends(65, &format!("verify kernel {AGAINST}"));
    assert!(said.contains("the journal of kernel#1 is gone"), "{said}");
}

#[test]
fn a_chain_computed_anew_is_found_against_anchors_only() {
    let desk = Desk::new();
    desk.anchored();
    for (changed, found, span) in [(1, 10, "1 to 10"), (13, 20, "11 to 20"), (20, 20, "11 to 20")] {
        desk.write("forged.jsonl", &lines(&computed_anew(&desk.records, changed)));
        desk.ends(0, "verify --file forged.jsonl");
        let said = desk.ends(65, &format!("verify --file forged.jsonl {AGAINST}"));
        assert!(said.contains(&format!("record {found}: has another hash")), "{said}");
        assert!(said.contains(span), "{said}");
        let head = desk.records.last().unwrap().hash.to_string();
        desk.ends(65, &format!("verify --file forged.jsonl --head {head}"));
    }
}

#[test]
fn exports_are_verified_wherever_they_are() {
    let desk = Desk::new();
    desk.anchored();
    for format in ["jsonl", "cloudevents"] {
        let good = desk.export("export", format);
        assert_eq!(good.len(), desk.records.len());
        let said = desk.ends(0, &format!("verify --file export {AGAINST}"));
        assert!(said.contains("the journal is whole"), "{format}: {said}");
        desk.ends(0, "verify kernel --file export");
        desk.ends(0, "verify kernel#1 --file export");
        let said = desk.ends(65, "verify other --file export");
        assert!(said.contains("no record of other, only of kernel#1"), "{said}");
        let mut edited = good.clone();
        edited[7] = edited[7].replacen("\"reason\":\"", "\"reason\":\"un", 1);
        let mut short = good.clone();
        short.remove(7);
        let mut swapped = good.clone();
        swapped.swap(7, 8);
        let mut torn = good.clone();
        torn[7].truncate(40);
        for (what, lines) in
            [("edited", edited), ("deleted", short), ("swapped", swapped), ("torn", torn)]
        {
            desk.write("bad", &lines);
            let said = desk.ends(65, "verify --file bad");
            assert!(said.contains("record 8: "), "{format} {what}: {said}");
        }
        desk.write("cut", &good[..30]);
        let said = desk.ends(65, &format!("verify --file cut {AGAINST}"));
        assert!(said.contains("record 31: is missing"), "{format}: {said}");
    }
    desk.write("empty", &[]);
    desk.ends(65, "verify --file empty");
    desk.ends(65, "verify --file nowhere");
    desk.ends(64, "verify");
}

#[test]
fn an_export_of_several_fleets_holds_several_chains() {
    let desk = Desk::new();
    let eu = desk.store("roll@eu#1", &desk.records);
    desk.store("roll@us#1", &desk.records[..20]);
    let text = desk.ends(0, "export roll");
    fs::write(desk.path("export"), &text).unwrap();
    let said = desk.ends(0, "verify --file export");
    assert!(said.contains("roll@eu#1: ") && said.contains("roll@us#1: 20 records"), "{said}");
    let head = eu.last().unwrap().hash.to_string();
    let said = desk.ends(64, &format!("verify --file export --head {head}"));
    assert!(said.contains("say which: roll@eu#1, roll@us#1"), "{said}");
    desk.ends(0, &format!("verify roll@eu#1 --file export --head {head}"));
    desk.ends(0, &format!("verify roll@eu#1 --head {head}"));
    desk.ends(65, &format!("verify roll@us#1 --head {head}"));
}

#[test]
fn anchors_that_prove_nothing_are_refused() {
    let desk = Desk::new();
    desk.anchored();
    desk.ends(0, "key other");
    let said = desk.ends(65, "verify kernel --anchors anchors --public-key other.pub");
    assert!(said.contains("anchors:1:") && said.contains("none of those given"), "{said}");
    // Several keys, as after a change of keys.
    desk.ends(0, "verify kernel --anchors anchors --public-key other.pub --public-key key.pub");
    let heads = [("else#1", desk.records[3].head())];
    desk.anchor("foreign", "key", &heads);
    let said = desk.ends(65, "verify kernel --anchors foreign --public-key key.pub");
    assert!(said.contains("none of the 1 anchors in the file is of kernel#1"), "{said}");
    let good = fs::read_to_string(desk.path("anchors")).unwrap();
    // A head that the key's holder never signed.
    let forged = computed_anew(&desk.records, 10)[9].hash.to_string();
    let text = good.replace(&desk.records[9].hash.to_string(), &forged);
    fs::write(desk.path("edited"), text).unwrap();
    let said = desk.ends(65, "verify kernel --anchors edited --public-key key.pub");
    assert!(said.contains("edited:1:") && said.contains("changed or forged"), "{said}");
    // The anchors of another rollout, renamed.
    let text = good.replace("kernel#1", "kernel#2");
    fs::write(desk.path("renamed"), text).unwrap();
    desk.ends(65, "verify kernel --anchors renamed --public-key key.pub");
    desk.ends(64, "verify kernel --anchors anchors");
    desk.ends(64, "verify kernel --public-key key.pub");
    desk.ends(65, "verify kernel --anchors anchors --public-key key");
    desk.ends(65, "verify kernel --anchors none --public-key key.pub");
    desk.ends(64, "verify kernel --head 0:beef");
}

#[test]
fn a_file_of_anchors_that_was_cut_short_proves_what_is_left_of_it() {
    let desk = Desk::new();
    desk.anchored();
    let good = fs::read_to_string(desk.path("anchors")).unwrap();
    let third: usize = good.split_inclusive('\n').take(3).map(str::len).sum();
    fs::write(desk.path("torn"), &good[..third + 100]).unwrap();
    let said = desk.ends(0, "verify kernel --anchors torn --public-key key.pub");
    assert!(said.contains("warning: torn:4: this line is no anchor"), "{said}");
    assert!(said.contains("records 1 to 30 are proven"), "{said}");
    assert!(said.contains("tail not proven"), "{said}");
    fs::write(desk.path("torn"), &good[..100]).unwrap();
    desk.ends(65, "verify kernel --anchors torn --public-key key.pub");
    fs::write(desk.path("torn"), "").unwrap();
    desk.ends(65, "verify kernel --anchors torn --public-key key.pub");
}

#[test]
fn openssl_makes_the_same_keys_and_checks_the_same_signatures() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl is not there");
        return;
    }
    let desk = Desk::new();
    let openssl = |args: &str| {
        let mut command = Command::new("openssl");
        command.args(args.split_whitespace()).current_dir(desk.folder.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {args}: {said}");
    };
    openssl("genpkey -algorithm ed25519 -out theirs");
    openssl("pkey -in theirs -pubout -out theirs.pub");
    desk.ends(0, "key ours");
    openssl("pkey -in ours -pubout -out ours.again");
    let read = |name: &str| fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(read("ours.pub"), read("ours.again"));
    let head = desk.records.last().unwrap().head();
    for key in ["ours", "theirs"] {
        desk.anchor("anchors", key, &[("kernel#1", head.clone())]);
        let said = desk.ends(0, &format!("verify kernel --anchors anchors --public-key {key}.pub"));
        assert!(said.contains("the journal is whole"), "{said}");
        // By hand, as ARCHITECTURE says: the line without its signature, in canonical JSON.
        let mut anchor: Value = serde_json::from_str(read("anchors").trim()).unwrap();
        let hex = anchor.as_object_mut().unwrap().remove("signature").unwrap();
        let hex = hex.as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let signature: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        fs::write(desk.path("signature"), signature).unwrap();
        fs::write(desk.path("signed"), anchor.to_string()).unwrap();
        openssl(&format!(
            "pkeyutl -verify -pubin -inkey {key}.pub -rawin -in signed -sigfile signature"
        ));
    }
}
