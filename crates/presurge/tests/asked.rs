//! Hooks and approval on real parts: commands that run once each although `apply` is killed, and a
//! plan that waits for the person who may agree to it.

mod lab;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use lab::{Lab, configuration, has, until};
use serde_json::Value;

/// Writes a line for each run: when, and what it was told. It fails while there is a file `fail`.
const HOOK: &str = "#!/bin/sh
cd \"${0%/*}\"
echo \"$PRESURGE_HOOK b$PRESURGE_BATCH r$PRESURGE_REVISION $PRESURGE_ROLLOUT $PRESURGE_FLEET \
$PRESURGE_VERSION $PRESURGE_SERVER_COUNT: $PRESURGE_SERVERS\" >>ran
sleep 0.7
if [ -e fail ]; then echo nobody is on call >&2; exit 1; fi
";

fn lab(rest: &str) -> (Lab, String) {
    let lab = Lab::new(3, 20);
    let hook = lab.write("hook.sh", HOOK);
    std::fs::set_permissions(hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let text = configuration(&lab, "kernel", "2", &load, rest);
    let file = lab.write("web.yaml", &text).to_str().unwrap().to_owned();
    (lab, file)
}

const HOOKS: &str = "  hooks:
    before: { exec: { command: [./hook.sh] }, timeout: 20s }
    afterBatch: { exec: { command: [./hook.sh] }, timeout: 20s }
    after: { exec: { command: [./hook.sh] }, timeout: 20s }
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

/// What the hooks were told, one line for each run.
fn ran(lab: &Lab) -> Vec<String> {
    let text = std::fs::read_to_string(lab.path("ran")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn count(lab: &Lab, hook: &str) -> usize {
    ran(lab).iter().filter(|line| line.starts_with(hook)).count()
}

fn all_run(lab: &Lab, version: &str) {
    for backend in &lab.backends {
        assert_eq!(lab.version_of(backend), version, "{}\n{}", backend.name, log(lab));
    }
}

#[test]
fn hooks_run_once_each_although_apply_is_killed_and_one_that_fails_holds() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = lab(&format!("  risk: 0.01\n{HOOKS}"));
    lab.write("fail", "");
    let mut first = apply(&lab, &file);
    until("the hook before everything fails", || show(&lab)["hold"]["reason"] == "hookFailed");
    let detail = show(&lab)["hold"]["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.ends_with("hook.sh ended with exit code 1: nobody is on call"), "{detail}");
    assert_eq!(lab.updates("2").iter().map(|(_, n)| n).sum::<usize>(), 0, "nobody was touched");
    std::fs::remove_file(lab.path("fail")).unwrap();
    assert!(lab.run(&["rollout", "resume", "kernel"]).status.success());
    // It is killed while the hook runs, again and again while the rest does.
    until("it runs again", || count(&lab, "before") == 2);
    first.kill().unwrap();
    first.wait().unwrap();
    for pause in [900, 1_700, 2_600] {
        let mut apply = apply(&lab, &file);
        std::thread::sleep(Duration::from_millis(pause));
        let _ = apply.kill();
        apply.wait().unwrap();
    }
    let status = apply(&lab, &file).wait().unwrap();
    assert!(status.success(), "{status}\n{}", log(&lab));
    all_run(&lab, "2");
    let all = ran(&lab);
    assert_eq!(count(&lab, "before"), 2, "once, and once more when it was asked for: {all:#?}");
    assert!(all[0].starts_with("before b r1 kernel#1 web 2 3: web-1 web-2 web-3"), "{all:#?}");
    assert_eq!(count(&lab, "after "), 1, "{all:#?}");
    let audit = lab.run(&["audit", "export", "kernel"]);
    let records = String::from_utf8_lossy(&audit.stdout).into_owned();
    let batches = records.matches("\"type\":\"BatchClosed\"").count();
    assert!(batches > 0);
    assert_eq!(count(&lab, "afterBatch"), batches, "{all:#?}");
    assert!(all.last().unwrap().starts_with("after b "), "{all:#?}");
    assert_eq!(lab.surge_processes(), [0; 0]);
}

/// `presurge rollout approve` as somebody.
fn approve(lab: &Lab, who: &str, digest: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut command = lab.presurge(&["rollout", "approve", "kernel", "--digest", digest]);
    let output = command.args(more).env("USER", who).env_remove("SUDO_USER").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_plan_waits_for_the_person_who_may_agree_to_it() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = lab("  risk: 0.01\n  approval: { required: true, by: [ann] }\n");
    let mut waiting = apply(&lab, &file);
    until("it waits", || show(&lab)["hold"]["reason"] == "approvalNeeded");
    let needed = show(&lab)["approval"]["needed"].clone();
    let digest = needed["digest"].as_str().unwrap_or_default().to_owned();
    assert!(digest.starts_with("sha256:"), "{needed}");
    assert!(log(&lab).contains("presurge rollout approve kernel#1 --digest "), "{}", log(&lab));

    let (code, said) = approve(&lab, "bob", &digest, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("bob may not approve it; ann may"), "{said}");
    let (code, said) = approve(&lab, "ann", &"0".repeat(64), &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("the plan in force is {digest}, revision 1")), "{said}");
    let (code, said) = approve(&lab, "ann", "sha256:0123", &[]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("at least its first 12 digits"), "{said}");
    assert!(waiting.try_wait().unwrap().is_none(), "it still waits");
    assert_eq!(lab.updates("2").iter().map(|(_, n)| n).sum::<usize>(), 0, "nobody was touched");
    assert_eq!(lab.surge_processes(), [0; 0], "nothing was bought");

    let short = &digest["sha256:".len()..][..12];
    let (code, said) = approve(&lab, "ann", short, &["--reason", "looks good"]);
    assert_eq!(code, Some(0), "{said}");
    let status = waiting.wait().unwrap();
    assert!(status.success(), "{status}\n{}", log(&lab));
    all_run(&lab, "2");
    let approved = show(&lab)["approval"]["approved"].clone();
    assert_eq!(approved["actor"], "operator:ann", "{approved}");
    let (code, said) = approve(&lab, "ann", short, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("has ended"), "{said}");
}

#[test]
fn a_plan_that_is_rejected_is_not_performed() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = lab("  risk: 0.01\n  approval: { required: true }\n");
    let mut waiting = apply(&lab, &file);
    until("it waits", || show(&lab)["hold"]["reason"] == "approvalNeeded");
    let digest = show(&lab)["approval"]["needed"]["digest"].as_str().unwrap().to_owned();
    let (code, said) = approve(&lab, "bob", &digest, &["--reject", "--reason", "not today"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(waiting.wait().unwrap().code(), Some(4), "{}", log(&lab));
    all_run(&lab, "1");
}
