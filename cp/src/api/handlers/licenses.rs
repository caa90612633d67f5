//! The licence of an organization.

use mcpg_cp_api::{InstallLicense, License, ProblemCode, Timestamp};
use mcpg_license::Tier;

use super::super::call::TenantCall;
use super::super::conditions::Condition;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::tagged;
use crate::license::InForce;
use crate::store::OrgChange;

fn license(version: i64, in_force: &InForce) -> License {
    let held = in_force.license.as_ref();
    let expires_at = held.and_then(|held| i64::try_from(held.expires_at).ok());
    License {
        etag: version.to_string(),
        tier: in_force.tier_shown(),
        refused: in_force.refused.map(|error| error.to_string()),
        license_id: held.map(|held| held.id.clone()),
        key_id: held.map(|held| held.key_id.clone()),
        entitlements: held
            .map(|held| held.globs.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        quotas: in_force.quotas(),
        audit_retention_days: u32::try_from(in_force.tier.audit_retention().as_secs() / 86_400)
            .unwrap_or(u32::MAX),
        expires_at: expires_at.map(|seconds| Timestamp::from_unix_ms(seconds.saturating_mul(1000))),
    }
}

/// `GET …/license`
pub async fn read_license(call: TenantCall) -> Result<Reply, Refused> {
    let found = license(call.tenant.org.version, &call.tenant.license);
    tagged(&call.input, &found.etag, &found)
}

/// `PUT …/license`
pub async fn install_license(call: TenantCall) -> Result<Reply, Refused> {
    let tags = Condition::of_existing(&call.input.headers)?;
    let new: InstallLicense = call.input.body()?;
    let slug = call.tenant.slug.as_str();
    let in_force = InForce::of(Some(&new.license), slug, &call.service.license_keys, call.input.now);
    if let Some(error) = in_force.refused {
        return Err(Refused::field(ProblemCode::Invalid, "/license", error.to_string()));
    }
    replace(call, &tags, Some(new.license), &in_force).await
}

/// `DELETE …/license`
pub async fn remove_license(call: TenantCall) -> Result<Reply, Refused> {
    let tags = Condition::of_existing(&call.input.headers)?;
    let none = InForce { tier: Tier::Community, license: None, refused: None };
    replace(call, &tags, None, &none).await
}

async fn replace(
    call: TenantCall,
    tags: &[String],
    text: Option<String>,
    in_force: &InForce,
) -> Result<Reply, Refused> {
    let mut write = call.begin().await?;
    let org = write.org().await?;
    Condition::matching(tags, &org.version.to_string())?;
    let change = OrgChange { licence: Some(text), ..OrgChange::default() };
    let changed = write.update_org(Some(org.version), change).await?;
    let shown = license(changed.version, in_force);
    let reply = Reply::ok(&shown).with_etag(&shown.etag);
    call.finish(write, reply).await
}
