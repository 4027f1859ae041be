//! The OpenAPI document, made from the table of routes and the types that they take and answer.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::access::Right;
use super::problem::{self, Problem};
use super::route::Route;

/// Statuses of problems that any route may answer with.
const ALWAYS: [u16; 3] = [400, 500, 503];

/// The document, version 3.1.
pub fn document(routes: &[Route]) -> Value {
    // The dialect of OpenAPI 3.1 is JSON Schema 2020-12; definitions stand in the components.
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let takes = route.takes.map(|schema| schema(&mut generator).to_value());
        let answers = route.answers.map(|schema| schema(&mut generator).to_value());
        let operation = operation(route, takes, answers, &problem);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Presurge",
            "description": "Rolling updates that see the load coming. Problems are those of RFC 9457. A write \
                            with an Idempotency-Key has one effect, however often it comes.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(
    route: &Route,
    takes: Option<Value>,
    answers: Option<Value>,
    problem: &Value,
) -> Value {
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.about,
        "parameters": parameters(route),
        "responses": responses(route, answers, problem),
    });
    if route.right != Right::Nobody {
        operation["security"] = json!([{}, { "token": [] }]);
        operation["x-presurge-right"] = json!(route.right);
    }
    if let Some(schema) = takes {
        let mut content = json!({ "application/json": { "schema": schema } });
        if route.yaml {
            content["application/yaml"] = json!({ "schema": { "type": "object" } });
        }
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

/// The method and the words of the path.
fn id(route: &Route) -> String {
    let words = route.path.split(['/', '.', '{', '}']).filter(|word| !matches!(*word, "" | "v1"));
    let mut id = route.method.as_str().to_lowercase();
    for word in words {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_uppercase());
        id.push_str(rest);
    }
    id
}

fn parameters(route: &Route) -> Vec<Value> {
    let places = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let place = |name: &str| {
        json!({
            "name": name, "in": "path", "required": true,
            "schema": { "type": "string", "minLength": 1 },
        })
    };
    let query = |query: &super::route::Query| {
        let mut schema = json!({ "type": "integer", "minimum": query.least });
        schema["maximum"] = json!(query.most.unwrap_or(i64::MAX as u64));
        json!({ "name": query.name, "in": "query", "description": query.about, "schema": schema })
    };
    let mut all: Vec<Value> = places.map(place).collect();
    all.extend(route.query.iter().map(query));
    if route.writes() {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "The same key with the same request has one effect, and the same answer.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        }));
    }
    all
}

fn responses(route: &Route, answers: Option<Value>, problem: &Value) -> Value {
    let mut responses = Map::new();
    for status in route.statuses {
        let mut response = json!({ "description": "It is done." });
        let schema = answers.clone().unwrap_or_else(|| json!({ "type": "string" }));
        if *status != 204 {
            response["content"] = json!({ route.media: { "schema": schema } });
        }
        responses.insert(status.to_string(), response);
    }
    let mut problems: Vec<u16> = ALWAYS.to_vec();
    problems.extend(route.problems);
    if route.right != Right::Nobody {
        problems.extend([401, 403]);
    }
    if route.writes() {
        problems.extend([408, 409, 413, 415, 422]);
    }
    if route.path.contains('{') {
        problems.push(404);
    }
    for status in problems {
        let content = json!({ problem::MEDIA: { "schema": problem } });
        let response = json!({ "description": "It is not done; why.", "content": content });
        responses.entry(status.to_string()).or_insert(response);
    }
    Value::Object(responses)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let routes = super::super::routes::table();
        let document = document(&routes);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.contains("#/components/schemas/Plan"), "{found:?}");
        for reference in &found {
            let place = reference.strip_prefix('#').expect("it stays in the document");
            assert!(document.pointer(place).is_some(), "{reference}");
        }
        let ids: BTreeSet<String> = routes.iter().map(id).collect();
        assert_eq!(ids.len(), routes.len(), "{ids:?}");
        assert!(ids.contains("postRolloutsNamePause"), "{ids:?}");
    }

    #[test]
    fn whatever_writes_needs_more_than_to_read() {
        for route in super::super::routes::table() {
            let only_reads = matches!(route.right, Right::Nobody | Right::Read);
            assert_eq!(route.writes(), !only_reads, "{} {}", route.method, route.path);
        }
    }
}
