//! Forecasts the windows of a CSV file with named models, for `bench/compare.py`.
//!
//! `compare FILE HORIZON SEASONS MODELS`: FILE lies in `$PRESURGE_DATA`; SEASONS is `auto` or a
//! list of steps; each of MODELS is a name, several with `+` between, or `auto`. One thread;
//! times are CPU time where the system tells it, else wall time.
#![allow(clippy::disallowed_methods)] // it measures time

#[path = "../tests/data/mod.rs"]
mod data;

use std::time::Instant;

use domain::forecast::Probability;
use domain::series::Series;
use forecast::models::{self, Context, Regressors};
use forecast::season::{self, Seasons};
use forecast::{ForecastError, ModelChoice, Options, SeasonChoice, auto};

const LEVELS: [f64; 8] = [0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, horizon, seasons, names] = arguments.as_slice() else {
        eprintln!("usage: compare FILE HORIZON SEASONS MODELS");
        std::process::exit(64);
    };
    let horizon: usize = horizon.parse().expect("the horizon is a number of steps");
    let seasons = match seasons.as_str() {
        "auto" => SeasonChoice::Auto,
        list => SeasonChoice::Given(
            list.split(',').map(|m| m.parse().expect("a season is a number of steps")).collect(),
        ),
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build_global()
        .expect("the pool is built once");
    println!("unique_id,model,step,mean,{},fit_ms,all_ms", LEVELS.map(|l| l.to_string()).join(","));
    for (id, series) in data::read(file) {
        for name in names.split(',') {
            let models = match name {
                "auto" => ModelChoice::Auto,
                some => ModelChoice::Named(some.split('+').map(str::to_owned).collect()),
            };
            let options = Options {
                seasons: seasons.clone(),
                models,
                horizon: Some(horizon),
                ..Options::default()
            };
            let alone = fit_alone(&series, &options, name);
            if let Err(error) = calibrated(&id, &series, &options, name, alone) {
                eprintln!("{id} {name}: {error}");
            }
        }
    }
}

/// The time of one fit and forecast without intervals, in ms; `NaN` for combinations. Repeated
/// until the clock, which ticks every few milliseconds, can tell.
fn fit_alone(series: &Series, options: &Options, name: &str) -> f64 {
    const LONG_ENOUGH: f64 = 20.0;
    let Some(model) = models::by_name(name) else { return f64::NAN };
    let horizon = options.horizon.unwrap_or(1);
    let start = now();
    for times in 1.. {
        let seasons = match &options.seasons {
            SeasonChoice::Auto => season::detect(series),
            SeasonChoice::Given(periods) => Seasons::given(periods),
        };
        let context = Context { seasons, ..Context::default() };
        let Ok(fitted) = model.fit(series, &context) else { return f64::NAN };
        std::hint::black_box(fitted.forecast(horizon, &Regressors::NONE));
        let spent = now() - start;
        if spent > LONG_ENOUGH {
            return spent / f64::from(times);
        }
    }
    f64::NAN
}

fn calibrated(
    id: &str,
    series: &Series,
    options: &Options,
    name: &str,
    alone: f64,
) -> Result<(), ForecastError> {
    let levels = LEVELS.map(|l| Probability::new(l).expect("a level is a probability"));
    let start = now();
    let forecast = auto(series, options)?.forecast(options.horizon.unwrap_or(1), &levels)?;
    let all = now() - start;
    for (step, (mean, row)) in forecast.mean.iter().zip(&forecast.quantiles).enumerate() {
        let row: Vec<String> = row.iter().map(f64::to_string).collect();
        println!("{id},{name},{step},{mean},{},{alone},{all}", row.join(","));
    }
    Ok(())
}

/// Milliseconds that this thread has run, or wall time since the first call.
fn now() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64() * 1e3, |nanoseconds| nanoseconds / 1e6)
}
