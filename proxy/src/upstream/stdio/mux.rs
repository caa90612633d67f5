//! Many conversations over one pair of pipes. Pure: text comes in, text goes out.
//!
//! Ids and progress tokens are the caller's own and say nothing of whose they are, so two callers may use the same. On the way in
//! each request gets a number of ours in their place, on the way out the caller's own come back; nothing else is touched.
//!
//! INVARIANTS:
//! - A number is used once. An answer goes to the request of its number or to nobody.
//! - A message without such a number goes to nobody else's stream while several callers share the process.
//! - What the process writes is one strict JSON text, or nobody gets it.
//!
//! Sources: MCP 2026-07-28 and 2025-11-25 `basic/transports/stdio`, `basic/patterns/cancellation`, `basic/patterns/progress`.

mod arrive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use mcpg_protocol::raw::{self, Raw};
use mcpg_protocol::{JsonError, Limits, Method};

pub(super) use arrive::{Arrived, Stray, refusal};

/// Requests under way in one process.
const CALLS_MAX: usize = 4096;
/// Numbers of requests that nobody waits for any more, but that may be answered yet.
const FORGOTTEN_MAX: usize = 4096;

/// Who speaks to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// One caller.
    One,
    /// Several, who must not hear of each other.
    Many,
}

/// Who a request is from, as far as its id must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A session.
    Session([u8; 16]),
    /// Nobody who could name the request again.
    Nobody,
}

/// The conversations of one process. `T` is where the messages of a request go.
#[derive(Debug)]
pub(super) struct Mux<T> {
    audience: Audience,
    limits: Limits,
    /// Whether an `initialize` went out: then the process may ask back.
    pub(super) in_session: bool,
    /// Whether nothing was asked but what the process speaks (`server/discover`).
    pub(super) is_pristine: bool,
    last: u64,
    calls: BTreeMap<u64, Call<T>>,
    forgotten: VecDeque<u64>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Call<T> {
    /// Its id as the caller wrote it.
    id: Box<str>,
    /// Its progress token, likewise.
    token: Option<Box<str>>,
    owner: Owner,
    /// Whether it is a subscription, which gets nothing but what is tagged for it.
    lasting: bool,
    /// Where its messages go.
    pub(super) sink: T,
    /// Whether the process may have got it.
    pub(super) sent: bool,
}

/// A request on its way in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) number: u64,
    /// The line to write.
    pub(super) line: Bytes,
}

/// Why a message does not go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MuxError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not the message that it should be.
    #[error("not the message that was expected")]
    Shape,
    /// Too many requests are under way.
    #[error("too many requests are under way in the process")]
    Full,
}

impl<T> Mux<T> {
    /// No conversation yet.
    pub(super) fn new(audience: Audience, limits: Limits) -> Self {
        let forgotten = VecDeque::new();
        Self {
            audience,
            limits,
            in_session: false,
            is_pristine: true,
            last: 0,
            calls: BTreeMap::new(),
            forgotten,
        }
    }

    /// Takes a request in.
    pub(super) fn begin(&mut self, text: &str, owner: Owner, sink: T) -> Result<Begun, MuxError> {
        let paths: [&[&str]; 3] = [&["id"], &["method"], &["params", "_meta", "progressToken"]];
        let [Some(id), Some(method), token] = raw::find(text, paths, &self.limits)? else {
            return Err(MuxError::Shape);
        };
        if self.calls.len() >= CALLS_MAX {
            return Err(MuxError::Full);
        }
        let method = method_of(&method);
        self.in_session |= method == Some(Method::Initialize);
        self.is_pristine &= method == Some(Method::ServerDiscover);
        let lasting = method == Some(Method::SubscriptionsListen);
        self.last += 1;
        let number = self.last;
        let mut edits = vec![(id.span.clone(), number.to_string())];
        edits.extend(token.as_ref().map(|token| (token.span.clone(), number.to_string())));
        let line = framed(raw::splice_all(text, edits));
        let token = token.map(|token| token.text.into());
        self.calls.insert(number, Call { id: id.text.into(), token, owner, lasting, sink, sent: false });
        Ok(Begun { number, line })
    }

