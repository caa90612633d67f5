//! Signing in with an organization's OpenID Connect provider: the code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636).
//!
//! INVARIANTS:
//! - The provider is a tenant's choice, so everything it names is dialled through the guard as a stranger's: public addresses, and what the
//!   operator allows.
//! - A member is believed by an ID token of exactly that issuer for exactly that client, with the nonce of this sign-in, and an address that the
//!   provider says is verified, in a domain of the organization. Anything else is no member.
//! - A sign-in ends once, by whoever has the verifier that its beginner hashed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, header};
use mcpg_cp_api::{CodeVerifier, Domain, Member, ProblemCode, SingleSignOn};
use mcpg_filters::identity::jwt::{Algorithm, Algorithms, Claims, Jwks, KeyUse, Tolerance, Unverified};
use mcpg_filters::net::{Bounds, HttpUrl, Request, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::refused::Refused;
use crate::api::service::Service;

const DOMAINS_MAX: usize = 20;
const SKEW: Duration = Duration::from_secs(60);
const AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// Checks what an organization says of its provider, before it is kept.
///
/// # Errors
/// What is wrong with it.
pub fn check(sign_on: &SingleSignOn) -> Result<(), Refused> {
    let wrong = |member: &str, detail: &str| {
        Refused::field(ProblemCode::Invalid, format!("/single_sign_on/{member}"), detail)
    };
    if sign_on.issuer.as_str().parse::<HttpUrl>().is_err() || sign_on.issuer.as_str().contains(['?', '#']) {
        return Err(wrong("issuer", "use the issuer's URL, without query and fragment"));
    }
    if !(1..=DOMAINS_MAX).contains(&sign_on.domains.len()) {
        return Err(wrong("domains", "name 1 to 20 domains"));
    }
    Ok(())
}

/// What a sign-in under way is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The provider, as it was when the sign-in began.
    pub issuer: String,
    /// The client.
    pub client_id: String,
    /// What the ID token must have.
    pub nonce: String,
    /// Where the browser returns to.
    pub redirect_uri: String,
    /// The hash of the beginner's verifier.
    pub code_challenge: String,
}

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// The provider's page for a sign-in.
///
/// # Errors
/// When the provider does not do its part.
pub async fn authorization_url(service: &Service, begun: &Begun, state: &str) -> Result<String, Refused> {
    let discovery = discover(service, &begun.issuer).await?;
    let parsed = discovery.authorization_endpoint.parse::<HttpUrl>();
    let mut url = parsed
        .ok()
        .and_then(|url| url::Url::parse(url.as_str()).ok())
        .ok_or_else(|| provider("its authorization endpoint is no URL"))?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &begun.client_id)
        .append_pair("redirect_uri", &begun.redirect_uri)
        .append_pair("scope", "openid email")
        .append_pair("state", state)
        .append_pair("nonce", &begun.nonce)
        .append_pair("code_challenge", &begun.code_challenge)
        .append_pair("code_challenge_method", "S256");
    Ok(url.into())
}

/// Whether a verifier is the one that was hashed.
pub fn fits(begun: &Begun, verifier: &CodeVerifier) -> bool {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_str())) == begun.code_challenge
}

/// Exchanges a code for the member that the provider vouches for.
///
/// # Errors
/// When the provider does not do its part, or vouches for nobody of the organization.
pub async fn member(
    service: &Service,
    begun: &Begun,
    domains: &[Domain],
    code: &str,
    verifier: &CodeVerifier,
    now_ms: i64,
) -> Result<Member, Refused> {
    let discovery = discover(service, &begun.issuer).await?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &begun.redirect_uri)
        .append_pair("client_id", &begun.client_id)
        .append_pair("code_verifier", verifier.as_str())
        .finish();
    let request = Request::post("application/x-www-form-urlencoded", form);
    let tokens: Tokens = fetch(service, &discovery.token_endpoint, request).await?;
    let keys = fetch_bytes(service, &discovery.jwks_uri, Request::get()).await?;
    let keys = Jwks::parse(&keys, KeyUse::Signature).map_err(|error| provider(&error.to_string()))?;
    let claims = verified(&tokens.id_token, &keys, begun, now_ms)?;
    if claims.claim("email").is_some() {
        return vouched(claims.members(), domains);
    }
    // OpenID Connect Core 1.0 section 5.4: with a code, the claims of a scope come from the UserInfo endpoint.
    let (Some(endpoint), Some(token)) = (&discovery.userinfo_endpoint, &tokens.access_token) else {
        return Err(nobody("the ID token has no email, and there is no UserInfo"));
    };
    let bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| provider("its access token is no header"))?;
    let info: Value = fetch(service, endpoint, Request::get().with(header::AUTHORIZATION, bearer)).await?;
    // Section 5.3.2: of somebody else otherwise.
    if info.get("sub").and_then(Value::as_str) != claims.subject() {
        return Err(nobody("UserInfo is of another subject"));
    }
    vouched(info.as_object().ok_or_else(|| provider("its UserInfo is no object"))?, domains)
}

