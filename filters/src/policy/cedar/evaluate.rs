//! One decision: the parts that the policies read as Cedar entities and context, and the evaluation.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use mcpg_sdk::Obligation;
use mcpg_sdk::policy::{EngineDecision, EngineError, Kind, Names, PolicyInput};
use serde_json::Value;

use super::CedarEngine;
use super::convert::{convert, convert_text};
use super::index::Wanted;
use super::names::{self, PROMPT_METHOD, RESOURCES, TOOLS};
use super::types::Record;

/// Groups or roles of one caller.
const PARENTS_MAX: usize = 10_000;

/// A call in Cedar's terms.
struct Question {
    request: Request,
    entities: Entities,
    resource: EntityUid,
    binding: EntityUid,
    /// The principal and everything that it is in, in order: of several policies that forbid, always the same one is named.
    principals: Vec<EntityUid>,
}

impl CedarEngine {
    pub(super) fn evaluate(
        &self,
        input: &PolicyInput<'_>,
        within: Duration,
    ) -> Result<EngineDecision, EngineError> {
        let started = Instant::now();
        let question = self.question(input)?;
        let wanted = Wanted {
            kind: input.kind(),
            method: input.method(),
            binding: input.binding(),
            tool: input.name(),
            resources: [&question.resource, &question.binding],
            principals: &question.principals,
        };
        let mut tally =
            Tally { engine: self, question: &question, started, within, permits: Vec::new(), error: None };
        if let ControlFlow::Break(stop) = self.compiled.index.visit(&wanted, |set| tally.add(set)) {
            return stop;
        }
        tally.decide(input)
    }

    /// The call in Cedar's terms, for comparison with Cedar itself.
    #[cfg(test)]
    pub(super) fn question_for_tests(
        &self,
        input: &PolicyInput<'_>,
    ) -> Result<(Request, Entities), EngineError> {
        self.question(input).map(|question| (question.request, question.entities))
    }

    fn question(&self, input: &PolicyInput<'_>) -> Result<Question, EngineError> {
        if !names::is_binding_id(input.binding()) {
            return Err(unfit("binding", "its id cannot be named in policies"));
        }
        let types = &self.compiled.types;
        let uid =
            |of: &str, id: &str| types.uid(of, id).ok_or_else(|| unfit("entity", "its type is unknown"));
        let binding = uid("Binding", input.binding())?;
        let (action, resource) = self.action_and_resource(input, &binding)?;
        let principal = match input.subject() {
            Some(subject) => {
                let (of, id) = names::principal(subject);
                uid(of, id)?
            }
            None => types.unread(),
        };
        let mut principals = self.compiled.hierarchy.closure(self.parents(input, &principal)?);
        principals.remove(&principal);
        let caller = Entity::new(principal.clone(), self.attributes(input)?, principals.clone())
            .map_err(|error| unfit("principal", error.to_string()))?;
        let request =
            Request::new(principal.clone(), action.uid(), resource.uid(), self.context(input)?, None)
                .map_err(|error| unfit("request", error.to_string()))?;
        let resource_uid = resource.uid();
        let entities = Entities::from_entities([caller, action, resource], None)
            .map_err(|error| unfit("entities", error.to_string()))?;
        principals.insert(principal);
        let mut principals: Vec<EntityUid> = principals.into_iter().collect();
        principals.sort_unstable();
        Ok(Question { request, entities, resource: resource_uid, binding, principals })
    }

    fn action_and_resource(
        &self,
        input: &PolicyInput<'_>,
        binding: &EntityUid,
    ) -> Result<(Entity, Entity), EngineError> {
        let name = input.name().unwrap_or_default();
        let tool = || format!("{}.{name}", input.binding());
        let (action, group, of, id, attribute) = match input.kind() {
            Kind::Tool => (tool(), Some(TOOLS), "Tool", tool(), "name"),
            Kind::Resource => {
                (input.method().to_owned(), Some(RESOURCES), "Resource", name.to_owned(), "uri")
            }
            Kind::Prompt => (PROMPT_METHOD.to_owned(), None, "Prompt", tool(), "name"),
            Kind::Method => {
                let (action, group) = names::method_action(input.method());
                let binding = input.binding().to_owned();
                return Ok((
                    self.action(&action, group),
                    self.resource("Binding", &binding, [("name", binding.as_str())], None)?,
                ));
            }
        };
        let attributes = [(attribute, name), ("binding", input.binding())];
        let resource = self.resource(of, &id, attributes, Some(binding))?;
        Ok((self.action(&action, group), resource))
    }

