//! Load that nobody had: what the network that is part of the program is trained on.
//!
//! Every series is drawn from a seed alone: a level, a day and a week of drawn shape, trend,
//! slow wandering, noise that hangs together, bursts, shifts, days off, outages; at steps from a
//! minute to a day, and of a few cycles to some weeks. None of it is taken from measured load.

use domain::series::{Series, Step};
use forecast::models::lstm::examples::Given;
use forecast::season;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// So many series of generated load, with the seasons that are found in them.
pub fn load(seed: u64, count: usize) -> Vec<Given> {
    let one = |which: usize| {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        draw.set_stream(which as u64);
        let series = Kind::draw(&mut draw).series(&mut draw);
        Given { seasons: season::detect(&series), series, regressors: Vec::new() }
    };
    (0..count).into_par_iter().map(one).collect()
}

/// Monday, 1 January 2024, 00:00 UTC.
const MONDAY: i64 = 1_704_067_200;

/// Steps in seconds, and how many a series has at least and at most.
const STEPS: [(i64, usize, usize); 7] = [
    (3_600, 400, 1_400),
    (3_600, 100, 800),
    (1_800, 300, 2_000),
    (900, 300, 2_700),
    (300, 800, 5_000),
    (60, 1_000, 4_500),
    (86_400, 60, 700),
];
/// How often each of them is drawn, of the sum.
const SHARES: [u32; 7] = [8, 3, 3, 3, 6, 2, 1];

/// What is drawn of a series before its noise.
struct Kind {
    step: i64,
    length: usize,
    level: f64,
    day: Shape,
    /// The shape of Saturdays and Sundays, if it is another.
    weekend: Option<Shape>,
    /// What each day of the week is of the others.
    days: [f64; 7],
    /// How large the day is beside the level; 0 for no season.
    swing: f64,
    multiplicative: bool,
    /// Change of the level a week, as a share of it.
    trend: f64,
    /// Wandering of level and swing from day to day.
    wander: (f64, f64),
    /// Size of noise beside the level, how it hangs together, and how much of it scales.
    noise: (f64, f64, f64),
    heavy: bool,
    bursts: f64,
    shifts: usize,
    off: f64,
    outages: f64,
    whole: bool,
    ceiling: f64,
}

/// A day: harmonics, working hours, and something that runs at one moment.
struct Shape {
    waves: Vec<(f64, f64)>,
    hours: Option<(f64, f64, f64)>,
    job: Option<(f64, f64, f64)>,
}

impl Shape {
    fn draw(draw: &mut ChaCha8Rng) -> Self {
        let fall = draw.random_range(0.5..1.8);
        let count = draw.random_range(1..=5_u32);
        let wave = |k: u32, draw: &mut ChaCha8Rng| {
            (normal(draw) / f64::from(k).powf(fall), draw.random_range(0.0..1.0))
        };
        let waves = (1..=count).map(|k| wave(k, draw)).collect();
        let hours = chance(draw, 0.3).then(|| {
            let from = draw.random_range(0.2..0.5);
            (from, from + draw.random_range(0.2..0.5), draw.random_range(0.5..2.0))
        });
        let job = chance(draw, 0.2).then(|| {
            let size = draw.random_range(0.5..4.0);
            (draw.random_range(0.0..1.0), draw.random_range(0.005..0.05), size)
        });
        Self { waves, hours, job }
    }

    /// The shape at a moment of the day, 0 to 1.
    fn at(&self, moment: f64) -> f64 {
        let wave = |(k, (size, place)): (usize, &(f64, f64))| {
            size * (std::f64::consts::TAU * ((k + 1) as f64 * moment - place)).cos()
        };
        let mut value: f64 = self.waves.iter().enumerate().map(wave).sum();
        if let Some((from, to, size)) = self.hours {
            let edge = |at: f64| 1.0 / (1.0 + (-(moment - at) * 60.0).exp());
            value += size * (edge(from) - edge(to));
        }
        if let Some((from, length, size)) = self.job {
            value += if (moment - from).rem_euclid(1.0) < length { size } else { 0.0 };
        }
        value
    }
}

impl Kind {
    fn draw(draw: &mut ChaCha8Rng) -> Self {
        let (step, least, most) = STEPS[weighted(draw, &SHARES)];
        let day = Shape::draw(draw);
        let (weekly, scale) = (chance(draw, 0.65), draw.random_range(0.0..0.15));
        let weekend = draw.random_range(0.3..1.1);
        let days = std::array::from_fn(|d| {
            let own = if weekly && d >= 5 { weekend } else { 1.0 };
            own * (1.0 + if weekly { scale * normal(draw) } else { 0.0 }).max(0.1)
        });
        let size = |draw: &mut ChaCha8Rng, low: f64, high: f64| {
            draw.random_range(f64::ln(low)..f64::ln(high)).exp()
        };
        Self {
            step,
            length: draw.random_range(least..=most),
            level: draw.random_range(0.0..9.0_f64).exp(),
            weekend: (weekly && chance(draw, 0.4)).then(|| Shape::draw(draw)),
            day,
            days,
            swing: if chance(draw, 0.85) { size(draw, 0.03, 0.8) } else { 0.0 },
            multiplicative: chance(draw, 0.4),
            trend: if chance(draw, 0.5) { 0.08 * normal(draw) } else { 0.0 },
            wander: (
                if chance(draw, 0.7) { size(draw, 0.003, 0.15) } else { 0.0 },
                if chance(draw, 0.5) { size(draw, 0.01, 0.2) } else { 0.0 },
            ),
            noise: (
                size(draw, 0.003, 0.25),
                if chance(draw, 0.7) { 1.0 - size(draw, 0.02, 1.0) } else { 0.0 },
                draw.random_range(0.0..1.0),
            ),
            heavy: chance(draw, 0.25),
            bursts: if chance(draw, 0.25) { size(draw, 0.05, 4.0) } else { 0.0 },
            shifts: if chance(draw, 0.15) { draw.random_range(1..=2) } else { 0 },
            off: if chance(draw, 0.2) { 0.02 } else { 0.0 },
            outages: if chance(draw, 0.1) { 0.1 } else { 0.0 },
            whole: chance(draw, 0.2),
            ceiling: if chance(draw, 0.08) { draw.random_range(1.0..1.6) } else { f64::INFINITY },
        }
    }

