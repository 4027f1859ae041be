//! Events and outside series on the command line.

use std::fmt::Write as _;

use serde_json::Value;

mod folder;

use folder::Folder;

const HOURS: i64 = 40 * 24;

/// Sales of six hours at odd times; the last one begins three hours after the load ends.
fn sales() -> Vec<i64> {
    (0..9).map(|k| 60 + 101 * k + (k * k * 5) % 17).chain([HOURS + 3]).collect()
}

fn at(hour: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_767_225_600 + 3_600 * hour).unwrap()
}

fn price(hour: i64) -> f64 {
    ((hour * hour) as f64 * 0.618).sin()
}

/// An iCalendar file; each event in other words, but of one category.
fn calendar(category: &str) -> String {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
    for (number, start) in sales().into_iter().enumerate() {
        let start = at(start).strftime("%Y%m%dT%H%M%SZ");
        let lines = [
            "BEGIN:VEVENT".to_owned(),
            format!("SUMMARY:Sale number {number}"),
            format!("DTSTART:{start}"),
            "DURATION:PT6H".to_owned(),
            category.to_owned(),
            "END:VEVENT".to_owned(),
        ];
        let lines = lines.iter().filter(|line| !line.is_empty());
        lines.for_each(|line| write!(text, "{line}\r\n").unwrap());
    }
    text + "END:VCALENDAR\r\n"
}

/// Load with a day, sales and a price, and the files of both.
fn desk() -> Folder {
    let desk = Folder::new();
    let mut load = String::from("ds,y\n");
    let mut signals = String::from("ds,price,dice\n");
    for hour in 0..HOURS {
        let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let noise = ((hour * 7_919) % 31 - 15) as f64;
        let on_sale = sales().iter().any(|start| (*start..start + 6).contains(&hour));
        let sale = if on_sale { 250.0 } else { 0.0 };
        let y = 500.0 + 100.0 * day + 0.5 * noise + sale + 40.0 * price(hour);
        writeln!(load, "{},{y}", at(hour)).unwrap();
        writeln!(signals, "{},{},{}", at(hour), price(hour), (hour * 31) % 7).unwrap();
    }
    desk.write("past.csv", &signals);
    for hour in HOURS..HOURS + 12 {
        writeln!(signals, "{},{},", at(hour), price(hour)).unwrap();
    }
    desk.write("load.csv", &load);
    desk.write("signals.csv", &signals);
    desk.write("sales.ics", &calendar("CATEGORIES:sale"));
    desk
}

const MODELS: &str = "--models seasonal-naive,rho-profile --season 24";

#[test]
fn sales_and_prices_lift_the_forecast_and_say_what_they_brought() {
    let desk = desk();
    let with = format!(
        "forecast load.csv --horizon 12 {MODELS} --events sales.ics --regressors signals.csv \
         --known price"
    );
    let (out, _) = desk.ends(0, &format!("{with} -o json"));
    let all: Value = serde_json::from_str(&out).unwrap();
    let mean = |step: usize| all["forecast"][step]["mean"].as_f64().unwrap();
    assert!(mean(4) - mean(1) > 150.0 && mean(8) - mean(11) > 150.0, "{out}");
    assert!(all["forecast"][0]["model"].as_str().unwrap().contains("+signals"), "{out}");
    let signal = |name: &str| {
        let mut rows = all["signals"].as_array().unwrap().iter();
        rows.find(|row| row["signal"] == name).unwrap_or_else(|| panic!("{name}: {out}")).clone()
    };
    let (sale, price, dice) = (signal("sale"), signal("price"), signal("dice"));
    let effect = sale["effect"].as_f64().unwrap();
    assert!((200.0..300.0).contains(&effect), "{sale}");
    assert!(sale["loss-with"].as_f64() < sale["loss-without"].as_f64(), "{sale}");
    assert_eq!((&price["kind"], &dice["kind"]), (&"known-ahead".into(), &"past-only".into()));
    assert!(price["weight"].as_f64().unwrap() > 0.9, "{price}");
    assert_eq!((&dice["weight"], &dice["effect"]), (&0.into(), &0.into()));
    assert!(dice["note"].as_str().unwrap().starts_with("it "), "{dice}");
    let (out, _) = desk.ends(0, &with);
    assert!(out.contains("LOSS-WITHOUT") && out.contains("sale"), "{out}");
    let (out, error) = desk.ends(0, &format!("{with} -o csv"));
    assert!(error.contains("LOSS-WITHOUT") && !out.contains("LOSS-WITHOUT"), "{error}");
    // A picture has a panel for each part.
    desk.ends(0, &format!("{with} --plot f.svg"));
    let svg = std::fs::read_to_string(desk.path().join("f.svg")).unwrap();
    for part in ["series: trend", "season: day", "event: sale", "signal: price"] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("signal: dice"));
}

#[test]
fn a_backtest_leaves_each_signal_out_in_turn() {
    let desk = desk();
    let (out, _) = desk.ends(
        0,
        &format!(
            "backtest load.csv --horizon 12 --origins 6 {MODELS} --events sales.ics \
             --regressors past.csv --known price -o json"
        ),
    );
    let rows: Value = serde_json::from_str(&out).unwrap();
    let row = |name: &str| {
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["model"] == name).unwrap_or_else(|| panic!("{name}: {out}")).clone()
    };
    let loss = |name: &str| row(name)["pinball-50"].as_f64().unwrap();
    assert!(loss("auto") < 0.8 * loss("auto without signals"), "{out}");
    assert!(loss("auto") < loss("auto without price"), "{out}");
    assert!(loss("auto without sale") < loss("auto without signals"), "{out}");
    row("auto without dice");
    row("rho-profile");
}

