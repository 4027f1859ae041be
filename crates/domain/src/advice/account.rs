//! The account: what following the advice would have saved, against each other way to do it.

use std::collections::BTreeMap;

use super::{ADVICE, Came, Piece};

/// The sum over all advice of one fleet that is settled, beside one other way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// So many pieces of advice were beside it.
    pub pieces: u32,
    /// What it costs less to follow the advice; below zero: more.
    pub saved: f64,
    /// So many minutes of attributable overload are fewer; below zero: more.
    pub avoided_minutes: f64,
    /// In so many pieces the advice was dearer, or had more minutes of overload.
    pub worse: u32,
    /// So many minutes later the last server is back, over all; below zero: earlier.
    pub later_minutes: f64,
}

impl Line {
    fn add(&mut self, advice: &Came, other: &Came) {
        let (saved, avoided) =
            (other.cost - advice.cost, other.attributable_minutes - advice.attributable_minutes);
        self.pieces += 1;
        self.saved += saved;
        self.avoided_minutes += avoided;
        self.worse += u32::from(saved < 0.0 || avoided < 0.0);
        self.later_minutes += advice.finished_minutes - other.finished_minutes;
    }
}

/// What following the advice would have saved: one line for each fleet, currency and other way.
pub fn account<'a>(
    pieces: impl IntoIterator<Item = &'a Piece>,
) -> BTreeMap<(String, String, String), Line> {
    let mut lines: BTreeMap<(String, String, String), Line> = BTreeMap::new();
    for piece in pieces {
        let mut came = piece.came();
        let Some(advice) = came.remove(ADVICE) else { continue };
        let told = &piece.advised;
        for (name, other) in came {
            let key = (told.fleet.to_string(), told.currency.clone(), name);
            lines.entry(key).or_default().add(&advice, &other);
        }
    }
    lines
}
