//! The kill switch, as people pull it.

mod folder;
mod lab;

use std::process::Stdio;

use folder::Folder;
use lab::{Lab, configuration, has, until};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_freeze_says_by_whom_and_why_until_it_is_lifted_and_can_be_audited() {
    let desk = Folder::new();
    desk.ends(64, "freeze --reason incident");
    desk.ends(64, "freeze --all --fleet web --reason incident");
    desk.ends(64, "freeze --all");
    desk.ends(64, "freeze --all --reason incident --until 2020-01-01T00:00:00Z");
    assert!(!desk.path().join(".local").exists(), "wrong use writes nothing");

    desk.ends(0, "unfreeze --all --reason over");
    desk.ends(0, "freeze --all --reason incident-7 --until 2h");
    let (out, err) = desk.ends(0, "freeze --fleet web --fleet db --reason db-moves -o json");
    assert!(err.contains("no rollout of this store is about a fleet \"web\" yet"), "{err}");
    let list = json(&out);
    let field = |name: &str| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
    };
    assert_eq!(field("fleet"), [Value::Null, "web".into(), "db".into()]);
    assert_eq!(field("reason"), ["incident-7", "db-moves", "db-moves"]);
    assert!(field("until")[0].is_string() && field("until")[1].is_null(), "{out}");
    assert!(field("actor").iter().all(|a| a.as_str().unwrap().starts_with("operator:")), "{out}");

    let (out, err) = desk.ends(0, "unfreeze --all --reason over -o json");
    assert_eq!(json(&out).as_array().unwrap().len(), 2, "single fleets stay frozen: {out}");
    assert!(err.contains("still: fleet web is frozen by operator:"), "{err}");
    let (out, _) = desk.ends(0, "unfreeze --fleet web --fleet db --reason moved -o json");
    assert_eq!(json(&out), Value::Array(Vec::new()));

    let (out, _) = desk.ends(0, "audit show presurge#freezes");
    assert_eq!(out.matches("reezeRequested").count(), 3 + 3, "{out}");
    desk.ends(0, "audit verify presurge#freezes");
    let (out, _) = desk.ends(0, "rollout list -o json");
    assert_eq!(json(&out), Value::Array(Vec::new()), "it is no rollout");
}

#[test]
fn a_real_rollout_stops_within_a_look_and_goes_on_when_it_thaws() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(3, 20);
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let text = configuration(&lab, "roll", "2", &load, "  risk: 0.01\n");
    let file = lab.write("web.yaml", &text).display().to_string();
    let ends = |code: i32, args: &[&str]| {
        let output = lab.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    };
    let apply = ["apply", "--yes", "--tick", "200ms", &file];

    ends(0, &["freeze", "--all", "--reason", "payments fail"]);
    let (_, said) = ends(3, &apply);
    assert!(said.contains("everything is frozen by operator:"), "{said}");
    assert!(said.contains("payments fail") && said.contains("unfreeze"), "{said}");
    let (_, said) = ends(0, &["plan", &file]);
    assert!(said.contains("FROZEN: everything is frozen"), "{said}");
    let (out, _) = ends(0, &["rollout", "list", "-o", "json"]);
    assert_eq!(json(&out), Value::Array(Vec::new()), "nothing was begun");
    ends(0, &["unfreeze", "--all", "--reason", "they work"]);

    let mut running = lab.presurge(&apply).stderr(Stdio::null()).spawn().unwrap();
    let journal = || String::from_utf8(lab.run(&["audit", "show", "roll"]).stdout).unwrap();
    until("the first batch", || journal().contains("BatchOpened"));
    ends(0, &["freeze", "--fleet", "web", "--reason", "wait"]);
    until("the hold", || journal().contains("Held"));
    until("the batch to come back", || journal().contains("BatchClosed"));
    let (shown, _) = ends(0, &["rollout", "show", "roll"]);
    assert!(shown.contains("FROZEN: fleet web is frozen by operator:"), "{shown}");
    let opened = || journal().matches("BatchOpened").count();
    assert_eq!(opened(), 1, "{}", journal());
    ends(0, &["unfreeze", "--fleet", "web", "--reason", "go on"]);
    assert!(running.wait().unwrap().success(), "{}", journal());
    assert!(opened() > 1, "{}", journal());
}
