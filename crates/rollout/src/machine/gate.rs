//! What the health gates say of what is being asked.

use domain::event::GateVerdict;
use domain::name::ServerName;

use super::{Refusal, surge};
use crate::state::{Judged, Stage, State, SurgeStage};

/// A verdict is written down when it changes, while the gates are asked.
pub(super) fn judged(
    state: &mut State,
    name: &ServerName,
    gate: String,
    verdict: GateVerdict,
) -> Result<(), Refusal> {
    let (asked, verdicts) = match state.servers.get_mut(name) {
        Some(server) => (server.stage == Stage::Verifying, &mut server.verdicts),
        None => {
            let instance = surge::instance(state, name)?;
            (instance.stage == SurgeStage::Running, &mut instance.verdicts)
        }
    };
    if !asked {
        return Err(format!("the gates of {name} are not asked"));
    }
    let changes = match verdicts.get(&gate) {
        Some(before) if before.verdict == verdict => {
            return Err(format!("gate {gate} said {verdict:?} of {name} already"));
        }
        before => before.map_or(0, |before| before.changes) + 1,
    };
    verdicts.insert(gate, Judged { verdict, changes });
    Ok(())
}
