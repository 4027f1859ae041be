//! The load that a past plan was made from, as the archive keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::journal::Digest;
use domain::ports::{Archive, LoadSource, PortError, Retry};
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

/// Why the load of a past decision is not there any more.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The decision does not name it.
    #[error("the journal does not say from which load of {which} it was decided")]
    Unnamed {
        /// As `fleet/dimension`.
        which: String,
    },
    /// It was never kept, or is gone.
    #[error(
        "the load of {which}, {digest}, is not in the archive: the plan was made before `apply` was \
         called, from a load that nobody kept, or the archive was cut"
    )]
    Gone {
        /// As `fleet/dimension`.
        which: String,
        /// What was looked for.
        digest: Digest,
    },
    /// What is kept cannot be used.
    #[error("the load of {which}")]
    Bad {
        /// As `fleet/dimension`.
        which: String,
        /// Why not.
        #[source]
        source: BadArchive,
    },
    /// The archive does not answer, or was changed.
    #[error(transparent)]
    Archive(#[from] PortError),
}

/// A load that nothing was known of.
struct Unknown;

#[async_trait]
impl LoadSource for Unknown {
    async fn samples(&self, _: Timestamp, _: Timestamp) -> Result<Vec<Sample>, PortError> {
        let reason = "nothing was known of the load";
        Err(PortError::new("archive", "read the load", Retry::Never, reason))
    }
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
    /// The same feed, which reads what the archive keeps under a digest.
    pub(super) async fn kept(
        &self,
        archive: &dyn Archive,
        which: &str,
        digest: &Digest,
    ) -> Result<Feed, NotKept> {
        let which = || which.to_owned();
        let gone = || NotKept::Gone { which: which(), digest: digest.clone() };
        let bytes = archive.get(digest).await?.ok_or_else(gone)?;
        self.archived(&bytes).map_err(|source| NotKept::Bad { which: which(), source })
    }

    /// The same feed, which knows nothing.
    pub(super) fn unknown(&self) -> Feed {
        Feed { source: Arc::new(Unknown), ..self.clone() }
    }

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
