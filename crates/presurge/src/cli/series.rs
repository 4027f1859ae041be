//! What `forecast`, `backtest` and `train` have in common: a file of series, and how it is
//! modelled.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::load::file::read_series;
use clap::Args;
use domain::config::PositiveSpan;
use domain::series::Series;
use forecast::hygiene::{Hygiene, clean};
use forecast::models::NAMES;
use forecast::models::lstm::Weights;
use forecast::{Account, Budget, Fleet, ModelChoice, Options, SeasonChoice, ThreadClock};
use rustix::time::{ClockId, clock_gettime};

use super::Failed;
use crate::causes::chain;

/// The most warnings that are shown.
const MAX_WARNINGS: usize = 20;

/// The longest season, in steps.
const LONGEST_SEASON: usize = 100_000;

/// No file of weights is larger, in bytes.
const LARGEST_WEIGHTS: u64 = 64 << 20;

/// Series, and their seasons.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// A CSV file with the columns unique_id (optional), ds and y
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Seasons in steps, for instance 24,168; or auto
    #[arg(long, value_name = "auto|N[,N]", default_value = "auto")]
    season: Seasons,
}

/// Series, and how they are modelled.
#[derive(Debug, Clone, Args)]
pub struct SeriesArgs {
    #[command(flatten)]
    history: HistoryArgs,
    /// Models by name, for instance seasonal-naive,rho; or auto
    #[arg(long, value_name = "auto|NAME[,NAME]", default_value = "auto")]
    models: Models,
    /// How long the fit of one series may take, for instance 200ms; models that do not fit in
    /// are left out, and said so
    #[arg(long, value_name = "DURATION")]
    budget: Option<PositiveSpan>,
    /// Weights of a network that `presurge train` wrote: they take the place of the model lstm
    /// that is part of the program, and take part in the automatic choice
    #[arg(long, value_name = "FILE")]
    lstm: Option<PathBuf>,
    /// Say what each model adds to the choice, and what it costs: the choice is made once more
    /// without each of them
    #[arg(long)]
    added: bool,
}

/// One series of the file.
pub struct Named {
    /// Its `unique_id`.
    pub name: String,
    /// The cleaned series.
    pub series: Series,
}

#[derive(Debug, Clone)]
struct Seasons(SeasonChoice);

impl FromStr for Seasons {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(SeasonChoice::Auto));
        }
        let one = |part: &str| match part.trim().parse::<usize>() {
            Ok(steps) if (2..=LONGEST_SEASON).contains(&steps) => Ok(steps),
            _ => Err(format!("{part:?} is no season: give 2 to {LONGEST_SEASON} steps, or auto")),
        };
        Ok(Self(SeasonChoice::Given(text.split(',').map(one).collect::<Result<_, _>>()?)))
    }
}

#[derive(Debug, Clone)]
struct Models(ModelChoice);

impl FromStr for Models {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(ModelChoice::Auto));
        }
        let one = |part: &str| {
            let name = part.trim();
            if NAMES.contains(&name) {
                return Ok(name.to_owned());
            }
            Err(format!("there is no model {name:?}{}", domain::config::hint(name, NAMES)))
        };
        Ok(Self(ModelChoice::Named(text.split(',').map(one).collect::<Result<_, _>>()?)))
    }
}

impl HistoryArgs {
    /// Reads and cleans every series of the file. What is odd about one is said on standard
    /// error; one that cannot be used at all is an error.
    pub fn read(&self) -> Result<Vec<Named>, Failed> {
        let mut all = Vec::new();
        let mut warnings = Vec::new();
        for (name, samples) in read_series(&self.file).map_err(Failed::data)? {
            let clean = clean(&samples, &Hygiene::default()).map_err(|error| {
                Failed::data(format!("{}: series {name}: {}", self.file.display(), chain(&error)))
            })?;
            warnings.extend(clean.warnings.iter().map(|warning| format!("{name}: {warning}")));
            all.push(Named { name, series: clean.series });
        }
        warn(&warnings);
        Ok(all)
    }

