//! What a fit found, for people.

use std::fmt;
use std::time::Duration;

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::tried::Tried;
use crate::season::Seasons;
use crate::select::Choice;
use crate::settings;
use crate::signals::SignalsReport;

/// How one model did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// The name of the model.
    pub name: String,
    /// Its mean pinball loss over rolling origins, in the unit of the series, if it ran.
    pub loss: Option<f64>,
    /// Its weight in the forecast now, 0 to 1, averaged over the bands of horizons; what a
    /// combination has is spread over its members.
    pub weight: f64,
    /// Why it takes no part.
    pub failure: Option<Failure>,
    /// What it adds to the choice, where that was judged: of every candidate, and of every model
    /// where that was asked for.
    pub added: Option<Added>,
    /// The time that it took, at past origins and on the whole series, where there is a clock.
    pub spent: Option<Duration>,
}

/// What a model adds to a choice: mean pinball losses at the newest third of the past origins of
/// what is chosen at the others, in the unit of the series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// The loss of what is chosen without it; `NaN` if nothing is left.
    pub without: f64,
    /// The loss of what is chosen with it.
    pub with: f64,
}

impl Added {
    /// The share of the loss that it saves; negative where the choice is worse with it, and
    /// nothing where there is no loss.
    pub fn saves(&self) -> f64 {
        if self.without > 0.0 { 1.0 - self.with / self.without } else { 0.0 }
    }
}

/// Who forecasts how far ahead, and how well they have done lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandReport {
    /// Steps ahead for which the weights hold; between two bands they are interpolated.
    pub steps_ahead: usize,
    /// Each expert (the models that live on, then their combination): its name, its weight, and
    /// its discounted mean pinball loss in the unit of the series.
    pub experts: Vec<(String, f64, f64)>,
}

/// Something about the series that makes the forecast worth less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// So few values that widths rest on assumptions.
    Short {
        /// How many values there are.
        values: usize,
    },
    /// All values are the same.
    Constant,
    /// No season was found or given.
    NoSeason,
    /// The load collapsed for a while: taken for outages, not for demand.
    Outages {
        /// How many steps.
        steps: usize,
    },
    /// Samples that were measured at saturation.
    Saturated {
        /// How many steps.
        steps: usize,
    },
    /// A large share of the grid is empty.
    Sparse {
        /// The share of gaps in percent.
        percent: u8,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { values } => {
                write!(f, "only {values} values: the width of the forecast is an assumption")
            }
            Self::Constant => f.write_str("all values are the same"),
            Self::NoSeason => f.write_str("no season was found"),
            Self::Outages { steps } => {
                write!(f, "{steps} steps with almost no load were taken for outages")
            }
            Self::Saturated { steps } => {
                write!(f, "{steps} steps were measured at saturation: lower bounds of the demand")
            }
            Self::Sparse { percent } => write!(f, "{percent} % of the steps have no value"),
        }
    }
}

/// What a fit found, and what has become of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The model or combination that has the most weight.
    pub chosen: String,
    /// Its mean pinball loss over rolling origins, in the unit of the series.
    pub loss: f64,
    /// Every model that was tried, best first.
    pub models: Vec<ModelReport>,
    /// The live weights, nearest steps first.
    pub bands: Vec<BandReport>,
    /// The seasons, in steps.
    pub seasons: Seasons,
    /// What was odd about the series.
    pub notes: Vec<Note>,
    /// What the signals brought, if some were given. Not saved with a forecaster.
    #[serde(skip)]
    pub signals: Option<SignalsReport>,
}

impl Report {
    /// Of a fit; weights and bands are those of the moment and are filled in when asked for.
    pub(super) fn of(choice: &Choice, tried: Tried, seasons: &Seasons, series: &Series) -> Self {
        let Tried { names, failures, spent, added, .. } = tried;
        let each = names.iter().zip(&choice.losses).zip(failures).zip(spent).zip(added);
        let mut models: Vec<ModelReport> = each
            .map(|((((name, loss), failure), spent), added)| ModelReport {
                name: (*name).to_owned(),
                loss: *loss,
                weight: 0.0,
                failure,
                added,
                spent,
            })
            .collect();
        let key = |m: &ModelReport| m.loss.unwrap_or(f64::INFINITY);
        models.sort_by(|a, b| key(a).total_cmp(&key(b)));
        Self {
            chosen: String::new(),
            loss: choice.loss,
            models,
            bands: Vec::new(),
            seasons: seasons.clone(),
            notes: notes(series, seasons),
            signals: None,
        }
    }
}

fn notes(series: &Series, seasons: &Seasons) -> Vec<Note> {
    let values = series.values();
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let mut notes = Vec::new();
    if finite.len() < settings::FEW_VALUES {
        notes.push(Note::Short { values: finite.len() });
    }
    if finite.windows(2).all(|w| w[0] == w[1]) {
        notes.push(Note::Constant);
    } else if seasons.periods().is_empty() {
        notes.push(Note::NoSeason);
    }
    let percent = 100 * (values.len() - finite.len()) / values.len().max(1);
    if percent >= settings::SPARSE_PERCENT {
        notes.push(Note::Sparse { percent: u8::try_from(percent).unwrap_or(100) });
    }
    notes
}
