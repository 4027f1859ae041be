//! From a checked fleet, a checked rollout and sampled load to the planner's question.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::config::{self, Extra, Fleet, Rollout};
use domain::forecast::{Paths, Probability};
use domain::hour::Hour;
use domain::journal::Digest;
use domain::name::{OfferName, ServerName};
use domain::plan::{Inputs, PerDimension};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{
    Billing, Canary, Durations, Facts, Held, InHour, Interruption, Margin, Market, Offer, Quota,
    Request, Schedule, Survive,
};
use rollout::state::Way;

use super::carried::with_capacity;

/// Windows are looked at this far beyond the deadline, to say what would fit.
const BEYOND_DEADLINE: Duration = Duration::from_secs(36 * 3600);

/// What changes from one plan of a rollout to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The present moment.
    pub now: Timestamp,
    /// The number of the plan.
    pub revision: u32,
    /// Whether servers go to the target, or back to what they ran before.
    pub way: Way,
    /// The plan that it replaces.
    pub parent: Option<Digest>,
    /// Servers that are to be updated; `None` means all.
    pub pending: Option<Vec<ServerName>>,
    /// Servers that do not serve.
    pub unhealthy: Vec<ServerName>,
    /// Since when the first server that was updated serves; `None` where none does.
    pub updated_at: Option<Timestamp>,
    /// Surge that runs.
    pub held: Vec<Held>,
    /// Offers that nothing is bought from.
    pub without: Vec<OfferName>,
    /// The last server is back by then.
    pub deadline: Timestamp,
    /// The seed of every draw.
    pub seed: u64,
    /// How much of the rollout's risk the plan may use.
    pub share: Share,
}

/// What little is left of a risk takes more and more paths to be shown, and would take minutes and
/// gigabytes in the end. No more than these are drawn (or twice those of the first plan); what they
/// cannot show is refused as a risk that is used up.
const MOST_PATHS_LEFT: usize = 20_000;

/// How much of the rollout's risk a plan may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// All of it.
    Whole,
    /// What is left for a revision.
    Left(Probability),
    /// A share that is still to be chosen, as one of so many fleets.
    OneOf(usize),
}

impl Share {
    /// The risk of a plan, given that of the rollout.
    fn risk(self, whole: Probability) -> Probability {
        match self {
            Self::Whole | Self::OneOf(_) => whole,
            Self::Left(left) => left,
        }
    }

    /// How many sampled paths a plan needs, given the risk of the rollout.
    pub fn paths(self, whole: Probability) -> usize {
        match self {
            Self::Whole => plan::paths_for(whole),
            Self::Left(left) => {
                let most = MOST_PATHS_LEFT.max(2 * plan::paths_for(whole));
                plan::paths_for(left).min(most)
            }
            Self::OneOf(fleets) => plan::paths_for_each(whole, fleets),
        }
    }
}

impl Ask {
    /// The question for the first plan of a rollout.
    pub fn first(now: Timestamp, deadline: Timestamp, seed: u64) -> Self {
        Self {
            now,
            revision: 1,
            way: Way::Forth,
            parent: None,
            pending: None,
            unhealthy: Vec::new(),
            updated_at: None,
            held: Vec::new(),
            without: Vec::new(),
            deadline,
            seed,
            share: Share::Whole,
        }
    }

    fn is_pending(&self, server: &ServerName) -> bool {
        self.pending.as_ref().is_none_or(|pending| pending.contains(server))
    }
}

/// The sampled load, and what it was made from.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// Paths to choose on.
    pub choosing: PerDimension<Paths>,
    /// Paths to report on.
    pub fresh: PerDimension<Paths>,
    /// Independent windows of this kind in the history.
    pub comparable_windows: u32,
    /// What a server carries once it is updated, where that was seen.
    pub updated: PerDimension<plan::Updated>,
    /// What the plan says of its inputs.
    pub inputs: Inputs,
}

/// The planner's question.
pub fn request(fleet: &Fleet, rollout: &Rollout, ask: Ask, outlook: Outlook) -> Request {
    let begun = !fleet.servers.iter().all(|s| s.own || ask.is_pending(&s.name));
    let canary = match rollout.canary.size {
        // What servers ran before has shown that it works.
        _ if begun || ask.way == Way::Back => Canary::Passed,
        Some(size) => Canary::Size(size),
        None => Canary::Auto,
    };
    let margin = |extra: &Extra| match extra {
        Extra::Percent(percent) => Margin::Ratio(percent.ratio()),
        Extra::Absolute(amount) => Margin::Absolute(amount.get()),
    };
    let facts = facts(&with_capacity(fleet, &outlook.inputs), rollout, &ask);
    let facts = Facts { updated: outlook.updated, ..facts };
    Request {
        rollout: rollout.name.to_string(),
        revision: ask.revision,
        parent: ask.parent.clone(),
        seed: ask.seed,
        now: ask.now,
        inputs: outlook.inputs,
        schedule: schedule(fleet, rollout, &ask),
        canary,
        canary_watch: rollout.canary.watch,
        margin: rollout.margin.iter().map(|(d, extra)| (d.clone(), margin(extra))).collect(),
        risk: ask.share.risk(rollout.risk),
        strict_risk: rollout.strict_risk,
        budget: rollout.budget,
        survive: Survive { servers: rollout.survive.servers, zones: rollout.survive.zones },
        choosing: outlook.choosing,
        fresh: outlook.fresh,
        band: None,
        comparable_windows: outlook.comparable_windows,
        facts,
    }
}

