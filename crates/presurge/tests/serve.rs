//! `presurge serve`: a real daemon on a free port, asked over HTTP.

mod lab;

use lab::daemon::{Daemon, daemon};
use lab::{Lab, has, until};
use serde_json::{Value, json};

/// Three servers that carry 10 each, under a load of 12: one may go out at a time.
fn fleet(rest: &str) -> (Lab, String) {
    lab::daemon::fleet(3, 12.0, "roll", rest)
}

const ACT: &[&str] = &["--mode", "act"];

#[test]
fn a_rollout_is_begun_watched_to_its_end_and_not_begun_again() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n");
    let daemon = daemon(&lab, &file, ACT);
    assert_eq!(daemon.get("/healthz").json(), json!({ "status": "ok" }));
    assert_eq!(daemon.get("/readyz").status, 200);
    assert_eq!(daemon.get("/v1/rollouts").json(), json!({ "rollouts": [] }));
    let begun = daemon.post("/v1/rollouts", &json!({ "rollout": "roll", "reason": "a test" }));
    assert_eq!(begun.status, 201, "{begun:?}");
    assert_eq!(begun.header("location"), Some("/v1/rollouts/roll"));
    assert_eq!(begun.json()["rollouts"], json!(["roll#1"]));
    let events = daemon.events("/v1/rollouts/roll/events", &[]);
    let numbers: Vec<u64> = events.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<&str> = events.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[..3], ["RolloutCreated", "PlanAdopted", "DriverStarted"]);
    assert!(kinds.contains(&"BatchOpened") && kinds.contains(&"Finished"), "{kinds:?}");
    assert_eq!(events[0].2["reason"], "a test");
    for backend in &lab.backends {
        assert_eq!(lab.version_of(backend), "2", "{}", backend.name);
    }
    assert!(lab.updates("2").iter().all(|(_, count)| *count == 1), "{:?}", lab.updates("2"));
    // From the middle on, and from its end on.
    let last = events.len().to_string();
    let rest = daemon.events("/v1/rollouts/roll/events", &[("last-event-id", "3")]);
    assert_eq!(rest[0].0, 4);
    assert_eq!(
        daemon.ask("GET", "/v1/rollouts/roll/events", &[("last-event-id", &last)], "").status,
        204
    );
    let journal = daemon.get("/v1/journal/roll%231?after=1&limit=2").json();
    assert_eq!(journal["records"].as_array().unwrap().len(), 2, "{journal}");
    assert_eq!((&journal["records"][0], &journal["next"]), (&events[1].2, &json!(3)));
    let shown = daemon.get("/v1/rollouts/roll").json();
    assert_eq!(shown["fleets"][0]["state"], "done", "{shown}");
    assert_eq!(daemon.get("/v1/rollouts").json()["rollouts"][0]["updated"], 3);
    let again = daemon.post("/v1/rollouts", &json!({ "rollout": "roll" }));
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("done")));
    assert_eq!(lab.says(&["audit", "verify", "roll"]).0, Some(0));
    let metrics = daemon.get("/metrics").text;
    assert!(metrics.contains("presurge_rollouts_finished_total{outcome=\"done\"} 1"), "{metrics}");
}

#[test]
fn a_daemon_that_is_killed_or_ended_goes_on_with_what_was_posted_when_it_is_back() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n");
    let text = std::fs::read_to_string(&file).unwrap();
    let (fleet, rollout) = text.split_once("---\n").unwrap();
    let fleets = lab.write("fleets.yaml", fleet).display().to_string();
    let mut first = daemon(&lab, &fleets, ACT);
    // Its document is nowhere but in the request.
    let yaml = [("content-type", "application/yaml")];
    let begun = first.ask("POST", "/v1/rollouts", &yaml, rollout);
    assert_eq!(begun.status, 201, "{begun:?}");
    let has_written = |kind: &str, count: usize| {
        lab.records("roll#1").iter().filter(|record| record.kind == kind).count() >= count
    };
    until("a batch is out", || has_written("BatchOpened", 1));
    first.signal("-KILL");
    first.child.wait().unwrap();
    let mut second = daemon(&lab, &fleets, ACT);
    until("it is driven again", || has_written("DriverStarted", 2));
    // Asked politely, it gives the lease back at once.
    second.signal("-TERM");
    let ended = second.child.wait().unwrap();
    assert!(ended.success(), "{ended}: {}", second.said());
    let store = rusqlite::Connection::open(lab.path("presurge.db")).unwrap();
    let sql = "SELECT owner FROM lease WHERE rollout = 'roll#1'";
    let owner: Option<String> = store.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(owner, None, "the lease is free: {}", second.said());
    let third = daemon(&lab, &fleets, ACT);
    let events = third.events("/v1/rollouts/roll/events", &[]);
    assert!(events.iter().any(|(_, kind, _)| kind == "Finished"));
    for backend in &lab.backends {
        assert_eq!(lab.version_of(backend), "2", "{}", backend.name);
    }
    assert!(lab.updates("2").iter().all(|(_, count)| *count == 1), "{:?}", lab.updates("2"));
}

