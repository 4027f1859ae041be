//! The account of advice: what is due is settled from time to time, whatever the mode.

use std::sync::{Arc, Mutex};

use domain::advice::{Piece, Stands, Verdict};
use tokio::sync::watch;

use super::metrics::Gauge;
use super::settings::{SETTLE_FIRST, SETTLE_LONGEST};
use super::{Server, told};
use crate::apply::advice::{self, Account, rows};

/// The account as it was last.
#[derive(Default)]
pub struct Kept(Mutex<Arc<Account>>);

impl Kept {
    /// The account as it was last.
    pub fn get(&self) -> Arc<Account> {
        self.0.lock().expect("nobody panics with it").clone()
    }

    fn set(&self, account: Account) {
        *self.0.lock().expect("nobody panics with it") = Arc::new(account);
    }
}

/// Settles what is due until it is told to stop.
pub async fn keep(server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    let mut rest = SETTLE_FIRST;
    loop {
        let now = server.clock.now();
        let settled = tokio::select! {
            () = told(&mut stop) => return,
            settled = advice::settle(server.store.as_ref(), &server.clock, now) => settled,
        };
        match settled {
            Ok(account) => {
                let same = account.waiting.keys().eq(server.told_advice.get().waiting.keys());
                let waits = !account.waiting.is_empty() && same;
                rest = if waits { (rest * 2).min(SETTLE_LONGEST) } else { SETTLE_FIRST };
                server.told_advice.set(account);
            }
            Err(error) => {
                server.trouble("advice is not settled", &error);
                server.meters.trouble();
            }
        }
        tokio::select! {
            () = told(&mut stop) => return,
            () = server.pause(rest) => {}
        }
    }
}

/// A currency is any text of the configuration: as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The account as gauges: its sums may fall.
pub fn gauges(account: &Account) -> Vec<Gauge> {
    let count = |is: fn(&Piece) -> bool| account.advice.pieces().filter(|p| is(p)).count() as f64;
    let unknown = |piece: &Piece| {
        matches!(&piece.stands, Stands::Settled { verdict: Verdict::Unknown { .. }, .. })
    };
    let states = [
        ("open", count(|piece| piece.stands == Stands::Open)),
        ("replaced", count(|piece| matches!(piece.stands, Stands::Replaced { .. }))),
        ("judged", count(|piece| piece.judged().is_some())),
        ("unknown", count(unknown)),
    ];
    let lines = rows::lines(account.advice.pieces());
    let sums = |value: fn(&rows::Line) -> f64| {
        let one = |line: &rows::Line| {
            let rows::Line { fleet, currency, against, .. } = line;
            let currency = escaped(currency);
            let labels =
                format!("{{fleet=\"{fleet}\",against=\"{against}\",currency=\"{currency}\"}}");
            (labels, value(line))
        };
        lines.iter().map(one).collect()
    };
    let state = |(state, count)| (format!("{{state=\"{state}\"}}"), count);
    vec![
        Gauge {
            name: "presurge_advice_pieces",
            help: "Pieces of advice in the store, by where they stand.",
            values: states.into_iter().map(state).collect(),
        },
        Gauge {
            name: "presurge_advice_saved_cost",
            help: "What following all judged advice would have saved, in the currency of the fleet; below zero: spent.",
            values: sums(|line| line.saved),
        },
        Gauge {
            name: "presurge_advice_avoided_overload_seconds",
            help: "Attributable overload that following all judged advice would have avoided; below zero: added.",
            values: sums(|line| line.avoided_minutes * 60.0),
        },
        Gauge {
            name: "presurge_advice_later_seconds",
            help: "How much later the last servers would have been back, over all judged advice.",
            values: sums(|line| line.later_minutes * 60.0),
        },
    ]
}
