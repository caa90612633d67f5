//! A modern client's call in a session of a legacy upstream: the upstream's side of it.
//!
//! The session serves this call only, so whatever the upstream asks or tells in it belongs to the call, whichever of the
//! session's streams it comes on.

use std::sync::Arc;

use bytes::Bytes;
use mcpg_protocol::bridge::{
    Ask, AskKind, Capabilities, Capability, Json, LogLevel, Object, Packet, Relayed, cancelled,
    error_response, progress_with_token, relay,
};
use mcpg_protocol::catalogue::ListKind;
use mcpg_protocol::{Limits, Method, write_string};

use super::failure::Failure;
use super::fresh_id;
use super::peer::Peer;
use super::source::{Answer, Aside};
use crate::upstream::{Message, UpstreamError};

/// Questions of one call that wait at a time.
const QUESTIONS_MAX: usize = 16;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// A call, from its request on.
pub(super) struct Call {
    peer: Arc<dyn Peer>,
    answer: Answer,
    aside: Aside,
    /// The raw JSON of its request's id.
    id: Box<str>,
    /// The raw JSON of the progress token that the upstream knows.
    token: Option<Box<str>>,
    /// Who listens now.
    listener: Listener,
    /// What the client can be asked; none where its request leaves no way to ask.
    capabilities: Option<Capabilities>,
    limits: Limits,
    questions: Vec<Question>,
    asked: u32,
    /// What the upstream asked for first that the client did not declare.
    refused: Option<Capability>,
    /// How it ended, once it has.
    end: Option<End>,
}

/// What the request that waits for the call wants to hear.
#[derive(Debug, Clone, Default)]
pub(super) struct Listener {
    /// The raw JSON of its progress token.
    pub(super) token: Option<Box<str>>,
    /// The least grave log messages.
    pub(super) level: Option<LogLevel>,
}

/// A question of the upstream that waits for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Its key among `inputRequests`, which no other question of the call has.
    pub(super) key: Box<str>,
    /// The raw JSON of the upstream's id.
    pub(super) id: Box<str>,
    /// Of what kind it is.
    pub(super) kind: AskKind,
    /// The entry of `inputRequests`.
    pub(super) entry: Vec<u8>,
}

/// Something that happens in a call.
#[derive(Debug)]
pub(super) enum Event {
    /// A message for the client.
    Notice(Bytes),
    /// An answer for the upstream.
    Send(Vec<u8>),
    /// The upstream asks something, or takes a question back.
    Questions,
    /// A list of the upstream's changed.
    Changed(ListKind),
    /// It is over: [`Call::take_end`].
    Ended,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum End {
    /// With the response to its request.
    Answered(Message),
    /// Without.
    Failed(Failure),
}

/// What a call is made of.
pub(super) struct Opening<'a> {
    pub(super) body: Vec<u8>,
    pub(super) id: Box<str>,
    pub(super) repeatable: bool,
    pub(super) token: Option<Json<'a>>,
    pub(super) listener: Listener,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) limits: Limits,
}

impl Call {
    /// Makes a call.
    ///
    /// # Errors
    /// When the upstream cannot be asked.
    pub(super) async fn begin(peer: Arc<dyn Peer>, opening: Opening<'_>) -> Result<Self, UpstreamError> {
        let limits = opening.limits;
        if let Some(level) = opening.listener.level {
            set_level(&*peer, level, &limits).await?;
        }
        let aside = if opening.capabilities.is_some_and(Capabilities::any) {
            Aside::open(Arc::clone(&peer)).await
        } else {
            Aside::closed()
        };
        let reply = peer.request(Bytes::from(opening.body), opening.repeatable).await?;
        Ok(Self {
            answer: Answer::new(Arc::clone(&peer), reply),
            peer,
            aside,
            id: opening.id,
            token: opening.token.map(|token| token.raw().into()),
            listener: opening.listener,
            capabilities: opening.capabilities,
            limits,
            questions: Vec::new(),
            asked: 0,
            refused: None,
            end: None,
        })
    }

