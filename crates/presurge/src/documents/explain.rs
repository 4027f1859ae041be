//! What a typed reader says about a value, in the words of the author of the file.
//!
//! The readers of the documents and of the adapters report in serde's fixed phrases; they are
//! turned into sentences here, once.

use domain::config::{Part, Place, nearest};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Where, relative to the value that was read.
    pub place: Place,
    /// What kind of thing it is.
    pub kind: Trouble,
    /// The sentence.
    pub message: String,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A field that nobody knows.
    UnknownField,
    /// A field that has to be there.
    MissingField,
    /// A value that does not fit.
    BadValue,
}

/// Reads a value as `T`, or says what is wrong with it first.
pub fn read_body<T: DeserializeOwned>(value: &Value) -> Result<T, Explained> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let place = error.path().iter().map(part).collect();
        let (kind, message) = in_words(&error.inner().to_string());
        Explained { place, kind, message }
    })
}

fn part(segment: &Segment) -> Part {
    match segment {
        Segment::Seq { index } => Part::Index(*index),
        Segment::Map { key } => Part::Key(key.clone()),
        Segment::Enum { variant } => Part::Key(variant.clone()),
        Segment::Unknown => Part::Key("?".to_owned()),
    }
}

/// A phrase of serde as a sentence.
fn in_words(phrase: &str) -> (Trouble, String) {
    if let Some(rest) = phrase.strip_prefix("unknown field ") {
        return (Trouble::UnknownField, format!("unknown field{}", choice(rest)));
    }
    if let Some(rest) = phrase.strip_prefix("unknown variant ") {
        let found = quoted(rest).next().unwrap_or_default();
        return (Trouble::BadValue, format!("unknown value {found:?}{}", choice(rest)));
    }
    if let Some(rest) = phrase.strip_prefix("missing field ") {
        let field = quoted(rest).next().unwrap_or_default();
        return (Trouble::MissingField, format!("the field {field:?} is missing"));
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) =
            phrase.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected "))
        {
            return (Trouble::BadValue, mismatch(found, expected));
        }
    }
    (Trouble::BadValue, phrase.to_owned())
}

/// What was wanted and what is near to it, out of "`x`, expected one of `a`, `b`".
fn choice(rest: &str) -> String {
    let mut names = quoted(rest);
    let found = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    if known.is_empty() {
        return "; nothing may stand here".to_owned();
    }
    let near = nearest(found, known.iter().copied());
    let near = near.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    format!("{near} (expected one of: {})", known.join(", "))
}

/// The names between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn mismatch(found: &str, expected: &str) -> String {
    let expected = match expected {
        "a string" | "string" => "text",
        "a boolean" => "true or false",
        "a map" | "map" => "an object",
        "a sequence" | "sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i32" | "i64" => "a whole number",
        "f64" | "f32" => "a number",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") => "one of its names",
        other => other,
    };
    let hint = match (expected, found.split(' ').next()) {
        ("text", Some("integer" | "floating" | "boolean")) => "; put it in quotes",
        ("true or false", Some("string")) => "; write true or false without quotes",
        _ => "",
    };
    let found = match found {
        "null" | "unit value" | "Option value" => "nothing".to_owned(),
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        other => match other.split_once(' ') {
            Some(("string", text)) => format!("text {text}"),
            Some(("integer", number)) => number.replace('`', ""),
            Some(("floating", rest)) => rest.trim_start_matches("point ").replace('`', ""),
            Some(("boolean", word)) => word.replace('`', ""),
            _ => other.to_owned(),
        },
    };
    format!("expected {expected}, found {found}{hint}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from")]
    struct Body {
        url: String,
        #[serde(default)]
        limits: Vec<Limit>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from")]
    struct Limit {
        count: u32,
        by: Option<By>,
        on: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum By {
        Zone,
        Rack,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    fn said(value: Value) -> String {
        let explained = read_body::<Body>(&value).unwrap_err();
        format!("{}: {}", explained.place, explained.message)
    }

    #[test]
    fn phrases_become_sentences_with_their_place() {
        for (value, sentence) in [
            (
                json!({"ulr": "x"}),
                "ulr: unknown field; did you mean \"url\"? (expected one of: url, limits)",
            ),
            (json!({}), ": the field \"url\" is missing"),
            (json!({"url": 6.12}), "url: expected text, found 6.12; put it in quotes"),
            (json!({"url": null}), "url: expected text, found nothing"),
            (json!({"url": "x", "limits": {}}), "limits: expected a list, found an object"),
            (
                json!({"url": "x", "limits": [{"count": -1}]}),
                "limits[0].count: expected a whole number of 0 or more, found -1",
            ),
            (
                json!({"url": "x", "limits": [{"count": "3"}]}),
                "limits[0].count: expected a whole number of 0 or more, found text \"3\"",
            ),
            (
                json!({"url": "x", "limits": [{"count": 3, "on": "yes"}]}),
                "limits[0].on: expected true or false, found text \"yes\"; write true or false without quotes",
            ),
            (
                json!({"url": "x", "limits": [{"count": 3, "by": "zones"}]}),
                "limits[0].by: unknown value \"zones\"; did you mean \"zone\"? (expected one of: zone, rack)",
            ),
            (json!([]), ": expected an object, found a list"),
        ] {
            // A list in place of a struct is read by position; its words differ.
            if value.is_array() {
                assert!(read_body::<Body>(&value).is_err());
                continue;
            }
            assert_eq!(said(value.clone()), sentence, "{value}");
        }
        let nothing = read_body::<Nothing>(&json!({"a": 1})).unwrap_err();
        assert_eq!(nothing.message, "unknown field; nothing may stand here");
        assert_eq!(format!("{:?} {:?}", By::Zone, By::Rack), "Zone Rack");
        assert!(matches!(read_body::<Nothing>(&json!({})), Ok(Nothing {})));
    }
}
