//! What gateways ask: to enrol, for their revisions, and to be heard.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use http::header;
use mcpg_cp_api::{
    Acknowledgement, EnrollGateway, Enrolled, EnvironmentPath, Heartbeat, Outcome, ProblemCode,
    RevisionsQuery, enrollment_statement,
};

use super::super::call::{AgentCall, OpenCall};
use super::super::refused::Refused;
use super::super::reply::{Content, Reply};
use super::id;
use crate::agents::register::Unsaid;
use crate::agents::stream;
use crate::sign_in::token::{Token, TokenKind};
use crate::store::{self, Said, StoreError, Word};

/// How often gateways say how they are, unless their own file says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(10);
const REASON_BYTES_MAX: usize = 2000;
const VERSION_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=64;

/// `POST /v1/agent/enroll`: a token becomes a gateway.
pub async fn enroll(call: OpenCall) -> Result<Reply, Refused> {
    let request: EnrollGateway = call.input.body()?;
    let refused = |cause: &str| Refused::unauthenticated(cause.to_owned());
    let token: Token = request.token.parse().map_err(|_| refused("the text is no token"))?;
    if token.kind() != TokenKind::Enrollment {
        return Err(refused("the token is no enrollment token"));
    }
    let public_key = proven(&request).ok_or_else(|| refused("the proof does not hold"))?;
    if !VERSION_CHARACTERS.contains(&request.version.chars().count()) {
        return Err(Refused::field(ProblemCode::Invalid, "/version", "use 1 to 64 characters"));
    }
    let hash = token.hash(&call.service.token_key);
    let unknown = |error| match error {
        StoreError::NotFound => Refused::unauthenticated("the enrollment token is unknown, used, or over"),
        error => Refused::from(error),
    };
    let known = call.platform.enrollment_token(&hash).await.map_err(unknown)?;
    let actor = call.actor(&format!("enrollment:{}", known.id), "enrollment");
    let scope = call.enter(&known.org_id);
    let mut write = scope.begin(actor).await?;
    let new = store::NewGateway {
        name: request.name.to_string(),
        public_key,
        labels: super::fleet::stored_labels(request.labels)?,
        software: request.version,
    };
    let gateway = write.enroll(&hash, new).await.map_err(unknown)?;
    let (organization, environment) =
        (write.org().await?.slug, write.environment_by_id(&gateway.environment_id).await?);
    let enrolled = Enrolled {
        gateway: id(&gateway.id)?,
        environment: EnvironmentPath {
            organization,
            workspace: environment.workspace,
            environment: environment.slug,
        },
        audience: call.service.settings.audience.clone(),
        control_plane_key: URL_SAFE_NO_PAD.encode(call.service.signer.public_key()),
        heartbeat_seconds: u32::try_from(HEARTBEAT.as_secs()).unwrap_or(u32::MAX),
    };
    write.commit().await?;
    Ok(Reply::json(http::StatusCode::CREATED, &enrolled))
}

fn said_by(call: &AgentCall, word: Word) -> Said {
    Said { gateway: call.gateway.id.clone(), at: call.said_at, word }
}

/// No database keeps NUL in a text, and nobody's word is to keep others' from being written.
fn no_nul(pointer: &str, text: &str) -> Result<(), Refused> {
    if text.contains('\0') {
        return Err(Refused::field(ProblemCode::Invalid, pointer, "use no NUL"));
    }
    Ok(())
}

fn unsaid(error: &Unsaid) -> Refused {
    Refused { cause: Some(error.to_string()), ..Refused::bare(ProblemCode::Unavailable) }
}

/// The key of a gateway that has shown that it is its own.
fn proven(request: &EnrollGateway) -> Option<[u8; 32]> {
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(&request.public_key).ok()?.try_into().ok()?;
    let proof: [u8; 64] = URL_SAFE_NO_PAD.decode(&request.proof).ok()?.try_into().ok()?;
    let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())?;
    let statement = enrollment_statement(&request.token, &request.public_key);
    key.verify_strict(&statement, &Signature::from_bytes(&proof)).ok()?;
    Some(bytes)
}

/// `GET /v1/agent/revisions`: the revisions after one, as they are published.
pub async fn revisions(call: AgentCall) -> Result<Reply, Refused> {
    let query: RevisionsQuery = call.input.query()?;
    let after = i64::try_from(query.after.unwrap_or_default()).unwrap_or(i64::MAX);
    let mut reply = Reply::empty(http::StatusCode::OK).with_header(header::CONTENT_TYPE, "text/event-stream");
    let stopping = call.service.stopping.subscribe();
    reply.body = Content::Stream(stream::body(call.fleet, call.gateway, after, stopping));
    Ok(reply.with_header(http::HeaderName::from_static("x-accel-buffering"), "no"))
}

/// `POST /v1/agent/acknowledgements`: what came of a revision.
pub async fn acknowledge(call: AgentCall) -> Result<Reply, Refused> {
    let said: Acknowledgement = call.input.body()?;
    let reason = said.reason.unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX {
        return Err(Refused::field(ProblemCode::Invalid, "/reason", "use at most 2000 bytes"));
    }
    no_nul("/reason", &reason)?;
    no_nul("/digest", &said.digest)?;
    let number = i64::try_from(said.number).map_err(|_| Refused::not_found())?;
    let outcome = match said.outcome {
        Outcome::Applied => store::Outcome::Applied,
        Outcome::Rejected => store::Outcome::Rejected { reason },
    };
    let digest = said.digest.strip_prefix("blake3:").unwrap_or_default().to_owned();
    let word = Word::Made { number, digest: Some(digest.clone()), outcome };
    match call.register.note(&call.gateway.org_id, said_by(&call, word)).await {
        Ok(true) => return Ok(Reply::no_content()),
        Ok(false) | Err(Unsaid::NotFound) => {}
        Err(error @ Unsaid::Unavailable(_)) => return Err(unsaid(&error)),
    }
    // It was said before, or it is about nothing: what of it?
    let revision = call.scope.read().await?.revision_head(&call.gateway.environment_id, number).await?;
    if revision.digest != digest {
        return Err(Refused::field(
            ProblemCode::Invalid,
            "/digest",
            "the revision of that number has another digest",
        ));
    }
    Ok(Reply::no_content())
}

/// `POST /v1/agent/heartbeat`: how the gateway is.
pub async fn heartbeat(call: AgentCall) -> Result<Reply, Refused> {
    let beat: Heartbeat = call.input.body()?;
    if !VERSION_CHARACTERS.contains(&beat.version.chars().count()) {
        return Err(Refused::field(ProblemCode::Invalid, "/version", "use 1 to 64 characters"));
    }
    no_nul("/version", &beat.version)?;
    let applied = beat.applied.and_then(|number| i64::try_from(number).ok());
    let started_at = beat.started_at.unix_ms();
    let terms = beat.terms.and_then(|held| {
        Some((i64::try_from(held.version).ok()?, i64::try_from(held.revocation_list).ok()?))
    });
    let is = store::Heartbeat { started_at, software: beat.version, applied_revision: applied, terms };
    match call.register.note(&call.gateway.org_id, said_by(&call, Word::Is(is))).await {
        Ok(_) => Ok(Reply::no_content()),
        Err(Unsaid::NotFound) => Err(Refused::not_found()),
        Err(error @ Unsaid::Unavailable(_)) => Err(unsaid(&error)),
    }
}
