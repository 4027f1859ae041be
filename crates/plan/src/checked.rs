//! The door: what a request must be before anything is computed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::name::{Dimension, ServerName, Zone};
use domain::plan::{PerDimension, Refused};
use domain::spread::Spread;

use crate::demand::after;
use crate::request::{Canary, Facts, Margin, Offer, Request};
use crate::search::horizon;
use crate::settings::{CELLS_AT_MOST, LONGEST_SECONDS, STEPS_AT_MOST};

/// A value in a request that nothing can be planned from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct BadRequest {
    /// Which value, by the name that the configuration gives it.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub what: String,
}

impl From<BadRequest> for Refused {
    fn from(bad: BadRequest) -> Self {
        Self { binding: bad.field, detail: bad.what, would_fit: Vec::new() }
    }
}

type Checked = Result<(), BadRequest>;

fn ensure(good: bool, field: &str, what: impl FnOnce() -> String) -> Checked {
    if good { Ok(()) } else { Err(BadRequest { field: field.into(), what: what() }) }
}

fn amount(field: &str, value: f64) -> Checked {
    ensure(value.is_finite() && value >= 0.0, field, || {
        format!("{value} is no amount; use 0 or more")
    })
}

fn chance(field: &str, value: f64) -> Checked {
    ensure((0.0..1.0).contains(&value), field, || {
        format!("{value} is no probability from 0 to below 1")
    })
}

fn amounts(field: &str, values: &PerDimension<f64>) -> Checked {
    values.iter().try_for_each(|(dimension, value)| amount(&format!("{field}.{dimension}"), *value))
}

impl Request {
    /// Checks every value. [`crate::plan`] does it as well; a caller that wants to tell wrong
    /// input from a plan that does not fit asks first.
    ///
    /// # Errors
    /// The first value that nothing can be planned from.
    pub fn check(&self) -> Result<(), BadRequest> {
        self.facts.check()?;
        self.load()?;
        for (dimension, margin) in &self.margin {
            let (Margin::Ratio(value) | Margin::Absolute(value)) = margin;
            amount(&format!("margin.{dimension}"), *value)?;
        }
        if let Some(budget) = self.budget {
            amount("budget", budget)?;
        }
        ensure(self.canary != Canary::Size(0), "batch.canary.size", || {
            "a canary has at least one server".into()
        })?;
        length("batch.canary.watch", self.canary_watch)?;
        self.given()
    }

    fn load(&self) -> Checked {
        ensure(!self.choosing.is_empty(), "load", || "no load is known in any dimension".into())?;
        let same = self.choosing.keys().eq(self.fresh.keys());
        ensure(same, "load", || "both sets of paths need the same dimensions".into())?;
        for paths in [&self.choosing, &self.fresh] {
            let mut counts = paths.values().map(|p| p.count());
            let first = counts.next();
            ensure(counts.all(|c| Some(c) == first), "load", || {
                "every dimension needs the same number of paths, drawn together".into()
            })?;
        }
        for (dimension, paths) in self.choosing.iter().chain(&self.fresh) {
            let field = format!("load.{dimension}");
            let begins = paths.start() <= after(self.now, paths.step().seconds());
            ensure(begins && paths.end() > self.now, &field, || {
                let (from, to) = (paths.start(), paths.end());
                format!("the forecast covers {from} to {to}, not the present moment {}", self.now)
            })?;
            let carries = |s: &crate::Server| s.healthy && carried(&s.capacity, dimension) > 0.0;
            ensure(self.facts.servers.iter().any(carries), &field, || {
                format!(
                    "no healthy server has a capacity in {dimension}; give capacity.{dimension}"
                )
            })?;
        }
        self.size()
    }

    /// What has to be held in memory.
    fn size(&self) -> Checked {
        let end = horizon(self).min(self.facts.deadline);
        let steps = (end.as_second() - self.now.as_second()) / self.facts.step.seconds() + 1;
        let paths = self.choosing.values().chain(self.fresh.values()).map(|p| p.count()).max();
        let each = paths.unwrap_or(1).saturating_mul(self.choosing.len());
        let cells = steps.saturating_mul(i64::try_from(each).unwrap_or(i64::MAX));
        ensure(steps <= STEPS_AT_MOST && cells <= CELLS_AT_MOST, "step", || {
            format!(
                "{steps} steps × {each} sampled values are too many; take a longer step, an \
                 earlier deadline or fewer paths"
            )
        })
    }

    fn given(&self) -> Checked {
        if let Some(start) = self.schedule.start_at {
            ensure(start >= self.now, "schedule.startAt", || format!("{start} is in the past"))?;
            let step = self.facts.step;
            ensure(step.floor(start) == start, "schedule.startAt", || {
                let next = step.ceil(start);
                format!("{start} is not on the grid of {} s; use {next}", step.seconds())
            })?;
        }
        let Some(batches) = &self.schedule.batches else { return Ok(()) };
        let field = "schedule.batches";
        let mut left: BTreeMap<&ServerName, bool> =
            self.facts.servers.iter().map(|s| (&s.name, s.pending)).collect();
        for (index, batch) in batches.iter().enumerate() {
            ensure(!batch.is_empty(), field, || format!("batch {} is empty", index + 1))?;
            for server in batch {
                let pending = left.insert(server, false);
                ensure(pending == Some(true), field, || match pending {
                    None => format!("there is no server {server} in the fleet"),
                    _ => format!("{server} is named twice, or is updated already"),
                })?;
            }
        }
        let missing = left.iter().find(|(_, pending)| **pending);
        ensure(missing.is_none(), field, || {
            format!("{} is in no batch; every server has to be in one", missing.expect("some").0)
        })
    }
}

