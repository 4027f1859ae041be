//! What each model of a choice added and cost, as rows.

use std::collections::BTreeMap;
use std::time::Duration;

use forecast::{Failure, ModelReport, Report};
use serde_json::{Value, json};

use super::brought::{round, saves};

/// The columns of the rows of one forecast.
pub const COLUMNS: [&str; 8] =
    ["unique_id", "model", "weight", "loss-without", "loss-with", "saves", "seconds", "note"];

/// The columns of the rows of many fits.
pub const COLUMNS_OF_MANY: [&str; 6] =
    ["model", "fits", "takes-part", "judged", "saves", "seconds"];

/// One row for each model of a series, best first.
pub fn rows(name: &str, report: &Report) -> Vec<Value> {
    report.models.iter().map(|model| row(name, model)).collect()
}

fn row(name: &str, model: &ModelReport) -> Value {
    let (without, with) = model.added.map_or((f64::NAN, f64::NAN), |a| (a.without, a.with));
    json!({
        "unique_id": name, "model": model.name, "weight": round(model.weight),
        "loss-without": round(without), "loss-with": round(with), "saves": saves(without, with),
        "seconds": model.spent.map(seconds),
        "note": model.failure.as_ref().map_or_else(String::new, Failure::to_string),
    })
}

/// One row for each model over many fits, in the order of their names: in what share of them it
/// takes part, what it saves in the mean where that was judged, and what one fit costs.
pub fn rows_of_many<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<Value> {
    let mut all: BTreeMap<&str, Vec<&ModelReport>> = BTreeMap::new();
    for model in reports.flat_map(|report| &report.models) {
        all.entry(&model.name).or_default().push(model);
    }
    all.into_iter().map(|(name, fits)| row_of_many(name, &fits)).collect()
}

fn row_of_many(name: &str, fits: &[&ModelReport]) -> Value {
    let judged = fits.iter().filter_map(|model| model.added).filter(|added| !added.with.is_nan());
    let saved: Vec<f64> = judged.map(|added| added.saves()).collect();
    let spent: Vec<Duration> = fits.iter().filter_map(|model| model.spent).collect();
    let spends = !spent.is_empty();
    let mean = |sum: f64, count: usize| sum / count as f64;
    let share = mean(fits.iter().filter(|model| model.weight > 0.0).count() as f64, fits.len());
    json!({
        "model": name, "fits": fits.len(), "takes-part": format!("{:.0} %", 100.0 * share),
        "judged": saved.len(),
        "saves": saves(1.0, 1.0 - mean(saved.iter().sum(), saved.len())),
        "seconds": spends.then(|| seconds(spent.iter().sum::<Duration>() / spent.len() as u32)),
    })
}

fn seconds(time: Duration) -> Value {
    round(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use forecast::Added;

    use super::*;

    fn model(name: &str, weight: f64, added: Option<(f64, f64)>) -> ModelReport {
        ModelReport {
            name: name.to_owned(),
            loss: Some(1.0),
            weight,
            failure: (weight == 0.0).then_some(Failure::NotWorth),
            added: added.map(|(without, with)| Added { without, with }),
            spent: Some(Duration::from_millis(20)),
        }
    }

    fn report(models: Vec<ModelReport>) -> Report {
        let (seasons, notes) = (forecast::season::Seasons::none(), Vec::new());
        let chosen = String::new();
        Report { chosen, loss: 1.0, models, bands: Vec::new(), seasons, notes, signals: None }
    }

    #[test]
    fn a_row_says_what_was_judged_and_why_a_model_is_left_out() {
        let report = report(vec![model("a", 1.0, Some((2.0, 1.5))), model("b", 0.0, None)]);
        let rows = rows("web", &report);
        assert_eq!(rows[0]["saves"], "25.0 %");
        assert_eq!((&rows[0]["seconds"], &rows[0]["note"]), (&json!(0.02), &json!("")));
        assert_eq!((&rows[1]["saves"], &rows[1]["weight"]), (&Value::Null, &json!(0)));
        assert_eq!(rows[1]["note"], "it costs more than it brings");
    }

    #[test]
    fn many_fits_are_means() {
        let reports = [
            report(vec![model("a", 1.0, Some((2.0, 1.0)))]),
            report(vec![model("b", 0.0, Some((1.0, 1.0))), model("a", 0.0, Some((1.0, 1.1)))]),
        ];
        let rows = rows_of_many(reports.iter());
        assert_eq!((&rows[0]["model"], &rows[0]["fits"]), (&json!("a"), &json!(2)));
        assert_eq!((&rows[0]["takes-part"], &rows[0]["saves"]), (&json!("50 %"), &json!("20.0 %")));
        assert_eq!((&rows[1]["takes-part"], &rows[1]["judged"]), (&json!("0 %"), &json!(1)));
        assert_eq!(rows[1]["seconds"], json!(0.02));
    }
}
