//! What is wrong with a file, as it is shown.

use std::fmt;
use std::sync::Arc;

use domain::config::{Finding, Place};

use super::source::Source;
use crate::yaml::Mark;

/// The most complaints that are shown at once.
pub const MAX_SHOWN: usize = 20;

/// One thing that is wrong with a file.
#[derive(Debug, Clone)]
pub struct Complaint {
    source: Arc<Source>,
    mark: Mark,
    place: Place,
    message: String,
}

impl Complaint {
    /// A complaint about `place`, which stands at `mark`.
    pub fn new(source: &Arc<Source>, mark: Mark, finding: Finding) -> Self {
        let Finding { place, message } = finding;
        Self { source: Arc::clone(source), mark, place, message }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source.at(self.mark))?;
        if !self.place.is_root() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)?;
        match self.source.snippet(self.mark) {
            Some(snippet) => write!(f, "\n{snippet}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with the files, in the order of the text; at least one thing.
#[derive(Debug, Default)]
pub struct Complaints(Vec<Complaint>);

impl Complaints {
    /// Adds one.
    pub fn push(&mut self, complaint: Complaint) {
        self.0.push(complaint);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of files and lines.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by_key(|c| (c.source.path().to_owned(), c.mark.line, c.mark.column));
        self
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.0.iter().take(MAX_SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{complaint}")?;
        }
        if self.0.len() > MAX_SHOWN {
            write!(f, "\n\n… and {} more", self.0.len() - MAX_SHOWN)?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}