    /// What happens next. Cancel-safe: it only reads.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if self.end.is_some() {
                return Event::Ended;
            }
            let (beside, message) = tokio::select! {
                biased;
                read = self.answer.next() => match read {
                    Ok(Some(message)) => (false, message),
                    Ok(None) => return self.ended(End::Failed(Failure::silent(self.answer.status()))),
                    Err(error) => return self.ended(End::Failed(error.into())),
                },
                message = self.aside.next() => (true, message),
            };
            if let Some(event) = self.hear(beside, &message) {
                return event;
            }
        }
    }

    /// The questions that wait for the client.
    pub(super) fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Takes a question that has been answered off the list.
    pub(super) fn settled(&mut self, key: &str) {
        self.questions.retain(|question| *question.key != *key);
    }

    /// What the upstream asked for that the client did not declare.
    pub(super) fn refused(&self) -> Option<Capability> {
        self.refused
    }

    /// Whether the client declared that it can be asked this, and its request leaves a way to.
    pub(super) fn can_be_asked(&self, capability: Capability) -> bool {
        self.capabilities.is_some_and(|declared| declared.has(capability))
    }

    /// How it ended, once.
    pub(super) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// What the upstream said to `initialize`.
    pub(super) fn initialized(&self) -> &str {
        self.peer.initialized()
    }

    /// Another request waits for the call from now on; nobody, by default.
    pub(super) fn listen(&mut self, listener: Listener) {
        self.listener = listener;
    }

    /// The call waits for its client: it may last, and takes no place from others.
    pub(super) fn outlast(&mut self) {
        self.answer.outlast();
    }

    /// Sends an answer to a question.
    pub(super) async fn send(&mut self, json: Vec<u8>) -> Result<(), UpstreamError> {
        self.peer.send(Bytes::from(json)).await
    }

    /// After its end: gives the session back. Questions that were left open are refused.
    pub(super) async fn close(mut self, clean: bool) {
        let clean = clean && self.questions.is_empty();
        self.refuse_all("the call is over").await;
        if clean {
            self.answer.settle().await;
        }
        self.aside = Aside::closed();
        self.peer.release(clean);
    }

    /// Before its end: tells the upstream that nobody waits any more. The session ends, so that nothing of this call is
    /// taken for another's.
    pub(super) async fn abandon(mut self, reason: &str) {
        if self.end.is_none() {
            let _ = self.send(cancelled(&self.id, reason)).await;
        }
        self.refuse_all(reason).await;
        self.peer.release(false);
    }

    async fn refuse_all(&mut self, reason: &str) {
        for question in std::mem::take(&mut self.questions) {
            let _ = self.send(error_response(&question.id, INTERNAL_ERROR, reason)).await;
        }
    }

    fn ended(&mut self, end: End) -> Event {
        self.end = Some(end);
        Event::Ended
    }

    fn hear(&mut self, beside: bool, message: &Message) -> Option<Event> {
        let packet = match Packet::parse(&message.json, &self.limits) {
            Ok(packet) => packet,
            Err(_) if beside => return None,
            Err(error) => return Some(self.ended(End::Failed(error.into()))),
        };
        match &packet {
            Packet::Result { .. } | Packet::Error { .. } => self.response(beside, &packet, message),
            Packet::Request { id, method, params } => self.request(*id, method, params),
            Packet::Notification { method, params } => {
                let own = self.token.as_deref().and_then(|raw| Json::parse(raw, &self.limits).ok());
                match relay(method, params, own, self.listener.level) {
                    Relayed::Progress => {
                        let token = self.listener.token.as_deref()?;
                        let json = progress_with_token(&packet, token, &self.limits)?;
                        Some(Event::Notice(Bytes::from(json)))
                    }
                    Relayed::Log => Some(Event::Notice(message.json.clone())),
                    Relayed::Withdrawn(id) => self.withdraw(id),
                    Relayed::ListChanged => changed(method).map(Event::Changed),
                    Relayed::Nothing => None,
                }
            }
        }
    }

    fn response(&mut self, beside: bool, packet: &Packet<'_>, message: &Message) -> Option<Event> {
        let ours = Json::parse(&self.id, &self.limits).ok()?;
        match packet.answers() {
            Some(id) if id.is_same_token(ours) => {}
            // An error without an id answers what could not be read: ours, as there is no other.
            None if !beside => {}
            _ if beside => return None,
            _ => return Some(self.ended(End::Failed(Failure::invalid("the response to another request")))),
        }
        Some(self.ended(End::Answered(message.clone())))
    }

    /// A request of the upstream: a question for the client, or something that is answered at once.
    fn request(&mut self, id: Json<'_>, method: &Method<'_>, params: &Object<'_>) -> Option<Event> {
        if *method == Method::Ping {
            return Some(Event::Send(pong(id.raw())));
        }
        let refuse = |code, text: &str| Some(Event::Send(error_response(id.raw(), code, text)));
        let asks =
            matches!(method, Method::RootsList | Method::SamplingCreateMessage | Method::ElicitationCreate);
        if !asks {
            return refuse(METHOD_NOT_FOUND, "the client has no such method");
        }
        let Ok(ask) = Ask::read(method, params.clone(), &self.limits) else {
            return refuse(INVALID_PARAMS, "the parameters are not understood");
        };
        let capability = ask.kind.capability();
        let Some(declared) = self.capabilities else {
            return refuse(METHOD_NOT_FOUND, "the client cannot be asked during this request");
        };
        if !declared.has(capability) {
            self.refused.get_or_insert(capability);
            // A form where only pages are known, or the reverse, is a wrong parameter; anything else is no method of the client.
            let code = if *method == Method::ElicitationCreate { INVALID_PARAMS } else { METHOD_NOT_FOUND };
            return refuse(code, "the client did not declare the capability");
        }
        let is_open = |question: &Question| {
            Json::parse(&question.id, &self.limits).is_ok_and(|open| open.is_same_token(id))
        };
        if self.questions.iter().any(is_open) {
            let failure = Failure::invalid("two requests with one id");
            return Some(self.ended(End::Failed(failure)));
        }
        if self.questions.len() >= QUESTIONS_MAX {
            return refuse(INTERNAL_ERROR, "too many requests wait for the client");
        }
        self.asked += 1;
        self.questions.push(Question {
            key: self.asked.to_string().into(),
            id: id.raw().into(),
            kind: ask.kind,
            entry: ask.to_input_request(),
        });
        Some(Event::Questions)
    }

    fn withdraw(&mut self, id: Json<'_>) -> Option<Event> {
        let before = self.questions.len();
        let limits = self.limits;
        self.questions
            .retain(|open| !Json::parse(&open.id, &limits).is_ok_and(|open| open.is_same_token(id)));
        (self.questions.len() < before).then_some(Event::Questions)
    }
}

