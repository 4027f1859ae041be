//! Load of the past in virtual time.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::{Clock, LoadSource, PortError};
use domain::series::Sample;
use jiff::Timestamp;

use crate::clock::SimClock;

/// Recorded samples behind the port of a load source. It tells nothing that is stamped at or
/// after the present moment of its clock, whoever asks: a replayed rollout cannot see what comes.
#[derive(Debug, Clone)]
pub struct RecordedLoad {
    clock: SimClock,
    samples: Arc<Vec<Sample>>,
}

impl RecordedLoad {
    /// A source of `samples`, which rise in time.
    pub fn new(clock: SimClock, samples: Arc<Vec<Sample>>) -> Self {
        Self { clock, samples }
    }
}

#[async_trait]
impl LoadSource for RecordedLoad {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let to = to.min(self.clock.now());
        let start = self.samples.partition_point(|sample| sample.at < from);
        let end = self.samples.partition_point(|sample| sample.at < to);
        Ok(self.samples.get(start..end).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_until_stuck;

    #[test]
    fn what_comes_is_not_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let samples = (0..10).map(|n| Sample { at: at(n * 60), value: n as f64 }).collect();
        let clock = SimClock::at(at(180));
        let source = RecordedLoad::new(clock.clone(), Arc::new(samples));
        let told = |from, to| {
            let answer = run_until_stuck(source.samples(at(from), at(to))).unwrap().unwrap();
            answer.iter().map(|s| s.value as i64).collect::<Vec<_>>()
        };
        assert_eq!(told(60, 10_000), [1, 2]);
        assert_eq!(told(0, 61), [0, 1]);
        run_until_stuck(clock.sleep_until(at(241)));
        assert_eq!(told(60, 10_000), [1, 2, 3, 4]);
        assert!(told(500, 10).is_empty());
    }
}
