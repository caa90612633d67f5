//! The gateway's side of its control plane: it enrols, follows the revisions of its environments, keeps the last good one on disk, and says
//! what came of each.
//!
//! A revision is a scope of the configuration that comes over the network instead of from a file beside it: once its signature and its digest
//! hold, it is unpacked into a folder of its own and read as a scope file, bounded by `control_plane` of the gateway's own file
//! ([`mcpg_sdk::Base`]). It goes the way of every reload, so requests see one revision from beginning to end.
//!
//! Beside the revisions, and for all of an organization's environments alike, come its standing terms: artifacts that must not run, and the licence
//! (the `terms` module).
//!
//! INVARIANTS:
//! - Nothing is unpacked whose signature by the control plane's key, digest, environment and number do not hold. The key is the one whose
//!   fingerprint stands in the enrollment token.
//! - Numbers only grow: an older revision that is sent again is not applied.
//! - Versions of terms only grow, and so do those of the lists in them. A list holds from the moment that it was verified, whatever becomes of the reload.
//!   Terms on disk that do not hold close their environment until others are received.
//! - What is marked as current on disk has been in force. Whatever fails, that stays, across restarts and while the control plane is away.

mod agent;
mod attach;
mod audit;
mod client;
mod folder;
mod joining;
mod key;
mod pushed;
mod standing;
mod terms;
#[cfg(test)]
mod tests;
mod token;
mod verify;

pub use agent::Agent;
pub use attach::{Attached, attach, on_disk};
pub use audit::{Forwarder, Progress};
pub use client::ClientError;
pub use joining::Joining;
pub use pushed::{Push, PushRequest, PushedScopes};
pub use standing::Standing;
pub use verify::{RevisionError, TermsError};
