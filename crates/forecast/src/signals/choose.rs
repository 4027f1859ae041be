//! Which signals enter, and with which windows.

use domain::series::Series;
use rayon::prelude::*;

use super::coarse::Coarse;
use super::columns::{self, Windows};
use super::judge::{self, Columns, Judge, Recipe};
use super::{Acts, Kind, Reach, SignalReport, Signals, Unused};
use crate::models::Context;
use crate::rolling::Plan;
use crate::settings;

/// The signals that entered.
pub(crate) struct Chosen {
    /// Their columns, over the history and the horizon.
    pub(crate) columns: Columns,
    /// How they act.
    pub(crate) acts: Acts,
    /// What each signal brought, in the order in which they were given.
    pub(crate) reports: Vec<SignalReport>,
}

/// One signal while it is judged.
struct Candidate {
    report: SignalReport,
    /// The steps of its events.
    mask: Vec<bool>,
    windows: Windows,
    columns: Columns,
}

/// Chooses among `signals` for forecasts of `horizon` steps, by the loss of the model of a recipe; they
/// are first taken to act as is said.
pub(crate) fn choose(
    signals: &Signals,
    series: &Series,
    context: &Context,
    (plan, horizon): (&Plan, usize),
    (recipe, acts): (&Recipe<'_>, Acts),
    is_late: &(dyn Fn() -> bool + Sync),
) -> Chosen {
    let coarse = Coarse::of(series, context);
    let short = if coarse.factor == 1 {
        plan.clone()
    } else {
        let season = coarse.context.seasons.shortest().unwrap_or(1);
        Plan::over(coarse.series.values(), coarse.steps(plan.horizon), season)
    };
    // The scale is chosen before signals are looked at: chance has no second draw.
    let first = if acts.suits(series.values()) { acts } else { Acts::Adds };
    let judge =
        |acts| Judge::over(&coarse.series, &coarse.context, &short, (recipe, acts), is_late);
    let (judge, other) = (judge(first), judge(first.other()));
    let ahead = coarse.steps(horizon);
    let history = coarse.series.values().len();
    let mut search = Search { judge: &judge, history, count: history + ahead };
    let lag = ahead.max(judge.horizon());
    let mut all = search.candidates(&coarse.signals(signals), lag);
    let Some(plain) = judge.loss(&Vec::new()) else {
        let why = if judge.is_late() { Unused::NoTime } else { Unused::TooShort };
        all.iter_mut().for_each(|one| one.report.unused = one.report.unused.or(Some(why)));
        let reports = all.into_iter().map(|c| c.report).collect();
        return Chosen { columns: Vec::new(), acts: Acts::Adds, reports };
    };
    let entered = search.enter(&mut all, plain);
    let found = joined(&all, &entered, None);
    let loss = |judge: &Judge<'_>| judge.loss(&found).unwrap_or(f64::MAX);
    let other_suits = other.acts.suits(series.values());
    if !entered.is_empty() && other_suits && loss(&other) < loss(&judge) {
        search.judge = &other;
    }
    search.ablate(&mut all, &entered);
    let acts = search.judge.acts;
    let mut reports: Vec<SignalReport> = all.into_iter().map(|one| one.told(&coarse)).collect();
    let count = series.values().len() + horizon;
    let columns = columns::of_reports(&reports, signals, series, count);
    let columns: Columns = columns.into_iter().map(|(_, column)| column).collect();
    tell_effects(&mut reports, (series, acts), context, &columns);
    Chosen { columns, acts, reports }
}

impl Candidate {
    /// What is told of it, in steps of the load.
    fn told(self, coarse: &Coarse) -> SignalReport {
        let Self { mut report, windows, .. } = self;
        if report.unused.is_none() {
            report.lead.0 = windows.lead * coarse.factor;
            report.tail.0 = windows.tail * coarse.factor;
        }
        report.lag *= coarse.factor;
        report
    }
}

/// The effects as people are told them, from a fit on the whole history.
fn tell_effects(
    reports: &mut [SignalReport],
    (series, acts): (&Series, Acts),
    context: &Context,
    columns: &Columns,
) {
    let series = judge::scaled(series, acts);
    let Ok((explained, _)) = judge::explain(&series, context, columns) else { return };
    let effects = explained.effects(columns.len());
    let mut effects = effects.into_iter().map(|effect| acts.told(effect));
    for report in reports.iter_mut().filter(|report| report.unused.is_none()) {
        report.effect = effects.next().unwrap_or(0.0);
        for window in [&mut report.lead, &mut report.tail] {
            window.1 = if window.0 > 0 { effects.next().unwrap_or(0.0) } else { 0.0 };
        }
    }
}

/// The columns of these candidates, but one.
fn joined(all: &[Candidate], entered: &[usize], but: Option<usize>) -> Columns {
    let others = entered.iter().filter(|place| Some(**place) != but);
    others.flat_map(|place| all[*place].columns.clone()).collect()
}

/// Before or after.
#[derive(Debug, Clone, Copy)]
enum Side {
    Lead,
    Tail,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Lead, Self::Tail];

    fn get(self, windows: Windows) -> usize {
        match self {
            Self::Lead => windows.lead,
            Self::Tail => windows.tail,
        }
    }

    fn set(self, windows: Windows, steps: usize) -> Windows {
        match self {
            Self::Lead => Windows { lead: steps, ..windows },
            Self::Tail => Windows { tail: steps, ..windows },
        }
    }
}

