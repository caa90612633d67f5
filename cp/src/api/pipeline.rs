//! The life of a request, from top to bottom: limits, tenant, caller, authorization, content, repetition, handler.
//!
//! INVARIANTS:
//! - Nothing of a tenant is read for a caller who has no place in it: what a request names is held against the caller's own organization, and only
//!   administrators of the service have one looked up by its name. So the answer for one that exists and for one that does not is the same 404,
//!   and takes the same time.
//! - A handler runs only behind `authorize`; its access is that of its row in the table.

mod named;
mod target;
mod traced;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header, request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use mcpg_cp_api::{Grant, Member, OrganizationPath, ProblemCode, Role, Target};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::Instrument as _;

use self::named::{is_named, resolve};
use self::target::{slugs, target};
use super::authenticate::{Agent, Authenticated, authenticate, authenticate_agent};
use super::call::{self, AgentCall, Caller, CallerCall, CallerKind, Input, OpenCall, Tenant, TenantCall};
use super::endpoint::{Access, BODY_BYTES_MAX, Endpoint, Run};
use super::idempotency;
use super::metrics::Readings;
use super::refused::Refused;
use super::reply::Reply;
use super::request_id::RequestId;
use super::service::Service;
use super::tenant_name::TenantName;
use crate::agents::fleet::Fleet;
use crate::agents::register::Register;
use crate::authorization;
use crate::license::InForce;
use crate::store::{Claim, ClaimId, Platform, Store};

/// Short requests of gateways that are served at once; the others wait. A fleet's words on a revision fit, since what waits together is written
/// together. Streams of revisions count until they have begun.
const AGENTS_AT_ONCE: usize = 1024;
/// Requests of gateways with long bodies.
const UPLOADS_AT_ONCE: usize = 128;

/// What serves requests.
#[derive(Debug)]
pub struct Pipeline {
    service: Arc<Service>,
    store: Store,
    fleet: Arc<Fleet>,
    register: Arc<Register>,
    permits: Semaphore,
    /// A fleet that speaks all at once waits for itself, and not operators for it.
    of_agents: Semaphore,
    of_uploads: Semaphore,
}

impl Pipeline {
    /// A pipeline over a store.
    pub fn new(service: Arc<Service>, store: Store) -> Self {
        let permits = Semaphore::new(service.settings.requests_max);
        let (of_agents, of_uploads) = (Semaphore::new(AGENTS_AT_ONCE), Semaphore::new(UPLOADS_AT_ONCE));
        let fleet = Arc::new(Fleet::new(store.clone(), Arc::clone(&service)));
        let register = Arc::new(Register::new(store.clone()));
        let (connected, open, idle) = (Arc::clone(&fleet), store.clone(), store.clone());
        let readings = Readings {
            gateways: Box::new(move || connected.connected()),
            connections: Box::new(move || open.connections().0),
            connections_idle: Box::new(move || idle.connections().1),
        };
        // Of several pipelines over one service, the first is read.
        let _ = service.metrics.read(readings);
        Self { service, store, fleet, register, permits, of_agents, of_uploads }
    }

    /// Reads what gateways are to run, and writes down what they say. To be run beside the server.
    pub async fn attend(&self) {
        tokio::join!(self.fleet.run(), self.register.run());
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        self.store.ready().await.is_ok()
    }

