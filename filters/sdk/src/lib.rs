//! What filters and plugins see of a request, and what they answer.
//!
//! Every identity provider produces the same [`Caller`]; every policy engine reads the same
//! [`Call`] and answers with the same [`Decision`]. A filter never sees a socket or a framework type.

mod base;
mod call;
mod caller;
mod capability;
mod cidr;
mod decision;
mod obligation;
pub mod policy;
mod scope;
mod settings;

pub use base::{Base, Bounds, BoundsError};
pub use call::{Call, Target};
pub use caller::{AuthMethod, Caller};
pub use capability::Capability;
pub use cidr::{Cidr, CidrError};
pub use decision::{Decision, DenyReason};
pub use obligation::{Detector, Obligation, ObligationError, POINTER_ANY, RedactMode, Redacted};
pub use scope::{Scope, ScopeError};
pub use settings::{Secret, SecretRef, SecretRefError, Settings, SettingsError};
