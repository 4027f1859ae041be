//! A rollout that can be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::approval::approval;
use super::calendar::{FreezeFile, calendar, files};
use super::fleet::Fleet;
use super::hint;
use super::hooks::{Hook, hooks};
use super::zones::zone_limits;
use crate::calendar::Calendar;
use crate::config::adapter::AdapterRef;
use crate::config::count::CountOrPercent;
use crate::config::document::{RolloutDocument, RolloutName};
use crate::config::gate::HoldSpec;
use crate::config::margin::{Extra, MarginSpec};
use crate::config::place::{Finding, Findings, Place};
use crate::config::rollout::{CanarySize, RolloutSpec, SurviveSpec};
use crate::config::schedule::DeadlineSpec;
use crate::event::{AfterHold, OnFailure};
use crate::forecast::Probability;
use crate::name::{FleetName, ServerName, Version, Zone};
use crate::plan::PerDimension;
use crate::series::Step;

/// The longest step of a plan.
const LONGEST_STEP: Duration = Duration::from_secs(3_600);

/// A plan is made for the loss of at most so many zones at once.
const SURVIVED_ZONES_AT_MOST: usize = 2;

/// At most so many receivers are told.
const RECEIVERS_AT_MOST: usize = 16;

/// What a rollout means for one of its fleets, checked against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Its name.
    pub name: RolloutName,
    /// Anything that helps to find it.
    pub labels: BTreeMap<String, String>,
    /// The fleet that is updated.
    pub fleet: FleetName,
    /// What every server shall run.
    pub target: Version,
    /// What is given of the schedule.
    pub schedule: GivenSchedule,
    /// Allowed probability of attributable overload, over all fleets of the rollout.
    pub risk: Probability,
    /// Whether a risk that the history cannot show is refused.
    pub strict_risk: bool,
    /// What is bought on top of the forecast; dimensions without an entry get nothing.
    pub margin: PerDimension<Extra>,
    /// The grid of the plan.
    pub step: Step,
    /// The quantile of durations at which the plan's times stand.
    pub plan_at: Probability,
    /// At most so many servers are out, at least one.
    pub max_unavailable: u32,
    /// At most so many servers of each zone are out, at least one; empty where zones have no
    /// limit of their own.
    pub zone_limits: BTreeMap<Zone, u32>,
    /// At most so many surge instances at once.
    pub max_surge: u32,
    /// Losses that the plan carries the need after: fewer servers and zones than the fleet has.
    pub survive: SurviveSpec,
    /// The first batch.
    pub canary: Canary,
    /// When servers may be out.
    pub calendar: Calendar,
    /// Calendar files of which every event is a freeze besides, read when a plan is made.
    pub freeze_files: Vec<FreezeFile>,
    /// When the last server has to be back; see [`Rollout::deadline`].
    pub deadline: DeadlineSpec,
    /// What the surge may cost over all fleets of the rollout, in their currency.
    pub budget: Option<f64>,
    /// So many servers of this fleet may fail and stay out, fewer than it has.
    pub failure_budget: u32,
    /// What happens when more fail.
    pub on_failure: OnFailure,
    /// Whether the update can be undone; where it cannot, nothing asks for a roll-back.
    pub reversible: bool,
    /// How long the rollout may hold, and what then.
    pub hold: HoldSpec,
    /// How long to watch after the last batch.
    pub stabilisation: Duration,
    /// What a server has to show before it gets traffic again.
    pub gates: Vec<Gate>,
    /// Who has to agree to its plans, where somebody has to: their names, none for everybody.
    pub approval: Option<Vec<String>>,
    /// What runs around it, at most one at each point.
    pub hooks: Vec<Hook>,
    /// Probability that the update of one server fails, so that it stays out; below 1.
    pub update_failure: f64,
    /// Whom to tell what happens.
    pub notify: Vec<AdapterRef>,
}

/// A schedule that is given in whole or in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenSchedule {
    /// When the first batch goes out.
    pub start_at: Option<Timestamp>,
    /// Who goes out together, in order: every server of the fleet exactly once.
    pub batches: Option<Vec<Vec<ServerName>>>,
}

/// The first batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    /// So many servers, at least one; `None`: the planner chooses.
    pub size: Option<u32>,
    /// How long it is watched before the next batch.
    pub watch: Duration,
}

/// A health gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// How often it is asked.
    pub every: Duration,
    /// So many passes in a row open it, at least one.
    pub successes: u32,
    /// So many failures in a row close it, at least one.
    pub failures: u32,
    /// It has to open within this time.
    pub timeout: Duration,
    /// Who is asked.
    pub adapter: AdapterRef,
}

