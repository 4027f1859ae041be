//! Tells outages and wild values from load while samples come in.

use domain::series::Step;
use serde::{Deserialize, Serialize};

use super::outage::{believed_after, collapse, regular, runs};
use crate::models;
use crate::settings;

/// What is usual, and how long it has not been so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// Load at or below this has collapsed.
    limit: Option<f64>,
    believed_after: usize,
    /// Steps that the present collapse has lasted.
    collapsed: usize,
    /// Values beyond these are wild.
    usual: Option<(f64, f64)>,
    /// Wild values in a row.
    wild: usize,
}

impl Watch {
    /// Knows what is usual from the history.
    pub(crate) fn over(values: &[f64], step: Step) -> Self {
        let newest = &values[values.len().saturating_sub(settings::MAX_FIT_POINTS)..];
        let habit = |limit: &f64| regular(&runs(newest, *limit));
        Self {
            limit: collapse(newest).filter(|limit| !habit(limit)),
            believed_after: believed_after(step),
            collapsed: 0,
            usual: models::wild_limits(newest),
            wild: 0,
        }
    }

    /// The value as it is to be learned from: `None` in an outage, brought back to its limit if
    /// it is wild. A collapse that lasts for longer than [`settings::OUTAGE_SECONDS`], and more
    /// than [`settings::SPIKE_RUN`] wild values in a row, are believed.
    pub(crate) fn admit(&mut self, value: f64) -> Option<f64> {
        let collapsed = self.limit.is_some_and(|limit| value <= limit);
        self.collapsed = if collapsed { self.collapsed + 1 } else { 0 };
        if collapsed && self.collapsed <= self.believed_after {
            return None;
        }
        let Some((low, high)) = self.usual else { return Some(value) };
        if (low..=high).contains(&value) {
            self.wild = 0;
            return Some(value);
        }
        self.wild += 1;
        if self.wild <= settings::SPIKE_RUN {
            return Some(value.clamp(low, high));
        }
        self.usual = Some(if value < low { (value, high) } else { (low, value) });
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(history: impl Fn(usize) -> f64) -> Watch {
        let values: Vec<f64> = (0..336).map(history).collect();
        Watch::over(&values, Step::from_seconds(3_600).unwrap())
    }

    #[test]
    fn a_collapse_is_an_outage_until_it_has_lasted() {
        let mut watch = watch(|i| 100.0 + (i % 24) as f64);
        assert_eq!(watch.admit(90.0), Some(90.0));
        let found: Vec<Option<f64>> = (0..6).map(|_| watch.admit(0.0)).collect();
        assert_eq!(found[..3], [None; 3]);
        assert!(found[3..].iter().all(Option::is_some), "{found:?}");
    }

    #[test]
    fn a_nightly_pause_is_no_outage() {
        let mut watch = watch(|i| if i % 24 == 3 { 0.0 } else { 100.0 });
        assert_eq!(watch.admit(0.0), Some(0.0));
    }

    #[test]
    fn a_wild_value_is_brought_back_and_a_new_level_believed() {
        let mut watch = watch(|i| 100.0 + (i % 24) as f64);
        assert!(watch.admit(1e9).unwrap() < 200.0);
        assert_eq!(watch.admit(110.0), Some(110.0));
        let found: Vec<f64> = (0..5).filter_map(|_| watch.admit(500.0)).collect();
        assert!(found[..3].iter().all(|v| *v < 200.0) && found[3..] == [500.0, 500.0], "{found:?}");
    }
}
