//! The verbs of the command line that ask a running daemon, on a machine without its store.

mod lab;

use std::process::{Command, Stdio};

use domain::event::Event;
use domain::journal::{Actor, Entry, Head};
use domain::name::RolloutId;
use domain::ports::{Append, Authority, Journal};
use lab::daemon::{Daemon, daemon, fleet};
use lab::{PRESURGE, has, until};
use serde_json::{Value, json};

/// `presurge` on another machine: it knows where the daemon is, and has no store.
struct Elsewhere {
    place: String,
    token: Option<String>,
}

impl Elsewhere {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PRESURGE);
        command.args(words).env("PRESURGE_DAEMON", &self.place).env("NO_COLOR", "1");
        command.env("PRESURGE_STORE", "/nowhere/presurge.db").env_remove("PRESURGE_TOKEN");
        if let Some(token) = &self.token {
            command.env("PRESURGE_TOKEN", token);
        }
        command.stdin(Stdio::null());
        command
    }

    /// How it ends, its data, and what it says.
    fn says(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let out = self.command(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    }

    fn json(&self, words: &[&str]) -> Value {
        let (code, out, said) = self.says(&[words, &["-o", "json"]].concat());
        assert!(matches!(code, Some(0 | 3)), "{code:?} {said}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{said}"))
    }
}

fn there(daemon: &Daemon, token: Option<&str>) -> Elsewhere {
    let place = format!("http://127.0.0.1:{}", daemon.port);
    Elsewhere { place, token: token.map(str::to_owned) }
}

