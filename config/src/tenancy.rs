//! `tenancy:`: the scope that this gateway serves.

use mcpg_sdk::Scope;

pub(crate) mod read;

/// Whom this gateway serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// The one scope of every request.
    pub scope: Scope,
}
