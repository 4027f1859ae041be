//! What runs around a rollout, checked.

use std::time::Duration;

use crate::config::adapter::AdapterRef;
use crate::config::place::{Findings, Place};
use crate::config::rollout::RolloutSpec;
use crate::event::HookPoint;

/// Something of the operator's own that runs at a point of the rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// When it runs.
    pub point: HookPoint,
    /// It is ended after this long: whole seconds, at least one.
    pub timeout: Duration,
    /// How it runs.
    pub adapter: AdapterRef,
}

/// The hooks of a rollout.
pub(super) fn hooks(spec: &RolloutSpec, findings: &mut Findings) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for (point, hook) in spec.hooks.given() {
        let timeout = hook.timeout.duration();
        if timeout.subsec_nanos() != 0 {
            let place = Place::spec().key("hooks").key(point).key("timeout");
            findings.add(place, format!("expected whole seconds, found {}", hook.timeout));
        }
        let Some(adapter) = hook.adapter.only().cloned() else { continue };
        hooks.push(Hook { point, timeout, adapter });
    }
    hooks
}