#[test]
fn a_rollout_is_followed_paused_and_looked_at_from_elsewhere() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet(3, 12.0, "roll", "  risk: 0.01\n");
    let daemon = daemon(&lab, &file, &["--mode", "act"]);
    let elsewhere = there(&daemon, None);
    assert_eq!(elsewhere.json(&["rollout", "list"]), json!([]));
    let (code, _, said) = elsewhere.says(&["rollout", "watch", "roll"]);
    assert!(code == Some(1) && said.contains("there is no rollout \"roll\""), "{code:?} {said}");
    assert_eq!(daemon.post("/v1/rollouts", &json!({ "rollout": "roll" })).status, 201);
    let log = lab.path("watched");
    let story = std::fs::File::create(&log).unwrap();
    let mut watch = elsewhere.command(&["rollout", "watch", "roll"]).stderr(story).spawn().unwrap();

    let (code, _, said) = elsewhere.says(&["rollout", "pause", "roll", "--reason", "have a look"]);
    assert!(code == Some(0) && said.contains("pause of roll#1 is written"), "{said}");
    until("it is paused", || elsewhere.json(&["rollout", "show", "roll"])["paused"] == true);
    let (code, out, said) = elsewhere.says(&["rollout", "show", "roll"]);
    assert!(code == Some(0) && out.contains("roll#1: web to 2"), "{out}{said}");
    let (code, _, said) = elsewhere.says(&["rollout", "watch", "roll", "--timeout", "1s"]);
    assert!(code == Some(5) && said.contains("it has not ended yet"), "{code:?} {said}");
    let (code, _, said) = elsewhere.says(&["rollout", "resume", "roll"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, _, said) =
        elsewhere.says(&["rollout", "approve", "roll", "--digest", "0123456789ab"]);
    assert!(code == Some(3) && said.contains("the plan in force is"), "{code:?} {said}");

    let ended = watch.wait().unwrap();
    let story = std::fs::read_to_string(&log).unwrap();
    assert_eq!(ended.code(), Some(0), "{story}\n{}", daemon.said());
    for told in ["rollout roll#1 of web to 2", "paused", "batch", "done"] {
        assert!(story.to_lowercase().contains(told), "{told}: {story}");
    }
    let reasons: Vec<String> = lab.records("roll#1").into_iter().map(|r| r.reason).collect();
    assert!(reasons.iter().any(|reason| reason == "have a look"), "{reasons:?}");

    // What has ended looks the same from here and from there.
    for words in
        [&["rollout", "list"][..], &["rollout", "show", "roll"], &["rollout", "show", "roll#1"]]
    {
        let here = lab.run(&[words, &["-o", "json"]].concat());
        let here: Value = serde_json::from_slice(&here.stdout).unwrap();
        assert_eq!(elsewhere.json(words), here, "{words:?}");
    }
    let here = lab.says(&["rollout", "show", "roll", "--plot"]);
    let (code, out, said) =
        elsewhere.says(&["rollout", "show", "roll", "--plot", "--config", &file]);
    assert!(code == Some(0) && here.0 == Some(0), "{said}");
    assert!(out.lines().count() > 20, "{out}");
    // Watched once more it is told again, and ends at once; each record as JSON.
    let (code, out, _) = elsewhere.says(&["rollout", "watch", "roll", "-o", "json"]);
    let kinds: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(code, Some(0));
    assert_eq!(kinds.len(), lab.records("roll#1").len());
    assert!(kinds.iter().any(|record| record["type"] == "Finished"), "{out}");
    let (code, out, _) = elsewhere.says(&["rollout", "watch", "roll", "--new", "-o", "json"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "nothing is new");
    // The same beside the store.
    let (code, said) = lab.says(&["rollout", "watch", "roll"]);
    assert!(code == Some(0) && said.contains("rollout roll#1 of web to 2"), "{said}");
    // What has ended cannot be paused, nor a thing that was never there.
    let (code, _, said) = elsewhere.says(&["rollout", "pause", "roll"]);
    assert!(code == Some(3) && said.contains("has ended"), "{code:?} {said}");
    let (code, _, said) = elsewhere.says(&["rollout", "abort", "other"]);
    assert!(code == Some(65) && said.contains("other"), "{code:?} {said}");
}

#[test]
fn permits_are_asked_for_from_elsewhere() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet(4, 12.0, "patch", "  risk: 0.01\n  batch: { maxUnavailable: 3 }\n");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("step: 1s", "step: 1m").replace("deadline: 20m", "deadline: 2h");
    std::fs::write(&file, text).unwrap();
    let daemon = daemon(&lab, &file, &[]);
    let elsewhere = there(&daemon, None);
    let ask = |more: &[&str]| {
        let words = ["permit", "--fleet", "web", "--for", "10m", "--reason", "a patch"];
        elsewhere.json(&[&words, more].concat())
    };
    let granted = ask(&["--server", "web-2"]);
    assert_eq!((&granted["granted"], &granted["count"]), (&json!(true), &json!(1)), "{granted}");
    let refused = ask(&["--count", "3"]);
    assert_eq!((&refused["granted"], &refused["count"]), (&json!(false), &json!(3)));
    assert!(refused["reason"].as_str().unwrap().contains("maxUnavailable"), "{refused}");
    assert!(refused["retryAfter"].is_string(), "{refused}");
    let lease = granted["lease"].as_str().unwrap();
    let (code, out, said) = elsewhere.says(&["permit", "renew", lease, "--for", "20m"]);
    assert!(code == Some(0) && out.contains("granted: 1 until"), "{out}{said}");
    // The same rows as beside the store.
    let listed = elsewhere.json(&["permit", "list"]);
    let here = lab.run(&["permit", "list", "-o", "json"]);
    assert_eq!(listed, serde_json::from_slice::<Value>(&here.stdout).unwrap());
    assert_eq!(listed[0]["servers"], "web-2");
    let (code, _, said) = elsewhere.says(&["permit", "release", lease, "--reason", "done"]);
    assert!(code == Some(0) && said.contains("is given back"), "{said}");
    assert_eq!(elsewhere.json(&["permit", "list"]), json!([]));
    let (code, _, said) = elsewhere.says(&["permit", "release", "permit/99"]);
    assert!(code == Some(65) && said.contains("permit"), "{code:?} {said}");
    let words = ["permit", "--for", "10m", "--reason", "a patch"];
    let (code, _, said) = elsewhere.says(&words);
    assert!(code == Some(64) && said.contains("--fleet"), "{said}");
    let words = ["permit", "--fleet", "web", "--for", "10m", "--reason", "x", "--server", "web-9"];
    let (code, _, said) = elsewhere.says(&words);
    assert!(code == Some(65) && said.contains("web-9 is not in the fleet"), "{code:?} {said}");
}