/// What is given of the schedule, without the servers that are done or never go out. A revision comes after the
/// given start, so it is not bound to it.
fn schedule(fleet: &Fleet, rollout: &Rollout, ask: &Ask) -> Schedule {
    let goes = |name: &ServerName| ask.is_pending(name) && !fleet.own().any(|s| s.name == *name);
    let left = |batch: &Vec<ServerName>| -> Vec<ServerName> {
        batch.iter().filter(|server| goes(server)).cloned().collect()
    };
    let given = rollout.schedule.batches.as_ref();
    let batches = given.map(|all| all.iter().map(left).filter(|b| !b.is_empty()).collect());
    let start_at = rollout.schedule.start_at.filter(|_| ask.revision == 1);
    Schedule { start_at, batches }
}

/// The fleet, its bounds and what can be bought, at the moment of the question.
pub fn facts(fleet: &Fleet, rollout: &Rollout, ask: &Ask) -> Facts {
    let goes = |server: &config::FleetServer| !server.own && ask.is_pending(&server.name);
    let server = |server: &config::FleetServer| plan::Server {
        name: server.name.clone(),
        zone: server.zone.clone(),
        healthy: !ask.unhealthy.contains(&server.name),
        pending: goes(server),
        capacity: server.capacity.clone(),
        updated: !server.own && (ask.way == Way::Forth) != goes(server),
    };
    let proof = proof(rollout);
    let offer = |spec: &config::Offer| {
        let held = ask.held.iter().filter(|held| held.offer == spec.name).map(|held| held.count);
        let most = if ask.without.contains(&spec.name) { held.sum() } else { spec.max };
        Offer { max: most, ..offer(spec, fleet, proof) }
    };
    Facts {
        fleet: fleet.name.clone(),
        servers: fleet.servers.iter().map(server).collect(),
        offers: fleet.offers.iter().map(offer).collect(),
        held: ask.held.clone(),
        durations: Durations {
            drain: fleet.durations.drain,
            work: work(fleet, proof, fleet.durations.update),
            warmup: fleet.durations.warmup,
            warmup_from: fleet.durations.warmup_from,
        },
        hours: hours(fleet, proof),
        update_failure: rollout.update_failure,
        plan_at: rollout.plan_at,
        balance: fleet.balance,
        spare: fleet.spare.clone(),
        updated: PerDimension::new(),
        max_unavailable: rollout.max_unavailable,
        max_surge: rollout.max_surge,
        zone_limits: rollout.zone_limits.clone(),
        quotas: fleet.quotas.iter().map(quota).collect(),
        windows: rollout.calendar.allowed(ask.now, ask.deadline + BEYOND_DEADLINE),
        deadline: ask.deadline,
        stabilisation: rollout.stabilisation,
        step: rollout.step,
        currency: fleet.currency.clone(),
    }
}

/// The update of a server, and until it has shown that it serves.
fn work(fleet: &Fleet, proof: Duration, update: Spread) -> Spread {
    update.longer(proof.max(fleet.durations.verify.p95()))
}

/// What was learned of single hours of the day.
fn hours(fleet: &Fleet, proof: Duration) -> BTreeMap<Hour, InHour> {
    let durations = &fleet.durations;
    let of = |all: &BTreeMap<Hour, Spread>, hour: &Hour, day| all.get(hour).copied().unwrap_or(day);
    let own = |hour: &Hour| {
        let drain = of(&durations.drain_in, hour, durations.drain);
        let update = of(&durations.update_in, hour, durations.update);
        let warmup = of(&durations.warmup_in, hour, durations.warmup);
        (*hour, InHour { drain, work: work(fleet, proof, update), warmup })
    };
    let all = [&durations.drain_in, &durations.update_in, &durations.warmup_in];
    all.into_iter().flat_map(BTreeMap::keys).map(own).collect()
}

/// How long what has started is asked at least before it gets traffic: so many passes in a row of
/// every gate, the first one at once.
pub(super) fn proof(rollout: &Rollout) -> Duration {
    let gates = rollout.gates.iter().map(|gate| gate.every * gate.successes.saturating_sub(1));
    gates.max().unwrap_or_default()
}

fn quota(quota: &config::Quota) -> Quota {
    Quota { name: quota.name.clone(), limit: quota.limit, used: quota.used, per: quota.per.clone() }
}

fn offer(offer: &config::Offer, fleet: &Fleet, proof: Duration) -> Offer {
    Offer {
        name: offer.name.clone(),
        market: match offer.market {
            config::Market::Standby => Market::Standby,
            config::Market::OnDemand => Market::OnDemand,
            config::Market::Spot => Market::Spot,
        },
        zone: offer.zone.clone(),
        capacity: offer.capacity.clone(),
        price_per_hour: offer.price_per_hour,
        lead: offer.lead.longer(proof),
        leads: offer.lead_in.iter().map(|(hour, lead)| (*hour, lead.longer(proof))).collect(),
        warmup: fleet.durations.warmup,
        warmups: fleet.durations.warmup_in.clone(),
        max: offer.max,
        billing: Billing { minimum: offer.billing_minimum, granularity: offer.billing_granularity },
        interruption: Interruption {
            per_hour: offer.interruption.per_hour,
            pool_per_hour: offer.interruption.pool_per_hour,
        },
        fulfilment: offer.fulfilment,
        boot_failure: offer.boot_failure,
    }
}
