//! What a load balancer shows of single servers while a rollout runs: how evenly it shares, and how
//! long servers that are back take until they answer as fast as they do later.

use std::collections::BTreeMap;

use domain::event::{Event, SharedOut, WarmUp};
use domain::name::ServerName;
use domain::ports::{Backend, BackendState, Served};
use jiff::Timestamp;

use crate::outcome::Outcome;
use crate::state::{Phase, Stage, State};

mod curve;
mod share;
#[cfg(test)]
mod tests;

use curve::Curve;
use share::Share;

/// What was counted of one server from one look to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counted {
    /// Requests.
    pub(crate) requests: f64,
    /// The sum of their response times, in seconds; `None` where they are not timed.
    pub(crate) busy: Option<f64>,
}

impl Counted {
    /// What came between two counts; `None` where the count began anew.
    ///
    /// With A the moving mean over N requests before and after k more, their times sum up to
    /// N·(A₁ − A₀) + k·(A₀ + A₁)/2: each of them leaves the mean's weight behind as it comes. Until there
    /// are N, the mean is a plain one and its weight grows with each. Over many looks the first part
    /// cancels out, so that rounding does not add up.
    pub(crate) fn between(from: Served, to: Served) -> Option<Self> {
        let requests = to.requests.checked_sub(from.requests)? as f64;
        let mean = |served: Served| match (served.requests, served.response_micros) {
            (0, None) => Some(0.0),
            (_, micros) => Some(micros? as f64 / 1e6),
        };
        let weight = |served: Served| served.requests.min(Served::SMOOTHED_OVER) as f64;
        let busy = || {
            let (first, last) = (mean(from)?, mean(to)?);
            let grown = weight(to) - weight(from);
            let kept = (requests - grown) * (first + last) / 2.0;
            Some(last * weight(to) - first * weight(from) + kept)
        };
        Some(Self { requests, busy: busy() })
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.busy = self.busy.zip(other.busy).map(|(mine, theirs)| mine + theirs);
        self.requests += other.requests;
    }

    /// The mean response time, in seconds.
    pub(crate) fn mean(&self) -> Option<f64> {
        let mean = self.busy? / self.requests;
        mean.is_finite().then_some(mean.max(0.0))
    }
}

/// What was seen of single servers since it was last told. It can be lost: then less is told.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    /// What each server had served at the last look.
    last: BTreeMap<ServerName, Served>,
    share: Share,
    curves: BTreeMap<ServerName, Curve>,
    /// So many batches were closed when it was last told.
    told: usize,
}

impl Serving {
    /// Takes a look at the load balancer in; `shares` says what a server carries beside others, 1
    /// where it does not.
    pub(crate) fn take(
        &mut self,
        state: &State,
        traffic: &BTreeMap<ServerName, Backend>,
        shares: &BTreeMap<ServerName, f64>,
        now: Timestamp,
    ) {
        let mut counted = BTreeMap::new();
        for (name, backend) in traffic {
            let Some(served) = backend.served else { continue };
            let before = self.last.insert(name.clone(), served);
            if let Some(new) = before.and_then(|before| Counted::between(before, served)) {
                counted.insert(name, new);
            }
        }
        self.last.retain(|name, _| traffic.contains_key(name));
        let full = |name: &ServerName| {
            let full = |b: &Backend| {
                b.state == BackendState::InService && b.weight.is_none_or(|weight| weight == 100)
            };
            traffic.get(name).is_some_and(full)
        };
        let settled = state.servers.values().filter(|server| {
            matches!(server.stage, Stage::Waiting | Stage::Back) && full(&server.member.name)
        });
        let settled: Vec<&ServerName> = settled.map(|server| &server.member.name).collect();
        let share_of = |name: &ServerName| shares.get(name).copied().unwrap_or(1.0);
        self.share.take(&settled, &counted, share_of, now);
        self.warm(state, &counted, &settled, now);
    }

    fn warm(
        &mut self,
        state: &State,
        counted: &BTreeMap<&ServerName, Counted>,
        settled: &[&ServerName],
        now: Timestamp,
    ) {
        let mut peers = Counted { requests: 0.0, busy: Some(0.0) };
        // Those whose warm-up is looked at are nobody's measure.
        for name in settled.iter().filter(|name| !self.curves.contains_key(**name)) {
            counted.get(*name).into_iter().for_each(|new| peers.add(*new));
        }
        for server in state.servers.values() {
            let name = &server.member.name;
            if let Stage::Warming(until) = server.stage {
                let begins = || Curve::new(server.since, until);
                self.curves.entry(name.clone()).or_insert_with(begins);
            } else if server.stage != Stage::Back {
                self.curves.remove(name);
            }
        }
        for (name, curve) in &mut self.curves {
            match counted.get(name) {
                Some(new) => curve.take(*new, peers, now),
                None => curve.skip(now),
            }
        }
    }

    /// What there is to tell: once after each batch, when the next one goes out or none does any more.
    pub(crate) fn told(&mut self, state: &State) -> Option<Outcome> {
        let over = state.phase == Phase::Releasing;
        let cause = match &state.open {
            Some(next) => next.seq,
            None if over => state.plan_seq,
            None => return None,
        };
        if state.closed_ever <= self.told {
            return None;
        }
        self.told = state.closed_ever;
        let shared = self.share.tell();
        let curves = std::mem::take(&mut self.curves);
        let warm = |(server, curve): (ServerName, Curve)| curve.tell(server);
        let warmed: Vec<WarmUp> = curves.into_iter().filter_map(warm).collect();
        if shared.is_none() && warmed.is_empty() {
            return None;
        }
        let reason = words(shared.as_ref(), &warmed);
        Some(Outcome { event: Event::ServingSeen { shared, warmed }, reason, cause })
    }
}

fn words(shared: Option<&SharedOut>, warmed: &[WarmUp]) -> String {
    let shared = shared.map(|shared| {
        let busiest = 100.0 * (1.0 / shared.balance - 1.0);
        format!("the busiest server got {busiest:.1} % more than its share")
    });
    let mut slowest = warmed.iter().map(|warm| warm.seconds).collect::<Vec<_>>();
    slowest.sort_by(f64::total_cmp);
    let warmed = slowest.last().map(|most| {
        format!("{} servers answered as fast as later after at most {most:.0} s", warmed.len())
    });
    shared.into_iter().chain(warmed).collect::<Vec<_>>().join("; ")
}
