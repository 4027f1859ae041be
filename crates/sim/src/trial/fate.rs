//! What a seed has in store for a rollout.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::event::{
    AfterHold, ApprovalRule, HoldLimit, HookLimit, HookPoint, OnFailure, OnTimeout, Policy,
};
use domain::name::{OfferName, ServerName};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{Interruption, uniform};

use super::scaler::{ScalerFate, Scaling};
use crate::faults::{Fault, Faults};
use crate::world::{Settings, Sold};

/// The stream of draws of a fate.
const STREAM: u64 = 0xFE;

/// What people ask for besides is drawn under another seed, so that all else stays as it was.
const ASKED_FOR: u64 = 0x5EED_0F40_0045;

/// Roll-backs are drawn under yet another seed.
const ROLLED_BACK: u64 = 0x5EED_BAC2;

/// A row of draws under a seed.
#[derive(Debug, Clone)]
pub(super) struct Lots {
    seed: u64,
    drawn: u64,
}

impl Lots {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    fn level(&mut self) -> f64 {
        self.drawn += 1;
        uniform(self.seed, [STREAM, self.drawn, 0])
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.level() < probability
    }

    /// A whole number from `least` to `most`, both included.
    pub(super) fn whole(&mut self, least: u64, most: u64) -> u64 {
        least + (self.level() * (most - least + 1) as f64) as u64
    }

    /// The same, where small ones are as likely as large ones are together.
    pub(super) fn magnitude(&mut self, least: u64, most: u64) -> u64 {
        let (low, high) = ((least as f64).ln(), (most as f64 + 1.0).ln());
        ((low + self.level() * (high - low)).exp() as u64).clamp(least, most)
    }

    fn seconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.whole(least, most))
    }

    fn spread(&mut self, least: u64, most: u64) -> Spread {
        let p50 = self.seconds(least, most);
        let tail = Duration::from_secs(self.whole(1, p50.as_secs().div_ceil(3)));
        let certain = self.chance(0.5);
        let drawn = Spread::between(p50, p50 + tail).ok().filter(|_| !certain);
        drawn.unwrap_or_else(|| Spread::exactly(p50))
    }
}

/// How metrics lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// No numbers.
    NotANumber,
    /// Zeros.
    Zero,
    /// A half of the truth.
    Half,
}

/// What happens in the world. Servers are counted from 0, times are seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happening {
    /// An instance of the surge is taken away.
    SpotLoss,
    /// The next instances are lost while they start.
    BootFailures(u32),
    /// The next updates fail.
    UpdateFailures(u32),
    /// A server stops serving for a while.
    Death { server: usize, seconds: u64 },
    /// Somebody puts a fresh machine of the old version in the place of a server.
    Replacement { server: usize, seconds: u64 },
    /// Somebody else takes a server out for a while.
    TakenOut { server: usize, seconds: u64 },
    /// The load balancer is reloaded and forgets what was set at run time.
    Reload,
    /// Connections of a server, or of the surge, do not end for a while.
    EndlessConnections { server: usize, of_surge: bool, seconds: u64 },
    /// Load is a multiple of the usual for a while.
    Load { times: f64, seconds: u64 },
    /// Metrics vanish for a while.
    MetricsVanish { seconds: u64 },
    /// Metrics come so many seconds late for a while.
    MetricsLag { by: u64, seconds: u64 },
    /// Metrics lie for a while.
    MetricsLie { lie: Lie, seconds: u64 },
    /// The driver's clock steps, and steps back after a while.
    ClockStep { by: i64, seconds: u64 },
    /// Surge is sold out for a while.
    SoldOut { seconds: u64 },
    /// A person pauses, and resumes after a while.
    Pause { seconds: u64 },
    /// A person says resume.
    Resume,
    /// A person says abort.
    Abort,
    /// A person says that it shall be rolled back.
    Rollback,
    /// Something of, or to, the auto-scaler.
    Scaling(Scaling),
}

/// Longer than anybody waits.
pub(super) const FOR_EVER: u64 = 1_000_000;

/// What a seed has in store.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) names: Vec<ServerName>,
    pub(super) servers: usize,
    /// At most so many may be out, which is also the size of the batches.
    pub(super) batch: usize,
    pub(super) surge: u32,
    pub(super) replaces: bool,
    pub(super) first_spends: f64,
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) deadline: Duration,
    pub(super) faults: Faults,
    /// When happenings end that end.
    pub(super) calm_at: Timestamp,
    pub(super) happenings: Vec<(Timestamp, Happening)>,
    /// So many drivers die, if there are as many before it is calm.
    pub(super) deaths: u32,
    pub(super) planner_fails: f64,
    /// The planner is the one that is used in production.
    pub(super) plans: bool,
    /// So many of the first runs of hooks end badly.
    pub(super) hook_failures: u32,
    /// The auto-scaler, where there is one.
    pub(super) scaler: Option<ScalerFate>,
    /// Somebody looks at the first plan after this long, where it needs somebody who agrees.
    pub(super) agreed_after: Duration,
}

