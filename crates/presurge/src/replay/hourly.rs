//! Surge by an hourly point forecast, as predictive scaling of a cloud does it.

use std::time::Duration;

use domain::name::Dimension;
use jiff::Timestamp;

use super::course::{Course, Ended};
use super::fixed::{From, Orders, When, batches, cheapest, lead, roll};
use super::settings::HOURLY_DAYS_BACK;
use super::{Broken, Case, Scene};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// What is added to the forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Addition {
    /// A share of the forecast.
    Margin(f64),
    /// A share of the fleet's capacity.
    Buffer(f64),
}

/// Batches of 25 % at once. The load of each hour is said to be the maximum of the same hour of
/// the newest day of which all of that hour is known; what it comes to with its addition, and the
/// fleet without a batch does not carry, is bought on demand before the first batch.
pub fn hourly(case: &Case<'_>, addition: Addition) -> Result<Course, Broken> {
    let facts = &case.facts;
    // Where nothing is needed nothing is waited for.
    let unhurried = roll(case, case.instant, &When::AtOnce);
    let end = unhurried.iter().map(|a| a.back_at).max().unwrap_or(case.instant);
    // The surge comes first, so that the roll may reach into one hour more.
    let longest = facts.offers.iter().map(|offer| lead(facts, offer)).max().unwrap_or_default();
    let need = |dimension: &Dimension| needed(case, addition, dimension, end + longest);
    let Some((offer, count)) = cheapest(facts, From::OnDemand, need) else {
        return Ok(case.still(Ended::Unavailable));
    };
    if count == 0 {
        return case.course(&unhurried, Vec::new());
    }
    let orders = Orders { case, order_at: case.instant };
    let ready: Vec<Timestamp> = (1..=count).map(|nth| orders.ready(offer, nth)).collect();
    let begin = ready.iter().copied().max().unwrap_or(case.instant);
    let absences = roll(case, begin, &When::AtOnce);
    let back = absences.iter().map(|a| a.back_at).max().unwrap_or(begin);
    let release = back + facts.stabilisation;
    let hires = ready.iter().zip(1..).map(|(ready, nth)| orders.hire(offer, nth, *ready, release));
    case.course(&absences, hires.collect())
}

/// What is missing at most in any hour until `end`, before `balance`. The forecast is taken up to
/// the capacity of the whole fleet, as everywhere.
fn needed(case: &Case<'_>, addition: Addition, dimension: &Dimension, end: Timestamp) -> f64 {
    let facts = &case.facts;
    let (full, largest) = sizes(case, dimension);
    let first = case.instant.as_second().div_euclid(HOUR);
    let last = end.as_second().div_euclid(HOUR);
    let hour = |hour: i64| {
        let forecast = same_hour(case, dimension, hour * HOUR)?;
        let with = match addition {
            Addition::Margin(share) => forecast * (1.0 + share),
            Addition::Buffer(share) => forecast + full * share,
        };
        let could = if with > full { full } else { with };
        Some((could - (full - largest)) / facts.balance)
    };
    (first..=last).filter_map(hour).fold(0.0, |most, need| if need > most { need } else { most })
}

/// Capacity of the fleet and of its largest batch, after `balance`.
fn sizes(case: &Scene, dimension: &Dimension) -> (f64, f64) {
    let facts = &case.facts;
    let capacity = |server: &plan::Server| server.capacity.get(dimension).copied().unwrap_or(0.0);
    let full: f64 = facts.servers.iter().map(capacity).sum();
    let of = |batch: &Vec<_>| -> f64 {
        facts.servers.iter().filter(|s| batch.contains(&s.name)).map(capacity).sum()
    };
    let largest = batches(case).iter().map(of).fold(0.0, |a, b| if b > a { b } else { a });
    (full * facts.balance, largest * facts.balance)
}

/// The maximum of the hour that begins at `second`, on the newest day before the instant of which
/// that whole hour is known.
fn same_hour(case: &Case<'_>, dimension: &Dimension, second: i64) -> Option<f64> {
    let delay = case.prepared.feeds.iter().map(|feed| feed.delay).max().unwrap_or(Duration::ZERO);
    let known = case.instant.as_second() - i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let days = (known - second - HOUR).div_euclid(DAY).min(-1);
    let newest = second + days * DAY;
    (0..HOURLY_DAYS_BACK).find_map(|back| {
        let from = Timestamp::from_second(newest - back * DAY).ok()?;
        let line = case.recorded.truth.line(dimension, from, from + Duration::from_secs(3600));
        line.iter().copied().reduce(|a, b| if b > a { b } else { a })
    })
}
