//! The modes advise and observe as their users meet them: the plan is told and written down, nothing is
//! done, and what came of it is judged by the load that comes.

mod folder;
mod lab;

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use folder::Folder;
use lab::daemon::Daemon;
use lab::{Lab, PRESURGE, configuration, forge, has, now, records, rfc3339, until};
use serde_json::{Value, json};

/// Three servers that carry 100 each; one is out for three seconds.
const CONFIG: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: web }
spec:
  servers: { static: { prefix: web, count: 3 } }
  capacity: { requests: 100 }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1s, update: 2s, warmup: 0s }
  surge:
    offers:
      - { name: od, capacity: { requests: 100 }, price: 0.6, lead: 2s, max: 20 }
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: kernel }
spec:
  fleets: [web]
  target: { version: "2" }
  risk: 0.05
  step: 1s
  deadline: 20m
  stabilisation: 2s
"#;

const CHAIN: &str = "presurge#advice";

/// A quiet load of 120 of 300.
fn desk() -> Folder {
    let desk = Folder::new();
    desk.write("web.yaml", CONFIG);
    load(&desk, u64::MAX);
    desk
}

/// A load of 120, with some unrest, and of 280 from a moment on, for a day until an hour from now: what lies
/// ahead is the load that comes.
fn load(desk: &Folder, peak: u64) {
    let mut text = String::from("ds,y\n");
    for at in ((now() - 86_400) / 10 * 10..now() + 3_600).step_by(10) {
        let quiet = 120.0 + (at / 10 * 7919 % 31) as f64 / 10.0;
        writeln!(text, "{},{}", rfc3339(at), if at < peak { quiet } else { 280.0 }).unwrap();
    }
    desk.write("load.csv", &text);
}

fn advised(desk: &Folder) -> Value {
    let (out, _) = desk.ends(0, "advice -o json --store s.db");
    serde_json::from_str(&out).unwrap()
}

/// How many records of that kind the journal of advice has.
fn count(desk: &Folder, kind: &str) -> usize {
    let records = records(&desk.path().join("s.db"), CHAIN);
    records.iter().filter(|record| record.kind == kind).count()
}

/// By hand: the plan waits for nothing and buys nothing. A surge of a quarter is one instance; it is billed for
/// its minimum of a minute, at 0.6 an hour.
#[track_caller]
fn is_as_counted(shown: &Value, overload_seconds: [(&str, f64); 3]) {
    let piece = &shown["advice"][0];
    assert_eq!((&piece["state"], &piece["batch"]), (&json!("judged"), &json!(1)), "{shown}");
    let came = piece["came"].as_object().unwrap();
    assert_eq!(came.keys().collect::<Vec<_>>(), ["advice", "fixed-0", "fixed-25"]);
    assert_eq!((&came["advice"]["cost"], &came["fixed-0"]["cost"]), (&json!(0.0), &json!(0.0)));
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    for (way, seconds) in overload_seconds {
        assert!(near(&came[way]["attributableMinutes"], seconds / 60.0), "{way}: {shown}");
    }
    assert!(near(&came["fixed-25"]["cost"], 0.01), "{shown}");
    // Ready after two seconds, three times three seconds.
    assert!(near(&came["fixed-25"]["finishedMinutes"], 11.0 / 60.0), "{shown}");
    assert!(near(&came["fixed-0"]["finishedMinutes"], 9.0 / 60.0), "{shown}");
    let line = |against: &str| {
        let lines = shown["account"].as_array().unwrap();
        lines.iter().find(|line| line["against"] == against).unwrap().clone()
    };
    assert!(near(&line("fixed-25")["saved"], 0.01) && near(&line("fixed-0")["saved"], 0.0));
}