fn carried(capacity: &PerDimension<f64>, dimension: &Dimension) -> f64 {
    capacity.get(dimension).copied().unwrap_or(0.0)
}

fn length(field: &str, length: Duration) -> Checked {
    ensure(length.as_secs() <= LONGEST_SECONDS, field, || format!("{length:?} is over a year"))
}

impl Facts {
    fn check(&self) -> Checked {
        let mut names = BTreeSet::new();
        for server in &self.servers {
            ensure(names.insert(&server.name), "servers", || {
                format!("{} is in the fleet twice", server.name)
            })?;
            amounts(&format!("servers.{}.capacity", server.name), &server.capacity)?;
        }
        ensure(self.servers.iter().any(|s| s.pending), "servers", || {
            "no server is left to update".into()
        })?;
        let mut names = BTreeSet::new();
        for offer in &self.offers {
            ensure(names.insert(&offer.name), "surge.offers", || {
                format!("{} is offered twice; give each offer its own name", offer.name)
            })?;
            offer.check()?;
        }
        self.quotas()?;
        for held in &self.held {
            ensure(self.offer(&held.offer).is_some(), "surge.offers", || {
                format!("surge is held from {}, which is no offer any more", held.offer)
            })?;
        }
        let known: BTreeSet<&Zone> = self.servers.iter().filter_map(|s| s.zone.as_ref()).collect();
        let stranger = self.zone_limits.keys().find(|zone| !known.contains(zone));
        ensure(stranger.is_none(), "batch.limits", || {
            format!("no server stands in zone {}", stranger.map_or("", |zone| zone.as_str()))
        })?;
        ensure(self.balance > 0.0 && self.balance <= 1.0, "balance", || {
            format!("{} is not above 0 and at most 1", self.balance)
        })?;
        amounts("spare", &self.spare)?;
        for (dimension, updated) in &self.updated {
            let mut all = updated.draws.iter().chain([&updated.p05, &updated.p50]);
            let shares = all.all(|share| *share > 0.0 && *share <= 1.0);
            ensure(shares && !updated.draws.is_empty(), &format!("capacity.{dimension}"), || {
                "what an updated server carries is no share of what it carried".into()
            })?;
        }
        let from = self.durations.warmup_from;
        ensure((0.0..=1.0).contains(&from), "durations.warmupFrom", || {
            format!("{from} is no share between 0 and 1")
        })?;
        let every = || self.every_durations().map(|all| [all.drain, all.work, all.warmup]);
        every().flatten().try_for_each(|part| length("durations", part.p95()))?;
        chance("updateFailure", self.update_failure)?;
        length("stabilisation", self.stabilisation)?;
        let passes = |parts: [Spread; 3]| parts.iter().any(|part| !part.p95().is_zero());
        ensure(every().all(passes), "durations", || {
            "an update takes some time; give drain, update or warmup".into()
        })
    }
}

impl Facts {
    fn quotas(&self) -> Checked {
        let mut names = BTreeSet::new();
        for quota in &self.quotas {
            let field = |part: &str| format!("surge.quotas.{}.{part}", quota.name);
            ensure(names.insert(&quota.name), "surge.quotas", || {
                format!("{} is there twice; give each quota its own name", quota.name)
            })?;
            amount(&field("limit"), quota.limit)?;
            amount(&field("used"), quota.used)?;
            for (offer, per) in &quota.per {
                amount(&field(&format!("per.{offer}")), *per)?;
                ensure(self.offer(offer).is_some(), &field("per"), || {
                    format!("there is no offer {offer}")
                })?;
            }
        }
        Ok(())
    }
}

impl Offer {
    fn check(&self) -> Checked {
        let field = |part: &str| format!("surge.offers.{}.{part}", self.name);
        amount(&field("price"), self.price_per_hour)?;
        amounts(&field("capacity"), &self.capacity)?;
        ensure(self.capacity.values().any(|c| *c > 0.0), &field("capacity"), || {
            "it carries nothing; give the load that one instance carries".into()
        })?;
        for per_hour in [self.interruption.per_hour, self.interruption.pool_per_hour] {
            chance(&field("interruption"), per_hour)?;
        }
        let filled = self.fulfilment > 0.0 && self.fulfilment <= 1.0;
        ensure(filled, &field("fulfilment"), || {
            format!("{} is no probability above 0 and at most 1", self.fulfilment)
        })?;
        chance(&field("bootFailure"), self.boot_failure)?;
        length(&field("lead"), self.lead.p95())?;
        self.leads.values().try_for_each(|lead| length(&field("lead"), lead.p95()))?;
        let warmups = std::iter::once(&self.warmup).chain(self.warmups.values());
        warmups.into_iter().try_for_each(|warmup| length(&field("lead"), warmup.p95()))?;
        length(&field("billing"), self.billing.minimum)?;
        length(&field("billing"), self.billing.granularity)
    }
}
