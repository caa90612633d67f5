//! Revisions of an environment: published, staged, rolled back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_cp_api::{
    EnvironmentPath, FieldError, GatewayConfigSpec, PluginSetSpec, PolicySpec, ProblemCode, Progress,
    PublishRevision, Revision, RevisionDocument, RevisionPreview, RollbackRevision, Rollout, ScopeDocument,
    SecretUri, Slug, VersionsQuery, document_digest,
};
use serde::de::DeserializeOwned;
use tracing::debug_span;

use super::super::call::TenantCall;
use super::super::input;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{actor, listed, page, time};
use crate::publish::{About, Parts, render, revoked, step, validate};
use crate::store::{
    self, Environment, Numbered, Page, Parent, Read, RevisionHead, RolloutState, Stage, StoreError, Write,
};

/// Secret references and gateways that are read at once.
const PAGE: u32 = 200;
/// How often a revision is rendered again that has changed meanwhile.
const TRIES: usize = 3;
/// What the configuration of an environment is called in the store.
const CONFIG: &str = "config";

async fn environment(call: &TenantCall, read: &mut Read) -> Result<(EnvironmentPath, Environment), Refused> {
    let path = call.environment()?;
    let found = read.environment(&path.workspace, &path.environment).await?;
    Ok((path, found))
}

/// `GET …/revisions`, the newest first.
pub async fn list_revisions(call: TenantCall) -> Result<Reply, Refused> {
    let query: VersionsQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    // The key of a revision is its number.
    if page.after.as_ref().is_some_and(|key| key.parse::<i64>().is_err()) {
        return Err(input::wrong_cursor());
    }
    let mut read = call.read().await?;
    let (path, environment) = environment(&call, &mut read).await?;
    let found = read.revisions(&environment.id, &page).await?;
    let mut wired = Vec::with_capacity(found.items.len());
    for head in found.items {
        wired.push(wire(&mut read, head, &environment, &path).await?);
    }
    Ok(Reply::ok(&listed(store::Listed { items: wired, next: found.next }, Ok)?))
}

/// `GET …/revisions/{number}`, with its document.
pub async fn read_revision(call: TenantCall) -> Result<Reply, Refused> {
    let number = call.input.number("number")?;
    let mut read = call.read().await?;
    let (path, environment) = environment(&call, &mut read).await?;
    let found = read.revision(&environment.id, number).await?;
    let signature = URL_SAFE_NO_PAD.encode(&found.head.signature);
    let document = text(found.document)?;
    let revision = wire(&mut read, found.head, &environment, &path).await?;
    Ok(Reply::ok(&RevisionDocument { revision, document, signature }))
}

/// `POST …/revisions`: what the environment is configured with becomes its next revision.
pub async fn publish_revision(call: TenantCall) -> Result<Reply, Refused> {
    let asked: PublishRevision = call.input.body()?;
    let stage = stage(&asked.rollout)?;
    let note = asked.note.map(|note| note.to_string()).unwrap_or_default();
    for _ in 0..TRIES {
        let mut read = call.read().await?;
        let (path, environment) = environment(&call, &mut read).await?;
        let rendered = rendered(&call, &mut read, &path, &environment).await?;
        drop(read);
        let mut write = call.begin().await?;
        write.lock_environment(&environment.id).await?;
        // What has changed since it was validated would be undone by an older document with a newer number.
        let parts = parts(&call, &mut write, &path, &environment).await?;
        let document = step(&debug_span!("render"), || render(&parts));
        let document = document.map_err(|error| unsound(&[error.to_string()]))?;
        permitted(&mut write, &document).await?;
        if json(&document)? != rendered.preview.document {
            write.rollback().await;
            continue;
        }
        // The same again for everybody who has it already is no new revision.
        let latest = write.revisions(&environment.id, &Page::first(1)).await?.items.into_iter().next();
        let again = latest.filter(|head| {
            rendered.preview.digest == format!("blake3:{}", head.digest)
                && head.rollout.is_none()
                && stage.is_none()
        });
        if let Some(head) = again {
            let reply = Reply::ok(&wire(&mut write, head, &environment, &path).await?);
            return call.finish(write, reply).await;
        }
        let about = About { note, rollback_of: None };
        return put_in_force(call, write, (&path, &environment), &rendered.preview.document, stage, about)
            .await;
    }
    Err(StoreError::Contention.into())
}

