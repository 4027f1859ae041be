//! The load that a past plan was made from, as the archive keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::journal::Digest;
use domain::ports::{Archive, LoadSource, PortError, Retry};
use domain::series::Sample;
use jiff::Timestamp;

use super::Feed;
use super::carried::{Judged, Seen, Witness};
use super::history::{Saturation, whole};
use super::signals::{Known, Telling};

/// Why archived samples cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadArchive {
    /// They are not what [`super::history`] writes.
    #[error(
        "line {0} of the archived samples is not `seconds,value`, `saturated,from,to` or a `signal,…`"
    )]
    Line(usize),
    /// A former release kept when saturation began, not how long it lasted.
    #[error(
        "the load was saturated at times, and a former release kept too little of that to compute \
         anything again"
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
    /// The state of a forecaster was never kept, or is gone.
    #[error(
        "the state of the forecaster of {which}, {digest}, is not in the archive: the plan was made \
         before it was to be performed, or the archive was cut"
    )]
    GoneModel {
        /// As `fleet/dimension`.
        which: String,
        /// What was looked for.
        digest: Digest,
    },
    /// The state of a forecaster cannot be read.
    #[error("the forecaster of {which}")]
    BadModel {
        /// As `fleet/dimension`.
        which: String,
        /// Why not.
        #[source]
        source: forecast::StateError,
    },
    /// A calendar file was never kept, or is gone.
    #[error("the calendar file {path} as it was, {digest}, is not in the archive")]
    NoCalendar {
        /// As it is configured.
        path: String,
        /// What was looked for.
        digest: Digest,
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
        let within = self.0.iter().filter(|sample| whole(from) <= sample.at && sample.at < to);
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
        let signals = Telling::Kept(Known::default());
        Feed { source: Arc::new(Unknown), signals, ..self.clone() }
    }

    /// The same feed, which reads what was archived.
    pub fn archived(&self, bytes: &[u8]) -> Result<Feed, BadArchive> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadArchive::Line(1))?;
        let (mut samples, mut spans, mut known) = (Vec::new(), Vec::new(), Known::default());
        let mut seen = Seen::default();
        for (index, line) in text.lines().enumerate() {
            let bad = || BadArchive::Line(index + 1);
            let (at, value) = line.split_once(',').ok_or_else(bad)?;
            let second = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
            if at == "saturated" {
                let (from, to) = value.split_once(',').ok_or(BadArchive::Saturated)?;
                spans.push((second(from).ok_or_else(bad)?, second(to).ok_or_else(bad)?));
                continue;
            }
            if at == "signal" {
                known.take_line(value).ok_or_else(bad)?;
                continue;
            }
            if let Some(taken) = seen.take_line(at, value) {
                taken.ok_or_else(bad)?;
                continue;
            }
            let (at, value) = (second(at).ok_or_else(bad)?, value.parse().map_err(|_| bad())?);
            samples.push(Sample { at, value });
        }
        Ok(Feed {
            source: Arc::new(Archived(samples)),
            saturation: self.saturation.as_ref().map(|_| Saturation::Kept(spans)),
            signals: Telling::Kept(known),
            judged: self
                .judged
                .as_ref()
                .map(|judged| Judged { objective: judged.objective, witness: Witness::Kept(seen) }),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::calendar::Interval;
    use domain::config::Measure;
    use domain::name::Dimension;
    use domain::ports::{SignalSource, Tells};
    use domain::signal::{Reach, Signal};

    use super::*;
    use crate::pipeline::read;

    fn at(second: i64, millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond((1_772_330_400 + second) * 1000 + millisecond).unwrap()
    }

    /// Samples of a minute, some of which were refused, all of them some milliseconds late.
    fn feed() -> Feed {
        let sample = |minute: i64, value: f64| Sample { at: at(60 * minute, 437), value };
        let load = (0..600).map(|minute| sample(minute, 50.0 + (minute % 7) as f64 / 3.0));
        let told = (0..600).map(|minute| sample(minute, f64::from(u8::from(minute % 50 < 3))));
        Feed {
            dimension: Dimension::new("requests").unwrap(),
            source: Arc::new(Archived(load.collect())),
            measure: Measure::Rate,
            delay: Duration::from_secs(30),
            stale_after: 3,
            saturation: Some(Saturation::Told(Arc::new(Archived(told.collect())), 0.5)),
            signals: Telling::Sources(vec![Arc::new(Teller), Arc::new(Silent)]),
            judged: None,
        }
    }

    /// Events between milliseconds, a price that is known ahead, and one that is not.
    struct Teller;

    #[async_trait]
    impl SignalSource for Teller {
        fn tells(&self) -> Tells {
            Tells::Events
        }

        async fn signals(
            &self,
            _: Timestamp,
            now: Timestamp,
            until: Timestamp,
        ) -> Result<Vec<Signal>, PortError> {
            let series = |name: &str, reach, end: Timestamp| {
                let samples =
                    (0..40_000).map(|k| Sample { at: at(120 * k, 5), value: k as f64 / 7.0 });
                let samples = samples.filter(|sample| sample.at < end).collect();
                Signal::Series { name: name.into(), reach, samples }
            };
            let sale = Interval::new(at(600, 437), at(4_200, 950)).unwrap();
            Ok(vec![
                Signal::Events { name: "a sale, \"big\"\n".into(), times: vec![sale] },
                series("price", Reach::KnownAhead, until),
                series("visits", Reach::PastOnly, now),
                series("old", Reach::PastOnly, at(3_600, 0)),
            ])
        }
    }

    /// A file that is gone.
    struct Silent;

    #[async_trait]
    impl SignalSource for Silent {
        fn tells(&self) -> Tells {
            Tells::Series
        }

        async fn signals(
            &self,
            _: Timestamp,
            _: Timestamp,
            _: Timestamp,
        ) -> Result<Vec<Signal>, PortError> {
            Err(PortError::new("csv", "read signals", Retry::Never, "it is gone"))
        }
    }

    #[tokio::test]
    async fn what_is_read_from_the_archive_is_what_was_read_before() {
        for now in [at(60 * 599, 900), at(60 * 420 + 31, 0)] {
            let live = read(&feed(), now).await.unwrap();
            let again = read(&feed().archived(&live.archived).unwrap(), now).await.unwrap();
            assert_eq!(again.series, live.series);
            assert_eq!(again.digest, live.digest);
            assert_eq!(again.known, live.known);
            let lost: Vec<String> = live.known.warnings().collect();
            assert!(
                lost[0].starts_with("without the signal old: its newest value is that of"),
                "{lost:?}"
            );
            assert!(lost[1].contains("signals[1]: csv: read signals: it is gone"), "{lost:?}");
            assert_eq!((lost.len(), live.known.archived().lines().count()), (2, 5));
            let bounds = (0..live.series.values().len()).filter(|i| live.series.is_bound(*i));
            assert!(bounds.count() > 20, "it was saturated");
        }
    }

    #[test]
    fn what_a_former_release_kept_of_saturation_is_too_little() {
        let text = "1772330400,1.5\nsaturated,1772330400\n";
        assert_eq!(feed().archived(text.as_bytes()).err(), Some(BadArchive::Saturated));
        for (text, line) in
            [("x,1\n", 1), ("1,2\n3;4\n", 2), ("saturated,1,x\n", 1), ("signal,{}\n", 1)]
        {
            assert_eq!(
                feed().archived(text.as_bytes()).err(),
                Some(BadArchive::Line(line)),
                "{text}"
            );
        }
    }
}
