//! Stage 4: the message in the request, read once and strictly.

use std::net::IpAddr;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use mcpg_protocol::catalogue::ListKind;
use mcpg_protocol::{
    Accept, Agreement, Envelope, Era, Field, RequestHeaders, Revision as Protocol, RpcError,
};
use mcpg_protocol::{Message, TargetKind};
use mcpg_sdk::{Call, Target};

use crate::refusal::Refusal;
use crate::revision::{Revision, ScopeState};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over `body_bytes_max`.
    #[error("the body is larger than `limits.body_bytes_max`")]
    TooLarge,
    /// Not there in time.
    #[error("the body did not arrive within `limits.body_timeout_ms`")]
    Timeout,
    /// The client left, or broke the framing.
    #[error("the body broke off")]
    Broken,
}

/// What a request says: a message, or a legacy session's stream or end.
pub enum Spoken<'a> {
    /// POST.
    Message {
        /// The message.
        envelope: Box<Envelope<'a>>,
        /// What its headers agree on.
        agreement: Agreement,
    },
    /// GET: the stream of a legacy session.
    Stream(Protocol),
    /// DELETE: the end of a legacy session.
    End(Protocol),
}

/// What a request wants, as far as it matters for who answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A request for one thing of one binding: a tool, prompt, resource, completion or task.
    Target,
    /// One of the four lists.
    List(ListKind),
    /// `initialize`.
    Initialize,
    /// `server/discover`.
    Discover,
    /// `ping`.
    Ping,
    /// `logging/setLevel`.
    SetLevel,
    /// `subscriptions/listen`.
    Listen,
    /// `resources/subscribe` and `resources/unsubscribe`.
    Subscription,
    /// A notification or a response: nothing but 202 comes back.
    Told,
    /// GET: the stream of a legacy session.
    Stream,
    /// DELETE: its end.
    End,
    /// A method of an extension.
    Extension,
}

impl<'a> Spoken<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// For whatever an upstream could read differently, and for methods that the revision has not.
    pub fn read(head: &Parts, body: &'a [u8], revision: &Revision) -> Result<Self, Refusal> {
        match head.method {
            Method::POST => Self::message(head, body, revision),
            Method::GET => Ok(Self::Stream(session_revision(head, body)?)),
            Method::DELETE => Ok(Self::End(session_revision(head, body)?)),
            _ => Err(not_served()),
        }
    }

    fn message(head: &Parts, body: &'a [u8], revision: &Revision) -> Result<Self, Refusal> {
        let envelope = Envelope::parse(body, &revision.message).map_err(|error| Refusal::envelope(&error))?;
        let agreement = request_headers(&head.headers)
            .agree(&envelope, Protocol::SUPPORTED)
            .map_err(|error| Refusal::headers(&error, envelope.id(), Protocol::SUPPORTED))?;
        // A method of another revision: what it means here nobody could say. Methods of no revision are extensions, for
        // policy and the upstream to know.
        if let Message::Request { id, method } = &envelope.message
            && !matches!(method, mcpg_protocol::Method::Other(_))
            && !method.is_client_method(agreement.revision)
        {
            let detail = format!("`{method}` is no method of {}", agreement.revision);
            let refusal = Refusal::new(RpcError::MethodNotFound, Some(id), detail);
            return Err(refusal.in_era(agreement.revision.era()));
        }
        Ok(Self::Message { envelope: Box::new(envelope), agreement })
    }

    /// The raw id, for the answer.
    pub fn id(&self) -> Option<&'a str> {
        match self {
            Self::Message { envelope, .. } => match envelope.message {
                Message::Request { id, .. } => Some(id),
                // An error with the id of a client's own response would answer nothing.
                Message::Notification { .. } | Message::Response { .. } => None,
            },
            Self::Stream(_) | Self::End(_) => None,
        }
    }

    /// What it wants.
    pub fn ask(&self) -> Ask {
        use mcpg_protocol::Method as M;
        let envelope = match self {
            Self::Message { envelope, .. } => envelope,
            Self::Stream(_) => return Ask::Stream,
            Self::End(_) => return Ask::End,
        };
        let Message::Request { method, .. } = &envelope.message else { return Ask::Told };
        match method {
            M::Initialize => Ask::Initialize,
            M::ServerDiscover => Ask::Discover,
            M::Ping => Ask::Ping,
            M::LoggingSetLevel => Ask::SetLevel,
            M::SubscriptionsListen => Ask::Listen,
            M::ToolsList => Ask::List(ListKind::Tools),
            M::PromptsList => Ask::List(ListKind::Prompts),
            M::ResourcesList => Ask::List(ListKind::Resources),
            M::ResourcesTemplatesList => Ask::List(ListKind::Templates),
            M::ResourcesSubscribe | M::ResourcesUnsubscribe => Ask::Subscription,
            M::ToolsCall
            | M::PromptsGet
            | M::ResourcesRead
            | M::CompletionComplete
            | M::TasksList
            | M::TasksGet
            | M::TasksResult
            | M::TasksUpdate
            | M::TasksCancel => Ask::Target,
            _ => Ask::Extension,
        }
    }

    /// The envelope, if it is a message.
    pub fn envelope(&self) -> Option<&Envelope<'a>> {
        match self {
            Self::Message { envelope, .. } => Some(envelope),
            Self::Stream(_) | Self::End(_) => None,
        }
    }

    /// What the client can read.
    pub fn accept(&self) -> Accept {
        match self {
            Self::Message { agreement, .. } => agreement.accept,
            Self::Stream(_) | Self::End(_) => Accept { json: true, event_stream: true },
        }
    }

    /// `traceparent` of `_meta` (MCP `basic/index`, "`_meta`").
    pub fn traceparent(&self) -> Option<&str> {
        match self {
            Self::Message { envelope, .. } => envelope.meta.traceparent.as_deref(),
            Self::Stream(_) | Self::End(_) => None,
        }
    }

    /// The revision that it is in.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Message { agreement, .. } => agreement.revision,
            Self::Stream(protocol) | Self::End(protocol) => *protocol,
        }
    }

    /// Whether sending it twice does no more than sending it once: what reads only.
    pub fn is_idempotent(&self) -> bool {
        use mcpg_protocol::Method as M;
        match self {
            Self::Message { envelope, .. } => matches!(
                envelope.method(),
                Some(
                    M::Ping
                        | M::ServerDiscover
                        | M::ToolsList
                        | M::PromptsList
                        | M::PromptsGet
                        | M::ResourcesList
                        | M::ResourcesTemplatesList
                        | M::ResourcesRead
                        | M::CompletionComplete
                )
            ),
            Self::Stream(_) => true,
            Self::End(_) => false,
        }
    }

    /// Whether the answer may bring the results of other calls, which were decided when they were made: a stream that is resumed,
    /// a task, and what is told of tasks.
    pub fn may_bring_earlier_results(&self) -> bool {
        use mcpg_protocol::Method as M;
        match self {
            Self::Message { envelope, .. } => matches!(
                envelope.method(),
                Some(
                    M::TasksList
                        | M::TasksGet
                        | M::TasksResult
                        | M::TasksUpdate
                        | M::TasksCancel
                        | M::SubscriptionsListen
                )
            ),
            Self::Stream(_) => true,
            Self::End(_) => false,
        }
    }

    /// Whether it is a request with a method of no revision.
    pub fn is_unknown_method(&self) -> bool {
        match self {
            Self::Message { envelope, .. } => {
                matches!(envelope.message, Message::Request { method: mcpg_protocol::Method::Other(_), .. })
            }
            Self::Stream(_) | Self::End(_) => false,
        }
    }

    /// The call as policy sees it. `own_name` is the target's name as the upstream has it, where the endpoint has another.
    pub fn call<'c>(
        &'c self,
        scope: &'c ScopeState,
        binding: &'c str,
        own_name: Option<&'c str>,
        source: IpAddr,
        now: SystemTime,
    ) -> Call<'c> {
        let (method, target, arguments) = match self {
            Self::Message { envelope, .. } => {
                let method = envelope.method().map_or("mcp/response", mcpg_protocol::Method::as_str);
                (method, target(envelope, own_name), envelope.arguments)
            }
            Self::Stream(_) => ("mcp/stream", Target::Binding, None),
            Self::End(_) => ("mcp/end", Target::Binding, None),
        };
        Call { scope: &scope.scope, binding, method, target, arguments, source, now, approval_token: None }
    }
}