/// The claims of an ID token that is for this sign-in (section 3.1.3.7).
fn verified(token: &str, keys: &Jwks, begun: &Begun, now_ms: i64) -> Result<Claims, Refused> {
    let algorithms: Algorithms = Algorithm::ALL.into_iter().collect();
    let unverified = Unverified::parse(token.as_bytes()).map_err(|error| nobody(&error.to_string()))?;
    let claims = unverified.verify(keys, algorithms).map_err(|error| nobody(&error.to_string()))?;
    if claims.issuer() != Some(begun.issuer.as_str()) {
        return Err(nobody("the ID token is of another issuer"));
    }
    let audiences: Vec<&str> = claims.audiences().collect();
    let azp = claims.text("azp");
    if audiences != [begun.client_id.as_str()] || azp.is_some_and(|azp| azp != begun.client_id) {
        return Err(nobody("the ID token is for another client"));
    }
    if claims.text("nonce") != Some(begun.nonce.as_str()) {
        return Err(nobody("the ID token is of another sign-in"));
    }
    if claims.subject().is_none() {
        return Err(nobody("the ID token has no subject"));
    }
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    let now: SystemTime = now;
    let tolerance = Tolerance { clock_skew: SKEW, age_max: Some(AGE_MAX) };
    claims.times().check(now, tolerance).map_err(|error| nobody(&error.to_string()))?;
    Ok(claims)
}

/// The member by the address that the provider has verified, in a domain of the organization.
fn vouched(claims: &serde_json::Map<String, Value>, domains: &[Domain]) -> Result<Member, Refused> {
    if claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(nobody("the address is not verified"));
    }
    let email = claims.get("email").and_then(Value::as_str).ok_or_else(|| nobody("there is no address"))?;
    let member: Member = email
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| nobody("the address is not one that a member can have"))?;
    if domains.iter().any(|domain| domain.as_str() == member.domain()) {
        Ok(member)
    } else {
        Err(nobody("the address is in no domain of the organization"))
    }
}

async fn discover(service: &Service, issuer: &str) -> Result<Discovery, Refused> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let discovery: Discovery = fetch(service, &url, Request::get()).await?;
    // OpenID Connect Discovery 1.0 section 4.3: exactly.
    if discovery.issuer != issuer {
        return Err(provider("its discovery document is another issuer's"));
    }
    Ok(discovery)
}

async fn fetch<T: serde::de::DeserializeOwned>(
    service: &Service,
    url: &str,
    request: Request,
) -> Result<T, Refused> {
    let bytes = fetch_bytes(service, url, request).await?;
    serde_json::from_slice(&bytes).map_err(|error| provider(&error.to_string()))
}

async fn fetch_bytes(service: &Service, url: &str, request: Request) -> Result<bytes::Bytes, Refused> {
    let url: HttpUrl = url.parse().map_err(|_| provider("it names what is no URL"))?;
    let target = Target::named(url, &service.settings.allow_addresses, service.tls.clone());
    let fetched = service.http.fetch(&target, request, &Bounds::default()).await;
    let response = fetched.map_err(|error| provider(&error.to_string()))?;
    if !response.status.is_success() {
        return Err(provider(&format!("it answered {}", response.status.as_u16())));
    }
    Ok(response.body)
}

/// The provider did not do its part. What it did is for the log: it may be about the operator's network.
fn provider(cause: &str) -> Refused {
    Refused::bare(ProblemCode::IdentityProvider).with_cause(cause)
}

/// The provider vouches for nobody who is a member.
fn nobody(cause: &str) -> Refused {
    Refused::unauthenticated(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_verified_addresses_of_the_domain_are_members() {
        let domains: Vec<Domain> = vec!["acme.com".parse().unwrap()];
        let check = |claims: Value, expected: Option<&str>| {
            let member = vouched(claims.as_object().unwrap(), &domains).ok();
            assert_eq!(member.map(|member| member.to_string()).as_deref(), expected, "{claims}");
        };
        check(json!({ "email": "alice@acme.com", "email_verified": true }), Some("alice@acme.com"));
        check(json!({ "email": "Alice@ACME.com", "email_verified": true }), Some("alice@acme.com"));
        for claims in [
            json!({ "email": "alice@acme.com" }),
            json!({ "email": "alice@acme.com", "email_verified": false }),
            json!({ "email": "alice@acme.com", "email_verified": "true" }),
            json!({ "email": "alice@evil.com", "email_verified": true }),
            json!({ "email": "alice@sub.acme.com", "email_verified": true }),
            json!({ "email": "alice@evil.com@acme.com", "email_verified": true }),
            json!({ "email": "alice@acme.com\n", "email_verified": true }),
            json!({ "email": ["alice@acme.com"], "email_verified": true }),
            json!({ "email_verified": true }),
        ] {
            check(claims, None);
        }
    }

    #[test]
    fn a_verifier_is_the_one_that_was_hashed() {
        // RFC 7636, appendix B.
        let begun = Begun {
            issuer: String::new(),
            client_id: String::new(),
            nonce: String::new(),
            redirect_uri: String::new(),
            code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        };
        assert!(fits(&begun, &"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".parse().unwrap()));
        assert!(!fits(&begun, &"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl".parse().unwrap()));
    }
}
