//! What an issuer says of itself.
//!
//! Sources: RFC 8414 sections 3 and 3.3, OpenID Connect Discovery 1.0 sections 4 and 4.3.

use serde_json::Value;

use crate::identity::jwt::json;
use crate::net::HttpUrl;

/// The part of it that is used.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    /// Where its keys are.
    pub(super) jwks_uri: HttpUrl,
    /// Where its opaque tokens are looked up.
    pub(super) introspection_endpoint: Option<HttpUrl>,
}

impl Metadata {
    /// Reads the document of an issuer.
    ///
    /// # Errors
    /// When it is another issuer's, or does not say what is needed.
    pub(super) fn parse(document: &[u8], issuer: &str) -> Result<Self, MetadataError> {
        let document = json::object(document).map_err(|_| MetadataError::Json)?;
        match document.get("issuer") {
            Some(Value::String(found)) if found == issuer => {}
            Some(Value::String(found)) => {
                return Err(MetadataError::Issuer { found: found.chars().take(200).collect() });
            }
            _ => return Err(MetadataError::Member("issuer")),
        }
        let url = |name| match document.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| MetadataError::Member(name)),
            Some(_) => Err(MetadataError::Member(name)),
        };
        Ok(Self {
            jwks_uri: url("jwks_uri")?.ok_or(MetadataError::Member("jwks_uri"))?,
            introspection_endpoint: url("introspection_endpoint")?,
        })
    }
}

/// The places where an issuer's metadata may be, in the order in which they are tried.
pub(super) fn places(issuer: &HttpUrl) -> Vec<HttpUrl> {
    let path = issuer.path_and_query().path().trim_end_matches('/');
    let references = [
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    let mut places: Vec<HttpUrl> = Vec::new();
    for place in references.iter().filter_map(|reference| issuer.join(reference).ok()) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Why a document is not the issuer's metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MetadataError {
    /// No JSON object.
    #[error("the metadata is no JSON object")]
    Json,
    /// Another issuer's.
    #[error("the metadata is that of `{found}`, which is not exactly the configured issuer")]
    Issuer {
        /// What it says.
        found: String,
    },
    /// A member that is missing or not what it must be.
    #[error("the metadata has no usable `{0}`")]
    Member(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_in_the_well_known_places() {
        for (issuer, expected) in [
            (
                "https://login.acme.com",
                vec![
                    "https://login.acme.com/.well-known/openid-configuration",
                    "https://login.acme.com/.well-known/oauth-authorization-server",
                ],
            ),
            (
                "https://login.acme.com/realms/a/",
                vec![
                    "https://login.acme.com/realms/a/.well-known/openid-configuration",
                    "https://login.acme.com/.well-known/oauth-authorization-server/realms/a",
                    "https://login.acme.com/.well-known/openid-configuration/realms/a",
                ],
            ),
        ] {
            let places = places(&issuer.parse().unwrap());
            assert_eq!(places.iter().map(HttpUrl::as_str).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn metadata_is_the_issuers_own() {
        let check = |document: &str, expected: Result<&str, MetadataError>| {
            let found = Metadata::parse(document.as_bytes(), "https://a")
                .map(|found| found.jwks_uri.as_str().to_owned());
            assert_eq!(found.as_deref().map_err(Clone::clone), expected, "{document}");
        };
        check(r#"{"issuer":"https://a","jwks_uri":"https://a/jwks"}"#, Ok("https://a/jwks"));
        for found in ["https://a/", "https://A", "http://a", "https://b"] {
            let document = format!(r#"{{"issuer":"{found}","jwks_uri":"https://a/jwks"}}"#);
            check(&document, Err(MetadataError::Issuer { found: found.to_owned() }));
        }
        check(r#"{"jwks_uri":"https://a/jwks"}"#, Err(MetadataError::Member("issuer")));
        check(r#"{"issuer":"https://a"}"#, Err(MetadataError::Member("jwks_uri")));
        check(
            r#"{"issuer":"https://a","jwks_uri":"file:///etc/passwd"}"#,
            Err(MetadataError::Member("jwks_uri")),
        );
        check(r#"{"issuer":"https://a","jwks_uri":7}"#, Err(MetadataError::Member("jwks_uri")));
        check(r#"{"issuer":"https://a","issuer":"https://b"}"#, Err(MetadataError::Json));
        check("<html>", Err(MetadataError::Json));
    }
}
