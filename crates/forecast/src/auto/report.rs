//! What a fit found, for people.

use std::fmt;

use domain::series::Series;

use crate::models::{FitError, Fitted};
use crate::season::Seasons;
use crate::select::Choice;
use crate::settings;

/// How one model did.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReport {
    /// The name of the model.
    pub name: &'static str,
    /// Its mean pinball loss over rolling origins, in the unit of the series, if it ran.
    pub loss: Option<f64>,
    /// Its weight in the forecast, 0 to 1.
    pub weight: f64,
    /// Why it could not be fitted.
    pub failure: Option<FitError>,
}

/// Something about the series that makes the forecast worth less.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            Self::Sparse { percent } => write!(f, "{percent} % of the steps have no value"),
        }
    }
}

/// What a fit found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The model or combination that forecasts.
    pub chosen: String,
    /// Its mean pinball loss over rolling origins, in the unit of the series.
    pub loss: f64,
    /// Every model that was tried, best first.
    pub models: Vec<ModelReport>,
    /// The seasons, in steps.
    pub seasons: Seasons,
    /// What was odd about the series.
    pub notes: Vec<Note>,
}

impl Report {
    pub(super) fn of(
        names: &[&'static str],
        choice: &Choice,
        fitted: &[Result<Box<dyn Fitted>, FitError>],
        seasons: &Seasons,
        series: &Series,
        chosen: &str,
    ) -> Self {
        let total: f64 = choice.blend.members.iter().map(|(_, w)| w).sum();
        let weight = |model: usize| {
            choice.blend.members.iter().find(|(m, _)| *m == model).map_or(0.0, |(_, w)| w / total)
        };
        let mut models: Vec<ModelReport> = names
            .iter()
            .enumerate()
            .map(|(m, name)| ModelReport {
                name,
                loss: choice.losses[m],
                weight: weight(m),
                failure: fitted[m].as_ref().err().cloned(),
            })
            .collect();
        let key = |m: &ModelReport| m.loss.unwrap_or(f64::INFINITY);
        models.sort_by(|a, b| key(a).total_cmp(&key(b)));
        Self {
            chosen: chosen.to_owned(),
            loss: choice.loss,
            models,
            seasons: seasons.clone(),
            notes: notes(series, seasons),
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
