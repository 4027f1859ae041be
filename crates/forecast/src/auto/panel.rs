//! The experts of one forecaster: the models that were kept, and their best combination.

use serde::{Deserialize, Serialize};

use super::event::Failure;
use crate::calibrate::Bounds;
use crate::guard::guarded;
use crate::models::{self, Fitted, Observation, Regressors};
use crate::select::{Blend, Rule};
use crate::signals::{self, Lifted};
use crate::state::StateError;

/// A model that was kept; without its state once it was dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "SavedMember", try_from = "SavedMember")]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) fitted: Option<Box<dyn Fitted>>,
}

#[derive(Serialize, Deserialize)]
struct SavedMember {
    name: String,
    state: Option<Vec<u8>>,
}

impl From<Member> for SavedMember {
    fn from(member: Member) -> Self {
        Self { name: member.name, state: member.fitted.map(|fitted| fitted.save()) }
    }
}

impl TryFrom<SavedMember> for Member {
    type Error = StateError;
    fn try_from(saved: SavedMember) -> Result<Self, StateError> {
        let SavedMember { name, state } = saved;
        let Some(state) = state else { return Ok(Self { name, fitted: None }) };
        if let Some(fitted) = signals::restore(&name, &state) {
            return Ok(Self { name, fitted: Some(fitted?) });
        }
        let Some(model) = models::by_name(&name) else {
            return Err(StateError::UnknownModel { name });
        };
        Ok(Self { name, fitted: Some(model.restore(&state)?) })
    }
}

/// Experts are numbered: the members first, the combination last.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Panel {
    members: Vec<Member>,
    blend: Blend,
    blend_name: String,
}

/// What every expert says, step by step; empty if it says nothing.
pub(super) type Sayings = Vec<Vec<f64>>;

impl Panel {
    /// The members and how some of them are combined.
    pub(super) fn new(members: Vec<Member>, blend: Blend) -> Self {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let blend_name = blend_name(&blend, &names);
        Self { members, blend, blend_name }
    }

    /// How many experts there are.
    pub(super) fn count(&self) -> usize {
        self.members.len() + 1
    }

    /// The number of the combination.
    pub(super) fn combination(&self) -> usize {
        self.members.len()
    }

    pub(super) fn name(&self, expert: usize) -> &str {
        self.members.get(expert).map_or(&self.blend_name, |member| &member.name)
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The weights of the experts, with that of a combination of one model given to the model.
    pub(super) fn merged(&self, mut weights: Vec<f64>) -> Vec<f64> {
        if let [(only, _)] = self.blend.members[..] {
            weights[only] += std::mem::take(&mut weights[self.members.len()]);
        }
        weights
    }

    /// Spreads the weight of the combination over its members: one weight per member.
    pub(super) fn spread(&self, weights: &[f64]) -> Vec<f64> {
        let mut spread = weights[..self.members.len()].to_vec();
        let total: f64 = self.blend.members.iter().map(|(_, w)| w).sum();
        for (member, weight) in &self.blend.members {
            spread[*member] += weights[self.members.len()] * weight / total;
        }
        spread
    }

    /// The forecasts of all experts that are `wanted`, within `bounds`, and what went wrong.
    pub(super) fn say(
        &self,
        horizon: usize,
        bounds: Bounds,
        wanted: impl Fn(usize) -> bool,
    ) -> (Sayings, Vec<(usize, Failure)>) {
        let mut failures = Vec::new();
        let combined = wanted(self.combination());
        let in_blend = |m: usize| combined && self.blend.members.iter().any(|(b, _)| *b == m);
        let mut said: Sayings = vec![Vec::new(); self.members.len()];
        for (m, member) in self.members.iter().enumerate() {
            let Some(fitted) = &member.fitted else { continue };
            if !wanted(m) && !in_blend(m) {
                continue;
            }
            match guarded(|| fitted.forecast(horizon, &Regressors::NONE).centre) {
                Err(message) => failures.push((m, Failure::Panicked { message })),
                Ok(row) if row.len() != horizon || row.iter().any(|v| !v.is_finite()) => {
                    failures.push((m, Failure::NotFinite));
                }
                Ok(mut row) => {
                    if row.iter().any(|v| bounds.is_far_outside(*v)) {
                        failures.push((m, Failure::Diverged));
                    }
                    row.iter_mut().for_each(|v| *v = bounds.clamp(*v));
                    said[m] = row;
                }
            }
        }
        said.push(if combined { self.combine(&said, horizon) } else { Vec::new() });
        (said, failures)
    }

    fn combine(&self, said: &[Vec<f64>], horizon: usize) -> Vec<f64> {
        let rows: Vec<&Vec<f64>> = self.blend.members.iter().map(|(m, _)| &said[*m]).collect();
        if rows.is_empty() || rows.iter().any(|row| row.is_empty()) {
            return Vec::new();
        }
        let mut values = Vec::with_capacity(rows.len());
        (0..horizon)
            .map(|h| {
                values.clear();
                values.extend(rows.iter().map(|row| row[h]));
                self.blend.combine(&mut values)
            })
            .collect()
    }

    /// Hands the next value (`NaN` for a gap) to every model.
    pub(super) fn update(&mut self, value: f64) -> Vec<(usize, Failure)> {
        let mut failures = Vec::new();
        for (m, member) in self.members.iter_mut().enumerate() {
            let Some(fitted) = &mut member.fitted else { continue };
            if let Err(message) = guarded(|| fitted.update(Observation::of(value))) {
                failures.push((m, Failure::Panicked { message }));
            }
        }
        failures
    }

    /// Drops a model. Returns the experts that are gone with it: the combination too, if this
    /// was the last of its members.
    pub(super) fn leave_out(&mut self, member: usize) -> Vec<usize> {
        let Some(slot) = self.members.get_mut(member) else { return Vec::new() };
        slot.fitted = None;
        self.blend.members.retain(|(m, _)| *m != member);
        if self.blend.members.is_empty() { vec![member, self.combination()] } else { vec![member] }
    }
}

/// Combinations of up to so many models are named by their members; the report has all of them.
const SPELLED_OUT: usize = 3;

fn blend_name(blend: &Blend, names: &[&str]) -> String {
    let members: Vec<&str> = blend.members.iter().map(|(m, _)| names[*m]).collect();
    let rule = match blend.rule {
        Rule::Mean => "mean",
        Rule::Median => "median",
    };
    match members.as_slice() {
        [one] => (*one).to_owned(),
        few if few.len() <= SPELLED_OUT => format!("{rule}({})", few.join(", ")),
        many => {
            let lifted = many.iter().filter(|name| Lifted::is(name)).count();
            let count = many.len();
            match lifted {
                0 => format!("{rule} of {count} models"),
                all if all == count => format!("{rule} of {count} models with signals"),
                some => format!("{rule} of {count} models, {some} with signals"),
            }
        }
    }
}
