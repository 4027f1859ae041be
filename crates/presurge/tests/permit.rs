//! `presurge permit`: leave for other people's updaters, as they ask for it.

mod lab;

use std::process::Stdio;

use lab::{Lab, configuration, has};
use serde_json::Value;

/// Four servers that carry 40 together, under a load of 12 to 13: one may be missing, three may not.
fn asked(rest: &str) -> (Lab, String) {
    let lab = Lab::new(4, 20);
    let load = lab.write_history(12.0, 60, 3);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let text = configuration(&lab, "patch", "2", &load, rest);
    let text = text.replace("step: 1s", "step: 1m").replace("deadline: 20m", "deadline: 2h");
    let file = lab.write("web.yaml", &text).display().to_string();
    (lab, file)
}

const RULES: &str = "  risk: 0.01\n  batch: { maxUnavailable: 3 }\n";

fn ask(lab: &Lab, file: &str, more: &[&str]) -> (Option<i32>, Value) {
    let mut words = vec!["permit", file, "--for", "10m", "--reason", "a patch", "-o", "json"];
    words.extend(more);
    let out = lab.run(&words);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    (out.status.code(), value)
}

#[test]
fn what_the_rest_can_carry_may_go_and_what_it_cannot_may_not() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let (code, granted) = ask(&lab, &file, &["--count", "1"]);
    assert_eq!(code, Some(0), "{granted}");
    assert!(granted["granted"] == true && granted["lease"].is_string(), "{granted}");
    let (risk, left) = (granted["risk"].as_f64().unwrap(), granted["riskLeft"].as_f64().unwrap());
    assert!(risk > 0.0 && risk < 0.001 && (risk + left - 0.01).abs() < 1e-9, "{granted}");
    // With it out two more would leave ten for a load of twelve.
    let (code, refused) = ask(&lab, &file, &["--count", "2"]);
    assert_eq!(code, Some(3), "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("the risk of overload is"), "{refused}");
    assert_eq!(refused["granted"], false);
    let (code, refused) = ask(&lab, &file, &["--count", "3"]);
    assert_eq!(code, Some(3), "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("maxUnavailable"), "{refused}");
    assert!(refused["retryAfter"].is_string(), "it says when the first one ends: {refused}");

    // Given back, it counts as in service again, and what it risked stays spent.
    let lease = granted["lease"].as_str().unwrap();
    let (code, said) = lab.says(&["permit", "release", lease]);
    assert_eq!(code, Some(0), "{said}");
    let (code, again) = ask(&lab, &file, &["--count", "2"]);
    assert_eq!(code, Some(0), "{again}");
    assert!(again["riskLeft"].as_f64().unwrap() < left, "{again}");
    let lease = again["lease"].as_str().unwrap();
    let (code, said) = lab.says(&["permit", "renew", lease, &file, "--for", "20m"]);
    assert!(code == Some(0) && said.contains("granted: 2 until"), "{said}");
    let listed = lab.run(&["permit", "list", "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    // One that has ended is not renewed.
    assert_eq!(lab.says(&["permit", "release", lease]).0, Some(0));
    let (code, said) = lab.says(&["permit", "renew", lease, &file, "--for", "20m"]);
    assert!(code == Some(65) && said.contains("no permit"), "{said}");
    assert_eq!(lab.says(&["audit", "verify", "presurge#permits"]).0, Some(0));
}

#[test]
fn who_gets_no_requests_is_out_whatever_the_reason() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let reason = |answer: &Value| answer["reason"].as_str().unwrap().to_owned();
    lab.tell_haproxy("set server web/web-4 state drain");
    let (code, refused) = ask(&lab, &file, &["--count", "3"]);
    assert!(code == Some(3) && reason(&refused).contains("maxUnavailable"), "{refused}");
    assert!(reason(&refused).contains("sends nothing to web-4)"), "{refused}");
    // Three out leave ten for a load of twelve.
    let (code, refused) = ask(&lab, &file, &["--count", "2"]);
    assert!(code == Some(3) && reason(&refused).contains("with 1 out already"), "{refused}");
    // The one that is out itself may be updated.
    let (code, granted) = ask(&lab, &file, &["--server", "web-4"]);
    assert!(code == Some(0) && reason(&granted).contains("with 0 out already"), "{granted}");
    let lease = granted["lease"].as_str().unwrap();
    assert_eq!(lab.says(&["permit", "release", lease]).0, Some(0));

    // Whoever was granted one takes out another than web-4, which was out before.
    let (code, granted) = ask(&lab, &file, &[]);
    assert_eq!(code, Some(0), "{granted}");
    for _ in 0..2 {
        let (code, refused) = ask(&lab, &file, &[]);
        assert!(code == Some(3) && reason(&refused).contains("with 2 out already"), "{refused}");
        lab.tell_haproxy("set server web/web-1 state drain");
    }
    let lease = granted["lease"].as_str().unwrap();
    let (code, said) = lab.says(&["permit", "renew", lease, &file, "--for", "20m", "-o", "json"]);
    assert!(code == Some(0) && said.contains("with 1 out already"), "{said}");
    lab.tell_haproxy("set server web/web-4 state ready");
    let (code, granted) = ask(&lab, &file, &[]);
    assert!(code == Some(0) && reason(&granted).contains("with 1 out already"), "{granted}");
    // web-1 is what the first of them has out, and is not counted beside it.
    let (code, refused) = ask(&lab, &file, &[]);
    assert!(code == Some(3) && reason(&refused).contains("with 2 out already"), "{refused}");
}

#[test]
fn where_the_load_balancer_is_silent_nothing_may_go_out() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let text = std::fs::read_to_string(&file).unwrap();
    let silent = lab.write("silent.yaml", &text.replace("admin.sock", "nobody.sock"));
    let (code, refused) = ask(&lab, &silent.display().to_string(), &[]);
    assert_eq!(code, Some(3), "{refused}");
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("it cannot be seen which servers") && reason.contains("nobody.sock"));
    // A fleet without one is taken to be whole.
    let whole: String = text
        .lines()
        .filter(|line| !line.starts_with("  traffic:"))
        .flat_map(|l| [l, "\n"])
        .collect();
    let whole = lab.write("whole.yaml", &whole);
    let (code, granted) = ask(&lab, &whole.display().to_string(), &["--count", "2"]);
    assert_eq!(code, Some(0), "{granted}");
}