    /// Takes a notification in: the line to write, none if it is not for the process. A request that it cancels is given up.
    pub(super) fn note(&mut self, text: &str, owner: Owner) -> Result<Option<Bytes>, MuxError> {
        let paths: [&[&str]; 3] = [&["method"], &["params", "requestId"], &["id"]];
        let [Some(method), request, None] = raw::find(text, paths, &self.limits)? else {
            return Err(MuxError::Shape);
        };
        match (method_of(&method), self.audience) {
            (Some(Method::Cancelled), _) => Ok(self.cancel_by_id(text, request, owner)),
            // The session is the gateway's own: what the others say of themselves is not for it.
            (_, Audience::Many) => Ok(None),
            (_, Audience::One) => Ok(Some(framed(text.to_owned()))),
        }
    }

    /// Takes an answer of the client in: to what the process asked.
    pub(super) fn respond(&self, text: &str) -> Result<Option<Bytes>, MuxError> {
        let [Some(_), None] = raw::find(text, [&["id"], &["method"]], &self.limits)? else {
            return Err(MuxError::Shape);
        };
        let asked = self.audience == Audience::One && self.in_session;
        Ok(asked.then(|| framed(text.to_owned())))
    }

    /// Gives a request up: the line that says so, and the request; none if it is not under way.
    pub(super) fn give_up(&mut self, number: u64) -> Option<(Bytes, Call<T>)> {
        let call = self.calls.remove(&number)?;
        self.forget(number);
        let line = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number}}}}}"#
        );
        Some((framed(line), call))
    }

    /// Notes that the process may have got a request.
    pub(super) fn sent(&mut self, number: u64) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.sent = true;
        }
    }

    /// A request under way.
    pub(super) fn call(&self, number: u64) -> Option<&Call<T>> {
        self.calls.get(&number)
    }

    /// Ends a request.
    pub(super) fn end(&mut self, number: u64) -> Option<Call<T>> {
        self.calls.remove(&number)
    }

    /// Ends all.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Call<T>> + use<T> {
        std::mem::take(&mut self.calls).into_values()
    }

    /// How many requests are under way.
    pub(super) fn under_way(&self) -> usize {
        self.calls.len()
    }

    /// The one request under way to which a message without a number can belong.
    pub(super) fn sole(&self) -> Option<u64> {
        let mut calls = self.calls.iter().filter(|(_, call)| !call.lasting);
        calls.next().filter(|_| calls.next().is_none()).map(|(number, _)| *number)
    }

    /// The one of those that began last.
    pub(super) fn latest(&self) -> Option<u64> {
        self.calls.iter().rfind(|(_, call)| !call.lasting).map(|(number, _)| *number)
    }

    fn cancel_by_id(&mut self, text: &str, request: Option<Raw<'_>>, owner: Owner) -> Option<Bytes> {
        let request = request.filter(|_| owner != Owner::Nobody)?;
        let names = |call: &Call<T>| call.owner == owner && self.is_same_id(&call.id, &request);
        let number = *self.calls.iter().rfind(|(_, call)| names(call))?.0;
        self.calls.remove(&number);
        self.forget(number);
        Some(framed(raw::splice(text, request.span, &number.to_string())))
    }

    /// Whether two ids are the same, however they are spelled.
    fn is_same_id(&self, one: &str, other: &Raw<'_>) -> bool {
        if one == other.text {
            return true;
        }
        let one = raw::find(one, [&[]], &self.limits);
        let one = one.ok().and_then(|[one]| one?.as_str().map(std::borrow::Cow::into_owned));
        one.is_some() && one.as_deref() == other.as_str().as_deref()
    }

    fn forget(&mut self, number: u64) {
        if self.forgotten.len() >= FORGOTTEN_MAX {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(number);
    }
}

fn method_of<'a>(method: &Raw<'a>) -> Option<Method<'a>> {
    method.as_str().map(Method::parse)
}

/// A message as a line. INVARIANT: in strict JSON a raw newline stands between values only, where a blank means the same.
pub(super) fn framed(text: String) -> Bytes {
    let mut line = text.into_bytes();
    for byte in line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    line.push(b'\n');
    Bytes::from(line)
}
