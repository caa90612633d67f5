//! Stage 3: who asks. What a request presents, on its connection, for what it names; and what it is told if that will not do.

use http::request::Parts;
use mcpg_filters::identity::{self, Credentials, Identified, Resource};

use super::{Arrival, Exchange, tenant};
use crate::challenge::challenges;
use crate::connection::Connection;
use crate::refusal::Refusal;
use crate::revision::{Generation, ScopeState};

/// Finds the caller.
///
/// # Errors
/// When nobody vouches for one, with what the client can do about it.
pub(super) async fn identify<E: Exchange>(
    scope: &ScopeState,
    exchange: &E,
    generation: &Generation,
    arrival: Arrival,
) -> Result<Identified, Refusal> {
    let credentials = credentials(exchange.head(), exchange.connection(), generation);
    let identified = if has_token_in_query(exchange.head()) {
        Err(identity::Refusal::Malformed { provider: "identity", code: "token_in_query" })
    } else {
        scope.identity.identify(&credentials, arrival.wall).await
    };
    identified.map_err(|refusal| {
        let challenges = challenges(&scope.identity, &refusal, credentials.resource);
        Refusal::identity(&refusal).challenging(challenges)
    })
}

/// What a request presents, on its connection, for what it names.
pub(crate) fn credentials<'a>(
    head: &'a Parts,
    connection: Connection<'a>,
    generation: &Generation,
) -> Credentials<'a> {
    let resource = resource(head, connection, generation, head.uri.path());
    let certificate = connection.tls.and_then(|tls| tls.certificate.as_ref());
    Credentials::from_headers(&head.headers).from_peer(connection.peer, certificate).to_resource(resource)
}

/// An endpoint as the client addresses it, at the host that the request names.
pub(super) fn resource<'a>(
    head: &'a Parts,
    connection: Connection<'_>,
    generation: &Generation,
    path: &'a str,
) -> Resource<'a> {
    let is_secure = generation.is_secure(connection, &head.headers);
    Resource {
        scheme: if is_secure { "https" } else { "http" },
        authority: tenant::host(head).unwrap_or_default(),
        path,
    }
}

/// A token in a URL is in every log on its way (RFC 6750 section 5.3, OAuth 2.1 section 5.1.2).
fn has_token_in_query(head: &Parts) -> bool {
    let names = head.uri.query().into_iter().flat_map(|query| query.split(['&', ';']));
    names.map(|pair| pair.split('=').next().unwrap_or_default()).any(|name| {
        // Underscores are the only characters of it that anybody encodes.
        name.replace("%5F", "_").replace("%5f", "_") == "access_token"
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(uri: &str) -> Parts {
        Request::builder().uri(uri).body(()).unwrap().into_parts().0
    }

    #[test]
    fn tokens_in_urls_are_seen() {
        for (uri, expected) in [
            ("/mcp", false),
            ("/mcp?a=b", false),
            ("/mcp?token=access_token", false),
            ("/mcp?xaccess_token=1", false),
            ("/mcp?access_token=x", true),
            ("/mcp?access_token", true),
            ("/mcp?a=b&access_token=", true),
            ("/mcp?a;access%5Ftoken=x", true),
        ] {
            assert_eq!(has_token_in_query(&head(uri)), expected, "{uri}");
        }
    }
}
