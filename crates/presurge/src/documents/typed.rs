//! A document as its type, with everything that is wrong with it and not just the first thing.

use std::collections::BTreeSet;

use domain::config::{Finding, Findings, Part, Place};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::explain::{Explained, Trouble, read_body};
use crate::yaml;

/// The most things that are looked for in one document.
const MOST: usize = 20;

/// Reads a document. After each thing that is wrong the value is taken out and the rest is read
/// again, so that one answer names them all.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Findings> {
    let mut findings = Findings::default();
    let mut rest = value.clone();
    let mut taken = BTreeSet::new();
    for _ in 0..MOST {
        match read_body::<T>(&rest) {
            Ok(document) if findings.is_empty() => return Ok(document),
            Ok(_) => return Err(findings),
            Err(explained) => {
                let missing = missing_field(&explained);
                let own_doing = missing.as_ref().is_some_and(|place| taken.contains(place));
                if !own_doing {
                    let Explained { place, message, .. } = explained.clone();
                    findings.add(place, message);
                }
                // A field with a slip in its name is not missing as well.
                taken.extend(meant(&explained));
                // A missing field cannot be taken out; what holds it can.
                let place = explained.place;
                if place.is_root() || !take_out(&mut rest, &place) {
                    break;
                }
                taken.insert(place);
            }
        }
    }
    Err(findings)
}

/// Reads the one document of a file; what is wrong is told with line and column.
///
/// # Errors
/// Every thing that is wrong, a line for each.
pub fn read_text<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, String> {
    let nodes = yaml::documents(text)
        .map_err(|e| format!("{file}:{}:{}: {}", e.mark.line, e.mark.column, e.message))?;
    let [node] = nodes.as_slice() else {
        return Err(format!("{file}: expected one document"));
    };
    let told = |finding: &Finding| {
        let mark = node.find(&finding.place);
        format!("{file}:{}:{}: {}: {}", mark.line, mark.column, finding.place, finding.message)
    };
    read(&node.to_value())
        .map_err(|findings| findings.into_vec().iter().map(told).collect::<Vec<_>>().join("\n"))
}

/// The field that is missing, if that is what is wrong.
fn missing_field(explained: &Explained) -> Option<Place> {
    if explained.kind != Trouble::MissingField {
        return None;
    }
    let field = explained.message.split('"').nth(1)?;
    Some(explained.place.key(field))
}

/// The field that an unknown one was meant to be.
fn meant(explained: &Explained) -> Option<Place> {
    let (_, rest) = explained.message.split_once("did you mean \"")?;
    let (field, _) = rest.split_once('"')?;
    Some(explained.place.parent()?.key(field))
}

/// Takes the value at `place` out. An item of a list is replaced by nothing rather than removed,
/// so that the places of the others stay; what can do with neither is left to the caller.
fn take_out(value: &mut Value, place: &Place) -> bool {
    let Some((last, way)) = place.parts().split_last() else { return false };
    let mut node = value;
    for part in way {
        let next = match part {
            Part::Key(key) => node.get_mut(key.as_str()),
            Part::Index(index) => node.get_mut(*index),
        };
        let Some(next) = next else { return false };
        node = next;
    }
    match (last, node) {
        (Part::Key(key), Value::Object(fields)) => fields.remove(key).is_some(),
        (Part::Index(index), Value::Array(items)) if *index < items.len() => {
            // The items after a removed one would change their places.
            items.truncate(*index);
            true
        }
        _ => false,
    }
}

/// Findings of a part of a document, as findings of the document.
pub(super) fn moved(findings: Vec<Finding>, under: &Place) -> impl Iterator<Item = Finding> {
    findings
        .into_iter()
        .map(move |finding| Finding { place: under.join(&finding.place), message: finding.message })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from")]
    struct Document {
        name: String,
        count: u32,
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from")]
    struct Item {
        price: f64,
    }

    fn places(value: &Value) -> Vec<String> {
        let findings = read::<Document>(value).unwrap_err().into_vec();
        findings.iter().map(|finding| finding.place.to_string()).collect()
    }

    #[test]
    fn one_answer_names_everything() {
        let value = json!({
            "nmae": "x", "name": 5, "count": -1, "items": [{"prce": 1, "price": "y"}]
        });
        let mut found = places(&value);
        found.sort();
        assert_eq!(found, ["count", "items[0].prce", "items[0].price", "name", "nmae"]);
        // A field that was there but wrong is not said to be missing as well.
        assert_eq!(places(&json!({"name": "x", "count": "y", "items": []})), ["count"]);
        assert_eq!(places(&json!({"name": "x", "cuont": 1, "items": []})), ["cuont"]);
        let missing = read::<Document>(&json!({"name": "x", "items": []})).unwrap_err().into_vec();
        assert_eq!(missing[0].message, "the field \"count\" is missing");
    }
}
