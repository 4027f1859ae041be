//! Who forecasts a dimension, and how well: the forecaster is carried through the newest part of the
//! history, sample by sample, as a driver carries it.

use std::io::{self, Write};

use domain::name::Dimension;
use domain::series::{Sample, Series};
use forecast::{AutoForecaster, Options, Scored, Scores, auto};
use serde_json::{Value, json};

/// The newest share of the history that is looked at …
const SHARE: usize = 4;

/// … of at most so many steps …
const STEPS: usize = 2000;

/// The longest look ahead, in seconds.
const LONGEST: i64 = 86_400;

/// What was found.
pub struct Looked {
    forecaster: AutoForecaster,
    scored: Vec<Scored>,
    events: Vec<String>,
    steps: usize,
}

/// Fits to the older part, carries on through the newer one, and scores what was said.
pub fn look(series: &Series) -> Result<Looked, String> {
    let total = series.values().len();
    let steps = (total / SHARE).min(STEPS);
    let longest = usize::try_from(LONGEST / series.step().seconds()).unwrap_or(1);
    let horizon = longest.min(steps / 2).max(1);
    let options = Options { horizon: Some(horizon), ..Options::default() };
    let mut forecaster =
        auto(&series.head(total - steps), &options).map_err(|error| error.to_string())?;
    let (mut scores, mut events) = (Scores::new(series.step()), Vec::new());
    for index in total - steps..total {
        let sample = Sample { at: series.at(index), value: series.values()[index] };
        let at_saturation = series.is_bound(index);
        scores.issue(&forecaster).map_err(|error| error.to_string())?;
        scores.came(sample, at_saturation);
        let told = match at_saturation {
            true => forecaster.update_at_saturation(sample),
            false => forecaster.update(sample),
        };
        for event in told.map_err(|error| error.to_string())? {
            events.push(format!("{:.0}: {event}", sample.at));
        }
    }
    Ok(Looked { scored: scores.table(), forecaster, events, steps })
}

/// For programs.
pub fn as_json(looked: &Result<Looked, String>) -> Value {
    let looked = match looked {
        Ok(looked) => looked,
        Err(error) => return json!({ "error": error }),
    };
    let report = looked.forecaster.report();
    json!({
        "leader": report.chosen,
        "seasons": report.seasons,
        "models": report.models,
        "bands": report.bands,
        "steps": looked.steps,
        "scored": looked.scored,
        "events": looked.events,
    })
}

/// So many of the models and of the changes are told.
const TOLD: usize = 6;

/// For people.
pub fn tell(
    out: &mut impl Write,
    dimension: &Dimension,
    looked: &Result<Looked, String>,
) -> io::Result<()> {
    let looked = match looked {
        Ok(looked) => looked,
        Err(error) => return writeln!(out, "{dimension}: {error}"),
    };
    let report = looked.forecaster.report();
    writeln!(out, "{dimension}: {} has the most weight", report.chosen)?;
    let mut weighty: Vec<_> = report.models.iter().filter(|model| model.weight > 0.005).collect();
    weighty.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    for model in weighty.iter().take(TOLD) {
        let bar = "#".repeat((model.weight * 40.0).round() as usize);
        writeln!(out, "  {:<24} {:>4.0} %  {bar}", model.name, 100.0 * model.weight)?;
    }
    writeln!(
        out,
        "\n  over the newest {} steps, sample by sample:\n  {:>12} {:>10} {:>12} {:>12}  loss at 0.95 \
         beside a season before",
        looked.steps, "ahead, up to", "forecasts", "in 80 %", "in 95 %",
    )?;
    for scored in &looked.scored {
        let share =
            |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.0} %", 100.0 * s));
        let loss = scored.relative_loss.map_or("-".into(), |loss| format!("{loss:.2}"));
        writeln!(
            out,
            "  {:>12} {:>10} {:>12} {:>12}  {loss}",
            scored.band,
            scored.forecasts,
            share(scored.inside80),
            share(scored.inside95),
        )?;
    }
    match looked.events.len() {
        0 => writeln!(out, "\n  nothing has changed meanwhile: no drift, the same leader")?,
        count => {
            writeln!(out, "\n  what has changed meanwhile ({count}):")?;
            for event in looked.events.iter().rev().take(TOLD) {
                writeln!(out, "    {event}")?;
            }
        }
    }
    Ok(())
}
