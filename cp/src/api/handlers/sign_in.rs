//! Signing in with the identity provider of an organization.

use mcpg_cp_api::{
    FinishSignIn, OrganizationPath, ProblemCode, Role, SignInStarted, SignedIn, SingleSignOn, StartSignIn,
    Target,
};

use super::super::call::{CallerCall, CallerKind, OpenCall};
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::time;
use crate::sign_in::oidc::{self, Begun};
use crate::sign_in::token::{TokenKind, hex};
use crate::store::{self, NewApiToken, Org, StoreError};

/// How long a person may take at the provider's page.
const SIGN_IN_MS: i64 = 10 * 60 * 1000;
const SESSION_MS: i64 = 8 * 60 * 60 * 1000;

/// `POST /v1/sign-in`
pub async fn start(call: OpenCall) -> Result<Reply, Refused> {
    let new: StartSignIn = call.input.body()?;
    let _permit = call.service.sign_ins.try_acquire().map_err(|_| Refused::bare(ProblemCode::TooMany))?;
    let org = call.platform.org_by_slug(&new.organization).await?;
    check_host(&call, &org)?;
    let sign_on = single_sign_on(&org)?;
    let (state, nonce) = (random(&call), random(&call));
    let begun = Begun {
        issuer: sign_on.issuer.to_string(),
        client_id: sign_on.client_id.to_string(),
        nonce,
        redirect_uri: new.redirect_uri.to_string(),
        code_challenge: new.code_challenge.to_string(),
    };
    let authorization_url = oidc::authorization_url(&call.service, &begun, &state).await?;
    let expires_at = call.input.now.saturating_add(SIGN_IN_MS);
    let details = serde_json::to_string(&begun).map_err(|error| Refused::internal(error.to_string()))?;
    let mut write = call.enter(&org.id).begin(call.actor("system", "sign-in")).await?;
    write.begin_sign_in(&hash(&state), &details, expires_at).await?;
    write.commit().await?;
    Ok(Reply::ok(&SignInStarted { authorization_url, state, expires_at: time(expires_at) }))
}

/// `POST /v1/sign-in/finish`
pub async fn finish(call: OpenCall) -> Result<Reply, Refused> {
    let new: FinishSignIn = call.input.body()?;
    let _permit = call.service.sign_ins.try_acquire().map_err(|_| Refused::bare(ProblemCode::TooMany))?;
    let state_hash = hash(new.state.as_str());
    let unknown = |error| match error {
        StoreError::NotFound => Refused::unauthenticated("there is no such sign-in under way"),
        error => Refused::from(error),
    };
    let found = call.platform.sign_in(&state_hash).await.map_err(unknown)?;
    let scope = call.enter(&found.org_id);
    // Taken before anything else is done with it: whatever comes of it, it is over.
    let mut write = scope.begin(call.actor("system", "sign-in")).await?;
    let taken = write.take_sign_in(&state_hash).await.map_err(unknown)?;
    let org = write.org().await?;
    write.commit().await?;
    check_host(&call, &org)?;
    let begun: Begun =
        serde_json::from_str(&taken.details).map_err(|error| Refused::internal(error.to_string()))?;
    let sign_on = single_sign_on(&org)?;
    if taken.expires_at <= call.input.now
        || sign_on.issuer.as_str() != begun.issuer
        || sign_on.client_id.as_str() != begun.client_id
    {
        return Err(Refused::unauthenticated("the sign-in is over, or the provider has changed"));
    }
    if !oidc::fits(&begun, &new.code_verifier) {
        return Err(Refused::unauthenticated("the verifier is another one"));
    }
    let (code, now) = (new.code.as_str(), call.input.now);
    let member = oidc::member(&call.service, &begun, &sign_on.domains, code, &new.code_verifier, now).await?;
    let token = call.service.token(TokenKind::Session);
    let expires_at = now.saturating_add(SESSION_MS);
    let session = NewApiToken {
        id: Some(token.id().as_str().parse().map_err(|_| Refused::internal("an id"))?),
        name: "session".to_owned(),
        hash: token.hash(&call.service.token_key),
        kind: store::TokenKind::Session,
        // What a session may do is what its member may; the token itself carries nothing.
        role: Role::Viewer,
        on: Target::Organization(OrganizationPath { organization: org.slug.clone() }),
        member: Some(member.clone()),
        expires_at,
    };
    let mut write = scope.begin(call.actor(&format!("user:{member}"), "session")).await?;
    write.create_api_token(session).await?;
    write.commit().await?;
    Ok(Reply::ok(&SignedIn { token: token.reveal().to_owned(), member, expires_at: time(expires_at) }))
}

/// `POST /v1/sign-out`: the session that asks is over.
pub async fn end(call: CallerCall) -> Result<Reply, Refused> {
    let (CallerKind::Member(_), Some(tenant)) = (&call.caller.kind, &call.tenant) else {
        let detail = "only a session ends by signing out; other tokens are revoked";
        return Err(Refused::new(ProblemCode::State, detail));
    };
    let mut write = tenant.scope.begin(call.actor()).await?;
    write.revoke_api_token(&call.caller.token).await?;
    write.commit().await?;
    Ok(Reply::no_content())
}

fn single_sign_on(org: &Org) -> Result<SingleSignOn, Refused> {
    let text = org.sso.as_deref().ok_or_else(Refused::not_found)?;
    serde_json::from_str(text).map_err(|_| Refused::internal("a single sign-on of the store cannot be read"))
}

/// On an organization's host only that organization signs in.
fn check_host(call: &OpenCall, org: &Org) -> Result<(), Refused> {
    let named = call.name.slug.as_ref().is_none_or(|slug| *slug == org.slug);
    let hosted =
        call.name.subdomain.as_ref().is_none_or(|label| Some(label.as_str()) == org.subdomain.as_deref());
    if named && hosted { Ok(()) } else { Err(Refused::not_found()) }
}

fn random(call: &OpenCall) -> String {
    hex(&[call.service.clock.random(), call.service.clock.random()].concat())
}

fn hash(state: &str) -> String {
    blake3::hash(state.as_bytes()).to_hex().to_string()
}