impl RolloutDocument {
    /// What the rollout of the document means for each of its fleets, in their order, or
    /// everything that is wrong with it. `names` are those of all fleets that are configured,
    /// `known` the fleets that could be checked themselves.
    pub fn check(&self, names: &[FleetName], known: &[&Fleet]) -> Result<Vec<Rollout>, Findings> {
        let spec = &self.spec;
        let mut findings = Findings::default();
        not_built_yet(spec, &mut findings);
        retreat(spec, &mut findings);
        if spec.notify.len() > RECEIVERS_AT_MOST {
            let message = format!("at most {RECEIVERS_AT_MOST} receivers are told");
            findings.add(Place::spec().key("notify"), message);
        }
        self.names(names, &mut findings);
        let calendar = calendar(&spec.windows, &spec.freezes, &mut findings);
        let step = step(spec, &mut findings);
        let gates = gates(spec, &mut findings);
        let hooks = hooks(spec, &mut findings);
        let approval = approval(spec, &mut findings);
        let find = |name: &FleetName| known.iter().copied().find(|fleet| fleet.name == *name);
        let fleets: Vec<&Fleet> = spec.fleets.iter().filter_map(find).collect();
        together(spec, &fleets, &mut findings);
        let mut bounds = Vec::new();
        for fleet in &fleets {
            let mut own = Findings::default();
            bounds.push(against(spec, fleet, &mut own));
            for Finding { place, message } in own.into_vec() {
                let several = spec.fleets.len() > 1;
                let of = if several { format!("for {}: ", fleet.name) } else { String::new() };
                findings.add(place, format!("{of}{message}"));
            }
        }
        let (Some(step), true, true) =
            (step, bounds.len() == spec.fleets.len(), findings.is_empty())
        else {
            return Err(findings);
        };
        let part = |(fleet, bounds): (&&Fleet, Bounds)| Rollout {
            name: self.metadata.name.clone(),
            labels: self.metadata.labels.clone(),
            fleet: fleet.name.clone(),
            target: spec.target.version.clone(),
            schedule: bounds.schedule,
            risk: spec.risk.into(),
            strict_risk: spec.strict_risk,
            margin: bounds.margin,
            step,
            plan_at: spec.plan_at.into(),
            max_unavailable: bounds.max_unavailable,
            zone_limits: bounds.zone_limits,
            max_surge: bounds.max_surge,
            survive: spec.survive,
            canary: bounds.canary,
            calendar: calendar.clone(),
            freeze_files: files(&spec.freezes),
            deadline: spec.deadline,
            budget: spec.budget.amount.map(|money| money.get()),
            failure_budget: spec.failure_budget,
            on_failure: spec.on_failure,
            reversible: spec.reversible,
            hold: spec.hold.unwrap_or_default(),
            stabilisation: spec.stabilisation.min.duration(),
            gates: gates.clone(),
            approval: approval.clone(),
            hooks: hooks.clone(),
            update_failure: spec.update_failure.map_or(0.0, |chance| chance.get()),
            notify: spec.notify.iter().filter_map(|entry| entry.0.only().cloned()).collect(),
        };
        Ok(fleets.iter().zip(bounds).map(part).collect())
    }

    /// Every fleet that the rollout names is there, and named once.
    fn names(&self, names: &[FleetName], findings: &mut Findings) {
        let place = Place::spec().key("fleets");
        if self.spec.fleets.is_empty() {
            findings.add(place.clone(), "is empty; name the fleet to update");
        }
        for (index, name) in self.spec.fleets.iter().enumerate() {
            let here = place.index(index);
            if self.spec.fleets[..index].contains(name) {
                findings.add(here, format!("names the fleet {:?} twice", name.as_str()));
            } else if !names.contains(name) {
                let known: Vec<&str> = names.iter().map(FleetName::as_str).collect();
                let near = hint(name.as_str(), known);
                let message = format!("no document describes a fleet {:?}{near}", name.as_str());
                findings.add(here, message);
            }
        }
    }
}

