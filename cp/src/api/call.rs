//! What handlers are given.
//!
//! INVARIANT: a handler of a tenant holds a [`Tenant`], which reaches the rows of one organization and no others. No handler
//! holds a `Store`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use mcpg_cp_api::{EnvironmentPath, Grant, Id, Member, OrganizationPath, Slug, Target, WorkspacePath};
use mcpg_license::Tier;
use serde::de::DeserializeOwned;

use super::input;
use super::refused::Refused;
use super::reply::{Content, Reply};
use super::request_id::RequestId;
use super::service::Service;
use super::tenant_name::TenantName;
use crate::agents::fleet::Fleet;
use crate::agents::register::Register;
use crate::authorization;
use crate::license::InForce;
use crate::store::{
    Actor, ClaimId, Gateway, Org, OrgId, Platform, Read, Scoped, Store, StoreError, TokenId, Write,
};

/// What a request brings.
#[derive(Debug)]
pub struct Input {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query string.
    pub query: Option<String>,
    /// Its body, whole.
    pub body: Bytes,
    /// Its id.
    pub request: RequestId,
    /// When it came, in milliseconds since 1970.
    pub now: i64,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) source: Option<IpAddr>,
}

impl Input {
    /// The body as a type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        input::body(&self.headers, &self.body)
    }

    /// The query as a type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        input::query(self.query.as_deref())
    }

    /// A parameter of the path. What has no such form names nothing.
    ///
    /// # Errors
    /// When the path has no such parameter, or it cannot be read.
    pub fn parameter<T: std::str::FromStr>(&self, name: &str) -> Result<T, Refused> {
        let found = self.parameters.iter().find(|(other, _)| other == name);
        found.and_then(|(_, text)| text.parse().ok()).ok_or_else(Refused::not_found)
    }

    /// A number in the path, in its one form.
    ///
    /// # Errors
    /// When it is none that the store could have.
    pub fn number(&self, name: &str) -> Result<i64, Refused> {
        let text: String = self.parameter(name)?;
        let number = text.parse::<i64>().ok().filter(|number| *number >= 1 && number.to_string() == text);
        number.ok_or_else(Refused::not_found)
    }
}

/// Who a request is from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As the audit log names them.
    pub actor: mcpg_cp_api::Actor,
    /// How they proved it: `token`, `session`, `bootstrap`.
    pub method: &'static str,
    /// What they are.
    pub kind: CallerKind,
    /// When the credential ends.
    pub expires_at: Option<i64>,
    /// The credential itself.
    pub token: TokenId,
}

/// What a caller is.
#[derive(Debug, Clone)]
pub enum CallerKind {
    /// An administrator of the service.
    Platform,
    /// A program with a role of its own.
    Program(Grant),
    /// A member, with the roles that they have now.
    Member(Member),
}

impl Caller {
    /// Whether they administer the service.
    pub fn is_platform(&self) -> bool {
        matches!(self.kind, CallerKind::Platform)
    }
}

/// One organization, as far as a caller has got into it.
#[derive(Debug)]
pub struct Tenant {
    /// The organization.
    pub org: Org,
    /// Its slug.
    pub slug: Slug,
    /// Its licence, as it is in force now.
    pub license: InForce,
    pub(super) scope: Scoped,
    pub(super) member: Member,
    pub(super) grants: Vec<Grant>,
}

impl Tenant {
    /// The organization's rows, for what outlasts the call.
    pub fn scope(&self) -> Scoped {
        self.scope.clone()
    }

    /// The tier in force.
    pub fn tier(&self) -> Tier {
        self.license.tier
    }

    /// The caller's roles that are in effect here.
    pub fn roles(&self) -> impl Iterator<Item = &Grant> {
        let effective = |grant: &&Grant| {
            grant.member == self.member && authorization::admit(grant, self.license.tier).is_ok()
        };
        self.grants.iter().filter(effective)
    }

    /// Whether the caller may know of a node.
    pub fn sees(&self, node: &Target) -> bool {
        authorization::see(&self.grants, self.license.tier, &self.member, node).is_ok()
    }

    /// A node of this organization.
    pub fn organization(&self) -> Target {
        Target::Organization(OrganizationPath { organization: self.slug.clone() })
    }
}

/// A call by nobody in particular.
#[derive(Debug)]
pub struct OpenCall {
    /// What it brings.
    pub input: Input,
    /// What the service offers.
    pub service: Arc<Service>,
    /// Look-ups before a tenant is known.
    pub platform: Platform,
    /// What the request says of its tenant.
    pub name: TenantName,
    pub(super) store: Store,
}

