//! The OpenAPI 3.1 document of the API, made from the table of endpoints and the schemas of the wire types.

use std::collections::BTreeSet;

use mcpg_cp_api::{PROBLEM_MEDIA_TYPE, Problem, ProblemCode, Slug};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::endpoint::{Access, Conditions, Endpoint, Run};
use super::idempotency::KEY_HEADER;
use super::tenant_name::TENANT_HEADER;
use crate::canonical::sorted;

/// The document.
pub fn document(endpoints: &[Endpoint]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let content = json!({ PROBLEM_MEDIA_TYPE: { "schema": problem } });
    let responses = ProblemCode::ALL.iter().map(|code| code.status()).collect::<BTreeSet<u16>>();
    let responses = responses.into_iter().map(|status| {
        let titles: Vec<&str> =
            ProblemCode::ALL.iter().filter(|code| code.status() == status).map(|code| code.title()).collect();
        (format!("Problem{status}"), json!({ "description": titles.join("; "), "content": content }))
    });
    let responses: Map<String, Value> = responses.collect();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "MCPG control plane",
            "version": "1",
            "description": "Tenants, roles, plugin sets, and revisions pushed to a fleet of gateways.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// The document as the golden file has it.
pub fn text(endpoints: &[Endpoint]) -> String {
    let mut text = serde_json::to_string_pretty(&sorted(document(endpoints))).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for (status, media_type, schema) in &endpoint.answers {
        let content = match schema {
            Some(make) => json!({ *media_type: { "schema": make(generator) } }),
            None if media_type.is_empty() => Value::Null,
            None => json!({ *media_type: {} }),
        };
        let mut response = json!({ "description": description(*status) });
        if let Some(response) = response.as_object_mut().filter(|_| !content.is_null()) {
            response.insert("content".to_owned(), content);
        }
        responses.insert(status.to_string(), response);
    }
    if endpoint.conditions == Conditions::Read {
        responses.insert("304".to_owned(), json!({ "description": description(304) }));
    }
    for status in problems(endpoint) {
        responses
            .insert(status.to_string(), json!({ "$ref": format!("#/components/responses/Problem{status}") }));
    }
    let mut operation = json!({
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        "tags": [tag(endpoint)],
        "x-mcpg-access": access(endpoint),
        "parameters": parameters(endpoint, generator),
        "responses": responses,
        "security": if endpoint.access == Access::Open { json!([]) } else { json!([{ "token": [] }]) },
    });
    if let (Some(make), Some(operation)) = (endpoint.body, operation.as_object_mut()) {
        let content = json!({ "application/json": { "schema": make(generator) } });
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    operation
}

fn parameters(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters = Vec::new();
    for name in endpoint.parameters() {
        let schema = match name {
            "id" | "gateway" => mcpg_cp_api::Id::json_schema(generator).into(),
            "member" => mcpg_cp_api::Member::json_schema(generator).into(),
            "version" | "number" => {
                json!({ "type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_u64 })
            }
            "code" => {
                json!({ "type": "string", "enum": ProblemCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>() })
            }
            _ => Slug::json_schema(generator).into(),
        };
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    if let Some(make) = endpoint.query {
        let schema = Value::from(make(generator));
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let required = required.iter().any(|required| required == name);
            parameters.push(
                json!({ "name": name, "in": "query", "required": required, "schema": without_null(schema) }),
            );
        }
    }
    let mut header = |name: &str, required: bool, schema: Value| {
        parameters.push(json!({ "name": name, "in": "header", "required": required, "schema": schema }));
    };
    let tags = || json!({ "type": "string", "pattern": "^\"[!#-~]{1,100}\"$", "examples": ["\"3\""] });
    match endpoint.conditions {
        Conditions::None => {}
        Conditions::Read => header("If-None-Match", false, tags()),
        Conditions::Change => header("If-Match", true, tags()),
        Conditions::Put => {
            header("If-Match", false, tags());
            header("If-None-Match", false, json!({ "const": "*" }));
        }
    }
    if endpoint.takes_idempotency_key() {
        header(KEY_HEADER, false, json!({ "type": "string", "pattern": "^[!-~]{1,255}$" }));
    }
    if matches!(endpoint.run, Run::Caller(_)) && !endpoint.path.contains("{org}") {
        header(TENANT_HEADER, false, json!({ "type": "string", "pattern": "^[a-z0-9-]{2,40}$" }));
    }
    parameters
}

/// A parameter is there or not; it is never `null`.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(types) = schema.get_mut("type").filter(|types| types.is_array()) {
        let first = types.as_array().and_then(|types| types.iter().find(|kind| *kind != "null")).cloned();
        *types = first.unwrap_or(Value::Null);
    }
    let only = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|one| one.get("type") != Some(&json!("null"))));
    only.cloned().unwrap_or(schema)
}

/// The statuses of problems that an endpoint may answer with.
fn problems(endpoint: &Endpoint) -> BTreeSet<u16> {
    use ProblemCode as P;
    let mut codes =
        vec![P::Malformed, P::Misdirected, P::HeadersTooLarge, P::Internal, P::Unavailable, P::Timeout];
    if endpoint.access != Access::Open {
        codes.push(P::Unauthenticated);
        // For whom it does not exist: every tenant's, and every one with a tenant header.
        codes.push(P::NotFound);
    }
    if matches!(endpoint.access, Access::On(_) | Access::Platform) {
        codes.push(P::Forbidden);
    }
    if endpoint.parameters().next().is_some() {
        codes.push(P::NotFound);
    }
    if endpoint.body.is_some() {
        codes.extend([P::TooLarge, P::MediaType, P::Invalid]);
    }
    if endpoint.takes_idempotency_key() {
        codes.extend([P::InProgress, P::KeyReused]);
    }
    if matches!(endpoint.conditions, Conditions::Change | Conditions::Put) {
        codes.extend([P::Precondition, P::PreconditionRequired]);
    }
    codes.extend(endpoint.problems);
    codes.into_iter().map(ProblemCode::status).collect()
}

fn access(endpoint: &Endpoint) -> String {
    match endpoint.access {
        Access::Open => "open".to_owned(),
        Access::Agent => "agent".to_owned(),
        Access::Caller => "caller".to_owned(),
        Access::Platform => "platform".to_owned(),
        Access::Within => "within".to_owned(),
        Access::On(permission) => format!("{permission:?}"),
    }
}

/// The last word of the path that is no parameter.
fn tag(endpoint: &Endpoint) -> &'static str {
    let named = |part: &&str| !part.starts_with('{') && !matches!(*part, "v1" | "versions" | "diff");
    endpoint.path.split('/').rfind(named).unwrap_or("service")
}

fn description(status: u16) -> &'static str {
    match status {
        201 => "Made.",
        202 => "Begun.",
        204 => "Done.",
        304 => "Not modified.",
        _ => "Done.",
    }
}
