//! What takes another time in some hours of the day.
//!
//! The hours are pooled in part (Gelman et al., Bayesian Data Analysis, ch. 5): the distribution of the whole day
//! is the prior of an hour, and counts as a few observations. An observation belongs to the hour in which what it
//! measures began; an hour with few of its own takes some of its neighbours in, by a triangular kernel
//! around the clock.
//!
//! An hour stands for itself where its mean differs from that of the day by more than chance and by more than
//! [`STEP`]. Chance is that of a one-way layout with random effects (§5.4 there; the variances by moments): the
//! servers of one rollout have its kernel and its day in common, so that fifty of them are no fifty observations.
//! The hours that differ most are taken out of the day one after the other, so that a slow night neither makes
//! the day longer than it is nor the other hours look fast.

use std::collections::{BTreeMap, BTreeSet};

use domain::hour::Hour;
use domain::learned::{Evidence, Figure, Hourly, Quantity};
use domain::spread::Spread;

use super::estimate::{Belief, Length, student_quantile};
use super::{Finding, Observed, ROLLOUTS, STEP, moves};

/// The day counts as so many observations of an hour.
const DAY_WEIGHT: f64 = 2.0;

/// An hour that has so many observations of its own needs none of its neighbours.
const ENOUGH: f64 = 8.0;

/// At so many hours an observation counts nothing any more; half of it at half of that.
const REACH: u8 = 2;

/// What is not chance lies so many standard errors away (or as far out of Student's distribution): in 24 hours of
/// three quantities without any difference one is taken for one in 200 times.
const SURE: f64 = 4.0;

/// In fewer rollouts than this nothing is seen of an hour.
const LEAST_ROLLOUTS: usize = 2;

/// The hours that differ from the day, and then the day without them; empty where none does.
pub(super) fn by_hour(
    quantity: &Quantity,
    configured: Figure,
    newest_first: &[Observed],
    weight: impl Fn(usize) -> f64,
) -> BTreeMap<Quantity, Finding> {
    let (Some(what), Ok(spread)) = (quantity.hourly(), configured.spread()) else {
        return BTreeMap::new();
    };
    let cells = cells(&what, newest_first, weight);
    let found = Hours::new(spread, &cells).and_then(|hours| hours.found(&what));
    found.unwrap_or_default()
}

/// What was seen in one hour of one rollout.
#[derive(Debug, Clone, Copy)]
struct Cell<'a> {
    /// How many rollouts came after it.
    age: usize,
    hour: Hour,
    /// What each of its observations counts.
    weight: f64,
    lengths: &'a [Length],
}

fn cells<'a>(
    what: &Hourly,
    newest_first: &'a [Observed],
    weight: impl Fn(usize) -> f64,
) -> Vec<Cell<'a>> {
    let rollouts = newest_first.iter().take(ROLLOUTS).enumerate();
    let of_rollout = |(age, observed): (usize, &'a Observed)| {
        let weight = weight(age);
        let cell = move |hour: Hour| {
            let lengths = observed.lengths.get(&Quantity::At(what.clone(), hour))?;
            Some(Cell { age, hour, weight, lengths })
        };
        Hour::all().filter_map(cell)
    };
    rollouts.flat_map(of_rollout).collect()
}

/// By how much logarithms of seconds scatter, as variances.
#[derive(Debug, Clone, Copy)]
struct Noise {
    /// Those of one cell around their mean.
    within: f64,
    /// The means of the rollouts in the same hour.
    between: f64,
    /// From so many degrees of freedom.
    freedom: f64,
}

impl Noise {
    /// The variances of a one-way layout by the method of moments. `None` where no hour was seen in two rollouts:
    /// what is of the hour and what of the rollout cannot be told apart then.
    fn of(cells: &[Cell<'_>], belief: &Belief) -> Option<Self> {
        let mut hours: BTreeMap<Hour, Vec<(f64, f64)>> = BTreeMap::new();
        let (mut squares, mut free) = (0.0, 0.0);
        for cell in cells {
            let logs: Vec<f64> = cell.lengths.iter().map(|l| belief.expects(*l).0).collect();
            let (count, sum) = (logs.len() as f64, logs.iter().sum::<f64>());
            let mean = sum / count;
            squares += logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
            free += count - 1.0;
            hours.entry(cell.hour).or_default().push((count, mean));
        }
        let within = if free > 0.0 { squares / free } else { 0.0 };
        let (mut apart, mut freedom, mut counts) = (0.0, 0.0, 0.0);
        for means in hours.values() {
            let all: f64 = means.iter().map(|(count, _)| count).sum();
            let mean = means.iter().map(|(count, mean)| count * mean).sum::<f64>() / all;
            apart += means.iter().map(|(count, own)| count * (own - mean).powi(2)).sum::<f64>();
            counts += all - means.iter().map(|(count, _)| count * count).sum::<f64>() / all;
            freedom += means.len() as f64 - 1.0;
        }
        let between = ((apart - within * freedom) / counts).max(0.0);
        (freedom > 0.0).then_some(Self { within, between, freedom })
    }
}

/// Observations that count for one thing, each with what it counts.
#[derive(Debug, Default)]
struct Sample {
    seen: Vec<(Length, f64)>,
    /// What the observations of each rollout count together.
    rollouts: BTreeMap<usize, f64>,
}

impl Sample {
    fn take(&mut self, cell: &Cell<'_>, share: f64) {
        let weight = cell.weight * share;
        self.seen.extend(cell.lengths.iter().map(|length| (*length, weight)));
        *self.rollouts.entry(cell.age).or_default() += weight * cell.lengths.len() as f64;
    }

    fn total(&self) -> f64 {
        self.rollouts.values().sum()
    }

