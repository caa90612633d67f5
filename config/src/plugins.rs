//! `plugins:`: the filters of the pipeline and what they may do.

use std::collections::BTreeMap;

use mcpg_sdk::{Capability, Settings};

pub use revocation::{RevocationList, Revoked};

pub(crate) mod builtin;
pub(crate) mod read;
mod revocation;
mod trust;

/// The filters, in the order of the file, and the rules for artifacts of others.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugins {
    /// The entries.
    pub load: Vec<Plugin>,
    /// Whether an artifact without a valid signature is refused.
    pub require_signed: bool,
    /// Whose signatures are valid.
    pub trusted_keys: Vec<TrustedKey>,
    /// What each plugin may ask of the gateway, by the plugin's id.
    pub capability_grants: BTreeMap<String, Vec<Capability>>,
    /// Artifacts that must not run: those of the file, and those that a control plane revokes.
    pub revocation_list: RevocationList,
}

impl Plugins {
    /// The entries of a kind (`identity`, `policy`, …), in order, each with its index in [`Plugins::load`].
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (usize, &'a Plugin)> {
        self.load.iter().enumerate().filter(move |(_, plugin)| plugin.kind() == kind)
    }
}

/// One filter as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// The canonical id, such as `identity.api-key`, whichever alias the file used.
    pub id: &'static str,
    /// What tells two entries of one id apart; also in logs and metrics.
    pub name: Option<String>,
    /// A policy engine that is asked and recorded, and decides nothing.
    pub shadow: bool,
    /// For the filter itself to parse; [`crate::Config::locate`] gives its errors a position. Those of
    /// `observability.audit` are in [`crate::Config::audit`] instead, and empty here.
    pub settings: Settings,
}

impl Plugin {
    /// What stands before the id's dot: `identity`, `policy`, …
    pub fn kind(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(kind, _)| kind)
    }

    /// The name if it has one, else the id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id)
    }
}

/// A key whose signatures on artifacts are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The name that signatures refer to; unique.
    pub id: String,
    /// The Ed25519 public key, a PEM block (`SubjectPublicKeyInfo`).
    pub public_key: String,
    /// Globs of the plugin ids it may sign; empty for any.
    pub plugins: Vec<String>,
}
