//! Who a request is from: the token in `Authorization`.
//!
//! A token's form and checksum are checked before anything is looked up, and every failure is the same 401.

use std::sync::Arc;

use http::{HeaderMap, header, request};
use mcpg_cp_api::{Actor, Grant};

use super::call::{Caller, CallerKind};
use super::refused::Refused;
use super::service::Service;
use crate::agents::assertion::{Assertion, AssertionError, Expected, SKEW};
use crate::sign_in::token::{Token, TokenKind};
use crate::store::{ApiToken, Gateway, OrgId, Platform, StoreError, TokenKind as StoredKind};

/// A caller, and the organization that the credential is of.
#[derive(Debug)]
pub struct Authenticated {
    /// Who.
    pub caller: Caller,
    /// Of which organization; an administrator of the service is of none.
    pub org: Option<OrgId>,
    /// The token, where its use is to be noted.
    pub stale: Option<ApiToken>,
}

/// A gateway, and when it signed its request.
#[derive(Debug)]
pub struct Agent {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its own clock's time, in seconds since 1970; not far from ours.
    pub said_at: i64,
}

/// How long a note of a token's last use is good enough.
const TOUCH_MS: i64 = 60 * 60 * 1000;

/// Finds out who a request is from.
///
/// # Errors
/// Why it is from nobody.
pub async fn authenticate(
    headers: &HeaderMap,
    service: &Service,
    platform: &Platform,
    now: i64,
) -> Result<Authenticated, Refused> {
    let token = presented(headers)?;
    let hash = token.hash(&service.token_key);
    match token.kind() {
        TokenKind::Api | TokenKind::Session => {
            let stored = platform.api_token(&hash).await.map_err(unknown)?;
            of_organization(&token, stored, now)
        }
        TokenKind::Platform => {
            let stored = platform.platform_token(&hash).await.map_err(unknown)?;
            let ended = stored.expires_at.is_some_and(|expires_at| expires_at <= now);
            if stored.revoked_at.is_some() || ended {
                return Err(Refused::unauthenticated("the platform token has ended"));
            }
            let actor = named(&format!("platform:{}", stored.id))?;
            let caller = Caller {
                actor,
                method: "bootstrap",
                kind: CallerKind::Platform,
                expires_at: stored.expires_at,
                token: stored.id,
            };
            Ok(Authenticated { caller, org: None, stale: None })
        }
        TokenKind::Enrollment => Err(Refused::unauthenticated("an enrollment token only enrols")),
    }
}

/// Finds out which gateway a request is from, by the assertion that it has signed for it.
///
/// # Errors
/// Why it is from none.
pub async fn authenticate_agent(
    parts: &request::Parts,
    service: &Service,
    platform: &Platform,
    now_ms: i64,
) -> Result<Agent, Refused> {
    let refused = |error: AssertionError| Refused::unauthenticated(format!("the assertion: {error}"));
    let assertion = Assertion::parse(bearer(&parts.headers)?).map_err(refused)?;
    let id = assertion.gateway().parse();
    let id = id.map_err(|_| Refused::unauthenticated("the assertion names no gateway"))?;
    let found = platform.find_gateway(&id).await.map_err(unknown)?;
    let gateway = &found.gateway;
    let now = u64::try_from(now_ms).unwrap_or_default() / 1000;
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let expected =
        Expected { audience: &service.settings.audience, method: parts.method.as_str(), path, now };
    let claims = assertion.prove(&gateway.public_key, &expected).map_err(refused)?;
    if gateway.retired_at.is_some() {
        return Err(Refused::unauthenticated("the gateway is retired"));
    }
    if !service.seen.note(id.as_str(), &claims.jti, claims.exp.saturating_add(SKEW), now) {
        return Err(Refused::unauthenticated("the assertion was used"));
    }
    platform.keep_in_mind(&found);
    Ok(Agent { gateway: found.gateway, said_at: i64::try_from(claims.iat).unwrap_or(i64::MAX) })
}

fn presented(headers: &HeaderMap) -> Result<Token, Refused> {
    bearer(headers)?
        .parse()
        .map_err(|error: crate::sign_in::token::TokenError| Refused::unauthenticated(error.to_string()))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refused::unauthenticated("there is not exactly one `Authorization`"));
    };
    let text = value.to_str().map_err(|_| Refused::unauthenticated("`Authorization` is no text"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::unauthenticated("`Authorization` is not `Bearer`"));
    }
    Ok(token)
}

fn of_organization(token: &Token, stored: ApiToken, now: i64) -> Result<Authenticated, Refused> {
    if stored.revoked_at.is_some() {
        return Err(Refused::unauthenticated("the token is revoked"));
    }
    if stored.expires_at <= now {
        return Err(Refused::unauthenticated("the token has expired"));
    }
    let (actor, method, kind) = match (stored.kind, &stored.member) {
        (StoredKind::Session, Some(member)) if token.kind() == TokenKind::Session => {
            (named(&format!("user:{member}"))?, "session", CallerKind::Member(member.clone()))
        }
        (StoredKind::Token, _) if token.kind() == TokenKind::Api => {
            let member = format!("token@{}", stored.id).parse();
            let member = member.map_err(|error| Refused::internal(format!("a token's name: {error}")))?;
            let grant = Grant { member, role: stored.role, on: stored.on.clone() };
            (named(&format!("token:{}", stored.id))?, "token", CallerKind::Program(grant))
        }
        _ => return Err(Refused::unauthenticated("the token is of another kind than the store's")),
    };
    let stale = stored.last_used_at.is_none_or(|used| now.saturating_sub(used) > TOUCH_MS);
    Ok(Authenticated {
        caller: Caller { actor, method, kind, expires_at: Some(stored.expires_at), token: stored.id.clone() },
        org: Some(stored.org_id.clone()),
        stale: stale.then_some(stored),
    })
}

fn named(actor: &str) -> Result<Actor, Refused> {
    actor.parse().map_err(|error| Refused::internal(format!("an actor: {error}")))
}

fn unknown(error: StoreError) -> Refused {
    match error {
        StoreError::NotFound => Refused::unauthenticated("the token is unknown"),
        error => error.into(),
    }
}
