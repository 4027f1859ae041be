//! Journals that somebody has changed: every edit of a line is found in its place, and what a chain
//! alone cannot show is found against heads that were kept elsewhere.

mod support;

use std::sync::LazyLock;

use domain::journal::{
    Broken, CloudEvent, Head, KnownHead, Record, prove, read_line, verify, verify_lines,
};
use proptest::prelude::*;
use sim::{Fuse, Settings};
use support::Stage;

/// The journal of a whole rollout.
static GOOD: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let mut stage = Stage::new(Settings::default());
    stage.drive(&Fuse::never());
    stage.records()
});

fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| serde_json::to_string(record).unwrap()).collect()
}

fn events(records: &[Record]) -> Vec<String> {
    let event = |record| serde_json::to_string(&CloudEvent::from(record)).unwrap();
    records.iter().map(event).collect()
}

fn check(lines: &[String]) -> Result<Vec<Record>, Broken> {
    verify_lines(lines.iter().map(|line| read_line(line)))
}

/// The chain with another reason in record `index`, and every hash from there on computed anew.
fn computed_anew(good: &[Record], index: usize) -> Vec<Record> {
    let mut records = good.to_vec();
    records[index].reason.push_str(" (as I should like it)");
    for here in index..records.len() {
        if here > 0 {
            records[here].previous = records[here - 1].hash.clone();
        }
        records[here].hash = records[here].computed_hash();
    }
    records
}

fn known(records: &[Record], numbers: impl IntoIterator<Item = u64>) -> Vec<KnownHead> {
    let of = |seq: u64| KnownHead {
        head: records[seq as usize - 1].head(),
        from: format!("the head of {seq}"),
    };
    numbers.into_iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes are changed in a line, either its record is named or nothing that it says
    /// has changed.
    #[test]
    fn an_edited_line_is_named(
        index in 0..GOOD.len(),
        place in any::<prop::sample::Index>(),
        with in "[ -~]{0,3}",
        cut in 0_usize..4,
        as_event in any::<bool>(),
    ) {
        let mut lines = if as_event { events(&GOOD) } else { lines(&GOOD) };
        let line = &mut lines[index];
        let from = place.index(line.len());
        let to = (from + cut).min(line.len());
        prop_assume!(line.is_char_boundary(from) && line.is_char_boundary(to));
        line.replace_range(from..to, &with);
        match check(&lines) {
            Err(broken) => prop_assert_eq!(broken.seq, GOOD[index].seq),
            Ok(records) => prop_assert_eq!(&records, &*GOOD, "an edit went unseen: {}", lines[index]),
        }
    }

    /// A digit or a letter that is exchanged for another is always found.
    #[test]
    fn an_exchanged_character_is_named(
        index in 0..GOOD.len(),
        place in any::<prop::sample::Index>(),
        other in "[0-9a-z]",
    ) {
        let mut lines = lines(&GOOD);
        let line = &mut lines[index];
        let words: Vec<usize> = line
            .char_indices()
            .filter(|(_, c)| c.is_ascii_alphanumeric())
            .map(|(at, _)| at)
            .collect();
        let at = words[place.index(words.len())];
        prop_assume!(!line[at..].starts_with(&other));
        line.replace_range(at..=at, &other);
        match check(&lines) {
            Err(broken) => prop_assert_eq!(broken.seq, GOOD[index].seq),
            Ok(records) => prop_assert_eq!(&records, &*GOOD, "an edit went unseen: {}", lines[index]),
        }
    }

    #[test]
    fn lines_that_are_lost_moved_or_there_twice_are_named(
        first in 0..GOOD.len() - 2,
        count in 1_usize..5,
        other in any::<prop::sample::Index>(),
    ) {
        let good = lines(&GOOD);
        let seq = first as u64 + 1;
        let mut lost = good.clone();
        lost.drain(first..(first + count).min(good.len() - 1));
        prop_assert_eq!(check(&lost).unwrap_err().seq, seq);
        let mut moved = good.clone();
        let line = moved.remove(first);
        let to = first + 1 + other.index(moved.len() - first);
        moved.insert(to, line);
        prop_assert_eq!(check(&moved).unwrap_err().seq, seq);
        let mut twice = good.clone();
        twice.insert(first + 1, good[first].clone());
        prop_assert_eq!(check(&twice).unwrap_err().seq, seq + 1);
    }

    /// A chain that was computed anew is whole in itself; the first head behind the change that
    /// was kept elsewhere shows it, wherever it was kept from.
    #[test]
    fn a_chain_computed_anew_is_found_against_kept_heads(
        index in 0..GOOD.len(),
        every in 1_u64..30,
    ) {
        let forged = computed_anew(&GOOD, index);
        prop_assert!(verify(&forged).is_ok());
        let last = GOOD.len() as u64;
        let kept: Vec<u64> = (1..=last).filter(|seq| seq % every == 0).collect();
        let changed = index as u64 + 1;
        match kept.iter().find(|seq| **seq >= changed) {
            Some(first) => {
                let broken = prove(&forged, &known(&GOOD, kept.iter().copied())).unwrap_err();
                prop_assert_eq!(broken.seq, *first);
            }
            None => {
                let proven = prove(&forged, &known(&GOOD, kept.iter().copied())).unwrap();
                prop_assert_eq!(proven, kept.last().copied().unwrap_or(0));
            }
        }
        prop_assert_eq!(prove(&GOOD, &known(&GOOD, kept.iter().copied())).is_ok(), true);
    }

    #[test]
    fn a_cut_tail_is_found_against_a_kept_head(left in 0..GOOD.len()) {
        let tail_cut = &GOOD[..left];
        prop_assert!(verify(tail_cut).is_ok());
        let broken = prove(tail_cut, &known(&GOOD, [GOOD.len() as u64])).unwrap_err();
        prop_assert_eq!(broken.seq, left as u64 + 1);
        let within = known(&GOOD, 1..=left as u64);
        prop_assert_eq!(prove(tail_cut, &within), Ok(left as u64));
    }
}

