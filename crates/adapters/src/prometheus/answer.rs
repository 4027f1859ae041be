//! What the API answers, whatever was asked: the envelope, and what is wrong with it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Failure;
use crate::web;

#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de> + Default"))]
struct Answer<'a, R> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default)]
    data: Option<Data<'a, R>>,
    #[serde(borrow, default, rename = "errorType")]
    error_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    warnings: Vec<Cow<'a, str>>,
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

/// The result of a query, and of which kind it is.
#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de> + Default"))]
pub(crate) struct Data<'a, R> {
    #[serde(borrow, rename = "resultType")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) result: R,
}

/// What a good and whole answer holds.
pub(crate) fn data<'a, R: Deserialize<'a> + Default>(
    body: &'a [u8],
) -> Result<Data<'a, R>, Failure> {
    let answer: Answer<R> = parse(body)?;
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
    answer.data.ok_or_else(|| strange(body))
}

/// A value as it is written; infinite ones are no numbers. `None`: it is no value at all.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" | "+Inf" | "-Inf" | "Inf" => Some(f64::NAN),
        _ => text.parse::<f64>().ok().map(|value| if value.is_finite() { value } else { f64::NAN }),
    }
}

/// Several series where one was expected: which labels tell them apart.
pub(crate) fn ambiguous<'a, L: AsRef<str> + Ord + 'a>(
    several: impl Iterator<Item = &'a BTreeMap<L, L>> + Clone,
) -> String {
    let mut labels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (label, value) in several.clone().flatten() {
        let values = labels.entry(label.as_ref()).or_default();
        if values.len() < 3 && !values.contains(&value.as_ref()) {
            values.push(value.as_ref());
        }
    }
    let of = |metric: &'a BTreeMap<L, L>, label: &str| {
        metric.iter().find(|(key, _)| (*key).as_ref() == label).map(|(_, value)| value.as_ref())
    };
    let differ = |label: &str| {
        let mut values = several.clone().map(|metric| of(metric, label));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let shown: Vec<String> = labels
        .iter()
        .filter(|(label, _)| differ(label))
        .take(5)
        .map(|(label, values)| format!("{label} ({}, …)", values.join(", ")))
        .collect();
    let text = format!(
        "the result has {} series, told apart by {}; make it one with sum(…), or select one",
        several.count(),
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
pub(crate) fn error_text(body: &[u8]) -> String {
    if let Ok(answer) = serde_json::from_slice::<Answer<IgnoredAny>>(body)
        && let Some(error) = answer.error
    {
        let kind = answer.error_type.unwrap_or_default();
        return format!(" ({})", web::quote(format!("{kind}: {error}").as_bytes(), 300));
    }
    let said = web::quote(body, 100);
    if is_html(body) || said.is_empty() { String::new() } else { format!(" ({said})") }
}
