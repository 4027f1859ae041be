//! Records as lines of text, read so strictly that no edit of a line can hide from its hash.
//!
//! The hash covers what the JSON of a record *means*. Two edits could change a text without
//! changing what one reader takes from it: a name that stands twice in an object, of which readers
//! keep one or the other; and an integer beyond 2⁵³, whose last digits RFC 8785 rounds away. Both
//! are refused.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Broken, CloudEvent, NoEvent, Record, verify};

/// Every integer up to this one is a number of RFC 8785 (section 3.2.2.3, IEEE 754 doubles).
const LARGEST_EXACT: u64 = 1 << 53;

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// It is no JSON, no record, or says something twice.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is an event of CloudEvents, but none that was exported from a journal.
    #[error(transparent)]
    Event(#[from] NoEvent),
}

/// The record of a line: as the journal writes it, or as a CloudEvent.
pub fn read_line(line: &str) -> Result<Record, BadLine> {
    let mut reader = serde_json::Deserializer::from_str(line);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    if value.get("specversion").is_some() {
        let event: CloudEvent = serde_json::from_value(value)?;
        return Ok(event.into_record()?);
    }
    Ok(serde_json::from_value(value)?)
}

/// Checks the lines of one whole chain, as [`verify`] does, and returns its records. A line that
/// cannot be read is broken in its place; what stands before it is checked first.
pub fn verify_lines<E: std::fmt::Display>(
    lines: impl IntoIterator<Item = Result<Record, E>>,
) -> Result<Vec<Record>, Broken> {
    let mut records = Vec::new();
    for line in lines {
        match line {
            Ok(record) => records.push(record),
            Err(error) => {
                let head = verify(&records)?;
                return Err(Broken { seq: head.seq + 1, what: format!("cannot be read: {error}") });
            }
        }
    }
    verify(&records)?;
    Ok(records)
}

/// Reads any JSON in which no name stands twice and every integer is exact.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        if value > LARGEST_EXACT { Err(inexact(value)) } else { Ok(value.into()) }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > LARGEST_EXACT { Err(inexact(value)) } else { Ok(value.into()) }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("{name:?} stands twice in one object")));
            }
            object.insert(name, fields.next_value_seed(Strict)?);
        }
        Ok(object.into())
    }
}

fn inexact<E: Error>(value: impl std::fmt::Display) -> E {
    E::custom(format!("{value} is beyond 2^53, so that the hash does not cover its last digits"))
}
