//! The kill switch, as people pull it.

mod folder;
mod lab;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

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

/// The first line and the body of every request so far.
type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// A webhook: its address, and what it was asked.
fn webhook() -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = told.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            let mut chunk = [0; 4096];
            let request = loop {
                let read = stream.read(&mut chunk).unwrap_or(0);
                bytes.extend_from_slice(&chunk[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
                let whole = text.contains("\r\n\r\n")
                    && body.len() >= length.map_or(0, |l| l.parse().unwrap());
                if whole || read == 0 {
                    break (head.lines().next().unwrap_or_default().to_owned(), body.to_owned());
                }
            };
            kept.lock().unwrap().push(request);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    (url, told)
}

#[test]
fn a_real_rollout_stops_within_a_look_tells_of_it_and_goes_on_when_it_thaws() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(3, 20);
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let (url, told) = webhook();
    let more =
        format!("  risk: 0.01\n  notify: [ {{ webhook: {{ url: \"{url}/${{HOOK}}\" }} }} ]\n");
    let text = configuration(&lab, "roll", "2", &load, &more);
    let file = lab.write("web.yaml", &text).display().to_string();
    let ends = |code: i32, args: &[&str]| {
        let output = lab.presurge(args).env("HOOK", "s3cr3t").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        assert!(!out.contains("s3cr3t") && !err.contains("s3cr3t"), "{args:?}\n{out}\n{err}");
        (out, err)
    };
    let (out, _) = ends(0, &["doctor", &file]);
    assert!(out.contains("notice 0 by webhook") && out.contains("can be reached"), "{out}");
    assert!(told.lock().unwrap().iter().all(|(line, _)| line == "GET / HTTP/1.1"), "{told:?}");
    let key = lab.path("key").display().to_string();
    ends(0, &["audit", "key", &key]);
    let apply =
        ["apply", "--yes", "--tick", "200ms", "--anchors", "notify", "--anchor-key", &key, &file];

    ends(0, &["freeze", "--all", "--reason", "payments fail"]);
    let (_, said) = ends(3, &apply);
    assert!(said.contains("everything is frozen by operator:"), "{said}");
    assert!(said.contains("payments fail") && said.contains("unfreeze"), "{said}");
    let (_, said) = ends(0, &["plan", &file]);
    assert!(said.contains("FROZEN: everything is frozen"), "{said}");
    let (out, _) = ends(0, &["rollout", "list", "-o", "json"]);
    assert_eq!(json(&out), Value::Array(Vec::new()), "nothing was begun");
    ends(0, &["unfreeze", "--all", "--reason", "they work"]);

    let mut running = lab.presurge(&apply);
    let running = running.env("HOOK", "s3cr3t").stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = running.spawn().unwrap();
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
    assert!(!journal().contains("s3cr3t"), "{}", journal());

    let told = told.lock().unwrap();
    let told = told.iter().filter(|(line, _)| line == "POST /s3cr3t HTTP/1.1");
    let bodies: Vec<&String> = told.map(|(_, body)| body).collect();
    anchors_prove_the_rollout_and_the_freezes(&lab, &bodies);
    let kinds: Vec<_> = bodies.iter().map(|body| json(body)["type"].clone()).collect();
    for kind in ["freeze.begun", "freeze.over", "rollout.once"] {
        let kind = format!("presurge.notice.{kind}");
        assert_eq!(kinds.iter().filter(|k| **k == *kind).count(), 1, "{kind} in {kinds:?}");
    }
}

/// What the webhook was handed, one a line, is a file of anchors: of the rollout and of the freezes.
fn anchors_prove_the_rollout_and_the_freezes(lab: &Lab, bodies: &[&String]) {
    let handed = bodies.iter().filter(|body| json(body)["type"] == "presurge.anchor");
    let lines: Vec<&str> = handed.map(|body| body.as_str()).collect();
    let file = lab.write("anchors", &(lines.join("\n") + "\n")).display().to_string();
    let public = lab.path("key.pub").display().to_string();
    let verify = |name: &str| {
        lab.says(&["audit", "verify", name, "--anchors", &file, "--public-key", &public])
    };
    let (code, said) = verify("roll");
    assert_eq!(code, Some(0), "{said}\n{lines:#?}");
    assert!(said.contains("the journal is whole: the rollout has ended with it"), "{said}");
    // Two freezes and their ends; each was signed when the driver read it.
    assert!(said.contains("presurge#freezes: 4 records verify"), "{said}");
    assert!(said.contains("records 1 to 4 are proven"), "{said}");
    // What people were told after the end is proven as well.
    assert!(!said.contains("tail not proven"), "{said}");
    assert!(said.contains("whether there were more after it is not known"), "{said}");
    let (code, said) = verify("presurge#freezes");
    assert!(code == Some(0) && !said.contains("roll#1"), "{said}");
    // Somebody who took out a frozen server makes the freeze another one, and computes that chain anew.
    lab.forge("presurge#freezes", 3, |record| record.reason = "never mind".into());
    let (code, said) = verify("roll");
    assert!(code == Some(65) && said.contains("presurge#freezes does not verify"), "{said}");
    assert!(said.contains("computed anew"), "{said}");
    let store = rusqlite::Connection::open(lab.path("presurge.db")).unwrap();
    let tamper = "DROP TRIGGER IF EXISTS record_kept; DELETE FROM record WHERE rollout = (SELECT id \
                  FROM rollout WHERE name = 'presurge#freezes') AND seq > 2";
    store.execute_batch(tamper).unwrap();
    let (code, said) = verify("roll");
    assert!(code == Some(65) && said.contains("record 3: is missing: the tail was cut"), "{said}");
}

#[test]
fn a_freeze_is_anchored_where_it_is_declared_and_counts_where_it_cannot_be() {
    let desk = Folder::new();
    desk.ends(0, "audit key key");
    let anchors = "--anchors heads --anchor-key key";
    desk.ends(0, &format!("freeze --all --reason incident {anchors}"));
    desk.ends(0, &format!("freeze --fleet web --reason incident {anchors}"));
    desk.ends(0, &format!("unfreeze --all --reason over {anchors}"));
    let lines = std::fs::read_to_string(desk.path().join("heads")).unwrap();
    let seqs: Vec<Value> = lines.lines().map(|line| json(line)["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let verify = "audit verify presurge#freezes --anchors heads --public-key key.pub";
    let (out, _) = desk.ends(0, verify);
    assert!(out.contains("records 1 to 3 are proven"), "{out}");
    for odd in ["--anchors heads --anchor-key key.pub", "--anchors notify --anchor-key key"] {
        let (_, said) = desk.ends(0, &format!("freeze --all --reason more {odd}"));
        assert!(said.contains("warning: the freezes are not anchored"), "{said}");
    }
    let (out, _) = desk.ends(0, verify);
    assert!(out.contains("the 2 records after record 3 are newer than every known head"), "{out}");
    let (_, said) = desk.ends(1, "audit verify kernel --anchors heads --public-key key.pub");
    assert!(said.contains("there is no rollout"), "{said}");
}
