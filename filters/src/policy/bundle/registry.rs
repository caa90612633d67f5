//! A thin client of OCI registries (distribution specification 1.1): a manifest by tag or digest, a blob by digest.
//!
//! INVARIANT: what is returned has the digest and the size that were asked for. Every byte goes through the sole dialer; the
//! password goes to the registry and to the token service that it names, over TLS or on this machine, and nowhere else.

mod challenge;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderValue};
use mcpg_sdk::Secret;
use serde::Deserialize;

use self::challenge::{Challenge, Scheme};
use super::manifest::{ACCEPT, Layer};
use super::reference::{BundleReference, ContentDigest};
use crate::net::{Bounds, FetchError, HttpClient, HttpUrl, Request, Response, Target};

/// The specification's own limit.
const MANIFEST_BYTES_MAX: usize = 4 << 20;
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Refusals have a body too, which may be longer than what was asked for.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// Registries answer blobs with the address of a store.
const REDIRECTS_MAX: usize = 3;

/// One repository of a registry, and how to get at it.
pub(super) struct Repository<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) reference: &'a BundleReference,
    /// The registry.
    pub(super) target: &'a Target,
    pub(super) login: Option<&'a Login>,
    pub(super) timeout: Duration,
}

/// As whom the gateway asks.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Secret,
}

impl Repository<'_> {
    /// A manifest, with its digest.
    pub(super) async fn manifest(
        &self,
        wanted: Option<ContentDigest>,
    ) -> Result<(ContentDigest, Bytes), RegistryError> {
        let name = wanted.map_or_else(|| self.reference.tag().to_owned(), |digest| digest.to_string());
        let body = self.ask(&format!("manifests/{name}"), Some(ACCEPT), MANIFEST_BYTES_MAX).await?;
        let digest = ContentDigest::of(&body);
        match wanted {
            Some(wanted) if wanted != digest => Err(RegistryError::Digest { wanted, found: digest }),
            _ => Ok((digest, body)),
        }
    }

    /// A layer.
    pub(super) async fn layer(&self, layer: Layer) -> Result<Bytes, RegistryError> {
        let size = usize::try_from(layer.size).unwrap_or(usize::MAX);
        let body = self.ask(&format!("blobs/{}", layer.digest), None, size).await?;
        if body.len() != size {
            return Err(RegistryError::Size { wanted: layer.size, found: body.len() });
        }
        let digest = ContentDigest::of(&body);
        if digest == layer.digest {
            return Ok(body);
        }
        Err(RegistryError::Digest { wanted: layer.digest, found: digest })
    }

    async fn ask(
        &self,
        what: &str,
        accept: Option<&'static str>,
        bytes_max: usize,
    ) -> Result<Bytes, RegistryError> {
        let url = format!("/v2/{}/{what}", self.reference.repository);
        let target = self.target.naming(self.target.url.join(&url).map_err(|_| RegistryError::Url)?);
        let bounds = self.bounds(bytes_max);
        let request = accept.iter().fold(Request::get(), |request, accept| {
            request.with(header::ACCEPT, HeaderValue::from_static(accept))
        });
        let first = self.http.fetch(&target, request.clone(), &bounds).await?;
        let answer = match first.status {
            StatusCode::UNAUTHORIZED => {
                let authorization = self.authorization(&first).await?;
                let request = request.with(header::AUTHORIZATION, authorization);
                self.http.fetch(&target, request, &bounds).await?
            }
            _ => first,
        };
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound { what: what.to_owned() }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Denied),
            status => Err(RegistryError::Status { status: status.as_u16() }),
        }
    }

    fn bounds(&self, bytes_max: usize) -> Bounds {
        Bounds {
            total: self.timeout,
            response_bytes_max: bytes_max.max(REFUSAL_BYTES_MAX),
            redirects_max: REDIRECTS_MAX,
            ..Bounds::default()
        }
    }

    /// What a registry that asks who is there wants to see.
    async fn authorization(&self, refused: &Response) -> Result<HeaderValue, RegistryError> {
        let challenges = Challenge::all(&refused.headers);
        if let Some(bearer) = challenges.iter().find(|one| one.scheme == Scheme::Bearer) {
            return self.token(bearer).await;
        }
        if challenges.iter().any(|one| one.scheme == Scheme::Basic) {
            return self.basic().ok_or(RegistryError::Denied);
        }
        Err(RegistryError::Denied)
    }

    /// A token to pull this repository, from the service that the registry names.
    async fn token(&self, challenge: &Challenge) -> Result<HeaderValue, RegistryError> {
        let realm = challenge.parameter("realm").ok_or(RegistryError::Challenge)?;
        let realm: HttpUrl = realm.parse().map_err(|_| RegistryError::Challenge)?;
        if self.target.url.is_secure() && !realm.is_secure() {
            return Err(RegistryError::Challenge);
        }
        // What is needed, whatever the registry offers.
        let scope = format!("repository:{}:pull", self.reference.repository);
        let query = query([("service", challenge.parameter("service")), ("scope", Some(&scope))]);
        let joint = if realm.as_str().contains('?') { '&' } else { '?' };
        let url = format!("{}{joint}{query}", realm.as_str());
        let target = self.target.naming(url.parse().map_err(|_| RegistryError::Challenge)?);
        let request = match self.basic() {
            None => Request::get(),
            Some(basic) => Request::get().with(header::AUTHORIZATION, basic),
        };
        let bounds = Bounds { redirects_max: 0, ..self.bounds(TOKEN_BYTES_MAX) };
        let answer = self.http.fetch(&target, request, &bounds).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(RegistryError::Denied),
            status => return Err(RegistryError::Status { status: status.as_u16() }),
        }
        let token: Token = serde_json::from_slice(&answer.body).map_err(|_| RegistryError::Token)?;
        let token = token.token.or(token.access_token).ok_or(RegistryError::Token)?;
        sensitive(&format!("Bearer {token}")).ok_or(RegistryError::Token)
    }

    fn basic(&self) -> Option<HeaderValue> {
        let login = self.login?;
        let mut pair = format!("{}:", login.username).into_bytes();
        pair.extend_from_slice(login.password.expose());
        let encoded = STANDARD.encode(&pair);
        zeroize::Zeroize::zeroize(&mut pair);
        sensitive(&format!("Basic {encoded}"))
    }
}

