//! What a server carries, learned from the load and an objective.

use std::fmt::Write as _;

use serde_json::Value;

mod folder;

use folder::Folder;

const MINUTES: i64 = 10;
const DAYS: i64 = 14;
/// What a server carries where four fifths of it may be in use.
const FULL: f64 = 80.0;

fn at(minute: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_772_323_200 + 60 * minute).unwrap()
}

/// The moment of the plans: noon of the last day.
fn noon() -> i64 {
    DAYS * 1_440 - 720
}

fn fleet(capacity: &str, slo: &str) -> String {
    format!(
        "apiVersion: presurge/v1\nkind: Fleet\nmetadata: {{ name: web }}\nspec:
  servers: {{ static: {{ prefix: web, count: 6 }} }}
  capacity: {capacity}
{slo}  load: {{ requests: {{ csv: {{ path: load.csv }} }} }}
  durations: {{ drain: 1m, update: 5m, warmup: 2m }}
  surge: {{ offers: [{{ name: od, capacity: {{ requests: 80 }}, price: 0.2, lead: 3m, max: 9 }}] }}
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: {{ name: kernel }}\nspec:
  fleets: [web]
  target: {{ version: \"2\" }}
  risk: 0.02
  windows: [{{ start: \"13:00\", end: \"16:00\", timezone: UTC }}]
  deadline: 6h\n"
    )
}

const USED: &str =
    "  slo: { requests: { csv: { path: used.csv }, is: utilisation, most: 0.82 } }\n";

/// Two weeks of load, and how much of a server was in use: a tenth by itself, and what is
/// `slower(minute)` for each request.
fn desk(slower: impl Fn(i64) -> f64) -> Folder {
    let desk = Folder::new();
    let (mut load, mut used) = (String::from("ds,y\n"), String::from("ds,y\n"));
    for minute in (0..DAYS * 1_440).step_by(MINUTES as usize) {
        let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
        let unrest = ((minute / 10 * 7_919) % 31 - 15) as f64;
        let value = 320.0 - 130.0 * day + 0.3 * unrest;
        let share = 0.1 + 0.9 * slower(minute) * value / 6.0 / 100.0;
        writeln!(load, "{},{value}", at(minute)).unwrap();
        writeln!(used, "{},{}", at(minute), share + 0.0005 * unrest).unwrap();
    }
    desk.write("load.csv", &load);
    desk.write("used.csv", &used);
    desk.write("web.yaml", &fleet("{ requests: learn }", USED));
    desk
}

fn planned(desk: &Folder, more: &str) -> (Value, String) {
    let line = format!("plan web.yaml --now {} -o json --out p.json {more}", at(noon()));
    let (out, error) = desk.ends(0, &line);
    (serde_json::from_str(&out).unwrap(), error)
}

fn carries(plan: &Value) -> f64 {
    plan["inputs"]["capacity"]["web/requests"]["p50"].as_f64().unwrap()
}

fn surge(plan: &Value) -> u64 {
    plan["surge"].as_array().unwrap().iter().map(|order| order["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_plan_is_made_with_what_a_server_is_seen_to_carry_and_says_so() {
    let desk = desk(|_| 1.0);
    let (plan, _) = planned(&desk, "");
    let found = carries(&plan);
    assert!((0.95 * FULL..=FULL).contains(&found), "{found}");
    let line = format!("plan web.yaml --now {}", at(noon()));
    for (out, _) in [desk.ends(0, &line), desk.ends(0, "explain p.json")] {
        assert!(out.contains("of web/requests (at least "), "{out}");
        assert!(out.contains("% ), learned from ") || out.contains("%), learned from "), "{out}");
    }
    // What is planned with the number that was found is the same, or less for being sure of it.
    desk.write("web.yaml", &fleet(&format!("{{ requests: {found} }}"), ""));
    let (given, _) = planned(&desk, "");
    assert!(surge(&given) <= surge(&plan), "{given}\n{plan}");
    assert!(given["inputs"]["capacity"].is_null());
    // All dimensions at once, and the servers in service told by a file of their own.
    let counts: String = (0..DAYS * 144).map(|k| format!("{},3\n", at(10 * k))).collect();
    desk.write("serving.csv", &format!("ds,y\n{counts}"));
    let serving = USED.replace("most", "inService: { csv: { path: serving.csv } }, most");
    desk.write("web.yaml", &fleet("learn", &serving));
    let (half, _) = planned(&desk, "");
    assert!((carries(&half) / found / 2.0 - 1.0).abs() < 0.02, "{half}");
}

#[test]
fn servers_that_have_become_slower_are_planned_with_at_once() {
    let before = planned(&desk(|_| 1.0), "").0;
    let slower = |minute: i64| if minute >= noon() - 1_440 { 1.15 } else { 1.0 };
    let after = planned(&desk(slower), "").0;
    let ratio = carries(&after) / carries(&before);
    assert!((ratio * 1.15 - 1.0).abs() < 0.03, "{ratio}");
    assert!(surge(&after) > surge(&before), "{after}\n{before}");
    let faster = |minute: i64| if minute >= noon() - 1_380 { 0.8 } else { 1.0 };
    let after = planned(&desk(faster), "").0;
    assert!((carries(&after) / carries(&before) - 1.0).abs() < 0.01, "an increase waits for a day");
}

#[test]
fn what_cannot_be_learned_says_what_is_missing() {
    let desk = desk(|_| 1.0);
    let refused = |text: &str| {
        let (_, error) = desk.ends(65, &format!("plan web.yaml --now {}", at(noon())));
        assert!(error.contains(text), "{error}");
        assert!(error.contains("give spec.capacity as a number"), "{error}");
    };
    let used = std::fs::read_to_string(desk.path().join("used.csv")).unwrap();
    let few: Vec<&str> = used.lines().take(12).collect();
    desk.write("used.csv", &(few.join("\n") + "\n"));
    refused("load and objective were seen together at 11 times");
    let percent = |line: &str| {
        let (at, value) = line.split_once(',').unwrap();
        let value = value.parse::<f64>().map_or_else(|_| value.into(), |v| (100.0 * v).to_string());
        format!("{at},{value}\n")
    };
    desk.write("used.csv", &used.lines().map(percent).collect::<String>());
    refused("the objective was never kept");
    // What does not follow the load says nothing beyond what was carried.
    let flat = |(k, line): (usize, &str)| match line.split_once(',').unwrap() {
        (at, "y") => format!("{at},y\n"),
        (at, _) => format!("{at},{}\n", 0.3 + 0.001 * ((k * 7_919) % 31) as f64),
    };
    desk.write("used.csv", &used.lines().enumerate().map(flat).collect::<String>());
    let (plan, error) = planned(&desk, "");
    assert!(error.contains("does not rise with load"), "{error}");
    let carried = plan["inputs"]["capacity"]["web/requests"]["carried"].as_f64().unwrap();
    assert_eq!((carries(&plan), carried < 76.0), (carried, true));
    let line = format!(
        "replay web.yaml --from {} --to {} --every 6h",
        at(noon() - 2_880),
        at(noon() - 1_440)
    );
    let (_, error) = desk.ends(65, &line);
    assert!(error.contains("give spec.capacity.requests as a number"), "{error}");
}

#[test]
fn a_person_can_fix_it() {
    let desk = desk(|_| 1.0);
    let pin = "models pin web capacity:requests 60 --reason test --store s.db";
    desk.ends(0, pin);
    let (plan, error) = planned(&desk, "--store s.db");
    assert!(plan["inputs"]["capacity"].is_null(), "{plan}");
    let figure = &plan["inputs"]["learned"]["web"]["capacity:requests"];
    assert_eq!(figure["p50"], 60.0, "{plan} {error}");
    assert!(surge(&plan) > surge(&planned(&desk, "").0));
    let (_, error) = desk.ends(64, &pin.replace("60", "5m"));
    assert!(error.contains("capacity:requests cannot be 5m"), "{error}");
}
