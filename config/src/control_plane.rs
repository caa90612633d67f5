//! `control_plane:`: who says what the gateway serves, and what of the machine that may touch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpg_sdk::{Bounds, Cidr, Scope, SecretRef};

use crate::{Endpoint, RevocationList, UpstreamTls};

pub(crate) mod bounds;
pub(crate) mod read;

/// The control plane that a gateway belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlPlane {
    /// Its address; `https`, or on this machine. The path is `/`.
    pub url: Endpoint,
    /// Exactly when the address is `https`.
    pub tls: Option<UpstreamTls>,
    /// Addresses that its name may have although they are not public.
    pub allow_addresses: Vec<Cidr>,
    /// Tokens to enrol with, none twice.
    pub enroll_tokens: Vec<SecretRef>,
    /// What the gateway is called there; none for the host name.
    pub name: Option<String>,
    /// What revisions can be staged by.
    pub labels: BTreeMap<String, String>,
    /// How often the gateway says how it is.
    pub heartbeat: Duration,
    /// Whether the rows of the audit log go there.
    pub audit: bool,
    /// What revisions may name of the machine.
    pub bounds: Arc<Bounds>,
    /// What revisions may have the gateway dial although it is not public.
    pub networks: Vec<Cidr>,
}

/// The file of a scope that a control plane has pushed. It is bounded by [`ControlPlane::bounds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The scope.
    pub scope: Scope,
    /// Its file, in a folder of its own that holds the other files it names.
    pub file: PathBuf,
    /// Artifacts that must not run in its organization, whatever the file says; none where the control plane has not said.
    pub revoked: Option<Arc<RevocationList>>,
}

#[cfg(test)]
mod tests;
