//! Events and outside series in the configuration of a fleet.

use std::fmt::Write as _;

use serde_json::Value;

mod folder;
mod lab;

use folder::Folder;
use lab::{Lab, configuration, has, now, rfc3339};

const MINUTES: i64 = 10;
const DAYS: i64 = 24;

/// So many minutes after the load begins.
fn at(minute: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_772_323_200 + 60 * minute).unwrap()
}

/// The moment of the plan: noon of the last day.
fn noon() -> i64 {
    DAYS * 1_440 - 720
}

/// Sales of two hours at odd times; the last one begins half an hour after the plan is made.
fn sales() -> Vec<i64> {
    (0..18).map(|k| 700 + 1_790 * k + (k * k * 170) % 600).chain([noon() + 30]).collect()
}

fn is_on_sale(minute: i64) -> bool {
    sales().iter().any(|start| (*start..start + 120).contains(&minute))
}

fn visits(minute: i64) -> f64 {
    ((minute * minute / 100) as f64 * 0.618).sin()
}

fn calendar(category: &str) -> String {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
    for start in sales() {
        let start = at(start).strftime("%Y%m%dT%H%M%SZ");
        write!(
            text,
            "BEGIN:VEVENT\r\nSUMMARY:{category}\r\nDTSTART:{start}\r\nDURATION:PT2H\r\nEND:VEVENT\r\n"
        )
        .unwrap();
    }
    text + "END:VCALENDAR\r\n"
}

