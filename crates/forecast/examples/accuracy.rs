//! Prints the accuracy of the automatic choice and of each model on the developers' data.
#![allow(clippy::disallowed_methods)] // it measures time

#[path = "../tests/data/mod.rs"]
mod data;
#[path = "../tests/data/live.rs"]
mod live;
#[path = "../tests/data/score.rs"]
mod score;

use std::sync::Arc;
use std::time::Instant;

use forecast::models::lstm::Weights;
use forecast::{Adaptation, ModelChoice, Options, SeasonChoice, models};

fn main() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let mut choices = vec![("auto", ModelChoice::Auto)];
    if std::env::args().any(|a| a == "--each") {
        choices.extend(models::NAMES.map(|n| (n, ModelChoice::Named(vec![n.to_owned()]))));
    }
    let named = std::env::args().skip_while(|a| a != "--models").nth(1);
    let named: Vec<String> = named.iter().flat_map(|n| n.split(',')).map(str::to_owned).collect();
    if !named.is_empty() {
        choices.clear();
    }
    let together = |n: &str| ModelChoice::Named(n.split('+').map(str::to_owned).collect());
    choices.extend(named.iter().map(|n| (n.as_str(), together(n))));
    let seasons = std::env::args()
        .skip_while(|a| a != "--seasons")
        .nth(1)
        .map_or(SeasonChoice::Auto, |list| {
            SeasonChoice::Given(list.split(',').map(|m| m.parse().unwrap()).collect())
        });
    // Weights of one's own for the model lstm.
    let lstm = std::env::args().skip_while(|a| a != "--lstm").nth(1).map(|path| {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Arc::new(Weights::from_bytes(&bytes).unwrap_or_else(|error| panic!("{path}: {error}")))
    });
    let only = |part: &str| std::env::args().any(|a| a == part);
    println!("{:<22}{}", "M4 hourly", score::HEADER);
    for (name, choice) in choices.iter().filter(|_| !only("--no-m4")) {
        let options = Options {
            models: choice.clone(),
            seasons: seasons.clone(),
            horizon: Some(48),
            lstm: lstm.clone(),
            ..Options::default()
        };
        let start = Instant::now();
        let result = score::m4(&options);
        println!("{name:<22}{result} {:8.1}", start.elapsed().as_secs_f64() * 1e3 / 207.0);
    }
    if only("--live") {
        println!("\n{}", live::HEADER);
        let levels = only("--follow-levels");
        let adaptation = if levels { Adaptation::Levels } else { Adaptation::Quantiles };
        let all = live::traces(&Options { adaptation, ..Options::default() });
        all.iter().for_each(|one| println!("{one}"));
        let (means, off, pinball) = live::pooled(&all);
        println!("mean {means:.3?}\nbeyond two standard errors {off:?}, pinball {pinball:.4?}");
    }
    println!("\n{:<22}{}", "server traces, 4 h", score::HEADER);
    for (name, choice) in choices.iter().filter(|_| !only("--no-traces")) {
        let options = Options {
            models: choice.clone(),
            seasons: seasons.clone(),
            lstm: lstm.clone(),
            ..Options::default()
        };
        let verbose = std::env::args().any(|a| a == "--traces") && *name == "auto";
        let start = Instant::now();
        let (result, fits) = score::traces(&options, verbose);
        println!("{name:<22}{result} {:8.1}", start.elapsed().as_secs_f64() * 1e3 / fits as f64);
    }
}
