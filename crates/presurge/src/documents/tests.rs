//! What is said about files that are wrong: place, what was expected, and the nearest name.

use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::SystemClock;
use domain::ports::Clock;

use super::*;

mod bounds;
mod features;

/// A fleet and a rollout without a fault.
const GOOD: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: web }
spec:
  servers: { static: { prefix: web, count: 4 } }
  capacity: { requests: 850 }
  load:
    requests:
      csv: { path: load.csv }
      unit: req/s
  durations:
    drain: 1m
    update: 5m
  surge:
    offers:
      - name: od
        capacity: { requests: 850 }
        price: 0.192
        lead: 3m
        max: 40
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: kernel }
spec:
  fleets: [web]
  target: { version: "6.12" }
  gates:
    - http: { url: "http://{address}/health" }
"#;

fn loaded(text: &str) -> Result<Documents, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.yaml");
    std::fs::write(&path, text).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shown = format!("{}/", folder.path().display());
    load(&[path], &clock).map_err(|error| error.to_string().replace(&shown, ""))
}

/// The good file with a text replaced, which has to be there exactly once.
fn with(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} is not in the good file once");
    GOOD.replace(from, to)
}

/// Checks that a change of the good file is answered with this line (and maybe others).
#[track_caller]
fn says(from: &str, to: &str, expected: &str) {
    let error = loaded(&with(from, to)).map(|_| ()).expect_err("this is wrong and was accepted");
    let first: Vec<&str> = error.lines().filter(|line| line.starts_with("f.yaml")).collect();
    assert!(
        first.iter().any(|line| line.starts_with(expected)),
        "\n{expected}\nis not in\n{error}"
    );
    // One fault has one answer.
    assert_eq!(first.len(), 1, "{error}");
}

#[test]
fn the_good_file_is_good() {
    let documents = loaded(GOOD).unwrap();
    let rollout = documents.rollout(None).unwrap();
    let fleet = documents.fleet(rollout.rollout());
    assert_eq!((fleet.fleet.servers.len(), fleet.fleet.offers.len()), (4, 1));
    assert_eq!(fleet.fleet.servers[3].name.as_str(), "web-4");
    assert_eq!(rollout.rollout().max_unavailable, 2);
    // JSON is YAML.
    let json = r#"{"apiVersion": "presurge/v1", "kind": "Fleet", "metadata": {"name": "x"},
        "spec": {"servers": {"static": {"prefix": "x", "count": 1}}, "capacity": {"cpu": 1},
        "load": {"cpu": {"csv": {"path": "x.csv"}}}, "durations": {"drain": "0s", "update": "1m"}}}"#;
    assert_eq!(loaded(json).unwrap().fleets.len(), 1);
}

#[test]
fn every_field_of_the_schema_is_accepted() {
    let documents = loaded(include_str!("../../tests/data/every_field.yaml")).unwrap();
    let rollout = documents.rollout(None).unwrap();
    let fleet = &documents.fleet(rollout.rollout()).fleet;
    assert_eq!((fleet.servers.len(), fleet.offers.len(), fleet.currency.as_str()), (20, 2, "USD"));
    assert_eq!(fleet.offers[1].interruption.per_hour, 0.05);
    let failures = (fleet.offers[1].boot_failure, rollout.rollout().update_failure);
    assert_eq!((failures, fleet.offers[0].boot_failure), ((0.01, 0.002), 0.0));
    assert_eq!(fleet.spare.values().collect::<Vec<_>>(), [&425.0]);
    let rollout = rollout.rollout();
    assert_eq!((rollout.max_unavailable, rollout.max_surge), (10, 20));
    assert_eq!(rollout.approval.as_deref(), Some(&["sre-leads".to_owned()][..]));
    let hooks: Vec<_> =
        rollout.hooks.iter().map(|hook| (hook.point.as_str(), hook.timeout.as_secs())).collect();
    assert_eq!(hooks, [("before", 300), ("afterBatch", 600), ("after", 30)]);
}

#[test]
fn the_digest_is_of_the_meaning() {
    let digest = |text: &str| loaded(text).unwrap().rollouts[0].digest();
    let spaced = with("  fleets: [web]", "  # a comment\n  fleets:\n    - web");
    assert_eq!(digest(GOOD), digest(&spaced));
    assert_ne!(digest(GOOD), digest(&with("\"6.12\"", "\"6.13\"")));
}