    fn action(&self, id: &str, group: Option<&str>) -> Entity {
        let types = &self.compiled.types;
        let groups = group.map(|group| types.action(group)).into_iter().collect();
        Entity::new_no_attrs(types.action(id), groups)
    }

    fn resource<'a>(
        &self,
        of: &str,
        id: &str,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
        parent: Option<&EntityUid>,
    ) -> Result<Entity, EngineError> {
        let uid = self.compiled.types.uid(of, id).ok_or_else(|| unfit("resource", "its type is unknown"))?;
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), string(value)));
        Entity::new(uid, attributes.collect(), parent.cloned().into_iter().collect())
            .map_err(|error| unfit("resource", error.to_string()))
    }

    /// The groups, roles and organization of the caller, and itself.
    fn parents(&self, input: &PolicyInput<'_>, principal: &EntityUid) -> Result<Vec<EntityUid>, EngineError> {
        let types = &self.compiled.types;
        let mut parents = vec![principal.clone()];
        for (of, part, value) in [
            ("Group", "principal.attributes.groups", input.groups()),
            ("Role", "principal.attributes.roles", input.roles()),
        ] {
            let names = texts(value).ok_or_else(|| unfit(part, "is not a list of strings"))?;
            if names.len() > PARENTS_MAX {
                return Err(unfit(part, "has too many members"));
            }
            parents.extend(names.into_iter().filter_map(|name| types.uid(of, name)));
        }
        if let Some(tenant) = input.tenant() {
            parents.extend(types.uid("Org", tenant.organization()));
        }
        Ok(parents)
    }

    fn attributes(
        &self,
        input: &PolicyInput<'_>,
    ) -> Result<HashMap<String, RestrictedExpression>, EngineError> {
        let mut attributes = HashMap::new();
        let mut put = |name: &str, value| attributes.insert(name.to_owned(), value);
        if let Some(subject) = input.subject() {
            put("subject", string(subject));
        }
        if let Some(method) = input.auth_method() {
            put("auth_method", string(method.as_str()));
        }
        if let Some(audience) = input.audience() {
            put("audience", string(audience));
        }
        let mut members = Vec::new();
        for (name, field) in &self.compiled.attributes.fields {
            if let Some(value) = input.attribute(name) {
                let value = convert(&field.of, value)
                    .map_err(|error| unfit(&format!("principal.attributes.{name}"), error.to_string()))?;
                members.push((name.clone(), value));
            }
        }
        put("attributes", record("principal.attributes", members)?);
        Ok(attributes)
    }

    fn context(&self, input: &PolicyInput<'_>) -> Result<Context, EngineError> {
        let mut pairs = vec![
            (
                "mcp".to_owned(),
                strings("context.mcp", &[("method", input.method()), ("binding", input.binding())])?,
            ),
            ("arguments".to_owned(), self.arguments(input)?),
        ];
        let mut put = |name: &str, value| pairs.push((name.to_owned(), value));
        if let Some(token) = input.approval_token() {
            put("approval_token", string(token));
        }
        if let Some(source) = input.source() {
            put("source_ip", RestrictedExpression::new_ip(source.to_canonical().to_string()));
        }
        if let Some(time) = input.time() {
            put("time", datetime(time)?);
        }
        if let Some(tenant) = input.tenant() {
            let tenant = [
                ("organization", tenant.organization()),
                ("workspace", tenant.workspace()),
                ("environment", tenant.environment()),
            ];
            put("tenant", strings("context.tenant", &tenant)?);
        }
        Context::from_pairs(pairs).map_err(|error| unfit("context", error.to_string()))
    }

    fn arguments(&self, input: &PolicyInput<'_>) -> Result<RestrictedExpression, EngineError> {
        let part = |name: &str| format!("context.arguments.{name}");
        let mut members = Vec::new();
        for (name, field) in &self.argument_types(input).fields {
            if let Some(text) = input.argument(name).map_err(|error| unfit(&part(name), error.to_string()))? {
                let value = convert_text(&field.of, text).map_err(|problem| unfit(&part(name), problem))?;
                members.push((name.clone(), value));
            }
        }
        record("context.arguments", members)
    }

    fn argument_types(&self, input: &PolicyInput<'_>) -> &Record {
        let arguments = &self.compiled.arguments;
        match (input.kind(), input.name()) {
            // Where no policy reads an argument the types are not needed.
            _ if matches!(&input.reads().arguments, Names::Only(names) if names.is_empty()) => &self.nothing,
            (Kind::Tool, Some(tool)) => arguments.tool(input.binding(), tool),
            (kind, _) => arguments.rest(kind),
        }
    }
}

