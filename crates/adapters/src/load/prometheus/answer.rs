//! What Prometheus answers to a range query.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::series::{Sample, Step};
use jiff::Timestamp;
use serde::Deserialize;

use crate::prometheus::Failure;
use crate::prometheus::answer::{Data, ambiguous, data, number};
use crate::web;

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow, default)]
    metric: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow, default)]
    values: Vec<(f64, Cow<'a, str>)>,
}

/// One answer: the labels of its series, if there is one, and its samples.
pub(super) struct Part {
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) samples: Vec<Sample>,
}

/// The samples of the only series, stamped with the start of their intervals. Points beside the
/// grid or outside `first..=last` (query times in seconds) are refused. Infinite values are gaps.
pub(super) fn read(body: &[u8], step: Step, first: i64, last: i64) -> Result<Part, Failure> {
    let data: Data<Vec<Found>> = data(body)?;
    if data.kind != "matrix" {
        let kind = web::quote(data.kind.as_bytes(), 40);
        return Err(Failure::never(format!("the result is a {kind}, not a series over time")));
    }
    let found = match data.result.as_slice() {
        [] => return Ok(Part { labels: None, samples: Vec::new() }),
        [one] => one,
        several => {
            return Err(Failure::never(ambiguous(several.iter().map(|found| &found.metric))));
        }
    };
    let mut samples = Vec::with_capacity(found.values.len());
    let mut before = first - step.seconds();
    for (time, value) in &found.values {
        let at = *time as i64;
        let asked = (first..=last).contains(&at)
            && (at as f64 - time).abs() < 1e-3
            && (at - first) % step.seconds() == 0;
        if !asked || at <= before {
            return Err(Failure::later(format!("a point at {time} was not asked for")));
        }
        before = at;
        let value = number(value).ok_or_else(|| {
            Failure::later(format!("a value is {:?}, no number", web::quote(value.as_bytes(), 40)))
        })?;
        let at = Timestamp::from_second(at - step.seconds());
        samples.push(Sample { at: at.map_err(|error| Failure::later(error.to_string()))?, value });
    }
    let labels = found.metric.iter().map(|(label, value)| (label.to_string(), value.to_string()));
    Ok(Part { labels: Some(labels.collect()), samples })
}