/// What several fleets have to have in common.
fn together(spec: &RolloutSpec, fleets: &[&Fleet], findings: &mut Findings) {
    let known: BTreeSet<&str> =
        fleets.iter().flat_map(|fleet| fleet.capacity.keys()).map(|name| name.as_str()).collect();
    let unknown = spec.margin.dimensions.keys().filter(|name| !known.contains(name.as_str()));
    for dimension in unknown.filter(|_| fleets.len() == spec.fleets.len()) {
        let near = hint(dimension.as_str(), known.iter().copied());
        let message = format!("the fleet has no dimension {dimension}{near}");
        findings.add(Place::spec().key("margin").key(dimension), message);
    }
    let [first, rest @ ..] = fleets else { return };
    if let Some(other) = rest.iter().find(|fleet| fleet.currency != first.currency) {
        let message = format!(
            "have one budget and one cost: {} has its prices in {}, {} in {}; use one currency",
            first.name, first.currency, other.name, other.currency
        );
        findings.add(Place::spec().key("fleets"), message);
    }
    if spec.fleets.len() > 1 && spec.schedule.batches.is_some() {
        let place = Place::spec().key("schedule").key("batches");
        findings.unsupported(place, "given batches of several fleets", "leave it out");
    }
}

impl Rollout {
    /// The instant of the deadline for a rollout that is created at `now`, or what is wrong
    /// with it.
    pub fn deadline(&self, now: Timestamp) -> Result<Timestamp, Finding> {
        let deadline = self.deadline.from(now);
        if deadline > now {
            return Ok(deadline);
        }
        let message = format!("{deadline} is not after now, {now:.0}; give a later one, or 24h");
        Err(Finding { place: Place::spec().key("deadline"), message })
    }
}

/// Says which features of the document are part of the schema and not built yet.
fn not_built_yet(spec: &RolloutSpec, findings: &mut Findings) {
    const OUT: &str = "leave it out";
    let here = Place::spec();
    #[rustfmt::skip]
    let later = [
        (spec.span_windows, here.key("spanWindows"), "pausing between windows", "write false"),
        (spec.stabilisation.until_load.is_some(), here.key("stabilisation").key("untilLoad"),
            "watching until a load was carried", OUT),
    ];
    for (_, place, what, instead) in later.into_iter().filter(|(given, ..)| *given) {
        findings.unsupported(place, what, instead);
    }
}

/// What cannot be undone is never rolled back.
fn retreat(spec: &RolloutSpec, findings: &mut Findings) {
    let here = Place::spec();
    let hold = spec.hold.unwrap_or_default();
    let asked = [
        (spec.on_failure == OnFailure::Rollback, here.key("onFailure"), "hold"),
        (hold.then == AfterHold::Rollback, here.key("hold").key("then"), "page or abort"),
    ];
    for (_, place, instead) in asked.into_iter().filter(|(asked, ..)| *asked && !spec.reversible) {
        let message = format!(
            "is rollback, but spec.reversible is false: what cannot be undone is never rolled back; \
             write {instead} here, or reversible: true"
        );
        findings.add(place, message);
    }
}

fn step(spec: &RolloutSpec, findings: &mut Findings) -> Option<Step> {
    let length = spec.step.duration();
    let whole = i64::try_from(length.as_secs()).ok().filter(|_| length.subsec_nanos() == 0);
    if let Some(Ok(step)) = whole.map(Step::from_seconds)
        && length <= LONGEST_STEP
    {
        return Some(step);
    }
    let message = format!("expected 1s to 1h in whole seconds, found {}", spec.step);
    findings.add(Place::spec().key("step"), message);
    None
}

fn gates(spec: &RolloutSpec, findings: &mut Findings) -> Vec<Gate> {
    let place = Place::spec().key("gates");
    let mut gates = Vec::new();
    for (index, gate) in spec.gates.iter().enumerate() {
        let here = place.index(index);
        for (key, count) in [("successes", gate.successes), ("failures", gate.failures)] {
            if count == 0 {
                findings.add(here.key(key), "expected at least 1, found 0");
            }
        }
        if gate.timeout < gate.every {
            let message = format!("is {}, shorter than every, {}", gate.timeout, gate.every);
            findings.add(here.key("timeout"), message);
        }
        let Some(adapter) = gate.adapter.only().cloned() else { continue };
        gates.push(Gate {
            every: gate.every.duration(),
            successes: gate.successes,
            failures: gate.failures,
            timeout: gate.timeout.duration(),
            adapter,
        });
    }
    gates
}

/// What a rollout says about a fleet of a given size.
struct Bounds {
    schedule: GivenSchedule,
    margin: PerDimension<Extra>,
    max_unavailable: u32,
    zone_limits: BTreeMap<Zone, u32>,
    max_surge: u32,
    canary: Canary,
}

