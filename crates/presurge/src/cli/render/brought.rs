//! What each signal brought, as rows.

use std::time::Duration;

use domain::series::Series;
use domain::signal::SignalBrought;
use forecast::signals::{Kind, Reach, SignalReport, SignalsReport};
use serde_json::{Value, json};

use super::time::{length, number, percent};

/// The columns of the rows.
pub const COLUMNS: [&str; 14] = [
    "unique_id",
    "signal",
    "kind",
    "weight",
    "loss-without",
    "loss-with",
    "saves",
    "acts",
    "effect",
    "lead",
    "lead-effect",
    "tail",
    "tail-effect",
    "note",
];

/// One row for each signal of a series, then one for all of them together.
pub fn rows(name: &str, series: &Series, report: &SignalsReport) -> Vec<Value> {
    let mut rows: Vec<Value> =
        report.each.iter().map(|one| row(name, series, one, report)).collect();
    let (without, with) = report.loss;
    let note = if report.weight > 0.0 || report.each.iter().all(|one| one.unused.is_some()) {
        ""
    } else {
        "the models without signals forecast better"
    };
    rows.push(json!({
        "unique_id": name, "signal": "(all)", "kind": "choice", "weight": round(report.weight),
        "loss-without": round(without), "loss-with": round(with), "saves": saves(without, with),
        "acts": report.acts.to_string(), "effect": null, "lead": null, "lead-effect": null, "tail": null, "tail-effect": null,
        "note": note,
    }));
    rows
}

fn row(name: &str, series: &Series, one: &SignalReport, all: &SignalsReport) -> Value {
    let kind = match one.kind {
        Kind::Event => "event",
        Kind::Series(Reach::KnownAhead) => "known-ahead",
        Kind::Series(Reach::PastOnly) => "past-only",
    };
    let window = |(steps, effect): (usize, f64)| {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let time = (steps > 0).then(|| length(series.step().duration() * steps));
        (time, (steps > 0).then(|| round(effect)))
    };
    let ((lead, lead_effect), (tail, tail_effect)) = (window(one.lead), window(one.tail));
    json!({
        "unique_id": name, "signal": one.name, "kind": kind,
        "weight": if one.unused.is_some() { json!(0) } else { round(all.weight) },
        "loss-without": round(one.loss.0), "loss-with": round(one.loss.1),
        "saves": saves(one.loss.0, one.loss.1),
        "acts": all.acts.to_string(), "effect": round(one.effect), "lead": lead, "lead-effect": lead_effect,
        "tail": tail, "tail-effect": tail_effect,
        "note": one.unused.map_or_else(String::new, |why| why.to_string()),
    })
}

/// What a signal brought to the forecast of `fleet/dimension`, in words.
pub fn signal_line(which: &str, one: &SignalBrought) -> String {
    let kind = if one.kind.is_empty() { String::new() } else { format!(" ({})", one.kind) };
    let head = format!("signal {}{kind} of {which}", one.name);
    if let Some(why) = &one.unused {
        return format!("{head} has no weight: {why}");
    }
    let seconds = |seconds| length(Duration::from_secs(seconds));
    let windows = [(one.lead_seconds, "before"), (one.tail_seconds, "after")];
    let windows = windows.iter().filter(|(time, _)| *time > 0);
    let windows: String =
        windows.map(|(time, side)| format!(", moved {} {side} it", seconds(*time))).collect();
    let saved = match (one.loss_without, one.loss_with) {
        (Some(without), Some(with)) if without > 0.0 => percent(1.0 - with / without),
        _ => "nothing".to_owned(),
    };
    let effect = match one.acts.as_str() {
        "multiplies" => percent(one.effect),
        _ => number(one.effect),
    };
    let weight = percent(one.weight);
    format!("{head} saves {saved} of the held-out loss, adds {effect}{windows}; weight {weight}")
}

/// Four digits that matter; nothing for what is no number.
pub fn round(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    if value == 0.0 {
        return json!(0);
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    json!((value * scale).round() / scale)
}

/// The share of the loss that is saved, in percent.
pub fn saves(without: f64, with: f64) -> Value {
    let share = (1.0 - with / without) * 100.0;
    if share.is_finite() { json!(format!("{share:.1} %")) } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_matter() {
        assert_eq!(round(0.0), json!(0));
        assert_eq!(round(12.34567), json!(12.35));
        assert_eq!(round(-0.001_234_56), json!(-0.001235));
        assert_eq!(round(f64::NAN), Value::Null);
        assert_eq!(saves(2.0, 1.5), json!("25.0 %"));
        assert_eq!(saves(f64::NAN, 1.5), Value::Null);
        assert_eq!(length(Duration::from_secs(5 * 3_600)), "5h");
    }
}