#[test]
fn a_plan_is_told_written_down_and_judged_once_by_whoever_looks() {
    let desk = desk();
    let apply = "apply web.yaml --mode advise --store s.db";
    // Neither a load balancer nor an updater is configured: nothing is done with them.
    let (_, said) = desk.ends(0, apply);
    assert!(said.contains("advice 1 is written down, and nothing was done"), "{said}");
    let (_, said) = desk.ends(0, apply);
    assert!(said.contains("advice 2 is written down"), "{said}");
    let shown = advised(&desk);
    assert_eq!(shown["advice"][0]["state"], "replaced", "asked twice is not saved twice: {shown}");
    assert_eq!(shown["advice"][1]["state"], "open");
    assert_eq!(shown["account"], json!([]));
    let (listed, _) = desk.ends(0, "rollout list -o json --store s.db");
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), json!([]));

    // A peak begins with the sample in which it was asked for, which nobody could know then.
    let asked: jiff::Timestamp = shown["advice"][1]["askedAt"].as_str().unwrap().parse().unwrap();
    let second = asked.as_second().cast_unsigned();
    load(&desk, second / 10 * 10);

    // Several look at the moment at which it can be settled.
    let look = || {
        let mut look = Command::new(PRESURGE);
        look.args(["advice", "--store", "s.db"]).current_dir(desk.path());
        look.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    until("it is settled", || {
        let mut all: Vec<_> = (0..4).map(|_| look()).collect();
        assert!(all.iter_mut().all(|child| child.wait().unwrap().success()));
        count(&desk, "AdviceSettled") > 0
    });
    assert_eq!(count(&desk, "AdviceSettled"), 1);
    let shown = advised(&desk);
    // One is out for three times three seconds, and 200 are left for 280: of the plan, which begins with a second,
    // nine seconds lack capacity, and of what begins at once also the rest of the one in which it begins. With one
    // instance more 300 are left.
    let whole = asked.subsec_nanosecond() == 0;
    let seconds = [("advice", 9.0), ("fixed-0", if whole { 9.0 } else { 10.0 }), ("fixed-25", 0.0)];
    let last = json!({ "advice": [shown["advice"][1]], "account": shown["account"] });
    is_as_counted(&last, seconds);
    let (table, _) = desk.ends(0, "advice web --store s.db");
    assert!(
        table.contains("0.01 USD") && table.contains("it was asked for again: advice 2"),
        "{table}"
    );
    let (none, _) = desk.ends(0, "advice other -o json --store s.db");
    assert_eq!(serde_json::from_str::<Value>(&none).unwrap()["advice"], json!([]));
    desk.ends(0, "audit verify presurge#advice --store s.db");

    // What the team did instead: all at once for half a minute, with one instance for two minutes at 0.6.
    let (out, back, end) = (rfc3339(second - 120), rfc3339(second - 90), rfc3339(second));
    let told = format!(
        "batches: [ {{ servers: [web-1, web-2, web-3], outAt: {out}, backAt: {back} }} ]\nsurge:\n  - {{ offer: od, \
         count: 1, orderAt: {out}, readyAt: {out}, releaseAt: {end}, endAt: {end} }}\n"
    );
    desk.write("did.yaml", &told);
    let did = "advice did 2 did.yaml --reason=by-hand --store s.db -o json";
    let (out, _) = desk.ends(0, did);
    let shown: Value = serde_json::from_str(&out).unwrap();
    let came = &shown["advice"][1]["came"]["did"];
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    // One instance carries 100 of 120: every second of it lacks capacity.
    assert!(near(&came["attributableMinutes"], 0.5) && near(&came["cost"], 0.02), "{shown}");
    let lines = shown["account"].as_array().unwrap();
    let line = lines.iter().find(|line| line["against"] == "did").unwrap();
    assert!(
        near(&line["saved"], 0.02) && near(&line["avoidedMinutes"], 0.5 - 9.0 / 60.0),
        "{shown}"
    );
    for (from, to, why) in [
        ("web-3", "web-9", "there is no server web-9"),
        ("outAt", "outAfter", "unknown field"),
        ("offer: od", "offer: none", "none"),
        (back.as_str(), "2020-01-01T00:00:00Z", "outAt is not before backAt"),
    ] {
        desk.write("did.yaml", &told.replace(from, to));
        let (_, said) = desk.ends(65, did);
        assert!(said.contains(why), "{from}: {said}");
    }
    let (_, said) = desk.ends(65, "advice did 1 did.yaml --reason=by-hand --store s.db");
    assert!(said.contains("advice 1 is not one that is judged"), "{said}");

    // Every figure comes out again from the archive, also where the file of the load is gone.
    std::fs::remove_file(desk.path().join("load.csv")).unwrap();
    let (said, _) = desk.ends(0, "advice --check --store s.db");
    assert!(said.contains("advice 2: every figure of it comes out again"), "{said}");
    assert!(said.contains("advice 2: every figure of what was done comes out again"), "{said}");
    // Somebody writes a saving that was none, and computes the chain anew.
    forge(&desk.path().join("s.db"), CHAIN, 3, |record| {
        record.payload["verdict"]["judged"]["came"]["fixed-25"]["cost"] = json!(100.0);
    });
    desk.ends(0, "audit verify presurge#advice --store s.db");
    let (said, _) = desk.ends(1, "advice --check --store s.db");
    assert!(said.contains("advice 2: it DIFFERS"), "{said}");
    // A figure that cannot be is not read at all.
    forge(&desk.path().join("s.db"), CHAIN, 3, |record| {
        record.payload["verdict"]["judged"]["came"]["fixed-25"]["cost"] = json!(-100.0);
    });
    let (_, said) = desk.ends(1, "advice --store s.db");
    assert!(said.contains("record 3 of the journal of advice is a AdviceSettled"), "{said}");
}

