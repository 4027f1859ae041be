//! Networks on the command line: weights of one's own, and how they are trained.

use std::fmt::Write as _;
use std::fs;

use forecast::models::lstm::{Weights, shipped};
#[cfg(feature = "train")]
use serde_json::Value;

mod folder;

use folder::Folder;

/// Three series of four weeks of hours: a day, or nothing but noon.
fn desk(noon: f64) -> Folder {
    let desk = Folder::new();
    let mut load = String::from("unique_id,ds,y\n");
    for name in ["a", "b", "c"] {
        for hour in 0..28 * 24_i64 {
            let at = jiff::Timestamp::from_second(1_767_225_600 + 3_600 * hour).unwrap();
            let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
            let noise = ((hour * 7_919 + i64::from(name.as_bytes()[0])) % 31 - 15) as f64;
            let peak = if hour % 24 == 12 { noon } else { 0.0 };
            let y = 500.0 + peak + noise + if noon > 0.0 { 0.0 } else { 100.0 * day };
            writeln!(load, "{name},{at},{y}").unwrap();
        }
    }
    desk.write("load.csv", &load);
    desk
}

const FORECAST: &str = "forecast load.csv --horizon 24 --models lstm -o csv";

#[test]
fn weights_of_ones_own_take_the_place_of_the_programs() {
    let desk = desk(0.0);
    let (plain, _) = desk.ends(0, FORECAST);
    let own = shipped();
    fs::write(desk.path().join("same.weights"), own.to_bytes()).unwrap();
    assert_eq!(desk.ends(0, &format!("{FORECAST} --lstm same.weights")).0, plain);
    let halved = own.numbers().iter().map(|number| 0.5 * number).collect();
    let other = Weights::new(own.shape(), own.origin(), halved).unwrap();
    fs::write(desk.path().join("other.weights"), other.to_bytes()).unwrap();
    assert_ne!(desk.ends(0, &format!("{FORECAST} --lstm other.weights")).0, plain);
    let backtest = "backtest load.csv --horizon 24 --origins 2 --models lstm,seasonal-naive -o csv";
    let (table, _) = desk.ends(0, &format!("{backtest} --lstm other.weights"));
    assert!(table.contains("\nlstm,3,"), "{table}");
}

#[test]
fn weights_that_cannot_be_used_are_named() {
    let desk = desk(0.0);
    let whole = shipped().to_bytes();
    let says = |name: &str, bytes: &[u8], wanted: &str| {
        fs::write(desk.path().join(name), bytes).unwrap();
        let (out, error) = desk.ends(65, &format!("{FORECAST} --lstm {name}"));
        let place = format!("error: --lstm {name}: ");
        assert!(out.is_empty() && error.starts_with(&place) && error.contains(wanted), "{error}");
    };
    says("cut.weights", &whole[..whole.len() / 2], "cut off");
    says("foreign.weights", b"ds,y\n", "no file of LSTM weights");
    let mut damaged = whole;
    damaged[1_000] ^= 64;
    says("damaged.weights", &damaged, "the checksum is wrong");
    let (_, error) = desk.ends(65, &format!("{FORECAST} --lstm nothing.weights"));
    assert!(error.contains("--lstm nothing.weights: No such file"), "{error}");
}

#[cfg(not(feature = "train"))]
#[test]
fn a_build_that_cannot_train_says_how_to_get_one_that_can() {
    let desk = desk(0.0);
    let (out, error) = desk.ends(64, "train load.csv --out own.weights");
    assert!(out.is_empty() && error.contains("--features train"), "{error}");
    assert!(!desk.path().join("own.weights").exists());
}

/// Noon is a peak, but the season that is given is another: only the calendar tells.
#[cfg(feature = "train")]
#[test]
fn a_network_that_is_better_is_written_and_used() {
    let desk = desk(400.0);
    let command = "train load.csv --season 7 --epochs 6 --out own.weights --plot loss.html";
    let (out, error) = desk.ends(0, command);
    assert!(error.contains("training on 3 series with 2016 values"), "{error}");
    assert!(error.contains("epoch 1 of 6: loss "), "{error}");
    assert!(out.contains("the new weights are better, and replace it"), "{out}");
    let page = fs::read_to_string(desk.path().join("loss.html")).unwrap();
    assert!(page.contains("<td>6</td>") && page.contains("<polyline"), "{page}");
    let error_of = |more: &str| {
        let command = "backtest load.csv --horizon 24 --origins 3 --season 7 --models lstm -o json";
        let (out, _) = desk.ends(0, &format!("{command} {more}"));
        let rows: Value = serde_json::from_str(&out).unwrap();
        rows[0]["mase"].as_f64().unwrap()
    };
    let (own, plain) = (error_of("--lstm own.weights"), error_of(""));
    assert_ne!(own, plain);
}

#[cfg(feature = "train")]
#[test]
fn what_cannot_be_trained_is_said_before_anything_is_written() {
    let desk = desk(0.0);
    desk.ends(64, "train load.csv --out own.weights --held-out 0.9");
    desk.ends(64, "train load.csv --out own.weights --plot loss.png");
    desk.ends(64, "train load.csv --out own.weights --epochs 0");
    let lines: Vec<String> = (1..10).map(|h| format!("2026-01-01T0{h}:00:00Z,{h}\n")).collect();
    desk.write("short.csv", &format!("ds,y\n{}", lines.concat()));
    let (_, error) = desk.ends(65, "train short.csv --out own.weights");
    assert!(error.contains("none of the 1 series is long enough"), "{error}");
    assert!(!desk.path().join("own.weights").exists());
}