/// `POST …/revisions/preview`: what would be published.
pub async fn preview_revision(call: TenantCall) -> Result<Reply, Refused> {
    let mut read = call.read().await?;
    let (path, environment) = environment(&call, &mut read).await?;
    Ok(Reply::ok(&rendered(&call, &mut read, &path, &environment).await?.preview))
}

/// What would be published.
struct Rendered {
    preview: RevisionPreview,
}

fn json(document: &ScopeDocument) -> Result<String, Refused> {
    serde_json::to_string(document).map_err(|error| Refused::internal(error.to_string()))
}

/// Whether the organization lets a document's artifacts run.
async fn permitted(read: &mut Read, document: &ScopeDocument) -> Result<(), Refused> {
    let Some(list) = read.revocation_list().await? else { return Ok(()) };
    let problems = revoked(document, &parsed(&list.bytes)?, list.version);
    if problems.is_empty() { Ok(()) } else { Err(unsound(&problems)) }
}

async fn rendered(
    call: &TenantCall,
    read: &mut Read,
    path: &EnvironmentPath,
    environment: &Environment,
) -> Result<Rendered, Refused> {
    let parts = parts(call, read, path, environment).await?;
    let latest = read.revisions(&environment.id, &Page::first(1)).await?.items.into_iter().next();
    let document = step(&debug_span!("render"), || render(&parts));
    let document = document.map_err(|error| unsound(&[error.to_string()]))?;
    permitted(read, &document).await?;
    let warnings = sound(&document, path, call.input.now).await?;
    let document = json(&document)?;
    let digest = document_digest(&document);
    let changed = latest.as_ref().is_none_or(|head| format!("blake3:{}", head.digest) != digest);
    Ok(Rendered { preview: RevisionPreview { document, digest, changed, warnings } })
}

/// `POST …/revisions/{number}/rollback`: an older document becomes the next revision.
pub async fn roll_back(call: TenantCall) -> Result<Reply, Refused> {
    let asked: RollbackRevision = call.input.body()?;
    let number = call.input.number("number")?;
    let stage = stage(&asked.rollout)?;
    let note = asked.note.map(|note| note.to_string()).unwrap_or_default();
    let mut read = call.read().await?;
    let (path, environment) = environment(&call, &mut read).await?;
    let document = text(read.revision(&environment.id, number).await?.document)?;
    drop(read);
    // What was sound for an older release need not be for this one.
    let parsed: ScopeDocument =
        serde_json::from_str(&document).map_err(|error| unsound(&[format!("the document: {error}")]))?;
    sound(&parsed, &path, call.input.now).await?;
    let mut write = call.begin().await?;
    write.lock_environment(&environment.id).await?;
    permitted(&mut write, &parsed).await?;
    let about = About { note, rollback_of: Some(number) };
    put_in_force(call, write, (&path, &environment), &document, stage, about).await
}

/// `PUT …/revisions/{number}/rollout`: to more gateways, or to all.
pub async fn change_rollout(call: TenantCall) -> Result<Reply, Refused> {
    let asked: Rollout = call.input.body()?;
    let number = call.input.number("number")?;
    let mut write = call.begin().await?;
    let (path, environment) = environment(&call, &mut write).await?;
    let head = write.revision_head(&environment.id, number).await?;
    let Some(rollout) = head.rollout else {
        return Err(Refused::new(ProblemCode::Invalid, "the revision is for every gateway already"));
    };
    let (stage, state) = match stage(&asked)? {
        Some(stage) => (stage, RolloutState::Active),
        None => (rollout.stage, RolloutState::Complete),
    };
    write.update_rollout(&environment.id, number, None, (&stage, state)).await?;
    let head = write.revision_head(&environment.id, number).await?;
    let reply = Reply::ok(&wire(&mut write, head, &environment, &path).await?);
    call.finish(write, reply).await
}

