//! What one server carries, where that is learned: seen beside the load, kept with it, and as unsure in
//! sampled futures as it is.

mod seen;

use domain::config::Fleet;
use domain::name::{Dimension, FleetName};
use domain::plan::{Carries, Inputs, PerDimension, ShareOfBefore, UnderTarget};
use forecast::capacity::version::{self, Share, Unseen};
use forecast::capacity::{self, Learned, Objective};
use jiff::Timestamp;

pub use self::seen::{Judged, Seen, Witness};
use super::{Outlook, PlanError, Prepared};

/// What was seen of servers, and what follows from it.
#[derive(Debug, Clone)]
pub struct Carried {
    objective: Objective,
    seen: Seen,
    learned: Learned,
}

/// What a server carries, as a plan needs it.
#[derive(Debug)]
pub struct Carry {
    /// What one carries that does not run the target.
    learned: Learned,
    /// In which share of that it does, where updated servers serve and somebody tells how.
    target: Option<Result<Share, Unseen>>,
}

impl Carried {
    /// What one server carries by these observations.
    pub fn learned(
        dimension: &Dimension,
        objective: Objective,
        seen: Seen,
        now: Timestamp,
    ) -> Result<Self, PlanError> {
        let learned = capacity::learn(&seen.fleet, objective, now)
            .map_err(|source| PlanError::Capacity { dimension: dimension.clone(), source })?;
        Ok(Self { objective, seen, learned })
    }

    /// A warning where too little was seen.
    pub fn warning(&self) -> Option<String> {
        let missing = self.learned.missing.as_ref()?;
        let carried = self.learned.carried;
        Some(format!("a server is taken to carry {carried:.4}, the most that it has: {missing}"))
    }

    /// The same while servers run the target since `updated_at`: where somebody tells of them alone, the fleet
    /// counts as it was before.
    pub fn at(&self, updated_at: Option<Timestamp>, now: Timestamp) -> Carry {
        let Some((since, updated)) = updated_at.zip(self.seen.updated.as_ref()) else {
            return Carry { learned: self.learned.clone(), target: None };
        };
        let fleet: Vec<_> = self.seen.fleet.iter().filter(|o| o.at < since).copied().collect();
        let updated: Vec<_> = updated.iter().filter(|o| o.at >= since).copied().collect();
        let learned = capacity::learn(&fleet, self.objective, now);
        Carry {
            learned: learned.unwrap_or_else(|_| self.learned.clone()),
            target: Some(version::share(&fleet, &updated, self.objective, now)),
        }
    }
}

impl Carry {
    /// What a plan says of it.
    fn stated(&self) -> Carries {
        let learned = &self.learned;
        Carries {
            p05: learned.quantile(0.05),
            p50: learned.quantile(0.5),
            carried: learned.carried,
            observations: learned.observations,
            missing: learned.missing.map(|missing| missing.to_string()),
            updated: self.target.as_ref().map(under_target),
        }
    }

    /// What the planner reckons with. A version that is not slower by more than chance carries the same.
    fn updated(&self) -> Option<plan::Updated> {
        let share = self.target.as_ref()?.as_ref().ok()?;
        let (p50, draws) = match share.is_slower() {
            true => (share.quantile(0.5), share.spread()),
            false => (1.0, vec![1.0]),
        };
        Some(plan::Updated { p05: share.quantile(0.05), p50, draws })
    }
}

fn under_target(share: &Result<Share, Unseen>) -> UnderTarget {
    match share {
        Ok(share) => UnderTarget {
            share: Some(ShareOfBefore { p05: share.quantile(0.05), p50: share.quantile(0.5) }),
            slower: share.is_slower(),
            observations: share.observations,
            missing: None,
        },
        Err(unseen) => UnderTarget {
            share: None,
            slower: false,
            observations: unseen.found(),
            missing: Some(unseen.to_string()),
        },
    }
}

impl Outlook {
    /// Lets servers carry in each sampled future what one of the learned values says. All quantities
    /// are computed with the median; where a server carries a tenth less than that, its load weighs a
    /// ninth more. Surge is as unsure as the fleet, since it runs the same.
    pub(super) fn carrying(mut self, fleet: &FleetName, each: PerDimension<Carry>) -> Self {
        for (dimension, carry) in each {
            let stated = carry.stated();
            let weight = |future: usize| stated.p50 / carry.learned.draw(future);
            for paths in [&mut self.choosing, &mut self.fresh] {
                if let Some(paths) = paths.get_mut(&dimension) {
                    *paths = paths.weighted(weight);
                }
            }
            self.updated.extend(carry.updated().map(|updated| (dimension.clone(), updated)));
            self.inputs.capacity.insert(format!("{fleet}/{dimension}"), stated);
        }
        self
    }
}

/// The fleet with what a plan took its servers to carry.
pub fn with_capacity(fleet: &Fleet, inputs: &Inputs) -> Fleet {
    let mut fleet = fleet.clone();
    for dimension in fleet.objectives.keys().cloned().collect::<Vec<_>>() {
        if let Some(carries) = inputs.capacity.get(&format!("{}/{dimension}", fleet.name)) {
            carry(&mut fleet, &dimension, carries.p50);
        }
    }
    fleet
}

/// Every server that carries what the others do carries this.
pub(super) fn carry(fleet: &mut Fleet, dimension: &Dimension, amount: f64) {
    let Some(common) = fleet.capacity.insert(dimension.clone(), amount) else { return };
    for server in &mut fleet.servers {
        match server.capacity.get_mut(dimension) {
            Some(own) if *own == common => *own = amount,
            _ => {}
        }
    }
}

impl Prepared {
    /// The same with what a plan took its servers to carry, for who cannot see how they do now.
    #[must_use]
    pub fn with_capacity_of(mut self, inputs: &Inputs) -> Self {
        self.fleet = with_capacity(&self.fleet, inputs);
        let own = format!("{}/", self.fleet.name);
        let known = inputs.capacity.iter().filter(|(which, _)| which.starts_with(&own));
        self.carries = known.map(|(which, carries)| (which.clone(), carries.clone())).collect();
        self
    }

    /// The same with a capacity that somebody has fixed.
    pub(super) fn fix_capacity(&mut self, dimension: &Dimension, amount: f64) {
        carry(&mut self.fleet, dimension, amount);
        self.fleet.objectives.remove(dimension);
        for feed in self.feeds.iter_mut().filter(|feed| feed.dimension == *dimension) {
            feed.judged = None;
        }
    }
}
