//! `presurge explain` and plans over several fleets, as their users meet them. What explain says
//! as JSON is computed again here, by means of the JSON alone.

mod folder;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use folder::Folder;
use serde_json::Value;

const EU: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: eu }
spec:
  servers: { static: { prefix: web, count: 10 } }
  capacity: { requests: 100, cpu: 8 }
  load:
    requests: { csv: { path: load.csv, series: web }, unit: req/s }
    cpu: { csv: { path: load.csv, series: cpu } }
  durations: { drain: 1m, update: { p50: 4m, p95: 6m }, warmup: 2m }
  surge:
    offers:
      - { name: od, capacity: { requests: 100, cpu: 8 }, price: 0.2, lead: 3m, max: 10,
          billing: { minimum: 1h, granularity: 60s } }
      - { name: spot, market: spot, capacity: { requests: 100, cpu: 8 }, price: 0.17, lead: 3m,
          max: 10, interruption: 0.1 }
---
"#;

const US: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: us }
spec:
  servers: { static: { prefix: web, count: 8 } }
  capacity: { requests: 120 }
  load:
    requests: { csv: { path: load.csv, series: web } }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge:
    offers:
      - { name: od, capacity: { requests: 120 }, price: 0.3, lead: 3m, max: 10 }
---
"#;

const ROLLOUT: &str = r#"apiVersion: presurge/v1
kind: Rollout
metadata: { name: kernel }
spec:
  fleets: [eu]
  target: { version: "2" }
  risk: 0.05
  deadline: 50m
"#;

const NOW: &str = "--now 2026-03-21T20:00:00Z";

struct Desk(Folder);

impl std::ops::Deref for Desk {
    type Target = Folder;
    fn deref(&self) -> &Folder {
        &self.0
    }
}

impl Desk {
    fn new() -> Self {
        let desk = Self(Folder::new());
        desk.load(1.0);
        desk.write("one.yaml", &format!("{EU}{ROLLOUT}"));
        desk.write("two.yaml", &format!("{EU}{US}{}", ROLLOUT.replace("[eu]", "[eu, us]")));
        desk
    }

    /// Three weeks of hourly load.
    fn load(&self, scale: f64) {
        let mut load = String::from("unique_id,ds,y\n");
        for (series, unit) in [("web", 1.0), ("cpu", 0.075)] {
            for hour in 0..21 * 24 {
                let (day, at) = (1 + hour / 24, hour % 24);
                let wave = (f64::from(at) / 24.0 * std::f64::consts::TAU).sin();
                let noise = f64::from((hour * 7919) % 61 - 30);
                let y = unit * scale * (530.0 - 280.0 * wave + noise);
                writeln!(load, "{series},2026-03-{day:02}T{at:02}:00:00Z,{y}").unwrap();
            }
        }
        self.write("load.csv", &load);
    }

    fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.ends(0, args).0).unwrap()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs()), "{a} is not {b}");
}

/// The probability of at most `hits` in `trials` at probability `p`, added up term by term.
fn at_most(hits: u64, trials: u64, p: f64) -> f64 {
    let mut term = (trials as f64 * (-p).ln_1p()).exp();
    let mut sum = term;
    for k in 1..=hits {
        term *= (trials - k + 1) as f64 / k as f64 * p / (1.0 - p);
        sum += term;
    }
    sum
}

