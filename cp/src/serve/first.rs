//! The first start: `default/default/default`, and one bootstrap token with which everything else begins.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mcpg_cp_api::{DisplayName, Slug};

use crate::api::service::Service;
use crate::sign_in::key_file;
use crate::sign_in::token::{Token, TokenKind};
use crate::store::{Actor, NewOrg, NewPlatformToken, Page, Platform, Store, StoreError};

/// What a first start has made.
#[derive(Debug)]
pub struct FirstStart {
    /// The bootstrap token. This is the only time that it is shown.
    pub token: Token,
    /// The file that has it too.
    pub path: PathBuf,
}

const LEASE: &str = "first-start";
const LEASE_MS: i64 = 30_000;

/// Makes what a new database lacks. Of several replicas that start at once, one does it.
pub(super) async fn start(
    service: &Service,
    store: &Store,
    state: &Path,
) -> anyhow::Result<Option<FirstStart>> {
    let platform = store.platform();
    let holder = service.token(TokenKind::Platform).id().to_string();
    let Some(lease) = platform.acquire_lease(LEASE, &holder, LEASE_MS).await? else { return Ok(None) };
    let made = make(service, store, &platform, state).await;
    platform.release_lease(&lease).await.context("cannot release the lease of the first start")?;
    made
}

async fn make(
    service: &Service,
    store: &Store,
    platform: &Platform,
    state: &Path,
) -> anyhow::Result<Option<FirstStart>> {
    make_default(store, platform).await.context("cannot make default/default/default")?;
    if !platform.platform_tokens(&Page::first(1)).await?.items.is_empty() {
        return Ok(None);
    }
    let token = service.token(TokenKind::Platform);
    // The file first: a token that is known to the database and to nobody else would lock everybody out.
    let path = key_file::write_bootstrap(state, &token)?;
    let new = NewPlatformToken {
        id: Some(token.id().as_str().parse().context("a token's id")?),
        name: "bootstrap".to_owned(),
        hash: token.hash(&service.token_key),
        expires_at: None,
    };
    if let Err(error) = platform.create_platform_token(new).await {
        std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        return Err(error).context("cannot make the bootstrap token");
    }
    Ok(Some(FirstStart { token, path }))
}

/// Each step can have been done before: a start that was cut off is taken up.
async fn make_default(store: &Store, platform: &Platform) -> anyhow::Result<()> {
    let slug: Slug = "default".parse()?;
    let name: DisplayName = "Default".parse()?;
    let actor = Actor::system("system");
    let org = match platform.org_by_slug(&slug).await {
        Ok(org) => org,
        Err(StoreError::NotFound) if platform.orgs(&Page::first(1)).await?.items.is_empty() => {
            let new = NewOrg { slug: slug.clone(), display_name: name.clone(), subdomain: None };
            platform.create_org(&actor, new).await?
        }
        // Somebody has made organizations of their own, and no `default`.
        Err(StoreError::NotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut write = store.scope(org.id).begin(actor).await?;
    if write.workspaces(&Page::first(1)).await?.items.is_empty() {
        let workspace = write.create_workspace(&slug, &name).await?;
        write.create_environment(&workspace, &slug, &name).await?;
        write.commit().await?;
    }
    Ok(())
}
