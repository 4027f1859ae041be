//! The command line as its users meet it: what it prints where, and how it ends.

mod folder;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use folder::Folder;
use serde_json::Value;

/// The documents of a small fleet with two weeks of hourly load in `load.csv`.
const CONFIG: &str = r#"apiVersion: presurge/v1
kind: Fleet
metadata: { name: web }
spec:
  servers: { static: { prefix: web, count: 10 } }
  capacity: { requests: 100 }
  load:
    requests: { csv: { path: load.csv, series: web }, unit: req/s }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge:
    offers:
      - { name: od, capacity: { requests: 100 }, price: 0.2, lead: 3m, max: 10 }
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: kernel }
spec:
  fleets: [web]
  target: { version: "2" }
  risk: 0.02
  deadline: 2h
"#;

/// A folder with the documents and their load.
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
        let mut load = String::from("unique_id,ds,y\n");
        for hour in 0..21 * 24 {
            let (day, at) = (1 + hour / 24, hour % 24);
            let wave = (f64::from(at) / 24.0 * std::f64::consts::TAU).sin();
            let noise = f64::from((hour * 7919) % 31 - 15);
            let y = 500.0 - 300.0 * wave + noise;
            writeln!(load, "web,2026-03-{day:02}T{at:02}:00:00Z,{y}").unwrap();
        }
        desk.write("load.csv", &load);
        desk.write("web.yaml", CONFIG);
        desk
    }

    /// The configuration with a text replaced, which has to be there.
    fn changed(&self, from: &str, to: &str) {
        assert!(CONFIG.contains(from), "{from:?}");
        self.write("web.yaml", &CONFIG.replace(from, to));
    }
}

const NOW: &str = "--now 2026-03-21T20:00:00Z";

#[test]
fn wrong_use_and_bad_data_have_their_own_codes() {
    let desk = Desk::new();
    desk.ends(64, "");
    desk.ends(64, "plam web.yaml");
    desk.ends(64, "plan");
    desk.ends(64, "plan web.yaml --now yesterday");
    desk.ends(64, "plan web.yaml --load nonsense");
    desk.ends(64, "forecast load.csv --horizon 0");
    desk.ends(64, "forecast load.csv --horizon 5 --models nothing");
    desk.ends(64, "forecast load.csv --horizon 5 --levels 100");
    desk.ends(64, "forecast load.csv --horizon 5 --out f.txt");
    desk.ends(64, "forecast load.csv --horizon 5 --plot f.png");
    desk.ends(65, "forecast load.csv --horizon 5 --events f.ics");
    desk.ends(65, "forecast load.csv --horizon 5 --regressors f.csv");
    desk.ends(64, "forecast load.csv --horizon 5 --known price");
    desk.ends(65, "plan nothing.yaml");
    desk.ends(65, &format!("plan web.yaml --rollout libc {NOW}"));
    desk.ends(0, "--help");
    desk.ends(0, "--version");
    desk.ends(0, "version -o json");
    desk.ends(0, "completion zsh");
}

#[test]
fn a_configuration_is_validated_with_places() {
    let desk = Desk::new();
    let (out, error) = desk.ends(0, "validate web.yaml");
    assert!(out.is_empty() && error.contains("ok: fleet web: 10 servers"), "{error}");
    desk.changed("price: 0.2", "prce: 0.2");
    let (out, error) = desk.ends(65, "validate web.yaml");
    let said = "error: web.yaml:12:50: spec.surge.offers[0].prce: unknown field; did you mean";
    assert!(out.is_empty() && error.starts_with(said), "{error}");
    assert!(
        error.contains("\n   |                                                  ^^^^"),
        "{error}"
    );
    desk.changed("deadline: 2h", "deadline: 2020-01-01T00:00:00Z");
    let (_, error) = desk.ends(65, "validate web.yaml");
    assert!(error.contains("web.yaml:21:13: spec.deadline: 2020-01-01T00:00:00Z is not after"));
}