/// A call by a gateway that has proven who it is.
#[derive(Debug)]
pub struct AgentCall {
    /// What it brings.
    pub input: Input,
    /// What the service offers.
    pub service: Arc<Service>,
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// When it signed the call, in seconds since 1970.
    pub said_at: i64,
    /// Its organization's rows.
    pub scope: Scoped,
    /// What gateways are to run.
    pub fleet: Arc<Fleet>,
    /// Takes down what gateways say.
    pub register: Arc<Register>,
}

impl AgentCall {
    /// Begins to change the organization's rows.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn begin(&self) -> Result<Write, StoreError> {
        let actor = Actor {
            subject: format!("gateway:{}", self.gateway.id),
            method: "agent".to_owned(),
            source: self.input.source,
            request_id: self.input.request.bytes(),
        };
        self.scope.begin(actor).await
    }
}

/// A call by somebody, in no tenant.
#[derive(Debug)]
pub struct CallerCall {
    /// What it brings.
    pub input: Input,
    /// What the service offers.
    pub service: Arc<Service>,
    /// Look-ups before a tenant is known.
    pub platform: Platform,
    /// Who calls.
    pub caller: Caller,
    /// Their organization, if they are of one, or have named one.
    pub tenant: Option<Tenant>,
}

/// A call by somebody who may make it, in a tenant.
#[derive(Debug)]
pub struct TenantCall {
    /// What it brings.
    pub input: Input,
    /// What the service offers.
    pub service: Arc<Service>,
    /// Who calls.
    pub caller: Caller,
    /// The organization.
    pub tenant: Tenant,
    /// The path's node.
    pub target: Target,
    pub(super) claim: Option<ClaimId>,
    pub(super) shown_once: bool,
}

impl OpenCall {
    /// The rows of an organization that what the request brings has led to: a sign-in under way, an enrollment token.
    pub fn enter(&self, org: &OrgId) -> Scoped {
        self.store.scope(org.clone())
    }

    /// Who does what is done, for the audit log.
    pub fn actor(&self, subject: &str, method: &str) -> Actor {
        Actor {
            subject: subject.to_owned(),
            method: method.to_owned(),
            source: self.input.source,
            request_id: self.input.request.bytes(),
        }
    }
}

impl CallerCall {
    /// Who does what is done, for the audit log.
    pub fn actor(&self) -> Actor {
        actor(&self.caller, &self.input)
    }
}

impl TenantCall {
    /// Reads the tenant's rows.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(&self) -> Result<Read, StoreError> {
        self.tenant.scope.read().await
    }

    /// Begins to change the tenant's rows.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn begin(&self) -> Result<Write, StoreError> {
        self.tenant.scope.begin(actor(&self.caller, &self.input)).await
    }

    /// Makes the change, and keeps the answer for repetitions of the request with its idempotency key: both or neither.
    ///
    /// # Errors
    /// When nothing was changed.
    pub async fn finish(self, mut write: Write, reply: Reply) -> Result<Reply, Refused> {
        if let Some(claim) = &self.claim {
            let kept = super::idempotency::keep(&reply, self.shown_once);
            write.complete_key(claim, reply.status.as_u16(), &kept).await?;
        }
        write.commit().await?;
        Ok(reply)
    }

    /// The workspace of the path.
    ///
    /// # Errors
    /// When the path has none.
    pub fn workspace(&self) -> Result<WorkspacePath, Refused> {
        let workspace = self.target.workspace().cloned().ok_or_else(Refused::not_found)?;
        Ok(WorkspacePath { organization: self.tenant.slug.clone(), workspace })
    }

    /// The environment of the path.
    ///
    /// # Errors
    /// When the path has none.
    pub fn environment(&self) -> Result<EnvironmentPath, Refused> {
        match &self.target {
            Target::Environment(path) => Ok(path.clone()),
            _ => Err(Refused::not_found()),
        }
    }

    /// The id of the path.
    ///
    /// # Errors
    /// When it is none.
    pub fn id<T: std::str::FromStr>(&self) -> Result<T, Refused> {
        // Both forms: what is no id for the wire is no id for the store.
        let id: Id = self.input.parameter("id")?;
        id.as_str().parse().map_err(|_| Refused::not_found())
    }
}

/// Who does what is done, for the audit log.
pub(super) fn actor(caller: &Caller, input: &Input) -> Actor {
    Actor {
        subject: caller.actor.to_string(),
        method: caller.method.to_owned(),
        source: input.source,
        request_id: input.request.bytes(),
    }
}

impl Reply {
    /// The bytes of a body that is there as a whole.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        match &self.body {
            Content::Whole(bytes) => Some(bytes),
            Content::Stream(_) => None,
        }
    }
}
