//! Plugin sets, policies, gateway configurations: things that are kept in versions.
//!
//! A document is kept as the canonical JSON of its typed specification, so what is stored is what was understood, and equal content has an equal digest.

use std::collections::BTreeSet;

use http::StatusCode;
use mcpg_cp_api::{
    Diff, DiffQuery, FieldError, GatewayConfigSpec, PageQuery, PluginSetSpec, PolicySpec, ProblemCode,
    PutQuery, PutVersion, Slug, Version, VersionSummary, Versioned, VersionedSummary, VersionsQuery,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::call::TenantCall;
use super::super::conditions::Condition;
use super::super::input;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{actor, listed, page, tagged, time};
use crate::canonical;
use crate::diff::diff;
use crate::store::{
    Document, DocumentHead, EnvironmentId, NewDocument, Parent, Precondition, Read, StoreError, WorkspaceId,
};

const MEDIA: &str = "application/json";
/// The one name of an environment's configuration.
const CONFIG: &str = "config";

/// What a kind of document says.
pub trait Spec: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Which kind it is.
    const KIND: Kind;

    /// What is wrong with it beyond its form.
    fn mistakes(&self) -> Vec<FieldError>;
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a workspace.
    PluginSet,
    /// Of a workspace.
    Policy,
    /// Of an environment: there is one.
    GatewayConfig,
}

impl Spec for PluginSetSpec {
    const KIND: Kind = Kind::PluginSet;

    fn mistakes(&self) -> Vec<FieldError> {
        let mut seen = BTreeSet::new();
        let mut mistakes = Vec::new();
        for (index, entry) in self.plugins.iter().enumerate() {
            if !seen.insert((&entry.id, &entry.name)) {
                mistakes.push(mistake(
                    format!("/spec/plugins/{index}"),
                    "an entry of this id and name is there already: tell them apart by `name`",
                ));
            }
        }
        let lists = [
            ("plugins", self.plugins.len()),
            ("trusted_keys", self.trusted_keys.len()),
            ("capability_grants", self.capability_grants.len()),
        ];
        for (name, _) in lists.into_iter().filter(|(_, length)| *length > 256) {
            mistakes.push(mistake(format!("/spec/{name}"), "at most 256"));
        }
        for (index, key) in self.trusted_keys.iter().enumerate() {
            if !(1..=4096).contains(&key.public_key.chars().count()) || key.plugins.len() > 256 {
                mistakes.push(mistake(
                    format!("/spec/trusted_keys/{index}"),
                    "a key has 1 to 4096 characters and at most 256 plugins",
                ));
            }
        }
        mistakes
    }
}

impl Spec for PolicySpec {
    const KIND: Kind = Kind::Policy;

    fn mistakes(&self) -> Vec<FieldError> {
        if (1..=1000).contains(&self.files.len()) {
            Vec::new()
        } else {
            vec![mistake("/spec/files".to_owned(), "a bundle has 1 to 1000 files")]
        }
    }
}

impl Spec for GatewayConfigSpec {
    const KIND: Kind = Kind::GatewayConfig;

    fn mistakes(&self) -> Vec<FieldError> {
        let mut mistakes = Vec::new();
        let policies: BTreeSet<&Slug> = self.policies.iter().collect();
        if policies.len() != self.policies.len() {
            mistakes.push(mistake("/spec/policies".to_owned(), "a policy is there twice"));
        }
        if self.policies.len() > 100 {
            mistakes.push(mistake("/spec/policies".to_owned(), "at most 100"));
        }
        if self.bindings.len() > 1000 {
            mistakes.push(mistake("/spec/bindings".to_owned(), "at most 1000"));
        }
        mistakes
    }
}

fn mistake(pointer: String, detail: &str) -> FieldError {
    FieldError { pointer, detail: detail.to_owned() }
}

/// Whose a document is.
enum Owner {
    Workspace(WorkspaceId),
    Environment(EnvironmentId),
}

impl Owner {
    async fn find(kind: Kind, call: &TenantCall, read: &mut Read) -> Result<Self, Refused> {
        if kind == Kind::GatewayConfig {
            let path = call.environment()?;
            return Ok(Self::Environment(read.environment(&path.workspace, &path.environment).await?.id));
        }
        let path = call.workspace()?;
        Ok(Self::Workspace(read.workspace(&path.workspace).await?.id))
    }