    /// Whether nothing is known of it but how soon it was over at the latest. That says how long servers were looked
    /// at, which is another time in another rollout, and no difference between hours.
    fn is_only_bounded(&self) -> bool {
        self.seen.iter().all(|(length, _)| matches!(length, Length::AtMost(_)))
    }

    /// The mean of the logarithms, as far as they are known.
    fn mean(&self, belief: &Belief) -> f64 {
        let logs = self.seen.iter().map(|(length, weight)| weight * belief.expects(*length).0);
        logs.sum::<f64>() / self.total()
    }

    /// The variance of that mean.
    fn variance(&self, noise: &Noise) -> f64 {
        let single: f64 = self.seen.iter().map(|(_, weight)| weight * weight).sum();
        let together: f64 = self.rollouts.values().map(|weight| weight * weight).sum();
        (noise.within * single + noise.between * together) / self.total().powi(2)
    }

    fn evidence(&self) -> Evidence {
        let censored = self.seen.iter().filter(|(length, _)| length.is_censored()).count();
        Evidence {
            rollouts: u32::try_from(self.rollouts.len()).unwrap_or(u32::MAX),
            seen: (self.seen.len() - censored) as f64,
            of_which: censored as f64,
        }
    }

    fn finding(&self, belief: &Belief) -> Option<Finding> {
        let figure = Figure::duration(belief.next()?);
        Some(Finding { figure, evidence: self.evidence() })
    }
}

struct Hours<'a> {
    configured: Belief,
    cells: &'a [Cell<'a>],
    noise: Noise,
}

/// The day without the hours that stand for themselves.
struct Day {
    sample: Sample,
    belief: Belief,
}

impl<'a> Hours<'a> {
    /// `None` where nothing can be said of single hours.
    fn new(configured: Spread, cells: &'a [Cell<'a>]) -> Option<Self> {
        let configured = Belief::configured(configured);
        let mut all = Sample::default();
        cells.iter().for_each(|cell| all.take(cell, 1.0));
        let noise = Noise::of(cells, &configured.after(&all.seen)?)?;
        Some(Self { configured, cells, noise })
    }

    fn found(&self, what: &Hourly) -> Option<BTreeMap<Quantity, Finding>> {
        let mut own = BTreeSet::new();
        let mut day = self.day(&own)?;
        loop {
            let others = Hour::all().filter(|hour| !own.contains(hour));
            let farthest = others
                .filter_map(|hour| Some((self.differs(hour, &day)?, hour)))
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            let Some((_, hour)) = farthest else { break };
            own.insert(hour);
            // One hour at least is the day.
            let Some(rest) = self.day(&own) else {
                own.remove(&hour);
                break;
            };
            day = rest;
        }
        own.retain(|hour| self.differs(*hour, &day).is_some());
        day = self.day(&own)?;
        let whole = day.sample.finding(&day.belief)?;
        let hour = |hour: Hour| {
            let sample = self.sample(hour);
            let prior = Belief { weight: DAY_WEIGHT, freedom: DAY_WEIGHT, ..day.belief };
            let finding = sample.finding(&prior.after(&sample.seen)?)?;
            let far = moves(&what.day(), whole.figure, finding.figure);
            far.then_some((Quantity::At(what.clone(), hour), finding))
        };
        let hours: BTreeMap<Quantity, Finding> = own.into_iter().filter_map(hour).collect();
        let any = !hours.is_empty();
        any.then(|| hours.into_iter().chain([(what.day(), whole)]).collect())
    }

    fn day(&self, without: &BTreeSet<Hour>) -> Option<Day> {
        let mut sample = Sample::default();
        let rest = self.cells.iter().filter(|cell| !without.contains(&cell.hour));
        rest.for_each(|cell| sample.take(cell, 1.0));
        let belief = self.configured.after(&sample.seen)?;
        Some(Day { sample, belief })
    }

    /// What counts for an hour: its own observations, and of its neighbours as many as it lacks.
    fn sample(&self, hour: Hour) -> Sample {
        let near = |cell: &&Cell<'_>| cell.hour.distance(hour) < REACH;
        let share = |cell: &Cell<'_>| 1.0 - f64::from(cell.hour.distance(hour)) / f64::from(REACH);
        let counts = |cell: &Cell<'_>| cell.weight * share(cell) * cell.lengths.len() as f64;
        let (own, others): (Vec<&Cell<'_>>, Vec<&Cell<'_>>) =
            self.cells.iter().filter(near).partition(|cell| cell.hour == hour);
        let total = |cells: &[&Cell<'_>]| cells.iter().map(|cell| counts(cell)).sum::<f64>();
        let (lacks, there) = (ENOUGH - total(&own), total(&others));
        let part = if lacks < there { lacks / there } else { 1.0 };
        let mut sample = Sample::default();
        own.iter().for_each(|cell| sample.take(cell, 1.0));
        let others = others.iter().filter(|_| part > 0.0);
        others.for_each(|cell| sample.take(cell, share(cell) * part));
        sample
    }

    /// How many standard errors an hour lies away from the day, where that is neither chance nor little.
    fn differs(&self, hour: Hour, day: &Day) -> Option<f64> {
        let sample = self.sample(hour);
        if sample.rollouts.len() < LEAST_ROLLOUTS || sample.is_only_bounded() {
            return None;
        }
        let away = (sample.mean(&day.belief) - day.sample.mean(&day.belief)).abs();
        let pooled = away * sample.total() / (DAY_WEIGHT + sample.total());
        let variance = sample.variance(&self.noise) + day.sample.variance(&self.noise);
        let errors = away / variance.sqrt();
        let sure = errors > student_quantile(SURE, self.noise.freedom);
        (sure && pooled > STEP.ln_1p()).then_some(errors)
    }
}

#[cfg(test)]
mod tests;
