//! The gateway's own credentials for an upstream: tokens from an authorization server.
//!
//! Either one token for the gateway itself (client credentials, RFC 6749 section 4.4), or one for each caller in exchange for
//! the caller's own (RFC 8693). Tokens are kept until shortly before they expire, and replaced in the background before
//! that. A caller's own token goes to the authorization server and nowhere else.
//!
//! INVARIANTS:
//! - A token that was got for one caller's token serves that token only.
//! - No token is used beyond its life, or beyond the life of the token that it was got for, where that is known.
//! - At most one request for the same token is under way, and after a failure none for a while.
//! - Only tokens that stage 3 has verified as such are exchanged: an API key is not, whatever header it came in.

mod answer;
mod endpoint;
mod exchange;
mod form;
mod slot;

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use tokio::time::Instant;

pub use answer::{FetchError, Fetched, Granted};
pub use endpoint::{Client, HttpTokenEndpoint, TokenEndpoint};
pub use form::Form;

use self::exchange::{PerCaller, Subject};
use self::slot::Slot;
use super::{OnBehalf, UpstreamError};

/// Where a binding's tokens come from, with those that are in force.
pub struct Credentials<E = HttpTokenEndpoint> {
    endpoint: Arc<E>,
    /// The same for every token.
    request: Form,
    tokens: Tokens,
}

/// What is asked for, as configured.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How a token is got.
    pub grant: mcpg_config::Grant,
    /// Names with blanks between them.
    pub scope: Option<String>,
    /// For whom the token shall be.
    pub audience: Vec<String>,
    /// For what it shall be (RFC 8707).
    pub resource: Vec<String>,
}

enum Tokens {
    /// One for all.
    Own(Arc<Slot>),
    /// One for each caller.
    PerCaller(PerCaller),
}

impl<E: TokenEndpoint> Credentials<E> {
    /// Credentials without tokens yet.
    pub fn new(endpoint: Arc<E>, wanted: &Wanted) -> Self {
        let mut request = Form::default();
        let tokens = match &wanted.grant {
            mcpg_config::Grant::ClientCredentials => {
                request.add("grant_type", b"client_credentials");
                Tokens::Own(Arc::default())
            }
            mcpg_config::Grant::TokenExchange { subject_token_type, requested_token_type } => {
                request.add("grant_type", exchange::GRANT_TYPE);
                request.add("subject_token_type", subject_token_type.as_bytes());
                if let Some(requested) = requested_token_type {
                    request.add("requested_token_type", requested.as_bytes());
                }
                Tokens::PerCaller(PerCaller::default())
            }
        };
        if let Some(scope) = &wanted.scope {
            request.add("scope", scope.as_bytes());
        }
        wanted.audience.iter().for_each(|audience| request.add("audience", audience.as_bytes()));
        wanted.resource.iter().for_each(|resource| request.add("resource", resource.as_bytes()));
        Self { endpoint, request, tokens }
    }

    /// The value of `Authorization` for a request.
    ///
    /// # Errors
    /// When there is no token for this caller.
    pub async fn authorization(&self, on_behalf: &OnBehalf<'_>) -> Result<HeaderValue, UpstreamError> {
        let found = match &self.tokens {
            Tokens::Own(slot) => slot.obtain(|| self.fetch(None)).await,
            Tokens::PerCaller(tokens) => {
                let subject = Subject::of(on_behalf, SystemTime::now())
                    .map_err(|error| UpstreamError::Credentials(error.to_string().into()))?;
                tokens.slot(&subject).obtain(|| self.fetch(Some(&subject))).await
            }
        };
        found.map_err(|error| UpstreamError::Credentials(error.to_string().into()))
    }

    /// Notes that the upstream has refused a token (401). True if asking again with another may help: the token is not in force
    /// any more, or was not new and has now been dropped.
    pub fn refused(&self, on_behalf: &OnBehalf<'_>, authorization: &HeaderValue) -> bool {
        let slot = match &self.tokens {
            Tokens::Own(slot) => Some(Arc::clone(slot)),
            Tokens::PerCaller(tokens) => {
                Subject::of(on_behalf, SystemTime::now()).ok().and_then(|subject| tokens.known(&subject))
            }
        };
        slot.is_some_and(|slot| slot.refused(authorization, Instant::now()))
    }

    /// Where tokens come from.
    pub fn endpoint(&self) -> &E {
        &self.endpoint
    }

    /// Drops tokens that have expired.
    pub fn sweep(&self) {
        if let Tokens::PerCaller(tokens) = &self.tokens {
            tokens.sweep(Instant::now());
        }
    }

    /// One request for a token, which does not end with the request that needs it: others may wait for it too.
    fn fetch(&self, subject: Option<&Subject<'_>>) -> impl Future<Output = Fetched> + Send + use<E> {
        let endpoint = Arc::clone(&self.endpoint);
        let mut form = self.request.clone();
        if let Some(subject) = subject {
            form.add("subject_token", subject.token);
        }
        let lifetime_max = subject.map(|subject| subject.lifetime_max);
        async move {
            let granted = endpoint.fetch(form).await?;
            Ok(match lifetime_max {
                Some(lifetime_max) => granted.within(lifetime_max),
                None => granted,
            })
        }
    }
}

#[cfg(test)]
mod tests;