    /// The seasons that were asked for.
    #[cfg(feature = "train")]
    pub fn seasons(&self) -> &SeasonChoice {
        &self.season.0
    }
}

impl SeriesArgs {
    /// Reads and cleans every series of the file, see [`HistoryArgs::read`].
    pub fn read(&self) -> Result<Vec<Named>, Failed> {
        self.history.read()
    }

    /// How the series are modelled as far as `horizon` steps.
    pub fn options(&self, horizon: usize) -> Result<Options, Failed> {
        Ok(Options {
            seasons: self.history.season.0.clone(),
            models: self.models.0.clone(),
            lstm: self.lstm.as_deref().map(weights).transpose()?,
            horizon: Some(horizon),
            budget: self.budget.map(|limit| {
                #[allow(clippy::disallowed_methods, reason = "the budget is this machine's time")]
                let begun = Instant::now();
                Budget::new(limit.duration(), move || begun.elapsed())
            }),
            account: if self.added { Account::Every } else { Account::Candidates },
            clock: Some(ThreadClock::new(thread_time)),
            ..Options::default()
        })
    }

    /// The same with what all series of the file have taught the models that gain from it.
    pub fn taught(&self, all: &[Named], options: Options) -> Result<Options, Failed> {
        let series: Vec<Series> = all.iter().map(|named| named.series.clone()).collect();
        let fleet = Fleet::of(&series, &options).map_err(|error| Failed::data(chain(&error)))?;
        Ok(Options { fleet, ..options })
    }

    /// Whether it is to be said what each model adds.
    pub fn asks_for_added(&self) -> bool {
        self.added
    }

    /// The names of the models that were asked for, or all.
    pub fn model_names(&self) -> Vec<&str> {
        match &self.models.0 {
            ModelChoice::Auto => NAMES.to_vec(),
            ModelChoice::Named(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

/// Reads a file of weights.
fn weights(path: &Path) -> Result<Arc<Weights>, Failed> {
    let failed = |reason: &dyn std::fmt::Display| {
        Failed::data(format!("--lstm {}: {reason}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(LARGEST_WEIGHTS + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LARGEST_WEIGHTS {
        return Err(failed(&"it is too large for a file of weights"));
    }
    Ok(Arc::new(Weights::from_bytes(&bytes).map_err(|error| failed(&error))?))
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    seconds + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// Says warnings, but not endlessly many.
pub fn warn(warnings: &[String]) {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        eprintln!("warning: {warning}");
    }
    if warnings.len() > MAX_WARNINGS {
        eprintln!("warning: … and {} more", warnings.len() - MAX_WARNINGS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_thread_is_its_own() {
        let before = thread_time();
        let sum = (0..5_000_000_u64).fold(0, |sum: u64, i| sum.wrapping_mul(31).wrapping_add(i));
        assert_ne!(std::hint::black_box(sum), 0);
        let worked = thread_time() - before;
        std::thread::sleep(Duration::from_millis(50));
        let slept = thread_time() - before - worked;
        assert!(worked > Duration::from_micros(100) && slept < Duration::from_millis(40));
    }

    #[test]
    fn seasons_and_models_are_checked_at_the_door() {
        assert_eq!("24,168".parse::<Seasons>().unwrap().0, SeasonChoice::Given(vec![24, 168]));
        assert_eq!("auto".parse::<Models>().unwrap().0, ModelChoice::Auto);
        for bad in ["", "0", "1", "-5", "24,", "day", "999999999"] {
            assert!(bad.parse::<Seasons>().is_err(), "{bad:?}");
        }
        let error = "seasonal-naif".parse::<Models>().unwrap_err();
        assert!(error.contains("did you mean \"seasonal-naive\""), "{error}");
    }
}
