//! One rollout over two real fleets, each behind its own HAProxy: performed side by side, killed
//! at random moments, paused, aborted. Each fleet has its own chain under the one rollout.

mod lab;

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Duration;

use lab::{Lab, configuration, has, until};
use serde_json::Value;

/// The documents of both fleets and one rollout over them.
fn documents(eu: &Lab, us: &Lab, name: &str, version: &str, more: &str) -> String {
    let fleet = |lab: &Lab, fleet: &str| {
        let load = lab.path("load.csv");
        let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
        let rest = format!("  risk: 0.02\n  budget: {{ amount: 9 }}\n{more}");
        let text = configuration(lab, name, version, &load, &rest);
        let (fleets, rollout) = text.split_once("---").unwrap();
        let fleets = fleets.replace("name: web }", &format!("name: {fleet} }}"));
        (fleets, rollout.replace("[web]", "[eu, us]"))
    };
    let ((eu, rollout), (us, _)) = (fleet(eu, "eu"), fleet(us, "us"));
    format!("{eu}---\n{us}---{rollout}")
}

struct Stage {
    eu: Lab,
    us: Lab,
}

impl Stage {
    fn new() -> Self {
        let (eu, us) = (Lab::new(3, 20), Lab::new(2, 20));
        for lab in [&eu, &us] {
            lab.write_history(5.0, 10, 1);
        }
        Self { eu, us }
    }

    fn write(&self, name: &str, version: &str) -> String {
        let text = documents(&self.eu, &self.us, name, version, "");
        self.eu.write("both.yaml", &text).to_str().unwrap().to_owned()
    }

    fn apply(&self, file: &str) -> Child {
        let log =
            File::options().create(true).append(true).open(self.eu.path("apply.log")).unwrap();
        let args = ["apply", "--yes", "--tick", "200ms", "--lease", "1s", file];
        self.eu.presurge(&args).stderr(log).stdout(Stdio::null()).spawn().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.eu.path("apply.log")).unwrap_or_default()
    }

    /// Where each fleet stands, as data.
    fn shown(&self, name: &str) -> Vec<Value> {
        let output = self.eu.run(&["rollout", "show", name, "-o", "json"]);
        let shown = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        shown.as_array().cloned().unwrap_or_default()
    }

    fn ends(&self, code: i32, args: &[&str]) -> String {
        let output = self.eu.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}\n{}", self.log());
        out + &err
    }
}

/// Every server runs the version, was updated exactly once, and nothing was left behind.
fn judge(stage: &Stage, version: &str) {
    for lab in [&stage.eu, &stage.us] {
        for backend in &lab.backends {
            assert_eq!(lab.version_of(backend), version, "{}\n{}", backend.name, stage.log());
        }
        let updates = lab.updates(version);
        assert!(updates.iter().all(|(_, n)| *n == 1), "updated twice or never: {updates:?}");
        assert_eq!(lab.surge_processes(), [0; 0], "orphans");
    }
}

#[test]
fn two_fleets_are_rolled_side_by_side_and_survive_kills() {
    if !has("haproxy") {
        return;
    }
    let stage = Stage::new();
    let file = stage.write("kernel", "2");
    // Killed early, so that it also happens while the chains are being written, and later.
    for milliseconds in [300, 700, 1_100, 1_900, 2_600, 3_100] {
        let mut apply = stage.apply(&file);
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = apply.kill();
        apply.wait().unwrap();
    }
    let status = stage.apply(&file).wait().unwrap();
    assert!(status.success(), "{status}\n{}", stage.log());
    judge(&stage, "2");
    let shown = stage.shown("kernel");
    let ids: Vec<&str> = shown.iter().map(|one| one["rollout"].as_str().unwrap()).collect();
    assert_eq!(ids, ["kernel@eu#1", "kernel@us#1"]);
    let stated: Vec<f64> =
        shown.iter().map(|one| one["risk"]["stated"].as_f64().unwrap()).collect();
    let joint = 1.0 - stated.iter().map(|share| 1.0 - share).product::<f64>();
    assert!(joint <= 0.02 + 1e-9 && joint > 0.0199, "{stated:?} make {joint}");
    for one in &shown {
        let spent = one["risk"]["spent"].as_f64().unwrap();
        assert!(spent > 0.0 && spent <= one["risk"]["stated"].as_f64().unwrap() + 1e-12, "{one}");
        assert_eq!(one["state"], "done");
    }
    let said = stage.ends(0, &["audit", "verify", "kernel"]);
    assert!(said.contains("kernel@eu#1: ") && said.contains("kernel@us#1: "), "{said}");
    // The same configuration again: nothing to do.
    let said = stage.ends(0, &["apply", "--yes", &file]);
    assert!(said.contains("fleet us is done already"), "{said}");
}

