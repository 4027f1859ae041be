use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::journal::{Actor, Entry};
use crate::name::FleetName;

fn at(minute: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(60 * minute)
}

fn advised(fleet: &str, from: u64, to: u64) -> Advised {
    Advised {
        rollout: "kernel".into(),
        fleet: FleetName::new(fleet).unwrap(),
        spec: Digest::zero(),
        documents: Digest::zero(),
        plan: Digest::zero(),
        kept: Digest::zero(),
        start_at: at(from),
        finish_at: at(to),
        done_at: at(to),
        cost: 1.5,
        currency: "USD".into(),
        risk: 0.01,
    }
}

fn came(cost: f64, attributable_minutes: f64, finished_minutes: f64) -> Came {
    let (instance_hours, waited_minutes, late) = (0.0, 0.0, false);
    Came { cost, instance_hours, attributable_minutes, waited_minutes, finished_minutes, late }
}

fn judged(advice: u64, all: &[(&str, Came)]) -> Event {
    let came = all.iter().map(|(name, came)| ((*name).to_owned(), *came)).collect();
    let judged = Judged { until: at(90), load: BTreeMap::new(), batch: 3, came };
    Event::AdviceSettled(Box::new(Settled { advice, verdict: Verdict::Judged(judged) }))
}

fn unknown(advice: u64) -> Event {
    let verdict = Verdict::Unknown { reason: "the load is gone".into() };
    Event::AdviceSettled(Box::new(Settled { advice, verdict }))
}

#[derive(Default)]
struct Chain(Advice);

impl Chain {
    fn write(&mut self, minute: u64, event: Event) -> Result<u64, BadAdvice> {
        let (actor, reason) = (Actor::operator("ann"), "patching".into());
        let entry = Entry { at: at(minute), actor, cause: None, reason, inputs: None, event };
        let record = Record::chain(&Advice::chain(), self.0.head(), entry);
        self.0.take(&record).map(|()| record.seq)
    }

    fn advise(&mut self, minute: u64, advised: Advised) -> u64 {
        self.write(minute, Event::Advised(Box::new(advised))).unwrap()
    }

    fn lines(&self) -> BTreeMap<String, Line> {
        let lines = account(self.0.pieces()).into_iter();
        lines.map(|((fleet, _, name), line)| (format!("{fleet}/{name}"), line)).collect()
    }
}

#[test]
fn the_account_is_the_sum_of_what_is_known_also_where_the_advice_was_worse() {
    let mut chain = Chain::default();
    let good = chain.advise(0, advised("web", 30, 60));
    let bad = chain.advise(100, advised("web", 100, 130));
    let blind = chain.advise(200, advised("web", 200, 230));
    let other = chain.advise(300, advised("db", 300, 330));
    let good_came = [
        ("advice", came(1.0, 0.0, 60.0)),
        ("fixed-0", came(0.0, 12.0, 30.0)),
        ("fixed-25", came(4.0, 0.0, 31.0)),
    ];
    chain.write(70, judged(good, &good_came)).unwrap();
    // Nothing that needs surge can be bought here.
    let bad_came = [("advice", came(2.0, 5.0, 30.0)), ("fixed-0", came(0.0, 1.0, 30.0))];
    chain.write(140, judged(bad, &bad_came)).unwrap();
    chain.write(240, unknown(blind)).unwrap();
    chain.write(340, judged(other, &good_came)).unwrap();
    let lines = chain.lines();
    assert_eq!(lines.len(), 4);
    let without =
        Line { pieces: 2, saved: -3.0, avoided_minutes: 8.0, worse: 2, later_minutes: 30.0 };
    assert_eq!(lines["web/fixed-0"], without);
    let with = Line { pieces: 1, saved: 3.0, avoided_minutes: 0.0, worse: 0, later_minutes: 29.0 };
    assert_eq!(lines["web/fixed-25"], with);
    assert_eq!(lines["db/fixed-25"], with);
}

