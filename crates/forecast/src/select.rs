//! Which model, or which combination, forecasts best: by pinball loss over rolling origins.

use serde::{Deserialize, Serialize};

use crate::metrics;
use crate::quantile;
use crate::rolling::Rows;
use crate::settings;

/// How the forecasts of the members become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// The (weighted) mean.
    Mean,
    /// The median.
    Median,
}

/// The chosen members, as places in the list of models, with their weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blend {
    pub(crate) rule: Rule,
    pub(crate) members: Vec<(usize, f64)>,
}

impl Blend {
    /// One model alone.
    pub(crate) fn single(model: usize) -> Self {
        Self { rule: Rule::Mean, members: vec![(model, 1.0)] }
    }

    /// The combined value; `values` are those of the members, in their order.
    pub(crate) fn combine(&self, values: &mut [f64]) -> f64 {
        match self.rule {
            Rule::Mean => {
                let total: f64 = self.members.iter().map(|(_, w)| w).sum();
                self.members.iter().zip(values.iter()).map(|((_, w), v)| w * v).sum::<f64>() / total
            }
            Rule::Median => {
                values.sort_by(f64::total_cmp);
                let n = values.len();
                0.5 * (values[n / 2] + values[(n - 1) / 2])
            }
        }
    }

    /// The combined rows of past forecasts.
    pub(crate) fn rows(&self, models: &[Rows]) -> Vec<Vec<f64>> {
        let members: Vec<&Vec<Vec<f64>>> =
            self.members.iter().filter_map(|(m, _)| models[*m].as_ref()).collect();
        let origins = members.first().map_or(0, |rows| rows.len());
        let mut values = Vec::with_capacity(members.len());
        (0..origins)
            .map(|o| {
                (0..members[0][o].len())
                    .map(|h| {
                        values.clear();
                        values.extend(members.iter().map(|rows| rows[o][h]));
                        self.combine(&mut values)
                    })
                    .collect()
            })
            .collect()
    }
}

/// What the selection found.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) blend: Blend,
    pub(crate) loss: f64,
    /// The loss of each model alone; `None` if it could not be fitted.
    pub(crate) losses: Vec<Option<f64>>,
}

/// Chooses among the models and their combinations. `None` if no model gave forecasts.
pub(crate) fn choose(models: &[Rows], actual: &[Vec<f64>]) -> Option<Choice> {
    let losses: Vec<Option<f64>> =
        models.iter().map(|rows| rows.as_ref().map(|r| loss(r, actual))).collect();
    let mut order: Vec<usize> = (0..models.len()).filter(|m| losses[*m].is_some()).collect();
    order.sort_by(|a, b| losses[*a].unwrap_or(f64::MAX).total_cmp(&losses[*b].unwrap_or(f64::MAX)));
    let first = *order.first()?;
    let single = losses[first]?;
    let mut best = (single * (1.0 + settings::SIZE_PENALTY), Blend::single(first), single);
    for blend in combinations(&order, &losses) {
        let found = loss(&blend.rows(models), actual);
        let charged = found * (1.0 + settings::SIZE_PENALTY / blend.members.len() as f64);
        if charged < best.0 {
            best = (charged, blend, found);
        }
    }
    Some(Choice { blend: best.1, loss: best.2, losses })
}

/// The loss at the newer origins of what is chosen at the older ones, from values that had come by
/// then. `None` if there are too few origins, or no model.
pub(crate) fn held_out(models: &[Rows], actual: &[Vec<f64>], origins: &[usize]) -> Option<f64> {
    let newer = (origins.len() as f64 * settings::HELD_OUT_SHARE) as usize;
    let older = origins.len() - newer;
    if newer == 0 || older == 0 {
        return None;
    }
    let part = |range: std::ops::Range<usize>| -> Vec<Rows> {
        models.iter().map(|rows| rows.as_ref().map(|rows| rows[range.clone()].to_vec())).collect()
    };
    let end = origins[older];
    let known = |(came, origin): (&Vec<f64>, &usize)| {
        let known = end.saturating_sub(*origin);
        let step = |(h, value): (usize, &f64)| if h < known { *value } else { f64::NAN };
        came.iter().enumerate().map(step).collect()
    };
    let before: Vec<Vec<f64>> = actual.iter().zip(origins).take(older).map(known).collect();
    let chosen = choose(&part(0..older), &before)?;
    Some(loss(&chosen.blend.rows(&part(older..origins.len())), &actual[older..]))
}

/// Means and medians of the best few, and the mean of all good ones weighted by their loss.
fn combinations(order: &[usize], losses: &[Option<f64>]) -> Vec<Blend> {
    let mut list = Vec::new();
    for size in 2..=order.len().min(settings::BLEND_MOST) {
        let members: Vec<(usize, f64)> = order[..size].iter().map(|m| (*m, 1.0)).collect();
        if size >= 3 {
            list.push(Blend { rule: Rule::Median, members: members.clone() });
        }
        list.push(Blend { rule: Rule::Mean, members });
    }
    let least = losses[order[0]].unwrap_or(0.0);
    if least > 0.0 {
        let members: Vec<(usize, f64)> = order
            .iter()
            .take(settings::BLEND_WEIGHTED_MOST)
            .map(|m| (*m, (least / losses[*m].unwrap_or(f64::MAX)).powf(settings::BLEND_POWER)))
            .filter(|(_, weight)| *weight > settings::BLEND_LEAST_WEIGHT)
            .collect();
        list.push(Blend { rule: Rule::Mean, members });
    }
    list
}