#[test]
fn what_will_not_be_known_is_said_to_be_unknown() {
    let desk = desk();
    desk.ends(0, "apply web.yaml --mode advise --store s.db");
    let store = desk.path().join("s.db");
    // The record says another time than the plan in the archive, two days ago.
    forge(&store, CHAIN, 1, |record| {
        let past = json!(rfc3339(now() - 2 * 86_400));
        for time in ["startAt", "finishAt", "doneAt"] {
            record.payload[time] = past.clone();
        }
    });
    let shown = advised(&desk);
    let piece = &shown["advice"][0];
    assert_eq!(piece["state"], "unknown", "{shown}");
    assert!(piece["why"].as_str().unwrap().contains("is not the one that was advised"), "{shown}");
    assert_eq!(shown["account"], json!([]));
    advised(&desk);
    assert_eq!(count(&desk, "AdviceSettled"), 1);
}

#[test]
fn several_fleets_are_advised_together() {
    let desk = desk();
    let (fleet, rollout) = CONFIG.split_once("---\n").unwrap();
    let other = fleet.replace("name: web }", "name: api }").replace("prefix: web", "prefix: api");
    let rollout = rollout.replace("[web]", "[web, api]");
    desk.write("both.yaml", &format!("{fleet}---\n{other}---\n{rollout}"));
    let (_, said) = desk.ends(0, "apply both.yaml --mode advise --store s.db");
    assert!(said.contains("advice 1, 2 is written down"), "{said}");
    let shown = advised(&desk);
    let fleets: Vec<&Value> =
        shown["advice"].as_array().unwrap().iter().map(|piece| &piece["fleet"]).collect();
    assert_eq!(fleets, ["web", "api"]);
    let (api, _) = desk.ends(0, "advice api -o json --store s.db");
    assert_eq!(serde_json::from_str::<Value>(&api).unwrap()["advice"].as_array().unwrap().len(), 1);
}

#[test]
fn observing_says_what_comes_and_keeps_what_that_was_made_from() {
    let desk = desk();
    let (out, said) = desk.ends(0, "apply web.yaml --mode observe --store s.db");
    assert!(out.contains("web/requests: ") && out.contains("OF THE FLEET"), "{out}");
    assert!(said.contains("nothing was planned or done"), "{said}");
    let digest = said.lines().find_map(|line| line.strip_prefix("web/requests is kept under "));
    let store = rusqlite::Connection::open(desk.path().join("s.db")).unwrap();
    let sql = "SELECT count(*) FROM archive WHERE digest = ?1";
    let kept: u64 = store.query_row(sql, [digest.unwrap()], |row| row.get(0)).unwrap();
    let chains: u64 =
        store.query_row("SELECT count(*) FROM rollout", [], |row| row.get(0)).unwrap();
    assert_eq!((kept, chains), (1, 0));
    // A plan is nothing to observe.
    desk.ends(0, "plan web.yaml --out plan.json --store s.db");
    desk.ends(64, "apply plan.json --config web.yaml --mode observe --store s.db");
}

fn daemon(desk: &Folder, mode: &str) -> Daemon {
    let mut serve = Command::new(PRESURGE);
    serve.args(["serve", "web.yaml", "--listen", "127.0.0.1:0", "--store", "s.db", "--mode", mode]);
    serve.current_dir(desk.path());
    Daemon::start(serve, desk.path().join("daemon.log"))
}

