//! `presurge audit replay` on the journal of a real rollout: a server of it fails for good, so that
//! the rest is planned again, and a canary is watched for so long that the plan is weighed again.

mod lab;

use std::fs;

use domain::event::Event;
use domain::journal::Record;
use lab::daemon::Daemon;
use lab::{Lab, configuration, has, until};
use serde_json::json;

const ROLLOUT: &str = "  risk: 0.01\n  failureBudget: 1\n  \
                       schedule: { batches: [[web-1], [web-2], [web-3], [web-4]] }\n  \
                       batch: { maxUnavailable: 2, canary: { size: 1, watch: 65s } }\n";

/// A rollout that ends with one server left out.
fn performed() -> (Lab, String) {
    let lab = Lab::new(4, 20);
    lab.fails("web-2", "2");
    let load = lab.write_history(34.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let file = lab.write("web.yaml", &configuration(&lab, "kernel", "2", &load, ROLLOUT));
    let file = file.display().to_string();
    let apply = ["apply", "--yes", "--seed", "77", "--tick", "200ms", "--patience", "20s", &file];
    let (code, said) = lab.says(&apply);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("every other server runs 2"), "{said}");
    fs::remove_file(lab.path("load.csv")).unwrap();
    (lab, file)
}

/// A daemon plans from the forecaster that it keeps fresh, whose state is kept with each decision.
#[test]
fn what_a_daemon_decides_with_a_kept_forecaster_comes_out_again() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(3, 20);
    let load = lab.write_history(12.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let rollout = "  risk: 0.01\n  batch: { canary: { size: 1, watch: 65s } }\n";
    let file = lab.write("web.yaml", &configuration(&lab, "kernel", "2", &load, rollout));
    let file = file.display().to_string();
    let words = ["serve", &file, "--listen", "127.0.0.1:0", "--tick", "200ms", "--mode", "act"];
    let daemon = Daemon::start(lab.presurge(&words), lab.path("daemon.log"));
    let kept = || daemon.get("/v1/models").json()["fleets"][0]["forecasters"]["requests"].clone();
    until("the load is forecast", || kept()["fittedAt"].is_string());
    let begun = daemon.post("/v1/rollouts", &json!({ "rollout": "kernel" }));
    assert_eq!(begun.status, 201, "{begun:?}");
    let events = daemon.events("/v1/rollouts/kernel/events", &[]);
    assert!(events.iter().any(|(_, kind, _)| kind == "Finished"), "{}", daemon.said());
    let again =
        |seq: u64| lab.says(&["audit", "replay", "kernel", &seq.to_string(), "--config", &file]);
    let records = lab.records("kernel#1");
    let decided: Vec<&Record> =
        records.iter().filter(|r| revision(r).is_some() || is_weighed(r)).collect();
    assert!(revision(decided[0]).is_some() && decided.iter().any(|record| is_weighed(record)));
    for record in &decided {
        assert!(model_of(record).is_some(), "it was fitted: {record:?}");
        let (code, said) = again(record.seq);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("to the last digit"), "{said}");
    }
    // Another forecaster is another decision, and one that is gone decides nothing.
    let store = rusqlite::Connection::open(lab.path("presurge.db")).unwrap();
    let digest = model_of(decided[0]).unwrap();
    store.execute("DELETE FROM archive WHERE digest = ?1", [&digest]).unwrap();
    let (code, said) = again(decided[0].seq);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("the state of the forecaster of web/requests") && said.contains(&digest));
}

/// The digest of the forecaster that a record's decision was made with.
fn model_of(record: &Record) -> Option<String> {
    let models = match record.event().unwrap() {
        Event::PlanAdopted { plan } => plan.inputs.models,
        Event::BatchOpened { look, .. } => look.weighed.unwrap().models,
        other => panic!("{other:?} is made from no load"),
    };
    models.get("web/requests").map(ToString::to_string)
}

fn is_weighed(record: &Record) -> bool {
    matches!(record.event(), Ok(Event::BatchOpened { look, .. }) if look.weighed.is_some())
}

fn revision(record: &Record) -> Option<u32> {
    match record.event() {
        Ok(Event::PlanAdopted { plan }) => Some(plan.revision),
        _ => None,
    }
}