#[test]
fn unknown_fields_are_named_with_the_nearest_one() {
    says(
        "price: 0.192",
        "prce: 0.192",
        "f.yaml:18:9: spec.surge.offers[0].prce: unknown field; did you mean \"price\"? (expected one of: name, market,",
    );
    says(
        "  capacity: { requests: 850 }\n  load",
        "  capacity: { requests: 850 }\n  laod: 3\n  load",
        "f.yaml:7:3: spec.laod: unknown field; did you mean \"load\"?",
    );
    says(
        "      csv: {",
        "      cvs: {",
        "f.yaml:9:7: spec.load.requests.cvs: unknown field; did you mean \"csv\"? (expected one of: csv, prometheus, measure,",
    );
    says(
        "path: load.csv",
        "path: load.csv, seris: web",
        "f.yaml:9:30: spec.load.requests.csv.seris: unknown field; did you mean \"series\"? (expected one of: path, series)",
    );
    says(
        "    drain: 1m",
        "    drian: 1m\n    drain: 1m",
        "f.yaml:12:5: spec.durations.drian: unknown field; did you mean \"drain\"?",
    );
    says(
        "  gates:\n",
        "  gate: []\n  gates:\n",
        "f.yaml:28:3: spec.gate: unknown field; did you mean \"gates\"?",
    );
    says(
        "    - http:",
        "    - htpp:",
        "f.yaml:29:7: spec.gates[0].htpp: unknown field; did you mean \"http\"?",
    );
    says(
        "kind: Rollout",
        "kind: Rolout",
        "f.yaml:23:7: kind: unknown kind \"Rolout\"; did you mean \"Rollout\"?",
    );
    says(
        "metadata: { name: kernel }",
        "metadata: { nme: kernel }",
        "f.yaml:24:13: metadata.nme: unknown field; did you mean \"name\"?",
    );
}

#[test]
fn wrong_values_are_told_what_was_expected_and_found() {
    says(
        "price: 0.192",
        "price: -1",
        "f.yaml:18:16: spec.surge.offers[0].price: expected an amount of money of 0 or more, found -1",
    );
    says(
        "price: 0.192",
        "price: cheap",
        "f.yaml:18:16: spec.surge.offers[0].price: expected an amount of money of 0 or more, found text \"cheap\"",
    );
    says(
        "price: 0.192",
        "price: \"0.192\"",
        "f.yaml:18:16: spec.surge.offers[0].price: expected an amount of money of 0 or more, found text \"0.192\"; write it without quotes",
    );
    says(
        "        price: 0.192\n",
        "",
        "f.yaml:16:9: spec.surge.offers[0]: the field \"price\" is missing",
    );
    says(
        "name: od",
        "name: od@03",
        "f.yaml:16:15: spec.surge.offers[0].name: ends with an @ and digits, as figures of an hour do; give it another name",
    );
    says(
        "lead: 3m",
        "lead: 3",
        "f.yaml:19:15: spec.surge.offers[0].lead: expected a length of time such as 5m, or { p50: 5m, p95: 9m }, found 3",
    );
    says(
        "lead: 3m",
        "lead: 3 minutes",
        "f.yaml:19:15: spec.surge.offers[0].lead: \"3 minutes\" is not a length of time",
    );
    says(
        "lead: 3m",
        "lead: { p50: 5m, p95: 3m }",
        "f.yaml:19:9: spec.surge.offers[0].lead: p95 is 3m, which is shorter than p50, 5m",
    );
    says(
        "max: 40",
        "max: -1",
        "f.yaml:20:14: spec.surge.offers[0].max: expected a whole number of 0 or more, found -1",
    );
    says(
        "max: 40",
        "max: 0",
        "f.yaml:20:14: spec.surge.offers[0].max: expected at least 1, found 0",
    );
    says(
        "count: 4",
        "count: 0",
        "f.yaml:5:44: spec.servers.static.count: expected 1 to 100000 servers, found 0",
    );
    says(
        "count: 4",
        "count: 4.5",
        "f.yaml:5:44: spec.servers.static.count: expected a whole number of 0 or more, found 4.5",
    );
    says(
        "{ static: { prefix: web, count: 4 } }",
        "{ static: { servers: [] } }",
        "f.yaml:5:24: spec.servers.static.servers: expected 1 to 100000 servers, found 0",
    );
    says(
        "{ static: { prefix: web, count: 4 } }",
        "{}",
        "f.yaml:5:3: spec.servers: names no servers; write for instance static:",
    );
    says(
        "  capacity: { requests: 850 }\n  load",
        "  capacity: { requests: -5 }\n  load",
        "f.yaml:6:25: spec.capacity.requests: expected a number above 0, found -5",
    );
    says(
        "\"6.12\"",
        "6.12",
        "f.yaml:27:22: spec.target.version: expected text, found 6.12; put it in quotes",
    );
    for risk in ["0", "1", "-0.1", "1.5"] {
        let to = format!("fleets: [web]\n  risk: {risk}");
        says(
            "fleets: [web]",
            &to,
            "f.yaml:27:9: spec.risk: expected a probability strictly between 0 and 1, found",
        );
    }
    says(
        "fleets: [web]",
        "fleets: web",
        "f.yaml:26:11: spec.fleets: expected a list, found text \"web\"",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  reversible: yes",
        "f.yaml:27:15: spec.reversible: expected true or false, found text \"yes\"; write true or false without quotes",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  onFailure: holt",
        "f.yaml:27:14: spec.onFailure: unknown value \"holt\"; did you mean \"hold\"?",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  margin: 10",
        "f.yaml:27:11: spec.margin: expected a percentage such as",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  batch: { maxUnavailable: many }",
        "f.yaml:27:28: spec.batch.maxUnavailable: expected a whole number such as 3, or a percentage",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  deadline: soon",
        "f.yaml:27:13: spec.deadline: \"soon\" is not a length of time",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  step: 90m",
        "f.yaml:27:9: spec.step: expected 1s to 1h in whole seconds, found 1h30m",
    );
    says(
        "metadata: { name: web }",
        "metadata: { name: \"a b\" }",
        "f.yaml:3:19: metadata.name: \"a b\" is not a fleet name",
    );
    says(
        "metadata: { name: kernel }",
        "metadata: { name: \"a#1\" }",
        "f.yaml:24:19: metadata.name: \"a#1\" is not a rollout name",
    );
}

