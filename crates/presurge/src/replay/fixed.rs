//! Batches of a fixed size with a fixed surge, at once or at night.

use std::time::Duration;

use domain::calendar::{DayTime, Interval, Weekly};
use domain::hour::Hour;
use domain::name::ServerName;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use plan::{Absence, Durations, Facts, Offer};
use sim::draws::{Draws, Part};

use super::course::{Course, Ended, Hire};
use super::settings::{FIXED_BATCH_RATIO, NIGHT_HOURS};
use super::{Broken, Case, Scene};

const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// When batches may go out.
pub enum When {
    /// At any time.
    AtOnce,
    /// Only so that they are back within one of these.
    Within(Vec<Interval>),
}

impl When {
    /// The nights after the instant of a case, in the time zone of its windows.
    pub fn at_night(case: &Case<'_>) -> Self {
        let zone = case.prepared.rollout.calendar.windows.first();
        let zone = zone.map_or(TimeZone::UTC, |window| window.zone().clone());
        let time = |text: &str| text.parse::<DayTime>().expect("a time of the settings");
        let night = Weekly::new(WEEK.to_vec(), time(NIGHT_HOURS.0), time(NIGHT_HOURS.1), zone);
        let night = night.expect("a night of the settings");
        Self::Within(
            night.occurrences(case.instant, case.instant + Duration::from_secs(400 * 3600)),
        )
    }

    /// The first moment from `from` on at which something that takes `length` may begin.
    fn first(&self, from: Timestamp, length: Duration) -> Timestamp {
        let Self::Within(windows) = self else { return from };
        let fits = |w: &&Interval| w.from().max(from) + length <= w.to();
        windows.iter().find(fits).map_or(from, |w| w.from().max(from))
    }
}

/// Which offers are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Those of which nothing is taken away.
    OnDemand,
    /// All of them.
    Any,
}

/// Batches of a fixed size, with surge of `percent` of the fleet's capacity.
pub fn fixed(case: &Scene, percent: u32, from: From, when: &When) -> Result<Course, Broken> {
    let facts = &case.facts;
    let share = f64::from(percent) / 100.0;
    let Some((offer, count)) = surge(facts, share, from) else {
        return Ok(case.still(Ended::Unavailable));
    };
    let planned = offer.map_or(Duration::ZERO, |offer| lead(facts, offer));
    let length = batch_length(facts);
    let first = when.first(case.instant + planned, length);
    let order_at = first.checked_sub(planned).unwrap_or(case.instant).max(case.instant);
    let orders = Orders { case, order_at };
    let ready = (1..=count).filter_map(|nth| Some(orders.ready(offer?, nth)));
    let ready: Vec<Timestamp> = ready.collect();
    let begin = ready.iter().copied().max().unwrap_or(first).max(first);
    let absences = roll(case, begin, when);
    let back = absences.iter().map(|a| a.back_at).max().unwrap_or(begin);
    let hires = ready.iter().zip(1..).filter_map(|(ready, nth)| {
        let offer = offer?;
        Some(orders.hire(offer, nth, *ready, back + facts.stabilisation))
    });
    case.course(&absences, hires.collect())
}

/// The servers of the fleet in batches of a fixed size, each as soon as the one before is back.
pub fn roll(case: &Scene, begin: Timestamp, when: &When) -> Vec<Absence> {
    let (facts, draws) = (&case.facts, Draws::new(case.seed));
    let length = batch_length(facts);
    let mut absences = Vec::new();
    let mut free = begin;
    for batch in batches(case) {
        let out_at = when.first(free, length);
        let times = batch.iter().map(|server| {
            let in_hours = |back: Timestamp| facts.durations_in(Hour::of(out_at), Hour::of(back));
            let Durations { drain, work, .. } = in_hours(out_at);
            let drain = draws.length(drain, server, Part::Drain, 0);
            let warm_at = out_at + drain + draws.length(work, server, Part::Update, 1);
            let warmup = in_hours(warm_at).warmup;
            let back_at = warm_at + draws.length(warmup, server, Part::Warmup, 1);
            Absence { servers: vec![server.clone()], out_at, warm_at, back_at }
        });
        absences.extend(times);
        free = absences.iter().map(|a| a.back_at).max().unwrap_or(out_at);
    }
    absences
}

/// A quarter of the fleet, rounded up.
pub fn quarter(facts: &Facts) -> usize {
    (facts.servers.len() as f64 * FIXED_BATCH_RATIO).ceil() as usize
}

