//! Identity: from the credentials of a request to its caller.
//!
//! A chain asks its providers in order. The first that recognises a credential decides: it resolves the caller
//! or the request is refused; a later provider never gets a second try at a credential that failed. An empty
//! chain refuses everyone. A credential that no provider recognises is refused too, not downgraded to
//! `anonymous` (RFC 6750 section 3.1, `invalid_token`).

pub mod anonymous;
pub mod api_key;
pub mod basic;
pub mod certificate;
mod credentials;
pub mod jwt;
pub mod mtls;
pub mod oidc;
pub mod workload;

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::{AuthMethod, Caller};

use anonymous::Anonymous;
use api_key::ApiKeys;
use basic::Basic;
pub use credentials::{Credentials, Forwarded, KeptCredentials, Presented, Resource};
use mtls::Mtls;
use oidc::Oidc;
use workload::Workload;

/// The providers of one scope, in order.
#[derive(Debug, Default)]
pub struct IdentityChain {
    providers: Vec<IdentityProvider>,
}

impl IdentityChain {
    /// Builds a chain.
    ///
    /// # Errors
    /// When `identity.anonymous` is not the last provider: what follows it would never be asked.
    pub fn new(providers: Vec<IdentityProvider>) -> Result<Self, ChainError> {
        let anonymous =
            providers.iter().position(|provider| matches!(provider, IdentityProvider::Anonymous(_)));
        match anonymous {
            Some(index) if index + 1 != providers.len() => Err(ChainError::AnonymousNotLast { index }),
            _ => Ok(Self { providers }),
        }
    }

    /// Begins what the providers do in the background: in force is what they belong to. It takes a runtime that lasts as long as the
    /// process; it may be called again.
    pub fn start(&self) {
        for provider in &self.providers {
            match provider {
                IdentityProvider::Mtls(mtls) => mtls.start(),
                IdentityProvider::Oidc(oidc) => oidc.start(),
                IdentityProvider::Workload(workload) => workload.start(),
                IdentityProvider::ApiKey(_) | IdentityProvider::Basic(_) | IdentityProvider::Anonymous(_) => {
                }
            }
        }
    }

    /// Finds the caller. What is known already is answered without waiting.
    ///
    /// # Errors
    /// When nobody vouches for one. The client is told no more than the kind of the refusal; the code is for the operator.
    pub async fn identify(
        &self,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Identified, Refusal> {
        // RFC 6750 section 3.1: more than one method, or one of them twice, is a malformed request.
        if matches!(credentials.authorization, Presented::Repeated) && self.oidc().next().is_some() {
            return Err(Refusal::Malformed { provider: oidc::ID, code: "repeated" });
        }
        let alone = self.providers.len() == 1;
        for provider in &self.providers {
            let outcome = match provider {
                IdentityProvider::ApiKey(keys) => keys.resolve(credentials, now),
                IdentityProvider::Basic(users) => users.resolve(credentials, now).await,
                IdentityProvider::Mtls(mtls) => mtls.resolve(credentials, now),
                IdentityProvider::Workload(workload) => workload.resolve(credentials, now),
                IdentityProvider::Oidc(oidc) => oidc.resolve(credentials, now).await,
                IdentityProvider::Anonymous(anonymous) if alone || credentials.is_empty() => {
                    anonymous.resolve()
                }
                IdentityProvider::Anonymous(_) => Outcome::Absent,
            };
            match outcome {
                Outcome::Resolved { caller, credential } => {
                    return Ok(Identified { caller, credential, provider: provider.id() });
                }
                Outcome::Absent => {}
                Outcome::Invalid(code) => return Err(Refusal::Invalid { provider: provider.id(), code }),
                Outcome::Malformed(code) => return Err(Refusal::Malformed { provider: provider.id(), code }),
                Outcome::Insufficient { scope } => {
                    return Err(Refusal::Insufficient { provider: provider.id(), scope });
                }
                Outcome::Foreign(code) => return Err(Refusal::Foreign { provider: provider.id(), code }),
                Outcome::Unavailable(code) => {
                    return Err(Refusal::Unavailable { provider: provider.id(), code });
                }
            }
        }
        if credentials.is_empty() {
            Err(Refusal::Missing)
        } else {
            Err(Refusal::Invalid { provider: "identity", code: "unrecognized" })
        }
    }

    /// Its providers, in order.
    pub fn providers(&self) -> &[IdentityProvider] {
        &self.providers
    }

    /// The providers that make its endpoints OAuth resources.
    pub fn oidc(&self) -> impl Iterator<Item = &Oidc> {
        self.providers.iter().filter_map(|provider| match provider {
            IdentityProvider::Oidc(oidc) => Some(oidc),
            _ => None,
        })
    }

    /// Whether the chain has no provider, and so refuses everyone.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }
}

/// Every built-in identity provider.
#[derive(Debug)]
#[non_exhaustive]
pub enum IdentityProvider {
    /// `identity.api-key`.
    ApiKey(ApiKeys),
    /// `identity.basic`.
    Basic(Basic),
    /// `identity.mtls`.
    Mtls(Mtls),
    /// `identity.oidc`.
    Oidc(Oidc),
    /// `identity.workload`.
    Workload(Workload),
    /// `identity.anonymous`.
    Anonymous(Anonymous),
}

impl IdentityProvider {
    /// The built-in's id.
    pub fn id(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => api_key::ID,
            Self::Basic(_) => basic::ID,
            Self::Mtls(_) => mtls::ID,
            Self::Oidc(_) => oidc::ID,
            Self::Workload(_) => workload::ID,
            Self::Anonymous(_) => anonymous::ID,
        }
    }
}