async fn put_in_force(
    call: TenantCall,
    mut write: Write,
    (path, environment): (&EnvironmentPath, &Environment),
    document: &str,
    stage: Option<Stage>,
    about: About,
) -> Result<Reply, Refused> {
    let signer = &call.service.signer;
    let rollback_of = about.rollback_of;
    let sign = |numbered: Numbered| {
        step(&debug_span!("sign"), || Ok::<_, StoreError>(signer.sign(path, document, numbered, about)))
    };
    let head = write.publish_revision(&environment.id, sign).await?;
    if let Some(stage) = &stage {
        write.begin_rollout(&environment.id, head.number, stage).await?;
    }
    let number = head.number;
    let head = write.revision_head(&environment.id, number).await?;
    let made = wire(&mut write, head, environment, path).await?;
    let EnvironmentPath { organization, workspace, environment } = path;
    let location = format!(
        "/v1/orgs/{organization}/workspaces/{workspace}/environments/{environment}/revisions/{number}"
    );
    let service = std::sync::Arc::clone(&call.service);
    let reply = call.finish(write, Reply::created(&location, &made)).await?;
    service.metrics.published();
    // Gateways say number and digest too, when they have it in force.
    tracing::info!(environment = %path, number, digest = made.digest, rollback_of, "a revision was published");
    Ok(reply)
}

/// Everything that a document of the environment is made of.
async fn parts(
    call: &TenantCall,
    read: &mut Read,
    path: &EnvironmentPath,
    environment: &Environment,
) -> Result<Parts, Refused> {
    let workspace = &environment.workspace_id;
    let config: GatewayConfigSpec = match read.document(Parent::GatewayConfig(&environment.id), CONFIG).await
    {
        Ok(document) => parsed(&document.bytes)?,
        Err(StoreError::NotFound) => {
            let detail = "the environment has no gateway configuration yet: put one to `…/config`";
            return Err(Refused::new(ProblemCode::Invalid, detail));
        }
        Err(error) => return Err(error.into()),
    };
    let missing = |kind: &str, name: &Slug| unsound(&[format!("the workspace has no {kind} `{name}`")]);
    let mut plugin_set = None;
    if let Some(name) = &config.plugin_set {
        let found = read.document(Parent::PluginSet(workspace), name.as_str()).await;
        let found = found.map_err(|error| or_missing(error, || missing("plugin set", name)))?;
        plugin_set = Some(parsed::<PluginSetSpec>(&found.bytes)?);
    }
    let mut policies = BTreeMap::new();
    for name in &config.policies {
        let found = read.document(Parent::Policy(workspace), name.as_str()).await;
        let found = found.map_err(|error| or_missing(error, || missing("policy", name)))?;
        policies.insert(name.clone(), parsed::<PolicySpec>(&found.bytes)?);
    }
    let mut secrets = BTreeMap::new();
    let mut page = Page::first(PAGE);
    loop {
        let found = read.secret_references(workspace, &page).await?;
        for reference in found.items {
            let name = reference.name.parse::<Slug>().map_err(|_| Refused::internal("a secret's name"))?;
            let uri =
                reference.uri.parse::<SecretUri>().map_err(|_| Refused::internal("a secret's reference"))?;
            secrets.insert(name, uri);
        }
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let subdomain = call.tenant.org.subdomain.clone();
    Ok(Parts { environment: path.clone(), subdomain, config, plugin_set, policies, secrets })
}

fn or_missing(error: StoreError, missing: impl FnOnce() -> Refused) -> Refused {
    match error {
        StoreError::NotFound => missing(),
        error => error.into(),
    }
}

/// Validates a document where it blocks nobody. Returns what is probably not meant.
async fn sound(document: &ScopeDocument, path: &EnvironmentPath, now: i64) -> Result<Vec<String>, Refused> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or_default());
    let (document, path, span) = (document.clone(), path.clone(), debug_span!("validate"));
    let validated = move || step(&span, || validate(&document, &path, at));
    let validated = tokio::task::spawn_blocking(validated).await;
    let validated = validated.map_err(|error| Refused::internal(error.to_string()))?;
    validated.map(|validated| validated.warnings).map_err(|problems| unsound(&problems))
}

