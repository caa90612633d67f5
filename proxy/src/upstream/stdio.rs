//! MCP servers that are processes of the gateway's own: newline-delimited JSON over standard input and output.
//!
//! To the rest of the gateway such a server is one more upstream that is spoken to as over Streamable HTTP: `initialize` is
//! answered with an `Mcp-Session-Id`, a session has a stream (GET) and an end (DELETE), a request of the modern era stands alone
//! and is cancelled by closing its answer.
//!
//! | `sessions:` | server with sessions | server of the modern era |
//! | --- | --- | --- |
//! | `per_session` | a process for each session | a process for each caller |
//! | `shared` | one process, one session of the gateway's own | one process |
//!
//! INVARIANT: an answer reaches the request that it is of, or nobody (`mux`). INVARIANT: a process ends with the binding
//! (`keeper`), and nothing of it is left.
//!
//! Sources: MCP 2026-07-28 and 2025-11-25 `basic/transports/stdio`.

mod backoff;
mod keeper;
mod lines;
mod mux;
mod noise;
mod outlet;
mod owned;
mod permitted;
mod process;
mod processes;
mod program;
mod reply;
mod settings;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use mcpg_protocol::{Method, RpcError, raw, write_error};
use mcpg_sdk::Caller;
use tokio::sync::broadcast;
use tokio::time::Instant;

pub use keeper::{Become, Keep, KeeperError, Limits};
pub use processes::Processes;
pub use program::{Environment, ProgramError, working_folder};
pub use settings::{Sharing, StdioSettings};

use super::{Outgoing, Reply, UpstreamError, Verb};
use crate::metrics::ProcessMetrics;
use crate::sessions::{SESSION_ID, caller_digest};
use mux::Owner;
use owned::Owned;
use process::Process;
use reply::{Answer, Manner, silent};
use shared::Shared;

/// A process that was just started may take so long to say its first word: some load themselves over the network.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Announcements that wait for whoever listens.
const EVENTS_MAX: usize = 64;

/// A server that is a process, or as many as its sessions need.
pub struct StdioUpstream {
    common: Arc<Common>,
    way: Way,
}

/// What all processes of a binding have in common.
struct Common {
    settings: Arc<StdioSettings>,
    processes: Arc<Processes>,
    metrics: ProcessMetrics,
    events: broadcast::Sender<Bytes>,
}

enum Way {
    Shared(Shared),
    Owned(Owned),
}

/// A message on its way to a process.
struct Incoming<'a> {
    text: &'a str,
    kind: Kind<'a>,
    /// The session that it names.
    session: Option<[u8; 16]>,
    /// Whether its answer may last.
    lasting: bool,
    /// When it must have ended.
    deadline: Option<Instant>,
}

enum Kind<'a> {
    Request { id: &'a str, method: Method<'a> },
    Notification,
    Response,
}

impl StdioUpstream {
    /// A server as configured. Its first process is started when it is needed.
    pub fn new(settings: StdioSettings, processes: Arc<Processes>, metrics: ProcessMetrics) -> Self {
        let (settings, events) = (Arc::new(settings), broadcast::Sender::new(EVENTS_MAX));
        let sharing = settings.sharing;
        let common = Arc::new(Common { settings, processes, metrics, events });
        let way = match sharing {
            Sharing::Shared => Way::Shared(Shared::new()),
            Sharing::PerSession { processes_max, idle } => {
                Way::Owned(Owned::new(&common, processes_max, idle))
            }
        };
        Self { common, way }
    }

    /// What its processes say to everybody: that a list or a resource changed.
    pub fn events(&self) -> broadcast::Receiver<Bytes> {
        self.common.events.subscribe()
    }

