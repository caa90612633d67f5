//! Organizations, workspaces, environments.

use http::StatusCode;
use mcpg_cp_api::{
    CreateEnvironment, CreateOrganization, CreateWorkspace, DisplayName, Environment, EnvironmentPath,
    Organization, OrganizationPath, Page, PageQuery, Rename, SetSubdomain, Slug, Target, UpdateOrganization,
    Workspace, WorkspacePath,
};

use super::super::call::{CallerCall, TenantCall};
use super::super::conditions::Condition;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{id, listed, page, tagged, time};
use crate::sign_in::oidc;
use crate::store::{self, NewOrg, OrgChange};

fn organization(org: &store::Org) -> Result<Organization, Refused> {
    let sign_on = org.sso.as_deref().map(serde_json::from_str).transpose();
    let subdomain = org.subdomain.as_deref().map(str::parse).transpose();
    Ok(Organization {
        id: id(&org.id)?,
        path: OrganizationPath { organization: org.slug.clone() },
        etag: org.version.to_string(),
        display_name: org.display_name.clone(),
        subdomain: subdomain.map_err(|_| Refused::internal("a subdomain of the store is none"))?,
        single_sign_on: sign_on
            .map_err(|_| Refused::internal("a single sign-on of the store cannot be read"))?,
        created_at: time(org.created_at),
        created_by: None,
        updated_at: time(org.updated_at),
    })
}

fn workspace(organization: &Slug, workspace: &store::Workspace) -> Result<Workspace, Refused> {
    Ok(Workspace {
        id: id(&workspace.id)?,
        path: WorkspacePath { organization: organization.clone(), workspace: workspace.slug.clone() },
        etag: workspace.version.to_string(),
        display_name: workspace.display_name.clone(),
        created_at: time(workspace.created_at),
        created_by: None,
    })
}

fn environment(organization: &Slug, environment: &store::Environment) -> Result<Environment, Refused> {
    Ok(Environment {
        id: id(&environment.id)?,
        path: EnvironmentPath {
            organization: organization.clone(),
            workspace: environment.workspace.clone(),
            environment: environment.slug.clone(),
        },
        etag: environment.version.to_string(),
        display_name: environment.display_name.clone(),
        created_at: time(environment.created_at),
        created_by: None,
    })
}

/// The name that people read; the slug where none is given.
fn named(name: Option<DisplayName>, slug: &Slug) -> Result<DisplayName, Refused> {
    match name {
        Some(name) => Ok(name),
        None => slug.as_str().parse().map_err(|_| Refused::internal("a slug is no display name")),
    }
}

/// `GET /v1/orgs`: all for administrators of the service, their own for everybody else.
pub async fn list_organizations(call: CallerCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    match &call.tenant {
        Some(tenant) => {
            let seen = tenant.sees(&tenant.organization());
            let items = if seen { vec![organization(&tenant.org)?] } else { Vec::new() };
            Ok(Reply::ok(&Page { items, next_cursor: None }))
        }
        None => {
            let orgs = call.platform.orgs(&page).await?;
            Ok(Reply::ok(&listed(orgs, |org| organization(&org))?))
        }
    }
}

/// `POST /v1/orgs`
pub async fn create_organization(call: CallerCall) -> Result<Reply, Refused> {
    let new: CreateOrganization = call.input.body()?;
    let org = NewOrg {
        display_name: named(new.display_name, &new.slug)?,
        subdomain: new.subdomain.map(String::from),
        slug: new.slug,
    };
    let made = organization(&call.platform.create_org(&call.actor(), org).await?)?;
    Ok(Reply::created(&format!("/v1/orgs/{}", made.path), &made).with_etag(&made.etag))
}

/// `GET /v1/orgs/{org}`
pub async fn read_organization(call: TenantCall) -> Result<Reply, Refused> {
    let found = organization(&call.tenant.org)?;
    tagged(&call.input, &found.etag, &found)
}

/// `PUT /v1/orgs/{org}`
pub async fn update_organization(call: TenantCall) -> Result<Reply, Refused> {
    let tags = Condition::of_existing(&call.input.headers)?;
    let new: UpdateOrganization = call.input.body()?;
    if let Some(sign_on) = &new.single_sign_on {
        oidc::check(sign_on)?;
    }
    let mut write = call.begin().await?;
    let org = write.org().await?;
    Condition::matching(&tags, &org.version.to_string())?;
    let sso = new.single_sign_on.as_ref().map(serde_json::to_string).transpose();
    let sso = sso.map_err(|error| Refused::internal(error.to_string()))?;
    let change = OrgChange { display_name: Some(new.display_name), sso: Some(sso), licence: None };
    let changed = organization(&write.update_org(Some(org.version), change).await?)?;
    let reply = Reply::ok(&changed).with_etag(&changed.etag);
    call.finish(write, reply).await
}

/// `PUT /v1/orgs/{org}/subdomain`
pub async fn set_subdomain(call: CallerCall) -> Result<Reply, Refused> {
    let slug: Slug = call.input.parameter("org")?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let new: SetSubdomain = call.input.body()?;
    let tenant = call.tenant.as_ref().filter(|tenant| tenant.slug == slug).ok_or_else(Refused::not_found)?;
    Condition::matching(&tags, &tenant.org.version.to_string())?;
    let subdomain = new.subdomain.map(String::from);
    let changed =
        organization(&call.platform.set_subdomain(&call.actor(), &tenant.org.id, subdomain).await?)?;
    Ok(Reply::ok(&changed).with_etag(&changed.etag))
}

