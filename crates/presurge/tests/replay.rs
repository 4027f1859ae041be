//! Replay as its users meet it, on made-up load of which the outcome can be counted by hand.

mod folder;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use folder::Folder;
use serde_json::Value;

/// Ten servers that carry 100 each; a batch takes eight minutes.
const CONFIG: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: web }
spec:
  servers: { static: { prefix: web, count: 10 } }
  capacity: { requests: 100 }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge:
    offers:
      - { name: od, capacity: { requests: 100 }, price: 0.2, lead: 3m, max: 20 }
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: kernel }
spec:
  fleets: [web]
  target: { version: "2" }
  risk: 0.05
  deadline: 2h
"#;

struct Desk(Folder);

impl std::ops::Deref for Desk {
    type Target = Folder;
    fn deref(&self) -> &Folder {
        &self.0
    }
}

/// The load of a five-minute sample of a day.
type Load = fn(day: u32, minute: u32) -> f64;

impl Desk {
    fn new(days: u32, load: Load) -> Self {
        let desk = Self(Folder::new());
        desk.write("web.yaml", CONFIG);
        desk.load(days, load);
        desk
    }

    fn load(&self, days: u32, load: Load) {
        let mut text = String::from("ds,y\n");
        for (day, minute) in (0..days).flat_map(|d| (0..1440).step_by(5).map(move |m| (d, m))) {
            let (hour, minutes, value) = (minute / 60, minute % 60, load(day, minute));
            writeln!(text, "2026-03-{:02}T{hour:02}:{minutes:02}:00Z,{value}", day + 1).unwrap();
        }
        self.write("load.csv", &text);
    }

    fn changed(&self, changes: &[(&str, &str)]) {
        let changed = changes.iter().fold(CONFIG.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from:?}");
            text.replace(from, to)
        });
        self.write("web.yaml", &changed);
    }

    #[track_caller]
    fn replay(&self, args: &str) -> Value {
        let (out, _) = self.ends(0, &format!("replay web.yaml -o json {args}"));
        serde_json::from_str(&out).unwrap()
    }
}

/// A plateau at 950 from 12:00 to 13:00, and half an hour from 14:00 on that no fleet of this
/// size carries.
fn plateaus(_: u32, minute: u32) -> f64 {
    match minute {
        720..780 => 950.0,
        840..870 => 1050.0,
        _ => 500.0,
    }
}

/// A wave that peaks at noon near the fleet's capacity, with some unrest.
fn wave(day: u32, minute: u32) -> f64 {
    let at = f64::from(minute) / 1440.0 * std::f64::consts::TAU;
    let unrest = f64::from((day * 1440 + minute) / 5 * 7919 % 31) - 15.0;
    600.0 - 330.0 * at.cos() + unrest
}

fn of<'a>(document: &'a Value, strategy: &str) -> &'a Value {
    let all = document["strategies"].as_array().unwrap();
    all.iter().find(|s| s["strategy"] == strategy).unwrap_or_else(|| panic!("no {strategy}"))
}

fn rollouts<'a>(document: &'a Value, strategy: &str) -> Vec<&'a Value> {
    let all = document["rollouts"].as_array().unwrap();
    all.iter().filter(|row| row["strategy"] == strategy).collect()
}

#[track_caller]
fn near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((value - expected).abs() < 1e-6, "{value} instead of {expected}");
}

const PLATEAU: &str = "--from 2026-03-04T12:10:00Z --to 2026-03-06T12:10:00Z --every 24h --strategies presurge,none,\
     fixed-0,fixed-25,night-0,hourly-10,clairvoyant";

#[test]
fn minutes_and_money_are_those_that_are_counted_by_hand() {
    let desk = Desk::new(7, plateaus);
    let document = desk.replay(PLATEAU);
    // Batches of 3, 3, 3 and 1. With three servers out 700 are left, and at the beginning of the
    // last minute of their warm-up 850: all 8 minutes lack capacity. With one out it is 900, and
    // 950 in the last minute: 7 minutes do. 31 in all, on each of three days.
    let fixed = of(&document, "fixed-0");
    near(&fixed["attributableMinutes"], 93.0);
    assert_eq!((&fixed["breached"], &fixed["rollouts"]), (&3.into(), &3.into()));
    near(&fixed["meanDurationMinutes"], 32.0);
    near(&fixed["cost"], 0.0);
    // Three instances carry what three servers do. They are ordered at once, are warm after 5
    // minutes, stay for 32 of the batches and 10 of the watch, and drain for one: 48 minutes.
    let surge = of(&document, "fixed-25");
    near(&surge["attributableMinutes"], 0.0);
    near(&surge["instanceHours"], 3.0 * 3.0 * 48.0 / 60.0);
    near(&surge["cost"], 3.0 * 3.0 * 48.0 / 60.0 * 0.2);
    // Between 12:10 and the deadline at 14:10 the line through the middles of the samples passes
    // 1000 in the minutes from 14:02 on.
    let none = of(&document, "none");
    near(&none["baselineMinutes"], 3.0 * 8.0);
    near(&none["attributableMinutes"], 0.0);
    // The next night comes after the deadline.
    assert_eq!(of(&document, "night-0")["late"], 3);
    near(&of(&document, "night-0")["attributableMinutes"], 0.0);
    // Yesterday's noon with 10 % is beyond the fleet, so that a whole batch is replaced.
    assert_eq!(rollouts(&document, "hourly-10")[0]["instances"], 3);
    // After 13:00 there is room: nobody who looks ahead buys anything.
    for strategy in ["presurge", "clairvoyant"] {
        let own = of(&document, strategy);
        near(&own["cost"], 0.0);
        assert_eq!((&own["refused"], &own["late"]), (&0.into(), &0.into()), "{strategy}");
        near(&own["attributableMinutes"], 0.0);
    }
    let started = rollouts(&document, "presurge")[0]["startAt"].as_str().unwrap();
    assert!(started >= "2026-03-04T12:5", "{started}");
}