#[test]
fn what_does_not_fit_together_is_told() {
    says(
        "fleets: [web]",
        "fleets: [wbe]",
        "f.yaml:26:12: spec.fleets[0]: no document describes a fleet \"wbe\"; did you mean \"web\"?",
    );
    says(
        "        capacity: { requests: 850 }",
        "        capacity: {}",
        "f.yaml:17:9: spec.surge.offers[0].capacity: carries no requests, which the fleet needs",
    );
    says(
        "        max: 40\n",
        "        max: 40\n    spare: { cpu: 4 }\n",
        "f.yaml:21:19: spec.surge.spare.cpu: spec.capacity has no dimension cpu; leave it out",
    );
    says(
        "        max: 40\n",
        "        max: 40\n    spare: { requests: -1 }\n",
        "f.yaml:21:24: spec.surge.spare.requests: ",
    );
    says(
        "unit: req/s",
        "unit: req\n      measure: count",
        "f.yaml:10:13: spec.load.requests.unit: is \"req\", but counts are divided by their length",
    );
    says(
        "  capacity: { requests: 850 }\n  load",
        "  capacity: { requests: 850 req/min }\n  load",
        "f.yaml:6:25: spec.capacity.requests: is in \"req/min\", but spec.load.requests.unit is \"req/s\"",
    );
    let two = "  capacity: { requests: 850, cpu: 4 }\n  load";
    let error = loaded(&with("  capacity: { requests: 850 }\n  load", two)).unwrap_err();
    assert!(error.starts_with("f.yaml:7:3: spec.load: has no source for cpu"), "{error}");
    assert!(error.contains("spec.surge.offers[0].capacity: carries no cpu"), "{error}");
    says("    drain: 1m\n", "", "f.yaml:11:3: spec.durations: does not say how long a drain takes");
    says(
        "fleets: [web]",
        "fleets: [web]\n  batch: { maxUnavailable: \"10%\" }",
        "f.yaml:27:28: spec.batch.maxUnavailable: 10% of 4 servers rounds down to none",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  margin: { cpu: 10% }",
        "f.yaml:27:18: spec.margin.cpu: the fleet has no dimension cpu",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  schedule: { batches: [[web-1], [web-2, web-9], [web-3, web-4]] }",
        "f.yaml:27:42: spec.schedule.batches[1][1]: the fleet has no server \"web-9\"",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  windows: [ { timezone: Europe/Berln } ]",
        "f.yaml:27:26: spec.windows[0].timezone: \"Europe/Berln\" is not a time zone; did you mean \"Europe/Berlin\"?",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  windows: [ { start: 24:00 } ]",
        "f.yaml:27:23: spec.windows[0].start: ",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  freezes: [ { from: 2026-01-02T00:00:00Z, to: 2026-01-01T00:00:00Z } ]",
        "f.yaml:27:14: spec.freezes[0]: ",
    );
    says(
        "      csv: { path: load.csv }\n",
        "",
        "f.yaml:8:5: spec.load.requests: names no source of load; add one of: csv, prometheus",
    );
    says(
        "      csv: {",
        "      prometheus: { url: \"http://x\", query: up }\n      csv: {",
        "f.yaml:9:7: spec.load.requests.prometheus: names both csv and prometheus; keep one",
    );
    says(
        "http://{address}/health",
        "ftp://{address}/health",
        "f.yaml:29:20: spec.gates[0].http.url: ",
    );
}