/// The mean pinball loss over the planning levels, each with the quantile of its own errors,
/// per band of steps, so that near and far steps weigh by their own size.
pub(crate) fn loss(rows: &[Vec<f64>], actual: &[Vec<f64>]) -> f64 {
    let horizon = actual.first().map_or(0, Vec::len);
    let stride = horizon.div_ceil(settings::SCORED_STEPS).max(1);
    let mut total = 0.0;
    let mut from = 0;
    let mut bands = 0;
    while from < horizon {
        let to = (2 * from + 2).min(horizon);
        let mut errors: Vec<f64> = rows
            .iter()
            .zip(actual)
            .flat_map(|(row, came)| (from..to).step_by(stride).map(|h| came[h] - row[h]))
            .filter(|e| e.is_finite())
            .collect();
        if !errors.is_empty() {
            total += mean_pinball(&mut errors);
            bands += 1;
        }
        from = to;
    }
    if bands == 0 { f64::MAX } else { total / f64::from(bands) }
}

fn mean_pinball(errors: &mut [f64]) -> f64 {
    errors.sort_by(f64::total_cmp);
    let mut sum = 0.0;
    for level in settings::PLANNING_LEVELS {
        let at = quantile::of_sorted(errors, level);
        sum += errors.iter().map(|e| metrics::pinball(*e, at, level)).sum::<f64>();
    }
    sum / (errors.len() * settings::PLANNING_LEVELS.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actual() -> Vec<Vec<f64>> {
        (0..40).map(|o| (0..6).map(|h| f64::from((o * 7 + h * 3) % 11)).collect()).collect()
    }

    fn shifted(size: f64, seed: f64) -> Rows {
        let wave = |o: usize, h: usize| ((o * 13 + h * 5) as f64 * seed).sin();
        let rows = actual();
        Some(
            rows.iter()
                .enumerate()
                .map(|(o, r)| r.iter().enumerate().map(|(h, v)| v + size * wave(o, h)).collect())
                .collect(),
        )
    }

    #[test]
    fn the_best_model_wins_where_the_others_add_nothing() {
        let choice = choose(&[shifted(3.0, 1.1), shifted(0.01, 0.7), None], &actual()).unwrap();
        assert_eq!(choice.blend.members[0].0, 1);
        assert!(choice.losses[2].is_none());
        let rows = choice.blend.rows(&[shifted(3.0, 1.1), shifted(0.01, 0.7), None]);
        assert!(loss(&rows, &actual()) < 0.02);
    }

    #[test]
    fn equally_good_models_are_combined() {
        let models = [shifted(1.0, 1.1), shifted(1.0, 2.3), shifted(1.0, 0.37)];
        let choice = choose(&models, &actual()).unwrap();
        assert!(choice.blend.members.len() >= 2);
        assert!(choice.loss < choice.losses.iter().flatten().copied().fold(f64::MAX, f64::min));
    }

    #[test]
    fn a_median_ignores_one_wild_member() {
        let blend = Blend { rule: Rule::Median, members: vec![(0, 1.0), (1, 1.0), (2, 1.0)] };
        assert_eq!(blend.combine(&mut [2.0, 1e9, 3.0]), 3.0);
    }

    #[test]
    fn what_is_held_out_is_judged_and_not_chosen_by() {
        let (actual, origins) = (actual(), (0..40).map(|o| 100 + o).collect::<Vec<_>>());
        // The one is right at the older origins and the other at the newer ones.
        let turned = |older: f64, newer: f64| -> Rows {
            let rows = |size| shifted(size, 1.1).unwrap();
            let (older, newer) = (rows(older), rows(newer));
            Some(
                (0..40).map(|o| if o < 26 { older[o].clone() } else { newer[o].clone() }).collect(),
            )
        };
        let models = [turned(0.01, 3.0), turned(3.0, 0.01)];
        let found = held_out(&models, &actual, &origins).unwrap();
        let first = loss(&models[0].as_ref().unwrap()[27..], &actual[27..]);
        assert!((found / first - 1.0).abs() < 0.1, "{found} {first}");
        assert_eq!(held_out(&models, &actual[..1], &origins[..1]), None);
        assert_eq!(held_out(&[None], &actual, &origins), None);
        // Values that come at the newer origins say nothing of the older ones: the third, right
        // about these alone, is not chosen.
        let late = |o: usize, h: usize| if o + h >= 27 { 0.0 } else { 3.0 };
        let third = (0..40)
            .map(|o| {
                (0..6)
                    .map(|h| actual[o][h] + late(o, h) * (((o * 13 + h * 5) as f64) * 0.7).sin())
                    .collect()
            })
            .collect();
        let same = held_out(&[turned(1.0, 1.0), Some(third)], &actual, &origins).unwrap();
        assert!(same > 0.1, "{same}");
    }

    #[test]
    fn nothing_fitted_is_no_choice() {
        assert!(choose(&[None], &actual()).is_none());
    }
}