#[test]
fn who_asks_at_the_same_time_is_not_granted_more_than_one_after_the_other() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let words = ["permit", &file, "--for", "10m", "--reason", "a race"];
    let mut all: Vec<_> = (0..6)
        .map(|_| lab.presurge(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    let codes: Vec<_> = all.iter_mut().map(|child| child.wait().unwrap().code()).collect();
    let granted = codes.iter().filter(|code| **code == Some(0)).count();
    // Two out leave twenty for twelve; the third would leave ten.
    assert_eq!(granted, 2, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(3)).count(), 4, "{codes:?}");
}

#[test]
fn freezes_windows_and_the_account_refuse_and_say_when_to_ask_again() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let freeze = ["freeze", "--all", "--reason", "an incident", "--until", "1h"];
    assert_eq!(lab.says(&freeze).0, Some(0));
    let (code, refused) = ask(&lab, &file, &[]);
    assert!(code == Some(3) && refused["retryAfter"].is_string(), "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("an incident"), "{refused}");
    assert_eq!(lab.says(&["unfreeze", "--all", "--reason", "it is over"]).0, Some(0));
    assert_eq!(ask(&lab, &file, &[]).0, Some(0));

    // A window that has just closed opens again tomorrow.
    let (lab, file) = asked(
        "  risk: 0.01\n  freezes: [ { from: 2020-01-01T00:00:00Z, to: 2100-01-01T00:00:00Z } ]\n",
    );
    let (code, refused) = ask(&lab, &file, &[]);
    assert_eq!(code, Some(3), "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("no window is open"), "{refused}");
    assert_eq!(refused["retryAfter"], Value::Null);

    // Little may be risked: it is spent after a few.
    let (lab, file) = asked("  risk: 0.0004\n  batch: { maxUnavailable: 3 }\n");
    let mut taken = 0;
    let refused = loop {
        let (code, answer) = ask(&lab, &file, &["--server", "web-1"]);
        if code == Some(3) {
            break answer;
        }
        taken += 1;
        assert!(taken < 6, "it is never spent: {answer}");
        let lease = answer["lease"].as_str().unwrap();
        assert_eq!(lab.says(&["permit", "release", lease]).0, Some(0));
    };
    assert!(taken > 0, "{refused}");
    assert!(refused["retryAfter"].is_string(), "more is free again in time: {refused}");
}

#[test]
fn wishes_that_cannot_be_are_refused_as_such() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let says = |more: &[&str]| {
        let mut words = vec!["permit", file.as_str()];
        words.extend(more);
        lab.says(&words)
    };
    assert_eq!(says(&["--for", "10m"]).0, Some(64), "without a reason");
    assert_eq!(says(&["--for", "0s", "--reason", "a"]).0, Some(64));
    assert_eq!(says(&["--for", "2d", "--reason", "a"]).0, Some(64));
    assert_eq!(says(&["--for", "1m", "--reason", "a", "--count", "0"]).0, Some(64));
    let (code, said) = says(&["--for", "1m", "--reason", "a", "--server", "web-9"]);
    assert!(code == Some(65) && said.contains("web-9 is not in the fleet"), "{said}");
    let both = ["--for", "1m", "--reason", "a", "--server", "web-1", "--server", "web-2"];
    assert_eq!(says(&both).0, Some(64), "two are named, one is asked for");
    let (code, said) = lab.says(&["permit", "release", "permit/7"]);
    assert!(code == Some(65) && said.contains("no permit permit/7 is in force"), "{said}");
    assert_eq!(lab.says(&["permit"]).0, Some(64));
}

#[test]
fn the_script_of_the_documents_updates_one_after_the_other_under_permits() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = asked(RULES);
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/with-permit.sh");
    // The command says who was updated, and how many permits were in force meanwhile.
    let command = format!(
        "#!/bin/sh\nset -e\n\"$PRESURGE\" permit list -o csv | grep -c ',web,patch,' >> {0}/seen\necho \"$1\" >> {0}/done\n",
        lab.path("").display()
    );
    let command = lab.script("update-one", &command);
    // The first answer is a refusal that ends in seconds.
    assert_eq!(lab.says(&["freeze", "--all", "--reason", "a test", "--until", "3s"]).0, Some(0));
    let mut run = std::process::Command::new(&script);
    run.env("PRESURGE", lab::PRESURGE).env("PRESURGE_STORE", lab.path("presurge.db"));
    let output =
        run.args([file.as_str(), "60"]).arg(&command).args(["web-1", "web-2", "web-3"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("web-1: everything is frozen"), "{said}");
    let lines = |name: &str| std::fs::read_to_string(lab.path(name)).unwrap();
    assert_eq!(lines("done"), "web-1\nweb-2\nweb-3\n");
    assert_eq!(lines("seen"), "1\n1\n1\n");
    let listed = lab.run(&["permit", "list", "-o", "json"]);
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap(), Value::Array(Vec::new()));
}