#[test]
fn values_that_ask_for_nothing_are_accepted() {
    for nothing in [
        "survive: { servers: 0, zones: 0 }",
        "hold: { max: 2h, then: page }",
        "failureBudget: 1",
        "hold: { max: 3h, then: abort }",
        "approval: {}",
        "hooks: {}",
        "notify: []",
        "schedule: {}",
        "budget: {}",
        "margin: 0%",
        "batch: { limits: [] }",
        "reversible: true",
        "reversible: false",
        "onFailure: rollback",
        "hold: { then: rollback }",
    ] {
        let text = with("fleets: [web]", &format!("fleets: [web]\n  {nothing}"));
        assert!(loaded(&text).is_ok(), "{nothing}: {}", loaded(&text).unwrap_err());
    }
}

#[test]
fn one_answer_names_everything_that_is_wrong() {
    let text = with("price: 0.192", "price: -1").replace("lead: 3m", "lead: 3");
    let error = loaded(&text.replace("\"6.12\"", "6.12")).unwrap_err();
    assert_eq!(error.matches("f.yaml:").count(), 3, "{error}");
    let line = "18 |         price: -1\n   |                ^^";
    assert!(error.contains(line), "{error}");
    // But not endlessly much.
    let many: String = (0..200).map(|n| format!("  x{n}: 1\n")).collect();
    let error = loaded(&with("  gates:\n", &format!("{many}  gates:\n"))).unwrap_err();
    assert!(error.matches("f.yaml:").count() <= 20, "{error}");
}

#[test]
fn files_and_documents_as_a_whole() {
    assert!(loaded("").unwrap_err().contains("holds no document"));
    assert!(loaded("- 1").unwrap_err().starts_with("f.yaml:1:1: expected a document such as"));
    assert!(loaded("kind: Fleet").unwrap_err().contains("the field \"apiVersion\" is missing"));
    assert!(loaded("a: b").unwrap_err().contains("the field \"kind\" is missing"));
    assert!(
        loaded(&format!("{GOOD}---\n{GOOD}"))
            .unwrap_err()
            .contains("is there twice, first at f.yaml:3:19")
    );
    assert!(
        loaded(&with("presurge/v1\nkind: Fleet", "presurge/v2\nkind: Fleet"))
            .unwrap_err()
            .contains("f.yaml:1:13: apiVersion: unknown value \"presurge/v2\"")
    );
    assert!(loaded("a: [1").unwrap_err().contains("not valid YAML"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let missing = load(&[PathBuf::from("/nonexistent.yaml")], &clock).unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent.yaml: cannot be read"), "{missing}");
    let folder = load(&[PathBuf::from("/")], &clock).unwrap_err().to_string();
    assert!(folder.contains("is a folder"), "{folder}");
}

#[test]
fn the_rollout_is_chosen_by_its_name() {
    let second = GOOD.split("---\n").nth(1).unwrap().replace("kernel", "libc");
    let documents = loaded(&format!("{GOOD}---\n{second}")).unwrap();
    let error = documents.rollout(None).unwrap_err().to_string();
    assert_eq!(error, "choose one by --rollout: kernel, libc");
    let error = documents.rollout(Some("kernl")).unwrap_err().to_string();
    assert!(error.contains("did you mean \"kernel\"?"), "{error}");
    assert_eq!(documents.rollout(Some("libc")).unwrap().rollout().name.as_str(), "libc");
}
