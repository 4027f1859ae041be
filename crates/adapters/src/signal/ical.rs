//! Scheduled events from an iCalendar file, by category.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::calendar::Interval;
use domain::ports::{PortError, Retry, SignalSource, Tells};
use domain::signal::Signal;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::calendar::ical::{self, Scheduled};

/// No more occurrences of one event are used.
const MOST_OCCURRENCES: usize = 100_000;

/// Scheduled events from an iCalendar file: those of the same `CATEGORIES` (else `SUMMARY`) move the load
/// alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IcalConfig {
    /// The file; a relative path is relative to the file that names it.
    pub path: PathBuf,
}

/// A file that is read at every call.
#[derive(Debug, Clone)]
pub struct IcalSignals {
    path: PathBuf,
}

impl IcalSignals {
    /// A source; the file is opened at the first call.
    pub fn new(config: IcalConfig, base_dir: &Path) -> Self {
        Self { path: base_dir.join(config.path) }
    }
}

#[async_trait]
impl SignalSource for IcalSignals {
    fn tells(&self) -> Tells {
        Tells::Events
    }

    async fn signals(
        &self,
        from: Timestamp,
        _: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Signal>, PortError> {
        let path = self.path.clone();
        let read = move || Calendar::read(&path)?.between(from, until);
        let joined = tokio::task::spawn_blocking(read).await;
        joined.map_err(|error| failed(&self.path, error.into()))?
    }
}

fn failed(path: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> PortError {
    let adapter = format!("ical {}", path.display());
    PortError::new(adapter, "the events cannot be used", Retry::Never, source)
}

/// The events of a file, read once.
#[derive(Debug, Clone)]
pub struct Calendar {
    path: PathBuf,
    events: Vec<Scheduled>,
}

impl Calendar {
    /// Reads a file, blocking.
    ///
    /// # Errors
    /// See [`ical::scheduled`].
    pub fn read(path: &Path) -> Result<Self, PortError> {
        Ok(Self { path: path.to_owned(), events: ical::scheduled(path)? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// When the events of each category take place between these moments.
    ///
    /// # Errors
    /// One takes place all too often.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Signal>, PortError> {
        let mut all: BTreeMap<&str, Vec<Interval>> = BTreeMap::new();
        for event in &self.events {
            let times = event.times.occurrences(from, to);
            if times.len() > MOST_OCCURRENCES {
                let reason = format!(
                    "line {}: the event takes place more than {MOST_OCCURRENCES} times between \
                     {from} and {to}; give its rule an UNTIL or a longer interval",
                    event.line
                );
                return Err(failed(&self.path, reason.into()));
            }
            for category in &event.categories {
                all.entry(category).or_default().extend(&times);
            }
        }
        let one = |(name, times): (&str, _)| Signal::Events { name: name.to_owned(), times };
        Ok(all.into_iter().map(one).collect())
    }
}
