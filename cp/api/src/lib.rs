//! Wire types of the control plane's API: what its clients send, what it answers with.
//!
//! Everything here is parsed once, at the edge: a [`Slug`], a [`WorkspacePath`] or a [`Target`] that exists is valid. In
//! JSON each is the string that a person types (`acme-corp/platform-team/prod`, `org/acme-corp`). Every type has its JSON
//! Schema, from which the OpenAPI document is made. What clients send refuses unknown members; what they receive may
//! get further members in time.

mod access;
mod actor;
mod agent;
mod digits;
mod fleet;
mod license;
mod line;
mod member;
mod observed;
mod path;
mod problem;
mod resource;
mod role;
mod sign_in;
mod slug;
mod spec;
mod statement;
mod target;
mod terms;
mod text;
pub mod trace_context;
mod tree;
mod versioned;

pub use access::{
    ApiToken, CreateApiToken, CreatePlatformToken, MemberRoles, NewApiToken, NewPlatformToken, PlatformToken,
    RoleBinding, RoleOn, WhoAmI,
};
pub use actor::{Actor, ActorError};
pub use agent::{
    Acknowledgement, AuditAccepted, AuditEntry, AuditHead, AuditHole, AuditHoleCause, AuditUpload,
    EnrollGateway, Enrolled, Heartbeat, Outcome, RevisionsQuery, SignedRevision,
};
pub use digits::{hex, unhex};
pub use fleet::{
    CreateEnrollmentToken, EnrollmentToken, Gateway, GatewayStatus, LabelKey, LabelKeyError, Labels,
    NewEnrollmentToken, Progress, PublishRevision, RejectedRevision, Revision, RevisionDocument,
    RevisionPreview, RollbackRevision, Rollout,
};
pub use license::{InstallLicense, License, LicenseTier};
pub use line::{Line, LineError};
pub use member::{DisplayName, DisplayNameError, Grant, Member, MemberError};
pub use observed::{
    AuditCheckpoint, AuditExportQuery, AuditKey, AuditKeys, AuditQuery, AuditRow, Usage, UsageQuery, UsageRow,
};
pub use path::{EnvironmentPath, OrganizationPath, PathError, WorkspacePath};
pub use problem::{FieldError, PROBLEM_MEDIA_TYPE, Problem, ProblemCode};
pub use resource::{Id, IdError, Page, PageQuery, Timestamp, TimestampError};
pub use role::{Role, RoleError};
pub use sign_in::{
    CodeChallenge, CodeVerifier, FinishSignIn, LoopbackUri, SignInError, SignInStarted, SignedIn, StartSignIn,
};
pub use slug::{Slug, SlugError};
pub use spec::{
    ArtifactDigest, ArtifactDigestError, FileName, FileNameError, GatewayConfigSpec, PluginEntry, PluginId,
    PluginIdError, PluginSetSpec, PolicyEngine, PolicySpec, PutSecretReference, RevocationListSpec,
    RevokedArtifact, SecretReference, SecretUri, SecretUriError, TrustedKey,
};
pub use statement::{
    ASSERTION_HEADER, ASSERTION_SECONDS_MAX, AssertionClaims, ScopeDocument, document_digest,
    enrollment_statement, key_fingerprint, revision_statement, terms_statement,
};
pub use target::{Level, Target, TargetError};
pub use terms::{HeldTerms, LicenseTerms, RevokedArtifacts, SignedTerms, Terms};
pub use tree::{
    CreateEnvironment, CreateOrganization, CreateWorkspace, Domain, DomainError, Environment, IssuerUrl,
    IssuerUrlError, Organization, Rename, SetSubdomain, SingleSignOn, Subdomain, SubdomainError,
    UpdateOrganization, Workspace,
};
pub use versioned::{
    Change, Diff, DiffQuery, PutQuery, PutVersion, Version, VersionSummary, Versioned, VersionedSummary,
    VersionsQuery,
};

/// A plugin set of a workspace.
pub type PluginSet = Versioned<PluginSetSpec>;

/// A policy of a workspace.
pub type Policy = Versioned<PolicySpec>;

/// The gateway configuration of an environment.
pub type GatewayConfig = Versioned<GatewayConfigSpec>;

/// The revocation list of an organization.
pub type RevocationList = Versioned<RevocationListSpec>;