    fn parent(&self, kind: Kind) -> Parent<'_> {
        match self {
            Self::Workspace(id) if kind == Kind::Policy => Parent::Policy(id),
            Self::Workspace(id) => Parent::PluginSet(id),
            Self::Environment(id) => Parent::GatewayConfig(id),
        }
    }
}

fn name(kind: Kind, call: &TenantCall) -> Result<Slug, Refused> {
    match kind {
        Kind::GatewayConfig => CONFIG.parse().map_err(|_| Refused::internal("a slug")),
        Kind::PluginSet | Kind::Policy => call.input.parameter("name"),
    }
}

fn spec<T: Spec>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| Refused::internal(format!("a stored document: {error}")))
}

fn number(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}

fn slug(name: &str) -> Result<Slug, Refused> {
    name.parse().map_err(|_| Refused::internal("a stored name is no slug"))
}

fn shown<T: Spec>(call: &TenantCall, document: &Document) -> Result<Versioned<T>, Refused> {
    Ok(Versioned {
        on: call.target.clone(),
        name: slug(&document.name)?,
        etag: document.version.to_string(),
        version: number(document.version),
        digest: format!("blake3:{}", document.digest),
        spec: spec(&document.bytes)?,
        created_at: time(document.created_at),
        created_by: actor(&document.created_by)?,
    })
}

fn summary(call: &TenantCall, head: &DocumentHead) -> Result<VersionedSummary, Refused> {
    Ok(VersionedSummary {
        on: call.target.clone(),
        name: slug(&head.name)?,
        etag: head.version.to_string(),
        version: number(head.version),
        digest: format!("blake3:{}", head.digest),
        created_at: time(head.created_at),
        created_by: actor(&head.created_by)?,
    })
}

/// Lists the documents of a kind.
///
/// # Errors
/// As the API has them.
pub async fn list<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let mut read = call.read().await?;
    let owner = Owner::find(T::KIND, &call, &mut read).await?;
    let found = read.documents(owner.parent(T::KIND), &page).await?;
    Ok(Reply::ok(&listed(found, |head| summary(&call, &head))?))
}

/// Reads a document at its newest version.
///
/// # Errors
/// As the API has them.
pub async fn read<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let name = name(T::KIND, &call)?;
    let mut read = call.read().await?;
    let owner = Owner::find(T::KIND, &call, &mut read).await?;
    let found = shown::<T>(&call, &read.document(owner.parent(T::KIND), name.as_str()).await?)?;
    tagged(&call.input, &found.etag, &found)
}

/// Puts the next version of a document: 201 for the first, 200 for another, or for the one that is there.
///
/// # Errors
/// As the API has them.
pub async fn put<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let name = name(T::KIND, &call)?;
    let query: PutQuery = call.input.query()?;
    let condition = Condition::of_change(&call.input.headers)?;
    let new: PutVersion<T> = call.input.body()?;
    let mistakes = new.spec.mistakes();
    if !mistakes.is_empty() {
        return Err(input::invalid(mistakes));
    }
    let bytes = canonical::bytes(&new.spec).map_err(|error| Refused::internal(error.to_string()))?;
    let mut write = call.begin().await?;
    let owner = Owner::find(T::KIND, &call, &mut write).await?;
    let parent = owner.parent(T::KIND);
    let precondition = match &condition {
        Condition::Absent => Precondition::Absent,
        Condition::Match(tags) => {
            let current = match write.document(parent, name.as_str()).await {
                Ok(document) => document.version,
                Err(StoreError::NotFound) => return Err(Refused::bare(ProblemCode::Precondition)),
                Err(error) => return Err(error.into()),
            };
            Condition::matching(tags, &current.to_string())?;
            Precondition::Version(current)
        }
    };
    let new = NewDocument { media: MEDIA, bytes: &bytes };
    let put = write.put_document(parent, name.as_str(), precondition, new).await;
    let put = put.map_err(|error| match error {
        StoreError::Exists => Refused::bare(ProblemCode::Precondition),
        error => error.into(),
    })?;
    let document = write.document(parent, name.as_str()).await?;
    let found = shown::<T>(&call, &document)?;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    let reply = Reply::json(status, &found).with_etag(&found.etag);
    if query.dry_run {
        write.rollback().await;
        return Ok(reply);
    }
    call.finish(write, reply).await
}

