//! What a seed has in store of an auto-scaler: how it is set, what it does when nobody keeps it from
//! it, and what people do to it.

use std::time::Duration;

use domain::event::SizeRule;
use domain::name::ServerName;
use domain::size::SizeSettings;
use jiff::Timestamp;

use super::fate::Lots;
use crate::world::REPLACING;

/// An auto-scaler is drawn under another seed, so that all else stays as it was.
const SCALED: u64 = 0x5EED_0F51_2E00;

/// What happens to an auto-scaler, or by it. Servers are counted from 0, times are seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// It puts another machine in the place of a member, unless it is kept from it.
    ScalerReplaces { server: usize, seconds: u64 },
    /// Somebody lets it have fewer members.
    MinimumLowered(u32),
    /// Somebody lets it have fewer members at most.
    MaximumLowered(u32),
    /// Somebody lets it have more members.
    MaximumRaised(u32),
    /// Somebody allows it to end a member.
    Unprotected { server: usize },
    /// Somebody protects a member that is not of the fleet.
    Protected(u32),
    /// Somebody lets it do again what it does.
    Resumed,
    /// Somebody suspends something else.
    Suspended(u32),
}

/// An auto-scaler that a seed has in store.
#[derive(Debug, Clone)]
pub(super) struct ScalerFate {
    pub(super) settings: SizeSettings,
    pub(super) rule: SizeRule,
    pub(super) scalings: Vec<(Timestamp, Scaling)>,
}

impl ScalerFate {
    /// Of about two seeds in five there is one.
    pub(super) fn drawn(
        seed: u64,
        names: &[ServerName],
        start: Timestamp,
        calm_at: Timestamp,
    ) -> Option<Self> {
        let mut lots = Lots::new(seed ^ SCALED);
        if !lots.chance(0.4) {
            return None;
        }
        let servers = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let protected = names.iter().filter(|_| lots.chance(0.2)).cloned().collect();
        let suspended = lots.chance(0.2).then(|| "launch".to_owned()).into_iter().collect();
        let settings = SizeSettings {
            minimum: lots.whole(1, u64::from(servers)) as u32,
            maximum: servers + lots.whole(0, 4) as u32,
            protected,
            suspended,
        };
        let rule = SizeRule { suspend: [REPLACING.to_owned()].into() };
        let window = calm_at.duration_since(start).as_secs().unsigned_abs();
        let count = if lots.chance(0.4) { 0 } else { lots.magnitude(1, 6) };
        let draw = |_| {
            let moment = start + Duration::from_secs(lots.whole(10, window));
            (moment, scaling(&mut lots, servers))
        };
        let scalings = (0..count).map(draw).collect();
        Some(Self { settings, rule, scalings })
    }
}

/// Others set nothing that a rollout sets, so that it can be told who set what.
fn scaling(lots: &mut Lots, servers: u32) -> Scaling {
    let server = lots.whole(0, u64::from(servers) - 1) as usize;
    let some = lots.whole(0, 5) as u32;
    match lots.whole(0, 9) {
        0..=2 => Scaling::ScalerReplaces { server, seconds: lots.magnitude(30, 600) },
        3 => Scaling::MinimumLowered(some % servers),
        4 => Scaling::MaximumLowered(servers),
        5 => Scaling::MaximumRaised(servers + 50 + some),
        6 => Scaling::Unprotected { server },
        7 => Scaling::Protected(some),
        8 => Scaling::Resumed,
        _ => Scaling::Suspended(some),
    }
}

impl Scaling {
    /// What somebody else sets.
    pub(super) fn sets(self, settings: &mut SizeSettings, names: &[ServerName]) {
        let stranger = |n| ServerName::new(format!("other-{n}")).expect("a name");
        match self {
            Self::ScalerReplaces { .. } => {}
            Self::MinimumLowered(minimum) => settings.minimum = minimum,
            Self::MaximumLowered(maximum) | Self::MaximumRaised(maximum) => {
                settings.maximum = maximum;
            }
            Self::Unprotected { server } => drop(settings.protected.remove(&names[server])),
            Self::Protected(n) => drop(settings.protected.insert(stranger(n))),
            Self::Resumed => drop(settings.suspended.remove(REPLACING)),
            Self::Suspended(n) => drop(settings.suspended.insert(format!("other-{n}"))),
        }
    }
}
