//! The load that a past plan was made from, as the archive keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::{LoadSource, PortError};
use domain::series::Sample;
use jiff::Timestamp;

use super::Feed;

/// Why archived samples cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadArchive {
    /// They are not what [`super::history`] writes.
    #[error("line {0} of the archived samples is not `seconds,value`")]
    Line(usize),
    /// Which samples were above the limit is kept, not the times between all of them.
    #[error(
        "the load was saturated at times, and of its saturation the archive keeps too little to \
         compute the plan again"
    )]
    Saturated,
}

/// Archived samples behind the port of a load source.
struct Archived(Vec<Sample>);

#[async_trait]
impl LoadSource for Archived {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let within = self.0.iter().filter(|sample| from <= sample.at && sample.at < to);
        Ok(within.copied().collect())
    }
}

impl Feed {
    /// The same feed, which reads what was archived.
    pub fn archived(&self, bytes: &[u8]) -> Result<Feed, BadArchive> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadArchive::Line(1))?;
        let mut samples = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let bad = || BadArchive::Line(index + 1);
            let (at, value) = line.split_once(',').ok_or_else(bad)?;
            if at == "saturated" {
                return Err(BadArchive::Saturated);
            }
            let at = at.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
            let (at, value) = (at.ok_or_else(bad)?, value.parse().map_err(|_| bad())?);
            samples.push(Sample { at, value });
        }
        let nothing_saturated =
            |(_, above)| (Arc::new(Archived(Vec::new())) as Arc<dyn LoadSource>, above);
        Ok(Feed {
            source: Arc::new(Archived(samples)),
            saturation: self.saturation.clone().map(nothing_saturated),
            ..self.clone()
        })
    }
}
