//! Many different questions: fleets, levels, hours, offers, durations.

use std::time::Duration;

use domain::name::{Dimension, ServerName};
use domain::plan::PerDimension;
use domain::spread::Spread;
use plan::{
    Billing, Canary, Durations, Facts, Interruption, Market, Offer, Request, Schedule, paths_for,
};

use super::Stream;
use super::load::{Process, Season};
use crate::fleet::{self, minute, minutes, p};

/// The load is drawn so many minutes beyond the deadline.
const BEYOND_MINUTES: usize = 150;

/// What is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offers {
    /// Nothing.
    Nothing,
    /// On demand, in two sizes.
    OnDemand,
    /// On demand, and spot at a third of its price.
    WithSpot,
    /// The same, and all spot instances may go at once.
    WithPool,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lengths {
    /// Always the same.
    Certain,
    /// By chance, planned at their 95 % quantile.
    Uncertain,
    /// By chance, planned at their median, so that half of them are late.
    AtMedian,
}

/// A question, and the process that its load comes from.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is offered.
    pub offers: Offers,
    /// How long things take.
    pub lengths: Lengths,
    /// The truth.
    pub process: Process,
    facts: Facts,
    canary_watch: Duration,
    canary: Canary,
    schedule: Schedule,
}

impl Case {
    /// The case of a number: the kinds go round, everything else is drawn.
    pub fn of(number: usize, seed: u64) -> Self {
        let mut stream = Stream::of(seed, number as u64);
        let stream = &mut stream;
        let kinds = [Offers::OnDemand, Offers::WithSpot, Offers::WithPool, Offers::Nothing];
        let offers = kinds[number % 4];
        let lengths = [Lengths::Certain, Lengths::Uncertain, Lengths::AtMedian];
        let lengths = lengths[number / 4 % 3];
        let servers = stream.pick(&[10, 20, 40]);
        let deadline = stream.pick(&[60, 90, 120, 240]);
        let dimensions = stream.pick(&[1, 1, 1, 2]);
        let process = process(servers, dimensions, deadline, offers, stream);
        let mut facts = fleet::facts(servers);
        facts.deadline = minute(deadline as i64);
        facts.plan_at = p(if lengths == Lengths::AtMedian { 0.5 } else { 0.95 });
        facts.durations = durations(lengths, stream);
        facts.offers = market(offers, lengths, stream);
        facts.max_surge = if offers == Offers::Nothing { 0 } else { servers as u32 };
        for server in &mut facts.servers {
            server.capacity = capacities(&process, 100.0);
        }
        for offer in &mut facts.offers {
            let carries = offer.capacity[&fleet::requests()];
            offer.capacity = capacities(&process, carries);
        }
        let canary = stream.pick(&[Canary::Auto, Canary::Size(2), Canary::Passed]);
        let canary_watch = stream.pick(&[Duration::ZERO, minutes(5)]);
        let schedule = Schedule::default();
        Self { offers, lengths, process, facts, canary, canary_watch, schedule }
    }

    /// The same with two given batches of which the second is planned to be back when the load
    /// begins to rise to what the whole fleet carries: whoever reckons with planned times alone buys nothing.
    pub fn ending_at_the_rise(mut self) -> Self {
        for season in &mut self.process.seasons {
            let all = 100.0 * self.facts.servers.len() as f64;
            (season.mean, season.swing, season.noise) = (0.46 * all, 0.0, 0.01 * all);
        }
        self.process.bursts_per_minute = 1e-9;
        self.process.rise = (1e9, 0.0);
        let names: Vec<ServerName> = self.facts.servers.iter().map(|s| s.name.clone()).collect();
        let batches = names.chunks(names.len().div_ceil(2)).map(<[_]>::to_vec).collect();
        self.schedule = Schedule { start_at: Some(minute(10)), batches: Some(batches) };
        let calm = plan::plan(&self.request(0.05, 1)).expect("half of the fleet carries it");
        let takes = (calm.finish_at.as_second() - minute(10).as_second() + 59) / 60;
        let rise = 10 + takes;
        self.process.rise = (rise as f64, 1.2);
        self.facts.deadline = minute(rise + 30);
        self.process.steps = rise as usize + 30 + BEYOND_MINUTES;
        self
    }