/// What was fitted is not fitted anew by the next daemon, and people see how it does.
#[test]
fn a_daemon_goes_on_with_the_forecasters_of_the_one_before() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n");
    let fitted = |daemon: &Daemon| {
        let models = daemon.get("/v1/models").json();
        models["fleets"][0]["forecasters"]["requests"].clone()
    };
    let mut first = daemon(&lab, &file, &[]);
    until("the load is forecast", || fitted(&first)["fittedAt"].is_string());
    let before = fitted(&first);
    assert_eq!(before["scored"][0]["band"], "step", "{before}");
    let ready = first.get("/readyz").json();
    assert_eq!((&ready["forecasters"], &ready["of"]), (&json!(1), &json!(1)));
    let metrics = first.get("/metrics").text;
    assert!(metrics.contains("presurge_forecasters{state=\"fitted\"} 1"), "{metrics}");
    first.signal("-TERM");
    assert!(first.child.wait().unwrap().success(), "{}", first.said());
    let (code, said) = lab.says(&["models", "scores"]);
    assert!(code == Some(0) && said.contains("requests") && said.contains("24h"), "{said}");
    let second = daemon(&lab, &file, &[]);
    until("it is there again", || fitted(&second)["fittedAt"].is_string());
    assert_eq!(fitted(&second)["fittedAt"], before["fittedAt"], "{}", second.said());
    let works = second.get("/metrics").text;
    assert!(works.contains("presurge_forecaster_works{of=\"fit\"} 0"), "{works}");
}

#[test]
fn people_say_what_shall_become_of_a_rollout_and_are_named_in_its_journal() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n  approval: { required: true }\n");
    let daemon = daemon(&lab, &file, ACT);
    let begun = daemon.post("/v1/rollouts", &json!({ "rollout": "roll" }));
    let digest = begun.json()["plan"]["digest"].as_str().unwrap().to_owned();
    let refused =
        daemon.post("/v1/rollouts/roll/approve", &json!({ "digest": "sha256:0123456789ab" }));
    assert_eq!(refused.status, 409, "{refused:?}");
    let approved = daemon.post("/v1/rollouts/roll/approve", &json!({ "digest": digest }));
    assert_eq!((approved.status, approved.json()["written"][0].clone()), (202, json!("roll#1")));
    until("a batch is out", || lab.records("roll#1").iter().any(|r| r.kind == "BatchOpened"));
    let asked = json!({ "reason": "lunch" });
    assert_eq!(daemon.post("/v1/rollouts/roll/pause", &asked).status, 202);
    until("it is paused", || daemon.get("/v1/rollouts/roll").json()["fleets"][0]["paused"] == true);
    // The same key: one event, whoever is asked and however often.
    let key = [("content-type", "application/json"), ("idempotency-key", "abort-1")];
    let abort = |daemon: &Daemon| daemon.ask("POST", "/v1/rollouts/roll/abort", &key, "{}");
    let (one, two) = (abort(&daemon), abort(&daemon));
    assert_eq!((one.status, two.status, &one.text), (202, 202, &two.text));
    assert_eq!(two.header("idempotency-replayed"), Some("true"));
    let other = daemon.ask("POST", "/v1/rollouts/roll/abort", &key, "{\"reason\":\"x\"}");
    assert_eq!(other.status, 422, "{other:?}");
    let events = daemon.events("/v1/rollouts/roll/events", &[]);
    let count = |kind: &str| events.iter().filter(|(_, k, _)| k == kind).count();
    assert_eq!((count("PauseRequested"), count("AbortRequested")), (1, 1));
    assert!(
        events
            .iter()
            .any(|(_, kind, record)| kind == "PauseRequested" && record["reason"] == "lunch")
    );
    assert_eq!(daemon.get("/v1/rollouts/roll").json()["fleets"][0]["state"], "aborted");
    let late = daemon.post("/v1/rollouts/roll/pause", &asked);
    assert_eq!((late.status, late.header("content-type")), (409, Some("application/problem+json")));
    // Another process that does not remember the answer finds the request in the journal.
    drop(daemon);
    let daemon = self::daemon(&lab, &file, ACT);
    assert_eq!(abort(&daemon).status, 202);
    assert_eq!(lab.records("roll#1").iter().filter(|r| r.kind == "AbortRequested").count(), 1);
}

