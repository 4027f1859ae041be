//! Permits for other people's updaters: may so many servers of a fleet be out now, and for how long.

mod standing;

use std::time::Duration;

use domain::event::Event;
use domain::forecast::Probability;
use domain::freeze::BadFreezes;
use domain::name::{Key, ServerName};
use domain::permit::{BadPermits, Permit, Permits};
use domain::ports::{Append, AppendError, Authority, Journal, PortError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::standing::{Standing, Unseen};
use super::chain::{self, ChainError};
use super::control::{Petition, TRIES};
use super::keyed::LookError;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        let (answer, already_down) =
            decide(journal, prepared, &permits, wish, None, petition.at).await?;
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
            already_down,
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
        let (answer, _) = decide(journal, prepared, &permits, &wish, Some(&permit), now).await?;
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

/// The answer, and who gets no requests for another reason.
async fn decide(
    journal: &dyn Journal,
    prepared: &Prepared,
    permits: &Permits,
    wish: &Wish,
    renewed: Option<&Permit>,
    now: Timestamp,
) -> Result<(Answer, Vec<ServerName>), PermitError> {
    let prepared = prepared.clone().with_calendar_files()?;
    let fleet = &prepared.fleet.name;
    let mut standing = Standing::new(journal, &prepared, permits, renewed, now).await?;
    let left = standing.left;
    let no = |reason: String, risk: Option<f64>, retry_after: Option<Timestamp>| {
        let answer = Answer {
            granted: false,
            count: wish.count,
            until: None,
            risk,
            risk_left: left.max(0.0),
            lease: renewed.map(|permit| permit.lease.clone()),
            reason,
            retry_after,
        };
        (answer, Vec::new())
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
    match standing::out_of_service(&prepared).await {
        Ok(down) => standing.are_down(down, permits.on(fleet, now), renewed),
        Err(Unseen(why)) => return Ok(no(why, None, None)),
    }
    let (most, out) = (prepared.rollout.max_unavailable as usize, standing.out(wish));
    if out + wish.count as usize > most {
        let reason = format!(
            "{out} servers of fleet {fleet} are out already{}; with {} more there would be more than {most} \
             (maxUnavailable)",
            standing.down_said(),
            wish.count
        );
        return Ok(no(reason, None, standing.ends));
    }
    if left <= 0.0 {
        let reason = format!(
            "the account of {} is spent: {} may be risked",
            prepared.rollout.name,
            prepared.rollout.risk.get()
        );
        return Ok(no(reason, None, standing.frees));
    }
    let (servers, others) = standing.choose(&prepared, wish)?;
    let least = f64::max(prepared.rollout.risk.get() * SHARE, LEAST);
    let resolution = Probability::new(least).unwrap_or(prepared.rollout.risk);
    let paths = Share::Left(resolution).paths(prepared.rollout.risk);
    // No permit is free: what paths cannot show may still be there.
    let floor = RULE_OF_THREE / paths as f64;
    let outage = Outage { servers, others, length: wish.length, seed: wish.seed, resolution };
    let risks = prepared.risks_of(outage.clone(), now, vec![now]).await?;
    let risk = risks[0].max(floor);
    if risk > left {
        let later = LATER.iter().map(|minutes| now + Duration::from_secs(60 * minutes));
        let starts: Vec<Timestamp> = later.collect();
        let risks = prepared.risks_of(outage, now, starts.clone()).await?;
        let good = |(at, risk): &(&Timestamp, &f64)| risk.max(floor) <= left && fits(**at);
        let next = starts.iter().zip(&risks).find(good).map(|(at, _)| *at);
        let reason = format!(
            "with {out} out already{} the risk of overload is {risk:.4}, and {:.4} of {} is left",
            standing.down_said(),
            left.max(0.0),
            prepared.rollout.risk.get()
        );
        return Ok(no(reason, Some(risk), next.or(standing.frees)));
    }
    let answer = Answer {
        granted: true,
        count: wish.count,
        until: Some(until),
        risk: Some(risk),
        risk_left: left - risk,
        lease: None,
        reason: format!(
            "with {out} out already{} the risk of overload until {until:.0} is at most {risk:.4}",
            standing.down_said()
        ),
        retry_after: None,
    };
    Ok((answer, standing.down_otherwise()))
}
