//! The published JSON Schema: the documents of the domain, with the adapters that there are in
//! the places that are open for them.

use domain::config::{FleetDocument, PORT_MARK, RolloutDocument};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Adapter, HEALTH, HOOK, LOAD, NOTIFY, PROVISIONER, Port, SIGNAL, TRAFFIC, UPDATER};

/// The JSON Schema (draft 2020-12) of every document that is accepted.
pub fn published() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let fleet = generator.subschema_for::<FleetDocument>().to_value();
    let rollout = generator.subschema_for::<RolloutDocument>().to_value();
    let tables: Vec<(&str, Map<String, Value>)> =
        Port::ALL.iter().map(|(port, name)| (*name, adapters(*port, &mut generator))).collect();
    let mut definitions = Value::Object(generator.take_definitions(true));
    fill(&mut definitions, &tables);
    fix_kind(&mut definitions, "FleetDocument", "Fleet");
    fix_kind(&mut definitions, "RolloutDocument", "Rollout");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://presurge.dev/schema/v1.json",
        "title": "Presurge configuration",
        "description": "One document of a Presurge configuration file.",
        "oneOf": [fleet, rollout],
        "$defs": definitions,
    })
}

fn adapters(port: Port, generator: &mut SchemaGenerator) -> Map<String, Value> {
    fn of<P: ?Sized>(
        table: &'static [Adapter<P>],
        generator: &mut SchemaGenerator,
    ) -> Map<String, Value> {
        let schema = |adapter: &Adapter<P>, generator: &mut SchemaGenerator| {
            (adapter.name.to_owned(), (adapter.schema)(generator).to_value())
        };
        table.iter().map(|adapter| schema(adapter, generator)).collect()
    }
    match port {
        Port::Load => of(LOAD, generator),
        Port::Traffic => of(TRAFFIC, generator),
        Port::Updater => of(UPDATER, generator),
        Port::Provisioner => of(PROVISIONER, generator),
        Port::Health => of(HEALTH, generator),
        Port::Notify => of(NOTIFY, generator),
        Port::Hook => of(HOOK, generator),
        Port::Signal => of(SIGNAL, generator),
        Port::Servers | Port::Size => Map::new(),
    }
}

/// Replaces each mark of a port by the adapters of that port.
fn fill(schema: &mut Value, tables: &[(&str, Map<String, Value>)]) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(mark)) = fields.remove(PORT_MARK) {
                let port = mark.trim_end_matches('!');
                let found = tables.iter().find(|(name, _)| *name == port);
                let adapters = found.map(|(_, adapters)| adapters.clone()).unwrap_or_default();
                slot(fields, adapters, mark.ends_with('!'));
            }
            fields.values_mut().for_each(|field| fill(field, tables));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, tables)),
        _ => {}
    }
}

/// An object with its own fields and one adapter.
fn slot(fields: &mut Map<String, Value>, adapters: Map<String, Value>, required: bool) {
    let one: Vec<Value> = adapters.keys().map(|name| json!({ "required": [name] })).collect();
    if required && !one.is_empty() {
        fields.insert("oneOf".into(), Value::Array(one));
    }
    let known = fields.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(known) = known {
        known.extend(adapters);
    }
    fields.insert("additionalProperties".into(), Value::Bool(false));
}

/// Both documents share the type of `kind`; each accepts its own only.
fn fix_kind(definitions: &mut Value, document: &str, kind: &str) {
    if let Some(field) = definitions.pointer_mut(&format!("/{document}/properties/kind")) {
        *field = json!({ "const": kind });
    }
}
