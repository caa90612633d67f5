//! What a request is refused with. One table maps what went wrong inside to what a client sees.
//!
//! INVARIANT: [`Refused::not_found`] is the one refusal for what does not exist and for what the caller may not know of. It
//! has no detail and no instance, so its bytes are the same every time.

use http::{HeaderName, HeaderValue, StatusCode, header};
use mcpg_cp_api::{FieldError, PROBLEM_MEDIA_TYPE, ProblemCode};

use super::reply::Reply;
use super::request_id::RequestId;
use crate::authorization::{GrantError, Refusal};
use crate::store::{Applied, StoreError};

/// Why a request is not done.
#[derive(Debug)]
pub struct Refused {
    /// The kind.
    pub code: ProblemCode,
    /// What is wrong with this request, for a person.
    pub detail: Option<String>,
    /// Where in it.
    pub errors: Vec<FieldError>,
    /// What the log says in addition; no client sees it.
    pub cause: Option<String>,
    /// Whether what was asked for can be in force all the same.
    pub may_be_applied: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refused {
    /// A refusal of a kind, with a detail for a person.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::bare(code) }
    }

    /// A refusal of a kind, with nothing particular to say.
    pub fn bare(code: ProblemCode) -> Self {
        Self {
            code,
            detail: None,
            errors: Vec::new(),
            cause: None,
            may_be_applied: false,
            headers: Vec::new(),
        }
    }

    /// There is no such thing, or none for this caller.
    pub fn not_found() -> Self {
        Self::bare(ProblemCode::NotFound)
    }

    /// No credential, or one that does not hold: which of them it was, the log says.
    pub fn unauthenticated(cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..Self::bare(ProblemCode::Unauthenticated) }
            .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"mcpg-cp\"")
    }

    /// A fault of the service. The cause is for the log.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..Self::bare(ProblemCode::Internal) }
    }

    /// Too much to do at the moment: nothing was done, and it can be tried again.
    pub fn busy() -> Self {
        Self::new(ProblemCode::Unavailable, "too many requests at once").with_header(header::RETRY_AFTER, "1")
    }

    /// One mistake in the content.
    pub fn field(code: ProblemCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError { pointer: pointer.into(), detail: detail.into() };
        Self { errors: vec![error], ..Self::bare(code) }
    }

    /// The same with a cause for the log.
    #[must_use]
    pub fn with_cause(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    /// As it goes to the client.
    pub fn into_reply(self, request: &RequestId) -> Reply {
        let mut problem = self.code.problem();
        if self.code != ProblemCode::NotFound {
            problem.detail = self.detail;
            problem.instance = Some(request.to_string());
            problem.errors = self.errors;
        }
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Reply::json(status, &problem).with_header(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE);
        reply.headers.extend(self.headers);
        reply
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(),
            Refusal::Role { .. } => Self::new(ProblemCode::Forbidden, refusal.to_string()),
            Refusal::WrongLevel { .. } => Self::new(ProblemCode::WrongLevel, refusal.to_string()),
        }
    }
}

impl From<GrantError> for Refused {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::TooDeep { .. } => Self::field(ProblemCode::Invalid, "/on", error.to_string()),
            GrantError::Tier { .. } => Self::new(ProblemCode::Tier, error.to_string()),
        }
    }
}

impl From<StoreError> for Refused {
    /// The one table from the store's words to the API's.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Exists => Self::bare(ProblemCode::Exists),
            StoreError::InUse => Self::bare(ProblemCode::InUse),
            StoreError::VersionMismatch { .. } => Self::bare(ProblemCode::Precondition),
            StoreError::Invalid { what } => {
                Self::new(ProblemCode::Invalid, format!("{what} cannot be stored"))
            }
            StoreError::OutOfOrder { .. } | StoreError::Forked { .. } | StoreError::OtherGateway => {
                Self::new(ProblemCode::State, error.to_string())
            }
            StoreError::Contention => Self::busy(),
            StoreError::Unavailable { applied, .. } => Self {
                may_be_applied: matches!(applied, Applied::Unknown),
                cause: Some(chain(&error)),
                ..Self::bare(ProblemCode::Unavailable)
            }
            .with_header(header::RETRY_AFTER, "1"),
            _ => Self::internal(chain(&error)),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