#[test]
fn what_is_not_known_yet_is_refused_with_its_line() {
    let desk = desk();
    let refused = |file: &str, known: &str, what: &str| {
        desk.write("x.csv", file);
        let known = if known.is_empty() { String::new() } else { format!("--known {known}") };
        let line = format!("forecast load.csv --horizon 2 {MODELS} --regressors x.csv {known}");
        let (_, error) = desk.ends(65, &line);
        assert!(error.contains(what), "{error}");
    };
    let rows = |more: &str| format!("ds,x\n{},1\n{},2\n{more}", at(HOURS - 2), at(HOURS - 1));
    let ahead = |hour: i64, value: &str| format!("{},{value}\n", at(HOURS + hour));
    refused(&rows(&ahead(0, "3")), "", "x.csv:4: x is known up to now only");
    refused(&rows(&ahead(0, "3")), "x", "x.csv:4: x is known ahead, but has no value at");
    let gap = ahead(0, "") + &ahead(1, "4");
    refused(&rows(&gap), "x", "x.csv:4: x is known ahead, but has no value at");
    refused(&rows(&format!("{},1\n", at(HOURS - 1))), "", "x.csv:4: ");
    refused(
        "ds,x\n2026-01-01T00:30:00Z,1\n",
        "",
        "x.csv:2: ds is 2026-01-01T00:30:00Z, which is no step",
    );
    refused("ds,x\n2020-01-01,1\n", "", "x has no value between");
    refused("unique_id,ds,x\nweb,2026-01-01,1\n", "", "x.csv: there is no row of the series");
    refused("ds,x\n2026-01-01,no\n", "", "x.csv:2: x is \"no\"");
    let (_, error) =
        desk.ends(64, "forecast load.csv --horizon 2 --regressors signals.csv --known prize");
    assert!(error.contains("did you mean \"price\""), "{error}");
}

#[test]
fn calendars_that_cannot_be_used_say_why() {
    let desk = desk();
    let run = |code: i32, text: &str| {
        desk.write("x.ics", text);
        let line = format!("forecast load.csv --horizon 2 {MODELS} --events x.ics");
        desk.ends(code, &line).1
    };
    let zone = calendar("CATEGORIES:sale").replacen("DTSTART:", "DTSTART;TZID=Mars/Base:", 1);
    let error = run(65, &zone.replacen("Z\r\nDURATION", "\r\nDURATION", 1));
    assert!(error.contains("x.ics") && error.contains("line 5"), "{error}");
    assert!(error.contains("is no time zone"), "{error}");
    let error = run(65, "nothing");
    assert!(error.contains("expected BEGIN:VCALENDAR"), "{error}");
    let event = |rule: &str| {
        format!(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nDTSTART:{rule}\nDURATION:PT1H\nEND:VEVENT\n\
             END:VCALENDAR\n"
        )
    };
    let error = run(0, &event("19990101T000000Z"));
    assert!(error.contains("no event \"x\" lies between"), "{error}");
    // A rule without an end is used as far as the forecast goes.
    run(0, &event("20200101T030000Z\nRRULE:FREQ=DAILY"));
    let error = run(65, &event("20260101T030000Z\nRRULE:FREQ=MINUTELY"));
    assert!(error.contains("FREQ=MINUTELY; use"), "{error}");
}

#[test]
fn public_holidays_lift_a_forecast() {
    let desk = Folder::new();
    let mut load = String::from("ds,y\n");
    // Two years of days; on Christmas, New Year, Easter and May Day few people come.
    let quiet = ["12-25", "12-26", "01-01", "05-01", "10-03"];
    let easter = ["2024-03-29", "2024-04-01", "2025-04-18", "2025-04-21"];
    let more = ["2024-05-09", "2024-05-20", "2025-05-29", "2025-06-09"];
    for day in 0..724 {
        let date = jiff::civil::date(2024, 1, 1) + jiff::ToSpan::days(day);
        let text = date.to_string();
        let is_quiet = quiet.contains(&&text[5..])
            || easter.contains(&text.as_str())
            || more.contains(&text.as_str());
        let y = 900 - if is_quiet { 400 } else { 0 } + (day * 7_919) % 31;
        writeln!(load, "{text},{y}").unwrap();
    }
    desk.write("load.csv", &load);
    let line = "forecast load.csv --horizon 7 --models naive,rho --holidays de -o json";
    let (out, _) = desk.ends(0, line);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all["signals"][0]["signal"], "holidays DE");
    // The load ends on 24 December 2025.
    assert_eq!(all["forecast"][0]["ds"], "2025-12-25T00:00:00Z");
    let mean = |step: usize| all["forecast"][step]["mean"].as_f64().unwrap();
    assert!(mean(2) - mean(0) > 250.0 && mean(2) - mean(1) > 250.0, "{out}");
    let (_, error) = desk.ends(64, "forecast load.csv --horizon 7 --holidays atlantis");
    assert!(error.contains("the countries are AR, AT"), "{error}");
}
