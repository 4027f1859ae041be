//! Where in a document something stands, and what is wrong there.

use std::fmt;

/// One step from a value into a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A field of an object.
    Key(String),
    /// An item of a list, from 0.
    Index(usize),
}

/// The way from the root of a document to a value: `spec.surge.offers[0].price`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(Vec<Part>);

impl Place {
    /// The whole document.
    pub fn root() -> Self {
        Self::default()
    }

    /// The specification of the document, where most things stand.
    pub fn spec() -> Self {
        Self::root().key("spec")
    }

    /// The field `key` of this place.
    #[must_use]
    pub fn key(&self, key: impl fmt::Display) -> Self {
        self.with(Part::Key(key.to_string()))
    }

    /// Item `index` of this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Part::Index(index))
    }

    /// The part `part` of this place.
    #[must_use]
    pub fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }

    /// The place `inner`, given relative to this one.
    #[must_use]
    pub fn join(&self, inner: &Self) -> Self {
        Self(self.0.iter().chain(&inner.0).cloned().collect())
    }

    /// What this place is a part of; `None` for the whole document.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    /// The steps from the root.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether this is the whole document.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Part> for Place {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if count == 0 => f.write_str(key)?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Something that is wrong with a document: what, what was expected, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What, as a sentence without a full stop.
    pub message: String,
}

/// Everything that was found wrong with one document, in the order of finding.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, place: Place, message: impl Into<String>) {
        self.0.push(Finding { place, message: message.into() });
    }

    /// Says that the feature at `place` is part of the schema and not built yet, and what to do
    /// instead.
    pub fn unsupported(&mut self, place: Place, what: &str, instead: &str) {
        self.add(place, format!("{what} is not supported yet; {instead}"));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_like_code() {
        let place = Place::spec().key("surge").key("offers").index(0).key("price");
        assert_eq!(place.to_string(), "spec.surge.offers[0].price");
        assert_eq!(place.parent().unwrap().to_string(), "spec.surge.offers[0]");
        assert_eq!(Place::spec().join(&Place::root().index(1)).to_string(), "spec[1]");
        assert!(Place::root().parent().is_none());
    }
}
