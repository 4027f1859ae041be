//! Trains the networks of `forecast::models::lstm` on the load of many series together.
//!
//! Training is by candle and apart from everything else, so that a build without it never
//! compiles a deep-learning library; inference is in `forecast`, in plain Rust. The same series,
//! options and seed give the same weights to the last bit, on one build and processor: windows are
//! drawn from the seed, every batch is cut into the same parts however many cores there are, and
//! the gradients of the parts are summed in their order.

mod batch;
pub mod generated;
mod network;
mod optimise;
pub mod settings;

use std::time::Duration;

use forecast::models::lstm::examples::{self, Given, Part, Window};
use forecast::models::lstm::{self, Calendar, Origin, Shape, Weights, WeightsError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use batch::Batch;
pub use network::Network;
use optimise::Descent;

/// How a network is trained.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What the first weights, and the windows, are drawn from.
    pub seed: u64,
    /// Epochs at most; the rate of learning falls towards the last one.
    pub epochs: u32,
    /// Training ends when so many epochs in a row have not lowered the held-out loss.
    pub patience: u32,
    /// No epoch begins after this time.
    pub limit: Option<Duration>,
    /// The share of the newest values of every series that is held out, 0 to 1.
    pub held_out: f64,
    /// Windows that are learned from in each epoch, over all series.
    pub windows: usize,
    /// Whether timestamps mean something.
    pub calendar: Calendar,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 20,
            patience: 4,
            limit: None,
            held_out: 0.2,
            windows: 4_096,
            calendar: Calendar::Used,
        }
    }
}

/// Where training has got to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub number: u32,
    /// The mean loss of the epoch on what is learned from, while it was learned.
    pub learned: f64,
    /// The loss on what is held out, after the epoch.
    pub held_out: f64,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are over.
    Epochs,
    /// The held-out loss has not fallen for too long.
    Patience,
    /// The time is up.
    Time,
}

/// A trained network.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its weights, as they were after the epoch with the least held-out loss.
    pub weights: Weights,
    /// All epochs.
    pub curve: Vec<Epoch>,
    /// Its held-out loss.
    pub held_out: f64,
    /// The loss of the network that is part of the program on the same values.
    pub shipped: f64,
    /// Why training ended.
    pub ended: Ended,
    /// How many series gave windows to learn from.
    pub series: usize,
}