fn against(spec: &RolloutSpec, fleet: &Fleet, findings: &mut Findings) -> Bounds {
    let total = u32::try_from(fleet.servers.len()).unwrap_or(u32::MAX);
    let batch = Place::spec().key("batch");
    let max_unavailable = spec.batch.max_unavailable.rounded_down(total).clamp(0, total);
    if max_unavailable == 0 {
        let (given, place) = (spec.batch.max_unavailable, batch.key("maxUnavailable"));
        let message = format!(
            "{given} of {total} servers rounds down to none, so that no server may ever be out; \
             write at least 1"
        );
        findings.add(place, message);
    }
    let size = match spec.batch.canary.size {
        CanarySize::Auto => None,
        CanarySize::Fixed(size) => Some(size.rounded_down(total).clamp(1, total.max(1))),
    };
    if let (Some(size), CanarySize::Fixed(CountOrPercent::Count(_))) =
        (size, spec.batch.canary.size)
        && size > max_unavailable
        && max_unavailable > 0
    {
        let message = format!("is {size}, but at most {max_unavailable} servers may be out");
        findings.add(batch.key("canary").key("size"), message);
    }
    survive(spec.survive, fleet, findings);
    if spec.failure_budget > 0 && spec.failure_budget >= total {
        let (given, place) = (spec.failure_budget, Place::spec().key("failureBudget"));
        let message = format!("is {given}, but the fleet has {total}; write less than that");
        findings.add(place, message);
    }
    Bounds {
        schedule: schedule(spec, fleet, max_unavailable, findings),
        margin: margin(&spec.margin, fleet),
        zone_limits: zone_limits(spec, fleet, findings),
        max_unavailable,
        max_surge: spec.batch.max_surge.rounded_up(total),
        canary: Canary { size, watch: spec.batch.canary.watch.duration() },
    }
}

fn survive(spec: SurviveSpec, fleet: &Fleet, findings: &mut Findings) {
    let place = Place::spec().key("survive");
    let servers = fleet.servers.len();
    if spec.servers as usize >= servers {
        let message =
            format!("is {}, but the fleet has {servers}; write less than that", spec.servers);
        findings.add(place.key("servers"), message);
    }
    if spec.zones == 0 {
        return;
    }
    let here = place.key("zones");
    if let Some(server) = fleet.servers.iter().find(|server| server.zone.is_none()) {
        let message = format!(
            "needs to know where each server stands; give {} a zone in the fleet {}",
            server.name, fleet.name
        );
        findings.add(here, message);
        return;
    }
    let zones: BTreeSet<_> = fleet.servers.iter().filter_map(|s| s.zone.as_ref()).collect();
    let most = zones.len().saturating_sub(1).min(SURVIVED_ZONES_AT_MOST);
    if spec.zones as usize > most {
        let message = format!(
            "is {}, but the fleet stands in {} zones; at most {most} of them can be lost",
            spec.zones,
            zones.len()
        );
        findings.add(here, message);
    }
}

fn margin(spec: &MarginSpec, fleet: &Fleet) -> PerDimension<Extra> {
    let all = fleet.capacity.keys().map(|dimension| (dimension.clone(), spec.of(dimension)));
    all.filter(|(_, extra)| !extra.is_zero()).collect()
}

fn schedule(
    rollout: &RolloutSpec,
    fleet: &Fleet,
    max_unavailable: u32,
    findings: &mut Findings,
) -> GivenSchedule {
    let spec = &rollout.schedule;
    let start_at = spec.start_at.map(|instant| instant.0);
    let given = spec.batches.as_ref().filter(|_| rollout.fleets.len() == 1);
    let Some(batches) = given else { return GivenSchedule { start_at, batches: None } };
    let place = Place::spec().key("schedule").key("batches");
    let mut waiting: BTreeSet<&str> =
        fleet.servers.iter().map(|server| server.name.as_str()).collect();
    let known = waiting.clone();
    for (index, batch) in batches.iter().enumerate() {
        if batch.is_empty() {
            findings.add(place.index(index), "is empty: a batch has at least one server");
        }
        if batch.len() > max_unavailable as usize {
            let message =
                format!("takes out {}, but at most {max_unavailable} may be out", batch.len());
            findings.add(place.index(index), message);
        }
        for (nth, server) in batch.iter().enumerate() {
            let here = place.index(index).index(nth);
            if !known.contains(server.as_str()) {
                let near = hint(server.as_str(), known.iter().copied());
                findings.add(here, format!("the fleet has no server {:?}{near}", server.as_str()));
            } else if !waiting.remove(server.as_str()) {
                findings.add(here, format!("takes {:?} out twice", server.as_str()));
            }
        }
    }
    if let Some(left) = waiting.first() {
        let message = format!("leaves out {} servers, for instance {left}", waiting.len());
        findings.add(place, format!("{message}; name every server of the fleet once"));
    }
    GivenSchedule { start_at, batches: Some(batches.clone()) }
}
