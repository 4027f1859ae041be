//! From which objectives capacities are learned.

use std::time::Duration;

use serde_json::Value;

use crate::config::adapter::AdapterRef;
use crate::config::capacity::CapacitiesSpec;
use crate::config::fleet::{FleetSpec, ServersSpec};
use crate::config::place::{Findings, Place};
use crate::config::slo::Is;
use crate::name::{Dimension, Version};
use crate::plan::PerDimension;

/// An objective, and where it is read how well it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Where it is read.
    pub source: AdapterRef,
    /// What a sample says.
    pub is: Is,
    /// It is kept up to this, in the unit of the samples.
    pub most: f64,
    /// A sample is complete once this has passed.
    pub delay: Duration,
    /// Where the number of servers in service is read; all of the fleet unless given.
    pub in_service: Option<AdapterRef>,
    /// Where the same is read of the servers that run the target; `{target}` in it stands for the version.
    pub updated: Option<AdapterRef>,
}

impl Objective {
    /// Where it is read of the servers that run this version.
    pub fn updated_to(&self, target: &Version) -> Option<AdapterRef> {
        let AdapterRef { adapter, config } = self.updated.clone()?;
        Some(AdapterRef { adapter, config: naming(config, target) })
    }
}

/// A configuration with the version in the place of each `{target}`.
fn naming(config: Value, target: &Version) -> Value {
    match config {
        Value::String(text) => Value::String(text.replace("{target}", target.as_str())),
        Value::Array(all) => all.into_iter().map(|one| naming(one, target)).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(key, one)| (key, naming(one, target))).collect()
        }
        other => other,
    }
}

/// Checks that there is an objective for each capacity that is learned, and for no other.
pub(super) fn objectives(spec: &FleetSpec, findings: &mut Findings) -> PerDimension<Objective> {
    let (place, capacity) = (Place::spec().key("slo"), Place::spec().key("capacity"));
    let learned: Vec<&Dimension> = match &spec.capacity {
        CapacitiesSpec::Learn => spec.load.keys().collect(),
        CapacitiesSpec::Given(given) => {
            given.iter().filter(|(_, spec)| spec.value.is_none()).map(|(d, _)| d).collect()
        }
    };
    for dimension in learned.iter().filter(|dimension| !spec.slo.contains_key(**dimension)) {
        let message = format!(
            "is learned from an objective, and spec.slo has none for {dimension}; add slo: {{ \
             {dimension}: {{ prometheus: …, most: 0.25 }} }}, or give it as a number"
        );
        findings.add(capacity.key(dimension), message);
    }
    let mut objectives = PerDimension::new();
    for (dimension, slo) in &spec.slo {
        let here = place.key(dimension);
        if !learned.contains(&dimension) {
            let message = format!("spec.capacity.{dimension} is not learned; write learn there");
            findings.add(here.clone(), message);
        }
        if let ServersSpec::Static(listed) = &spec.servers
            && listed.servers.iter().flatten().any(|server| {
                matches!(&server.capacity, Some(CapacitiesSpec::Given(own)) if own.contains_key(dimension))
            })
        {
            let message = "servers that carry different loads are not learned together; give all \
                           capacities as numbers";
            findings.add(here.clone(), message);
        }
        let Some(most) = slo.most else {
            findings.add(here, "does not say up to what it is kept; add for instance most: 0.25");
            continue;
        };
        let Some(source) = slo.adapter.only().cloned() else { continue };
        objectives.insert(
            dimension.clone(),
            Objective {
                source,
                is: slo.is,
                most: most.get(),
                delay: slo.delay.duration(),
                in_service: slo.in_service.0.only().cloned(),
                updated: slo.updated.0.only().cloned(),
            },
        );
    }
    objectives
}
