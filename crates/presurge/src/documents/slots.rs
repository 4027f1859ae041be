//! Every place of a document where an adapter may stand.

use domain::config::{
    AdapterSlot, FleetDocument, GateSpec, HookSpec, LoadSpec, Place, RolloutDocument,
    SaturationSpec, ServersSpec, SizeSpec, SloSpec,
};

use crate::registry::Port;

/// A place for an adapter.
pub(super) struct Slot<'a> {
    /// Where it is.
    pub place: Place,
    /// Which port the adapter implements.
    pub port: Port,
    /// What stands there.
    pub slot: &'a AdapterSlot,
    /// The fields that may stand beside the adapter's key.
    pub fields: &'static [&'static str],
    /// Whether an adapter has to be there.
    pub required: bool,
}

fn optional(place: Place, port: Port, slot: &AdapterSlot) -> Slot<'_> {
    Slot { place, port, slot, fields: &[], required: false }
}

/// The slots of a fleet.
pub(super) fn of_fleet(document: &FleetDocument) -> Vec<Slot<'_>> {
    let (spec, here) = (&document.spec, Place::spec());
    let mut slots = Vec::new();
    if let ServersSpec::Discovered(slot) = &spec.servers {
        slots.push(Slot {
            fields: &["static"],
            ..optional(here.key("servers"), Port::Servers, slot)
        });
    }
    for (dimension, load) in &spec.load {
        slots.push(Slot {
            place: here.key("load").key(dimension),
            port: Port::Load,
            slot: &load.adapter,
            fields: LoadSpec::FIELDS,
            required: true,
        });
    }
    for (dimension, saturation) in &spec.saturation {
        slots.push(Slot {
            place: here.key("saturation").key(dimension),
            port: Port::Load,
            slot: &saturation.adapter,
            fields: SaturationSpec::FIELDS,
            required: true,
        });
    }
    for (dimension, slo) in &spec.slo {
        let place = here.key("slo").key(dimension);
        let servers = optional(place.key("inService"), Port::Load, &slo.in_service.0);
        let updated = optional(place.key("updated"), Port::Load, &slo.updated.0);
        let (slot, fields) = (&slo.adapter, SloSpec::FIELDS);
        slots.push(Slot { place, port: Port::Load, slot, fields, required: true });
        slots.push(servers);
        slots.push(updated);
    }
    for (index, signal) in spec.signals.iter().enumerate() {
        let place = here.key("signals").index(index);
        slots.push(Slot { required: true, ..optional(place, Port::Signal, &signal.0) });
    }
    let surge = here.key("surge").key("provisioner");
    slots.push(optional(surge, Port::Provisioner, &spec.surge.provisioner.0));
    slots.push(optional(here.key("traffic"), Port::Traffic, &spec.traffic.0));
    slots.push(optional(here.key("update"), Port::Updater, &spec.update.0));
    if let Some(size) = &spec.size {
        let slot = optional(here.key("size"), Port::Size, &size.adapter);
        slots.push(Slot { fields: SizeSpec::FIELDS, ..slot });
    }
    slots
}

/// The slots of a rollout.
pub(super) fn of_rollout<'a>(document: &'a RolloutDocument) -> Vec<Slot<'a>> {
    let place = Place::spec().key("gates");
    let slot = |(index, gate): (usize, &'a GateSpec)| Slot {
        place: place.index(index),
        port: Port::Health,
        slot: &gate.adapter,
        fields: GateSpec::FIELDS,
        required: true,
    };
    let gates = document.spec.gates.iter().enumerate().map(slot);
    let place = Place::spec().key("notify");
    let told = document.spec.notify.iter().enumerate().map(|(index, entry)| Slot {
        required: true,
        ..optional(place.index(index), Port::Notify, &entry.0)
    });
    let place = Place::spec().key("hooks");
    let hooks = document.spec.hooks.given().map(|(point, hook)| Slot {
        place: place.key(point),
        port: Port::Hook,
        slot: &hook.adapter,
        fields: HookSpec::FIELDS,
        required: true,
    });
    gates.chain(told).chain(hooks).collect()
}
