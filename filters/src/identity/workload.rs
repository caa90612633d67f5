//! `identity.workload`: workloads by their SPIFFE identities, in a certificate or in a token.
//!
//! An X.509-SVID is the certificate of this very connection; a JWT-SVID is a bearer token. Either is verified with the
//! bundle of its own trust domain and no other's. The subject is the SPIFFE ID itself. If a request has both, the
//! certificate decides.
//!
//! INVARIANTS:
//! - A trust domain that is not configured, or whose bundle is missing, withdrawn or too old, has no workloads.
//! - What was verified is kept with the generation of the bundle that it was verified by, and no longer than it holds.
//!   A hit allocates nothing.
//!
//! Sources: SPIFFE-ID, X509-SVID, JWT-SVID, SPIFFE Trust Domain and Bundle, SPIFFE Workload API.

mod api;
mod bundle;
mod id;
mod jwt_svid;
mod settings;
mod source;
mod x509_svid;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::{AuthMethod, Caller};
use serde_json::Value;

pub use id::{SpiffeId, SpiffeIdError};
pub use settings::{JwtSettings, TrustDomainSettings, WorkloadSettings};

use super::certificate::cache::VerifiedCache;
use super::{Credentials, Outcome};
use api::WorkloadApi;
use id::Pattern;
use jwt_svid::TokenRules;
use source::Domain;

/// The built-in's id.
pub const ID: &str = "identity.workload";

/// The provider.
#[derive(Debug)]
pub struct Workload {
    domains: Box<[Domain]>,
    api: Option<Arc<WorkloadApi>>,
    tokens: Option<TokenRules>,
    allowed: Box<[Pattern]>,
    attributes: HashMap<String, Value>,
    known: VerifiedCache<Known>,
}

/// A workload that was verified.
#[derive(Debug)]
struct Known {
    /// The bundle that it was verified by.
    generation: u64,
    /// The place of its trust domain.
    domain: usize,
    caller: Arc<Caller>,
    credential: Option<Arc<str>>,
    /// Whom a token is for.
    audiences: Box<[Box<str>]>,
}

/// Why a credential makes no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It is not one of ours.
    Absent,
    /// It does not hold.
    Invalid(&'static str),
    /// It cannot be judged now.
    Unavailable(&'static str),
}

impl Workload {
    /// Finds the workload of a request's certificate or token.
    ///
    /// Codes: `spiffe_id`, `trust_domain`, `id_not_allowed`, `bundle_missing`, `bundle_stale`, `bundle_withdrawn`; of a
    /// certificate `svid_uris`, `svid_path`, `svid_key_usage` and those of its chain (`certificate_…`); of a token
    /// `repeated`, `token_type`, `audience` and those of its verification.
    pub fn resolve(&self, credentials: &Credentials<'_>, now: SystemTime) -> Outcome {
        let by_certificate = self.by_certificate(credentials, now);
        let resolved = match by_certificate {
            Err(Refused::Absent) => self.by_token(credentials, now),
            decided => decided,
        };
        match resolved {
            Ok(known) => {
                Outcome::Resolved { caller: Arc::clone(&known.caller), credential: known.credential.clone() }
            }
            Err(Refused::Absent) => Outcome::Absent,
            Err(Refused::Invalid(code)) => Outcome::Invalid(code),
            Err(Refused::Unavailable(code)) => Outcome::Unavailable(code),
        }
    }

    /// Begins to keep the bundles up to date.
    pub fn start(&self) {
        for domain in &self.domains {
            domain.start();
        }
        if let Some(api) = &self.api {
            api.start();
        }
    }

    /// The configured trust domain of an ID, by its place.
    fn domain(&self, id: SpiffeId<'_>) -> Result<(usize, &Domain), Refused> {
        let place = self.domains.iter().position(|domain| domain.name() == id.trust_domain());
        let domain = place.and_then(|place| self.domains.get(place).map(|domain| (place, domain)));
        domain.ok_or(Refused::Invalid("trust_domain"))
    }

    /// What is known of a credential, if the bundle that it was verified by is still in force.
    fn find(&self, key: &[u8; 32], now: SystemTime, is_token: bool) -> Result<Option<Arc<Known>>, Refused> {
        let Some(known) = self.known.find(key, now) else { return Ok(None) };
        let Some(domain) = self.domains.get(known.domain) else { return Ok(None) };
        let bundle = domain.bundle(is_token, now)?;
        Ok((bundle.generation == known.generation).then_some(known))
    }

    /// Passes an ID that may come in here.
    fn permit(&self, id: SpiffeId<'_>) -> Result<(), Refused> {
        let permitted = self.allowed.is_empty() || self.allowed.iter().any(|pattern| pattern.permits(id));
        if permitted { Ok(()) } else { Err(Refused::Invalid("id_not_allowed")) }
    }

    fn caller(&self, id: SpiffeId<'_>, audience: Option<String>) -> Arc<Caller> {
        let mut attributes = self.attributes.clone();
        attributes.insert("trust_domain".to_owned(), Value::from(id.trust_domain()));
        let subject = id.as_str().to_owned();
        Arc::new(Caller { subject, audience, attributes, auth_method: AuthMethod::Workload })
    }
}

#[cfg(test)]
mod tests;
