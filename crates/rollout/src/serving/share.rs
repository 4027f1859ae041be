//! How evenly a load balancer shares the requests out.

use std::collections::BTreeMap;

use domain::event::SharedOut;
use domain::name::ServerName;
use jiff::Timestamp;

use super::Counted;

/// A stretch is looked at once it is as long as the usual step of a plan, in seconds …
const LEAST_SECONDS: f64 = 60.0;

/// … and each server has got so many requests on average: with fewer, chance alone makes the busiest
/// look a quarter busier than the mean.
const LEAST_REQUESTS: f64 = 200.0;

/// A stretch that has not come to that by then says nothing, in seconds.
const MOST_SECONDS: f64 = 900.0;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The stretch under way: since when, and what each server got in it.
    stretch: Option<(Timestamp, BTreeMap<ServerName, f64>)>,
    stretches: u32,
    sum: f64,
    least: f64,
}

impl Share {
    /// Takes a look in. A stretch ends without result where others are in full service than before, or
    /// a count began anew.
    pub(super) fn take(
        &mut self,
        settled: &[&ServerName],
        counted: &BTreeMap<&ServerName, Counted>,
        share_of: impl Fn(&ServerName) -> f64,
        now: Timestamp,
    ) {
        let same = |got: &BTreeMap<ServerName, f64>| {
            got.len() == settled.len() && settled.iter().all(|name| got.contains_key(*name))
        };
        let all = settled.iter().all(|name| counted.contains_key(*name));
        let goes_on = |(since, got): &(Timestamp, BTreeMap<ServerName, f64>)| {
            all && same(got) && now >= *since
        };
        let Some((since, mut got)) = self.stretch.take().filter(goes_on) else {
            // From this look on.
            let none = settled.iter().map(|name| ((*name).clone(), 0.0));
            self.stretch = (settled.len() > 1).then(|| (now, none.collect()));
            return;
        };
        for (name, sum) in &mut got {
            *sum += counted.get(name).map_or(0.0, |new| new.requests);
        }
        let seconds = now.duration_since(since).as_secs_f64();
        let enough = got.values().sum::<f64>() >= LEAST_REQUESTS * got.len() as f64;
        if seconds >= LEAST_SECONDS && enough {
            if let Some(balance) = balance(&got, share_of) {
                self.least = if self.stretches == 0 { balance } else { self.least.min(balance) };
                self.stretches += 1;
                self.sum += balance;
            }
            self.stretch = Some((now, got.into_keys().map(|name| (name, 0.0)).collect()));
        } else if seconds < MOST_SECONDS {
            self.stretch = Some((since, got));
        }
    }

    /// What was seen since it was last told.
    pub(super) fn tell(&mut self) -> Option<SharedOut> {
        let Self { stretches, sum, least, .. } = *self;
        (self.stretches, self.sum) = (0, 0.0);
        (stretches > 0).then(|| {
            let balance = sum / f64::from(stretches);
            SharedOut { stretches, balance: balance.max(least), least }
        })
    }
}

/// Mean over peak of what servers got for what they carry: the share of the capacity of all that is
/// used when the first of them is full.
fn balance(got: &BTreeMap<ServerName, f64>, share_of: impl Fn(&ServerName) -> f64) -> Option<f64> {
    let (mut requests, mut shares, mut peak) = (0.0, 0.0, 0.0f64);
    for (name, sum) in got {
        let share = share_of(name);
        requests += sum;
        shares += share;
        peak = peak.max(sum / share);
    }
    let balance = requests / shares / peak;
    (balance > 0.0).then_some(balance.min(1.0))
}