#[test]
fn the_kill_switch_is_pulled_from_elsewhere_by_those_who_may() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet(2, 5.0, "roll", "  risk: 0.01\n");
    let mut tokens = Vec::new();
    let mut lines = String::from("tokens:\n");
    for (name, role, scope) in [
        ("ann", "operator", ""),
        ("ben", "operator", ", \"fleets\": {\"app\": \"web\"}"),
        ("cat", "operator", ", \"fleets\": {\"app\": \"db\"}"),
        ("dan", "viewer", ""),
    ] {
        let out = lab.run(&["token", name, "--role", role]);
        tokens.push(String::from_utf8(out.stdout).unwrap().trim().to_owned());
        let said = String::from_utf8(out.stderr).unwrap();
        let line = said.lines().find(|line| line.trim_start().starts_with("- ")).unwrap();
        lines += &format!("{}\n", line.replace('}', &format!("{scope}}}")));
    }
    let path = lab.write("tokens.yaml", &lines).display().to_string();
    let daemon = daemon(&lab, &file, &["--tokens", &path]);
    let [ann, ben, cat, dan] = [0, 1, 2, 3].map(|n| there(&daemon, Some(&tokens[n])));
    let freeze = |who: &Elsewhere, more: &[&str]| {
        who.says(&[&["freeze", "--reason", "an incident"], more].concat())
    };
    let (code, _, said) = freeze(&there(&daemon, None), &["--all"]);
    assert!(code == Some(1) && said.contains("say who you are"), "{said}");
    for (who, more) in [(&dan, &["--all"][..]), (&ben, &["--all"]), (&cat, &["--fleet", "web"])] {
        let (code, _, said) = freeze(who, more);
        assert!(code == Some(1) && !said.is_empty(), "{more:?}: {said}");
    }
    assert!(!lab.path("presurge.db").exists() || lab.records("presurge#freezes").is_empty());

    let (code, out, said) = freeze(&ben, &["--fleet", "web", "--until", "2h"]);
    assert!(code == Some(0) && out.contains("fleet web"), "{out}{said}");
    assert!(!said.contains("warning"), "{said}");
    let (code, out, said) = freeze(&ann, &["--all"]);
    assert!(code == Some(0) && out.contains("everything"), "{out}{said}");
    // A name that is written wrongly stops nothing: it is told, also over HTTP.
    let (code, _, said) = freeze(&ann, &["--fleet", "wbe", "--until", "1s"]);
    assert!(code == Some(0) && said.contains("did you mean \"web\"?"), "{said}");
    until("it has ended", || {
        let (_, out, _) = ann.says(&["unfreeze", "--fleet", "nobody", "--reason", "a look"]);
        !out.contains("wbe")
    });
    let records = lab.records("presurge#freezes");
    let actors: Vec<&str> = records.iter().map(|record| record.actor.0.as_str()).collect();
    assert_eq!(actors, ["operator:ben", "operator:ann", "operator:ann"]);
    // The same in the store, as the command line beside it tells.
    let (code, said) = lab.says(&["apply", "--yes", &file]);
    assert!(code == Some(3) && said.contains("is frozen by operator:ben"), "{code:?} {said}");
    // Another fleet's operator sees what concerns it alone.
    let seen = |who: &Elsewhere| {
        let headers = format!("Bearer {}", who.token.as_ref().unwrap());
        let answer = daemon.ask("GET", "/v1/freezes", &[("authorization", &headers)], "");
        answer.json()["freezes"].as_array().unwrap().len()
    };
    assert_eq!([&ann, &ben, &cat, &dan].map(seen), [2, 2, 1, 2]);
    let lift = |who: &Elsewhere, more: &[&str]| {
        who.says(&[&["unfreeze", "--reason", "it is over"], more].concat())
    };
    assert_eq!(lift(&cat, &["--fleet", "web"]).0, Some(1));
    let (code, out, said) = lift(&ann, &["--all"]);
    assert!(
        code == Some(0) && out.contains("fleet web"),
        "one of a fleet outlasts it: {out}{said}"
    );
    assert_eq!(lift(&ben, &["--fleet", "web"]).0, Some(0));
    assert_eq!(lab.records("presurge#freezes").len(), 5);
    // Nothing to lift is nothing to write.
    assert_eq!(lift(&ben, &["--fleet", "web"]).0, Some(0));
    assert_eq!(lab.records("presurge#freezes").len(), 5);

    // A token that is taken out of the file is refused soon; a file that is broken changes nothing.
    let list = |who: &Elsewhere| who.says(&["rollout", "list"]).0;
    std::fs::write(&path, "tokens: [").unwrap();
    until("it is told", || daemon.said().contains("the tokens from before stay in force"));
    assert_eq!([&ann, &ben].map(list), [Some(0), Some(0)]);
    let rest: Vec<&str> = lines.lines().filter(|line| !line.contains("ann")).collect();
    std::fs::write(&path, rest.join("\n")).unwrap();
    until("ann is let in no longer", || list(&ann) == Some(1));
    assert_eq!(list(&ben), Some(0));
    for token in &tokens {
        assert!(!daemon.said().contains(token), "a token is in the log");
    }
}

