//! The caller, members, role bindings, API tokens.

use http::StatusCode;
use mcpg_cp_api::{
    ApiToken, CreateApiToken, Grant, Member, MemberRoles, NewApiToken, OrganizationPath, Page, PageQuery,
    ProblemCode, RoleBinding, RoleOn, Target, WhoAmI,
};
use mcpg_license::Tier;

use super::super::call::{CallerCall, CallerKind, TenantCall};
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{actor, id, listed, page, time};
use crate::authorization::admit;
use crate::sign_in::token::TokenKind;
use crate::store;

const TOKEN_SECONDS_DEFAULT: u32 = 90 * 24 * 60 * 60;
const TOKEN_SECONDS: std::ops::RangeInclusive<u32> = 60..=31_622_400;

/// `GET /v1/whoami`
pub async fn whoami(call: CallerCall) -> Result<Reply, Refused> {
    let tenant = call.tenant.as_ref();
    let roles = tenant.into_iter().flat_map(|tenant| tenant.roles());
    let mut roles: Vec<RoleOn> =
        roles.map(|grant| RoleOn { role: grant.role, on: grant.on.clone() }).collect();
    roles.sort();
    let member = match &call.caller.kind {
        CallerKind::Member(member) => Some(member.clone()),
        CallerKind::Platform | CallerKind::Program(_) => None,
    };
    Ok(Reply::ok(&WhoAmI {
        actor: call.caller.actor.clone(),
        member,
        organization: tenant.map(|tenant| OrganizationPath { organization: tenant.slug.clone() }),
        platform_admin: call.caller.is_platform(),
        roles,
        expires_at: call.caller.expires_at.map(time),
    }))
}

fn role_binding(binding: store::RoleBinding, tier: Tier) -> Result<RoleBinding, Refused> {
    Ok(RoleBinding {
        id: id(&binding.id)?,
        effective: admit(&binding.grant, tier).is_ok(),
        created_at: time(binding.created_at),
        created_by: actor(&binding.created_by)?,
        grant: binding.grant,
    })
}

/// `GET …/members`
pub async fn list_members(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let mut read = call.read().await?;
    let members = read.members(&page).await?;
    let mut items = Vec::with_capacity(members.items.len());
    for member in members.items {
        let roles = roles(read.grants_of(&member).await?);
        items.push(MemberRoles { member, roles });
    }
    Ok(Reply::ok(&Page { items, next_cursor: members.next.as_deref().map(super::super::input::cursor) }))
}

/// `GET …/members/{member}`
pub async fn read_member(call: TenantCall) -> Result<Reply, Refused> {
    let member: Member = call.input.parameter("member")?;
    let roles = roles(call.read().await?.grants_of(&member).await?);
    if roles.is_empty() {
        return Err(Refused::not_found());
    }
    Ok(Reply::ok(&MemberRoles { member, roles }))
}

fn roles(grants: Vec<Grant>) -> Vec<RoleOn> {
    let mut roles: Vec<RoleOn> =
        grants.into_iter().map(|grant| RoleOn { role: grant.role, on: grant.on }).collect();
    roles.sort();
    roles
}

/// `GET …/role-bindings`
pub async fn list_role_bindings(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let tier = call.tenant.tier();
    let found = call.read().await?.role_bindings(&page).await?;
    Ok(Reply::ok(&listed(found, |binding| role_binding(binding, tier))?))
}

/// `POST …/role-bindings`: 201 for a new one, 200 for one that is there.
pub async fn create_role_binding(call: TenantCall) -> Result<Reply, Refused> {
    let grant: Grant = call.input.body()?;
    let tier = call.tenant.tier();
    own(&call, &grant.on)?;
    admit(&grant, tier)?;
    let mut write = call.begin().await?;
    let (binding, is_new) = write.grant(&grant).await.map_err(no_such_node)?;
    let binding = role_binding(binding, tier)?;
    let location = format!("/v1/orgs/{}/role-bindings/{}", call.tenant.slug, binding.id);
    let reply = if is_new { Reply::created(&location, &binding) } else { Reply::ok(&binding) };
    call.finish(write, reply).await
}

