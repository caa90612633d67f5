//! Enrollment tokens and gateways of an environment.

use std::collections::HashMap;

use mcpg_cp_api::{
    CreateEnrollmentToken, EnrollmentToken, EnvironmentPath, Gateway, GatewayStatus, HeldTerms, Labels,
    NewEnrollmentToken, PageQuery, ProblemCode, RejectedRevision,
};

use super::super::call::TenantCall;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{actor, id, listed, page, time};
use crate::publish::{candidates, wanted};
use crate::sign_in::token::TokenKind;
use crate::store::{self, EnvironmentId, GatewayId, Refusal, RevisionHead};

const ENROLL_SECONDS_DEFAULT: u32 = 60 * 60;
const ENROLL_SECONDS: std::ops::RangeInclusive<u32> = 60..=604_800;
const LABELS_MAX: usize = 20;
/// A gateway that was not heard of for so long is offline.
const OFFLINE_MS: i64 = 60_000;

pub(super) fn labels(stored: store::Labels) -> Result<Labels, Refused> {
    let wrong = || Refused::internal("a label of the store is none");
    let label = |(name, value): (String, String)| {
        Ok((name.parse().map_err(|_| wrong())?, value.parse().map_err(|_| wrong())?))
    };
    stored.into_iter().map(label).collect()
}