/// The offers of the trials: one that is planned with, one that takes its place.
pub(super) fn offers() -> [OfferName; 2] {
    ["spare", "sure"].map(|name| OfferName::new(name).expect("a name"))
}

impl Fate {
    pub(super) fn drawn(seed: u64, start: Timestamp) -> Self {
        let mut lots = Lots::new(seed);
        let servers = lots.whole(3, 7) as usize;
        let batch = lots.whole(1, (servers as u64 / 2).min(3)) as usize;
        let calm_at = start + lots.seconds(1800, 9000);
        let mut settings = settings(&mut lots, seed);
        let surge = lots.whole(0, 3) as u32;
        let replaces = lots.chance(0.5);
        let first_spends = [0.1, 0.3, 0.6][lots.whole(0, 2) as usize];
        let plans = seed.is_multiple_of(super::PLANNED_EVERY);
        let hours = if lots.chance(0.1) { 4 } else { 48 };
        // What a planner searches costs time.
        let deadline = 3600 * if plans { 8 } else { hours };
        let faults = faults(&mut lots, calm_at);
        let mut happenings = happenings(&mut lots, servers, start, calm_at);
        let deaths = match lots.whole(0, 4) {
            0 => 0,
            1 | 2 => 1,
            3 => lots.whole(2, 5) as u32,
            _ => lots.whole(6, 20) as u32,
        };
        let planner_fails = if lots.chance(0.2) { 0.3 } else { 0.0 };
        let mut policy = policy(&mut lots);
        let (hook_failures, agreed_after) =
            asked_for(&mut Lots::new(seed ^ ASKED_FOR), &mut policy);
        let mut lots = Lots::new(seed ^ ROLLED_BACK);
        let moments = (start, calm_at);
        happenings.extend(undoing(&mut lots, &mut policy, &mut settings, servers, moments));
        let name = |n| ServerName::new(format!("web-{n}")).expect("a name");
        let names: Vec<_> = (1..=servers).map(name).collect();
        let scaler = ScalerFate::drawn(seed, &names, start, calm_at);
        policy.size = scaler.as_ref().map(|scaler| scaler.rule.clone());
        let scalings = scaler.iter().flat_map(|scaler| &scaler.scalings);
        let scalings = scalings.map(|(moment, scaling)| (*moment, Happening::Scaling(*scaling)));
        happenings.extend(scalings);
        Self {
            names,
            scaler,
            servers,
            batch,
            surge,
            replaces,
            first_spends,
            settings,
            policy,
            hook_failures,
            agreed_after,
            deadline: Duration::from_secs(deadline),
            faults,
            calm_at,
            happenings,
            deaths,
            planner_fails,
            plans,
        }
    }
}

fn settings(lots: &mut Lots, seed: u64) -> Settings {
    let spot = if lots.chance(0.3) { 0.3 } else { 0.0 };
    let lead = lots.spread(30, 200);
    let sold =
        |per_hour| Sold { lead, interruption: Interruption { per_hour, pool_per_hour: 0.0 } };
    let [spare, sure] = offers();
    Settings {
        drain: lots.spread(30, 90),
        update: lots.spread(60, 400),
        start: lots.seconds(0, 30),
        warmup: Spread::ZERO,
        boot: lead,
        hook: Duration::from_secs(20),
        offers: BTreeMap::from([(spare, sold(spot)), (sure, sold(0.0))]),
        fails_first: Vec::new(),
        fails_always: Vec::new(),
        bad: Vec::new(),
        seed,
    }
}

fn policy(lots: &mut Lots) -> Policy {
    let ways = [OnTimeout::Hold, OnTimeout::Force, OnTimeout::Skip];
    let on_timeout = ways[lots.whole(0, 2) as usize];
    Policy {
        drain_timeout_seconds: 600.0,
        drain_on_timeout: on_timeout,
        update_timeout_seconds: 900.0,
        verify_timeout_seconds: 300.0,
        warmup_seconds: 30.0,
        warmup_seconds_in: BTreeMap::new(),
        warmup_steps: [1, 4][lots.whole(0, 1) as usize],
        degrade: lots.chance(0.5),
        retries: 0,
        failure_budget: 0,
        on_failure: OnFailure::Hold,
        reversible: true,
        hold: None,
        approval: None,
        hooks: Vec::new(),
        size: None,
        surge_timeout_seconds: 900.0,
        canary_watch_seconds: lots.whole(0, 120) as f64,
        stabilisation_seconds: lots.whole(60, 600) as f64,
        band_breaches: lots.whole(1, 3) as u32,
        stale_after_seconds: 300.0,
    }
}

