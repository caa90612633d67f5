//! One row of the table of endpoints: what it is called, who may use it, what goes in and comes out, who does it.
//!
//! A row begins with its access ([`Endpoint::open`], [`Endpoint::platform`], [`Endpoint::on`], …): there is no way to write
//! one without. The access also decides what the handler is given: only tenants' endpoints get a [`super::call::Tenant`].

use std::future::Future;
use std::pin::Pin;

use http::Method;
use mcpg_cp_api::ProblemCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::call::{AgentCall, CallerCall, OpenCall, TenantCall};
use super::refused::Refused;
use super::reply::Reply;
use crate::authorization::Permission;

/// What a handler does.
pub type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refused>> + Send>>;

/// A handler of calls of one kind.
pub type Handler<C> = Box<dyn Fn(C) -> Answer + Send + Sync>;

/// Who may use an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, with no credential.
    Open,
    /// Everybody with a credential that holds.
    Caller,
    /// Gateways, each for itself.
    Agent,
    /// Administrators of the service.
    Platform,
    /// Whoever has a role on the path's node, above it or below it; the answer has only what they may see.
    Within,
    /// Whoever has the permission on the path's node.
    On(Permission),
}

/// Who does it.
pub enum Run {
    /// Without a caller.
    Open(Handler<OpenCall>),
    /// For a gateway.
    Agent(Handler<AgentCall>),
    /// For a caller, of no tenant.
    Caller(Handler<CallerCall>),
    /// For a caller in a tenant.
    Tenant(Handler<TenantCall>),
}

/// Makes a schema, and the schemas that it refers to.
pub type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// What conditional headers an endpoint reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// None.
    None,
    /// `If-None-Match` of a reader.
    Read,
    /// `If-Match` is needed.
    Change,
    /// `If-Match` or `If-None-Match: *` is needed.
    Put,
}

/// One endpoint.
pub struct Endpoint {
    /// Its `operationId`.
    pub operation: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path, with `{parameters}`.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Who may use it.
    pub access: Access,
    /// The body that it takes.
    pub body: Option<MakeSchema>,
    /// The most bytes of a body.
    pub body_bytes_max: usize,
    /// The query that it takes.
    pub query: Option<MakeSchema>,
    /// What it answers when it is done: status, media type, schema.
    pub answers: Vec<(u16, &'static str, Option<MakeSchema>)>,
    /// Conditional headers.
    pub conditions: Conditions,
    /// Whether the answer has a secret, which is not kept for repetitions.
    pub shown_once: bool,
    /// Problems beside those that follow from the rest.
    pub problems: &'static [ProblemCode],
    /// Who does it.
    pub run: Run,
}

/// The most bytes of a body, unless an endpoint says otherwise.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

impl Endpoint {
    fn new(access: Access, what: (Method, &'static str, &'static str, &'static str), run: Run) -> Self {
        let (method, path, operation, summary) = what;
        Self {
            operation,
            method,
            path,
            summary,
            access,
            body: None,
            body_bytes_max: BODY_BYTES_MAX,
            query: None,
            answers: Vec::new(),
            conditions: Conditions::None,
            shown_once: false,
            problems: &[],
            run,
        }
    }

    /// An endpoint for everybody.
    pub fn open<F>(
        what: (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(OpenCall) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        Self::new(Access::Open, what, Run::Open(Box::new(move |call| Box::pin(handler(call)))))
    }

    /// An endpoint for gateways.
    pub fn agent<F>(
        what: (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(AgentCall) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        Self::new(Access::Agent, what, Run::Agent(Box::new(move |call| Box::pin(handler(call)))))
    }

    /// An endpoint for everybody with a credential.
    pub fn caller<F>(
        what: (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(CallerCall) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        Self::new(Access::Caller, what, Run::Caller(Box::new(move |call| Box::pin(handler(call)))))
    }

    /// An endpoint for administrators of the service.
    pub fn platform<F>(
        what: (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(CallerCall) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        Self::new(Access::Platform, what, Run::Caller(Box::new(move |call| Box::pin(handler(call)))))
    }

    /// A tenant's endpoint for whoever has a role on the path's node, above it or below it.
    pub fn within<F>(
        what: (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(TenantCall) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        Self::new(Access::Within, what, Run::Tenant(Box::new(move |call| Box::pin(handler(call)))))
    }

    /// A tenant's endpoint for whoever has the permission on the path's node.
    pub fn on<F>(
        permission: Permission,
        what: (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(TenantCall) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, Refused>> + Send + 'static,
    {
        Self::new(Access::On(permission), what, Run::Tenant(Box::new(move |call| Box::pin(handler(call)))))
    }

    /// It takes a body of a type.
    #[must_use]
    pub fn body<T: JsonSchema>(self) -> Self {
        Self { body: Some(schema_of::<T>), ..self }
    }

    /// Its body may have so many bytes.
    #[must_use]
    pub fn body_bytes_max(self, bytes: usize) -> Self {
        Self { body_bytes_max: bytes, ..self }
    }

    /// It takes a query of a type.
    #[must_use]
    pub fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(inline_schema_of::<T>), ..self }
    }

    /// It answers with JSON of a type.
    #[must_use]
    pub fn gives<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, "application/json", Some(schema_of::<T>)));
        self
    }

    /// It answers with no content, or with content that no schema describes.
    #[must_use]
    pub fn gives_plain(mut self, status: u16, media_type: &'static str) -> Self {
        self.answers.push((status, media_type, None));
        self
    }

    /// It reads conditional headers.
    #[must_use]
    pub fn conditions(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// Its answer has a secret.
    #[must_use]
    pub fn shown_once(self) -> Self {
        Self { shown_once: true, ..self }
    }

    /// It may answer with these problems too.
    #[must_use]
    pub fn problems(self, problems: &'static [ProblemCode]) -> Self {
        Self { problems, ..self }
    }

    /// Whether it takes an idempotency key: it makes something in a tenant.
    pub fn takes_idempotency_key(&self) -> bool {
        self.method == Method::POST && matches!(self.run, Run::Tenant(_))
    }

    /// The names of the path's parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn inline_schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}