    /// Answers a request for a path of the table, given the endpoints at it.
    pub async fn answer(
        &self,
        endpoints: &[&'static Endpoint],
        parameters: Vec<(String, String)>,
        request: Request<Body>,
    ) -> Response<Body> {
        let begun = Instant::now();
        let clock = &self.service.clock;
        let now = clock.now();
        let id = RequestId::new(now, clock.random());
        let method = request.method().clone();
        let wanted = if method == Method::HEAD { Method::GET } else { method.clone() };
        let found = endpoints.iter().find(|endpoint| endpoint.method == wanted).copied();
        let fresh = [clock.random(), clock.random()];
        let span = traced::span(request.headers(), fresh, &id, (&method, found));
        self.service.metrics.begun();
        let answered = async {
            let outcome = match found {
                Some(endpoint) => self.serve(endpoint, parameters, request, id, now).await,
                None => Err(not_here(endpoints)),
            };
            let reply = outcome.unwrap_or_else(|refused| {
                traced::is_refused(&refused);
                refused.into_reply(&id)
            });
            let operation = found.map_or("none", |endpoint| endpoint.operation);
            let (status, took) = (reply.status.as_u16(), begun.elapsed());
            self.service.metrics.answered(operation, status, took);
            let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(status, duration_us, "answered");
            finished(reply, &id)
        };
        answered.instrument(span).await
    }

    async fn serve(
        &self,
        endpoint: &'static Endpoint,
        parameters: Vec<(String, String)>,
        request: Request<Body>,
        id: RequestId,
        now: i64,
    ) -> Result<Reply, Refused> {
        let answered = timeout(self.service.settings.answer_timeout, async {
            let _permit = self.permit(endpoint).await?;
            let (parts, body) = request.into_parts();
            let source = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
            let platform = self.store.platform();
            let path = slugs(endpoint, &parameters);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let named =
                TenantName::of(&parts.headers, authority(&parts), &path, &self.service.settings.hosts);
            let input = |body: Bytes, parts: request::Parts| Input {
                headers: parts.headers,
                query: parts.uri.query().map(str::to_owned),
                body,
                request: id,
                now,
                parameters,
                source,
            };
            if let Run::Open(run) = &endpoint.run {
                let body = self.content(endpoint, &parts, body).await?;
                let service = Arc::clone(&self.service);
                let store = self.store.clone();
                let name = named?;
                return run(OpenCall { input: input(body, parts), service, platform, name, store }).await;
            }
            if let Run::Agent(run) = &endpoint.run {
                let Agent { gateway, said_at } =
                    authenticate_agent(&parts, &self.service, &platform, now).await?;
                traced::is_from_gateway(&gateway);
                let body = self.content(endpoint, &parts, body).await?;
                let (service, scope) = (Arc::clone(&self.service), self.store.scope(gateway.org_id.clone()));
                let (fleet, register) = (Arc::clone(&self.fleet), Arc::clone(&self.register));
                return run(AgentCall {
                    input: input(body, parts),
                    service,
                    gateway,
                    said_at,
                    scope,
                    fleet,
                    register,
                })
                .await;
            }
            let known = authenticate(&parts.headers, &self.service, &platform, now).await?;
            traced::is_from(&known.caller);
            let name = named?;
            let tenant = self.enter(&platform, &name, &known, now).await?;
            tenant.iter().for_each(traced::is_about);
            let target = target(&path);
            authorize(endpoint, &known.caller, tenant.as_ref(), target.as_ref())?;
            let key = idempotency::key(&parts.headers)?;
            let body = self.content(endpoint, &parts, body).await?;
            let uri = parts.uri.clone();
            let input = input(body, parts);
            self.note_use(&known, tenant.as_ref(), &input).await;
            let (service, caller) = (Arc::clone(&self.service), known.caller);
            match (&endpoint.run, tenant, target) {
                (Run::Open(_) | Run::Agent(_), ..) => Err(Refused::not_found()),
                (Run::Caller(run), tenant, _) => {
                    run(CallerCall { input, service, platform, caller, tenant }).await
                }
                (Run::Tenant(run), Some(tenant), Some(target)) => {
                    let shown_once = endpoint.shown_once;
                    let mut call =
                        TenantCall { input, service, caller, tenant, target, claim: None, shown_once };
                    let Some(key) = key.filter(|_| endpoint.takes_idempotency_key()) else {
                        return run(call).await;
                    };
                    let digest =
                        idempotency::digest(&endpoint.method, uri.path(), uri.query(), &call.input.body);
                    let claim = match claim(&call, &key, &digest).await? {
                        Claimed::New(claim) => claim,
                        Claimed::Again(reply) => return Ok(reply),
                    };
                    call.claim = Some(claim.clone());
                    let (scope, actor) = (call.tenant.scope.clone(), call::actor(&call.caller, &call.input));
                    let outcome = run(call).await;
                    // Where nobody knows whether it was applied, the key stays taken. Where the answer was kept, there is nothing to release;
                    // where it was not, nothing was changed.
                    if outcome.as_ref().is_err_and(|refused| refused.may_be_applied) {
                        return outcome;
                    }
                    let released = async {
                        let mut write = scope.begin(actor).await?;
                        write.release_key(&claim).await?;
                        write.commit().await
                    };
                    match (released.await, outcome) {
                        (Err(error), Err(_)) => Err(error.into()),
                        (_, outcome) => outcome,
                    }
                }
                (Run::Tenant(_), ..) => Err(Refused::not_found()),
            }
        });
        answered
            .await
            .unwrap_or_else(|_| Err(Refused::new(ProblemCode::Unavailable, "the request took too long")))
    }

    async fn permit(&self, endpoint: &Endpoint) -> Result<SemaphorePermit<'_>, Refused> {
        match endpoint.run {
            Run::Agent(_) if endpoint.body_bytes_max > BODY_BYTES_MAX => {
                self.of_uploads.acquire().await.map_err(|_| Refused::busy())
            }
            Run::Agent(_) => self.of_agents.acquire().await.map_err(|_| Refused::busy()),
            _ => self.permits.try_acquire().map_err(|_| Refused::busy()),
        }
    }