fn unsound(problems: &[String]) -> Refused {
    let errors = problems.iter().map(|detail| FieldError { pointer: String::new(), detail: detail.clone() });
    Refused {
        errors: errors.collect(),
        ..Refused::new(ProblemCode::Invalid, "gateways would refuse this revision")
    }
}

/// Which gateways get it first; none for all.
fn stage(rollout: &Rollout) -> Result<Option<Stage>, Refused> {
    let labels = super::fleet::stored_labels(rollout.labels.clone())?;
    match (rollout.percent, labels.is_empty()) {
        (100, true) => Ok(None),
        (100, false) => Ok(Some(Stage::Labels(labels))),
        (percent @ 0..=99, true) => Ok(Some(Stage::Percent(percent))),
        (0..=99, false) => Err(Refused::field(
            ProblemCode::Invalid,
            "/rollout",
            "stage by `percent` or by `labels`, not by both",
        )),
        _ => Err(Refused::field(ProblemCode::Invalid, "/rollout/percent", "use 0 to 100")),
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refused::internal(format!("a document of the store: {error}")))
}

fn text(document: Vec<u8>) -> Result<String, Refused> {
    String::from_utf8(document).map_err(|_| Refused::internal("a document of the store is no text"))
}

async fn wire(
    read: &mut Read,
    head: RevisionHead,
    environment: &Environment,
    path: &EnvironmentPath,
) -> Result<Revision, Refused> {
    let said = read.acknowledged(&environment.id, head.number).await?;
    let wanted = wanted(read, &head, environment).await?;
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Revision {
        environment: path.clone(),
        number: count(head.number),
        digest: format!("blake3:{}", head.digest),
        note: Some(head.note).filter(|note| !note.is_empty()),
        rollback_of: head.rollback_of.map(count),
        rollout: rollout(head.rollout.as_ref())?,
        progress: Progress { wanted, applied: count(said.applied), rejected: count(said.rejected) },
        created_at: time(head.created_at),
        created_by: actor(&head.created_by)?,
    })
}

/// How many gateways the revision is for.
async fn wanted(read: &mut Read, head: &RevisionHead, environment: &Environment) -> Result<u64, Refused> {
    let mut page = Page::first(PAGE);
    let mut wanted = 0;
    loop {
        let found = read.gateways(&environment.id, &page).await?;
        let covered =
            |gateway: &&store::Gateway| gateway.retired_at.is_none() && crate::publish::covers(head, gateway);
        wanted += found.items.iter().filter(covered).count() as u64;
        match found.next {
            Some(next) => page.after = Some(next),
            None => return Ok(wanted),
        }
    }
}

fn rollout(stored: Option<&store::Rollout>) -> Result<Rollout, Refused> {
    let Some(stored) = stored else { return Ok(Rollout::default()) };
    Ok(match (&stored.state, &stored.stage) {
        (RolloutState::Complete, _) => Rollout::default(),
        (RolloutState::Cancelled, _) => Rollout { percent: 0, ..Rollout::default() },
        (_, Stage::Percent(percent)) => Rollout { percent: *percent, ..Rollout::default() },
        (_, Stage::Labels(labels)) => {
            Rollout { labels: super::fleet::labels(labels.clone())?, ..Rollout::default() }
        }
    })
}