/// What the archive holds under the digest of the load of a record's decision.
fn load_of(record: &Record) -> String {
    let load = match record.event().unwrap() {
        Event::PlanAdopted { plan } => plan.inputs.load,
        Event::BatchOpened { look, .. } => look.weighed.unwrap().load,
        other => panic!("{other:?} is made from no load"),
    };
    load["web/requests"].to_string()
}

#[test]
fn every_decision_comes_out_again_and_a_forged_one_does_not() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = performed();
    let again =
        |seq: u64| lab.says(&["audit", "replay", "kernel", &seq.to_string(), "--config", &file]);
    let records = lab.records("kernel#1");
    let revised = records.iter().rfind(|record| revision(record) > Some(1)).expect("a revision");
    let weighed = records.iter().find(|record| is_weighed(record)).expect("a weighing");
    for record in &records {
        let (code, said) = again(record.seq);
        match revision(record) {
            Some(revision) => {
                assert_eq!(code, Some(0), "{said}");
                assert!(said.contains(&format!("adopts plan {revision}, ")), "{said}");
                assert!(said.contains("the same plan, to the last digit"), "{said}");
            }
            None if is_weighed(record) => {
                assert_eq!(code, Some(0), "{said}");
                assert!(said.contains("the same figures, to the last digit"), "{said}");
            }
            None => assert_eq!(code, Some(64), "{said}"),
        }
    }
    assert_eq!(lab.records("kernel#1"), records, "to look changes nothing");

    // What was foreseen, changed by somebody who computes the chain anew.
    lab.forge("kernel#1", weighed.seq, |record| {
        let Event::BatchOpened { index, mut look, risk } = record.event().unwrap() else {
            panic!()
        };
        look.foreseen = look.foreseen.map(|foreseen| foreseen + 0.001);
        record.payload = Event::BatchOpened { index, look, risk }.to_parts().1;
    });
    let (code, said) = again(weighed.seq);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not the same figures") && said.contains("/look/foreseen: "), "{said}");
    // A revision that takes the risk for less than it was computed.
    lab.forge("kernel#1", revised.seq, |record| {
        let Event::PlanAdopted { mut plan } = record.event().unwrap() else { panic!() };
        plan.risk.planned += 0.001;
        record.payload = Event::PlanAdopted { plan: Box::new(plan.sealed()) }.to_parts().1;
    });
    let (code, said) = again(revised.seq);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not the same plan") && said.contains("/risk/planned: "), "{said}");
    // A build and a processor that are others are named.
    let started = records.iter().find(|record| record.kind == "DriverStarted").unwrap();
    lab.forge("kernel#1", started.seq, |record| record.payload["build"] = "0.0.9 z80".into());
    let (code, said) = again(weighed.seq);
    assert!(code == Some(1) && said.contains("by 0.0.9 z80"), "{said}");
    assert!(said.contains("only the same processor and build has to agree"), "{said}");
    inputs_that_are_changed_or_gone(&lab, &again, weighed, revised);
}

/// One byte of a load, and then all of it.
fn inputs_that_are_changed_or_gone(
    lab: &Lab,
    again: &dyn Fn(u64) -> (Option<i32>, String),
    weighed: &Record,
    revised: &Record,
) {
    let store = rusqlite::Connection::open(lab.path("presurge.db")).unwrap();
    for record in [weighed, revised] {
        let digest = load_of(record);
        let sql = "SELECT bytes FROM archive WHERE digest = ?1";
        let kept: Vec<u8> = store.query_row(sql, [&digest], |row| row.get(0)).unwrap();
        let mut bytes = kept.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let change = "UPDATE archive SET bytes = ?2 WHERE digest = ?1";
        store.execute(change, rusqlite::params![digest, bytes]).unwrap();
        let (code, said) = again(record.seq);
        assert!(code != Some(0) && said.contains("were changed"), "{said}");
        assert!(said.contains(&digest), "{said}");
        store.execute(change, rusqlite::params![digest, kept]).unwrap();
        store.execute("DELETE FROM archive WHERE digest = ?1", [&digest]).unwrap();
        let (code, said) = again(record.seq);
        assert!(code == Some(65) && said.contains("is not in the archive"), "{said}");
        let back = "INSERT INTO archive (digest, bytes) VALUES (?1, ?2)";
        store.execute(back, rusqlite::params![digest, kept]).unwrap();
    }
}