/// What one provider says of a request's credentials.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The caller is known: the chain stops.
    Resolved {
        /// The caller, built when the revision was loaded.
        caller: Arc<Caller>,
        /// The id of the credential, where it has one.
        credential: Option<Arc<str>>,
    },
    /// Nothing here for this provider: the chain goes on.
    Absent,
    /// A credential for this provider that does not hold: the chain stops. A stable word, for the operator.
    Invalid(&'static str),
    /// What is presented has no form that any provider could judge (RFC 6750 section 3.1, `invalid_request`).
    Malformed(&'static str),
    /// The credential holds, but carries too small a scope.
    Insufficient {
        /// What it takes: scope tokens, separated by spaces.
        scope: Arc<str>,
    },
    /// The credential holds, but is another tenant's.
    Foreign(&'static str),
    /// The credential cannot be judged now.
    Unavailable(&'static str),
}

/// A caller whom a provider has vouched for. Only a chain makes one.
#[derive(Debug, Clone)]
pub struct Identified {
    caller: Arc<Caller>,
    credential: Option<Arc<str>>,
    provider: &'static str,
}

impl Identified {
    /// The caller.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The id of the credential (an API key's id), for audit rows. Never a secret.
    pub fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    /// The provider that vouched, such as `identity.api-key`.
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// The method of the proof.
    pub fn auth_method(&self) -> AuthMethod {
        self.caller.auth_method
    }
}

/// Why a request has no caller. The client never gets the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credential was presented, and the scope is not public: 401.
    #[error("the request presents no credential")]
    Missing,
    /// A credential was presented that does not hold: 401.
    #[error("`{provider}` refused the credential: {code}")]
    Invalid {
        /// Who refused: a provider's id, or `identity` when none recognised the credential.
        provider: &'static str,
        /// A stable word for logs, metrics and audit rows.
        code: &'static str,
    },
    /// What was presented is no credential: 400.
    #[error("`{provider}` cannot read the credential: {code}")]
    Malformed {
        /// Who refused.
        provider: &'static str,
        /// A stable word.
        code: &'static str,
    },
    /// The credential holds, but a wider scope is needed: 403.
    #[error("`{provider}` needs the scope `{scope}`")]
    Insufficient {
        /// Who refused.
        provider: &'static str,
        /// What it takes: scope tokens, separated by spaces.
        scope: Arc<str>,
    },
    /// The credential is another tenant's: 403.
    #[error("`{provider}` refused the credential of another tenant: {code}")]
    Foreign {
        /// Who refused.
        provider: &'static str,
        /// A stable word.
        code: &'static str,
    },
    /// The credential cannot be judged now: 503.
    #[error("`{provider}` cannot judge the credential now: {code}")]
    Unavailable {
        /// Who cannot.
        provider: &'static str,
        /// A stable word.
        code: &'static str,
    },
}

impl Refusal {
    /// The stable word for logs, metrics and audit rows.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Insufficient { .. } => "insufficient_scope",
            Self::Invalid { code, .. }
            | Self::Malformed { code, .. }
            | Self::Foreign { code, .. }
            | Self::Unavailable { code, .. } => code,
        }
    }
}

/// Why providers make no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A provider follows `identity.anonymous`.
    #[error("`identity.anonymous` admits everyone, so it must be the last identity provider")]
    AnonymousNotLast {
        /// Its place among the identity providers.
        index: usize,
    },
}

#[cfg(test)]
mod tests;
