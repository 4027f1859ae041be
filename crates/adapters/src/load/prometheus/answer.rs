//! What Prometheus answers to a range query.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::series::{Sample, Step};
use jiff::Timestamp;
use serde::Deserialize;

use super::Failure;
use crate::web;

#[derive(Deserialize)]
struct Answer<'a> {
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
    #[serde(borrow, default, rename = "errorType")]
    error_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    warnings: Vec<Cow<'a, str>>,
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "resultType")]
    result_type: Cow<'a, str>,
    #[serde(borrow, default)]
    result: Vec<Found<'a>>,
}

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
    let answer: Answer = parse(body)?;
    if answer.status != "success" {
        return Err(Failure::later(format!("answered 200{}", error_text(body))));
    }
    // Thanos, Mimir and VictoriaMetrics answer with what they have when a store is away. Half of
    // the load would look like an idle fleet, so such an answer counts for nothing. Warnings of
    // the query language are about style.
    let warning = answer.warnings.iter().find(|text| !text.starts_with("PromQL "));
    let partial = answer.is_partial.then_some("it says so itself");
    if let Some(warning) = warning.map(AsRef::as_ref).or(partial) {
        let text = web::quote(warning.as_bytes(), 200);
        return Err(Failure::later(format!("the answer is incomplete: {text}")));
    }
    let data = answer.data.ok_or_else(|| strange(body))?;
    if data.result_type != "matrix" {
        let kind = web::quote(data.result_type.as_bytes(), 40);
        return Err(Failure::never(format!("the result is a {kind}, not a series over time")));
    }
    let found = match data.result.as_slice() {
        [] => return Ok(Part { labels: None, samples: Vec::new() }),
        [one] => one,
        several => return Err(Failure::never(ambiguous(several))),
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

fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" | "+Inf" | "-Inf" | "Inf" => Some(f64::NAN),
        _ => text.parse::<f64>().ok().map(|value| if value.is_finite() { value } else { f64::NAN }),
    }
}

/// Several series where one was expected: which labels tell them apart.
fn ambiguous(several: &[Found]) -> String {
    let mut labels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for found in several {
        for (label, value) in &found.metric {
            let values = labels.entry(label).or_default();
            if values.len() < 3 && !values.contains(&value.as_ref()) {
                values.push(value);
            }
        }
    }
    let differ = |label: &str| {
        let value = several[0].metric.get(label);
        several.iter().any(|found| found.metric.get(label) != value)
    };
    let shown: Vec<String> = labels
        .iter()
        .filter(|(label, _)| differ(label))
        .take(5)
        .map(|(label, values)| format!("{label} ({}, …)", values.join(", ")))
        .collect();
    let text = format!(
        "the result has {} series, told apart by {}; make it one with sum(…), or select one",
        several.len(),
        shown.join(", ")
    );
    web::quote(text.as_bytes(), 400)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        if is_html(body) {
            return Failure::never(
                "answered with a web page; is url the server itself, not a login or a proxy?",
            );
        }
        Failure::later(format!("the answer is not what Prometheus answers: {error}"))
    })
}

fn strange(body: &[u8]) -> Failure {
    Failure::later(format!("the answer has no data: {}", web::quote(body, 100)))
}

fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// What an answer that refuses says, in brackets; nothing for a web page.
pub(super) fn error_text(body: &[u8]) -> String {
    if let Ok(answer) = serde_json::from_slice::<Answer>(body)
        && let Some(error) = answer.error
    {
        let kind = answer.error_type.unwrap_or_default();
        return format!(" ({})", web::quote(format!("{kind}: {error}").as_bytes(), 300));
    }
    let said = web::quote(body, 100);
    if is_html(body) || said.is_empty() { String::new() } else { format!(" ({said})") }
}
