//! The organization that a request names, by its path, its header or its host.

use super::super::refused::Refused;
use super::super::tenant_name::TenantName;
use crate::store::{Org, Platform, StoreError};

/// Whether all that a request says of its organization is true of this one.
pub(super) fn is_named(org: &Org, name: &TenantName) -> bool {
    let by_slug = name.slug.as_ref().is_none_or(|slug| *slug == org.slug);
    let by_subdomain =
        name.subdomain.as_ref().is_none_or(|label| org.subdomain.as_deref() == Some(label.as_str()));
    by_slug && by_subdomain
}

/// The organization that a request of an administrator of the service names.
pub(super) async fn resolve(platform: &Platform, name: &TenantName) -> Result<Option<Org>, Refused> {
    let found = |result: Result<Org, StoreError>| match result {
        Ok(org) => Ok(Some(org)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(Refused::from(error)),
    };
    let by_slug = match &name.slug {
        Some(slug) => found(platform.org_by_slug(slug).await)?,
        None => None,
    };
    let Some(subdomain) = &name.subdomain else { return Ok(by_slug) };
    let by_subdomain = found(platform.org_by_subdomain(subdomain.as_str()).await)?;
    // What is said twice must be the same.
    Ok(match (&name.slug, by_slug, by_subdomain) {
        (None, _, by_subdomain) => by_subdomain,
        (Some(_), Some(one), Some(other)) if one.id == other.id => Some(one),
        _ => None,
    })
}