#[test]
fn a_forged_line_in_between_is_named() {
    let good = lines(&GOOD);
    for index in 0..GOOD.len() {
        let mut forged = GOOD[index].clone();
        forged.reason = "it was all the operator's idea".into();
        forged.hash = forged.computed_hash();
        let mut inserted = good.clone();
        inserted.insert(index, serde_json::to_string(&forged).unwrap());
        // The forged one fits where it stands; what stood there no longer does.
        assert_eq!(check(&inserted).unwrap_err().seq, GOOD[index].seq + 1);
        let mut replaced = good.clone();
        replaced[index] = serde_json::to_string(&forged).unwrap();
        let found = check(&replaced);
        if index + 1 < GOOD.len() {
            assert_eq!(found.unwrap_err().seq, GOOD[index].seq + 1);
        } else {
            assert!(prove(&found.unwrap(), &known(&GOOD, [GOOD.len() as u64])).is_err());
        }
    }
}

#[test]
fn a_text_that_readers_take_differently_is_no_record() {
    let mut twice = lines(&GOOD);
    twice[1] = twice[1].replacen("\"payload\":{", "\"payload\":{\"plan\":null,", 1);
    let broken = check(&twice).unwrap_err();
    assert!(broken.seq == 2 && broken.what.contains("twice"), "{broken}");
    // RFC 8785 writes both of these numbers alike, so that no hash could tell them apart.
    let mut record = GOOD[0].clone();
    record.payload["risk"] = 9_007_199_254_740_993_u64.into();
    let hash = record.computed_hash();
    record.payload["risk"] = 9_007_199_254_740_992_u64.into();
    assert_eq!(record.computed_hash(), hash);
    record.payload["risk"] = 9_007_199_254_740_993_u64.into();
    record.hash = hash;
    let broken = check(&lines(&[record])).unwrap_err();
    assert!(broken.seq == 1 && broken.what.contains("2^53"), "{broken}");
}

#[test]
fn cloud_events_lose_nothing_and_hide_nothing() {
    let events = events(&GOOD);
    assert_eq!(check(&events).unwrap(), *GOOD);
    let one: serde_json::Value = serde_json::from_str(&events[6]).unwrap();
    assert_eq!(one["specversion"], "1.0");
    assert_eq!(one["id"], "7");
    assert_eq!(one["source"], "/presurge/rollouts/kernel%231");
    assert_eq!(one["type"], format!("presurge.{}", GOOD[6].kind));
    assert_eq!(one["time"], GOOD[6].at.to_string());
    assert_eq!(one["data"], GOOD[6].payload);
    assert_eq!(one["previoushash"], GOOD[5].hash.to_string());
    for (name, value) in one.as_object().unwrap() {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        assert!(plain && name.len() <= 20, "{name} is no name of an attribute");
        assert!(name == "data" || value.is_string(), "{name} is {value}");
    }
    for name in ["specversion", "id", "source", "type", "time", "datacontenttype", "sequence"] {
        let mut changed = events.clone();
        let mut event = one.clone();
        event[name] = "2026-03-01T00:00:00Z".into();
        changed[6] = event.to_string();
        assert_eq!(check(&changed).unwrap_err().seq, 7, "{name}");
    }
}

#[test]
fn no_head_proves_nothing() {
    assert_eq!(prove(&GOOD, &[]), Ok(0));
    let empty = KnownHead { head: Head::empty(), from: "nothing".into() };
    assert_eq!(prove(&GOOD, &[empty]), Ok(0));
}

#[test]
fn the_journals_of_every_release_verify() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        seen += check(&lines).unwrap().len();
    }
    assert!(seen > 50, "only {seen} records");
}