#[test]
fn the_schema_knows_every_adapter_and_no_mark_is_left() {
    let (out, _) = Desk::new().ends(0, "schema");
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert!(!out.contains("x-presurge-port"));
    let load = &schema["$defs"]["LoadSpec"];
    assert_eq!(load["additionalProperties"], false);
    for key in ["csv", "prometheus", "measure", "unit", "delay", "staleAfter"] {
        assert!(!load["properties"][key].is_null(), "{key}");
    }
    assert_eq!(schema["$defs"]["FleetDocument"]["properties"]["kind"]["const"], "Fleet");
    // Every reference leads somewhere.
    for part in out.split("\"#/$defs/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(!schema["$defs"][name].is_null(), "{name}");
    }
}

#[test]
fn a_plan_is_data_with_the_keys_of_the_design() {
    let desk = Desk::new();
    let (out, _) = desk.ends(0, &format!("plan web.yaml {NOW} -o json --out plan.json"));
    let plan: Value = serde_json::from_str(&out).unwrap();
    let keys = |value: &Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    #[rustfmt::skip]
    assert_eq!(keys(&plan), [
        "apiVersion", "basis", "batches", "cost", "createdAt", "digest", "doneAt", "exposure", "finishAt",
        "inputs", "kind", "parent", "rejected", "revision", "risk", "rollout", "seed",
        "stabilisedAt", "startAt", "surge", "timeline", "validUntil",
    ]);
    assert_eq!(
        keys(&plan["risk"]),
        ["baseline", "extrapolated", "planned", "resolution", "tail", "target", "upper95"]
    );
    assert_eq!(plan["risk"]["tail"]["model"], "generalised Pareto");
    assert_eq!(keys(&plan["batches"][0]), ["backAt", "fleet", "index", "outAt", "risk", "servers"]);
    assert_eq!(keys(&plan["inputs"]), ["config", "load", "until"]);
    assert_eq!(keys(&plan["inputs"]["load"]), ["web/requests"]);
    let out: Vec<&Value> = plan["batches"].as_array().unwrap().iter().collect();
    let servers: usize = out.iter().map(|b| b["servers"].as_array().unwrap().len()).sum();
    assert_eq!(servers, 10);
    assert_eq!((&plan["apiVersion"], &plan["kind"]), (&"presurge/v1".into(), &"Plan".into()));
    let written: Value =
        serde_json::from_slice(&fs::read(desk.path().join("plan.json")).unwrap()).unwrap();
    assert_eq!(written, plan);
    // The same question has the same answer.
    let (again, _) = desk.ends(0, &format!("plan web.yaml {NOW} -o json"));
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), plan);
    desk.ends(2, &format!("plan web.yaml {NOW} --detailed-exitcode"));
}

/// Three weeks that were clipped at their peaks: without a mark the plan believes the cap.
#[test]
fn load_that_was_clipped_at_saturation_does_not_teach_the_cap() {
    let desk = Desk::new();
    let whole = fs::read_to_string(desk.path().join("load.csv")).unwrap();
    let (mut clipped, mut rejected) = (String::new(), String::from("ds,y\n"));
    for line in whole.lines() {
        let mut fields: Vec<&str> = line.split(',').collect();
        let value = fields[2].parse::<f64>();
        if value.as_ref().is_ok_and(|value| *value > 700.0) {
            fields[2] = "700";
        }
        writeln!(clipped, "{}", fields.join(",")).unwrap();
        if let Ok(value) = value {
            writeln!(rejected, "{},{}", fields[1], (value - 700.0).max(0.0)).unwrap();
        }
    }
    desk.write("rejected.csv", &rejected);
    // The peak of the day lies at 18:00; the rollout has to go through it.
    let peak = |config: &str| {
        desk.write("web.yaml", config);
        let (out, _) = desk.ends(0, "plan web.yaml --now 2026-03-21T15:00:00Z -o json");
        let plan: Value = serde_json::from_str(&out).unwrap();
        let entries = plan["timeline"].as_array().unwrap();
        let mean = |entry: &Value| entry["load"]["requests"]["mean"].as_f64().unwrap();
        entries.iter().map(mean).fold(0.0, f64::max)
    };
    let config = CONFIG.replace(
        "deadline: 2h",
        "deadline: 5h\n  windows: [ { start: \"17:30\", end: \"20:00\" } ]",
    );
    let (truth, marked) = (
        peak(&config),
        config.replace(
            "  durations:",
            "  saturation: { requests: { csv: { path: rejected.csv } } }\n  durations:",
        ),
    );
    desk.write("load.csv", &clipped);
    let (blind, told) = (peak(&config), peak(&marked));
    assert!(truth > 780.0 && blind < 705.0, "{truth} {blind}");
    assert!((told - truth).abs() < 0.5 * (truth - blind), "{told} of {truth}, not {blind}");
    let (_, error) = {
        desk.write("web.yaml", &marked.replace("saturation: { requests", "saturation: { cpu"));
        desk.ends(65, "validate web.yaml")
    };
    assert!(error.contains("spec.load has no dimension cpu"), "{error}");
}

