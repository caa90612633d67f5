//! `requestState` of what the gateway asks a modern client in a legacy upstream's place.
//!
//! Sealed, so that a client can only hand it back, and bound to whose it is, to the request that it was an answer to, to the
//! instance that holds the call, and to a time. INVARIANT: what it names is taken once ([`super::Parked`]).
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`, "Server Requirements".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcpg_protocol::bridge::Request;
use mcpg_protocol::{Limits, RpcError};
use serde_json::Value;

use super::failure::Failure;
use crate::sessions::{Purpose, Sealer};

const WAITING: u8 = 1;
const AGAIN: u8 = 2;

/// What a `requestState` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A call that waits here, by its key.
    Waiting([u8; 16]),
    /// A call to be made again, once so many pages have been visited (-32042 of 2025-11-25).
    Again(u8),
}

/// What a `requestState` is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// Whose request it was.
    pub(super) caller: [u8; 32],
    /// Digest of what the request was about, and where it arrived.
    pub(super) subject: [u8; 32],
    /// The process that answered it.
    pub(super) instance: [u8; 16],
}

/// Seals a state.
///
/// # Errors
/// When it cannot be sealed.
pub(super) fn seal(
    sealer: &Sealer,
    state: State,
    bound: &Bound,
    now: SystemTime,
    lasts: Duration,
) -> Result<String, Failure> {
    let expires = seconds(now).saturating_add(lasts.as_secs().max(1));
    let mut value = Vec::with_capacity(128);
    match state {
        State::Waiting(key) => {
            value.push(WAITING);
            value.extend_from_slice(&key);
        }
        State::Again(pages) => {
            value.push(AGAIN);
            value.extend_from_slice(&[pages; 16]);
        }
    }
    value.extend_from_slice(&bound.caller);
    value.extend_from_slice(&bound.subject);
    value.extend_from_slice(&bound.instance);
    value.extend_from_slice(&expires.to_be_bytes());
    sealer.seal(Purpose::RequestState, &value).map_err(|error| {
        tracing::error!(%error, "a request state cannot be sealed");
        Failure::said(RpcError::InternalError, "unsealed", RpcError::InternalError.message())
    })
}

/// Opens a state that a client hands back.
///
/// # Errors
/// When it is none, or not for this caller, request, instance or time.
pub(super) fn open(sealer: &Sealer, text: &str, bound: &Bound, now: SystemTime) -> Result<State, Failure> {
    let forged = || {
        // Nothing more precise: whoever forges learns nothing.
        Failure::said(
            RpcError::InvalidParams,
            "request_state",
            "`requestState` is not valid for this request",
        )
    };
    let value = sealer.open(Purpose::RequestState, text.as_bytes()).map_err(|_| forged())?;
    let read = Sealed::read(&value).ok_or_else(forged)?;
    if blake3::Hash::from(read.bound.caller) != blake3::Hash::from(bound.caller)
        || read.bound.subject != bound.subject
    {
        return Err(forged());
    }
    if seconds(now) >= read.expires {
        return Err(gone("the request was answered too late"));
    }
    match read.state {
        State::Waiting(_) if read.bound.instance != bound.instance => {
            Err(gone("the request waits at another instance of the gateway"))
        }
        state => Ok(state),
    }
}

/// What is answered is not here (any more).
pub(super) fn gone(message: &'static str) -> Failure {
    Failure::said(RpcError::InputStateUnknown, RpcError::InputStateUnknown.reason(), message)
}

/// Digest of what a request is about, and of where it arrived: the same when it is repeated, however its client orders the
/// members and spaces them.
pub(super) fn subject(endpoint: &str, binding: &str, request: &Request<'_>, limits: &Limits) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026-08 subjects of requests");
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(endpoint.as_bytes());
    part(binding.as_bytes());
    part(request.method().as_str().as_bytes());
    let mut members: Vec<_> = request.subject().collect();
    members.sort_unstable_by(|left, right| left.key.cmp(&right.key));
    for member in members {
        part(member.key.as_bytes());
        let mut canonical = Vec::with_capacity(member.value.raw().len());
        match serde_json::from_str::<Value>(member.value.raw()) {
            // INVARIANT: it nests no deeper than `depth_max`, which the pass over the message has held.
            Ok(value) => write_canonical(&mut canonical, &value, limits.depth_max),
            Err(_) => canonical.extend_from_slice(member.value.raw().as_bytes()),
        }
        part(&canonical);
    }
    *hasher.finalize().as_bytes()
}

fn write_canonical(out: &mut Vec<u8>, value: &Value, depth: u32) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by(|left, right| left.0.cmp(right.0));
            out.push(b'{');
            for (key, value) in members {
                mcpg_protocol::write_string(out, key);
                out.push(b':');
                write_canonical(out, value, depth);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(elements) => {
            out.push(b'[');
            for element in elements {
                write_canonical(out, element, depth);
                out.push(b',');
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

struct Sealed {
    state: State,
    bound: Bound,
    expires: u64,
}

impl Sealed {
    fn read(value: &[u8]) -> Option<Self> {
        let (kind, rest) = value.split_first()?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (caller, rest) = rest.split_first_chunk::<32>()?;
        let (subject, rest) = rest.split_first_chunk::<32>()?;
        let (instance, rest) = rest.split_first_chunk::<16>()?;
        let expires = u64::from_be_bytes(*rest.first_chunk::<8>().filter(|_| rest.len() == 8)?);
        let state = match *kind {
            WAITING => State::Waiting(*key),
            AGAIN => State::Again(*key.first()?),
            _ => return None,
        };
        Some(Self {
            state,
            bound: Bound { caller: *caller, subject: *subject, instance: *instance },
            expires,
        })
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