/// `GET …/workspaces`
pub async fn list_workspaces(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let mut found = call.read().await?.workspaces(&page).await?;
    let path =
        |slug: &Slug| WorkspacePath { organization: call.tenant.slug.clone(), workspace: slug.clone() };
    found.items.retain(|item| call.tenant.sees(&Target::Workspace(path(&item.slug))));
    Ok(Reply::ok(&listed(found, |item| workspace(&call.tenant.slug, &item))?))
}

/// `POST …/workspaces`
pub async fn create_workspace(call: TenantCall) -> Result<Reply, Refused> {
    let new: CreateWorkspace = call.input.body()?;
    let display_name = named(new.display_name, &new.slug)?;
    let mut write = call.begin().await?;
    let made = write.create_workspace(&new.slug, &display_name).await?;
    let made = workspace(&call.tenant.slug, &made)?;
    let location = format!("/v1/orgs/{}/workspaces/{}", call.tenant.slug, made.path.workspace);
    let reply = Reply::created(&location, &made).with_etag(&made.etag);
    call.finish(write, reply).await
}

/// `GET …/workspaces/{workspace}`
pub async fn read_workspace(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.workspace()?;
    let found = call.read().await?.workspace(&path.workspace).await?;
    let found = workspace(&call.tenant.slug, &found)?;
    tagged(&call.input, &found.etag, &found)
}

/// `PUT …/workspaces/{workspace}`
pub async fn update_workspace(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.workspace()?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let new: Rename = call.input.body()?;
    let mut write = call.begin().await?;
    let found = write.workspace(&path.workspace).await?;
    Condition::matching(&tags, &found.version.to_string())?;
    let changed = write.update_workspace(&path.workspace, Some(found.version), &new.display_name).await?;
    let changed = workspace(&call.tenant.slug, &changed)?;
    let reply = Reply::ok(&changed).with_etag(&changed.etag);
    call.finish(write, reply).await
}

/// `DELETE …/workspaces/{workspace}`
pub async fn delete_workspace(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.workspace()?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let mut write = call.begin().await?;
    let found = write.workspace(&path.workspace).await?;
    Condition::matching(&tags, &found.version.to_string())?;
    write.delete_workspace(&path.workspace, Some(found.version)).await?;
    call.finish(write, Reply::no_content()).await
}

/// `GET …/environments`
pub async fn list_environments(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.workspace()?;
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let mut read = call.read().await?;
    let parent = read.workspace(&path.workspace).await?;
    let mut found = read.environments(&parent.id, &page).await?;
    let node = |item: &store::Environment| {
        Target::Environment(EnvironmentPath {
            organization: path.organization.clone(),
            workspace: path.workspace.clone(),
            environment: item.slug.clone(),
        })
    };
    found.items.retain(|item| call.tenant.sees(&node(item)));
    Ok(Reply::ok(&listed(found, |item| environment(&call.tenant.slug, &item))?))
}

/// `POST …/environments`
pub async fn create_environment(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.workspace()?;
    let new: CreateEnvironment = call.input.body()?;
    let display_name = named(new.display_name, &new.slug)?;
    let mut write = call.begin().await?;
    let parent = write.workspace(&path.workspace).await?;
    let made = write.create_environment(&parent, &new.slug, &display_name).await?;
    let made = environment(&call.tenant.slug, &made)?;
    let location = location(&made.path);
    let reply = Reply::created(&location, &made).with_etag(&made.etag);
    call.finish(write, reply).await
}

/// `GET …/environments/{environment}`
pub async fn read_environment(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.environment()?;
    let found = call.read().await?.environment(&path.workspace, &path.environment).await?;
    let found = environment(&call.tenant.slug, &found)?;
    tagged(&call.input, &found.etag, &found)
}

/// `PUT …/environments/{environment}`
pub async fn update_environment(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.environment()?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let new: Rename = call.input.body()?;
    let mut write = call.begin().await?;
    let found = write.environment(&path.workspace, &path.environment).await?;
    Condition::matching(&tags, &found.version.to_string())?;
    let changed = write.update_environment(&found.id, Some(found.version), &new.display_name).await?;
    let changed = environment(&call.tenant.slug, &changed)?;
    let reply = Reply::ok(&changed).with_etag(&changed.etag);
    call.finish(write, reply).await
}

/// `DELETE …/environments/{environment}`
pub async fn delete_environment(call: TenantCall) -> Result<Reply, Refused> {
    let path = call.environment()?;
    let tags = Condition::of_existing(&call.input.headers)?;
    let mut write = call.begin().await?;
    let found = write.environment(&path.workspace, &path.environment).await?;
    Condition::matching(&tags, &found.version.to_string())?;
    write.delete_environment(&found.id, Some(found.version)).await?;
    call.finish(write, Reply::empty(StatusCode::NO_CONTENT)).await
}

fn location(path: &EnvironmentPath) -> String {
    let EnvironmentPath { organization, workspace, environment } = path;
    format!("/v1/orgs/{organization}/workspaces/{workspace}/environments/{environment}")
}
