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
        let mut noise = spread * process.normals(TRUTH, 0).0;
        for step in 0..STEPS {
            process.noise.push(noise);
            noise = KEEPS * noise + NOISE * process.normals(TRUTH, step as u64 + 1).0;
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
    /// it, times a factor that tells the truth where it is one. A path per row, an even number of them.
    pub(super) fn paths(
        &self,
        first: u64,
        count: usize,
        (from, steps): (Timestamp, usize),
        times: f64,
    ) -> Paths {
        let begin = self.index(from);
        let mut values = vec![0.0; count * steps];
        let paths = (first..).step_by(2);
        for (path, rows) in paths.zip(values.chunks_exact_mut(2 * steps)) {
            let (one, other) = rows.split_at_mut(steps);
            let mut noise = [self.noise[begin]; 2];
            (one[0], other[0]) = (self.truth(from) * times, self.truth(from) * times);
            for (nth, step) in (begin + 1..begin + steps).enumerate() {
                let (a, b) = self.normals(path, step as u64);
                noise = [KEEPS * noise[0] + NOISE * a, KEEPS * noise[1] + NOISE * b];
                one[nth + 1] = self.load(path, step, noise[0]) * times;
                other[nth + 1] = self.load(path + 1, step, noise[1]) * times;
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

    /// Two standard normal numbers (Box and Muller 1958).
    fn normals(&self, path: u64, step: u64) -> (f64, f64) {
        let draw = |nth| uniform(self.seed, [STREAM + 2 + nth, path, step]);
        let radius = (-2.0 * draw(0).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * draw(1)).sin_cos();
        (radius * cos, radius * sin)
    }

    /// The grid of the load.
    pub(super) fn grid(&self) -> Step {
        self.step
    }
}