#[test]
fn a_daemon_that_advises_begins_nothing_and_another_settles_what_it_advised() {
    let desk = desk();
    let mut first = daemon(&desk, "advise");
    let wish = json!({ "rollout": "kernel", "reason": "a test" }).to_string();
    let ask = |daemon: &Daemon| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "one")];
        daemon.ask("POST", "/v1/rollouts", &headers, &wish)
    };
    let answer = ask(&first);
    assert_eq!(answer.status, 200, "{answer:?}");
    let given = answer.json();
    assert_eq!((&given["state"], &given["advice"]), (&json!("advised"), &json!([1])));
    assert_eq!(given["plan"]["rollout"], "kernel");
    assert_eq!(ask(&first).json(), given);
    assert_eq!(first.get("/v1/rollouts").json(), json!({ "rollouts": [] }));
    let shown = first.get("/v1/advice").json();
    assert_eq!(
        (&shown["advice"][0]["state"], &shown["advice"][0]["reason"]),
        (&json!("open"), &json!("a test"))
    );
    first.signal("-KILL");
    first.child.wait().unwrap();

    // Another, which only observes, knows the request and settles the advice.
    let second = daemon(&desk, "advise");
    let again = ask(&second).json();
    assert_eq!((&again["advice"], &again["plan"]), (&given["advice"], &given["plan"]));
    drop(second);
    let third = daemon(&desk, "observe");
    until("it is settled", || third.get("/v1/advice").json()["advice"][0]["state"] != "open");
    let quiet = [("advice", 0.0), ("fixed-0", 0.0), ("fixed-25", 0.0)];
    is_as_counted(&third.get("/v1/advice").json(), quiet);
    assert_eq!((count(&desk, "Advised"), count(&desk, "AdviceSettled")), (1, 1));
    until("it is measured", || {
        third.get("/metrics").text.contains("presurge_advice_pieces{state=\"judged\"} 1")
    });
    let metrics = third.get("/metrics").text;
    let saved =
        "presurge_advice_saved_cost{fleet=\"web\",against=\"fixed-25\",currency=\"USD\"} 0.01";
    assert!(
        metrics.contains(saved) && metrics.contains("# TYPE presurge_advice_saved_cost gauge"),
        "{metrics}"
    );
    let observed = third.post("/v1/rollouts", &json!({ "rollout": "kernel" }));
    assert_eq!(observed.status, 409, "{observed:?}");
    let journal = third.get("/v1/journal/presurge%23advice").json();
    assert_eq!(journal["records"].as_array().unwrap().len(), 2, "{journal}");
}

/// Three real servers under a load of 12 of 30.
fn fleet(rest: &str) -> (Lab, String) {
    let lab = Lab::new(3, 20);
    let load = lab.write_history(12.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let file = lab.write("web.yaml", &configuration(&lab, "roll", "2", &load, rest));
    (lab, file.display().to_string())
}

#[test]
fn a_rollout_that_is_open_is_not_driven_by_who_asks_for_advice() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n  approval: { required: true }\n");
    let begun = lab.says(&["apply", "--yes", "--tick", "200ms", "--patience", "1s", &file]);
    assert_eq!(begun.0, Some(5), "{}", begun.1);
    let before = lab.records("roll#1");
    let (code, said) = lab.says(&["apply", "--mode", "advise", &file]);
    assert!(
        code == Some(0) && said.contains("roll#1 is under way, and nothing was advised"),
        "{said}"
    );
    assert_eq!(lab.records("roll#1").len(), before.len());
}

#[test]
fn what_a_rollout_came_to_is_drawn_over_what_was_planned() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet("  risk: 0.01\n");
    let done = lab.says(&["apply", "--yes", "--tick", "200ms", &file]);
    assert_eq!(done.0, Some(0), "{}", done.1);
    // Without the configuration the load is known at the batches.
    let (code, said) = lab.says(&["rollout", "show", "roll", "--plot"]);
    assert!(code == Some(0) && said.contains("web/requests"), "{said}");
    assert!(said.contains('●') && said.contains('━') && said.contains('░'), "{said}");
    assert!(
        !said.contains("⠤ load") && said.contains(" planned") && said.contains(" came"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "it needs no colour");
    let braille = |said: &str| said.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
    assert!(!braille(&said), "{said}");
    let (_, said) = lab.says(&["rollout", "show", "roll", "--config", &file, "--plot"]);
    assert!(braille(&said) && said.contains("⠤ load"), "{said}");
    let picture = lab.path("roll.svg").display().to_string();
    let words = ["rollout", "show", "roll", "-o", "json", "--config", &file, "--plot", &picture];
    let shown = lab.run(&words);
    serde_json::from_slice::<Value>(&shown.stdout).unwrap();
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("<polygon") && svg.contains("#BE3030"),
        "{svg}"
    );
    // One hollow bar and one filled for each of the three batches.
    assert!(svg.matches("<rect").count() >= 6, "{svg}");
    let wrong = lab.says(&["rollout", "show", "roll", "--plot", "roll.png"]);
    assert_eq!(wrong.0, Some(64), "{}", wrong.1);
    let wrong = lab.says(&["rollout", "show", "roll", "-o", "json", "--plot"]);
    assert_eq!(wrong.0, Some(64), "{}", wrong.1);
    // A configuration that tells no load is a warning.
    std::fs::remove_file(lab.path("load.csv")).unwrap();
    let (code, said) = lab.says(&["rollout", "show", "roll", "--config", &file, "--plot"]);
    assert!(code == Some(0) && said.contains("is drawn at the batches only"), "{said}");
}
