//! What it risks to take servers out for a while, now or later: for updaters that are not ours.

use std::time::Duration;

use domain::name::ServerName;
use domain::spread::Spread;
use jiff::Timestamp;
use rollout::state::Way;

use super::{Ask, PlanError, Prepared, RUN_LATE, Share, request};

/// Servers that somebody wants to take out together.
#[derive(Debug, Clone)]
pub struct Outage {
    /// Which.
    pub servers: Vec<ServerName>,
    /// Which others are out meanwhile.
    pub others: Vec<ServerName>,
    /// For how long; then they warm up.
    pub length: Duration,
    /// The seed of every draw.
    pub seed: u64,
    /// Risks as small as this have to be told apart.
    pub resolution: domain::forecast::Probability,
}

impl Prepared {
    /// The probability of attributable overload for each of the starts, which rise. It reads the load
    /// up to `now`.
    pub async fn risks_of(
        &self,
        outage: Outage,
        now: Timestamp,
        starts: Vec<Timestamp>,
    ) -> Result<Vec<f64>, PlanError> {
        let mut histories = self.histories(now).await?;
        // Plans begin on the grid: a step more than is asked for covers what is cut off before it.
        let step = self.rollout.step;
        let length = outage.length + step.duration();
        let own = self.clone().taking(length);
        let compute = move || {
            let last = starts.last().copied().unwrap_or(now);
            let warmup = own.fleet.durations.longest_warmup();
            let ask = Ask {
                now,
                revision: 1,
                way: Way::Forth,
                parent: None,
                pending: Some(outage.servers.clone()),
                unhealthy: outage.others.clone(),
                updated_at: None,
                held: Vec::new(),
                without: Vec::new(),
                deadline: last + length + warmup + RUN_LATE,
                seed: own.seed(outage.seed),
                share: Share::Left(outage.resolution),
            };
            let seen = own.outlook(&ask, &mut histories, ask.deadline + RUN_LATE, false)?;
            let asked = request(&own.fleet, &own.rollout, ask, seen);
            let risk = |start: &Timestamp| {
                let batches = Some(vec![outage.servers.clone()]);
                let start_at = Some(step.ceil(*start));
                let schedule = plan::Schedule { start_at, batches };
                Ok(plan::standing(&plan::Request { schedule, ..asked.clone() })?.planned)
            };
            starts.iter().map(risk).collect()
        };
        let done = tokio::task::spawn_blocking(compute).await;
        done.map_err(|error| PlanError::Defect(error.to_string()))?
    }

    /// The fleet where an update is an absence of this length: whoever asks drains, updates and checks by
    /// themselves.
    fn taking(mut self, length: Duration) -> Self {
        let durations = &mut self.fleet.durations;
        (durations.drain, durations.verify) = (Spread::ZERO, Spread::ZERO);
        durations.update = Spread::exactly(length);
        (durations.drain_in, durations.update_in) = Default::default();
        self.rollout.gates.clear();
        self.rollout.update_failure = 0.0;
        self.rollout.canary.size = None;
        self.rollout.schedule = Default::default();
        self
    }
}
