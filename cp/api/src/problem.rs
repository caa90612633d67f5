//! What the API answers instead of what was asked for (RFC 9457), and the one table of reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem: `/problems/` and the code, which does not change.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What is wrong with this request, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request's id, also in `x-request-id` and in the log. A problem that must not differ between two requests has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Where in the request, if it is its content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One mistake in the content of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or `?name` for a query parameter, or the name of a header.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $status:literal $code:literal $title:literal;)+) => {
        /// The kinds of problem, each with its status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemCode {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable word: the last part of [`Problem::kind`].
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The kind in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    /// The content cannot be read as what it should be.
    Malformed 400 "malformed" "the request cannot be read";
    /// A query parameter that does not exist or has no such value.
    Query 400 "query" "a query parameter is wrong";
    /// A header that has no such value.
    Header 400 "header" "a header is wrong";
    /// The permission does not apply to that level of the tree.
    WrongLevel 400 "wrong-level" "this does not apply there";
    /// No credential, or one that does not hold.
    Unauthenticated 401 "unauthenticated" "a valid token is needed";
    /// The caller's role is too low.
    Forbidden 403 "forbidden" "the role is not enough";
    /// The licence does not include it.
    Tier 403 "tier" "the licence does not include this";
    /// There is no such thing, or none for this caller.
    NotFound 404 "not-found" "not found";
    /// The path exists, with other methods.
    Method 405 "method" "the method is not allowed here";
    /// Only media types that the client did not name can be had.
    NotAcceptable 406 "not-acceptable" "no accepted media type can be had";
    /// The client took too long.
    Timeout 408 "timeout" "the request took too long";
    /// A thing of that name exists.
    Exists 409 "exists" "this exists already";
    /// Others depend on it.
    InUse 409 "in-use" "others depend on this";
    /// Not possible in the state that the thing is in.
    State 409 "state" "not in this state";
    /// A request with this idempotency key is being worked on.
    InProgress 409 "in-progress" "the same request is under way";
    /// The answer to this idempotency key had a secret, and is not kept.
    ShownOnce 409 "shown-once" "the answer was shown once";
    /// The thing has changed since it was read.
    Precondition 412 "precondition" "the precondition does not hold";
    /// The body is too long.
    TooLarge 413 "too-large" "the request is too large";
    /// The target is too long.
    UriTooLong 414 "uri-too-long" "the request's target is too long";
    /// The body's media type is not understood.
    MediaType 415 "media-type" "the media type is not supported";
    /// The host of the request is none of the service's.
    Misdirected 421 "misdirected" "this host is not served here";
    /// The content can be read and cannot be accepted.
    Invalid 422 "invalid" "the content cannot be accepted";
    /// The idempotency key was used for another request.
    KeyReused 422 "key-reused" "the idempotency key was used for another request";
    /// The configuration would not be accepted by a gateway.
    Refused 422 "refused" "a gateway would refuse this";
    /// `If-Match` or `If-None-Match` is needed.
    PreconditionRequired 428 "precondition-required" "a precondition is needed";
    /// Too many requests.
    TooMany 429 "too-many" "too many requests";
    /// The headers are too long.
    HeadersTooLarge 431 "headers-too-large" "the request's headers are too large";
    /// A fault of the service.
    Internal 500 "internal" "the control plane has failed";
    /// Not in this release or configuration.
    NotImplemented 501 "not-implemented" "not available here";
    /// The tenant's identity provider did not do its part.
    IdentityProvider 502 "identity-provider" "the identity provider has failed";
    /// The database or the service is not ready.
    Unavailable 503 "unavailable" "not available at the moment";
}

impl ProblemCode {
    /// The URL path that names the kind.
    pub fn url(self) -> String {
        format!("/problems/{}", self.as_str())
    }

    /// A problem of the kind, with nothing particular in it.
    pub fn problem(self) -> Problem {
        Problem {
            kind: self.url(),
            title: self.title().to_owned(),
            status: self.status(),
            detail: None,
            instance: None,
            errors: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_their_statuses_are_errors() {
        let codes: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        assert!(ProblemCode::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn a_problem_says_only_what_it_has() {
        let json = serde_json::to_string(&ProblemCode::NotFound.problem()).unwrap();
        assert_eq!(json, r#"{"type":"/problems/not-found","title":"not found","status":404}"#);
    }
}
