//! Durations by the hour of the day: which starts give the same batches, and how long what is ordered takes.
//!
//! A list of batches is placed once for all hours of start in which it comes out the same. Starts of one hour
//! lie up to an hour apart, and so do its batches: each of them lies in one of two hours of the day, and takes
//! the time of the one in which it takes longer, at the quantile `planAt`. Its warm-up is that of the hour in
//! which it comes back, again the longer of two. That errs to the safe side, as do orders, which take the longest
//! lead of the hours that they may lie in. What a batch takes on a sampled path is drawn from the same hours, also
//! where the path has it go out later.

use std::collections::{BTreeMap, BTreeSet};

use domain::hour::{HOUR_SECONDS, Hour};
use jiff::Timestamp;

use crate::demand::Grid;
use crate::layout::{Lengths, lengths};
use crate::request::{Durations, Facts, Offer};
use crate::settings::LATER_SURGE_AT_MOST;

/// In which hours of the day a list of batches may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Starts {
    /// The hour makes no difference.
    Any,
    /// In these, at least one.
    In(BTreeSet<Hour>),
}

impl Starts {
    /// Whether an instant lies in one of them.
    pub(crate) fn admit(&self, at: Timestamp) -> bool {
        match self {
            Self::Any => true,
            Self::In(hours) => hours.contains(&Hour::of(at)),
        }
    }

    /// One of them; any other gives the same.
    fn example(&self) -> Option<Hour> {
        match self {
            Self::Any => None,
            Self::In(hours) => hours.first().copied(),
        }
    }

    /// The parts of a run of steps, first and last, that lie in these hours.
    pub(crate) fn cut(&self, run: (usize, usize), grid: &Grid) -> Vec<(usize, usize)> {
        if *self == Self::Any {
            return vec![run];
        }
        let (mut parts, step): (Vec<(usize, usize)>, i64) = (Vec::new(), grid.step.seconds());
        let mut from = run.0;
        while from <= run.1 {
            let at = grid.at(from);
            let left = HOUR_SECONDS - at.as_second().rem_euclid(HOUR_SECONDS);
            let next = from + usize::try_from((left + step - 1) / step).unwrap_or(1);
            let to = (next - 1).min(run.1);
            match parts.last_mut() {
                _ if !self.admit(at) => {}
                Some(last) if last.1 + 1 == from => last.1 = to,
                _ => parts.push((from, to)),
            }
            from = next;
        }
        parts
    }
}

/// When a batch goes out, and how long it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Timing {
    /// Steps after the start.
    pub(crate) offset: usize,
    /// What its servers take.
    pub(crate) durations: Durations,
    /// What is planned for it.
    pub(crate) lengths: Lengths,
}

/// The times of a list of batches, for all starts for which they are the same.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    pub(crate) starts: Starts,
    pub(crate) timings: Vec<Timing>,
}

/// The timetables of batches of these sizes, which follow each other at once, but for `watch` seconds after
/// the first. Each hour of the day is in one of them.
pub(crate) fn timetables(facts: &Facts, sizes: &[usize], watch: i64) -> Vec<Timetable> {
    let mut clock = Clock { facts, known: BTreeMap::new() };
    if facts.hours.is_empty() && facts.offers.iter().all(|offer| offer.knows_no_hours()) {
        return vec![Timetable { starts: Starts::Any, timings: clock.timings(sizes, watch, None) }];
    }
    let mut all: Vec<(BTreeSet<Hour>, Vec<Timing>, Vec<i64>)> = Vec::new();
    for hour in Hour::all() {
        let timings = clock.timings(sizes, watch, Some(hour));
        let leads = leads(facts, &timings, hour);
        let same = all.iter_mut().find(|(_, other, theirs)| (other, theirs) == (&timings, &leads));
        match same {
            Some((hours, ..)) => drop(hours.insert(hour)),
            None => all.push(([hour].into(), timings, leads)),
        }
    }
    let table = |(hours, timings, _)| Timetable { starts: Starts::In(hours), timings };
    all.into_iter().map(table).collect()
}

/// What is known of batches by their size and the hour.
struct Clock<'a> {
    facts: &'a Facts,
    /// By the size, and by the hours of going out and coming back where they make a difference.
    known: BTreeMap<(usize, [Option<Hour>; 2]), Lengths>,
}