/// Deletes a document.
///
/// # Errors
/// As the API has them.
pub async fn delete<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let name = name(T::KIND, &call)?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let mut write = call.begin().await?;
    let owner = Owner::find(T::KIND, &call, &mut write).await?;
    let parent = owner.parent(T::KIND);
    let current = write.document(parent, name.as_str()).await?.version;
    Condition::matching(&tags, &current.to_string())?;
    write.delete_document(parent, name.as_str(), Precondition::Version(current)).await?;
    call.finish(write, Reply::no_content()).await
}

/// Lists the versions of a document, the newest first.
///
/// # Errors
/// As the API has them.
pub async fn versions<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let name = name(T::KIND, &call)?;
    let query: VersionsQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    // The key of a version is its number.
    if page.after.as_ref().is_some_and(|key| key.parse::<i64>().is_err()) {
        return Err(input::wrong_cursor());
    }
    let mut read = call.read().await?;
    let owner = Owner::find(T::KIND, &call, &mut read).await?;
    let parent = owner.parent(T::KIND);
    read.document(parent, name.as_str()).await?;
    let found = read.document_versions(parent, name.as_str(), &page).await?;
    let convert = |head: DocumentHead| {
        Ok(VersionSummary {
            version: number(head.version),
            digest: format!("blake3:{}", head.digest),
            created_at: time(head.created_at),
            created_by: actor(&head.created_by)?,
        })
    };
    Ok(Reply::ok(&listed(found, convert)?))
}

/// Reads one version of a document, which never changes.
///
/// # Errors
/// As the API has them.
pub async fn version<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let name = name(T::KIND, &call)?;
    let wanted = call.input.number("version")?;
    let mut read = call.read().await?;
    let owner = Owner::find(T::KIND, &call, &mut read).await?;
    let found = read.document_version(owner.parent(T::KIND), name.as_str(), wanted).await?;
    let found = Version::<T> {
        version: number(found.version),
        digest: format!("blake3:{}", found.digest),
        spec: spec(&found.bytes)?,
        created_at: time(found.created_at),
        created_by: actor(&found.created_by)?,
    };
    tagged(&call.input, &found.version.to_string(), &found)
}

/// Says what differs between two versions of a document.
///
/// # Errors
/// As the API has them.
pub async fn compare<T: Spec>(call: TenantCall) -> Result<Reply, Refused> {
    let name = name(T::KIND, &call)?;
    let query: DiffQuery = call.input.query()?;
    let wanted = |member: &str, version: Option<u64>| match version.map(i64::try_from) {
        None => Ok(None),
        Some(Ok(version)) if version >= 1 => Ok(Some(version)),
        Some(_) => {
            Err(Refused::field(ProblemCode::Query, format!("?{member}"), "use a version's number, from 1"))
        }
    };
    let (from, to) = (wanted("from", query.from)?, wanted("to", query.to)?);
    let mut read = call.read().await?;
    let owner = Owner::find(T::KIND, &call, &mut read).await?;
    let parent = owner.parent(T::KIND);
    let newer = match to {
        None => read.document(parent, name.as_str()).await?,
        Some(to) => read.document_version(parent, name.as_str(), to).await?,
    };
    let from = from.unwrap_or(newer.version - 1);
    let value = |bytes: &[u8]| {
        serde_json::from_slice(bytes)
            .map_err(|error| Refused::internal(format!("a stored document: {error}")))
    };
    let older = match from {
        0 => serde_json::Value::Object(serde_json::Map::new()),
        from => value(&read.document_version(parent, name.as_str(), from).await?.bytes)?,
    };
    let changes = diff(&older, &value(&newer.bytes)?);
    Ok(Reply::ok(&Diff { from: number(from), to: number(newer.version), changes }))
}
