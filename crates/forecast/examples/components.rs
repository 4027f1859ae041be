//! Takes the series of a CSV file apart with Prophet, for `bench/compare.py`.
//!
//! `components FILE HORIZON`: FILE lies in `$PRESURGE_DATA`. One row per step of each series and
//! of the horizon after it: what the model expects, its trend, and what each season adds.

#[path = "../tests/data/mod.rs"]
mod data;

use forecast::models::prophet::{Components, Prophet};
use forecast::models::{Context, Regressors};
use forecast::season;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, horizon] = arguments.as_slice() else {
        eprintln!("usage: components FILE HORIZON");
        std::process::exit(64);
    };
    let horizon: usize = horizon.parse().expect("the horizon is a number of steps");
    println!("unique_id,step,expected,trend,day,week,year");
    for (id, series) in data::read(file) {
        let context = Context { seasons: season::detect(&series), ..Context::default() };
        match Prophet::default().explain(&series, &context) {
            Err(error) => eprintln!("{id}: {error}"),
            Ok(fitted) => {
                let steps = 0..series.values().len() + horizon;
                let parts = fitted.components(steps.clone(), &Regressors::NONE);
                steps.for_each(|step| print(&id, step, &parts));
            }
        }
    }
}

/// One row; a season that the model does not have adds nothing.
fn print(id: &str, step: usize, parts: &Components) {
    let all = parts.seasons.iter().chain(&parts.events).chain(&parts.regressors);
    let expected = parts.trend[step] + all.map(|part| part.values[step]).sum::<f64>();
    let [day, week, year] = ["day", "week", "year"].map(|name| {
        let season = parts.seasons.iter().find(|part| part.name == name);
        season.map_or(0.0, |part| part.values[step])
    });
    println!("{id},{step},{expected},{},{day},{week},{year}", parts.trend[step]);
}