#[test]
fn who_asks_again_before_the_time_has_passed_counts_once() {
    let mut chain = Chain::default();
    let first = chain.advise(0, advised("web", 30, 60));
    let second = chain.advise(59, advised("web", 70, 90));
    assert_eq!(chain.0.get(first).unwrap().stands, Stands::Replaced { by: second });
    assert!(!chain.0.get(first).unwrap().is_due(at(500)));
    // Another fleet, and a time that has passed, stand beside it.
    let other = chain.advise(60, advised("db", 70, 90));
    let third = chain.advise(90, advised("web", 100, 120));
    for seq in [second, other, third] {
        assert_eq!(chain.0.get(seq).unwrap().stands, Stands::Open);
    }
    let due: Vec<u64> = chain.0.pieces().filter(|p| p.is_due(at(119))).map(|p| p.seq).collect();
    assert_eq!(due, [second, other]);
    chain.write(91, unknown(first)).unwrap_err();
}

#[test]
fn what_cannot_follow_or_cannot_be_is_refused() {
    let mut chain = Chain::default();
    let seq = chain.advise(0, advised("web", 30, 60));
    let all = [("advice", came(1.0, 0.0, 60.0))];
    chain.write(70, judged(seq + 7, &all)).unwrap_err();
    chain.write(70, judged(seq, &[("fixed-0", came(0.0, 0.0, 1.0))])).unwrap_err();
    chain.write(70, judged(seq, &[("advice", came(-1.0, 0.0, 1.0))])).unwrap_err();
    chain.write(70, Event::PauseRequested {}).unwrap_err();
    chain.write(70, judged(seq, &all)).unwrap();
    let error = chain.write(71, judged(seq, &all)).unwrap_err();
    assert!(error.to_string().contains("does not wait to be settled"), "{error}");
    let bad = [
        Advised { start_at: at(99), ..advised("web", 30, 60) },
        Advised { cost: -1.0, ..advised("web", 30, 60) },
        Advised { risk: 1.5, ..advised("web", 30, 60) },
    ];
    for bad in bad {
        chain.write(80, Event::Advised(Box::new(bad))).unwrap_err();
    }
    // Nothing of what was refused has changed anything.
    assert_eq!(chain.0.pieces().count(), 1);
}

#[test]
fn what_was_done_instead_stands_beside_the_others_as_it_was_told_last() {
    let mut chain = Chain::default();
    let seq = chain.advise(0, advised("web", 30, 60));
    let did = |cost: f64| {
        let (told, load) = (Digest::zero(), BTreeMap::new());
        let did = Did { advice: seq, told, until: at(80), load, came: came(cost, 2.0, 10.0) };
        Event::AdviceAnswered(Box::new(did))
    };
    chain.write(65, did(1.0)).unwrap_err();
    chain.write(70, judged(seq, &[("advice", came(1.0, 0.0, 60.0))])).unwrap();
    chain.write(75, did(1.0)).unwrap();
    chain.write(80, did(4.0)).unwrap();
    chain.write(85, did(-4.0)).unwrap_err();
    let line = &chain.lines()["web/did"];
    assert_eq!((line.pieces, line.saved, line.avoided_minutes), (1, 3.0, 2.0));
}

#[test]
fn the_stored_form_is_as_it_was() {
    let (kind, payload) = judged(1, &[("advice", came(1.0, 0.5, 60.0))]).to_parts();
    assert_eq!(kind, "AdviceSettled");
    let text = r#"{"advice":1,"verdict":{"judged":{"batch":3,"came":{"advice":{"attributableMinutes":0.5,
        "cost":1.0,"finishedMinutes":60.0,"instanceHours":0.0,"late":false,"waitedMinutes":0.0}},"load":{},
        "until":"1970-01-01T01:30:00Z"}}}"#;
    assert_eq!(payload, serde_json::from_str::<serde_json::Value>(text).unwrap());
    assert_eq!(Event::from_parts(&kind, &payload).unwrap().to_parts(), (kind, payload));
    let (kind, payload) = Event::Advised(Box::new(advised("web", 1, 2))).to_parts();
    assert_eq!(
        (kind.as_str(), payload["startAt"].as_str()),
        ("Advised", Some("1970-01-01T00:01:00Z"))
    );
}
