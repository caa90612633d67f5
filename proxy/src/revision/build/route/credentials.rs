//! From `credentials:` of a binding to what gets its tokens.

use std::sync::Arc;

use mcpg_config::{ClientAuth, HttpTransport};

use super::{Ground, Reached, resolved, text};
use crate::peer::Http2;
use crate::upstream::credentials::{Client, Credentials, HttpTokenEndpoint, Wanted};

/// The credentials of a binding, if it has any.
pub(super) async fn build(
    id: &str,
    binding: &HttpTransport,
    ground: &Ground<'_>,
) -> Result<Option<Credentials>, String> {
    let Some(configured) = &binding.credentials else { return Ok(None) };
    let client_id = text(&configured.client_id, ground.secrets)?;
    let secret = ground.secrets.resolve(&configured.client_secret).map_err(|error| error.to_string())?;
    let client = match configured.auth {
        ClientAuth::Basic => Client::basic(client_id.expose(), secret.expose())
            .ok_or("`credentials`: `client_id` and `client_secret` are too long for a header")?,
        ClientAuth::Post => Client::post(client_id.expose(), secret.expose()),
    };
    // One version of HTTP is enough for one small request now and then.
    let (url, tls) = (&configured.token_url, configured.tls.as_ref());
    let allowed = &configured.allow_addresses;
    let reached = Reached { url, key: "credentials.token_url", allowed, tls, http2: Http2::Off };
    let http = resolved(id, reached.parts(binding, ground)?)
        .await
        .map_err(|problem| format!("`credentials.token_url`: {problem}"))?;
    let endpoint = HttpTokenEndpoint { http, client, metrics: ground.metrics.tokens(id) };
    let wanted = Wanted {
        grant: configured.grant.clone(),
        scope: configured.scope.clone(),
        audience: configured.audience.clone(),
        resource: configured.resource.clone(),
    };
    Ok(Some(Credentials::new(Arc::new(endpoint), &wanted)))
}
