//! A planner that follows a timetable: equal batches at equal distances, a fixed surge. It takes
//! forecast and search out of a test of the driver; everything else is production code.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Rung;
use domain::journal::Digest;
use domain::name::{Dimension, FleetName, OfferName, ServerName};
use domain::plan::{
    API_VERSION, Batch, Cost, Inputs, LoadBand, Plan, Replacement, Risk, SurgePurchase,
    TimelineEntry,
};
use jiff::Timestamp;
use rollout::planner::{Planner, ReviseError, Revision, Weighed};

/// See the module.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// The name of the rollout.
    pub rollout: String,
    /// The fleet.
    pub fleet: FleetName,
    /// The dimension of its load.
    pub dimension: Dimension,
    /// The upper edge of the band, the same at all times.
    pub upper: f64,
    /// The same in revisions, which know more load.
    pub revised_upper: f64,
    /// What a plan may spend of the risk, at most what is left.
    pub target: f64,
    /// On these rungs nothing can be weighed.
    pub blind: Vec<Rung>,
    /// Revisions are refused before this moment.
    pub refuses_until: Option<Timestamp>,
    /// What a batch risks when it is weighed before it opens.
    pub batch_risk: f64,
    /// Servers per batch; revisions take out so many fewer as are out already, but at least one.
    pub batch: usize,
    /// From the start of one batch to the start of the next.
    pub every: Duration,
    /// The offer and the number of the surge; zero buys none.
    pub surge: (OfferName, u32),
    /// What a plan says that each instance costs which it buys.
    pub each_costs: f64,
    /// What takes the place of surge that is lost.
    pub on_loss: Option<Replacement>,
    /// From order to service.
    pub lead: Duration,
    /// The share of a plan's risk that its first batch spends; the others share the rest evenly.
    pub first_spends: f64,
    /// From the end of the last batch to the release of the surge.
    pub stabilisation: Duration,
}

impl Timetable {
    /// A plan from `now` on for the servers that are left.
    pub fn plan(
        &self,
        now: Timestamp,
        pending: &[ServerName],
        buy: u32,
        (revision, parent): (u32, Option<Digest>),
        target: f64,
    ) -> Plan {
        let count = pending.chunks(self.batch.max(1)).len();
        let spends = |index: u32| match (index, count) {
            (_, 1) => target,
            (1, _) => target * self.first_spends,
            _ => target * (1.0 - self.first_spends) / (count - 1) as f64,
        };
        let first = if buy > 0 { now + self.lead } else { now };
        let batches: Vec<_> = pending
            .chunks(self.batch.max(1))
            .zip(1u32..)
            .map(|(servers, index)| {
                let out_at = first + self.every * (index - 1);
                let fleet = self.fleet.clone();
                Batch {
                    index,
                    fleet,
                    servers: servers.to_vec(),
                    out_at,
                    back_at: out_at + self.every,
                    risk: Some(spends(index)),
                }
            })
            .collect();
        let finish_at = batches.last().map_or(first, |b| b.back_at);
        let stabilised_at = finish_at + self.stabilisation;
        let purchase = SurgePurchase {
            fleet: self.fleet.clone(),
            offer: self.surge.0.clone(),
            count: buy,
            order_at: now,
            ready_at: first,
            release_at: stabilised_at,
            end_at: stabilised_at + Duration::from_secs(60),
            price_per_hour: 0.1,
            on_loss: self.on_loss.clone(),
        };
        let upper = if revision == 1 { self.upper } else { self.revised_upper };
        let band = LoadBand { mean: upper / 2.0, upper };
        let entry = TimelineEntry {
            fleet: self.fleet.clone(),
            from: now - Duration::from_secs(3600),
            to: stabilised_at + Duration::from_secs(7 * 86_400),
            in_service: 0,
            surge: buy,
            capacity: BTreeMap::new(),
            load: BTreeMap::from([(self.dimension.clone(), band)]),
            overload_probability: 0.0,
        };
        let risk = Risk {
            target,
            planned: 0.0,
            upper95: 0.0,
            resolution: 0.01,
            extrapolated: false,
            baseline: 0.0,
            tail: None,
            no_tail: None,
        };
        Plan {
            api_version: API_VERSION.into(),
            kind: "Plan".into(),
            rollout: self.rollout.clone(),
            revision,
            parent,
            seed: 0,
            created_at: now,
            valid_until: now + Duration::from_secs(600),
            start_at: now,
            finish_at,
            stabilised_at,
            done_at: stabilised_at + Duration::from_secs(60),
            risk,
            cost: Cost {
                currency: "USD".into(),
                surge: self.each_costs * f64::from(buy),
                size: 0.0,
            },
            batches,
            surge: if buy > 0 { vec![purchase] } else { Vec::new() },
            timeline: vec![entry],
            exposure: None,
            rejected: Vec::new(),
            inputs: Inputs {
                config: Digest::of_bytes(b"simulated"),
                load: BTreeMap::new(),
                until: now,
                calendars: Default::default(),
                learned: Default::default(),
                signals: Default::default(),
                capacity: Default::default(),
                models: Default::default(),
            },
            basis: Vec::new(),
            fleets: Vec::new(),
            digest: Digest::zero(),
        }
        .sealed()
    }
}

#[async_trait]
impl Planner for Timetable {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        if self.blind.contains(&ask.rung) {
            return Err(ReviseError::Failed("there is nothing to plan from".into()));
        }
        if self.refuses_until.is_some_and(|until| ask.now < until) {
            return Err(ReviseError::Failed("nothing fits yet".into()));
        }
        let held: u32 = ask.held.iter().map(|h| h.count).sum();
        let buy = self.surge.1.saturating_sub(held);
        let on_sale = |offer: &&OfferName| !ask.without.contains(*offer);
        let instead = self.on_loss.as_ref().map(|replacement| &replacement.offer);
        let offer = [Some(&self.surge.0), instead].into_iter().flatten().find(on_sale);
        let Some(offer) = offer.or(Some(&self.surge.0).filter(|_| buy == 0)) else {
            return Err(ReviseError::Failed("no offer delivers".into()));
        };
        let surge = (offer.clone(), self.surge.1);
        let after = (ask.revision, Some(ask.parent.clone()));
        let left = ask.risk.get();
        let target = if left < self.target { left } else { self.target };
        let batch = self.batch.saturating_sub(ask.unavailable.len());
        let smaller = Self { batch, surge, ..self.clone() };
        Ok(smaller.plan(ask.now, &ask.pending, buy, after, target))
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        if self.blind.contains(&ask.rung) {
            return Err(ReviseError::Failed("there is nothing to forecast from".into()));
        }
        let held: u32 = ask.held.iter().map(|h| h.count).sum();
        let replaced = rest.iter().all(|batch| batch.servers.len() <= held as usize);
        let next = if ask.rung == Rung::StaticSurge && !replaced { 1.0 } else { self.batch_risk };
        Ok(Weighed {
            rest: next * rest.len() as f64,
            next,
            load: Default::default(),
            models: Default::default(),
        })
    }
}
