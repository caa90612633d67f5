//! Where lists come from: an upstream as a catalogue sees it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mcpg_protocol::Era;
use mcpg_protocol::catalogue::{ClientClass, ListKind};
use mcpg_sdk::{Caller, Scope};

use super::FetchError;
use crate::upstream::OnBehalf;

/// For whom lists are fetched.
#[derive(Clone)]
pub struct Requester {
    /// The scope.
    pub scope: Scope,
    /// Who asks first.
    pub caller: Arc<Caller>,
    /// The bearer token that the caller presented, for an exchange and for nothing else.
    pub bearer: Option<Bytes>,
    /// The trace to join.
    pub traceparent: Option<[u8; 55]>,
    /// What its client can do.
    pub class: ClientClass,
}

/// An upstream.
#[async_trait]
pub trait Source: Send + Sync {
    /// Begins to ask it. What it needs for that (a session) is held until the listing is dropped.
    ///
    /// # Errors
    /// When it cannot be reached.
    async fn listing(&self, requester: &Requester) -> Result<Box<dyn Listing>, FetchError>;

    /// Whether it tells callers apart by credentials of their own, so that what it lists is one caller's only.
    fn is_per_caller(&self) -> bool;
}

/// A conversation with an upstream about what it has.
#[async_trait]
pub trait Listing: Send {
    /// The era that it is spoken to in.
    fn era(&self) -> Era;

    /// What it says of itself: the result of `initialize` or of `server/discover`.
    ///
    /// # Errors
    /// When it does not say.
    async fn about(&mut self) -> Result<Box<str>, FetchError>;

    /// Its answer to a list request: the whole response.
    ///
    /// # Errors
    /// When it gives none.
    async fn page(&mut self, kind: ListKind, cursor: Option<&str>) -> Result<Bytes, FetchError>;
}

impl Requester {
    /// For whom upstreams are spoken to.
    pub fn on_behalf(&self) -> OnBehalf<'_> {
        OnBehalf {
            caller: &self.caller,
            bearer: self.bearer.as_deref(),
            traceparent: self.traceparent.as_ref().map(<[u8; 55]>::as_slice),
        }
    }

    /// Tells callers apart whose lists must not be mixed: by all that an identity provider said of them.
    pub(super) fn digest(&self) -> [u8; 32] {
        let caller = &self.caller;
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 callers of private lists");
        let mut text = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for part in [
            self.scope.organization(),
            self.scope.workspace(),
            self.scope.environment(),
            &caller.subject,
            caller.auth_method.as_str(),
            if caller.audience.is_some() { "audience" } else { "" },
            caller.audience.as_deref().unwrap_or_default(),
        ] {
            text(part);
        }
        let mut attributes: Vec<_> = caller.attributes.iter().collect();
        attributes.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in attributes {
            text(name);
            text(&value.to_string());
        }
        hasher.finalize().into()
    }
}
