//! What a strategy came to over all instants.

use std::collections::{BTreeMap, BTreeSet};

use plan::{uniform, upper_bound};
use serde::Serialize;

use super::settings::{BOOTSTRAP_DRAWS, CONFIDENCE};
use super::{Ended, Row, Strategy};

/// One line of the table. Sums are over the rollouts that were performed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The name of the strategy.
    pub strategy: String,
    /// Instants at which it was asked for.
    pub rollouts: usize,
    /// … of which no plan fitted, or nothing that it needs is offered.
    pub refused: usize,
    /// … of which the last server was back after the deadline, or never.
    pub late: usize,
    /// … of which any minute had attributable overload.
    pub breached: usize,
    /// The share of these in the rollouts that were performed.
    pub breached_share: f64,
    /// Its one-sided lower bound by bootstrap over days.
    pub breached_lower95: f64,
    /// Its one-sided upper bound.
    pub breached_upper95: f64,
    /// Minutes of attributable overload.
    pub attributable_minutes: f64,
    /// Minutes in which the whole fleet could not have carried the load either.
    pub baseline_minutes: f64,
    /// Extra instance-hours.
    pub instance_hours: f64,
    /// What they cost.
    pub cost: f64,
    /// Mean minutes from the first order or removal until the last server was back.
    pub mean_duration_minutes: Option<f64>,
    /// Mean cost above that of the clairvoyant, where both performed the rollout.
    pub mean_regret: Option<f64>,
}

impl Row {
    /// Whether the rollout was performed, in whole or in part.
    pub fn performed(&self) -> bool {
        !matches!(self.course.ended, Ended::Refused | Ended::Unavailable)
    }

    /// Whether the rollout lacked capacity at any moment.
    pub fn breached(&self) -> bool {
        self.account.attributable_minutes > 0.0
    }
}

/// The summary of every strategy, in the order of the rows.
pub fn summaries(rows: &[Row], seed: u64) -> Vec<Summary> {
    let mut order: Vec<Strategy> = Vec::new();
    for row in rows {
        if !order.contains(&row.strategy) {
            order.push(row.strategy);
        }
    }
    let foreseen: BTreeMap<(&str, i64), f64> = rows
        .iter()
        .filter(|row| row.strategy == Strategy::Clairvoyant && row.performed())
        .map(|row| ((row.block.as_str(), row.instant.as_second()), row.account.cost))
        .collect();
    let of = |strategy: &Strategy| {
        let own: Vec<&Row> = rows.iter().filter(|row| row.strategy == *strategy).collect();
        summary(*strategy, &own, &foreseen, seed)
    };
    order.iter().map(of).collect()
}

fn summary(
    strategy: Strategy,
    rows: &[&Row],
    foreseen: &BTreeMap<(&str, i64), f64>,
    seed: u64,
) -> Summary {
    let performed: Vec<&Row> = rows.iter().copied().filter(|row| row.performed()).collect();
    let late = |row: &&&Row| matches!(row.course.ended, Ended::Late | Ended::Unfinished);
    let breached = performed.iter().filter(|row| row.breached()).count();
    let sum = |value: fn(&Row) -> f64| performed.iter().map(|row| value(row)).sum::<f64>();
    let blocks: Vec<(&str, bool)> =
        performed.iter().map(|row| (row.block.as_str(), row.breached())).collect();
    let (lower, upper) = bounds(&blocks, seed);
    let regrets = performed.iter().filter_map(|row| {
        let least = foreseen.get(&(row.block.as_str(), row.instant.as_second()))?;
        Some(row.account.cost - least)
    });
    let rolls = strategy != Strategy::None;
    Summary {
        strategy: strategy.to_string(),
        rollouts: rows.len(),
        refused: rows.len() - performed.len(),
        late: performed.iter().filter(late).count(),
        breached,
        breached_share: breached as f64 / performed.len().max(1) as f64,
        breached_lower95: lower,
        breached_upper95: upper,
        attributable_minutes: sum(|row| row.account.attributable_minutes),
        baseline_minutes: sum(|row| row.account.baseline_minutes),
        instance_hours: sum(|row| row.account.instance_hours),
        cost: sum(|row| row.account.cost),
        mean_duration_minutes: mean(
            performed.iter().filter_map(|row| row.account.duration_minutes),
        ),
        mean_regret: mean(regrets.filter(|_| rolls)),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// One-sided bounds of the share of rollouts that were breached, by a bootstrap that draws whole
/// blocks (Efron 1979; blocks because rollouts of one day share their load). Where no block or
/// every block was breached a bootstrap has nothing to draw from; there the missing bound is that
/// of Clopper and Pearson for as many trials as there are blocks.
pub fn bounds(rows: &[(&str, bool)], seed: u64) -> (f64, f64) {
    let mut blocks: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (block, breached) in rows {
        let entry = blocks.entry(block).or_default();
        entry.0 += f64::from(u8::from(*breached));
        entry.1 += 1.0;
    }
    let blocks: Vec<(f64, f64)> = blocks.into_values().collect();
    if blocks.is_empty() {
        return (0.0, 1.0);
    }
    let kinds: BTreeSet<bool> = rows.iter().map(|(_, breached)| *breached).collect();
    let one = upper_bound(0.0, blocks.len(), CONFIDENCE);
    if kinds.len() == 1 {
        return if kinds.contains(&true) { (1.0 - one, 1.0) } else { (0.0, one) };
    }
    let share = |draw: u32| {
        let pick = |nth: usize| {
            let at = uniform(seed, [u64::from(draw), nth as u64, 1]) * blocks.len() as f64;
            blocks[(at as usize).min(blocks.len() - 1)]
        };
        let sum = (0..blocks.len()).map(pick).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        sum.0 / sum.1
    };
    let mut shares: Vec<f64> = (0..BOOTSTRAP_DRAWS).map(share).collect();
    shares.sort_by(f64::total_cmp);
    let at = |level: f64| shares[((shares.len() - 1) as f64 * level).round() as usize];
    (at(1.0 - CONFIDENCE), at(CONFIDENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_enclose_the_share_and_know_that_days_belong_together() {
        let days: Vec<String> = (0..50).map(|day| day.to_string()).collect();
        let apart = |n: usize| (days[n / 4].as_str(), n.is_multiple_of(10));
        let rows: Vec<_> = (0..200).map(apart).collect();
        let (low, high) = bounds(&rows, 1);
        assert!(low < 0.1 && 0.1 < high && high < 0.15, "{low} {high}");
        let together = |n: usize| (days[n / 4].as_str(), (n / 4).is_multiple_of(10));
        let rows: Vec<_> = (0..200).map(together).collect();
        let (_, wide) = bounds(&rows, 1);
        assert!(wide > high, "{wide} {high}");
        let none: Vec<_> = days.iter().map(|day| (day.as_str(), false)).collect();
        let (low, high) = bounds(&none, 1);
        // 1 − 0.05^(1/50)
        assert!(low == 0.0 && (high - 0.0582).abs() < 1e-3, "{high}");
    }
}