/// Asks for log messages, of an upstream that has them.
async fn set_level(peer: &dyn Peer, level: LogLevel, limits: &Limits) -> Result<(), UpstreamError> {
    let has_logging = mcpg_protocol::raw::find(peer.initialized(), [&["capabilities", "logging"]], limits)
        .is_ok_and(|[logging]| logging.is_some());
    if !has_logging {
        return Ok(());
    }
    let id = fresh_id();
    let mut json = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"logging/setLevel","params":{{"level":"#)
        .into_bytes();
    write_string(&mut json, level.as_str());
    json.extend_from_slice(b"}}");
    // An upstream that does not comply says less than it could: no reason not to call.
    match peer.request(Bytes::from(json), true).await {
        Ok(mut reply) => {
            let _ = reply.answer(&id).await;
            Ok(())
        }
        Err(UpstreamError::SessionLost) => Err(UpstreamError::SessionLost),
        Err(_) => Ok(()),
    }
}

fn pong(id: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into_bytes()
}

fn changed(method: &Method<'_>) -> Option<ListKind> {
    match method {
        Method::ToolsListChanged => Some(ListKind::Tools),
        Method::PromptsListChanged => Some(ListKind::Prompts),
        Method::ResourcesListChanged => Some(ListKind::Resources),
        _ => None,
    }
}
