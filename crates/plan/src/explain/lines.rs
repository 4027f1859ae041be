//! The capacity ledger of a plan, line by line.

use std::collections::BTreeMap;

use domain::name::{Dimension, OfferName};
use domain::plan::{Basis, LoadBand, Plan, TimelineEntry};
use jiff::Timestamp;
use serde::Serialize;

use super::Differences;
use crate::ledger::{Entry, Ledger};

/// One interval of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// It begins then.
    pub from: Timestamp,
    /// It ends then.
    pub to: Timestamp,
    /// Servers that carry full load in all of it.
    pub in_service: u32,
    /// Surge that carries load in all of it.
    pub surge: u32,
    /// Probability of attributable overload in it.
    pub overload_probability: f64,
    /// Each dimension at the moment at which its capacity is least.
    pub dimensions: BTreeMap<Dimension, DimensionExplained>,
}

/// A dimension in one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DimensionExplained {
    /// Capacity is least then.
    pub at: Timestamp,
    /// What makes it up; the capacity is the sum of the lines.
    pub lines: Vec<LineExplained>,
    /// Capacity in service.
    pub capacity: f64,
    /// The load, at the highest step of the interval.
    pub load: LoadBand,
    /// Capacity minus the upper edge of the load.
    pub headroom: f64,
}

/// A line of the ledger in one dimension.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineExplained {
    /// `servers`, `spare`, `slower` (what updated servers carry less), `batch` or `surge`.
    pub what: &'static str,
    /// Which batch is out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Which offer the surge is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferName>,
    /// How many servers or instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The share of their capacity that they lack: below 1 while they warm up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What the line adds; negative for what is out.
    pub capacity: f64,
}

pub(super) fn explained(plan: &Plan, basis: &Basis, different: &mut Differences) -> Vec<Moment> {
    let ledger = Ledger::stated(basis);
    let entries = plan.timeline.iter().enumerate();
    entries.map(|(index, entry)| moment(&ledger, index, entry, different)).collect()
}

fn moment(
    ledger: &Ledger,
    index: usize,
    entry: &TimelineEntry,
    different: &mut Differences,
) -> Moment {
    let place = format!("timeline[{index}] of {}", entry.fleet);
    let mut dimensions = BTreeMap::new();
    for (row, dimension) in ledger.dimensions.iter().enumerate() {
        let (Some(stated), Some(load)) = (entry.capacity.get(dimension), entry.load.get(dimension))
        else {
            continue;
        };
        let at = ledger.least_at(entry.from, entry.to, row);
        let lines: Vec<LineExplained> =
            ledger.lines_at(at).into_iter().map(|line| one(line, row)).collect();
        let capacity: f64 = lines.iter().map(|line| line.capacity).sum();
        different.note_in(&format!("{place}: capacity"), dimension, *stated, capacity);
        let headroom = capacity - load.upper;
        let explained = DimensionExplained { at, lines, capacity, load: *load, headroom };
        dimensions.insert(dimension.clone(), explained);
    }
    let (in_service, surge) =
        (ledger.in_service(entry.from, entry.to), ledger.surge(entry.from, entry.to));
    let stated = (f64::from(entry.in_service), f64::from(entry.surge));
    different.note(format!("{place}: inService"), stated.0, f64::from(in_service));
    different.note(format!("{place}: surge"), stated.1, f64::from(surge));
    Moment {
        from: entry.from,
        to: entry.to,
        in_service,
        surge,
        overload_probability: entry.overload_probability,
        dimensions,
    }
}

fn one(line: crate::ledger::Line, row: usize) -> LineExplained {
    let capacity = line.capacity[row];
    let none = LineExplained {
        what: "spare",
        batch: None,
        offer: None,
        count: None,
        share: None,
        capacity,
    };
    match line.entry {
        Entry::Servers { healthy } => {
            LineExplained { what: "servers", count: Some(healthy), ..none }
        }
        Entry::Spare => none,
        Entry::Slower => LineExplained { what: "slower", ..none },
        Entry::Out { batch, servers, share } => LineExplained {
            what: "batch",
            batch: Some(batch),
            count: Some(servers),
            share: Some(share),
            ..none
        },
        Entry::Surge { offer, count } => {
            LineExplained { what: "surge", offer: Some(offer), count: Some(count), ..none }
        }
    }
}