struct Search<'a> {
    judge: &'a Judge<'a>,
    history: usize,
    /// Steps of the history and the horizon.
    count: usize,
}

impl Search<'_> {
    fn candidates(&self, signals: &Signals, lag: usize) -> Vec<Candidate> {
        let report = |name: &str, kind| SignalReport {
            name: name.to_owned(),
            kind,
            unused: None,
            loss: (f64::NAN, f64::NAN),
            lag: if kind == Kind::Series(Reach::PastOnly) { lag } else { 0 },
            effect: 0.0,
            lead: (0, 0.0),
            tail: (0, 0.0),
        };
        let event = |category: &super::Category| {
            // An event after the horizon may have its lead within.
            let count = self.count + self.longest_window();
            let mask = columns::mask(&category.times, self.judge.series, count);
            let mut report = report(&category.name, Kind::Event);
            let past = &mask[..self.history];
            if past.iter().all(|on| *on == past[0]) {
                report.unused = Some(Unused::NeverHappened);
            }
            let windows = Windows::default();
            let columns = columns::of_events(&mask, windows, self.count);
            Candidate { report, mask, windows, columns }
        };
        let outside = |outside: &super::Outside| {
            let column = columns::of_outside(outside, lag, self.count);
            let mut report = report(&outside.name, Kind::Series(outside.reach));
            let mut known = column[..self.history].iter().filter(|v| v.is_finite());
            let first = known.next();
            if known.all(|v| Some(v) == first) {
                report.unused = Some(Unused::Constant);
            }
            let windows = Windows::default();
            Candidate { report, mask: Vec::new(), windows, columns: vec![column] }
        };
        let events = signals.events.iter().map(event);
        events.chain(signals.series.iter().map(outside)).collect()
    }

    /// The longest window that is tried, in steps.
    fn longest_window(&self) -> usize {
        let time = settings::SIGNAL_WINDOW_SECONDS / self.judge.series.step().seconds();
        let steps = usize::try_from(time).unwrap_or(0).max(settings::SIGNAL_WINDOW_STEPS);
        steps.min(self.history / settings::SIGNAL_HISTORY_PER_WINDOW)
    }

    /// Lets signals in, the one that helps most first. Returns their places.
    fn enter(&self, all: &mut [Candidate], plain: f64) -> Vec<usize> {
        let mut alone: Vec<(usize, f64)> = Vec::new();
        for (place, one) in all.iter_mut().enumerate().filter(|(_, c)| c.report.unused.is_none()) {
            match self.best(one, &Vec::new(), plain) {
                Some(loss) => alone.push((place, loss)),
                None => one.report.unused = Some(Unused::NoTime),
            }
        }
        alone.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (mut entered, mut loss) = (Vec::new(), plain);
        for (place, _) in alone {
            let others = joined(all, &entered, None);
            // What has entered before may explain what seemed to be a window.
            let found = if entered.is_empty() {
                self.with(&all[place].columns, &others)
            } else {
                self.best(&mut all[place], &others, loss)
            };
            match self.verdict(&all[place], &others, loss, found) {
                Ok(lower) => {
                    loss = lower;
                    entered.push(place);
                }
                Err(why) => all[place].report.unused = Some(why),
            }
        }
        entered.sort_unstable();
        entered
    }

    fn with(&self, own: &Columns, others: &Columns) -> Option<f64> {
        let columns: Columns = others.iter().chain(own).cloned().collect();
        self.judge.loss(&columns)
    }

    /// The loss with the signal beside `others`, or why it does not enter.
    fn verdict(
        &self,
        one: &Candidate,
        others: &Columns,
        without: f64,
        with: Option<f64>,
    ) -> Result<f64, Unused> {
        let with = with.ok_or(Unused::NoTime)?;
        if with > without * (1.0 - settings::SIGNAL_GAIN_LEAST) {
            return Err(Unused::NoGain);
        }
        let placebo = |k: usize| {
            // Spread by the golden ratio: no two of them are a season apart by design.
            let share = (k as f64 * 0.618_033_988_75).fract();
            let shift = (self.history as f64 * (0.1 + 0.8 * share)) as usize;
            if one.mask.is_empty() {
                let moved = |column: &Vec<f64>| columns::moved(column, self.history, shift);
                return self.with(&one.columns.iter().map(moved).collect(), others);
            }
            // Windows are searched at the wrong times too, or chance would favour the right ones.
            let mask = columns::moved(&one.mask, self.history, shift);
            let grid = self.grid(settings::SIGNAL_PLACEBO_RATIO);
            let mut best = self.plain_windows(&mask, others)?;
            self.on_grid(&mut best, &mask, others, &grid, 0.0)?;
            let own = self.with(&columns::of_events(&mask, one.windows, self.count), others)?;
            Some(if own < best.0 { own } else { best.0 })
        };
        let losses: Vec<Option<f64>> =
            (1..=settings::SIGNAL_PLACEBOS).into_par_iter().map(placebo).collect();
        let losses: Option<Vec<f64>> = losses.into_iter().collect();
        let losses = losses.ok_or(Unused::NoTime)?;
        let by_chance = losses.into_iter().fold(0.0, |most: f64, loss| most.max(without - loss));
        let is_chance = without - with <= settings::SIGNAL_MARGIN * by_chance;
        if is_chance { Err(Unused::Chance) } else { Ok(with) }
    }

    /// Lengths of windows, each so many times as long as the one before.
    fn grid(&self, ratio: usize) -> Vec<usize> {
        let all = std::iter::successors(Some(1), |steps| Some(ratio * steps));
        all.take_while(|steps| *steps <= self.longest_window()).collect()
    }

    fn plain_windows(&self, mask: &[bool], others: &Columns) -> Option<(f64, Windows)> {
        let windows = Windows::default();
        Some((self.with(&columns::of_events(mask, windows, self.count), others)?, windows))
    }

    /// Takes what lowers the loss by more than `room`.
    fn better(
        &self,
        best: &mut (f64, Windows),
        (mask, others): (&[bool], &Columns),
        tries: Vec<Windows>,
        room: f64,
    ) -> Option<()> {
        let loss =
            |windows: &Windows| self.with(&columns::of_events(mask, *windows, self.count), others);
        let losses: Vec<Option<f64>> = tries.par_iter().map(loss).collect();
        for (windows, loss) in tries.into_iter().zip(losses) {
            let loss = loss?;
            if loss < best.0 - room {
                *best = (loss, windows);
            }
        }
        Some(())
    }

    /// The best lead, then the best tail.
    fn on_grid(
        &self,
        best: &mut (f64, Windows),
        mask: &[bool],
        others: &Columns,
        grid: &[usize],
        room: f64,
    ) -> Option<()> {
        for side in Side::BOTH {
            let tries = grid.iter().map(|steps| side.set(best.1, *steps)).collect();
            self.better(best, (mask, others), tries, room)?;
        }
        Some(())
    }

    /// Finds the windows with the least loss, and gives that loss.
    fn best(&self, one: &mut Candidate, others: &Columns, without: f64) -> Option<f64> {
        if one.mask.is_empty() {
            return self.with(&one.columns, others);
        }
        let mut best = self.plain_windows(&one.mask, others)?;
        let grid = self.grid(settings::SIGNAL_WINDOW_RATIO);
        // Twice, since a tail that is missing makes leads look better or worse than they are.
        for _ in 0..2 {
            let room = settings::SIGNAL_WINDOW_GAIN * without;
            self.on_grid(&mut best, &one.mask, others, &grid, room)?;
        }
        // Between the points of the grid.
        for side in Side::BOTH {
            let mut stride = side.get(best.1) / 2;
            while stride > 0 {
                let now = side.get(best.1);
                let near = [now - stride.min(now - 1), now + stride];
                let tries = near.map(|steps| side.set(best.1, steps)).to_vec();
                self.better(&mut best, (&one.mask, others), tries, 0.0)?;
                stride /= 2;
            }
        }
        one.windows = best.1;
        one.columns = columns::of_events(&one.mask, best.1, self.count);
        Some(best.0)
    }

    /// What each signal brings beside those that entered.
    fn ablate(&self, all: &mut [Candidate], entered: &[usize]) {
        let with_all = self.judge.loss(&joined(all, entered, None));
        for place in 0..all.len() {
            let is_in = entered.contains(&place);
            if !is_in && !matches!(all[place].report.unused, Some(Unused::NoGain | Unused::Chance))
            {
                continue;
            }
            let others = joined(all, entered, Some(place));
            let loss = if is_in {
                (self.judge.loss(&others), with_all)
            } else {
                (with_all, self.with(&all[place].columns, &others))
            };
            all[place].report.loss = (loss.0.unwrap_or(f64::NAN), loss.1.unwrap_or(f64::NAN));
        }
    }
}