fn query<const N: usize>(pairs: [(&str, Option<&str>); N]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The answer of a token service (<https://distribution.github.io/distribution/spec/auth/token/>).
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// No URL.
    #[error("the reference makes no URL")]
    Url,
    /// It is not there.
    #[error("the registry has no `{what}`")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// Not for this gateway.
    #[error(
        "the registry does not let the gateway read it: `registry.username` and `registry.password` say who asks"
    )]
    Denied,
    /// An answer that is none.
    #[error("the registry answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// A demand for a token that cannot be met.
    #[error("the registry asks for a token of a service that it does not name as it must")]
    Challenge,
    /// No token.
    #[error("the token service of the registry answered without a token")]
    Token,
    /// Other bytes than asked for.
    #[error("the registry sent {found} where {wanted} was asked for")]
    Digest {
        /// What was asked for.
        wanted: ContentDigest,
        /// What came.
        found: ContentDigest,
    },
    /// More or fewer bytes.
    #[error("the registry sent {found} bytes where {wanted} were announced")]
    Size {
        /// What was announced.
        wanted: u64,
        /// What came.
        found: usize,
    },
    /// No bundle.
    #[error("{0}")]
    Manifest(String),
}

impl RegistryError {
    /// Whether it may be had later, with nothing changed: there was no answer, or one that says so.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fetch(error) => error.may_pass(),
            Self::Status { status } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}