/// The batches of servers that are to be updated.
pub fn batches(case: &Scene) -> Vec<Vec<ServerName>> {
    let servers = case.facts.servers.iter().filter(|server| server.pending);
    let all: Vec<ServerName> = servers.map(|server| server.name.clone()).collect();
    all.chunks(case.batch.max(1)).map(<[ServerName]>::to_vec).collect()
}

/// How long a batch takes, at the quantile `planAt`.
fn batch_length(facts: &Facts) -> Duration {
    let level = facts.plan_at.get();
    let parts = [facts.durations.drain, facts.durations.work, facts.durations.warmup];
    Duration::from_secs_f64(parts.iter().map(|part| part.quantile_seconds(level)).sum())
}

/// How long it takes until an instance carries full load, at the quantile `planAt`.
pub fn lead(facts: &Facts, offer: &Offer) -> Duration {
    let level = facts.plan_at.get();
    Duration::from_secs_f64(
        offer.lead.quantile_seconds(level) + offer.warmup.quantile_seconds(level),
    )
}

/// The cheapest offer for a surge that carries `share` of the fleet's load, and how many
/// instances that takes (at most as many as there are). `None`: there is no such offer.
fn surge(facts: &Facts, share: f64, from: From) -> Option<(Option<&Offer>, u32)> {
    if share == 0.0 {
        return Some((None, 0));
    }
    let (offer, count) = cheapest(facts, from, |dimension| {
        let of = facts.servers.iter().map(|s| s.capacity.get(dimension).copied().unwrap_or(0.0));
        of.sum::<f64>() * share
    })?;
    Some((Some(offer), count))
}

/// The cheapest offer, and how many of its instances carry what is needed, per dimension, before
/// `balance`.
pub fn cheapest(
    facts: &Facts,
    from: From,
    need: impl Fn(&domain::name::Dimension) -> f64,
) -> Option<(&Offer, u32)> {
    let seen = facts.offers.iter();
    let seen = seen.filter(|offer| from == From::Any || offer.interruption.is_never());
    let counted = seen.filter_map(|offer| {
        let each = offer.capacity.iter().map(|(dimension, unit)| need(dimension) / unit);
        let most = each.fold(0.0, |most: f64, each| if each > most { each } else { most });
        let count = (most - 1e-9).ceil();
        count.is_finite().then_some((offer, (count as u32).min(offer.max)))
    });
    counted.min_by(|(a, n), (b, m)| {
        let price = |offer: &Offer, count: u32| f64::from(count) * offer.price_per_hour;
        price(a, *n).total_cmp(&price(b, *m)).then(a.price_per_hour.total_cmp(&b.price_per_hour))
    })
}

/// Instances that are ordered at one moment.
pub struct Orders<'a> {
    /// The case.
    pub case: &'a Scene,
    /// The moment.
    pub order_at: Timestamp,
}

impl Orders<'_> {
    fn name(&self, nth: u32) -> ServerName {
        let text = format!("extra-{}-{nth}", self.order_at.as_second());
        ServerName::new(text).expect("letters, digits and dashes")
    }

    /// When the `nth` instance carries full load.
    pub fn ready(&self, offer: &Offer, nth: u32) -> Timestamp {
        let (draws, name) = (Draws::new(self.case.seed), self.name(nth));
        let lead = offer.lead_in(Hour::of(self.order_at));
        let lead = draws.length(lead, &name, Part::Lead, 0);
        self.order_at + lead + draws.length(offer.warmup, &name, Part::Warmup, 0)
    }

    /// The `nth` instance, given back at `release_at` unless it is taken away before.
    pub fn hire(&self, offer: &Offer, nth: u32, ready: Timestamp, release_at: Timestamp) -> Hire {
        let (draws, name) = (Draws::new(self.case.seed), self.name(nth));
        let order = self.order_at.to_string();
        let lead = offer.lead_in(Hour::of(self.order_at));
        let runs_at = self.order_at + draws.length(lead, &name, Part::Lead, 0);
        let life = draws.life(offer.interruption, &name, &order).map(|life| runs_at + life);
        let drain = draws.length(self.case.facts.durations.drain, &name, Part::Drain, 0);
        let (left_at, ended_at) = match life {
            Some(lost) if lost < release_at => (lost, lost),
            _ => (release_at, release_at + drain),
        };
        Hire {
            offer: offer.name.clone(),
            ordered_at: self.order_at,
            service: (ready < left_at).then_some((ready, left_at)),
            ended_at,
        }
    }
}