impl Clock<'_> {
    fn timings(&mut self, sizes: &[usize], watch: i64, start: Option<Hour>) -> Vec<Timing> {
        let step = self.facts.step.seconds();
        let (mut all, mut offset) = (Vec::with_capacity(sizes.len()), 0);
        for (index, size) in sizes.iter().enumerate() {
            let (durations, lengths) = match start {
                None => self.of(*size, [None; 2]),
                Some(start) => self.longest(*size, start.second() + offset as i64 * step),
            };
            all.push(Timing { offset, durations, lengths });
            let pause = if index == 0 { watch } else { 0 };
            offset += usize::try_from((lengths.back + pause + step - 1) / step).unwrap_or(0);
        }
        all
    }

    /// What a batch takes at most that goes out within the hour that begins at a second of the day.
    fn longest(&mut self, size: usize, second: i64) -> (Durations, Lengths) {
        let mut longest: Option<(Durations, Lengths)> = None;
        for out in hours_from(second) {
            let warm = self.of(size, [Some(out); 2]).1.warm;
            for back in hours_from(second + warm) {
                let found = self.of(size, [Some(out), Some(back)]);
                if longest.is_none_or(|(_, most)| found.1.back > most.back) {
                    longest = Some(found);
                }
            }
        }
        longest.unwrap_or_else(|| self.of(size, [None; 2]))
    }

    /// What a batch takes that goes out in the first of these hours and comes back in the second.
    fn of(&mut self, size: usize, hours: [Option<Hour>; 2]) -> (Durations, Lengths) {
        let facts = self.facts;
        let hours = hours.map(|hour| hour.filter(|hour| facts.hours.contains_key(hour)));
        let [out, back] = hours.map(|hour| hour.and_then(|hour| facts.hours.get(&hour)));
        let durations = facts.durations_of(out, back);
        let lengths =
            self.known.entry((size, hours)).or_insert_with(|| lengths(facts, durations, size));
        (durations, *lengths)
    }
}

/// What a batch of so many servers takes that goes out at an instant.
pub(crate) fn lengths_at(facts: &Facts, out_at: Timestamp, servers: usize) -> Lengths {
    let out = Hour::of(out_at);
    let until = lengths(facts, facts.durations_in(out, out), servers).warm;
    let back = Hour::of_second(out_at.as_second().saturating_add(until));
    lengths(facts, facts.durations_in(out, back), servers)
}

/// The hours of the day in which an hour lies that begins at a second after midnight of any day.
fn hours_from(second: i64) -> [Hour; 2] {
    [Hour::of_second(second), Hour::of_second(second + HOUR_SECONDS - 1)]
}

/// The leads of all offers for everything that may be bought for a start in an hour.
fn leads(facts: &Facts, timings: &[Timing], start: Hour) -> Vec<i64> {
    let step = facts.step.seconds();
    let offers = facts.offers.iter().filter(|offer| !offer.knows_no_hours());
    let of = |offer| {
        let ready = timings.iter().take(LATER_SURGE_AT_MOST + 1);
        ready.map(move |timing| within(facts, offer, start, timing.offset as i64 * step))
    };
    offers.flat_map(of).collect()
}

/// Whole seconds from an order until its instances carry full load, `ready` seconds after a start in these
/// hours: at least what any hour takes in which that order may be made.
pub(crate) fn lead_for(facts: &Facts, offer: &Offer, starts: &Starts, ready: i64) -> i64 {
    let hour = starts.example().filter(|_| !offer.knows_no_hours());
    hour.map_or_else(|| seconds(facts, offer, None), |hour| within(facts, offer, hour, ready))
}

fn within(facts: &Facts, offer: &Offer, start: Hour, ready: i64) -> i64 {
    let of = |hour| seconds(facts, offer, Some(hour));
    let mut all: Vec<i64> = Hour::all().map(of).collect();
    all.sort_unstable();
    all.dedup();
    let suffices = |lead: &&i64| {
        hours_from(start.second() + ready - **lead).into_iter().all(|h| of(h) <= **lead)
    };
    // The longest does.
    all.iter().find(suffices).or(all.last()).copied().unwrap_or(0)
}

/// The same for an order that is made at an instant.
pub(crate) fn lead_at(facts: &Facts, offer: &Offer, order_at: Timestamp) -> i64 {
    seconds(facts, offer, Some(Hour::of(order_at)))
}

/// The same for an order that may be made at any time.
pub(crate) fn longest_lead(facts: &Facts, offer: &Offer) -> i64 {
    let hours = Hour::all().filter(|_| !offer.knows_no_hours()).map(Some);
    hours.map(|hour| seconds(facts, offer, hour)).fold(seconds(facts, offer, None), i64::max)
}

/// From when an instance runs until it carries full load, in seconds, in the hour in which that takes longest.
pub(crate) fn longest_warmup(facts: &Facts, offer: &Offer) -> f64 {
    let level = facts.plan_at.get();
    let hours = offer.warmups.values().map(|warmup| warmup.quantile_seconds(level));
    hours.fold(offer.warmup.quantile_seconds(level), f64::max)
}

fn seconds(facts: &Facts, offer: &Offer, hour: Option<Hour>) -> i64 {
    let level = facts.plan_at.get();
    let whole = |seconds: f64| (seconds - 1e-6).ceil() as i64;
    let Some(hour) = hour else {
        return whole(offer.lead.quantile_seconds(level) + offer.warmup.quantile_seconds(level));
    };
    let lead = offer.lead_in(hour).quantile_seconds(level);
    // It runs in one of two hours.
    let warmups = hours_from(hour.second() + whole(lead)).map(|runs| offer.warmup_in(runs));
    let warmup =
        warmups.map(|warmup| warmup.quantile_seconds(level)).into_iter().fold(0.0, f64::max);
    whole(lead + warmup)
}