/// What policy is asked about. Tasks and completions are decided on the binding as a whole.
fn target<'c>(envelope: &'c Envelope<'_>, own_name: Option<&'c str>) -> Target<'c> {
    use mcpg_protocol::Method as M;
    let Some(target) = &envelope.target else { return Target::Binding };
    let name = own_name.unwrap_or(&target.name);
    match (envelope.method(), target.kind) {
        (Some(M::ToolsCall), TargetKind::Tool) => Target::Tool(name),
        (Some(M::PromptsGet), TargetKind::Prompt) => Target::Prompt(name),
        (Some(M::ResourcesRead | M::ResourcesSubscribe | M::ResourcesUnsubscribe), TargetKind::Resource) => {
            Target::Resource(name)
        }
        _ => Target::Binding,
    }
}

/// GET and DELETE belong to sessions, which the modern era has not; they carry no body.
fn session_revision(head: &Parts, body: &[u8]) -> Result<Protocol, Refusal> {
    if !body.is_empty() {
        let message = "this method has no body";
        return Err(Refusal::worded(RpcError::InvalidRequest, None, "unexpected_body", message, message));
    }
    let mut versions = head.headers.get_all(PROTOCOL_VERSION).into_iter();
    let version = match (versions.next(), versions.next()) {
        (None, _) => return Ok(Protocol::V2025_03_26),
        (Some(version), None) => version.to_str().ok().and_then(|text| text.parse::<Protocol>().ok()),
        (Some(_), Some(_)) => None,
    };
    match version {
        Some(version) if version.era() == Era::Legacy => Ok(version),
        Some(_) => Err(not_served()),
        None => Err(Refusal::new(RpcError::UnsupportedVersion, None, "unknown `MCP-Protocol-Version`")),
    }
}

fn not_served() -> Refusal {
    Refusal::new(RpcError::MethodNotAllowed, None, "this HTTP method is not served here").closing()
}

fn request_headers(headers: &HeaderMap) -> RequestHeaders<'_> {
    let field = |name: &HeaderName| {
        Field::from_values(headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes))
    };
    let accept = headers.get_all(header::ACCEPT).into_iter().map(http::HeaderValue::as_bytes);
    RequestHeaders {
        protocol_version: field(&PROTOCOL_VERSION),
        method: field(&MCP_METHOD),
        name: field(&MCP_NAME),
        content_type: field(&header::CONTENT_TYPE),
        accept: Accept::from_values(accept),
    }
}

pub(super) fn body_refusal(error: BodyError) -> Refusal {
    let message = error.to_string();
    let (rpc, reason) = match error {
        BodyError::TooLarge => (RpcError::PayloadTooLarge, RpcError::PayloadTooLarge.reason()),
        BodyError::Timeout => (RpcError::RequestTimeout, RpcError::RequestTimeout.reason()),
        BodyError::Broken => (RpcError::InvalidRequest, "broken_body"),
    };
    Refusal::worded(rpc, None, reason, &message, message.clone()).closing()
}