/// A request that comes again under its key freezes nothing a second time, also where it was lifted
/// meanwhile and another process is asked.
#[test]
fn a_freeze_that_is_posted_again_is_written_once() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet(2, 5.0, "roll", "  risk: 0.01\n");
    let key = [("content-type", "application/json"), ("idempotency-key", "stop")];
    let body = json!({ "all": true, "reason": "an incident", "for": "1h" }).to_string();
    let freeze = |daemon: &Daemon| daemon.ask("POST", "/v1/freezes", &key, &body);
    let first = daemon(&lab, &file, &[]);
    let frozen = freeze(&first);
    assert_eq!(frozen.status, 200, "{frozen:?}");
    assert_eq!(frozen.json()["freezes"][0]["fleet"], Value::Null);
    assert!(frozen.json()["freezes"][0]["until"].is_string());
    assert_eq!(freeze(&first).text, frozen.text);
    let over = json!({ "all": true, "reason": "it is over" });
    assert_eq!(first.post("/v1/freezes/lift", &over).json(), json!({ "freezes": [] }));
    drop(first);
    let second = daemon(&lab, &file, &[]);
    assert_eq!(freeze(&second).json(), json!({ "freezes": [] }), "it was lifted since");
    assert_eq!(lab.records("presurge#freezes").len(), 2);
    for (body, status) in [
        (json!({ "reason": "x" }), 422),
        (json!({ "all": true, "fleets": ["web"], "reason": "x" }), 422),
        (json!({ "all": true, "reason": " " }), 422),
        (json!({ "all": true, "reason": "x", "until": "2020-01-01T00:00:00Z" }), 422),
        (json!({ "all": true, "reason": "x", "until": "2120-01-01T00:00:00Z", "for": "1h" }), 422),
        (json!({ "all": true, "reason": "x", "for": "0s" }), 422),
        (json!({ "all": 1, "reason": "x" }), 422),
    ] {
        assert_eq!(second.post("/v1/freezes", &body).status, status, "{body}");
    }
    assert_eq!(lab.records("presurge#freezes").len(), 2);
}

#[test]
fn what_is_no_daemon_is_told_apart_from_one_that_is_silent() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet(2, 5.0, "roll", "  risk: 0.01\n");
    let list = |place: &str| {
        let elsewhere = Elsewhere { place: place.to_owned(), token: Some("s3cret".into()) };
        let (code, _, said) = elsewhere.says(&["rollout", "list"]);
        assert!(!said.contains("s3cret"), "{said}");
        (code, said)
    };
    for place in ["", "presurge", "ftp://a", "http://", "http://ann:pw@host", "http://host/path"] {
        let (code, said) = list(place);
        assert!(code == Some(64) && said.contains("unix:PATH"), "{place}: {code:?} {said}");
    }
    let (code, said) = list(&format!("http://127.0.0.1:{}", lab::free_port()));
    assert!(code == Some(1) && said.contains("does not answer"), "{said}");
    // The fleet itself answers, and is no daemon.
    let (code, said) = list(&format!("http://127.0.0.1:{}", lab.front));
    assert!(code == Some(1) && said.contains("is no daemon"), "{said}");
    let nobody = Elsewhere { place: "http://127.0.0.1:1".into(), token: None };
    let (code, _, said) = nobody.says(&["rollout", "list", "--token-file", "/nowhere/token"]);
    assert!(code == Some(65) && said.contains("/nowhere/token"), "{said}");

    let place = format!("unix:{}", lab.path("api.sock").display());
    let mut child = lab
        .presurge(&["serve", &file, "--listen", &place])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it answers through its socket", || list(&place).0 == Some(0));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What is longer than one answer is had whole, and the end of a rollout is how watching it ends.
#[test]
fn an_abort_is_watched_and_long_lists_and_journals_are_had_whole() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet(3, 12.0, "roll", "  risk: 0.01\n");
    let acting = daemon(&lab, &file, &["--mode", "act"]);
    assert_eq!(acting.post("/v1/rollouts", &json!({ "rollout": "roll" })).status, 201);
    let elsewhere = there(&acting, None);
    let (code, _, said) = elsewhere.says(&["rollout", "abort", "roll", "--reason", "a test"]);
    assert!(code == Some(0) && said.contains("abort of roll#1 is written"), "{said}");
    let (code, _, said) = elsewhere.says(&["rollout", "watch", "roll"]);
    assert_eq!(code, Some(4), "{said}");
    drop(acting);

    let first = lab.records("roll#1").remove(0);
    let store = store::Sqlite::open(lab.path("presurge.db")).unwrap();
    let write = |name: &str, event: Event, count: usize, after: &Head| {
        let id = RolloutId::new(name).unwrap();
        let actor = Actor::operator("ann");
        let entry = Entry {
            at: first.at,
            actor,
            cause: None,
            reason: "a test".into(),
            inputs: None,
            event,
        };
        let (authority, entries) = (Authority::Operator, vec![entry; count]);
        let append = Append { rollout: &id, authority, after, entries };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(store.append(append)).unwrap().pop().unwrap().head()
    };
    // A daemon answers with a thousand at once.
    let created = first.event().unwrap();
    for number in 0..1_001 {
        let head = write(&format!("many-{number}#1"), created.clone(), 1, &Head::empty());
        if number == 7 {
            write("many-7#1", Event::PauseRequested {}, 1_500, &head);
        }
    }
    let observing = daemon(&lab, &file, &[]);
    let elsewhere = there(&observing, None);
    let rows = elsewhere.json(&["rollout", "list"]);
    let names: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["rollout"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[1_001]), (1_002, "roll#1", "many-1000#1"));
    assert_eq!(elsewhere.json(&["rollout", "show", "many-7"])["records"], 1_501);
}