    /// One exchange, as over HTTP. Its answer ends by `deadline`, if there is one.
    ///
    /// # Errors
    /// When there is no answer. An answer that is an error in JSON-RPC is a [`Reply`].
    pub async fn exchange(
        &self,
        caller: &Caller,
        outgoing: &Outgoing,
        deadline: Option<Instant>,
    ) -> Result<Reply, UpstreamError> {
        let session = outgoing.headers.iter().find(|(name, _)| name == SESSION_ID);
        let session = match session {
            Some((_, value)) => match session_id(value) {
                Some(session) => Some(session),
                None => return Err(UpstreamError::SessionLost),
            },
            None => None,
        };
        match outgoing.verb {
            Verb::Get => self.listen(session).await,
            Verb::Delete => {
                self.end(session);
                Ok(silent(StatusCode::NO_CONTENT))
            }
            Verb::Post => {
                let text = str::from_utf8(&outgoing.body).map_err(|_| no_message())?;
                let [id, method] = raw::find(text, [&["id"], &["method"]], &self.common.settings.message())
                    .map_err(|_| no_message())?;
                let method = method.as_ref().and_then(|method| method.as_str()).map(Method::parse);
                let kind = match (&id, method) {
                    (Some(id), Some(method)) => Kind::Request { id: id.text, method },
                    (None, Some(_)) => Kind::Notification,
                    (_, None) => Kind::Response,
                };
                self.post(caller, Incoming { text, kind, session, lasting: outgoing.lasting, deadline }).await
            }
        }
    }

    async fn post(&self, caller: &Caller, incoming: Incoming<'_>) -> Result<Reply, UpstreamError> {
        match &self.way {
            Way::Shared(shared) => shared.post(&self.common, &incoming).await,
            Way::Owned(owned) => {
                let caller = caller_digest(&self.common.settings.scope, caller);
                owned.post(&self.common, &caller, &incoming).await
            }
        }
    }

    async fn listen(&self, session: Option<[u8; 16]>) -> Result<Reply, UpstreamError> {
        match (&self.way, session) {
            (Way::Shared(shared), _) => shared.listen(&self.common).await,
            (Way::Owned(owned), Some(session)) => owned.listen(&session),
            // The modern era has no such stream.
            (Way::Owned(_), None) => Ok(silent(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    fn end(&self, session: Option<[u8; 16]>) {
        if let (Way::Owned(owned), Some(session)) = (&self.way, session) {
            owned.end(&session);
        }
    }
}

impl Common {
    /// Passes a message on to a process.
    async fn pass(&self, process: &Arc<Process>, incoming: &Incoming<'_>) -> Result<Reply, UpstreamError> {
        let owner = incoming.session.map_or(Owner::Nobody, Owner::Session);
        match &incoming.kind {
            Kind::Request { .. } => {
                let patience = (!incoming.lasting).then_some(self.settings.read_timeout);
                let manner =
                    Manner { patience, deadline: incoming.deadline, cancels: incoming.session.is_none() };
                let answer = self.begin(process, incoming.text, owner, manner).await?;
                answer.begin(patience.map(|patience| self.first_patience(process, patience))).await
            }
            Kind::Notification => {
                process.note(incoming.text, owner).await?;
                Ok(silent(StatusCode::ACCEPTED))
            }
            Kind::Response => {
                process.respond(incoming.text).await?;
                Ok(silent(StatusCode::ACCEPTED))
            }
        }
    }

    async fn begin(
        &self,
        process: &Arc<Process>,
        text: &str,
        owner: Owner,
        manner: Manner,
    ) -> Result<Answer, UpstreamError> {
        let (number, inlet) = process.begin(text, owner).await?;
        Ok(Answer::new(Arc::clone(process), number, inlet, manner))
    }

    /// For the first message: a process that has said nothing yet may be starting.
    fn first_patience(&self, process: &Process, patience: Duration) -> Duration {
        if process.has_spoken() { patience } else { patience.max(START_TIME_MAX) }
    }
}

/// An error of the gateway's, in the process's place.
fn refused(id: &str, error: RpcError, message: &str) -> Reply {
    let mut body = Vec::new();
    write_error(&mut body, Some(id), error, message, &[]);
    reply::said([Bytes::from(body)])
}

/// A name that nobody can guess.
fn fresh_session() -> Result<([u8; 16], HeaderValue), UpstreamError> {
    let mut session = [0; 16];
    getrandom::fill(&mut session).map_err(|_| process::unavailable("no randomness", false))?;
    let text = format!("{:032x}", u128::from_be_bytes(session));
    HeaderValue::from_str(&text).map(|text| (session, text)).map_err(|_| no_message())
}

/// The session of a header's value; none if it is none of ours.
fn session_id(value: &HeaderValue) -> Option<[u8; 16]> {
    let text = value.to_str().ok().filter(|text| text.len() == 32)?;
    let number = u128::from_str_radix(text, 16).ok()?;
    (format!("{number:032x}") == text).then(|| number.to_be_bytes())
}

fn no_message() -> UpstreamError {
    UpstreamError::Invalid("no message for a process".into())
}
