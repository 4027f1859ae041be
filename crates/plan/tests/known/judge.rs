//! What becomes of a plan: its batches, its surge and the load drawn once, judged by the ledger.

use std::time::Duration;

use domain::name::{Dimension, OfferName};
use domain::plan::{Batch, Plan};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{Absence, Facts, Ledger, Presence, Request};

use super::Stream;
use super::load::Process;

/// Deficits below this share of the fleet are rounding.
const ROUNDING_RATIO: f64 = 1e-9;

/// Whether one rollout by the plan meets attributable overload in any minute: a load of its own, a
/// time of its own for every part of every server and every instance, losses of its own. Nothing
/// is planned again: the plan is carried out as it stands, a batch when its time has come, its
/// surge is warm and the batch before is back.
pub fn is_overloaded(
    request: &Request,
    plan: &Plan,
    process: &Process,
    stream: &mut Stream,
) -> bool {
    let facts = &request.facts;
    let load = process.draw(stream);
    let hired = hired(facts, plan, stream);
    let ready = hired.iter().map(|one| one.ready_at.min(one.lost_at)).max();
    let absences = absences(request, plan, ready, stream);
    let presences = presences(&hired, &absences, facts.stabilisation);
    let dimensions: Vec<Dimension> =
        process.seasons.iter().map(|season| season.dimension.clone()).collect();
    let ledger = Ledger::of_record(facts, &dimensions, &absences, &presences).unwrap();
    let from = absences.iter().map(|a| a.out_at).min().unwrap();
    let to = absences.iter().map(|a| a.back_at).max().unwrap();
    any_overload(&ledger, &load, facts.step.floor(from), to)
}

fn any_overload(ledger: &Ledger, load: &[Vec<f64>], from: Timestamp, to: Timestamp) -> bool {
    // Where the load lies below the least capacity of the whole rollout, no minute need be asked.
    let floor = ledger.least(from, to);
    let minute = Duration::from_secs(60);
    let mut at = from;
    while at < to {
        let step = usize::try_from((at.as_second() - super::minute(0).as_second()) / 60).unwrap();
        let here = |values: &Vec<f64>| values.get(step).or(values.last()).copied().unwrap();
        let could = |(values, full): (&Vec<f64>, &f64)| {
            let load = here(values);
            if load > *full { *full } else { load }
        };
        let could: Vec<f64> = load.iter().zip(&ledger.full).map(could).collect();
        let above = |capacity: Vec<f64>| {
            let mut each = could.iter().zip(capacity).zip(&ledger.full);
            each.any(|((could, capacity), full)| could - capacity > full * ROUNDING_RATIO)
        };
        let in_order = |least: &domain::plan::PerDimension<f64>| -> Vec<f64> {
            ledger.dimensions.iter().map(|d| least[d]).collect()
        };
        if above(in_order(&floor)) && above(in_order(&ledger.least(at, at + minute))) {
            return true;
        }
        at += minute;
    }
    false
}

/// One instance.
struct Hired {
    offer: OfferName,
    ready_at: Timestamp,
    /// In a far future where it is not lost.
    lost_at: Timestamp,
    /// As planned.
    release_at: Timestamp,
}

fn hired(facts: &Facts, plan: &Plan, stream: &mut Stream) -> Vec<Hired> {
    let mut all = Vec::new();
    for purchase in &plan.surge {
        let offer = facts.offer(&purchase.offer).unwrap();
        let pool = life(offer.interruption.pool_per_hour, stream);
        for _ in 0..purchase.count {
            let runs = purchase.order_at + length(offer.lead, stream);
            let ready_at = runs + length(offer.warmup, stream);
            let alone = life(offer.interruption.per_hour, stream);
            let lives = if happens(offer.never_comes(), stream) { 0.0 } else { alone };
            let lost_at = runs + seconds(if pool < lives { pool } else { lives });
            let (offer, release_at) = (offer.name.clone(), purchase.release_at);
            all.push(Hired { offer, ready_at, lost_at, release_at });
        }
    }
    all
}

/// Each instance for as long as it serves: until it is lost, or its release as planned, but not
/// before the watch after the last batch is over, however late that is.
fn presences(hired: &[Hired], absences: &[Absence], watch: Duration) -> Vec<Presence> {
    let over = absences.iter().map(|a| a.back_at).max().unwrap() + watch;
    let presence = |one: &Hired| {
        let (offer, ready_at) = (one.offer.clone(), one.ready_at);
        let release_at = one.release_at.max(over).min(one.lost_at);
        (ready_at < release_at).then_some(Presence { offer, count: 1, ready_at, release_at })
    };
    hired.iter().filter_map(presence).collect()
}

/// When everybody is away. A batch is followed by the next when the last of its servers is back;
/// where one fails, it stays away until the watch is over, and nobody else goes out.
fn absences(
    request: &Request,
    plan: &Plan,
    ready: Option<Timestamp>,
    stream: &mut Stream,
) -> Vec<Absence> {
    let mut all: Vec<Absence> = Vec::new();
    let mut free = request.now;
    for (index, batch) in plan.batches.iter().enumerate() {
        let supported = plan.surge.iter().any(|purchase| purchase.ready_at <= batch.out_at);
        let ready = ready.filter(|_| supported).unwrap_or(request.now);
        let out_at = batch.out_at.max(free).max(ready);
        let before = all.len();
        all.extend(away(&request.facts, batch, out_at, stream));
        let failed = all[before..].iter().map(|_| happens(request.facts.update_failure, stream));
        let failed: Vec<usize> = failed.enumerate().filter(|(_, f)| *f).map(|f| f.0).collect();
        if !failed.is_empty() {
            for absence in failed.into_iter().map(|nth| before + nth) {
                let end = plan.stabilised_at.max(all[absence].back_at);
                (all[absence].warm_at, all[absence].back_at) = (end, end);
            }
            return all;
        }
        let watch = if index == 0 { request.canary_watch } else { Duration::ZERO };
        free = all[before..].iter().map(|a| a.back_at).max().unwrap() + watch;
    }
    all
}

/// The servers of one batch: together where all take the same time, else each by itself.
fn away(facts: &Facts, batch: &Batch, out_at: Timestamp, stream: &mut Stream) -> Vec<Absence> {
    let alike = facts.durations.are_certain() && facts.update_failure == 0.0;
    let size = if alike { batch.servers.len() } else { 1 };
    let each = batch.servers.chunks(size).map(|servers| {
        let durations = &facts.durations;
        let warm_at = out_at + length(durations.drain, stream) + length(durations.work, stream);
        let back_at = warm_at + length(durations.warmup, stream);
        Absence { servers: servers.to_vec(), out_at, warm_at, back_at }
    });
    each.collect()
}

fn length(spread: Spread, stream: &mut Stream) -> Duration {
    if spread.is_certain() {
        return spread.p50();
    }
    // A lognormal length, by a normal number rather than by the quantile that the planner uses.
    let (p50, p95) = (spread.p50().as_secs_f64(), spread.p95().as_secs_f64());
    seconds(p50 * ((p95 / p50).ln() / 1.644_853_627 * stream.normal()).exp())
}

/// Whether something happens that happens with this probability.
fn happens(probability: f64, stream: &mut Stream) -> bool {
    probability > 0.0 && stream.uniform() < probability
}

/// Seconds until something is lost that is lost with this probability within an hour.
fn life(per_hour: f64, stream: &mut Stream) -> f64 {
    if per_hour > 0.0 { stream.exponential() / -(-per_hour).ln_1p() * 3600.0 } else { 1e9 }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}
