//! The control plane's store: SQLite in a file, or PostgreSQL (15 or later) that several replicas share.
//!
//! Nobody gets a pool. [`Store::scope`] gives the handle of one organization, [`Scoped`], with the only queries over an
//! organization's data; [`Store::platform`] gives the few that come before a tenant is known, or are about none.
//!
//! INVARIANT: isolation does not rest on one thing. Every statement over tenants' data names the organization, as a parameter
//! that the handle binds (the compiler refuses others, see `sql`); on PostgreSQL row-level security holds the same again, for a role that
//! cannot leave it (see [`Store::open`]); references carry the organization, so a foreign id refers to nothing.
//!
//! Every change by an operator writes a row to the organization's audit chain in the same transaction. Time and randomness come
//! from a [`Clock`].

mod acknowledgements;
mod api_tokens;
mod audit;
mod changes;
mod connection;
mod documents;
mod enrollment;
mod environments;
mod error;
mod gateways;
mod hear;
mod idempotency;
mod ids;
mod known;
mod migrate;
mod open;
mod orgs;
mod page;
mod platform;
mod revisions;
mod revocation_lists;
mod role_bindings;
mod rollouts;
mod secret_references;
mod sign_ins;
mod sql;
mod sweep;
mod terms;
mod transaction;
mod usage;
mod watched;
mod workspaces;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use acknowledgements::{Acknowledged, Acknowledgement, Outcome};
pub use api_tokens::{ApiToken, NewApiToken, TokenKind};
pub use audit::{
    AuditChain, AuditQuery, AuditRow, ChainRow, Entry, ExportRange, Forward, Forwarded, Missing, SignedHead,
};
pub use changes::{Change, Changes, Hint};
pub use documents::{Document, DocumentHead, NewDocument, Parent, Precondition, Put};
pub use enrollment::{EnrollmentToken, NewEnrollmentToken, NewGateway};
pub use environments::Environment;
pub use error::{Applied, StoreError};
pub use gateways::{Gateway, Labels, Refusal};
pub use hear::{Heard, Heartbeat, Said, Word};
pub use idempotency::{CLAIM_MS, Claim, ClaimId, KEEP_MS};
pub use ids::{
    BindingId, ClaimNonce, Clock, EnvironmentId, GatewayId, IdError, OrgId, SystemClock, TokenId, UnixMillis,
    WorkspaceId,
};
pub use migrate::{MigrateError, Migrated, migrate};
pub use open::{OpenError, Options};
pub use orgs::{NewOrg, Org, OrgChange};
pub use page::{Listed, Page};
pub use platform::{FoundGateway, Keeper, Lease, NewPlatformToken, Platform, PlatformToken};
pub use revisions::{NewRevision, Numbered, Revision, RevisionHead};
pub use revocation_lists::RevocationList;
pub use role_bindings::RoleBinding;
pub use rollouts::{Rollout, RolloutState, Stage};
pub use secret_references::SecretReference;
pub use sign_ins::SignIn;
pub use terms::StandingTerms;
pub use transaction::{Actor, Read, Write};
pub use usage::{HOUR_MS, UsageCounts, UsageKey, UsageQuery};
pub use workspaces::Workspace;

use connection::Pools;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    clock: Arc<dyn Clock>,
    wait_max: Duration,
    changes: changes::Teller,
    known: known::KnownGateways,
}

/// The handle of one organization: what handlers receive.
#[derive(Clone)]
pub struct Scoped {
    inner: Arc<Inner>,
    org: OrgId,
}

impl Store {
    /// The handle of one organization. Whether it exists shows when it is used: everything in one that does not is
    /// [`StoreError::NotFound`] or empty.
    pub fn scope(&self, org: OrgId) -> Scoped {
        Scoped { inner: Arc::clone(&self.inner), org }
    }

    /// What comes before a tenant is known.
    pub fn platform(&self) -> Platform {
        Platform::new(Arc::clone(&self.inner))
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        self.inner.pools.backend()
    }

    /// The time of the store's clock.
    pub fn now(&self) -> UnixMillis {
        self.inner.clock.now()
    }

    /// Connections to the database that are open, and those of them that nobody uses.
    pub fn connections(&self) -> (u64, u64) {
        self.inner.pools.connections()
    }

    /// Closes all connections, once they are done.
    pub async fn close(&self) {
        self.inner.pools.close().await;
    }
}

impl Scoped {
    /// The organization.
    pub fn org_id(&self) -> &OrgId {
        &self.org
    }

    /// The time of the store's clock.
    pub fn now(&self) -> UnixMillis {
        self.inner.clock.now()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Scoped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scoped").field("org", &self.org).finish_non_exhaustive()
    }
}