#[test]
fn requests_reach_every_fleet_and_an_abort_ends_all() {
    if !has("haproxy") {
        return;
    }
    let stage = Stage::new();
    let file = stage.write("kernel", "2");
    let plan = stage.eu.path("plan.json");
    let plan = plan.to_str().unwrap();
    stage.ends(0, &["plan", &file, "--out", plan]);
    let other = stage.write("libc", "3");
    let said = stage.ends(3, &["apply", "--yes", plan, "--rollout", "libc", "--config", &other]);
    assert!(said.contains("the plan is for rollout kernel"), "{said}");

    let file = stage.write("kernel", "2");
    let mut apply = stage.apply(&file);
    until("both chains are there", || stage.shown("kernel").len() == 2);
    let said = stage.ends(0, &["rollout", "pause", "kernel"]);
    assert!(said.contains("pause of kernel@eu#1") && said.contains("pause of kernel@us#1"));
    until("both are paused", || {
        let shown = stage.shown("kernel");
        shown.len() == 2 && shown.iter().all(|one| one["paused"] == true)
    });
    stage.ends(0, &["rollout", "resume", "kernel@us#1"]);
    until("one fleet goes on alone", || {
        stage.shown("kernel").iter().any(|one| one["paused"] == false)
    });
    let _ = apply.kill();
    apply.wait().unwrap();
    stage.ends(0, &["rollout", "abort", "kernel", "--reason", "enough"]);
    let status = stage.apply(&file).wait().unwrap();
    assert_eq!(status.code(), Some(4), "{}", stage.log());
    let shown = stage.shown("kernel");
    assert!(shown.iter().any(|one| one["state"] == "aborted"), "{shown:#?}");
    assert!(shown.iter().all(|one| one["state"] == "aborted" || one["state"] == "done"));
    let said = stage.ends(1, &["rollout", "pause", "kernel"]);
    assert!(said.contains("has ended"), "{said}");
    for lab in [&stage.eu, &stage.us] {
        assert_eq!(lab.surge_processes(), [0; 0], "orphans");
    }
}

#[test]
fn a_fleet_that_was_aborted_alone_is_done_again_with_what_the_others_leave() {
    if !has("haproxy") {
        return;
    }
    let stage = Stage::new();
    let file = stage.write("kernel", "2");
    let mut apply = stage.apply(&file);
    until("both chains are there", || stage.shown("kernel").len() == 2);
    stage.ends(0, &["rollout", "abort", "kernel@eu#1"]);
    let status = apply.wait().unwrap();
    assert_eq!(status.code(), Some(4), "{}", stage.log());
    let status = stage.apply(&file).wait().unwrap();
    assert!(status.success(), "{status}\n{}", stage.log());
    assert!(stage.log().contains("some fleets of this rollout are under way already"));
    let shown = stage.shown("kernel");
    let ids: Vec<&str> = shown.iter().map(|one| one["rollout"].as_str().unwrap()).collect();
    assert_eq!(ids, ["kernel@eu#2", "kernel@us#1"]);
    let stated: Vec<f64> =
        shown.iter().map(|one| one["risk"]["stated"].as_f64().unwrap()).collect();
    let joint = 1.0 - stated.iter().map(|share| 1.0 - share).product::<f64>();
    assert!(joint <= 0.02 + 1e-9, "{stated:?} make {joint}");
    for lab in [&stage.eu, &stage.us] {
        assert!(lab.backends.iter().all(|backend| lab.version_of(backend) == "2"));
        assert_eq!(lab.surge_processes(), [0; 0], "orphans");
    }
    every_plan_comes_out_again(&stage, &file);
}

/// Two that were planned together, and one that got what the others left.
fn every_plan_comes_out_again(stage: &Stage, file: &str) {
    for lab in [&stage.eu, &stage.us] {
        std::fs::remove_file(lab.path("load.csv")).unwrap();
    }
    let again = |id: &str| ["audit", "replay", id, "2", "--config", file].map(str::to_owned);
    for id in ["kernel@eu#1", "kernel@us#1", "kernel@eu#2"] {
        let args = again(id);
        let said = stage.ends(0, &args.each_ref().map(String::as_str));
        assert!(said.contains("the same plan, to the last digit"), "{said}");
        let started = stage.eu.records(id).into_iter().find(|r| r.kind == "DriverStarted").unwrap();
        assert!(started.payload["planning"]["budget"].is_number(), "{}", started.payload);
    }
    let said = stage.ends(64, &["audit", "replay", "kernel", "2", "--config", file]);
    assert!(said.contains("say which: kernel@eu#2, kernel@us#1"), "{said}");
}

/// A server of one fleet fails for good: its rest is planned again within its own share, with what the
/// other one leaves of the budget.
#[test]
fn a_revision_of_one_fleet_comes_out_again_beside_the_other() {
    if !has("haproxy") {
        return;
    }
    let stage = Stage { eu: Lab::new(2, 20), us: Lab::new(3, 20) };
    stage.eu.write_history(5.0, 10, 1);
    stage.us.write_history(14.0, 10, 1);
    stage.us.fails("web-2", "2");
    let more = "  failureBudget: 1\n  batch: { maxUnavailable: \"70%\", canary: { size: 1 } }\n";
    let text = documents(&stage.eu, &stage.us, "kernel", "2", more);
    let file = stage.eu.write("both.yaml", &text).display().to_string();
    let said = stage.ends(1, &["apply", "--yes", "--tick", "200ms", "--patience", "20s", &file]);
    assert!(said.contains("us: every other server runs 2"), "{said}");
    let records = stage.eu.records("kernel@us#1");
    let revised = records.iter().rfind(|record| record.kind == "PlanAdopted").unwrap();
    assert!(revised.payload["plan"]["revision"].as_u64() > Some(1), "{said}");
    for lab in [&stage.eu, &stage.us] {
        std::fs::remove_file(lab.path("load.csv")).unwrap();
    }
    for seq in [2, revised.seq] {
        let seq = seq.to_string();
        let said = stage.ends(0, &["audit", "replay", "kernel@us#1", &seq, "--config", &file]);
        assert!(said.contains("the same plan, to the last digit"), "{said}");
    }
    // With another part of the budget it is another question, and the plan is refused.
    let started = records.iter().find(|record| record.kind == "DriverStarted").unwrap();
    assert!(started.payload["planning"]["budget"].as_f64() > Some(1.0), "{}", started.payload);
    stage.eu.forge("kernel@us#1", started.seq, |record| {
        record.payload["planning"]["budget"] = 0.000_001.into();
    });
    let seq = revised.seq.to_string();
    let said = stage.ends(1, &["audit", "replay", "kernel@us#1", &seq, "--config", &file]);
    assert!(said.contains("no plan fits: budget"), "{said}");
}
