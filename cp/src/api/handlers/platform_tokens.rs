//! Tokens of the service's own administrators.
//!
//! They are of no organization, so what is done with them is in no audit chain: it is in the log.

use http::StatusCode;
use mcpg_cp_api::{CreatePlatformToken, Id, NewPlatformToken, PageQuery, PlatformToken, ProblemCode};

use super::super::call::CallerCall;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{id, listed, page, time};
use crate::sign_in::token::TokenKind;
use crate::store::{self, TokenId};

const SECONDS_DEFAULT: u32 = 90 * 24 * 60 * 60;
const SECONDS: std::ops::RangeInclusive<u32> = 60..=31_622_400;

fn platform_token(token: store::PlatformToken) -> Result<PlatformToken, Refused> {
    Ok(PlatformToken {
        id: id(&token.id)?,
        name: token.name.try_into().map_err(|_| Refused::internal("a platform token's name"))?,
        expires_at: token.expires_at.map(time),
        revoked_at: token.revoked_at.map(time),
        created_at: time(token.created_at),
    })
}

/// `GET /v1/platform-tokens`
pub async fn list(call: CallerCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let found = call.platform.platform_tokens(&page).await?;
    Ok(Reply::ok(&listed(found, platform_token)?))
}

/// `POST /v1/platform-tokens`
pub async fn create(call: CallerCall) -> Result<Reply, Refused> {
    let new: CreatePlatformToken = call.input.body()?;
    let seconds = new.expires_in_seconds.unwrap_or(SECONDS_DEFAULT);
    if !SECONDS.contains(&seconds) {
        let detail = "use a minute to a year, in seconds";
        return Err(Refused::field(ProblemCode::Invalid, "/expires_in_seconds", detail));
    }
    let token = call.service.token(TokenKind::Platform);
    let stored = store::NewPlatformToken {
        id: Some(token.id().as_str().parse().map_err(|_| Refused::internal("a token's id"))?),
        name: new.name.to_string(),
        hash: token.hash(&call.service.token_key),
        expires_at: Some(call.input.now.saturating_add(i64::from(seconds) * 1000)),
    };
    let made = platform_token(call.platform.create_platform_token(stored).await?)?;
    tracing::info!(actor = %call.caller.actor, token = %made.id, "a platform token was made");
    Ok(Reply::json(
        StatusCode::CREATED,
        &NewPlatformToken { token: token.reveal().to_owned(), resource: made },
    ))
}

/// `DELETE /v1/platform-tokens/{id}`. Nobody revokes what they hold, so that somebody is left who can get in.
pub async fn revoke(call: CallerCall) -> Result<Reply, Refused> {
    let wanted: Id = call.input.parameter("id")?;
    let wanted: TokenId = wanted.as_str().parse().map_err(|_| Refused::not_found())?;
    if wanted == call.caller.token {
        let detail = "this is the token that asks: revoke it with another one, so that somebody is left who can get in";
        return Err(Refused::new(ProblemCode::State, detail));
    }
    call.platform.revoke_platform_token(&wanted).await?;
    tracing::info!(actor = %call.caller.actor, token = %wanted, "a platform token was revoked");
    Ok(Reply::no_content())
}
