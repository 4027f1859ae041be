//! The training itself, in builds that have it.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use ::train::{Ended, Epoch, Options, Outcome, TrainError, train};
use forecast::models::lstm::{self, examples::Given};
use forecast::{SeasonChoice, season};

use super::{Calendar, Train};
use crate::causes::chain;
use crate::cli::render::plot;
use crate::cli::series::Named;
use crate::cli::{Code, Failed, write_file};

pub fn run(asked: &Train) -> Result<Code, Failed> {
    let plot = plot::Kind::asked(asked.plot.as_deref())?;
    let options = Options {
        seed: asked.seed,
        epochs: asked.epochs,
        limit: asked.time_limit.map(|limit| limit.duration()),
        held_out: asked.held_out,
        calendar: match asked.calendar {
            Calendar::Used => lstm::Calendar::Used,
            Calendar::Unused => lstm::Calendar::Unused,
        },
        ..Options::default()
    };
    let all = asked.history.read()?;
    let given = given(&all, asked.history.seasons(), asked.held_out);
    let values: usize = given.iter().map(|one| one.series.values().len()).sum();
    eprintln!("training on {} series with {values} values", given.len());
    #[allow(clippy::disallowed_methods, reason = "the limit is this machine's time")]
    let begun = Instant::now();
    let shown = std::io::stderr().is_terminal();
    let mut tell = |epoch: &Epoch| {
        let Epoch { number, learned, held_out } = *epoch;
        let (of, seconds) = (asked.epochs, begun.elapsed().as_secs());
        if shown {
            // Nobody is hurt when progress cannot be shown.
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
        eprintln!(
            "epoch {number} of {of}: loss {learned:.4}, held out {held_out:.4} ({seconds} s)"
        );
        if shown && number < of {
            let _ = write!(std::io::stderr(), "epoch {} of {of} …", number + 1);
        }
    };
    let outcome = train(&given, &options, &|| begun.elapsed(), &mut tell).map_err(failed)?;
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[2K");
    }
    if let Some((path, kind)) = plot {
        draw(path, kind, &outcome)?;
    }
    conclude(&asked.out, &outcome)
}

/// The series with their seasons, which are looked for in what is learned from alone.
fn given(all: &[Named], seasons: &SeasonChoice, held_out: f64) -> Vec<Given> {
    use rayon::prelude::*;
    let one = |named: &Named| {
        let series = named.series.clone();
        let seasons = match seasons {
            SeasonChoice::Given(periods) => season::Seasons::given(periods),
            SeasonChoice::Auto => {
                let length = series.values().len();
                let cut = length - (length as f64 * held_out.clamp(0.0, 1.0)) as usize;
                let values = series.values()[..cut].to_vec();
                let past = domain::series::Series::new(series.start(), series.step(), values);
                season::detect(&past)
            }
        };
        Given { series, seasons, regressors: Vec::new() }
    };
    all.par_iter().map(one).collect()
}

fn failed(error: TrainError) -> Failed {
    let code = match &error {
        TrainError::Setting { .. } => Code::Usage,
        TrainError::TooShort { .. } => Code::BadData,
        _ => Code::Error,
    };
    Failed::new(code, chain(&error))
}

/// Says what came of it, and writes the weights where they are better.
fn conclude(out: &Path, outcome: &Outcome) -> Result<Code, Failed> {
    let Outcome { held_out, shipped, series, .. } = outcome;
    let why = match outcome.ended {
        Ended::Epochs => "all epochs are over",
        Ended::Patience => "the held-out loss has stopped to fall",
        Ended::Time => "the time is up",
    };
    let best = outcome.weights.origin().epochs;
    eprintln!("learned from {series} series; {why}; the weights are those after epoch {best}");
    let beside = format!(
        "held-out loss {held_out:.4}, beside {shipped:.4} of the network that is part of the program"
    );
    if outcome.is_better() {
        write_file(out, &outcome.weights.to_bytes())?;
        let name = out.display();
        println!("{beside}: the new weights are better, and replace it with --lstm {name}");
    } else {
        println!("{beside}: the new weights are no better, and were not written");
    }
    Ok(Code::Done)
}

fn draw(path: &Path, kind: plot::Kind, outcome: &Outcome) -> Result<(), Failed> {
    let losses = |epoch: &Epoch| (epoch.learned, epoch.held_out);
    let curve = plot::Curve {
        title:
            "Loss by epoch: learned from (thin), held out (thick), network of the program (dashed)"
                .into(),
        epochs: outcome.curve.iter().map(losses).collect(),
        beside: outcome.shipped,
    };
    let heads = ["epoch", "loss", "held out"].map(str::to_owned).to_vec();
    let row = |epoch: &Epoch| {
        vec![
            epoch.number.to_string(),
            format!("{:.4}", epoch.learned),
            format!("{:.4}", epoch.held_out),
        ]
    };
    let table: Vec<_> = std::iter::once(heads).chain(outcome.curve.iter().map(row)).collect();
    let text = plot::file(kind, "Training of the model lstm", &table, &[&curve]);
    write_file(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_written_where_they_are_better_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = |held_out| Outcome {
            weights: (*lstm::shipped()).clone(),
            curve: Vec::new(),
            held_out,
            shipped: 0.4,
            ended: Ended::Epochs,
            series: 3,
        };
        for (held_out, is_better) in [(0.41, false), (0.4, false), (f64::NAN, false), (0.39, true)]
        {
            let out = folder.path().join(format!("{held_out}.weights"));
            assert!(matches!(conclude(&out, &outcome(held_out)), Ok(Code::Done)));
            assert_eq!(out.exists(), is_better, "{held_out}");
        }
    }
}