/// `GET …/role-bindings/{id}`
pub async fn read_role_binding(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let found = call.read().await?.role_binding(&id).await?;
    Ok(Reply::ok(&role_binding(found, call.tenant.tier())?))
}

/// `DELETE …/role-bindings/{id}`
pub async fn delete_role_binding(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let mut write = call.begin().await?;
    write.revoke(&id).await?;
    call.finish(write, Reply::no_content()).await
}

fn api_token(token: store::ApiToken) -> Result<ApiToken, Refused> {
    Ok(ApiToken {
        id: id(&token.id)?,
        name: token.name.parse().map_err(|_| Refused::internal("a token's name cannot be read"))?,
        role: token.role,
        on: token.on,
        expires_at: time(token.expires_at),
        last_used_at: token.last_used_at.map(time),
        created_at: time(token.created_at),
        created_by: actor(&token.created_by)?,
    })
}

/// `GET …/api-tokens`
pub async fn list_api_tokens(call: TenantCall) -> Result<Reply, Refused> {
    let query: PageQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let mut found = call.read().await?.api_tokens(&page).await?;
    let now = call.input.now;
    found.items.retain(|token| token.kind == store::TokenKind::Token && token.is_live(now));
    Ok(Reply::ok(&listed(found, api_token)?))
}

/// `POST …/api-tokens`
pub async fn create_api_token(call: TenantCall) -> Result<Reply, Refused> {
    let new: CreateApiToken = call.input.body()?;
    own(&call, &new.on)?;
    let seconds = new.expires_in_seconds.unwrap_or(TOKEN_SECONDS_DEFAULT);
    if !TOKEN_SECONDS.contains(&seconds) {
        return Err(Refused::field(ProblemCode::Invalid, "/expires_in_seconds", "use 60 to 31622400"));
    }
    // A role means the same for a program as for a member, and needs the same tier.
    let nobody: Member = "token@mcpg".parse().map_err(|_| Refused::internal("a member"))?;
    admit(&Grant { member: nobody, role: new.role, on: new.on.clone() }, call.tenant.tier())?;
    let token = call.service.token(TokenKind::Api);
    let stored = store::NewApiToken {
        id: Some(token.id().as_str().parse().map_err(|_| Refused::internal("an id"))?),
        name: new.name.to_string(),
        hash: token.hash(&call.service.token_key),
        kind: store::TokenKind::Token,
        role: new.role,
        on: new.on,
        member: None,
        expires_at: call.input.now.saturating_add(i64::from(seconds) * 1000),
    };
    let mut write = call.begin().await?;
    let resource = api_token(write.create_api_token(stored).await.map_err(no_such_node)?)?;
    let location = format!("/v1/orgs/{}/api-tokens/{}", call.tenant.slug, resource.id);
    let reply = Reply::created(&location, &NewApiToken { token: token.reveal().to_owned(), resource });
    call.finish(write, reply).await
}

/// `GET …/api-tokens/{id}`
pub async fn read_api_token(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let found = call.read().await?.api_token(&id).await?;
    Ok(Reply::ok(&api_token(live(found, call.input.now)?)?))
}

/// `DELETE …/api-tokens/{id}`
pub async fn delete_api_token(call: TenantCall) -> Result<Reply, Refused> {
    let id = call.id()?;
    let mut write = call.begin().await?;
    live(write.api_token(&id).await?, call.input.now)?;
    write.revoke_api_token(&id).await?;
    call.finish(write, Reply::empty(StatusCode::NO_CONTENT)).await
}

/// What has ended is not there, and sessions are their members' own.
fn live(token: store::ApiToken, now: i64) -> Result<store::ApiToken, Refused> {
    let counts = token.kind == store::TokenKind::Token && token.is_live(now);
    if counts { Ok(token) } else { Err(Refused::not_found()) }
}

/// A node of another organization is no node.
fn own(call: &TenantCall, node: &Target) -> Result<(), Refused> {
    if *node.organization() == call.tenant.slug {
        Ok(())
    } else {
        Err(no_such_node(store::StoreError::NotFound))
    }
}

fn no_such_node(error: store::StoreError) -> Refused {
    match error {
        store::StoreError::NotFound => {
            Refused::field(ProblemCode::Invalid, "/on", "there is no such node in this organization")
        }
        error => error.into(),
    }
}
