//! What training promises: the same numbers as inference, the same weights of the same seed, an
//! end in time, and networks that have learned something.

use std::time::Duration;

use domain::series::{Series, Step};
use forecast::models::lstm::examples::{self, Given, Part, Window};
use forecast::models::lstm::{Calendar, LEVELS, Origin, Shape};
use forecast::season::Seasons;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{Batch, Ended, Epoch, Network, Options, Outcome, TrainError, generated, train};

/// Little enough for a test.
const SMALL: Options = Options {
    seed: 5,
    epochs: 3,
    patience: 4,
    limit: None,
    held_out: 0.2,
    windows: 64,
    calendar: Calendar::Unused,
};

fn given(values: Vec<f64>, seasons: &[usize], regressors: Vec<Vec<f64>>) -> Given {
    let (start, step) = (jiff::Timestamp::UNIX_EPOCH, Step::from_seconds(3_600).unwrap());
    let series = Series::new(start, step, values);
    Given { series, seasons: Seasons::given(seasons), regressors }
}

fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| draw.random_range(-1.0..1.0)).collect()
}

fn run(given: &[Given], options: &Options) -> Result<Outcome, TrainError> {
    train(given, options, &|| Duration::ZERO, &mut |_| ())
}

fn windows(given: &[Given], shape: Shape) -> Vec<Window> {
    let mut draw = ChaCha8Rng::seed_from_u64(9);
    let part = (Part::Learned, 0.2);
    given.iter().flat_map(|one| examples::windows(one, shape, part, 3, &mut draw)).collect()
}

/// Quantiles are told in units of the mean change over a season; large ones count by their size.
#[test]
fn inference_is_that_of_the_trainer() {
    let mut load = generated::load(3, 40);
    load.iter_mut()
        .for_each(|one| one.regressors = vec![noise(1, one.series.values().len() + 800)]);
    let mut draw = ChaCha8Rng::seed_from_u64(4);
    let calendar = Calendar::Used;
    let shape = Shape { cell: Shape::CELL, head: Shape::HEAD, regressors: 1, calendar };
    let windows = windows(&load, shape);
    assert!(windows.len() > 60, "{} windows", windows.len());
    let network = Network::new(shape, &mut draw).unwrap();
    let weights = network.weights(Origin { seed: 4, epochs: 0, loss: 0.0 }).unwrap();
    let batch = Batch::of(&windows.iter().collect::<Vec<_>>(), shape).unwrap();
    let trained = network.quantiles(&batch).unwrap().to_vec2::<f32>().unwrap();
    let plain: Vec<[f32; LEVELS.len()]> =
        windows.iter().flat_map(|window| examples::forecast(&weights, window)).collect();
    assert_eq!(trained.len(), plain.len());
    let mut most: f32 = 0.0;
    for (trained, plain) in trained.iter().zip(&plain) {
        for (trained, plain) in trained.iter().zip(plain) {
            most = most.max((trained - plain).abs() / plain.abs().max(1.0));
        }
    }
    assert!(most < 1e-5, "{most}");
    // And so is the loss that both are judged by.
    let sum = f64::from(network.loss(&batch).unwrap().to_scalar::<f32>().unwrap());
    let loss = sum / batch.count / LEVELS.len() as f64;
    let judged = examples::loss(&weights, &windows);
    assert!((loss / judged - 1.0).abs() < 1e-4, "{loss} {judged}");
    // A network that was read from a file says the same.
    let again = Network::of(&weights).unwrap().quantiles(&batch).unwrap();
    assert_eq!(again.to_vec2::<f32>().unwrap(), trained);
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let load = generated::load(1, 6);
    let options = Options { epochs: 2, ..SMALL };
    let (one, two) = (run(&load, &options).unwrap(), run(&load, &options).unwrap());
    assert!(one.weights.to_bytes() == two.weights.to_bytes());
    assert_eq!(one.curve, two.curve);
    let other = run(&load, &Options { seed: 6, ..options }).unwrap();
    assert_ne!(one.weights.id(), other.weights.id());
    let again = generated::load(1, 6);
    let bits = |all: &[Given]| -> Vec<u64> {
        all.iter().flat_map(|one| one.series.values().iter().map(|v| v.to_bits())).collect()
    };
    assert_eq!(bits(&load), bits(&again));
    assert_ne!(bits(&load), bits(&generated::load(2, 6)));
}

