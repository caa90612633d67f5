//! Redirects (RFC 9110 section 15.4): none unless asked for, each hop checked like the first, credentials kept at home.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use super::Target;
use crate::net::{FetchProblem, HttpUrl, Request};

/// Headers that say nothing of the asker: all that another origin gets.
const HARMLESS: &[HeaderName] = &[header::ACCEPT, header::ACCEPT_LANGUAGE];

/// A redirect, as received.
pub(super) struct Redirect {
    /// The `Location`, if it is text and there is one.
    location: Option<String>,
}

impl Redirect {
    /// The redirect that an answer is, if it is one.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let mut locations = headers.get_all(header::LOCATION).iter();
        let location = locations.next().filter(|_| locations.next().is_none());
        Some(Self { location: location.and_then(|value| value.to_str().ok()).map(str::to_owned) })
    }

    /// What to ask next, and where.
    pub(super) fn follow(
        &self,
        target: &Target,
        request: &Request,
        redirects_left: usize,
    ) -> Result<(Target, Request), FetchProblem> {
        let joined = self.location.as_deref().and_then(|location| target.url.join(location).ok());
        let refused = |reason| {
            let to =
                joined.as_ref().map_or_else(|| "something that is no URL".to_owned(), HttpUrl::to_string);
            Err(FetchProblem::Redirect { to, reason })
        };
        if redirects_left == 0 {
            return refused("and that is not followed: configure the URL where the answer is");
        }
        let Some(url) = joined.clone() else { return refused("which cannot be followed") };
        if request.method != Method::GET && request.method != Method::HEAD {
            return refused("and nothing is sent twice");
        }
        if target.url.same_origin(&url) {
            return Ok((target.naming(url), request.clone()));
        }
        if target.url.is_secure() && !url.is_secure() {
            return refused("which is not `https`");
        }
        if target.tls.is_for_one_server() {
            return refused("which is another server than the one whose certificate is configured");
        }
        let mut request = request.clone();
        let kept =
            HARMLESS.iter().filter_map(|name| Some((name.clone(), request.headers.get(name)?.clone())));
        request.headers = kept.collect();
        Ok((target.naming(url), request))
    }
}