/// A fleet of six with these signals, which carries 100 each.
fn fleet(signals: &str) -> String {
    format!(
        "apiVersion: presurge/v1\nkind: Fleet\nmetadata: {{ name: web }}\nspec:
  servers: {{ static: {{ prefix: web, count: 6 }} }}
  capacity: {{ requests: 100 }}
  load: {{ requests: {{ csv: {{ path: load.csv }} }} }}
  signals: {signals}
  durations: {{ drain: 1m, update: 5m, warmup: 2m }}
  surge: {{ offers: [{{ name: od, capacity: {{ requests: 100 }}, price: 0.2, lead: 3m, max: 9 }}] }}
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: {{ name: kernel }}\nspec:
  fleets: [web]
  target: {{ version: \"2\" }}
  risk: 0.02
  windows: [{{ start: \"12:40\", end: \"14:20\", timezone: UTC }}]
  deadline: 3h\n"
    )
}

/// The load, a calendar of sales, and a file of outside series, in a folder above that of the fleet.
fn desk() -> Folder {
    let desk = Folder::new();
    let (mut load, mut series) = (String::from("ds,y\n"), String::from("ds,price,visits\n"));
    for minute in (0..DAYS * 1_440).step_by(MINUTES as usize) {
        let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
        let unrest = ((minute / 10 * 7_919) % 31 - 15) as f64;
        let sale = if is_on_sale(minute) { 230.0 } else { 0.0 };
        writeln!(load, "{},{}", at(minute), 300.0 + 20.0 * day + 0.4 * unrest + sale).unwrap();
        let price = i32::from(is_on_sale(minute));
        writeln!(series, "{},{price},{}", at(minute), visits(minute)).unwrap();
    }
    for minute in (DAYS * 1_440..(DAYS + 2) * 1_440).step_by(MINUTES as usize) {
        writeln!(series, "{},0,{}", at(minute), visits(minute)).unwrap();
    }
    desk.write("load.csv", &load);
    desk.write("series.csv", &series);
    desk.write("sales.ics", &calendar("sale"));
    desk
}

fn plan(desk: &Folder, signals: &str) -> (Value, String) {
    desk.write("web.yaml", &fleet(signals));
    let (out, error) = desk.ends(0, &format!("plan web.yaml --now {} -o json", at(noon())));
    (serde_json::from_str(&out).unwrap(), error)
}

fn surge(plan: &Value) -> u64 {
    plan["surge"].as_array().unwrap().iter().map(|order| order["count"].as_u64().unwrap()).sum()
}

#[test]
fn an_announced_sale_buys_surge_for_its_window() {
    let desk = desk();
    // That a sale falls into the window is less likely than one in five, unless it is announced.
    let plan = |signals: &str| {
        desk.write("web.yaml", &fleet(signals).replacen("risk: 0.02", "risk: 0.2", 1));
        let line = format!("plan web.yaml --now {} -o json --out p.json", at(noon()));
        serde_json::from_str::<Value>(&desk.ends(0, &line).0).unwrap()
    };
    let (without, with) = (plan("[]"), plan("[ { ical: { path: sales.ics } } ]"));
    assert!(surge(&with) > surge(&without), "{with}\n{without}");
    assert!(without["inputs"]["signals"].is_null(), "{without}");
    let told = &with["inputs"]["signals"]["web/requests"][0];
    assert_eq!((&told["name"], &told["kind"]), (&"sale".into(), &"event".into()));
    assert!(told["weight"].as_f64().unwrap() > 0.9, "{told}");
    assert!(told["lossWith"].as_f64() < told["lossWithout"].as_f64(), "{told}");
    // The plan and its explanation say so to people.
    let line = format!("plan web.yaml --now {}", at(noon()));
    for (out, _) in [desk.ends(0, &line), desk.ends(0, "explain p.json")] {
        assert!(out.contains("signal sale (event) of web/requests saves "), "{out}");
    }
}

#[test]
fn the_same_files_serve_the_command_line() {
    let desk = desk();
    let (with, _) = plan(&desk, "[ { ical: { path: sales.ics } } ]");
    let told = &with["inputs"]["signals"]["web/requests"][0];
    // The load up to the plan, as the command line reads it.
    let load = std::fs::read_to_string(desk.path().join("load.csv")).unwrap();
    let known: Vec<&str> = load.lines().take(1 + (noon() / MINUTES) as usize).collect();
    desk.write("known.csv", &(known.join("\n") + "\n"));
    let (out, _) = desk.ends(0, "forecast known.csv --horizon 18 --events sales.ics -o json");
    let all: Value = serde_json::from_str(&out).unwrap();
    let effect = all["signals"][0]["effect"].as_f64().unwrap();
    let planned = told["effect"].as_f64().unwrap();
    assert!((effect - planned).abs() < 0.1 * planned.abs(), "{effect} is not {planned}");
}

#[test]
fn what_cannot_be_used_names_its_file_and_line() {
    let desk = desk();
    let refused = |signals: &str, what: &[&str]| {
        desk.write("web.yaml", &fleet(signals));
        desk.ends(0, "validate web.yaml");
        let (_, error) = desk.ends(65, &format!("plan web.yaml --now {}", at(noon())));
        assert!(what.iter().all(|what| error.contains(what)), "{error}");
    };
    desk.write("broken.ics", &calendar("sale").replacen("PT2H", "two hours", 2));
    refused(
        "[ { ical: { path: broken.ics } } ]",
        &["broken.ics", "line 6: DURATION: is no length"],
    );
    refused("[ { ical: { path: gone.ics } } ]", &["gone.ics", "No such file"]);
    desk.write("broken.csv", "ds,x\n2026-05-04,1\n2026-05-04,2\n");
    refused(
        "[ { csv: { path: broken.csv } } ]",
        &["signals[0]", "broken.csv:3: ", "does not come"],
    );
    refused("[ { csv: { path: gone.csv } } ]", &["signals[0]", "gone.csv: cannot be read"]);
    let slip = "[ { ical: { path: sales.ics } }, { csv: { path: series.csv, known: [prise] } } ]";
    refused(slip, &["signals[1]", "did you mean \"price\"?"]);
    // `doctor` looks at each, and says which does not answer.
    desk.write(
        "web.yaml",
        &fleet("[ { ical: { path: gone.ics } }, { holidays: { countries: [DE] } } ]"),
    );
    let (out, _) = desk.ends(1, "doctor web.yaml");
    let row = |what: &str| out.lines().find(|line| line.contains(what)).expect(&out).to_owned();
    assert!(row("signal 0 by ical").contains("FAILED"), "{out}");
    assert!(row("signal 1 by holidays").contains("holidays DE: "), "{out}");
}

#[test]
fn no_plan_reads_what_was_not_known_at_its_moment() {
    let desk = desk();
    let signals = "[ { csv: { path: series.csv, known: [price] } } ]";
    let (then, _) = plan(&desk, signals);
    let told = then["inputs"]["signals"]["web/requests"].as_array().unwrap();
    let kind = |name: &str| {
        let one = told.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{then}"));
        (one["kind"].as_str().unwrap().to_owned(), one["weight"].as_f64().unwrap())
    };
    assert_eq!(kind("visits").0, "past-only");
    assert!(kind("price").0 == "known-ahead" && kind("price").1 > 0.9, "{then}");
    // Measurements from the moment of the plan on, changed beyond recognition.
    let text = std::fs::read_to_string(desk.path().join("series.csv")).unwrap();
    let (head, tail): (Vec<&str>, Vec<&str>) = text
        .lines()
        .partition(|line| *line < at(noon()).to_string().as_str() || line.starts_with("ds"));
    let change = |column: usize, value: &str| {
        let rows = tail.iter().map(|line| {
            let mut fields: Vec<&str> = line.split(',').collect();
            fields[column] = value;
            fields.join(",")
        });
        let rows: Vec<String> = rows.collect();
        desk.write("series.csv", &format!("{}\n{}\n", head.join("\n"), rows.join("\n")));
    };
    change(2, "1e9");
    assert_eq!(plan(&desk, signals).0, then, "a measurement of later was read");
    // What is known ahead is another matter.
    change(1, "1");
    let (now, _) = plan(&desk, signals);
    assert_ne!(now["digest"], then["digest"], "what is known ahead was not read");
}

#[test]
fn a_series_that_ends_early_is_left_out_and_said_so() {
    let desk = desk();
    let text = std::fs::read_to_string(desk.path().join("series.csv")).unwrap();
    let rows = 1 + (noon() - 180) / MINUTES;
    let early: Vec<&str> = text.lines().take(rows as usize).collect();
    desk.write("series.csv", &(early.join("\n") + "\n"));
    let (with, error) = plan(&desk, "[ { csv: { path: series.csv, known: [price] } } ]");
    let (without, _) = plan(&desk, "[]");
    let told = with["inputs"]["signals"]["web/requests"].as_array().unwrap();
    let why = |name: &str| {
        let one = told.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{with}"));
        one["unused"].as_str().unwrap_or_else(|| panic!("{one}")).to_owned()
    };
    assert!(why("price").contains("it is known until"), "{with}");
    assert!(why("visits").contains("its newest value is that of"), "{with}");
    assert!(error.contains("without the signal visits"), "{error}");
    assert_eq!(with["batches"], without["batches"], "the rest is as without it");
}

/// A rollout under load that a sale lifts; its files are gone when it is computed again.
#[test]
fn decisions_with_signals_come_out_of_the_archive_again() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(4, 20);
    let begin = now() / 60 * 60 - 2 * 86_400;
    // Sales of half an hour every three hours and a bit; one is on now.
    let sales: Vec<u64> = (0..16).map(|k| now() / 60 * 60 - 300 - 11_220 * k).collect();
    let (mut load, mut calendar) =
        (String::from("unique_id,ds,y\n"), String::from("BEGIN:VCALENDAR\r\n"));
    for (index, at) in (begin..now() + 3_600).step_by(60).enumerate() {
        let on = sales.iter().any(|start| (*start..start + 1_800).contains(&at));
        let unrest = ((index * 7_919) % 101) as f64 / 101.0 - 0.5;
        // What comes while the rollout goes on lies in its band, however long that takes.
        let (more, unrest) = if at + 300 > now() { (-0.6, 0.4 * unrest) } else { (0.0, unrest) };
        let load_now = (if on { 24.0 } else { 14.0 }) + more + unrest;
        writeln!(load, "web,{},{load_now:.4}", rfc3339(at)).unwrap();
    }
    for start in &sales {
        let start = rfc3339(*start).replace(['-', ':'], "");
        write!(
            calendar,
            "BEGIN:VEVENT\r\nSUMMARY:sale\r\nDTSTART:{start}\r\nDURATION:PT30M\r\nEND:VEVENT\r\n"
        )
        .unwrap();
    }
    lab.write("load.csv", &load);
    lab.write("sales.ics", &(calendar + "END:VCALENDAR\r\n"));
    let rest = "  risk: 0.02\n  schedule: { batches: [[web-1], [web-2], [web-3, web-4]] }\n  \
                batch: { maxUnavailable: 2, canary: { size: 1, watch: 65s } }\n";
    let source = "csv: { path: load.csv, series: web }";
    let configured = configuration(&lab, "kernel", "2", source, rest);
    let signals = "  signals: [ { ical: { path: sales.ics } } ]\n  durations:";
    let file = lab.write("web.yaml", &configured.replacen("  durations:", signals, 1));
    let file = file.display().to_string();
    let apply = ["apply", "--yes", "--seed", "7", "--tick", "200ms", "--patience", "20s", &file];
    let (code, said) = lab.says(&apply);
    assert_eq!(code, Some(0), "{said}");
    for gone in ["load.csv", "sales.ics"] {
        std::fs::remove_file(lab.path(gone)).unwrap();
    }
    let (mut plans, mut weighings) = (0, 0);
    for record in lab.records("kernel#1") {
        let seq = record.seq.to_string();
        let again = || lab.says(&["audit", "replay", "kernel", &seq, "--config", &file]);
        match record.event() {
            Ok(domain::event::Event::PlanAdopted { plan }) => {
                let told = &plan.inputs.signals["web/requests"][0];
                assert!(told.name == "sale" && told.weight > 0.5, "{told:?}");
                let (code, said) = again();
                assert!(said.contains("the same plan, to the last digit"), "{code:?} {said}");
                plans += 1;
            }
            Ok(domain::event::Event::BatchOpened { look, .. }) if look.weighed.is_some() => {
                let (code, said) = again();
                assert!(said.contains("the same figures, to the last digit"), "{code:?} {said}");
                weighings += 1;
            }
            _ => {}
        }
    }
    assert!(plans > 0 && weighings > 0, "{plans} {weighings}");
}