#[test]
fn a_plan_is_drawn() {
    let desk = Desk::new();
    desk.ends(0, &format!("plan web.yaml {NOW} --plot p.html"));
    desk.ends(64, &format!("plan web.yaml {NOW} --plot p.pdf"));
    let html = fs::read_to_string(desk.path().join("p.html")).unwrap();
    assert_eq!(html.matches("<svg").count(), 3, "load, batches, risk");
    assert!(html.contains("requests in req/s") && html.contains("<td>risk, planned</td>"));
}

#[test]
fn a_plan_is_a_page_for_people() {
    let desk = Desk::new();
    // Three servers at a time have to go out, and the load leaves room for two.
    desk.changed("deadline: 2h", "deadline: 45m");
    let (out, _) = desk.ends(0, &format!("plan web.yaml {NOW}"));
    for part in [
        "Rollout kernel: fleet web to 2",
        "10 servers in ",
        "What will happen",
        "batch 1 (canary) out: web-",
        "What is bought, and why",
        "of extra capacity for ",
        "How sure",
        "2 % is allowed",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    let (out, _) = desk.ends(0, &format!("plan web.yaml {NOW} -o yaml"));
    assert!(out.starts_with("\"apiVersion\": \"presurge/v1\""), "{out}");
}

#[test]
fn what_cannot_be_planned_is_refused_with_a_way_out() {
    let desk = Desk::new();
    desk.changed("deadline: 2h", "deadline: 10m");
    let (out, error) = desk.ends(3, &format!("plan web.yaml {NOW}"));
    assert!(out.is_empty() && error.contains("deadline binds"), "{error}");
    let (out, _) = desk.ends(3, &format!("plan web.yaml {NOW} -o json"));
    let refused: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(refused["refused"]["binding"], "deadline");
    assert!(refused["refused"]["wouldFit"].as_array().is_some_and(|list| !list.is_empty()));
}

#[test]
fn bad_load_is_bad_data_with_its_line() {
    let desk = Desk::new();
    for (text, said) in [
        ("", "holds no sample"),
        ("a,b\n1,2\n", "the header is missing"),
        ("unique_id,ds,y\nweb,2026-03-01T00:00:00Z,much\n", "load.csv:2: y is \"much\""),
        ("unique_id,ds,y\nweb,yesterday,1\n", "load.csv:2: ds is \"yesterday\""),
        (
            "unique_id,ds,y\nweb,2026-03-02T00:00:00Z,1\nweb,2026-03-01T00:00:00Z,1\n",
            "load.csv:3: ",
        ),
        (
            "unique_id,ds,y\nweb,2026-03-20T00:00:00Z,\nweb,2026-03-20T01:00:00Z,nan\n",
            "the history of requests cannot be used",
        ),
        ("unique_id,ds,y\nother,2026-03-20T00:00:00Z,1\n", "has no series \"web\""),
    ] {
        desk.write("load.csv", text);
        let (out, error) = desk.ends(65, &format!("plan web.yaml {NOW}"));
        assert!(out.is_empty() && error.contains(said), "{text:?}\n{error}");
    }
    fs::remove_file(desk.path().join("load.csv")).unwrap();
    desk.ends(65, &format!("plan web.yaml {NOW}"));
    // Long after the end of the history there is nothing to plan from.
    let (_, error) = Desk::new().ends(65, "plan web.yaml --now 2027-01-01T00:00:00Z");
    assert!(error.contains("hint: ") && error.contains("--now TIME"), "{error}");
}

#[test]
fn load_is_replaced_from_the_command_line() {
    let desk = Desk::new();
    fs::rename(desk.path().join("load.csv"), desk.path().join("other.csv")).unwrap();
    desk.ends(65, &format!("plan web.yaml {NOW}"));
    desk.ends(0, &format!("plan web.yaml {NOW} --load web/requests=other.csv"));
    let (_, error) = desk.ends(65, &format!("plan web.yaml {NOW} --load web/cpu=other.csv"));
    assert!(error.contains("there is web/requests"), "{error}");
}

#[test]
fn a_forecast_has_the_columns_of_the_design() {
    let desk = Desk::new();
    let (out, _) = desk.ends(0, "forecast load.csv --horizon 48 --levels 80,95 --out f.csv");
    assert!(out.is_empty(), "{out}");
    let text = fs::read_to_string(desk.path().join("f.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["unique_id", "ds", "model", "mean", "lo-80", "hi-80", "lo-95", "hi-95"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[0][0], &rows[0][1]), (48, "web", "2026-03-22T00:00:00Z"));
    for row in &rows {
        let number = |index: usize| row[index].parse::<f64>().unwrap();
        let rising = [number(6), number(4), number(5), number(7)];
        assert!(rising.is_sorted(), "{row:?}");
    }
    let (out, _) = desk.ends(0, "forecast load.csv --horizon 2 -o json --season 24");
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert!(rows[0]["hi-95"].is_f64());
}

#[test]
fn a_forecast_as_parquet_is_the_forecast_as_csv() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let desk = Desk::new();
    desk.ends(0, "forecast load.csv --horizon 6 --levels 80,99.5 --out f.csv");
    desk.ends(0, "forecast load.csv --horizon 6 --levels 80,99.5 --out f.parquet");
    let file = fs::File::open(desk.path().join("f.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().file_metadata().schema().get_fields().to_vec();
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let csv = fs::read_to_string(desk.path().join("f.csv")).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next().unwrap(), names.join(","));
    let mut rows = 0;
    for (row, line) in reader.get_row_iter(None).unwrap().zip(lines) {
        let (row, line) = (row.unwrap(), line.split(',').collect::<Vec<_>>());
        assert_eq!(row.get_string(0).unwrap(), line[0]);
        let at = jiff::Timestamp::from_millisecond(row.get_timestamp_millis(1).unwrap()).unwrap();
        assert_eq!(at.to_string(), line[1]);
        assert_eq!(row.get_string(2).unwrap(), line[2]);
        for (column, text) in line.iter().enumerate().skip(3) {
            assert_eq!(row.get_double(column).unwrap(), text.parse::<f64>().unwrap());
        }
        rows += 1;
    }
    assert_eq!(rows, 6);
}

#[test]
fn a_forecast_is_drawn_into_a_file() {
    let desk = Desk::new();
    desk.ends(0, "forecast load.csv --horizon 24 --plot f.svg");
    desk.ends(0, "forecast load.csv --horizon 24 --plot f.html");
    let svg = fs::read_to_string(desk.path().join("f.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.matches("<polygon").count() == 2, "two bands");
    let html = fs::read_to_string(desk.path().join("f.html")).unwrap();
    assert!(html.contains("<h1>Forecast of 24 steps, bands 80, 95 %</h1>"));
    assert!(!html.contains("http://") || html.matches("http://").count() == 1, "no network");
}

#[test]
fn models_are_compared_on_the_past() {
    let desk = Desk::new();
    let models = "naive,seasonal-naive";
    let args = format!("backtest load.csv --horizon 24 --origins 3 --models {models} -o json");
    let (out, _) = desk.ends(0, &args);
    let rows: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap()).collect();
    assert_eq!(names, ["auto", "naive", "seasonal-naive"]);
    let mase = |index: usize| rows[index]["mase"].as_f64().unwrap();
    assert!(mase(2) < mase(1), "a wave of a day is seasonal: {rows}");
}

#[test]
fn a_budget_leaves_models_out_and_says_so() {
    let desk = Desk::new();
    let (_, error) = desk.ends(0, "forecast load.csv --horizon 5 -o csv --budget 1ms");
    assert!(error.contains("is left out: "), "{error}");
    let (_, error) = desk.ends(0, "forecast load.csv --horizon 5 -o csv --budget 10m");
    assert!(error.is_empty(), "{error}");
    desk.ends(64, "forecast load.csv --horizon 5 --budget 0s");
}

#[test]
fn a_backtest_is_drawn_with_its_table() {
    let desk = Desk::new();
    desk.ends(
        0,
        "backtest load.csv --horizon 12 --origins 3 --models seasonal-naive --plot b.html -o json",
    );
    let html = fs::read_to_string(desk.path().join("b.html")).unwrap();
    assert!(html.contains("<td>seasonal-naive</td>") && html.contains("<th>owa</th>"), "{html}");
    assert_eq!(html.matches("<polygon").count(), 6, "two bands for each origin");
    desk.ends(64, "backtest load.csv --horizon 12 --plot b.pdf");
}

#[test]
fn the_doctor_asks_and_names_who_does_not_answer() {
    let desk = Desk::new();
    let (out, _) = desk.ends(0, "doctor web.yaml");
    assert!(out.contains("web: load requests by csv"), "{out}");
    desk.changed(
        "  surge:",
        "  traffic: { haproxy: { socket: nothing.sock, backend: be } }\n  surge:",
    );
    let (out, error) = desk.ends(1, "doctor web.yaml");
    assert!(out.contains("FAILED") && out.contains("traffic by haproxy"), "{out}");
    assert!(error.contains("1 of 2 do not answer"), "{error}");
}

#[test]
fn the_store_is_named_after_the_verb_and_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let (out, _) = desk.ends(0, "rollout list --store state/deep/presurge.db -o json");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), serde_json::json!([]));
    let mode = fs::metadata(desk.path().join("state/deep/presurge.db")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let (_, error) = desk.ends(1, "audit verify kernel --store state/deep/presurge.db");
    assert!(error.contains("kernel"), "{error}");
}

#[test]
fn a_seed_that_digests_do_not_tell_apart_is_refused() {
    let desk = Desk::new();
    let (_, error) = desk.ends(64, "plan web.yaml --seed 9007199254740992");
    assert!(error.contains("--seed"), "{error}");
    let now = "plan web.yaml --now 2026-03-20T00:00:00Z -o json --seed";
    let (out, _) = desk.ends(0, &format!("{now} 9007199254740991"));
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(plan["seed"], 9_007_199_254_740_991_u64);
}

#[test]
fn the_demand_of_a_public_data_set_is_forecast() {
    let data = std::env::var_os("PRESURGE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let file = data.join("m4_hourly_train.csv");
    if !file.exists() {
        eprintln!("skipped: {} is not there; set PRESURGE_DATA", file.display());
        return;
    }
    let desk = Desk::new();
    let (_, error) =
        desk.ends(0, &format!("forecast {} --horizon 48 --out m4.csv", file.display()));
    assert!(error.contains("207 series, 48 steps each"), "{error}");
    let lines = fs::read_to_string(desk.path().join("m4.csv")).unwrap();
    assert_eq!(lines.lines().count(), 1 + 207 * 48);
    assert!(!lines.contains("NaN") && !lines.contains("inf"));
}

/// Load of two shops with a day.
fn shops() -> String {
    let mut text = String::from("unique_id,ds,y\n");
    for (shop, scale) in [("north", 1.0), ("south", 40.0)] {
        for hour in 0..500_i64 {
            let at = jiff::Timestamp::from_second(1_767_225_600 + 3_600 * hour).unwrap();
            let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
            let y = scale * (100.0 + 30.0 * day + ((hour * 7_919) % 31) as f64 / 5.0);
            text += &format!("{shop},{at},{y}\n");
        }
    }
    text
}

#[test]
fn the_choice_says_what_each_model_adds_and_costs() {
    let desk = Desk::new();
    fs::write(desk.path().join("shops.csv"), shops()).unwrap();
    let few = "--models naive,rho-profile,trees --added";
    let (out, _) = desk.ends(0, &format!("forecast shops.csv --horizon 12 {few} -o json"));
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all["forecast"].as_array().unwrap().len(), 24);
    let rows = all["models"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "{out}");
    for row in rows {
        assert!(row["loss-with"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["loss-without"].as_f64() > Some(0.0), "{row}");
        assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
    }
    // The automatic choice names the candidates that are not worth it.
    let (out, error) = desk.ends(0, "forecast shops.csv --horizon 12 --added");
    assert!(out.contains("LOSS-WITHOUT") && out.contains("prophet"), "{out}");
    assert!(!error.contains("prophet"), "{error}");
    let backtest = format!("backtest shops.csv --horizon 12 --origins 3 {few}");
    let (out, _) = desk.ends(0, &format!("{backtest} -o json"));
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all["rows"].as_array().unwrap().len(), 4, "{out}");
    let trees = &all["models"][2];
    assert_eq!((&trees["model"], &trees["fits"]), (&"trees".into(), &6.into()), "{out}");
    assert!(trees["seconds"].as_f64().unwrap() > 0.0, "{out}");
    let (out, error) = desk.ends(0, &format!("{backtest} -o csv"));
    assert!(error.contains("TAKES-PART") && !out.contains("TAKES-PART"), "{error}");
}

/// A calendar with one event, from a moment on for so many hours.
fn calendar(from: jiff::Timestamp, hours: i64) -> String {
    let at = |t: jiff::Timestamp| t.strftime("%Y%m%dT%H%M%SZ").to_string();
    let to = from + jiff::SignedDuration::from_hours(hours);
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:{}\r\nDTEND:{}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        at(from),
        at(to)
    )
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a given plan is held against the present moment")]
fn a_given_plan_is_performed_only_while_what_it_was_made_from_stands() {
    let desk = Desk::new();
    let now = jiff::Timestamp::now();
    let far = now + jiff::SignedDuration::from_hours(24 * 300);
    let mut load = String::from("unique_id,ds,y\n");
    for hour in (0..14 * 24_i64).rev() {
        let wave = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let at = jiff::Timestamp::from_second((now.as_second() / 3_600 - hour) * 3_600).unwrap();
        writeln!(load, "web,{at},{}", 400.0 - 200.0 * wave + (hour * 7919 % 31) as f64).unwrap();
    }
    desk.write("load.csv", &load);
    desk.write("quiet.ics", &calendar(far, 1));
    let world = "  traffic: { haproxy: { socket: no.sock, backend: web } }\n  update: { exec: \
                 { command: [./update, \"{server}\", \"{version}\"], idempotent: true } }\n  surge:\n    \
                 provisioner: { process: { command: [./server, \"{port}\"], ports: 20100-20120 } }\n";
    let config = CONFIG.replace("  surge:\n", world);
    let config = format!("{config}  freezes: [ {{ ical: quiet.ics }} ]\n");
    desk.write("web.yaml", &config);
    desk.ends(0, "plan web.yaml --out plan.json");
    let apply = "apply plan.json --config web.yaml --mode advise --store s.db";
    desk.ends(0, apply);
    // A freeze that was not there when it was made.
    desk.write("quiet.ics", &calendar(now, 24));
    let (_, said) = desk.ends(3, apply);
    assert!(said.contains("does not keep its bounds any more"), "{said}");
    desk.write("quiet.ics", &calendar(far, 1));
    // Another price, another server.
    for (from, to) in [("price: 0.2", "price: 0.3"), ("count: 10", "count: 11")] {
        desk.write("web.yaml", &config.replace(from, to));
        let (_, said) = desk.ends(3, apply);
        assert!(said.contains("the configuration has changed"), "{said}");
    }
    desk.write("web.yaml", &config);
    desk.ends(0, apply);
    // A plan that was touched.
    let plan = fs::read_to_string(desk.path().join("plan.json")).unwrap();
    desk.write("plan.json", &plan.replacen("\"revision\": 1", "\"revision\": 2", 1));
    let (_, said) = desk.ends(3, apply);
    assert!(said.contains("changed after it was made"), "{said}");
}
