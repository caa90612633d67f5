//! The token endpoint of an authorization server.
//!
//! One request, one bounded answer. Redirects are not followed, and nothing is sent in clear text to another machine.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::answer::{self, ANSWER_BYTES_MAX};
use super::form::{self, Form};
use super::{FetchError, Fetched};
use crate::metrics::TokenMetrics;
use crate::upstream::{HttpUpstream, Outgoing, UpstreamError, Verb, Whole};

/// How long one request may take in all.
const FETCH_TIME_MAX: Duration = Duration::from_secs(10);

/// Where tokens come from.
pub trait TokenEndpoint: Send + Sync + 'static {
    /// Asks for a token. The gateway's own proof of who it is is added.
    fn fetch(&self, form: Form) -> impl Future<Output = Fetched> + Send;
}

/// A token endpoint.
pub struct HttpTokenEndpoint {
    /// How it is reached.
    pub http: HttpUpstream,
    /// How the gateway proves who it is.
    pub client: Client,
    /// What is counted.
    pub metrics: TokenMetrics,
}

/// How the gateway proves who it is (RFC 6749 section 2.3.1).
pub struct Client(Proof);

enum Proof {
    /// The value of `Authorization`.
    Header(HeaderValue),
    /// Fields of the form.
    Fields { id: Zeroizing<Vec<u8>>, secret: Zeroizing<Vec<u8>> },
}

impl Client {
    /// Proof in the `Authorization` header. None if the values fit in no header.
    pub fn basic(id: &[u8], secret: &[u8]) -> Option<Self> {
        let mut pair = Zeroizing::new(Vec::with_capacity(3 * (id.len() + secret.len()) + 1));
        form::encode(&mut pair, id);
        pair.push(b':');
        form::encode(&mut pair, secret);
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_slice()));
        let value = Zeroizing::new([b"Basic ", encoded.as_bytes()].concat());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).ok()?;
        value.set_sensitive(true);
        Some(Self(Proof::Header(value)))
    }

    /// Proof in the body.
    pub fn post(id: &[u8], secret: &[u8]) -> Self {
        Self(Proof::Fields { id: Zeroizing::new(id.to_vec()), secret: Zeroizing::new(secret.to_vec()) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(..)")
    }
}

impl TokenEndpoint for HttpTokenEndpoint {
    async fn fetch(&self, form: Form) -> Fetched {
        let fetched = timeout(FETCH_TIME_MAX, self.post(form)).await.unwrap_or(Err(FetchError::Timeout));
        self.metrics.fetched(fetched.as_ref().map_or_else(FetchError::word, |_| "granted"));
        if let Err(error) = &fetched {
            tracing::warn!(binding = self.metrics.binding(), %error, "no token for the upstream");
        }
        fetched
    }
}

impl HttpTokenEndpoint {
    async fn post(&self, mut form: Form) -> Fetched {
        if !self.http.peer.needs_proof() && !self.http.is_local() {
            let reason = "its address is another machine's, and `token_url` is not `https`";
            return Err(FetchError::Unavailable(reason.into()));
        }
        let mut headers = vec![
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ];
        match &self.client.0 {
            Proof::Header(authorization) => headers.push((AUTHORIZATION, authorization.clone())),
            Proof::Fields { id, secret } => {
                form.add("client_id", id);
                form.add("client_secret", secret);
            }
        }
        let outgoing = Outgoing {
            verb: Verb::Post,
            headers,
            body: form.into_body(),
            // Asking twice does no more than asking once.
            repeatable: true,
            lasting: false,
            aside: false,
        };
        let Whole { status, headers, body } =
            self.http.fetch(&outgoing, ANSWER_BYTES_MAX).await.map_err(unreachable)?;
        let body = Zeroizing::new(Vec::from(body));
        let media = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        answer::read(status, media, &body)
    }
}

fn unreachable(error: UpstreamError) -> FetchError {
    match error {
        UpstreamError::Timeout { .. } => FetchError::Timeout,
        UpstreamError::TooLarge => FetchError::Invalid("is too large"),
        UpstreamError::Unavailable { reason, .. } | UpstreamError::Invalid(reason) => {
            FetchError::Unavailable(reason)
        }
        error => FetchError::Unavailable(error.to_string().into()),
    }
}

#[cfg(test)]
mod tests;