/// Computes capacity, cost and risk of one fleet again, and compares with the plan.
fn recompute(fleet: &Value, plan: &Value) {
    let name = &fleet["fleet"];
    let own = |key: &str| -> Vec<&Value> {
        list(&plan[key]).iter().filter(|entry| entry["fleet"] == *name).collect()
    };
    let (timeline, ledger) = (own("timeline"), list(&fleet["ledger"]));
    assert_eq!(timeline.len(), ledger.len());
    let mut out_once = false;
    for (entry, moment) in timeline.iter().zip(ledger) {
        assert_eq!((&entry["from"], &entry["to"]), (&moment["from"], &moment["to"]));
        for (dimension, explained) in moment["dimensions"].as_object().unwrap() {
            let lines = list(&explained["lines"]);
            let sum: f64 = lines.iter().map(|line| number(&line["capacity"])).sum();
            near(sum, number(&entry["capacity"][dimension]));
            near(sum - number(&entry["load"][dimension]["upper"]), number(&explained["headroom"]));
            out_once |= lines.iter().any(|line| line["what"] == "batch");
        }
    }
    assert!(out_once, "no line of a batch");
    let terms: BTreeMap<&str, &Value> = list(&fleet["offers"])
        .iter()
        .map(|offer| (offer["terms"]["offer"].as_str().unwrap(), &offer["terms"]))
        .collect();
    let mut cost = 0.0;
    for order in own("surge") {
        let at = |key: &str| order[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let runs = (at("endAt").as_second() - at("orderAt").as_second()) as f64;
        let terms = terms[order["offer"].as_str().unwrap()];
        let unit = number(&terms["billingGranularitySeconds"]);
        let least = number(&terms["billingMinimumSeconds"]);
        let billed = (runs.max(least) / unit).ceil() * unit;
        near(billed, number(&terms["billedSeconds"]));
        cost += number(&order["count"]) * number(&order["pricePerHour"]) * billed / 3600.0;
    }
    near(cost, number(&fleet["cost"]["surge"]));
    let risk = &fleet["risk"];
    let (hits, paths) = (risk["hits"].as_u64().unwrap(), risk["paths"].as_u64().unwrap());
    near(hits as f64 / paths as f64, number(&risk["planned"]));
    // Clopper and Pearson: so few hits have 5 % at the bound.
    assert!((at_most(hits, paths, number(&risk["upper95"])) - 0.05).abs() < 1e-6);
    near(1.0 / (number(&risk["comparableWindows"]) + 1.0), number(&risk["resolution"]));
    let below = number(&risk["target"]) < number(&risk["resolution"]);
    assert_eq!(risk["extrapolated"], Value::Bool(below));
    let spent: f64 = own("batches").iter().map(|batch| number(&batch["risk"])).sum();
    near(spent, number(&risk["spent"]));
    assert!(spent <= number(&risk["target"]) + 1e-12);
    let binding = &fleet["binding"];
    near(number(&binding["load"]) - number(&binding["inService"]), number(&binding["short"]));
    // What is bought covers what is short.
    let bought: f64 = own("surge")
        .iter()
        .map(|order| {
            let terms = terms[order["offer"].as_str().unwrap()];
            let each = &terms["capacity"][binding["dimension"].as_str().unwrap()];
            number(&order["count"]) * number(each)
        })
        .sum();
    assert!(bought >= number(&binding["short"]) - 1e-6, "{bought} for {binding}");
}

#[test]
fn recomputing_from_the_json_alone_gives_the_same_numbers() {
    let desk = Desk::new();
    for (config, fleets) in [("one.yaml", 1), ("two.yaml", 2)] {
        let plan = desk.json(&format!("plan {config} {NOW} -o json --out plan.json"));
        let surge = list(&plan["surge"]);
        assert!(!surge.is_empty(), "there is surge to be explained");
        let answer = desk.json("explain plan.json -o json");
        assert!(answer["recomputed"].is_null());
        let explained = &answer["explanation"];
        assert_eq!(explained["digest"], plan["digest"]);
        assert_eq!(list(&explained["differences"]), [] as [Value; 0]);
        assert_eq!(list(&explained["fleets"]).len(), fleets);
        for fleet in list(&explained["fleets"]) {
            recompute(fleet, &plan);
        }
        let again = desk.json(&format!("explain plan.json --config {config} -o json"));
        assert_eq!(again["recomputed"]["same"], true, "{:#}", again["recomputed"]);
        assert_eq!(again["explanation"], *explained);
    }
}

#[test]
fn an_explanation_is_a_page_for_people() {
    let desk = Desk::new();
    desk.ends(0, &format!("plan one.yaml {NOW} --out plan.json"));
    let (out, _) = desk.ends(0, "explain plan.json --config one.yaml");
    for part in [
        "What binds",
        "too few",
        "Capacity, line by line",
        "(10 servers) − ",
        "(batch 1 out)",
        "taken: ",
        " per hour × ",
        " fresh courses",
        "Clopper and Pearson",
        "comparable windows + 1)",
        "account: the batches spend ",
        "Looked at and not taken",
        "the same plan, to the last digit",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    let (out, _) = desk.ends(0, "explain plan.json -o yaml");
    assert!(out.contains("\"explanation\":"), "{out}");
}

#[test]
fn load_that_has_changed_is_named_and_the_differences_are_listed() {
    let desk = Desk::new();
    desk.ends(0, &format!("plan one.yaml {NOW} --out plan.json"));
    desk.load(0.9);
    let answer = desk.json("explain plan.json --config one.yaml -o json");
    let recomputed = &answer["recomputed"];
    assert_eq!(recomputed["same"], false);
    assert_eq!(list(&recomputed["otherLoads"]), ["eu/cpu", "eu/requests"]);
    assert!(!list(&recomputed["differences"]).is_empty());
    let (out, _) = desk.ends(0, "explain plan.json --config one.yaml");
    assert!(out.contains("the history of eu/requests is not the one"), "{out}");
    // Where nothing fits any more, that is said.
    desk.load(1.9);
    let (out, _) = desk.ends(0, "explain plan.json --config one.yaml");
    assert!(out.contains("not the same plan"), "{out}");
}

#[test]
fn what_is_no_plan_is_told_apart() {
    let desk = Desk::new();
    desk.ends(0, &format!("plan one.yaml {NOW} --out plan.json"));
    let plan = fs::read_to_string(desk.path().join("plan.json")).unwrap();
    let says = |text: &str, said: &str| {
        desk.write("bad.json", text);
        let (out, error) = desk.ends(65, "explain bad.json");
        assert!(out.is_empty() && error.contains(said), "{said:?} is not in {error}");
    };
    says("", "this is no JSON");
    says("apiVersion: presurge/v1", "this is no JSON");
    says("[]", "this is no plan: it has no kind");
    says(r#"{"kind": "Fleet"}"#, "it has kind Fleet");
    says(r#"{"refused": {"binding": "risk"}}"#, "this is a refusal");
    says(&plan.replace("presurge/v1", "presurge/v9"), "of version \"presurge/v9\"");
    says(r#"{"kind": "Plan", "apiVersion": "presurge/v1"}"#, "missing field");
    says(&plan.replace("\"count\": ", "\"count\": 1"), "was changed after it was made");
    desk.ends(65, "explain nothing.json");
    desk.ends(64, "explain");
    desk.ends(64, "explain plan.json --load eu/requests=load.csv");
    // A configuration that it was not made from.
    desk.write("one.yaml", &format!("{EU}{}", ROLLOUT.replace("0.05", "0.04")));
    let (_, error) = desk.ends(65, "explain plan.json --config one.yaml");
    assert!(error.contains("is not the one that the plan was made from"), "{error}");
    desk.write("one.yaml", &format!("{EU}{}", ROLLOUT.replace("name: kernel", "name: libc")));
    desk.ends(65, "explain plan.json --config one.yaml");
}

/// A plan as a former release made it: without a basis, and without the account of its batches.
#[test]
fn a_plan_of_a_former_release_is_explained_as_far_as_it_goes() {
    let desk = Desk::new();
    desk.ends(0, &format!("plan one.yaml {NOW} --out plan.json"));
    let text = fs::read(desk.path().join("plan.json")).unwrap();
    let mut plan: domain::plan::Plan = serde_json::from_slice(&text).unwrap();
    plan.basis.clear();
    plan.batches.iter_mut().for_each(|batch| batch.risk = None);
    let text = serde_json::to_string(&plan.sealed()).unwrap();
    assert!(!text.contains("basis"));
    desk.write("former.json", &text);
    let (out, _) = desk.ends(0, "explain former.json");
    assert!(out.contains("--config computes it again"), "{out}");
    let (out, _) = desk.ends(0, "explain former.json --config one.yaml");
    assert!(out.contains("/basis: null is stated"), "{out}");
}

#[test]
fn several_fleets_are_planned_as_one() {
    let desk = Desk::new();
    let (_, said) = desk.ends(0, "validate two.yaml");
    assert!(said.contains("ok: rollout kernel: fleets eu, us to 2"), "{said}");
    let plan = desk.json(&format!("plan two.yaml {NOW} -o json"));
    let shares: Vec<f64> =
        list(&plan["fleets"]).iter().map(|f| number(&f["risk"]["target"])).collect();
    let joint = 1.0 - shares.iter().map(|share| 1.0 - share).product::<f64>();
    assert!(joint <= 0.05 && joint > 0.0499, "{shares:?}");
    for key in ["batches", "timeline", "surge"] {
        for entry in list(&plan[key]) {
            assert!(["eu", "us"].contains(&entry["fleet"].as_str().unwrap()), "{entry}");
        }
    }
    let servers = |fleet: &str| -> usize {
        let own = list(&plan["batches"]).iter().filter(|batch| batch["fleet"] == fleet);
        own.map(|batch| list(&batch["servers"]).len()).sum()
    };
    assert_eq!((servers("eu"), servers("us")), (10, 8));
    let loads: Vec<&String> = plan["inputs"]["load"].as_object().unwrap().keys().collect();
    assert_eq!(loads, ["eu/cpu", "eu/requests", "us/requests"]);
    // The same question has the same answer; the page names both, the picture draws both.
    assert_eq!(desk.json(&format!("plan two.yaml {NOW} -o json")), plan);
    let (page, _) = desk.ends(0, &format!("plan two.yaml {NOW} --plot p.html"));
    assert!(page.contains("over 2 fleets: eu, us") && page.contains("fleet us to 2"), "{page}");
    let html = fs::read_to_string(desk.path().join("p.html")).unwrap();
    assert_eq!(html.matches("<svg").count(), 4 + 3);
    // Load is replaced for one of them; another is refused by its name.
    let both = fs::read_to_string(desk.path().join("load.csv")).unwrap();
    let web: Vec<&str> = both.lines().filter(|line| !line.starts_with("cpu")).collect();
    desk.write("other.csv", &web.join("\n"));
    desk.ends(0, &format!("plan two.yaml {NOW} --load us/requests=other.csv"));
    let (_, error) = desk.ends(65, &format!("plan two.yaml {NOW} --load us/cpu=other.csv"));
    assert!(error.contains("there is eu/cpu, eu/requests, us/requests"), "{error}");
}

#[test]
fn several_fleets_that_cannot_be_planned_are_refused_by_name() {
    let desk = Desk::new();
    let changed = |from: &str, to: &str| {
        let text = format!("{EU}{US}{}", ROLLOUT.replace("[eu]", "[eu, us]"));
        assert!(text.contains(from), "{from}");
        desk.write("two.yaml", &text.replace(from, to));
    };
    changed("deadline: 50m", "deadline: 10m");
    let (out, _) = desk.ends(3, &format!("plan two.yaml {NOW} -o json"));
    let refused: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(refused["refused"]["binding"], "deadline");
    assert!(refused["refused"]["detail"].as_str().unwrap().starts_with("fleet eu: "), "{out}");
    changed("deadline: 50m", "deadline: 50m\n  budget: { amount: 0.01 }");
    let (out, _) = desk.ends(3, &format!("plan two.yaml {NOW} -o json"));
    assert!(out.contains("eu, us cost "), "{out}");
    for (from, to, said) in [
        ("[eu, us]", "[eu, su]", "spec.fleets[1]: no document describes a fleet \"su\""),
        ("[eu, us]", "[eu, us, eu]", "spec.fleets[2]: names the fleet \"eu\" twice"),
        ("max: 10 }\n---", "max: 10 }\n  currency: EUR\n---", "use one currency"),
        ("risk: 0.05", "risk: 0.05\n  margin: { memory: 10% }", "has no dimension memory"),
        ("risk: 0.05", "risk: 0.05\n  survive: { servers: 9 }", "for us: is 9, but the fleet"),
        (
            "risk: 0.05",
            "risk: 0.05\n  schedule: { batches: [[web-1]] }",
            "given batches of several fleets is not supported yet",
        ),
    ] {
        changed(from, to);
        let (_, error) = desk.ends(65, "validate two.yaml");
        assert!(error.contains(said), "{said:?} is not in {error}");
    }
    changed(
        "{ csv: { path: load.csv, series: web } }\n  durations",
        "{ csv: { path: load.csv, series: no } }\n  durations",
    );
    let (_, error) = desk.ends(65, &format!("plan two.yaml {NOW}"));
    assert!(error.contains("fleet us") && error.contains("has no series"), "{error}");
    changed("risk: 0.05", "risk: 0.05\n  margin: { cpu: 10% }");
    desk.ends(0, "validate two.yaml");
}
