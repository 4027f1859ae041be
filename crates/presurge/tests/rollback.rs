//! Rolling back on real parts: a version that a gate refuses is undone by itself, and one that people do
//! not want is undone when they say so, with requests under way the whole time.

mod lab;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use lab::clients::Clients;
use lab::{Lab, configuration, has, until};
use serde_json::Value;

/// Three servers, one after the other, of which two carry the load; `rest` belongs to the rollout.
fn lab(rest: &str) -> (Lab, String) {
    let lab = Lab::new(3, 300);
    let gate =
        "#!/bin/sh\ncd \"${0%/*}\"\n[ \"$1 $(cat run/$1.version)\" != \"web-2 2\" ] || exit 1\n";
    let gate = lab.write("gate.sh", gate);
    std::fs::set_permissions(gate, std::fs::Permissions::from_mode(0o755)).unwrap();
    let load = lab.write_history(14.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let rest =
        format!("  risk: 0.05\n  schedule: {{ batches: [[web-1], [web-2], [web-3]] }}\n{rest}");
    let text = configuration(&lab, "kernel", "2", &load, &rest);
    let file = lab.write("web.yaml", &text).to_str().unwrap().to_owned();
    (lab, file)
}

const GATE: &str = "  gates:
    - { command: { command: [./gate.sh, \"{server}\"] }, every: 300ms, successes: 2, failures: 2, timeout: 3s }
";

fn apply(lab: &Lab, file: &str) -> Child {
    let log =
        std::fs::File::options().create(true).append(true).open(lab.path("apply.log")).unwrap();
    lab.presurge(&["apply", "--yes", "--tick", "200ms", "--lease", "1s", file])
        .stderr(log)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn log(lab: &Lab) -> String {
    std::fs::read_to_string(lab.path("apply.log")).unwrap_or_default()
}

fn show(lab: &Lab) -> Value {
    let output = lab.run(&["rollout", "show", "kernel", "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Every server runs what it ran before, and nothing is left.
fn is_as_before(lab: &Lab) {
    for backend in &lab.backends {
        assert_eq!(lab.version_of(backend), "1", "{}\n{}", backend.name, log(lab));
    }
    assert_eq!(lab.surge_processes(), [0; 0]);
    assert_eq!(show(lab)["state"], "rolled back");
    assert!(lab.run(&["audit", "verify", "kernel"]).status.success());
}

fn counts(lab: &Lab, version: &str) -> Vec<usize> {
    lab.updates(version).into_iter().map(|(_, count)| count).collect()
}

#[test]
fn a_version_that_a_gate_refuses_is_undone_and_no_request_is_lost() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = lab(&format!("  onFailure: rollback\n{GATE}"));
    let clients = Clients::start(lab.front, 4);
    let ended = apply(&lab, &file).wait().unwrap();
    let (good, bad) = clients.stop();
    assert_eq!(ended.code(), Some(4), "{}", log(&lab));
    assert_eq!(bad, 0, "{good} good requests\n{}", log(&lab));
    assert!(good > 50, "only {good} requests: the test has lost its eyes");
    is_as_before(&lab);
    // web-2 was tried twice, and ran the version already then; web-3 was never touched.
    assert_eq!((counts(&lab, "2"), counts(&lab, "1")), (vec![1, 1, 0], vec![1, 1, 0]));
    assert!(log(&lab).contains("ROLLBACK web-2: "), "{}", log(&lab));

    // The plan of the way back comes out again.
    let id = "kernel#1";
    let records = lab.records(id);
    let newest = records.iter().rfind(|record| record.kind == "PlanAdopted").unwrap();
    assert_eq!(newest.reason, "it is rolled back");
    let (code, said) =
        lab.says(&["audit", "replay", "kernel", &newest.seq.to_string(), "--config", &file]);
    assert_eq!(code, Some(0), "{said}");

    let (code, said) = lab.says(&["rollout", "rollback", "kernel"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("has ended"), "{said}");
}

#[test]
fn a_person_undoes_a_rollout_that_was_stable_although_apply_is_killed() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = lab("  batch: { canary: { size: 1 } }\n");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("stabilisation: 2s", "stabilisation: 12s")).unwrap();
    let clients = Clients::start(lab.front, 4);
    let mut first = apply(&lab, &file);
    until("the last batch is back", || log(&lab).contains("watching until"));
    let (code, said) = lab.says(&["rollout", "rollback", "kernel", "--reason", "it is slow"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = lab.says(&["rollout", "rollback", "kernel"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("being rolled back already"), "{said}");
    until("the first server goes back", || counts(&lab, "1").contains(&1));
    first.kill().unwrap();
    first.wait().unwrap();
    let shown = lab.says(&["rollout", "show", "kernel"]).1;
    assert!(shown.contains("rolled back since") && shown.contains("rolling back"), "{shown}");
    assert!(shown.contains("in service, to be rolled back"), "{shown}");
    let ended = apply(&lab, &file).wait().unwrap();
    assert_eq!(ended.code(), Some(4), "{}", log(&lab));
    let (good, bad) = clients.stop();
    assert_eq!(bad, 0, "{good} good requests\n{}", log(&lab));
    is_as_before(&lab);
    assert_eq!((counts(&lab, "2"), counts(&lab, "1")), (vec![1; 3], vec![1; 3]), "nothing twice");
    assert!(log(&lab).contains("ROLLBACK it is slow"), "{}", log(&lab));
}

#[test]
fn what_cannot_be_undone_or_is_not_known_is_not_rolled_back() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = lab(&format!("  reversible: false\n{GATE}"));
    let mut open = apply(&lab, &file);
    until("it holds", || show(&lab)["hold"]["reason"] == "serverFailed");
    let (code, said) = lab.says(&["rollout", "rollback", "kernel"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("`reversible: false`"), "{said}");
    assert!(!log(&lab).contains("`rollback`"), "it is not offered:\n{}", log(&lab));
    assert_eq!(lab.run(&["rollout", "abort", "kernel"]).status.code(), Some(0));
    assert_eq!(open.wait().unwrap().code(), Some(4));

    // An updater that cannot observe: asked for, a roll-back is refused before anything is done.
    let text = std::fs::read_to_string(&file).unwrap();
    let observe = text.lines().find(|line| line.trim().starts_with("observe:")).unwrap();
    let text = text
        .replace(observe, "      idempotent: true")
        .replace("reversible: false", "onFailure: rollback")
        .replace("name: kernel", "name: blind");
    std::fs::write(&file, text).unwrap();
    let before = counts(&lab, "2");
    let (code, said) = lab.says(&["apply", "--yes", &file]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("spec.onFailure: rollback needs to know"), "{said}");
    assert!(said.contains("give it an `observe` command"), "{said}");
    assert_eq!(counts(&lab, "2"), before);
    assert!(!lab.says(&["rollout", "list"]).1.contains("blind"));
}
