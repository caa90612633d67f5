//! Signing in with an organization's OpenID Connect provider.

use mcpg_cp_api::{ProblemCode, SingleSignOn};
use mcpg_filters::net::HttpUrl;

use crate::api::refused::Refused;

const DOMAINS_MAX: usize = 20;

/// Checks what an organization says of its provider, before it is kept.
///
/// # Errors
/// What is wrong with it.
pub fn check(sign_on: &SingleSignOn) -> Result<(), Refused> {
    let wrong = |member: &str, detail: &str| {
        Refused::field(ProblemCode::Invalid, format!("/single_sign_on/{member}"), detail)
    };
    let plain = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !plain(&sign_on.issuer, 512)
        || sign_on.issuer.parse::<HttpUrl>().is_err()
        || sign_on.issuer.contains(['?', '#'])
    {
        return Err(wrong("issuer", "use the issuer's URL, without query and fragment"));
    }
    if !plain(&sign_on.client_id, 256) {
        return Err(wrong("client_id", "use 1 to 256 printable characters of ASCII"));
    }
    if !(1..=DOMAINS_MAX).contains(&sign_on.domains.len()) {
        return Err(wrong("domains", "name 1 to 20 domains"));
    }
    Ok(())
}