/// Hooks and approval, drawn on their own; how many hooks end badly, and when somebody looks at the
/// first plan.
fn asked_for(lots: &mut Lots, policy: &mut Policy) -> (u32, Duration) {
    let agreed_after = Duration::from_secs(lots.magnitude(10, 1_800));
    if lots.chance(0.15) {
        policy.approval = Some(ApprovalRule { by: vec!["trial".into()], budget: None });
    }
    for hook in [HookPoint::Before, HookPoint::AfterBatch, HookPoint::After] {
        if lots.chance(0.25) {
            // Some take longer than they may: the world's take 20 s.
            let timeout_seconds = [10.0, 120.0, 600.0, 600.0][lots.whole(0, 3) as usize];
            policy.hooks.push(HookLimit { hook, timeout_seconds });
        }
    }
    let none_fails = policy.hooks.is_empty() || lots.chance(0.6);
    let failures = if none_fails { 0 } else { lots.whole(1, 3) as u32 };
    (failures, agreed_after)
}

/// What asks for a roll-back: a version that some server gets not well with, failures, holds that last
/// too long, and people.
fn undoing(
    lots: &mut Lots,
    policy: &mut Policy,
    settings: &mut Settings,
    servers: usize,
    (start, calm_at): (Timestamp, Timestamp),
) -> Option<(Timestamp, Happening)> {
    if !lots.chance(0.4) {
        return None;
    }
    policy.reversible = lots.chance(0.95);
    if policy.reversible && lots.chance(0.5) {
        policy.on_failure = OnFailure::Rollback;
    }
    if policy.reversible && lots.chance(0.3) {
        let max_seconds = lots.whole(300, 3_000) as f64;
        policy.hold = Some(HoldLimit { max_seconds, then: AfterHold::Rollback });
    }
    policy.retries = u32::from(lots.chance(0.3));
    if lots.chance(0.4) {
        let server = super::scene::server(lots.whole(1, servers as u64) as usize);
        settings.bad.push((server, super::scene::target()));
    }
    let window = calm_at.duration_since(start).as_secs().unsigned_abs();
    let moment = start + lots.seconds(10, window);
    lots.chance(0.4).then_some((moment, Happening::Rollback))
}

fn faults(lots: &mut Lots, until: Timestamp) -> Faults {
    let rate = [0.0, 0.005, 0.02, 0.1][lots.whole(0, 3) as usize];
    let kinds: Vec<_> = Fault::ALL.into_iter().filter(|_| lots.chance(0.4)).collect();
    let each = rate / kinds.len().max(1) as f64;
    // What nobody can tell asks for a person each time.
    let chance = |kind| if kind == Fault::Unknown { each / 10.0 } else { each };
    Faults {
        chances: kinds.into_iter().map(|kind| (kind, chance(kind))).collect(),
        late: Duration::from_secs(20),
        stale: Duration::from_secs(60),
        throttle: Duration::from_secs(15),
        until,
    }
}

fn happenings(
    lots: &mut Lots,
    servers: usize,
    start: Timestamp,
    calm_at: Timestamp,
) -> Vec<(Timestamp, Happening)> {
    let count = match lots.whole(0, 3) {
        0 => 0,
        1 => 1,
        _ => lots.magnitude(1, 10),
    };
    let window = calm_at.duration_since(start).as_secs().unsigned_abs();
    let mut list = Vec::new();
    for _ in 0..count {
        let moment = start + lots.seconds(10, window);
        let seconds = lots.magnitude(30, 3000);
        let endless = if lots.chance(0.1) { FOR_EVER } else { seconds };
        let server = lots.whole(0, servers as u64 - 1) as usize;
        let happening = match lots.whole(0, 18) {
            0 | 1 => Happening::SpotLoss,
            2 => Happening::BootFailures(lots.whole(1, 3) as u32),
            3 => Happening::UpdateFailures(lots.whole(1, 2) as u32),
            4 => Happening::Death { server, seconds },
            5 => Happening::Replacement { server, seconds: seconds.min(600) },
            6 => Happening::TakenOut { server, seconds: endless },
            7 | 8 => Happening::Reload,
            9 => {
                let of_surge = lots.chance(0.3);
                Happening::EndlessConnections { server, of_surge, seconds: endless }
            }
            10 => {
                let times = [0.3, 1.2, 1.6, 2.5][lots.whole(0, 3) as usize];
                Happening::Load { times, seconds: endless }
            }
            11 => Happening::MetricsVanish { seconds },
            12 => Happening::MetricsLag { by: lots.whole(60, 1800), seconds },
            13 => {
                let lie = [Lie::NotANumber, Lie::Zero, Lie::Half][lots.whole(0, 2) as usize];
                Happening::MetricsLie { lie, seconds }
            }
            14 => {
                let by = lots.magnitude(1, 400).cast_signed();
                let by = if lots.chance(0.5) { by } else { -by / 3 };
                Happening::ClockStep { by, seconds }
            }
            15 => Happening::SoldOut { seconds: endless },
            16 => Happening::Pause { seconds },
            17 => Happening::Resume,
            _ if lots.chance(0.5) => Happening::Abort,
            _ => Happening::Reload,
        };
        list.push((moment, happening));
    }
    list
}
