//! What the daemon measures of itself, in the text format of Prometheus. No label has a value that
//! outsiders choose.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::event::Outcome;
use domain::journal::{Head, Record};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use rollout::State;
use rollout::driver::Audience;
use rollout::observe::Seen;
use std::sync::Arc;
use std::time::Duration;

/// The upper edges of the classes of a histogram, in seconds.
const EDGES: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counts of values by their size.
#[derive(Debug, Default, Clone)]
struct Histogram {
    classes: [u64; EDGES.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        let class = EDGES.iter().position(|edge| seconds <= *edge);
        if let Some(class) = class {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let (comma, mut sum) = (if labels.is_empty() { "" } else { "," }, 0);
        for (edge, count) in EDGES.iter().zip(self.classes) {
            sum += count;
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{edge}\"}} {sum}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", self.count);
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(out, "{name}_sum{braced} {}", self.sum);
        let _ = writeln!(out, "{name}_count{braced} {}", self.count);
    }
}

/// All that is measured.
#[derive(Debug, Default)]
pub struct Meters {
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Histogram>>,
    late: Mutex<Histogram>,
    records: AtomicU64,
    turns: AtomicU64,
    troubles: AtomicU64,
    driver_failures: AtomicU64,
    finished: Mutex<BTreeMap<&'static str, u64>>,
    permits: Mutex<BTreeMap<&'static str, u64>>,
}

/// A gauge of the moment.
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its values, each under labels that are written already.
    pub values: Vec<(String, f64)>,
}

impl Meters {
    /// A request was answered.
    pub fn answered(&self, method: &Method, route: &'static str, status: StatusCode, seconds: f64) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::HEAD => "HEAD",
            _ => "other",
        };
        let key = (method, route, status.as_u16());
        *self.requests.lock().expect("no panic").entry(key).or_default() += 1;
        self.durations.lock().expect("no panic").entry(route).or_default().observe(seconds);
    }

    /// A rollout ended.
    pub fn finished(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Incomplete => "incomplete",
            Outcome::Aborted => "aborted",
            Outcome::RolledBack => "rolled_back",
        };
        *self.finished.lock().expect("no panic").entry(outcome).or_default() += 1;
    }

    /// A driver stopped without an end of its rollout.
    pub fn driver_failed(&self) {
        self.driver_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Something outside did not work.
    pub fn trouble(&self) {
        self.troubles.fetch_add(1, Ordering::Relaxed);
    }

    /// A permit was decided on.
    pub fn permit(&self, granted: bool) {
        let answer = if granted { "granted" } else { "refused" };
        *self.permits.lock().expect("no panic").entry(answer).or_default() += 1;
    }

    /// Everything, with gauges of the moment.
    pub fn text(&self, gauges: &[Gauge]) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        let name = "presurge_build_info";
        head(&mut out, name, "gauge", "The build, as labels.");
        let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        let _ = writeln!(out, "{name}{{version=\"{version}\",arch=\"{arch}\"}} 1");
        for gauge in gauges {
            head(&mut out, gauge.name, "gauge", gauge.help);
            for (labels, value) in &gauge.values {
                let _ = writeln!(out, "{}{labels} {value}", gauge.name);
            }
        }
        let counters = [
            ("presurge_turns_total", "Turns of drivers.", &self.turns),
            ("presurge_journal_records_total", "Records that drivers here saw.", &self.records),
            ("presurge_troubles_total", "Things outside that did not work.", &self.troubles),
            (
                "presurge_driver_failures_total",
                "Drivers that stopped before the end of their rollout.",
                &self.driver_failures,
            ),
        ];
        for (name, help, value) in counters {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {}", value.load(Ordering::Relaxed));
        }
        let name = "presurge_rollouts_finished_total";
        head(&mut out, name, "counter", "Rollouts that ended here, by outcome.");
        for (outcome, count) in self.finished.lock().expect("no panic").iter() {
            let _ = writeln!(out, "{name}{{outcome=\"{outcome}\"}} {count}");
        }
        let name = "presurge_permits_total";
        head(&mut out, name, "counter", "Permits that were decided on, by answer.");
        for (answer, count) in self.permits.lock().expect("no panic").iter() {
            let _ = writeln!(out, "{name}{{answer=\"{answer}\"}} {count}");
        }
        let name = "presurge_turn_lateness_seconds";
        head(&mut out, name, "histogram", "How much later than due drivers looked at their world.");
        self.late.lock().expect("no panic").write(&mut out, name, "");
        let name = "presurge_http_requests_total";
        head(&mut out, name, "counter", "Requests, by route and status.");
        for ((method, route, status), count) in self.requests.lock().expect("no panic").iter() {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(out, "{name}{{{labels}}} {count}");
        }
        let name = "presurge_http_request_duration_seconds";
        head(&mut out, name, "histogram", "How long requests took, by route.");
        for (route, histogram) in self.durations.lock().expect("no panic").iter() {
            histogram.write(&mut out, name, &format!("route=\"{route}\""));
        }
        out
    }
}

/// Counts what a driver does, for another audience.
pub struct Counted {
    audience: Arc<dyn Audience>,
    server: Arc<super::Server>,
    tick: Duration,
    /// The look before, and whether anything was written since.
    before: Mutex<Option<Timestamp>>,
}

impl Counted {
    /// An audience, counted.
    pub fn new(audience: Arc<dyn Audience>, server: Arc<super::Server>, tick: Duration) -> Self {
        Self { audience, server, tick, before: Mutex::new(None) }
    }
}

impl Audience for Counted {
    fn recorded(&self, state: &State, record: &Record) {
        self.server.meters.records.fetch_add(1, Ordering::Relaxed);
        self.audience.recorded(state, record);
    }

    fn read_freezes(&self, head: &Head) {
        self.audience.read_freezes(head);
    }

    fn looked(&self, state: &State, seen: &Seen, now: Timestamp) {
        let meters = &self.server.meters;
        meters.turns.fetch_add(1, Ordering::Relaxed);
        let before = self.before.lock().expect("no panic").replace(now);
        if let Some(before) = before {
            let late = now.duration_since(before).as_secs_f64() - self.tick.as_secs_f64();
            meters.late.lock().expect("no panic").observe(late.max(0.0));
        }
        self.audience.looked(state, seen, now);
    }

    fn troubled(&self, text: &str) {
        self.server.meters.troubles.fetch_add(1, Ordering::Relaxed);
        self.audience.troubled(text);
    }
}
