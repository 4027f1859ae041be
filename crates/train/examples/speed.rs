//! How long the network that is part of the program takes for one series of 1,000 hours:
//! `cargo run --release -p train --example speed`.
#![allow(clippy::disallowed_methods)] // it measures time

use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::series::{Series, Step};
use forecast::models::{self, Context, Observation, Regressors};
use forecast::season::Seasons;

/// The least time of many tries: what the work takes when nothing disturbs it.
fn least(mut work: impl FnMut()) -> Duration {
    let one = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..200).map(one).min().unwrap_or_default()
}

fn main() {
    let load = |i: usize| 40.0 + (i % 24) as f64 + ((i * i) as f64 * 0.618).sin();
    let (start, step) = (jiff::Timestamp::UNIX_EPOCH, Step::from_seconds(3_600));
    let values = (0..1_000).map(load).collect();
    let series = Series::new(start, step.expect("an hour is a step"), values);
    let context = Context { seasons: Seasons::given(&[24, 168]), ..Context::default() };
    let model = models::by_name("lstm").expect("the model is there");
    let fit = || model.fit(&series, &context).expect("enough values");
    let mut fitted = fit();
    println!("fit           {:8.1} µs", least(|| drop(black_box(fit()))).as_secs_f64() * 1e6);
    let update = least(|| fitted.update(Observation::of(black_box(42.0))));
    println!("one new value {:8.1} µs", update.as_secs_f64() * 1e6);
    let forecast = least(|| drop(black_box(fitted.forecast(48, &Regressors::NONE))));
    println!("48 steps      {:8.1} µs", forecast.as_secs_f64() * 1e6);
    println!("saved state   {:8} bytes", fitted.save().len());
}
