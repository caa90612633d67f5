//! Answers: a status, headers, a body.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those that every answer has.
    pub headers: HeaderMap,
    /// The body.
    pub body: Content,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// It comes as it is made: events, exports.
    Stream(Body),
}

impl Reply {
    /// An answer as JSON.
    pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Self { status, headers: HeaderMap::new(), body: Content::Whole(bytes.into()) }
                .with_header(header::CONTENT_TYPE, "application/json"),
            // Wire types have text keys and no floats, so this is not reached.
            Err(_) => Self::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// What was asked for, as JSON.
    pub fn ok<T: Serialize>(value: &T) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// What was made, as JSON, and where it is.
    pub fn created<T: Serialize>(location: &str, value: &T) -> Self {
        Self::json(StatusCode::CREATED, value).with_header(header::LOCATION, location)
    }

    /// No content.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Content::Whole(Bytes::new()) }
    }

    /// Done, and nothing to say.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// A text of some media type.
    pub fn text(media_type: &str, text: impl Into<Bytes>) -> Self {
        let body = Content::Whole(text.into());
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body }
            .with_header(header::CONTENT_TYPE, media_type)
    }

    /// The same with a header in place of any of that name. A value that is none is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same with an entity tag.
    #[must_use]
    pub fn with_etag(self, etag: &str) -> Self {
        let quoted = format!("\"{etag}\"");
        self.with_header(header::ETAG, &quoted)
    }

    /// As the server sends it.
    pub fn into_response(self) -> Response<Body> {
        let body = match self.body {
            Content::Whole(bytes) => Body::from(bytes),
            Content::Stream(body) => body,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