/// Nothing can be learned of noise but its spread: soon the held-out loss rises.
#[test]
fn training_ends_when_it_no_longer_helps() {
    let load = [given(noise(2, 300), &[], Vec::new())];
    let options = Options { epochs: 60, patience: 2, ..SMALL };
    let outcome = run(&load, &options).unwrap();
    assert_eq!(outcome.ended, Ended::Patience);
    let count = outcome.curve.len() as u32;
    assert!(count < 60, "{count} epochs");
    let least = outcome.curve.iter().map(|epoch| epoch.held_out).fold(f64::MAX, f64::min);
    assert_eq!(outcome.held_out, least);
    assert_eq!(outcome.weights.origin().epochs, count - options.patience);
    assert_eq!(outcome.weights.origin().loss, least as f32);
}

#[test]
fn training_ends_in_time_and_tells_every_epoch() {
    let load = generated::load(4, 3);
    let told = std::cell::RefCell::new(Vec::new());
    let limit = Some(Duration::from_secs(60));
    let options = Options { epochs: 9, limit, ..SMALL };
    // Each look at the clock finds half a minute more gone.
    let clock = || Duration::from_secs(30) * u32::try_from(told.borrow().len()).unwrap();
    let outcome =
        train(&load, &options, &clock, &mut |epoch: &Epoch| told.borrow_mut().push(*epoch));
    let outcome = outcome.unwrap();
    assert_eq!(outcome.ended, Ended::Time);
    assert_eq!(outcome.curve.len(), 2);
    assert_eq!(*told.borrow(), outcome.curve);
}

/// A column that explains most of the load is worth most of the loss.
#[test]
fn regressors_are_learned_from() {
    let column: Vec<f64> = noise(8, 900).iter().map(|n| f64::from(u8::from(*n > 0.5))).collect();
    let load = |i: usize| 10.0 + 5.0 * column[i] + 0.2 * noise(100 + i as u64, 1)[0];
    let values: Vec<f64> = (0..900).map(load).collect();
    let options = Options { epochs: 20, windows: 256, patience: 20, ..SMALL };
    let with = run(&[given(values.clone(), &[], vec![column.clone()])], &options).unwrap();
    let without = run(&[given(values, &[], Vec::new())], &options).unwrap();
    assert!(with.held_out < 0.85 * without.held_out, "{} {}", with.held_out, without.held_out);
    assert!(with.is_better(), "{}", with.shipped);
}

#[test]
fn what_cannot_be_trained_is_said() {
    let short = [given(noise(1, 20), &[], Vec::new())];
    let error = run(&short, &SMALL).unwrap_err();
    assert!(error.to_string().contains("none of the 1 series"), "{error}");
    assert!(matches!(run(&[], &SMALL), Err(TrainError::TooShort { series: 0 })));
    for options in [
        Options { held_out: 0.0, ..SMALL },
        Options { held_out: f64::NAN, ..SMALL },
        Options { held_out: 0.9, ..SMALL },
        Options { epochs: 0, ..SMALL },
    ] {
        assert!(matches!(run(&short, &options), Err(TrainError::Setting { .. })), "{options:?}");
    }
}

#[test]
fn gaps_and_constants_are_no_trouble() {
    let mut gaps: Vec<f64> = (0..500).map(|i| (i % 24) as f64).collect();
    gaps[200..330].fill(f64::NAN);
    let mut late = vec![f64::NAN; 350];
    late.extend((0..150).map(f64::from));
    let load = [
        given(vec![7.0; 500], &[24], Vec::new()),
        given(gaps, &[24], Vec::new()),
        given(late, &[], Vec::new()),
        given(vec![f64::NAN; 500], &[24], Vec::new()),
    ];
    let outcome = run(&load, &Options { epochs: 1, ..SMALL }).unwrap();
    assert!(outcome.held_out.is_finite());
}