#[test]
fn what_makes_no_sense_is_answered_with_a_problem() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n");
    let daemon = daemon(&lab, &file, &[]);
    let json_type = ("content-type", "application/json");
    let long = format!("{{\"rollout\": \"{}\"}}", "x".repeat(2 << 20));
    for (method, path, headers, body, status) in [
        ("GET", "/", vec![], "", 404),
        ("GET", "/v1/rollouts/nothing", vec![], "", 404),
        ("GET", "/v1/rollouts/%ff", vec![], "", 404),
        ("GET", "/v1/rollouts?x=1", vec![], "", 400),
        ("GET", "/v1/journal/roll?after=-1", vec![], "", 400),
        ("DELETE", "/v1/rollouts", vec![], "", 405),
        ("POST", "/v1/rollouts", vec![json_type, ("idempotency-key", "a b")], "{}", 400),
        ("POST", "/v1/rollouts", vec![], "{}", 415),
        ("POST", "/v1/rollouts", vec![json_type], "{", 400),
        ("POST", "/v1/rollouts", vec![json_type], "{}", 422),
        ("POST", "/v1/rollouts", vec![json_type], "{\"rolout\": \"roll\"}", 422),
        ("POST", "/v1/rollouts", vec![json_type], "{\"rollout\": \"nothing\"}", 404),
        ("POST", "/v1/rollouts", vec![json_type], &long, 413),
        ("POST", "/v1/rollouts", vec![("content-type", "application/yaml")], "a: [", 400),
        ("POST", "/v1/rollouts", vec![("content-type", "application/yaml")], "kind: Rollout", 422),
        ("POST", "/v1/rollouts", vec![json_type, ("idempotency-key", "")], "{}", 400),
        // It observes: nothing is begun.
        ("POST", "/v1/rollouts", vec![json_type], "{\"rollout\": \"roll\"}", 409),
        // A page of a browser, and one that was led here by a name.
        ("GET", "/v1/rollouts", vec![("origin", "http://evil.example")], "", 403),
    ] {
        let answer = daemon.ask(method, path, &headers, body);
        let short: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{method} {path} {short}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        let kind = problem["type"].as_str().unwrap();
        assert!(kind.starts_with("urn:presurge:problem:"), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    let typo = daemon.post("/v1/rollouts", &json!({ "rolout": "roll" })).json();
    assert!(typo["detail"].as_str().unwrap().contains("did you mean \"rollout\"?"), "{typo}");
    assert_eq!(daemon.ask("HEAD", "/healthz", &[], "").status, 200);
    assert_eq!(daemon.get("/v1/rollouts").json()["rollouts"], Value::Array(vec![]));
}

#[test]
fn forecasts_are_kept_fresh_and_plans_are_made_without_doing() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n");
    let daemon = daemon(&lab, &file, &[]);
    let told =
        || daemon.get("/v1/forecasts/web?horizon=30").json()["dimensions"]["requests"].clone();
    until("there is a forecast", || !told().is_null());
    let first = told();
    let rows = first["quantiles"].as_array().unwrap();
    assert_eq!((rows.len(), first["mean"].as_array().unwrap().len()), (30, 30));
    for row in rows {
        let row: Vec<f64> = row.as_array().unwrap().iter().map(|q| q.as_f64().unwrap()).collect();
        assert!(row.is_sorted() && row[0] > 10.0 && row[4] < 14.0, "{row:?}");
    }
    let fitted = || {
        let models = daemon.get("/v1/models").json();
        models["fleets"][0]["forecasters"]["requests"].clone()
    };
    let before = fitted();
    assert!(before["chosen"].is_string() && before["bands"].is_array(), "{before}");
    // Samples come every ten seconds: they are taken in without another fit.
    until("a sample was taken in", || told()["knownUntil"] != first["knownUntil"]);
    assert!(told()["start"].as_str() > first["start"].as_str());
    assert_eq!(fitted()["fittedAt"], before["fittedAt"]);
    assert_eq!(daemon.get("/v1/forecasts/web?horizon=0").status, 400);
    assert_eq!(daemon.get("/v1/forecasts/db").status, 404);
    let planned = daemon.post("/v1/plans", &json!({ "rollout": "roll" }));
    assert_eq!(planned.status, 200, "{planned:?}");
    assert_eq!(planned.json()["plan"]["rollout"], "roll");
    assert_eq!(daemon.get("/v1/rollouts").json()["rollouts"], json!([]), "nothing was begun");
    let metrics = daemon.get("/metrics").text;
    assert!(
        metrics.contains("presurge_load_age_seconds{fleet=\"web\",dimension=\"requests\"}"),
        "{metrics}"
    );
}
