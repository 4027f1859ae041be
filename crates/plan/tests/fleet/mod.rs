//! A small fleet whose numbers can be followed by hand: 10 servers of 100 requests each, an
//! update of 8 minutes plus 2 minutes of warm-up, one-minute steps, one offer.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::time::Duration;

use domain::calendar::Interval;
use domain::forecast::{Paths, Probability};
use domain::journal::Digest;
use domain::name::{Dimension, FleetName, OfferName, ServerName, Zone};
use domain::plan::{Inputs, PerDimension};
use domain::series::Step;
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{
    Billing, Canary, Durations, Facts, Interruption, Market, Offer, Request, Schedule, Server,
    Survive,
};

pub fn minute(m: i64) -> Timestamp {
    // 2026-03-02T00:00:00Z
    Timestamp::from_second(1_772_409_600 + 60 * m).unwrap()
}

pub fn minutes(m: u64) -> Duration {
    Duration::from_secs(60 * m)
}

pub fn p(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

pub fn requests() -> Dimension {
    Dimension::new("requests").unwrap()
}

pub fn one(value: f64) -> PerDimension<f64> {
    [(requests(), value)].into()
}

pub fn server(name: &str, zone: &str) -> Server {
    Server {
        name: ServerName::new(name).unwrap(),
        zone: Some(Zone::new(zone).unwrap()),
        healthy: true,
        pending: true,
        updated: false,
        capacity: one(100.0),
    }
}

pub fn offer(name: &str, price: f64) -> Offer {
    Offer {
        name: OfferName::new(name).unwrap(),
        market: Market::OnDemand,
        zone: None,
        capacity: one(100.0),
        price_per_hour: price,
        lead: Spread::exactly(minutes(3)),
        leads: BTreeMap::new(),
        warmups: BTreeMap::new(),
        warmup: Spread::exactly(minutes(2)),
        max: 20,
        billing: Billing { minimum: minutes(1), granularity: Duration::from_secs(1) },
        interruption: Interruption::default(),
        fulfilment: 1.0,
        boot_failure: 0.0,
    }
}

pub fn facts(count: usize) -> Facts {
    let zones = ["a", "b", "c"];
    let servers = (1..=count).map(|n| server(&format!("web-{n}"), zones[n % 3])).collect();
    Facts {
        fleet: FleetName::new("web").unwrap(),
        servers,
        offers: vec![offer("od", 0.6)],
        held: vec![],
        durations: Durations {
            drain: Spread::exactly(minutes(1)),
            work: Spread::exactly(minutes(7)),
            warmup: Spread::exactly(minutes(2)),
            warmup_from: 0.0,
        },
        hours: BTreeMap::new(),
        update_failure: 0.0,
        plan_at: p(0.95),
        balance: 1.0,
        spare: BTreeMap::new(),
        updated: BTreeMap::new(),
        max_unavailable: (count / 2) as u32,
        max_surge: count as u32,
        zone_limits: BTreeMap::new(),
        quotas: vec![],
        windows: vec![Interval::new(minute(0), minute(100_000)).unwrap()],
        deadline: minute(300),
        stabilisation: minutes(10),
        step: Step::from_seconds(60).unwrap(),
        currency: "USD".into(),
    }
}

pub fn request(facts: Facts, load: impl Fn(usize, usize) -> f64) -> Request {
    let steps = (facts.deadline.as_second() - minute(0).as_second()) as usize / 60 + 180;
    let set = |shift: usize| [(requests(), paths(steps, 400, |p, t| load(p + shift, t)))].into();
    Request {
        rollout: "kernel-6.12".into(),
        revision: 1,
        parent: None,
        seed: 7,
        now: minute(0),
        inputs: Inputs {
            config: Digest::of_bytes(b"config"),
            load: [("web/requests".to_owned(), Digest::of_bytes(b"load"))].into(),
            until: minute(0),
            calendars: Default::default(),
            learned: Default::default(),
            signals: Default::default(),
            capacity: Default::default(),
            models: Default::default(),
        },
        facts,
        schedule: Schedule::default(),
        canary: Canary::Auto,
        canary_watch: Duration::ZERO,
        margin: BTreeMap::new(),
        risk: p(0.05),
        strict_risk: false,
        budget: None,
        survive: Survive::default(),
        choosing: set(0),
        fresh: set(100_000),
        band: None,
        comparable_windows: 60,
    }
}

pub fn paths(steps: usize, count: usize, load: impl Fn(usize, usize) -> f64) -> Paths {
    let values = (0..count).flat_map(|p| (0..steps).map(move |t| (p, t)));
    let values = values.map(|(p, t)| load(p, t)).collect();
    Paths::new(minute(0), Step::from_seconds(60).unwrap(), steps, values).unwrap()
}

/// A number in [0, 1) that looks random and depends on its arguments alone.
pub fn noise(a: usize, b: usize) -> f64 {
    let mut x = (a as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b as u64).wrapping_add(77);
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}
