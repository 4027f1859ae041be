//! The fleet, the offers, the deadlines, and when the rollouts begin.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use domain::series::{Sample, Series, Step};
use jiff::Timestamp;

/// Traces of server load.
pub const FILES: [&str; 5] = [
    "nab_aws_5min.csv",
    "nab_tweets_5min.csv",
    "ms_cloud_1min.csv",
    "azure_vm_cpu_5min.csv",
    "worldcup98_requests_5min.csv",
];

/// The allowed risks.
pub const RISKS: [f64; 2] = [0.05, 0.02];

/// Servers of the fleet.
const SERVERS: u32 = 20;

/// The highest load that is known before the first instant, as a share of the fleet's capacity.
const PEAK_RATIO: f64 = 0.95;

/// The regimes.
pub const REGIMES: [Regime; 3] = [
    Regime { name: "urgent", deadline: "45m", minutes: 45, begin: Begin::BeforePeak },
    Regime { name: "tight", deadline: "75m", minutes: 75, begin: Begin::AnyHour },
    Regime { name: "day", deadline: "24h", minutes: 24 * 60, begin: Begin::AnyHour },
];

/// When rollouts begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Half an hour before the time of day at which the load of the days before peaks.
    BeforePeak,
    /// At any hour.
    AnyHour,
}

/// A way in which updates come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regime {
    /// Its name.
    pub name: &'static str,
    deadline: &'static str,
    minutes: u64,
    begin: Begin,
}

/// A time of day is known to this many seconds.
const SLOT_SECONDS: i64 = 1800;

/// How long before the peak an urgent rollout begins, in seconds.
const BEFORE_PEAK_SECONDS: i64 = 1800;

const DAY_SECONDS: i64 = 86_400;

impl Regime {
    /// The length of the deadline.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }

    /// At most `count` instants from `middle` to where the deadline is still within the trace,
    /// spread evenly.
    pub fn instants(&self, series: &Series, middle: Timestamp, count: usize) -> Vec<Timestamp> {
        let Some(end) = series.end().checked_sub(self.deadline()).ok().filter(|end| *end > middle)
        else {
            return Vec::new();
        };
        let length = end.as_second() - middle.as_second();
        let minute = Step::from_seconds(60).expect("a minute is a step");
        let spread = |nth: usize| {
            let second = length as f64 * (nth as f64 + 0.5) / count as f64;
            minute.floor(middle + Duration::from_secs(second as u64))
        };
        let mut instants: Vec<Timestamp> = match self.begin {
            Begin::AnyHour => (0..count).map(spread).collect(),
            Begin::BeforePeak => {
                let near = |nth| before_peak(series, spread(nth)).filter(|at| *at >= middle);
                (0..count).filter_map(near).filter(|at| *at <= end).collect()
            }
        };
        instants.dedup();
        instants
    }
}

/// Half an hour before the usual peak of the day of `at`, by the days before that day.
fn before_peak(series: &Series, at: Timestamp) -> Option<Timestamp> {
    let midnight = at.as_second().div_euclid(DAY_SECONDS) * DAY_SECONDS;
    let mut slots: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (index, value) in series.values().iter().enumerate().filter(|(_, v)| v.is_finite()) {
        let second = series.at(index).as_second();
        if second < midnight {
            let slot = slots.entry(second.rem_euclid(DAY_SECONDS) / SLOT_SECONDS).or_default();
            *slot = (slot.0 + value, slot.1 + 1.0);
        }
    }
    let mean = |slot: &(f64, f64)| slot.0 / slot.1;
    let peak = slots.iter().max_by(|a, b| mean(a.1).total_cmp(&mean(b.1)))?;
    let middle = peak.0 * SLOT_SECONDS + SLOT_SECONDS / 2;
    Timestamp::from_second(midnight + middle - BEFORE_PEAK_SECONDS).ok()
}

/// The documents of the fleet and its rollout. The fleet is sized so that `peak` is 95 % of it.
pub fn documents(regime: &Regime, risk: f64, peak: f64) -> String {
    let capacity = peak / f64::from(SERVERS) / PEAK_RATIO;
    let deadline = regime.deadline;
    format!(
        "apiVersion: presurge/v1
kind: Fleet
metadata: {{ name: trace }}
spec:
  servers: {{ static: {{ prefix: web, count: {SERVERS} }} }}
  capacity: {{ load: {capacity} }}
  load: {{ load: {{ csv: {{ path: load.csv }} }} }}
  durations: {{ drain: 1m, update: 7m, warmup: 2m }}
  surge:
    offers:
      - {{ name: on-demand, market: on-demand, capacity: {{ load: {capacity} }}, price: 0.192,
          lead: 3m, max: 40, billing: {{ minimum: 60s, granularity: 1s }} }}
      - {{ name: spot, market: spot, capacity: {{ load: {capacity} }}, price: 0.071, lead: 3m,
          max: 40, interruption: 0.05, billing: {{ minimum: 60s, granularity: 1s }} }}
---
apiVersion: presurge/v1
kind: Rollout
metadata: {{ name: fix }}
spec:
  fleets: [trace]
  target: {{ version: \"2\" }}
  risk: {risk}
  batch: {{ maxUnavailable: \"50%\", maxSurge: \"100%\" }}
  deadline: {deadline}
"
    )
}

/// A load file.
pub fn load(samples: &[Sample]) -> String {
    let mut text = String::from("ds,y\n");
    for sample in samples {
        if sample.value.is_finite() {
            let _ = writeln!(text, "{},{}", sample.at, sample.value);
        }
    }
    text
}