#[test]
fn the_driver_carries_out_the_plan_to_the_minute_and_the_cent() {
    let desk = Desk::new(10, wave);
    desk.changed(&[("deadline: 2h", "deadline: 45m")]);
    let document = desk.replay(
        "--from 2026-03-08T11:40:00Z --to 2026-03-09T11:40:00Z --every 24h --strategies presurge",
    );
    for row in rollouts(&document, "presurge") {
        assert_eq!(row["outcome"], "done", "{row}");
        assert!(row["instances"].as_u64().unwrap() > 0, "nothing is bought: {row}");
        let (planned, paid) = (row["plannedCost"].as_f64().unwrap(), row["cost"].as_f64().unwrap());
        assert!((planned - paid).abs() < 0.005, "{row}");
        let (at, seed) = (row["instant"].as_str().unwrap(), &row["seed"]);
        let (out, _) = desk.ends(0, &format!("plan web.yaml --now {at} --seed {seed} -o json"));
        let plan: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(plan["digest"], row["plan"]);
        assert_eq!((&plan["startAt"], &plan["finishAt"]), (&row["startAt"], &row["finishAt"]));
    }
}

#[test]
fn what_comes_later_does_not_change_the_plan() {
    fn doubled(day: u32, minute: u32) -> f64 {
        let later = day > 7 || (day == 7 && minute >= 700);
        wave(day, minute) * if later { 2.0 } else { 1.0 }
    }
    let args = "--from 2026-03-08T11:40:00Z --to 2026-03-08T11:40:00Z --every 24h --strategies \
                presurge,fixed-0";
    let desk = Desk::new(10, wave);
    let before = desk.replay(args);
    desk.load(10, doubled);
    let after = desk.replay(args);
    let plan = |document: &Value| rollouts(document, "presurge")[0]["plan"].clone();
    assert!(plan(&before).is_string());
    assert_eq!(plan(&before), plan(&after));
    let baseline = |document: &Value| of(document, "fixed-0")["baselineMinutes"].clone();
    assert_ne!(baseline(&before), baseline(&after), "the test has lost its eyes");
}

#[test]
fn threads_change_nothing_and_seeds_do() {
    let desk = Desk::new(10, wave);
    desk.changed(&[
        ("update: 5m", "update: { p50: 5m, p95: 7m }"),
        ("max: 20 }", "max: 20, interruption: 0.3, market: spot }"),
    ]);
    let args = "--from 2026-03-08T08:00:00Z --to 2026-03-09T08:00:00Z --every 5h --strategies \
                presurge,fixed-25-any,reactive,clairvoyant";
    let one = desk.replay(&format!("{args} --jobs 1"));
    assert_eq!(one, desk.replay(&format!("{args} --jobs 2")));
    let other = desk.replay(&format!("{args} --seed 2"));
    assert_ne!(one["rollouts"], other["rollouts"]);
}

#[test]
fn a_full_surge_never_lacks_capacity_and_the_clairvoyant_never_pays_more() {
    let desk = Desk::new(10, wave);
    desk.changed(&[("deadline: 2h", "deadline: 75m")]);
    let document = desk.replay(
        "--from 2026-03-07T01:00:00Z --to 2026-03-10T20:00:00Z --every 5h --strategies \
         presurge,fixed-0,fixed-100,reactive,clairvoyant",
    );
    near(&of(&document, "fixed-100")["attributableMinutes"], 0.0);
    assert!(of(&document, "fixed-0")["attributableMinutes"].as_f64().unwrap() > 30.0);
    let own = rollouts(&document, "presurge");
    let best = rollouts(&document, "clairvoyant");
    let mut paid = 0;
    for (own, best) in own.iter().zip(&best) {
        assert_eq!(own["instant"], best["instant"]);
        near(&best["attributableMinutes"], 0.0);
        if own["outcome"] == "done" && own["attributableMinutes"] == 0.0 {
            let (own, best) = (own["cost"].as_f64().unwrap(), best["cost"].as_f64().unwrap());
            assert!(best <= own + 1e-9, "{best} is more than {own}");
            paid += u32::from(own > 0.0);
        }
    }
    assert!(paid > 0, "nobody bought anything: the test has lost its eyes");
    assert!(of(&document, "presurge")["meanRegret"].as_f64().unwrap() >= 0.0);
    // Target tracking costs something; its instances of before do not lengthen the rollout.
    assert!(of(&document, "reactive")["cost"].as_f64().unwrap() > 0.0);
    near(&of(&document, "reactive")["meanDurationMinutes"], 32.0);
}