    /// The organization as the caller has it, if they have a place in it.
    async fn enter(
        &self,
        platform: &Platform,
        name: &TenantName,
        known: &Authenticated,
        now: i64,
    ) -> Result<Option<Tenant>, Refused> {
        let org = match &known.org {
            Some(own) => {
                let org = self.store.scope(own.clone()).read().await?.org().await?;
                if !is_named(&org, name) {
                    return Err(Refused::not_found());
                }
                org
            }
            None if name.slug.is_none() && name.subdomain.is_none() => return Ok(None),
            None => resolve(platform, name).await?.ok_or_else(Refused::not_found)?,
        };
        let scope = self.store.scope(org.id.clone());
        let slug = org.slug.clone();
        let (member, grants) = match &known.caller.kind {
            CallerKind::Platform => {
                let member = member("platform@mcpg")?;
                let on = Target::Organization(OrganizationPath { organization: slug.clone() });
                (member.clone(), vec![Grant { member, role: Role::Admin, on }])
            }
            CallerKind::Program(grant) => (grant.member.clone(), vec![grant.clone()]),
            CallerKind::Member(member) => (member.clone(), scope.read().await?.grants_of(member).await?),
        };
        let license = InForce::of(org.licence.as_deref(), slug.as_str(), &self.service.license_keys, now);
        Ok(Some(Tenant { org, slug, license, scope, member, grants }))
    }

    async fn content(
        &self,
        endpoint: &Endpoint,
        parts: &request::Parts,
        body: Body,
    ) -> Result<Bytes, Refused> {
        let most = if endpoint.body.is_some() { endpoint.body_bytes_max } else { 0 };
        let too_large = || match most {
            0 => Refused::new(ProblemCode::Malformed, "this takes no body"),
            most => Refused::new(ProblemCode::TooLarge, format!("the body may have {most} bytes")),
        };
        let declared = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|declared| declared > most) {
            return Err(too_large());
        }
        let read = timeout(self.service.settings.body_timeout, Limited::new(body, most).collect()).await;
        match read.map_err(|_| Refused::bare(ProblemCode::Timeout))? {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
            Err(_) => Err(Refused::new(ProblemCode::Malformed, "the body did not come whole")),
        }
    }

    /// Notes that a token is used. Nobody's request fails for it.
    async fn note_use(&self, known: &Authenticated, tenant: Option<&Tenant>, input: &Input) {
        let (Some(token), Some(tenant)) = (&known.stale, tenant) else { return };
        let noted = async {
            let mut write = tenant.scope.begin(call::actor(&known.caller, input)).await?;
            write.touch_api_token(&token.id).await?;
            write.commit().await
        };
        if let Err(error) = noted.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the use of a token was not noted");
        }
    }
}

/// Decides whether a caller may use an endpoint on a node.
fn authorize(
    endpoint: &Endpoint,
    caller: &Caller,
    tenant: Option<&Tenant>,
    target: Option<&Target>,
) -> Result<(), Refused> {
    match (endpoint.access, tenant, target) {
        (Access::Open | Access::Agent | Access::Caller, ..) => Ok(()),
        (Access::Platform, ..) if caller.is_platform() => Ok(()),
        (Access::Platform, ..) => {
            Err(Refused::new(ProblemCode::Forbidden, "only administrators of the service may do this"))
        }
        (Access::Within, Some(tenant), Some(target)) => {
            Ok(authorization::see(&tenant.grants, tenant.tier(), &tenant.member, target)?)
        }
        (Access::On(permission), Some(tenant), Some(target)) => {
            Ok(authorization::authorize(&tenant.grants, tenant.tier(), &tenant.member, permission, target)?)
        }
        (Access::Within | Access::On(_), ..) => Err(Refused::not_found()),
    }
}

enum Claimed {
    New(ClaimId),
    Again(Reply),
}

async fn claim(call: &TenantCall, key: &str, digest: &str) -> Result<Claimed, Refused> {
    let mut write = call.begin().await?;
    let claim = write.claim_key(&idempotency::owner(&call.caller), key, digest).await?;
    write.commit().await?;
    match claim {
        Claim::New(claim) => Ok(Claimed::New(claim)),
        Claim::Done { status, body } => idempotency::again(status, &body).map(Claimed::Again),
        Claim::Running => Err(Refused::bare(ProblemCode::InProgress)),
        Claim::Mismatch => Err(Refused::bare(ProblemCode::KeyReused)),
    }
}

fn member(text: &str) -> Result<Member, Refused> {
    text.parse().map_err(|error| Refused::internal(format!("a member: {error}")))
}

fn authority(parts: &request::Parts) -> Option<&str> {
    parts.uri.authority().map(http::uri::Authority::as_str)
}

fn not_here(endpoints: &[&'static Endpoint]) -> Refused {
    if endpoints.is_empty() {
        return Refused::not_found();
    }
    let mut methods: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    Refused::bare(ProblemCode::Method).with_header(header::ALLOW, &methods.join(", "))
}

/// What every answer has.
fn finished(reply: Reply, id: &RequestId) -> Response<Body> {
    let mut response = reply.into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
