//! Legacy sessions without a store: what a session is lies sealed in its id.
//!
//! A client keeps its `Mcp-Session-Id` and sends it with every request, so whatever any instance needs to serve the session
//! is in there, encrypted and authenticated: whose it is, where it may be used, until when, and the upstreams' own
//! sessions. An id that cannot be opened, or is another caller's, does not exist (404).
//!
//! What one instance remembers beyond that ([`LocalSessions`]) may be lost at any time: a client then gets less (a default log
//! level, an error for a call that waits for it), never what is another's.
//!
//! Source: MCP 2025-11-25 `basic/transports`, "Session Management".

mod client_info;
mod key;
mod local;
mod payload;
mod sealer;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcpg_protocol::RpcError;
use mcpg_sdk::{Caller, Scope};

pub use client_info::client_info;
pub use key::{InvalidKey, KEY_FILE, KeyError, SessionKey, load};
pub use local::{Asked, LocalSession, LocalSessions, NotBegun, Running, TooMany};
pub use sealer::{OpenError, Purpose, RingError, SealError, Sealer};

use crate::upstream::ClientProfile;

/// The header that a session's id is in.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// What is sealed in a session's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken {
    /// Tells sessions apart; the key of what one instance remembers of it.
    pub nonce: [u8; 16],
    /// Digest of the scope and the caller that began it.
    pub caller: [u8; 32],
    /// The path of the endpoint that it was begun at.
    pub endpoint: Box<str>,
    /// UNIX time in seconds from which it does not exist any more.
    pub expires: u64,
    /// What the client said of itself.
    pub client: ClientProfile,
    /// The sessions behind it.
    pub upstreams: Vec<UpstreamRef>,
}

/// A session of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamRef {
    /// The binding's id.
    pub binding: Box<str>,
    /// The upstream's own session id; empty where it has none.
    pub id: Box<str>,
    /// The revision that was agreed with it.
    pub protocol: mcpg_protocol::Revision,
}

/// Seals and opens sessions.
#[derive(Debug)]
pub struct SessionKeys {
    /// The ring, which seals other values for other purposes too.
    pub sealer: Sealer,
}

/// Where a session id arrived, and whose it must be.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The path of the endpoint.
    pub endpoint: &'a str,
    /// The scope.
    pub scope: &'a Scope,
    /// Who presents it.
    pub caller: &'a Caller,
    /// When.
    pub now: SystemTime,
}

/// Why a request belongs to no session. The client is told whether it presented one, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no `Mcp-Session-Id`.
    #[error("the request has no `Mcp-Session-Id`")]
    Missing,
    /// More than one.
    #[error("the request has more than one `Mcp-Session-Id`")]
    Repeated,
    /// It cannot be opened.
    #[error("the session id cannot be opened: {0}")]
    Unreadable(#[from] OpenError),
    /// It was opened, and is no session: sealed by a version of the gateway that writes them differently.
    #[error("the session id holds no session that this version reads")]
    Unknown,
    /// It was begun at another endpoint.
    #[error("the session was begun at another endpoint")]
    OtherEndpoint,
    /// It was begun by somebody else or in another scope.
    #[error("the session is another caller's, or another scope's")]
    OtherCaller,
    /// Its time is over.
    #[error("the session has expired")]
    Expired,
    /// The client has ended it.
    #[error("the session was ended")]
    Ended,
}

impl SessionError {
    /// What the client is told.
    pub fn rpc(self) -> RpcError {
        match self {
            Self::Missing => RpcError::InvalidRequest,
            _ => RpcError::UnknownSession,
        }
    }
}

impl SessionKeys {
    /// Sessions under a ring of keys.
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }

    /// The id of a session.
    ///
    /// # Errors
    /// When it does not fit in a header, or there is no randomness.
    pub fn seal(&self, token: &SessionToken) -> Result<HeaderValue, SealError> {
        let text = self.sealer.seal(Purpose::Session, &token.to_bytes())?;
        HeaderValue::try_from(text).map_err(|_| SealError::Cipher)
    }

    /// The session of an id, whosever it is.
    ///
    /// # Errors
    /// When it is none, or has expired.
    pub fn open(&self, id: &[u8], now: SystemTime) -> Result<SessionToken, SessionError> {
        let mut buffer = [0; Purpose::Session.text_bytes_max() / 4 * 3];
        let payload = self.sealer.open_in(Purpose::Session, id, &mut buffer)?;
        let token = SessionToken::from_bytes(payload).ok_or(SessionError::Unknown)?;
        if token.has_expired(now) { Err(SessionError::Expired) } else { Ok(token) }
    }

    /// The session that a request belongs to: the one place where it is decided.
    ///
    /// # Errors
    /// When it belongs to none that it may use.
    pub fn admit(
        &self,
        arrived: &Arrived<'_>,
        local: &LocalSessions,
    ) -> Result<Arc<SessionToken>, SessionError> {
        let mut ids = arrived.headers.get_all(SESSION_ID).into_iter();
        let id = match (ids.next(), ids.next()) {
            (None, _) => return Err(SessionError::Missing),
            (Some(_), Some(_)) => return Err(SessionError::Repeated),
            (Some(id), None) => id,
        };
        let token = self.open(id.as_bytes(), arrived.now)?;
        if blake3::Hash::from(token.caller) != caller_hash(arrived.scope, arrived.caller) {
            return Err(SessionError::OtherCaller);
        }
        if *token.endpoint != *arrived.endpoint {
            return Err(SessionError::OtherEndpoint);
        }
        if local.has_ended(&token.nonce) {
            return Err(SessionError::Ended);
        }
        Ok(Arc::new(token))
    }
}

impl SessionToken {
    /// What tells a new session apart.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn fresh_nonce() -> Result<[u8; 16], SealError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Randomness)?;
        Ok(nonce)
    }

    /// It as bytes: what is sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        payload::encode(self)
    }

    /// A session as bytes, read back; none if they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        payload::decode(bytes)
    }

    /// The session of a binding behind it.
    pub fn upstream(&self, binding: &str) -> Option<&UpstreamRef> {
        self.upstreams.iter().find(|upstream| *upstream.binding == *binding)
    }

    /// Whether it does not exist any more. A clock from before 1970 is wrong, so nothing exists then.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        now.duration_since(UNIX_EPOCH).map_or(true, |now| now.as_secs() >= self.expires)
    }
}

/// Digest of a scope and a caller, by which a session knows its owner. A caller that changes its credential, and not the way it
/// proves who it is, stays the same.
pub fn caller_digest(scope: &Scope, caller: &Caller) -> [u8; 32] {
    caller_hash(scope, caller).into()
}

fn caller_hash(scope: &Scope, caller: &Caller) -> blake3::Hash {
    // The context as a key, so that it is not hashed anew each time.
    const KEY: &[u8; 32] = b"mcpg 2026-08 callers of sessions";
    let mut hasher = blake3::Hasher::new_keyed(KEY);
    let parts = [
        scope.organization(),
        scope.workspace(),
        scope.environment(),
        caller.subject.as_str(),
        caller.auth_method.as_str(),
    ];
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests;
