//! `bindings[].credentials` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::OneOrMany;
use crate::wire::binding::Tls;

/// How the gateway gets the token that it sends to the upstream as `Authorization: Bearer`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Which grant.
    #[serde(rename = "type")]
    pub(crate) kind: Grant,
    /// The authorization server's token endpoint: `https://`, or `http://` on this machine.
    pub(crate) token_url: String,
    /// The gateway's id there: a text or a `$secret://` reference.
    pub(crate) client_id: String,
    /// Its secret there: a `$secret://` reference.
    pub(crate) client_secret: String,
    /// How it proves who it is: in the `Authorization` header (`basic`) or in the body (`post`).
    #[serde(default)]
    pub(crate) auth: ClientAuth,
    /// The scope asked for: names with blanks between them, or a list.
    pub(crate) scope: Option<OneOrMany>,
    /// For whom the token shall be: names known to the authorization server.
    pub(crate) audience: Option<OneOrMany>,
    /// For what the token shall be: absolute URIs (RFC 8707).
    pub(crate) resource: Option<OneOrMany>,
    /// What the caller's token is. Only with `token_exchange`. Default: an access token.
    pub(crate) subject_token_type: Option<String>,
    /// What kind of token is asked for. Only with `token_exchange`. Default: for the authorization server to say.
    pub(crate) requested_token_type: Option<String>,
    /// How the authorization server's certificate is judged. Only with `https://`.
    pub(crate) tls: Option<Tls>,
    /// Blocks of addresses (CIDR), one or a list, that the name in `token_url` may have although they are not public. Default: none.
    pub(crate) allow_addresses: Option<OneOrMany>,
}

/// How a token is got.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grant {
    /// One token for the gateway itself (RFC 6749 section 4.4).
    ClientCredentials,
    /// One for each caller, in exchange for the caller's own (RFC 8693).
    TokenExchange,
}

/// How the gateway proves who it is (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAuth {
    /// In the `Authorization` header.
    #[default]
    Basic,
    /// In the body.
    Post,
}