/// Labels as the store keeps them.
///
/// # Errors
/// When there are too many.
pub fn stored_labels(labels: Labels) -> Result<store::Labels, Refused> {
    if labels.len() > LABELS_MAX {
        return Err(Refused::field(ProblemCode::Invalid, "/labels", "at most 20 labels"));
    }
    Ok(labels.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

fn token(token: store::EnrollmentToken, environment: &EnvironmentPath) -> Result<EnrollmentToken, Refused> {
    Ok(EnrollmentToken {
        id: id(&token.id)?,
        environment: environment.clone(),
        labels: labels(token.labels)?,
        expires_at: time(token.expires_at),
        used_by: token.gateway_id.as_ref().map(id).transpose()?,
        created_at: time(token.created_at),
        created_by: actor(&token.created_by)?,
    })
}

async fn environment(
    call: &TenantCall,
    read: &mut store::Read,
) -> Result<(EnvironmentPath, EnvironmentId), Refused> {
    let path = call.environment()?;
    let found = read.environment(&path.workspace, &path.environment).await?;
    Ok((path, found.id))
}

/// `GET …/enrollment-tokens`
pub async fn list_enrollment_tokens(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let mut read = call.read().await?;
    let (path, environment) = environment(&call, &mut read).await?;
    let found = read.enrollment_tokens(&environment, &page).await?;
    Ok(Reply::ok(&listed(found, |item| token(item, &path))?))
}

/// `POST …/enrollment-tokens`
pub async fn create_enrollment_token(call: TenantCall) -> Result<Reply, Refused> {
    let new: CreateEnrollmentToken = call.input.body()?;
    let seconds = new.expires_in_seconds.unwrap_or(ENROLL_SECONDS_DEFAULT);
    if !ENROLL_SECONDS.contains(&seconds) {
        return Err(Refused::field(ProblemCode::Invalid, "/expires_in_seconds", "use 60 to 604800"));
    }
    let made = call.service.token(TokenKind::Enrollment);
    let labels = stored_labels(new.labels)?;
    let mut write = call.begin().await?;
    let (path, environment_id) = environment(&call, &mut write).await?;
    let stored = store::NewEnrollmentToken {
        id: Some(made.id().as_str().parse().map_err(|_| Refused::internal("an id"))?),
        environment_id,
        hash: made.hash(&call.service.token_key),
        labels,
        expires_at: call.input.now.saturating_add(i64::from(seconds) * 1000),
    };
    let resource = token(write.create_enrollment_token(stored).await?, &path)?;
    let EnvironmentPath { organization, workspace, environment } = &path;
    let location = format!(
        "/v1/orgs/{organization}/workspaces/{workspace}/environments/{environment}/enrollment-tokens/{}",
        resource.id
    );
    // The gateway learns from it whom it may believe.
    let token = format!("{}.{}", made.reveal(), call.service.signer.fingerprint());
    let reply = Reply::created(&location, &NewEnrollmentToken { token, resource });
    call.finish(write, reply).await
}

/// `DELETE …/enrollment-tokens/{id}`
pub async fn delete_enrollment_token(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let mut write = call.begin().await?;
    let (_, environment) = environment(&call, &mut write).await?;
    if write.enrollment_token(&id).await?.environment_id != environment {
        return Err(Refused::not_found());
    }
    write.revoke_enrollment_token(&id).await?;
    call.finish(write, Reply::no_content()).await
}

/// What gateways of an environment are to run, and what they made of it.
struct Standing {
    candidates: Vec<RevisionHead>,
    refusals: HashMap<GatewayId, Refusal>,
    terms: Option<HeldTerms>,
}

async fn standing(
    read: &mut store::Read,
    environment: &EnvironmentId,
    gateways: &[store::Gateway],
) -> Result<Standing, Refused> {
    let candidates = candidates(read, environment).await?;
    let list = read.revocation_list_version().await?;
    let refusals = match (gateways.first(), gateways.last()) {
        (Some(first), Some(last)) => read.refusals(environment, (&first.id, &last.id)).await?,
        _ => HashMap::new(),
    };
    let terms = read.standing_terms_version().await?.map(|terms| (terms, list)).and_then(held);
    Ok(Standing { candidates, refusals, terms })
}

fn held((version, list): (i64, i64)) -> Option<HeldTerms> {
    Some(HeldTerms { version: u64::try_from(version).ok()?, revocation_list: u64::try_from(list).ok()? })
}

fn gateway(
    gateway: store::Gateway,
    path: &EnvironmentPath,
    standing: &Standing,
    now: i64,
) -> Result<Gateway, Refused> {
    let status = match gateway.last_seen_at {
        None => GatewayStatus::Enrolled,
        Some(seen) if now.saturating_sub(seen) <= OFFLINE_MS => GatewayStatus::Online,
        Some(_) => GatewayStatus::Offline,
    };
    let number = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let rejected = standing.refusals.get(&gateway.id).map(|refusal| RejectedRevision {
        number: number(refusal.number).unwrap_or_default(),
        reason: refusal.reason.clone(),
        at: time(refusal.at),
    });
    let wanted = wanted(&standing.candidates, &gateway).and_then(|head| number(head.number));
    Ok(Gateway {
        id: id(&gateway.id)?,
        environment: path.clone(),
        name: gateway.name.parse().map_err(|_| Refused::internal("a gateway's name cannot be read"))?,
        labels: labels(gateway.labels)?,
        status,
        version: Some(gateway.software),
        key_fingerprint: blake3::hash(&gateway.public_key).to_hex().to_string(),
        wanted,
        applied: gateway.applied_revision.and_then(number),
        rejected,
        wanted_terms: standing.terms,
        terms: gateway.terms.and_then(held),
        last_seen_at: gateway.last_seen_at.map(time),
        enrolled_at: time(gateway.created_at),
    })
}

/// `GET …/gateways`
pub async fn list_gateways(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let path = call.environment()?;
    let mut read = call.read().await?;
    let environment = read.environment(&path.workspace, &path.environment).await?;
    let mut found = read.gateways(&environment.id, &page).await?;
    found.items.retain(|gateway| gateway.retired_at.is_none());
    let now = call.input.now;
    let standing = standing(&mut read, &environment.id, &found.items).await?;
    Ok(Reply::ok(&listed(found, |item| gateway(item, &path, &standing, now))?))
}

/// `GET …/gateways/{id}`
pub async fn read_gateway(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let path = call.environment()?;
    let mut read = call.read().await?;
    let environment = read.environment(&path.workspace, &path.environment).await?;
    let found = read.gateway(&id).await?;
    if found.environment_id != environment.id || found.retired_at.is_some() {
        return Err(Refused::not_found());
    }
    let standing = standing(&mut read, &environment.id, std::slice::from_ref(&found)).await?;
    Ok(Reply::ok(&gateway(found, &path, &standing, call.input.now)?))
}

/// `DELETE …/gateways/{id}`: from then on the gateway is refused.
pub async fn retire_gateway(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let mut write = call.begin().await?;
    let (_, environment) = environment(&call, &mut write).await?;
    let found = write.gateway(&id).await?;
    if found.environment_id != environment || found.retired_at.is_some() {
        return Err(Refused::not_found());
    }
    write.retire_gateway(&id).await?;
    call.finish(write, Reply::no_content()).await
}