impl Outcome {
    /// Whether the network is better than the one that is part of the program.
    pub fn is_better(&self) -> bool {
        self.held_out < self.shipped
    }
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No series is long enough.
    #[error(
        "none of the {series} series is long enough to learn from: give each at least two cycles \
         of its season, and some values to hold out"
    )]
    TooShort {
        /// How many series there are.
        series: usize,
    },
    /// Losses are no longer numbers.
    #[error("training diverged in epoch {epoch}: the loss is no longer finite")]
    Diverged {
        /// In which epoch.
        epoch: u32,
    },
    /// A setting is out of its range.
    #[error("{name} is {found}, and must be {wanted}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// The tensors failed.
    #[error("the tensors failed")]
    Tensors(#[from] candle_core::Error),
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Streams of the seed: first weights, held-out windows, and from here on the epochs.
const FIRST: u64 = 0;
const JUDGED: u64 = 1;
const EPOCHS: u64 = 2;

/// Trains a network. `clock` says how long it has taken so far; `tell` hears of every epoch.
pub fn train(
    given: &[Given],
    options: &Options,
    clock: &dyn Fn() -> Duration,
    tell: &mut dyn FnMut(&Epoch),
) -> Result<Outcome, TrainError> {
    checked(options)?;
    let regressors = given.first().map_or(0, |one| one.regressors.len());
    let shape =
        Shape { cell: Shape::CELL, head: Shape::HEAD, regressors, calendar: options.calendar };
    let judged = (options.windows / settings::JUDGED_SHARE).clamp(1, settings::JUDGED_MOST);
    let held_out =
        cut(given, shape, (Part::HeldOut, options.held_out), judged, draw(options, JUDGED));
    let mut series = 0;
    let network = Network::new(shape, &mut draw(options, FIRST))?;
    let mut descent = Descent::new(&network, options.epochs);
    let (mut curve, mut ended) = (Vec::new(), Ended::Epochs);
    let mut best: Option<(Weights, f64)> = None;
    for number in 1..=options.epochs {
        let seed = draw(options, EPOCHS + u64::from(number));
        let learned = cut(given, shape, (Part::Learned, options.held_out), options.windows, seed);
        series = learned.series;
        if learned.windows.is_empty() || held_out.windows.is_empty() {
            return Err(TrainError::TooShort { series: given.len() });
        }
        let loss = descent.epoch(&network, &learned.windows, number)?;
        let origin = Origin { seed: options.seed, epochs: number, loss: 0.0 };
        let weights = network.weights(origin)?;
        let judged = judge(&weights, &held_out.windows);
        if !loss.is_finite() || !judged.is_finite() {
            return Err(TrainError::Diverged { epoch: number });
        }
        let epoch = Epoch { number, learned: loss, held_out: judged };
        tell(&epoch);
        curve.push(epoch);
        if best.as_ref().is_none_or(|(_, least)| judged < *least) {
            best = Some((network.weights(Origin { loss: judged as f32, ..origin })?, judged));
        }
        let at = best.as_ref().map_or(number, |(weights, _)| weights.origin().epochs);
        if number - at >= options.patience {
            ended = Ended::Patience;
            break;
        }
        if number < options.epochs && options.limit.is_some_and(|limit| clock() >= limit) {
            ended = Ended::Time;
            break;
        }
    }
    let Some((weights, least)) = best else {
        return Err(TrainError::TooShort { series: given.len() });
    };
    let own = lstm::shipped();
    // The network that is part of the program knows no regressors: the same moments without them.
    let plain: Vec<Given> =
        given.iter().map(|one| Given { regressors: Vec::new(), ..one.clone() }).collect();
    let part = (Part::HeldOut, options.held_out);
    let same = cut(&plain, own.shape(), part, judged, draw(options, JUDGED));
    let shipped = judge(&own, &same.windows);
    Ok(Outcome { weights, curve, held_out: least, shipped, ended, series })
}

fn checked(options: &Options) -> Result<(), TrainError> {
    let bad = |name, found: String, wanted| Err(TrainError::Setting { name, found, wanted });
    if !(0.01..=0.5).contains(&options.held_out) {
        return bad("the held-out share", options.held_out.to_string(), "0.01 to 0.5");
    }
    if options.epochs == 0 || options.patience == 0 || options.windows == 0 {
        return bad("epochs, patience or windows", "0".to_owned(), "at least 1");
    }
    Ok(())
}

/// A stream of numbers of its own for each purpose.
fn draw(options: &Options, stream: u64) -> ChaCha8Rng {
    let mut draw = ChaCha8Rng::seed_from_u64(options.seed);
    draw.set_stream(stream);
    draw
}

struct Cut {
    windows: Vec<Window>,
    series: usize,
}

/// Windows of all series, an equal number of each; those of one do not depend on the others.
fn cut(
    given: &[Given],
    shape: Shape,
    part: (Part, f64),
    count: usize,
    mut draw: ChaCha8Rng,
) -> Cut {
    use rand::RngExt;
    // With more series than windows, which take part is drawn.
    let mut seeds: Vec<(usize, u64, usize)> = Vec::new();
    if given.len() <= count {
        let each = count.div_ceil(given.len().max(1));
        seeds.extend((0..given.len()).map(|which| (which, draw.random(), each)));
    } else {
        seeds.extend((0..count).map(|_| (draw.random_range(0..given.len()), draw.random(), 1)));
    }
    let one = |(which, seed, each): (usize, u64, usize)| {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        examples::windows(&given[which], shape, part, each, &mut draw)
    };
    let each: Vec<Vec<Window>> = seeds.into_par_iter().map(one).collect();
    let series = each.iter().filter(|own| !own.is_empty()).count();
    Cut { windows: each.into_iter().flatten().collect(), series }
}

/// The loss by the code that inference runs.
fn judge(weights: &Weights, windows: &[Window]) -> f64 {
    let parts: Vec<f64> =
        windows.par_chunks(32).map(|part| examples::loss(weights, part)).collect();
    let sizes = windows
        .chunks(32)
        .map(|part| part.iter().flat_map(|w| &w.targets).filter(|t| t.is_finite()).count() as f64);
    let (mut sum, mut count) = (0.0, 0.0);
    for (loss, size) in parts.into_iter().zip(sizes).filter(|(_, size)| *size > 0.0) {
        sum += loss * size;
        count += size;
    }
    sum / count
}
