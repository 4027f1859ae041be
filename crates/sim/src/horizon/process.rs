//! Load that comes from a process which is known: a season, noise that remembers, rare bursts.

use domain::forecast::Paths;
use domain::series::Step;
use jiff::Timestamp;
use plan::uniform;

/// The stream of draws of the load.
const STREAM: u64 = 0x41;

/// Load is the same for so many seconds.
const STEP_SECONDS: i64 = 300;

/// So many steps of the truth are drawn: two and a half days.
const STEPS: usize = 720;

/// Six hours to a season.
const STEPS_IN_SEASON: f64 = 72.0;

/// What the noise keeps from one step to the next, and what comes to it.
const KEEPS: f64 = 0.9;
const NOISE: f64 = 0.015;

/// A step has a burst with this probability, which lifts it by this share.
const BURST: f64 = 0.004;
const BURST_LIFT: f64 = 0.1;

/// The path that comes true.
const TRUTH: u64 = u64::MAX;

/// See the module.
pub(super) struct Process {
    seed: u64,
    start: Timestamp,
    step: Step,
    /// The load as it is on average, per step.
    season: Vec<f64>,
    /// The noise that comes true, per step.
    noise: Vec<f64>,
}

impl Process {
    /// The process of a seed, in the unit of the capacity: a server carries
    /// [`CARRIES`](super::planner::CARRIES).
    pub(super) fn drawn(seed: u64, start: Timestamp, servers: usize) -> Self {
        let draw = |nth: u64| uniform(seed, [STREAM, 0, nth]);
        let full = servers as f64 * super::planner::CARRIES;
        let (mean, swing) = (full * (0.68 + 0.2 * draw(0)), 0.05 + 0.15 * draw(1));
        let season = |step: usize| {
            let turns = step as f64 / STEPS_IN_SEASON + draw(2);
            mean * (1.0 + swing * (std::f64::consts::TAU * turns).sin())
        };
        let mut process = Self {
            seed,
            start,
            step: Step::from_seconds(STEP_SECONDS).expect("a positive number"),
            season: (0..STEPS).map(season).collect(),
            noise: Vec::new(),
        };
        let spread = NOISE / (1.0 - KEEPS * KEEPS).sqrt();
        let mut noise = spread * process.normal(TRUTH, 0);
        for step in 0..STEPS {
            process.noise.push(noise);
            noise = KEEPS * noise + NOISE * process.normal(TRUTH, step as u64 + 1);
        }
        process
    }

    /// The step that a moment lies in, at most the last.
    fn index(&self, at: Timestamp) -> usize {
        let step = at.duration_since(self.start).as_secs().div_euclid(STEP_SECONDS);
        usize::try_from(step).unwrap_or(0).min(STEPS - 1)
    }

    /// The load that comes.
    pub(super) fn truth(&self, at: Timestamp) -> f64 {
        let index = self.index(at);
        self.load(TRUTH, index, self.noise[index])
    }

    /// Every step that touches `[from, to)`.
    pub(super) fn steps(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let length = self.step.duration();
        let first = self.step.floor(from);
        (0..)
            .map(move |n: u32| (first + length * n, first + length * (n + 1)))
            .take_while(move |(from, _)| *from < to)
    }

    /// What can come from the step of `from` on, given what is known then: that step, and the noise in
    /// it, times a factor that tells the truth where it is one. A path per row.
    pub(super) fn paths(
        &self,
        first: u64,
        count: usize,
        (from, steps): (Timestamp, usize),
        times: f64,
    ) -> Paths {
        let begin = self.index(from);
        let mut values = Vec::with_capacity(count * steps);
        for path in first..first + count as u64 {
            let mut noise = self.noise[begin];
            values.push(self.truth(from) * times);
            for step in begin + 1..begin + steps {
                noise = KEEPS * noise + NOISE * self.normal(path, step as u64);
                values.push(self.load(path, step, noise) * times);
            }
        }
        Paths::new(from, self.step, steps, values).expect("finite values in full rows")
    }

    /// The load in a step on a path whose noise is known.
    fn load(&self, path: u64, step: usize, noise: f64) -> f64 {
        let burst = uniform(self.seed, [STREAM + 1, path, step as u64]) < BURST;
        let lift = if burst { 1.0 + BURST_LIFT } else { 1.0 };
        self.season[step.min(STEPS - 1)] * (1.0 + noise) * lift
    }

    /// A standard normal number (Box and Muller 1958).
    fn normal(&self, path: u64, step: u64) -> f64 {
        let draw = |nth| uniform(self.seed, [STREAM + 2 + nth, path, step]);
        (-2.0 * draw(0).ln()).sqrt() * (std::f64::consts::TAU * draw(1)).cos()
    }

    /// The grid of the load.
    pub(super) fn grid(&self) -> Step {
        self.step
    }
}