/// The union of the decisions over disjoint sets of policies.
struct Tally<'a> {
    engine: &'a CedarEngine,
    question: &'a Question,
    started: Instant,
    within: Duration,
    permits: Vec<cedar_policy::PolicyId>,
    error: Option<EngineError>,
}

type Stop = Result<EngineDecision, EngineError>;

impl Tally<'_> {
    fn add(&mut self, set: &PolicySet) -> ControlFlow<Stop> {
        if self.started.elapsed() > self.within {
            return ControlFlow::Break(Err(EngineError::deadline(self.engine.evaluation_max)));
        }
        let response = Authorizer::new().is_authorized(&self.question.request, set, &self.question.entities);
        let diagnostics = response.diagnostics();
        let failed = diagnostics.errors().map(|AuthorizationError::PolicyEvaluationError(error)| {
            EngineError::Evaluation {
                policy: error.policy_id().to_string(),
                problem: error.inner().to_string(),
            }
        });
        let failed = failed.min_by(|a, b| a.policy().cmp(&b.policy()));
        match (response.decision(), diagnostics.reason().min()) {
            (Decision::Allow, _) => self.permits.extend(diagnostics.reason().cloned()),
            (Decision::Deny, Some(policy)) => {
                let policy = policy.to_string();
                let message = format!("policy `{policy}` forbids it");
                return ControlFlow::Break(Ok(EngineDecision::Forbid { policy, message }));
            }
            (Decision::Deny, None) => {}
        }
        self.error = self.error.take().or(failed);
        ControlFlow::Continue(())
    }

    fn decide(mut self, input: &PolicyInput<'_>) -> Stop {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.permits.is_empty() {
            return Ok(EngineDecision::NotPermitted { message: not_permitted(input) });
        }
        self.permits.sort_unstable();
        self.permits.dedup();
        let mut obligations: Vec<Obligation> = self
            .permits
            .iter()
            .filter_map(|id| self.engine.compiled.obligations.get(id))
            .flatten()
            .cloned()
            .collect();
        obligations.sort_unstable();
        obligations.dedup();
        Ok(EngineDecision::Permit {
            policies: self.permits.iter().map(ToString::to_string).collect(),
            obligations,
        })
    }
}

/// Names the tool only where policies read its name: the message is part of a decision that may be shared.
fn not_permitted(input: &PolicyInput<'_>) -> String {
    match (input.kind(), input.name()) {
        (Kind::Tool, Some(tool)) => format!("no policy permits `{}.{tool}`", input.binding()),
        _ => format!("no policy permits `{}` on `{}`", input.method(), input.binding()),
    }
}

fn unfit(part: &str, problem: impl Into<String>) -> EngineError {
    EngineError::Input { part: part.to_owned(), problem: problem.into() }
}

fn string(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn strings(part: &str, members: &[(&str, &str)]) -> Result<RestrictedExpression, EngineError> {
    record(part, members.iter().map(|(name, value)| ((*name).to_owned(), string(value))).collect())
}

fn record(
    part: &str,
    members: Vec<(String, RestrictedExpression)>,
) -> Result<RestrictedExpression, EngineError> {
    RestrictedExpression::new_record(members).map_err(|error| unfit(part, error.to_string()))
}

/// A list of strings, or one string. None: something else.
fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value {
        None => Some(Vec::new()),
        Some(Value::String(one)) => Some(vec![one]),
        Some(Value::Array(many)) => many.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

fn datetime(time: SystemTime) -> Result<RestrictedExpression, EngineError> {
    let since =
        time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| unfit("context.time", "is before 1970"))?;
    let text = i64::try_from(since.as_millis())
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .filter(|text| text.len() == "2026-01-01T00:00:00.000Z".len());
    text.map(RestrictedExpression::new_datetime).ok_or_else(|| unfit("context.time", "is after 9999"))
}