#[test]
fn wrong_use_is_told_with_the_way_out() {
    let desk = Desk::new(5, plateaus);
    let day = "--from 2026-03-04T00:00:00Z --to 2026-03-04T00:00:00Z";
    for (code, args, told) in [
        (64, "--from 2026-03-05T00:00:00Z --to 2026-03-04T00:00:00Z --every 1h", "is after --to"),
        (64, &format!("{day} --every 0s"), "above zero"),
        (64, &format!("{day} --every 1h --strategies fixd-25"), "did you mean \"fixed-25\"?"),
        (64, &format!("{day} --every 1h --plot x.svg"), "end the name with .html"),
        (64, &format!("{day} --every 1h --jobs 0"), "1..=1024"),
        (64, &day.replace("--to", "--until"), "--until"),
        (
            65,
            "--from 2026-03-02T00:00:00Z --to 2026-03-04T00:00:00Z --every 1h",
            "give --from 2026-03-03T00:00:00Z or later",
        ),
        (
            65,
            "--from 2026-03-04T00:00:00Z --to 2026-03-05T23:00:00Z --every 1h",
            "give --to 2026-03-05T22:00:00Z or earlier",
        ),
        (
            65,
            "--from 2027-03-04T00:00:00Z --to 2027-03-05T00:00:00Z --every 1h",
            "no sample of requests",
        ),
        (65, &format!("{day} --every 1h --rollout other"), "\"other\""),
    ] {
        let (out, err) = desk.ends(code, &format!("replay web.yaml {args}"));
        assert!(err.contains(told) && out.is_empty(), "{args}: {err}");
    }
    desk.changed(&[("deadline: 2h", "deadline: \"2026-03-05T00:00:00Z\"")]);
    let (_, err) = desk.ends(65, &format!("replay web.yaml {day} --every 1h"));
    assert!(err.contains("spec.deadline") && err.contains("24h"), "{err}");
}

#[test]
fn an_interrupt_ends_it_at_once_and_nothing_is_written() {
    let desk = Desk::new(10, wave);
    let args = "replay web.yaml --from 2026-03-04T00:00:00Z --to 2026-03-09T00:00:00Z --every 1m \
                --plot report.html";
    let mut command = Command::new(env!("CARGO_BIN_EXE_presurge"));
    command.args(args.split_whitespace()).current_dir(desk.path());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("nothing was written") && output.stdout.is_empty(), "{told}");
    assert!(!desk.path().join("report.html").exists());
}

#[test]
fn the_table_the_csv_and_the_page_hold_every_strategy() {
    let desk = Desk::new(6, plateaus);
    let args = "--from 2026-03-04T12:10:00Z --to 2026-03-05T12:10:00Z --every 24h";
    let (out, _) = desk.ends(0, &format!("replay web.yaml {args} --plot report.html"));
    let (csv, _) = desk.ends(0, &format!("replay web.yaml {args} -o csv"));
    let page = fs::read_to_string(desk.path().join("report.html")).unwrap();
    for strategy in
        ["presurge", "none", "fixed-50", "fixed-25-any", "night-10", "reactive", "hourly-buffer"]
    {
        assert!(out.contains(strategy) && csv.contains(strategy) && page.contains(strategy));
    }
    assert!(csv.starts_with("strategy,rollouts,refused,late,breached"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + 19, "{csv}");
    assert_eq!(page.matches("<svg ").count(), 5);
    assert!(page.contains("does not check the adapters") && out.contains("does not check"));
    assert!(page.trim_end().ends_with("</html>"));
}

#[test]
fn the_regimes_run_on_any_trace_of_the_known_names() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(6, wave);
    let load = fs::read_to_string(desk.path().join("load.csv")).unwrap();
    fs::write(folder.path().join("azure_vm_cpu_5min.csv"), load).unwrap();
    let options = |folder: &Path| presurge::regimes::Options {
        folder: folder.to_path_buf(),
        instants: 2,
        traces: 1,
        seed: 1,
        rows: None,
    };
    let mut out = Vec::new();
    presurge::regimes::measure(&options(folder.path()), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    let counted = |regime: &str| {
        let line = lines.iter().find(|line| line.first() == Some(&regime));
        line.unwrap_or_else(|| panic!("no {regime}\n{text}"))[3].parse::<u32>().unwrap()
    };
    for regime in ["urgent", "tight", "day"] {
        assert_eq!(counted(regime), 2, "{text}");
    }
    assert_eq!(counted("pooled"), 6, "{text}");
    let empty = tempfile::tempdir().unwrap();
    let error = presurge::regimes::measure(&options(empty.path()), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("there is none of"), "{error}");
}
