//! Who is calling: the one shape that every identity provider produces.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    /// `user:alice@acme.com`, `spiffe://acme.org/sa/cron`, or `anonymous`.
    pub subject: String,
    /// Whom the credential was issued for, where the credential says.
    pub audience: Option<String>,
    /// Groups, roles and claims, as policy reads them.
    pub attributes: HashMap<String, Value>,
    /// How the caller proved the subject.
    pub auth_method: AuthMethod,
}

/// How a caller proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// An API key issued by the operator.
    ApiKey,
    /// A user name and password.
    Basic,
    /// A client certificate.
    Mtls,
    /// A token of an OpenID Connect issuer.
    Oidc,
    /// A SPIFFE workload identity.
    Workload,
    /// Nothing: the scope is public by explicit configuration.
    Anonymous,
}

impl AuthMethod {
    /// The name used in policy input, audit rows and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::Mtls => "mtls",
            Self::Oidc => "oidc",
            Self::Workload => "workload",
            Self::Anonymous => "anonymous",
        }
    }
}
