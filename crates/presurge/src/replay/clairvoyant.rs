//! The planner with the load that comes as its only path: what could have been had.

use domain::forecast::Probability;
use domain::journal::Digest;
use domain::plan::{Inputs, PerDimension};
use plan::Interruption;

use super::course::{Course, Ended};
use super::settings::{AFTER_DEADLINE, CLAIRVOYANT_COPIES, CLAIRVOYANT_RISK};
use super::{Broken, Case};
use crate::pipeline::{Ask, Outlook, request};

/// The cheapest plan under the same constraints that the load which comes does not overload.
/// Spot instances are not taken away from it.
pub fn clairvoyant(case: &Case<'_>) -> Result<Course, Broken> {
    let facts = &case.facts;
    let until = facts.deadline + AFTER_DEADLINE;
    let paths = case.recorded.truth.paths(case.instant, until, CLAIRVOYANT_COPIES);
    let Some(paths) = paths else { return Ok(case.still(Ended::Unavailable)) };
    let inputs = Inputs {
        config: Digest::zero(),
        load: Default::default(),
        until: case.instant,
        calendars: Default::default(),
        learned: Default::default(),
        signals: Default::default(),
        capacity: Default::default(),
        models: Default::default(),
    };
    let outlook = Outlook {
        choosing: paths.clone(),
        fresh: paths,
        comparable_windows: u32::MAX,
        updated: Default::default(),
        inputs,
    };
    let ask = Ask::first(case.instant, facts.deadline, case.seed);
    let mut request = request(&case.prepared.fleet, &case.prepared.rollout, ask, outlook);
    request.risk = Probability::new(CLAIRVOYANT_RISK).map_err(|e| case.broken(e))?;
    request.strict_risk = false;
    request.margin = PerDimension::new();
    for offer in &mut request.facts.offers {
        offer.interruption = Interruption::default();
    }
    let plan = match plan::plan(&request) {
        Ok(plan) => plan,
        Err(refused) => {
            return Ok(Course { refused: Some(refused), ..case.still(Ended::Refused) });
        }
    };
    Course::of_plan(facts, &plan).map_err(|e| case.broken(e))
}
