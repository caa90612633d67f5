//! What filters have of the process: it outlives the revisions that they are built for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// How often the keys of issuers were fetched.
    pub key_fetches: Arc<Fetches>,
    /// How often issuers were asked about a token.
    pub introspections: Arc<Fetches>,
}

/// How often something was fetched from elsewhere, and how often that failed.
#[derive(Debug, Default)]
pub struct Fetches {
    all: AtomicU64,
    failed: AtomicU64,
}

impl Fetches {
    /// Counts one that is over.
    pub(crate) fn note(&self, succeeded: bool) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Those that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}
