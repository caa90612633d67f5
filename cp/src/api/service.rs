//! What the service offers to every call: time, keys, settings, numbers. Nothing here reaches a tenant's rows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcpg_filters::net::{AllowAddresses, ClientTls, HttpClient};
use mcpg_license::LicenseKeys;
use tokio::sync::{Semaphore, watch};

use super::metrics::Metrics;
use super::tenant_name::Hosts;
use crate::agents::seen::Seen;
use crate::audit::AuditSigner;
use crate::publish::RevisionSigner;
use crate::sign_in::token::{Token, TokenKey, TokenKind};
use crate::store::Clock;

/// What the service offers.
pub struct Service {
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The key of the hashes of tokens.
    pub token_key: TokenKey,
    /// The keys whose licences are believed.
    pub license_keys: LicenseKeys,
    /// What the operator chose.
    pub settings: Settings,
    /// Signs revisions.
    pub signer: RevisionSigner,
    /// Signs the heads of audit chains.
    pub audit: AuditSigner,
    /// Assertions of gateways that were used.
    pub seen: Seen,
    /// Turns to true when the service stops: what could last for ever ends then.
    pub stopping: watch::Sender<bool>,
    /// What is counted.
    pub metrics: Metrics,
    /// Asks identity providers.
    pub http: HttpClient,
    /// What they must prove.
    pub tls: ClientTls,
    /// Sign-ins that are worked on at once: each asks somebody else.
    pub sign_ins: Semaphore,
}

/// The most sign-ins that are worked on at once.
pub const SIGN_INS_MAX: usize = 32;

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the service is reached.
    pub hosts: Hosts,
    /// What gateways' assertions are for: the service's URL.
    pub audience: String,
    /// Internal addresses where organizations' identity providers may be.
    pub allow_addresses: AllowAddresses,
    /// The time for reading a body.
    pub body_timeout: Duration,
    /// The time for an answer, or its first byte.
    pub answer_timeout: Duration,
    /// Requests that are worked on at once.
    pub requests_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: Hosts::default(),
            audience: "http://127.0.0.1:9400".to_owned(),
            allow_addresses: AllowAddresses::default(),
            body_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(30),
            requests_max: 512,
        }
    }
}

impl Service {
    /// A new token, with the id that it is known by.
    pub fn token(&self, kind: TokenKind) -> Token {
        let id = super::request_id::RequestId::new(self.clock.now(), self.clock.random()).to_string();
        let mut random = [0; 32];
        let (first, second) = random.split_at_mut(16);
        first.copy_from_slice(&self.clock.random());
        second.copy_from_slice(&self.clock.random());
        // INVARIANT: a request id is a UUID in lower case, which is what an id is.
        #[expect(clippy::expect_used, reason = "the form is made two lines above and tested")]
        let id = id.parse().expect("a UUID is an id");
        Token::new(kind, id, random)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}
