//! Secret references of a workspace, and the revocation list of an organization.

use std::collections::BTreeSet;

use http::StatusCode;
use mcpg_cp_api::{
    PageQuery, ProblemCode, PutQuery, PutSecretReference, PutVersion, RevocationListSpec, SecretReference,
    Slug, Versioned,
};

use super::super::call::TenantCall;
use super::super::conditions::Condition;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{actor, listed, page, tagged, time};
use crate::canonical;
use crate::store::{self, Precondition, StoreError};

const ARTIFACTS_MAX: usize = 10_000;

fn reference(call: &TenantCall, reference: &store::SecretReference) -> Result<SecretReference, Refused> {
    Ok(SecretReference {
        workspace: call.workspace()?,
        name: reference.name.parse().map_err(|_| Refused::internal("a stored name is no slug"))?,
        etag: reference.version.to_string(),
        reference: reference.uri.parse().map_err(|_| Refused::internal("a stored reference is none"))?,
        created_at: time(reference.created_at),
        created_by: actor(&reference.created_by)?,
    })
}

/// What a change of something that has this version now depends on.
fn precondition(condition: &Condition, current: Option<i64>) -> Result<Precondition, Refused> {
    match (condition, current) {
        (Condition::Absent, None) => Ok(Precondition::Absent),
        (Condition::Match(tags), Some(current)) => {
            Condition::matching(tags, &current.to_string())?;
            Ok(Precondition::Version(current))
        }
        _ => Err(Refused::bare(ProblemCode::Precondition)),
    }
}

/// `GET …/secret-references`
pub async fn list_secret_references(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let path = call.workspace()?;
    let mut read = call.read().await?;
    let workspace = read.workspace(&path.workspace).await?;
    let found = read.secret_references(&workspace.id, &page).await?;
    Ok(Reply::ok(&listed(found, |item| reference(&call, &item))?))
}

/// `GET …/secret-references/{name}`
pub async fn read_secret_reference(call: TenantCall) -> Result<Reply, Refused> {
    let name: Slug = call.input.parameter("name")?;
    let path = call.workspace()?;
    let mut read = call.read().await?;
    let workspace = read.workspace(&path.workspace).await?;
    let found = reference(&call, &read.secret_reference(&workspace.id, name.as_str()).await?)?;
    tagged(&call.input, &found.etag, &found)
}

/// `PUT …/secret-references/{name}`
pub async fn put_secret_reference(call: TenantCall) -> Result<Reply, Refused> {
    let name: Slug = call.input.parameter("name")?;
    let query: PutQuery = call.input.query()?;
    let condition = Condition::of_change(&call.input.headers)?;
    let new: PutSecretReference = call.input.body()?;
    let path = call.workspace()?;
    let mut write = call.begin().await?;
    let workspace = write.workspace(&path.workspace).await?.id;
    let current = match write.secret_reference(&workspace, name.as_str()).await {
        Ok(found) => Some(found.version),
        Err(StoreError::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let precondition = precondition(&condition, current)?;
    let uri = new.reference.as_str();
    let put = write.put_secret_reference(&workspace, name.as_str(), uri, precondition).await?;
    let put = reference(&call, &put)?;
    let status = if current.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    let reply = Reply::json(status, &put).with_etag(&put.etag);
    if query.dry_run {
        write.rollback().await;
        return Ok(reply);
    }
    call.finish(write, reply).await
}

/// `DELETE …/secret-references/{name}`
pub async fn delete_secret_reference(call: TenantCall) -> Result<Reply, Refused> {
    let name: Slug = call.input.parameter("name")?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let path = call.workspace()?;
    let mut write = call.begin().await?;
    let workspace = write.workspace(&path.workspace).await?.id;
    let current = write.secret_reference(&workspace, name.as_str()).await?.version;
    Condition::matching(&tags, &current.to_string())?;
    write.delete_secret_reference(&workspace, name.as_str(), Precondition::Version(current)).await?;
    call.finish(write, Reply::no_content()).await
}

fn revocations(
    call: &TenantCall,
    list: &store::RevocationList,
) -> Result<Versioned<RevocationListSpec>, Refused> {
    let spec = serde_json::from_slice(&list.bytes);
    Ok(Versioned {
        on: call.target.clone(),
        name: "revocation-list".parse().map_err(|_| Refused::internal("a slug"))?,
        etag: list.version.to_string(),
        version: u64::try_from(list.version).unwrap_or_default(),
        digest: format!("blake3:{}", list.digest),
        spec: spec.map_err(|error| Refused::internal(format!("a stored list: {error}")))?,
        created_at: time(list.created_at),
        created_by: actor(&list.created_by)?,
    })
}

/// `GET …/revocation-list`
pub async fn read_revocation_list(call: TenantCall) -> Result<Reply, Refused> {
    let found = call.read().await?.revocation_list().await?.ok_or_else(Refused::not_found)?;
    let found = revocations(&call, &found)?;
    tagged(&call.input, &found.etag, &found)
}

/// `PUT …/revocation-list`
pub async fn put_revocation_list(call: TenantCall) -> Result<Reply, Refused> {
    let query: PutQuery = call.input.query()?;
    let condition = Condition::of_change(&call.input.headers)?;
    let new: PutVersion<RevocationListSpec> = call.input.body()?;
    let digests: BTreeSet<_> = new.spec.artifacts.iter().map(|artifact| &artifact.digest).collect();
    if digests.len() != new.spec.artifacts.len() || digests.len() > ARTIFACTS_MAX {
        let detail = "at most 10000 artifacts, each once";
        return Err(Refused::field(ProblemCode::Invalid, "/spec/artifacts", detail));
    }
    let bytes = canonical::bytes(&new.spec).map_err(|error| Refused::internal(error.to_string()))?;
    let mut write = call.begin().await?;
    let current = write.revocation_list().await?.map(|list| list.version);
    let precondition = precondition(&condition, current)?;
    let put = revocations(&call, &write.put_revocation_list(precondition, &bytes).await?)?;
    let status = if current.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    let reply = Reply::json(status, &put).with_etag(&put.etag);
    if query.dry_run {
        write.rollback().await;
        return Ok(reply);
    }
    call.finish(write, reply).await
}