    /// The same with instances that are not delivered or do not come up, and updates that fail.
    pub fn failing(mut self, fulfilment: f64, boot_failure: f64, update_failure: f64) -> Self {
        self.facts.update_failure = update_failure;
        for offer in &mut self.facts.offers {
            (offer.fulfilment, offer.boot_failure) = (fulfilment, boot_failure);
        }
        self
    }

    /// The question at a risk, with as many sampled paths as are advised.
    pub fn request(&self, risk: f64, seed: u64) -> Request {
        let mut request = fleet::request(fleet::facts(2), |_, _| 0.0);
        let (risk, count) = (p(risk), paths_for(p(risk)));
        let paths = |purpose| self.process.paths(count, &mut Stream::of(seed, purpose));
        (request.choosing, request.fresh) = (paths(CHOOSING), paths(FRESH));
        (request.facts, request.schedule) = (self.facts.clone(), self.schedule.clone());
        (request.risk, request.seed) = (risk, seed);
        (request.canary, request.canary_watch) = (self.canary, self.canary_watch);
        request
    }
}

const CHOOSING: u64 = 1 << 32;
const FRESH: u64 = 2 << 32;

fn process(
    servers: usize,
    dimensions: usize,
    deadline: usize,
    offers: Offers,
    stream: &mut Stream,
) -> Process {
    let all = 100.0 * servers as f64;
    let phase = stream.between(0.0, 1440.0);
    let season = |number: usize, stream: &mut Stream| {
        // Without surge the load has to leave some room.
        let (least, most) = if offers == Offers::Nothing { (0.5, 0.72) } else { (0.65, 0.95) };
        Season {
            dimension: Dimension::new(["requests", "memory"][number]).unwrap(),
            mean: all * stream.between(least, most),
            swing: all * stream.between(0.05, 0.2),
            phase: phase + 60.0 * number as f64,
            noise: all * stream.between(0.01, 0.04),
            burst: all * stream.between(0.03, 0.1),
        }
    };
    let seasons = (0..dimensions).map(|number| season(number, stream)).collect();
    let bursts_per_minute = 1.0 / stream.pick(&[360.0, 1440.0, 4320.0]);
    // Every second load rises within the time that there is, as every rollout knows that hurries.
    let begins = stream.between(30.0, 1.2 * deadline as f64);
    let rise = (begins, stream.pick(&[0.0, 0.25]));
    Process { seasons, bursts_per_minute, rise, steps: deadline + BEYOND_MINUTES }
}

fn capacities(process: &Process, each: f64) -> PerDimension<f64> {
    process.seasons.iter().map(|season| (season.dimension.clone(), each)).collect()
}

fn durations(lengths: Lengths, stream: &mut Stream) -> Durations {
    let part = |seconds: u64, ratio: f64| {
        let p50 = Duration::from_secs(seconds);
        match lengths {
            Lengths::Certain => Spread::exactly(p50),
            _ => Spread::between(p50, p50.mul_f64(ratio)).unwrap(),
        }
    };
    Durations {
        drain: part(stream.pick(&[30, 60]), 1.5),
        work: part(stream.pick(&[240, 300, 480]), stream.between(1.2, 1.8)),
        warmup: part(stream.pick(&[60, 120]), 1.5),
        warmup_from: stream.pick(&[0.0, 0.5]),
    }
}

fn market(offers: Offers, lengths: Lengths, stream: &mut Stream) -> Vec<Offer> {
    let lead = match lengths {
        Lengths::Certain => Spread::exactly(minutes(3)),
        _ => Spread::between(minutes(2), minutes(3)).unwrap(),
    };
    let offer = |name: &str, price: f64, carries: f64| {
        let mut offer = fleet::offer(name, price);
        (offer.capacity, offer.lead, offer.max) = (fleet::one(carries), lead, 40);
        offer.billing = Billing { minimum: minutes(1), granularity: Duration::from_secs(1) };
        offer
    };
    let mut list = vec![offer("od", 0.6, 100.0), offer("od-large", 1.15, 200.0)];
    let (per_hour, pool_per_hour) = match offers {
        Offers::Nothing => return Vec::new(),
        Offers::OnDemand => return list,
        Offers::WithSpot => (stream.pick(&[0.02, 0.05, 0.15]), 0.0),
        Offers::WithPool => (stream.pick(&[0.02, 0.05]), stream.pick(&[0.0002, 0.005, 0.03])),
    };
    let mut spot = offer("spot", 0.2, 100.0);
    spot.market = Market::Spot;
    spot.interruption = Interruption { per_hour, pool_per_hour };
    list.push(spot);
    list
}
