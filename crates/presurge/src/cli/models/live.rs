//! Who forecasts a dimension, and how well: the forecaster is carried through the newest part of the
//! history, sample by sample, as a driver carries it.

use std::io::{self, Write};

use domain::forecast::Probability;
use domain::name::Dimension;
use domain::series::{Sample, Series};
use forecast::{AutoForecaster, Options, auto};
use serde_json::{Value, json};

/// The newest share of the history that is looked at …
const SHARE: usize = 4;

/// … of at most so many steps …
const STEPS: usize = 2000;

/// … from so many origins.
const ORIGINS: usize = 60;

/// The longest look ahead, in steps: four hours of minutes.
const LONGEST: usize = 240;

/// How well forecasts for one distance have done.
#[derive(Debug, Clone, Default)]
pub struct Scored {
    /// Steps ahead.
    pub ahead: usize,
    /// Forecasts that were held against what came.
    pub count: usize,
    /// Mean pinball loss at 0.95, relative to the same loss of what was a season before.
    pub relative_loss: Option<f64>,
    /// The share of values in the central 80 % interval.
    pub inside80: f64,
    /// The share of values in the central 90 % interval.
    pub inside90: f64,
}

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
    let horizon = LONGEST.min(steps / 2).max(1);
    let options = Options { horizon: Some(horizon), ..Options::default() };
    let mut forecaster =
        auto(&series.head(total - steps), &options).map_err(|error| error.to_string())?;
    let levels: Vec<Probability> =
        [0.05, 0.1, 0.9, 0.95].into_iter().filter_map(|l| Probability::new(l).ok()).collect();
    let season = forecaster.report().seasons.longest().unwrap_or(1);
    let every = steps.div_ceil(ORIGINS).max(1);
    // The next step, the middle and the end of the longest look.
    let distances = [1, (horizon / 2).max(1), horizon];
    let mut sums = distances.map(|ahead| (Scored { ahead, ..Scored::default() }, 0.0, 0.0));
    let mut events = Vec::new();
    for index in total - steps..total {
        if index % every == 0 {
            let said = forecaster.forecast(horizon, &levels).map_err(|error| error.to_string())?;
            for (scored, loss, naive) in &mut sums {
                let target = index + scored.ahead - 1;
                let came = series.values().get(target).copied().unwrap_or(f64::NAN);
                let before = target.checked_sub(season.max(scored.ahead));
                let before = before.map_or(f64::NAN, |at| series.values()[at]);
                if !came.is_finite() || series.is_bound(target) {
                    continue;
                }
                let q = &said.quantiles[scored.ahead - 1];
                scored.count += 1;
                scored.inside90 += f64::from(u8::from(q[0] <= came && came <= q[3]));
                scored.inside80 += f64::from(u8::from(q[1] <= came && came <= q[2]));
                if before.is_finite() {
                    *loss += forecast::metrics::pinball(came, q[3], 0.95);
                    *naive += forecast::metrics::pinball(came, before, 0.95);
                }
            }
        }
        let sample = Sample { at: series.at(index), value: series.values()[index] };
        let told = match series.is_bound(index) {
            true => forecaster.update_at_saturation(sample),
            false => forecaster.update(sample),
        };
        for event in told.map_err(|error| error.to_string())? {
            events.push(format!("{:.0}: {event}", sample.at));
        }
    }
    let scored = sums.into_iter().map(|(scored, loss, naive)| {
        let count = scored.count.max(1) as f64;
        Scored {
            inside80: scored.inside80 / count,
            inside90: scored.inside90 / count,
            relative_loss: (naive > 0.0).then(|| loss / naive),
            ..scored
        }
    });
    Ok(Looked { scored: scored.collect(), forecaster, events, steps })
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
        "scored": looked.scored.iter().map(|scored| json!({
            "stepsAhead": scored.ahead,
            "forecasts": scored.count,
            "pinball95RelativeToSeasonBefore": scored.relative_loss,
            "inside80": scored.inside80,
            "inside90": scored.inside90,
        })).collect::<Vec<_>>(),
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
        looked.steps, "steps ahead", "forecasts", "in 80 %", "in 90 %",
    )?;
    for scored in &looked.scored {
        let loss = scored.relative_loss.map_or("-".into(), |loss| format!("{loss:.2}"));
        writeln!(
            out,
            "  {:>12} {:>10} {:>10.0} % {:>10.0} %  {loss}",
            scored.ahead,
            scored.count,
            100.0 * scored.inside80,
            100.0 * scored.inside90,
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
