//! YAML (and JSON, which is YAML) as a tree that knows where each value stands.
//!
//! The tree is bounded: [`MAX_BYTES`] of text, a million values after aliases are expanded, 64
//! levels. Keys are text and unique within their object.

mod scalar;
mod tree;

use domain::config::{Part, Place};
use serde_json::Value;

pub use tree::documents;

/// The longest file that is read, in bytes.
pub const MAX_BYTES: u64 = 16 << 20;

/// A stretch of text on one line, both counted from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// How many characters, at least 1.
    pub width: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Text, a number, true, false or nothing.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order of its fields.
    Object(Vec<Field>),
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub mark: Mark,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The value without its places.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => items.iter().map(Node::to_value).collect(),
            Data::Object(fields) => {
                fields.iter().map(|field| (field.key.clone(), field.value.to_value())).collect()
            }
        }
    }

    /// Where `place` stands: the name of a field that holds a list or an object, else the value.
    /// What is not there stands where the nearest thing around it stands.
    pub fn find(&self, place: &Place) -> Mark {
        let (mut node, mut mark) = (self, self.mark);
        for part in place.parts() {
            match (part, &node.data) {
                (Part::Key(key), Data::Object(fields)) => {
                    let Some(field) = fields.iter().find(|field| field.key == *key) else { break };
                    let scalar = matches!(field.value.data, Data::Scalar(_));
                    mark = if scalar { field.value.mark } else { field.mark };
                    node = &field.value;
                }
                (Part::Index(index), Data::List(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    (node, mark) = (item, item.mark);
                }
                _ => break,
            }
        }
        mark
    }

    /// Where the name of the field at `place` stands; the value where it has no name.
    pub fn find_key(&self, place: &Place) -> Mark {
        let (Some(parent), Some(Part::Key(key))) = (place.parent(), place.parts().last()) else {
            return self.find(place);
        };
        let fields = match self.at(&parent).map(|node| &node.data) {
            Some(Data::Object(fields)) => fields.as_slice(),
            _ => &[],
        };
        let field = fields.iter().find(|field| field.key == *key);
        field.map_or_else(|| self.find(place), |field| field.mark)
    }

    /// The value at `place`.
    pub fn at(&self, place: &Place) -> Option<&Node> {
        place.parts().iter().try_fold(self, |node, part| match (part, &node.data) {
            (Part::Key(key), Data::Object(fields)) => {
                fields.iter().find(|field| field.key == *key).map(|field| &field.value)
            }
            (Part::Index(index), Data::List(items)) => items.get(*index),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
