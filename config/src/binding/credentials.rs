//! `credentials:` of a binding: how the gateway gets the token that it sends to the upstream.

use mcpg_sdk::{Cidr, SecretRef};

use crate::{Endpoint, Text, UpstreamTls};

pub(crate) mod read;

/// How the gateway gets the token that it sends to the upstream as `Authorization: Bearer`.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    /// Which grant.
    pub grant: Grant,
    /// The authorization server's token endpoint: `https`, or on this machine.
    pub token_url: Endpoint,
    /// Exactly when that is `https`.
    pub tls: Option<UpstreamTls>,
    /// Addresses that its name may have although they are not public.
    pub allow_addresses: Vec<Cidr>,
    /// The gateway's id there.
    pub client_id: Text,
    /// Its secret there.
    pub client_secret: SecretRef,
    /// How it proves who it is.
    pub auth: ClientAuth,
    /// The scope asked for, names with blanks between them.
    pub scope: Option<String>,
    /// For whom the token shall be.
    pub audience: Vec<String>,
    /// For what the token shall be (RFC 8707): absolute URIs without a fragment.
    pub resource: Vec<String>,
}

/// How a token is got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// One token for the gateway itself (RFC 6749 section 4.4).
    ClientCredentials,
    /// One for each caller, in exchange for the caller's own (RFC 8693).
    TokenExchange {
        /// What the caller's token is: a URI.
        subject_token_type: String,
        /// What kind of token is asked for: a URI; none to leave it to the authorization server.
        requested_token_type: Option<String>,
    },
}

/// How the gateway proves who it is (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the `Authorization` header.
    Basic,
    /// In the body.
    Post,
}
