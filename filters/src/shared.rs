//! What filters have of the process: it outlives the revisions that they are built for.

use crate::identity::basic::HashPool;
use crate::identity::oidc::Issuers;
use crate::net::HttpClient;
use crate::policy::PolicyThreads;
use crate::policy::bundle::BundleStore;

/// The filters' part of the process. One for all revisions and scopes.
#[derive(Debug, Default)]
pub struct Shared {
    /// Fetches what filters need from elsewhere, through the sole dialer.
    pub http: HttpClient,
    /// The threads that hash passwords.
    pub hashing: HashPool,
    /// The threads of decisions that take long.
    pub policy: PolicyThreads,
    /// What is known of the issuers of tokens.
    pub issuers: Issuers,
    /// What has been fetched from registries.
    pub bundles: BundleStore,
}
