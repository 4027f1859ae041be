//! Forecasters in the store, so that a daemon that is started again, or another replica, goes on with them
//! instead of fitting all of them anew. A row is replaced by the next one: no decision needs it, since
//! the state that a plan was made with lies in the archive.
//!
//! A row is one line of JSON, what is known beside the forecaster, and the forecaster behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::config::LoadInput;
use domain::journal::{Digest, digest_of};
use domain::name::{Dimension, FleetName};
use forecast::{AutoForecaster, Scores};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::taken::Taken;
use super::{Kept, Key, Known};

/// Names of rows begin with this.
const PREFIX: &str = "forecaster/";

/// The first line of a row.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    fleet: FleetName,
    dimension: Dimension,
    /// The digest of how the load is configured.
    load: Digest,
    taken: Taken,
    reach: i64,
    fitted_at: Timestamp,
    scores: Scores,
    events: VecDeque<String>,
}

/// Why a row is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// It is not one.
    #[error("the forecaster that the store keeps is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The forecaster cannot be read.
    #[error(transparent)]
    State(#[from] forecast::StateError),
    /// The load is configured otherwise by now.
    #[error("the forecaster that the store keeps is that of another load")]
    Other,
}

/// The name of a row.
pub fn name((fleet, dimension): &Key) -> String {
    format!("{PREFIX}{fleet}/{dimension}")
}

/// Whether a name is that of a row.
pub fn is_row(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// How a load is configured, without what it is used for.
pub fn configured(input: &LoadInput) -> Digest {
    let saturation = input.saturation.as_ref();
    let saturation = saturation.map(|s| (&s.source.adapter, &s.source.config, s.above));
    let (source, measure) = (&input.source, format!("{:?}", input.measure));
    digest_of(&(&source.adapter, &source.config, measure, input.delay.as_secs(), saturation))
}

/// What is kept of a forecaster.
pub fn written((fleet, dimension): &Key, known: &Known, kept: &Kept, load: &Digest) -> Vec<u8> {
    let head = Head {
        fleet: fleet.clone(),
        dimension: dimension.clone(),
        load: load.clone(),
        taken: known.taken.clone(),
        reach: known.reach,
        fitted_at: known.fitted_at,
        scores: known.scores.clone(),
        events: kept.events.clone(),
    };
    let mut bytes = serde_json::to_vec(&head).expect("plain data");
    bytes.push(b'\n');
    bytes.extend(known.forecaster.save());
    bytes
}

/// A row as it was read.
pub struct Row {
    /// Of which load.
    pub key: Key,
    /// What forecasts.
    pub known: Known,
    /// What has changed lately.
    pub events: VecDeque<String>,
    load: Digest,
}

impl Row {
    /// Reads what [`written`] has written.
    pub fn read(bytes: &[u8]) -> Result<Self, BadRow> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let head: Head = serde_json::from_slice(&bytes[..end])?;
        let state = bytes.get(end + 1..).unwrap_or_default();
        let forecaster = Arc::new(AutoForecaster::load(state)?);
        let Head { fleet, dimension, load, taken, reach, fitted_at, scores, events } = head;
        let known = Known { forecaster, taken, reach, fitted_at, scores };
        Ok(Self { key: (fleet, dimension), known, events, load })
    }

    /// The same if it is of this dimension, and its load is configured like this.
    pub fn of(self, key: &Key, load: &Digest) -> Result<Self, BadRow> {
        if self.key == *key && self.load == *load { Ok(self) } else { Err(BadRow::Other) }
    }
}
