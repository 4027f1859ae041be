//! Permits for other people's updaters: may so many servers of a fleet be out now, and for how long.

use std::time::Duration;

use domain::event::Event;
use domain::forecast::Probability;
use domain::freeze::BadFreezes;
use domain::name::{FleetName, Key, ServerName};
use domain::permit::{BadPermits, Permit, Permits};
use domain::ports::{Append, AppendError, Authority, Journal, PortError};
use jiff::Timestamp;
use serde::Serialize;

use super::chain::{self, ChainError};
use super::control::{Petition, TRIES};
use super::keyed::{self, LookError};
use crate::pipeline::{Outage, PlanError, Prepared, Share};

/// A risk is told apart down to this share of the account …
const SHARE: f64 = 0.05;

/// … but not below this: twenty thousand paths are drawn for it, in about a second.
const LEAST: f64 = 0.001;

/// Where no path of so many meets overload, the probability is below three of that number, with 95 %
/// confidence (Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983).
const RULE_OF_THREE: f64 = 3.0;

/// Where the risk is too high now, these later starts are looked at, in minutes from now.
const LATER: [u64; 7] = [5, 15, 30, 60, 120, 240, 480];

/// No permit is longer than a day: it could not be forecast in earnest.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// Why a permit could not be decided on.
#[derive(Debug, thiserror::Error)]
pub enum PermitError {
    /// The chain of permits fails.
    #[error(transparent)]
    Chain(#[from] ChainError<BadPermits>),
    /// The chain of freezes fails.
    #[error(transparent)]
    Freezes(#[from] ChainError<BadFreezes>),
    /// The journal of a rollout cannot be read.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// The risk cannot be computed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nothing was written.
    #[error("the permit was not written")]
    Append(#[from] AppendError),
    /// The servers that are named cannot be taken.
    #[error("{0}")]
    Servers(String),
    /// There is no such permit in force.
    #[error("no permit {0} is in force: it has ended, was given back, or was never granted")]
    NoSuch(Key),
}

/// What an updater wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// So many servers.
    pub count: u32,
    /// Which, where it knows.
    pub servers: Vec<ServerName>,
    /// For so long.
    pub length: Duration,
    /// The seed of every draw.
    pub seed: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether they may go out.
    pub granted: bool,
    /// How many.
    pub count: u32,
    /// Until when; absent where they may not.
    pub until: Option<Timestamp>,
    /// The probability of overload meanwhile.
    pub risk: Option<f64>,
    /// What of the account is left after it, or is left now.
    pub risk_left: f64,
    /// What the permit is renewed and released by.
    pub lease: Option<Key>,
    /// Why, with numbers.
    pub reason: String,
    /// Asking again makes sense then.
    pub retry_after: Option<Timestamp>,
}

impl Answer {
    /// What was answered to a request that has come again.
    fn again(permit: &Permit, prepared: &Prepared, permits: &Permits, now: Timestamp) -> Self {
        let window = prepared.rollout.deadline(now).map(|at| at.duration_since(now));
        let since = window.map_or(now, |window| now - window);
        let spent = permits.spent(prepared.rollout.name.as_str(), since);
        Self {
            granted: true,
            count: permit.count,
            until: Some(permit.until),
            risk: permit.risks.last().map(|(_, risk)| *risk),
            risk_left: (prepared.rollout.risk.get() - spent).max(0.0),
            lease: Some(permit.lease.clone()),
            reason: format!("it was granted at {:.0}, by this same request", permit.since),
            retry_after: None,
        }
    }
}

/// Who is out, and what may still be risked, when a permit is asked for.
struct Standing {
    /// Servers that are out by name: those of our own rollouts, and those of permits that name them.
    named: Vec<ServerName>,
    /// Servers that are out by permits which name none.
    unnamed: u32,
    left: f64,
    /// When more of the account is free.
    frees: Option<Timestamp>,
    /// When the first permit in force ends.
    ends: Option<Timestamp>,
}

impl Standing {
    fn out(&self) -> u32 {
        u32::try_from(self.named.len()).unwrap_or(u32::MAX).saturating_add(self.unnamed)
    }
}

/// Decides on a wish by the permits and rollouts of a store, and writes down what is granted. Whoever asks
/// at the same time is decided on one after the other.
pub async fn ask(
    journal: &dyn Journal,
    prepared: &Prepared,
    wish: &Wish,
    petition: &Petition<'_>,
) -> Result<Answer, PermitError> {
    for tried in 0..TRIES {
        let permits: Permits = chain::read(journal).await?;
        if let Some(permit) = permits.answering(petition.request.as_ref()) {
            return Ok(Answer::again(permit, prepared, &permits, petition.at));
        }
        let answer = decide(journal, prepared, &permits, wish, None, petition.at).await?;
        let (Some(until), Some(risk)) = (answer.until, answer.risk) else { return Ok(answer) };
        let lease = permits.next_lease();
        let event = Event::PermitGranted {
            lease: lease.clone(),
            fleet: prepared.fleet.name.clone(),
            rollout: prepared.rollout.name.to_string(),
            count: wish.count,
            servers: wish.servers.clone(),
            until,
            risk,
        };
        match write(journal, &permits, event, petition).await {
            Ok(()) => return Ok(Answer { lease: Some(lease), ..answer }),
            Err(AppendError::Conflict(_)) if tried + 1 < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}

/// Lets a permit last until `wish.length` from now, at what that risks.
pub async fn renew(
    journal: &dyn Journal,
    prepared: &Prepared,
    lease: &Key,
    length: Duration,
    petition: &Petition<'_>,
) -> Result<Answer, PermitError> {
    let now = petition.at;
    for tried in 0..TRIES {
        let permits: Permits = chain::read(journal).await?;
        if let Some(permit) = permits.answering(petition.request.as_ref()) {
            return Ok(Answer::again(permit, prepared, &permits, now));
        }
        let permit = permits.get(lease).filter(|permit| permit.in_force(now)).cloned();
        let permit = permit.ok_or_else(|| PermitError::NoSuch(lease.clone()))?;
        let wish = Wish { count: permit.count, servers: permit.servers.clone(), length, seed: 1 };
        let answer = decide(journal, prepared, &permits, &wish, Some(&permit), now).await?;
        let (Some(until), Some(risk)) = (answer.until, answer.risk) else { return Ok(answer) };
        let event = Event::PermitRenewed { lease: lease.clone(), until, risk };
        match write(journal, &permits, event, petition).await {
            Ok(()) => return Ok(Answer { lease: Some(lease.clone()), ..answer }),
            Err(AppendError::Conflict(_)) if tried + 1 < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}

/// Gives a permit back: its servers are in service again.
pub async fn release(
    journal: &dyn Journal,
    lease: &Key,
    petition: &Petition<'_>,
) -> Result<Permit, PermitError> {
    let entry = || chain::asked(Event::PermitReleased { lease: lease.clone() }, petition);
    let mine = |permits: &Permits| {
        let open = permits.get(lease).is_some_and(|permit| permit.released.is_none());
        open.then(entry).into_iter().collect::<Vec<_>>()
    };
    let permits: Permits = chain::write(journal, mine).await?;
    permits.get(lease).cloned().ok_or_else(|| PermitError::NoSuch(lease.clone()))
}

async fn write(
    journal: &dyn Journal,
    permits: &Permits,
    event: Event,
    petition: &Petition<'_>,
) -> Result<(), AppendError> {
    let (name, authority) = (Permits::chain(), Authority::Operator);
    let entries = vec![chain::asked(event, petition)];
    let append = Append { rollout: &name, authority, after: permits.head(), entries };
    journal.append(append).await.map(|_| ())
}

/// Who is out of a fleet by our own open rollouts.
async fn out_by_rollouts(
    journal: &dyn Journal,
    fleet: &FleetName,
) -> Result<Vec<ServerName>, PermitError> {
    let mut out = Vec::new();
    for id in chain::rollouts(journal).await? {
        let Some((state, _)) = keyed::state(journal, &id).await? else { continue };
        if state.created.fleet == *fleet && state.outcome().is_none() {
            let servers = state.servers.values().filter(|server| server.is_out());
            out.extend(servers.map(|server| server.member.name.clone()));
        }
    }
    Ok(out)
}

async fn standing(
    journal: &dyn Journal,
    prepared: &Prepared,
    permits: &Permits,
    but: Option<&Permit>,
    now: Timestamp,
) -> Result<Standing, PermitError> {
    let (fleet, rollout) = (&prepared.fleet.name, prepared.rollout.name.as_str());
    let mut named = out_by_rollouts(journal, fleet).await?;
    let others =
        permits.on(fleet, now).into_iter().filter(|p| but.is_none_or(|b| b.lease != p.lease));
    let (mut unnamed, mut ends) = (0, None);
    for permit in others {
        named.extend(permit.servers.iter().cloned());
        let without = permit.count.saturating_sub(u32::try_from(permit.servers.len()).unwrap_or(0));
        unnamed += without;
        ends = Some(ends.map_or(permit.until, |end: Timestamp| end.min(permit.until)));
    }
    named.sort();
    named.dedup();
    let window = prepared.rollout.deadline(now).map_err(PlanError::Deadline)?.duration_since(now);
    let since = now - window;
    let left = prepared.rollout.risk.get() - permits.spent(rollout, since);
    let frees = permits.frees(rollout, since).map(|at| at + window);
    Ok(Standing { named, unnamed, left, frees, ends })
}

async fn decide(
    journal: &dyn Journal,
    prepared: &Prepared,
    permits: &Permits,
    wish: &Wish,
    renewed: Option<&Permit>,
    now: Timestamp,
) -> Result<Answer, PermitError> {
    let prepared = prepared.clone().with_calendar_files()?;
    let fleet = &prepared.fleet.name;
    let standing = standing(journal, &prepared, permits, renewed, now).await?;
    let no = |reason: String, risk: Option<f64>, retry_after: Option<Timestamp>| Answer {
        granted: false,
        count: wish.count,
        until: None,
        risk,
        risk_left: standing.left.max(0.0),
        lease: renewed.map(|permit| permit.lease.clone()),
        reason,
        retry_after,
    };
    let freezes = super::freezes::read(journal).await?;
    if let Some(freeze) = freezes.on(fleet, now) {
        return Ok(no(freeze.to_string(), None, freeze.until));
    }
    let until = now + wish.length;
    let allowed = prepared.rollout.calendar.allowed(now, now + LONGEST * 8);
    let fits = |from: Timestamp| {
        allowed.iter().any(|window| window.from() <= from && from + wish.length <= window.to())
    };
    if !fits(now) {
        let next = allowed.iter().map(|window| window.from()).find(|from| fits(*from));
        let reason = format!("no window is open until {until:.0}");
        return Ok(no(reason, None, next));
    }
    let (most, out) = (prepared.rollout.max_unavailable, standing.out());
    if out.saturating_add(wish.count) > most {
        let reason = format!(
            "{out} servers of fleet {fleet} are out already; with {} more there would be more than {most} \
             (maxUnavailable)",
            wish.count
        );
        return Ok(no(reason, None, standing.ends));
    }
    if standing.left <= 0.0 {
        let reason = format!(
            "the account of {} is spent: {} may be risked",
            prepared.rollout.name,
            prepared.rollout.risk.get()
        );
        return Ok(no(reason, None, standing.frees));
    }
    let (servers, others) = chosen(&prepared, wish, &standing)?;
    let least = f64::max(prepared.rollout.risk.get() * SHARE, LEAST);
    let resolution = Probability::new(least).unwrap_or(prepared.rollout.risk);
    let paths = Share::Left(resolution).paths(prepared.rollout.risk);
    // No permit is free: what paths cannot show may still be there.
    let floor = RULE_OF_THREE / paths as f64;
    let outage = Outage { servers, others, length: wish.length, seed: wish.seed, resolution };
    let risks = prepared.risks_of(outage.clone(), now, vec![now]).await?;
    let risk = risks[0].max(floor);
    if risk > standing.left {
        let later = LATER.iter().map(|minutes| now + Duration::from_secs(60 * minutes));
        let starts: Vec<Timestamp> = later.collect();
        let risks = prepared.risks_of(outage, now, starts.clone()).await?;
        let good = |(at, risk): &(&Timestamp, &f64)| risk.max(floor) <= standing.left && fits(**at);
        let next = starts.iter().zip(&risks).find(good).map(|(at, _)| *at);
        let reason = format!(
            "the risk of overload is {risk:.4}, and {:.4} of {} is left",
            standing.left.max(0.0),
            prepared.rollout.risk.get()
        );
        return Ok(no(reason, Some(risk), next.or(standing.frees)));
    }
    Ok(Answer {
        granted: true,
        count: wish.count,
        until: Some(until),
        risk: Some(risk),
        risk_left: standing.left - risk,
        lease: None,
        reason: format!(
            "with {out} others out the risk of overload until {until:.0} is at most {risk:.4}"
        ),
        retry_after: None,
    })
}

/// Who goes out, and who is out: where it is not known, whoever carries most.
fn chosen(
    prepared: &Prepared,
    wish: &Wish,
    standing: &Standing,
) -> Result<(Vec<ServerName>, Vec<ServerName>), PermitError> {
    let fleet = &prepared.fleet;
    for name in &wish.servers {
        let known = fleet.servers.iter().find(|server| server.name == *name);
        let why = match known {
            None => "is not in the fleet",
            Some(server) if server.own => "is one that Presurge stands on (self)",
            Some(_) if standing.named.contains(name) => "is out already",
            Some(_) => continue,
        };
        return Err(PermitError::Servers(format!("{name} {why}")));
    }
    let carries = |server: &domain::config::FleetServer| server.capacity.values().sum::<f64>();
    let mut free: Vec<_> = fleet.servers.iter().filter(|server| !server.own).collect();
    free.retain(|s| !standing.named.contains(&s.name) && !wish.servers.contains(&s.name));
    free.sort_by(|a, b| carries(b).total_cmp(&carries(a)).then(a.name.cmp(&b.name)));
    let mut free = free.into_iter().map(|server| server.name.clone());
    let mut servers = wish.servers.clone();
    let missing = (wish.count as usize).saturating_sub(servers.len());
    servers.extend(free.by_ref().take(missing));
    if servers.len() < wish.count as usize {
        let text = format!("fleet {} has no {} servers that could go out", fleet.name, wish.count);
        return Err(PermitError::Servers(text));
    }
    let mut others = standing.named.clone();
    others.extend(free.take(standing.unnamed as usize));
    Ok((servers, others))
}
