//! Identity: from the credentials of a request to its caller.
//!
//! A chain asks its providers in order. The first that recognises a credential decides: it resolves the caller
//! or the request is refused; a later provider never gets a second try at a credential that failed. An empty
//! chain refuses everyone. A credential that no provider recognises is refused too, not downgraded to
//! `anonymous` (RFC 6750 section 3.1, `invalid_token`).

pub mod anonymous;
pub mod api_key;
pub mod jwt;

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use mcpg_sdk::{AuthMethod, Caller};

use anonymous::Anonymous;
use api_key::ApiKeys;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request presents to prove its caller, borrowed from it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Credentials<'a> {
    /// The values of `Authorization`.
    pub authorization: Presented<'a>,
    /// The values of `X-API-Key`.
    pub api_key: Presented<'a>,
}

impl<'a> Credentials<'a> {
    /// Reads them from a request's headers.
    pub fn from_headers(headers: &'a HeaderMap) -> Self {
        let values = |name| headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes);
        Self { authorization: values(AUTHORIZATION).collect(), api_key: values(X_API_KEY).collect() }
    }

    /// Whether the request presents any credential at all.
    pub fn is_empty(&self) -> bool {
        matches!((self.authorization, self.api_key), (Presented::Nothing, Presented::Nothing))
    }
}

/// [`Credentials`] of their own, for a request that lasts and is identified again.
#[derive(Clone, Default)]
pub struct KeptCredentials {
    authorization: Kept,
    api_key: Kept,
}

#[derive(Clone, Default)]
enum Kept {
    #[default]
    Nothing,
    Once(mcpg_sdk::Secret),
    Repeated,
}

impl Credentials<'_> {
    /// The same, of their own.
    pub fn to_kept(&self) -> KeptCredentials {
        let keep = |presented| match presented {
            Presented::Nothing => Kept::Nothing,
            Presented::Once(value) => Kept::Once(mcpg_sdk::Secret::new(value.to_vec())),
            Presented::Repeated => Kept::Repeated,
        };
        KeptCredentials { authorization: keep(self.authorization), api_key: keep(self.api_key) }
    }
}

impl KeptCredentials {
    /// The same, borrowed.
    pub fn borrow(&self) -> Credentials<'_> {
        fn presented(kept: &Kept) -> Presented<'_> {
            match kept {
                Kept::Nothing => Presented::Nothing,
                Kept::Once(value) => Presented::Once(value.expose()),
                Kept::Repeated => Presented::Repeated,
            }
        }
        Credentials { authorization: presented(&self.authorization), api_key: presented(&self.api_key) }
    }
}

/// The values of one header that may be there once.
#[derive(Clone, Copy, Default)]
pub enum Presented<'a> {
    /// The header is not there.
    #[default]
    Nothing,
    /// Its one value.
    Once(&'a [u8]),
    /// More than one value: which of them an upstream or a log would read is unknown.
    Repeated,
}

impl<'a> FromIterator<&'a [u8]> for Presented<'a> {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => Self::Once(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Once(_) => "Once(..)",
            Self::Repeated => "Repeated",
        })
    }
}

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

    /// Finds the caller.
    ///
    /// # Errors
    /// When nobody vouches for one. The request gets 401; the code is for the operator.
    pub fn identify(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Identified, Refusal> {
        let alone = self.providers.len() == 1;
        for provider in &self.providers {
            let outcome = match provider {
                IdentityProvider::ApiKey(keys) => keys.resolve(credentials, now),
                IdentityProvider::Anonymous(anonymous) if alone || credentials.is_empty() => {
                    anonymous.resolve()
                }
                IdentityProvider::Anonymous(_) => Outcome::Absent,
            };
            match outcome {
                Outcome::Resolved { caller, credential } => {
                    return Ok(Identified { caller, credential, provider: provider.id() });
                }
                Outcome::Invalid(code) => return Err(Refusal::Invalid { provider: provider.id(), code }),
                Outcome::Absent => {}
            }
        }
        if credentials.is_empty() {
            Err(Refusal::Missing)
        } else {
            Err(Refusal::Invalid { provider: "identity", code: "unrecognized" })
        }
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
    /// `identity.anonymous`.
    Anonymous(Anonymous),
}

impl IdentityProvider {
    /// The built-in's id.
    pub fn id(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => api_key::ID,
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

/// Why a request has no caller. The client gets 401 either way, and never the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credential was presented, and the scope is not public.
    #[error("the request presents no credential")]
    Missing,
    /// A credential was presented that does not hold.
    #[error("`{provider}` refused the credential: {code}")]
    Invalid {
        /// Who refused: a provider's id, or `identity` when none recognised the credential.
        provider: &'static str,
        /// A stable word for logs, metrics and audit rows.
        code: &'static str,
    },
}

impl Refusal {
    /// The stable word for logs, metrics and audit rows.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid { code, .. } => code,
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