    fn series(&self, draw: &mut ChaCha8Rng) -> Series {
        let per_day = 86_400.0 / self.step as f64;
        let start = MONDAY + self.step * draw.random_range(0..2_000_i64);
        let mut walk = Walk::new(self, per_day, draw);
        let values = (0..self.length).map(|i| {
            let second = start + self.step * i as i64;
            let value = self.at(second, i, &mut walk, draw);
            if walk.gap > 0 {
                walk.gap -= 1;
                return f64::NAN;
            }
            if self.whole { value.round() } else { value }
        });
        let values = values.collect();
        let at = Timestamp::from_second(start).expect("a moment of this century");
        let step = Step::from_seconds(self.step).expect("steps are positive");
        Series::new(at, step, values)
    }

    /// One value, and the walk one step on.
    fn at(&self, second: i64, index: usize, walk: &mut Walk, draw: &mut ChaCha8Rng) -> f64 {
        walk.step(self, index, draw);
        let day = (second - MONDAY).div_euclid(86_400);
        let moment = (second - MONDAY).rem_euclid(86_400) as f64 / 86_400.0;
        let mut weekday = day.rem_euclid(7) as usize;
        if walk.is_off(self, day, draw) {
            weekday = 6;
        }
        let shape = match &self.weekend {
            Some(own) if weekday >= 5 => own,
            _ => &self.day,
        };
        // A step of a day has no place in a day: its season is the week.
        let moment = if self.step == 86_400 { 0.5 } else { moment };
        let wave = self.swing * walk.swing * shape.at(moment);
        let season = if self.multiplicative { wave.clamp(-3.0, 3.0).exp() } else { 1.0 + wave };
        let weeks = index as f64 * self.step as f64 / 604_800.0;
        let base = season * self.days[weekday] * (walk.level + self.trend * weeks).max(0.05);
        let size = self.noise.2 * base.abs() + 1.0 - self.noise.2;
        let value = base + self.noise.0 * size * walk.noise + walk.burst;
        self.level * value.clamp(0.0, self.ceiling)
    }
}

/// What changes from step to step.
struct Walk {
    per_day: f64,
    level: f64,
    swing: f64,
    noise: f64,
    burst: f64,
    fade: f64,
    gap: usize,
    shifts: Vec<(usize, f64)>,
    off: (i64, bool),
}

impl Walk {
    fn new(kind: &Kind, per_day: f64, draw: &mut ChaCha8Rng) -> Self {
        let shift = |draw: &mut ChaCha8Rng| (draw.random_range(0..kind.length), 0.4 * normal(draw));
        let shifts = (0..kind.shifts).map(|_| shift(draw)).collect();
        let off = (i64::MIN, false);
        Self {
            per_day,
            level: 1.0,
            swing: 1.0,
            noise: 0.0,
            burst: 0.0,
            fade: 0.0,
            gap: 0,
            shifts,
            off,
        }
    }

    fn step(&mut self, kind: &Kind, index: usize, draw: &mut ChaCha8Rng) {
        let root = self.per_day.sqrt();
        let shift: f64 = self.shifts.iter().filter(|(at, _)| *at == index).map(|(_, by)| by).sum();
        // Level and swing come back to where they began within weeks.
        let back = 0.05 / self.per_day;
        self.level += kind.wander.0 * normal(draw) / root - back * (self.level - 1.0) + shift;
        self.swing += kind.wander.1 * normal(draw) / root - back * (self.swing - 1.0);
        let own = if kind.heavy && chance(draw, 0.05) { 4.0 } else { 1.0 } * normal(draw);
        let hangs = kind.noise.1;
        self.noise = hangs * self.noise + (1.0 - hangs * hangs).sqrt() * own;
        self.burst *= self.fade;
        if chance(draw, kind.bursts / self.per_day) {
            self.burst += draw.random_range(0.1..2.0);
            self.fade = 1.0 - 1.0 / draw.random_range(1.5..(self.per_day / 8.0).max(2.0));
        }
        if chance(draw, kind.outages / self.per_day) {
            self.gap = draw.random_range(1..=(self.per_day as usize / 4).max(1));
        }
    }

    fn is_off(&mut self, kind: &Kind, day: i64, draw: &mut ChaCha8Rng) -> bool {
        if self.off.0 != day {
            self.off = (day, chance(draw, kind.off));
        }
        self.off.1
    }
}

fn chance(draw: &mut ChaCha8Rng, share: f64) -> bool {
    draw.random_range(0.0..1.0) < share
}

fn normal(draw: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) =
        (draw.random_range(f64::MIN_POSITIVE..1.0), draw.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn weighted(draw: &mut ChaCha8Rng, shares: &[u32]) -> usize {
    let mut place = draw.random_range(0..shares.iter().sum());
    for (which, share) in shares.iter().enumerate() {
        if place < *share {
            return which;
        }
        place -= share;
    }
    shares.len() - 1
}
