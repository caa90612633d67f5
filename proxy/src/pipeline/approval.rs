//! Stage 7 for single calls: whether one needs a person's approval, and what becomes of it once it has one.
//!
//! A call needs an approval where policy permits it with `approval`, where policy denies it and would permit it with a token, or
//! where a gate names its tool. The token is made here, never taken from the client.
//!
//! INVARIANT: [`Awaiting`] is no [`Authorized`]: it becomes one by `Awaiting::resume` only, which takes an approval that was
//! used up for this very call, and asks policy again, with the token, in the revision that the call began in and in the one that
//! is in force.

mod decided;
mod wanted;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use mcpg_filters::gate::{ApprovalGate, Conclusion, Question, Requester, show};
use mcpg_filters::identity::Identified;
use mcpg_filters::policy::Decided;
use mcpg_ledger::RequestId;
use mcpg_protocol::bridge::{Capabilities, Capability, Object, Request};
use mcpg_protocol::{Era, Limits, Revision as Protocol, RpcError, write_string};
use mcpg_sdk::{Call, Caller, Obligation, Target};

pub(super) use wanted::{Wanted, wanted};

use super::authorized::{Authorized, Finish, Reach, finish};
use super::gate::denied;
use super::{Arrival, Exchange, Spoken, identify};
use crate::approvals::{Asking, Ticket, bound};
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::revision::{Endpoint, Generation, Revision, Route, ScopeState};
use crate::sessions::{Purpose, SessionToken, caller_digest};
use decided::{approved, both};

/// Why a call was stopped that waits for a person, as a stable word.
pub(super) const REQUIRED: &str = "approval_required";
/// Why a call was stopped that nobody can approve.
pub(super) const UNAVAILABLE: &str = "approval_unavailable";

/// A request that every stage let pass but the gate: it waits for a person.
pub struct Awaiting {
    pub(super) revision: Arc<Revision>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) route: Arc<Route>,
    pub(super) own_name: Option<Box<str>>,
    pub(super) identified: Identified,
    pub(super) received: Bytes,
    pub(super) source: IpAddr,
    pub(super) arrival: Arrival,
    pub(super) protocol: Protocol,
    pub(super) session: Option<Arc<SessionToken>>,
    pub(super) request_id: RequestId,
    pub(super) gate: Arc<ApprovalGate>,
    pub(super) obligations: Vec<Obligation>,
    /// The address of the scope, for links to its pages.
    pub(super) base: String,
}

/// An approval that was used up.
pub(crate) struct Granted {
    /// What it was given for.
    bound: [u8; 32],
    /// Its id, which is the token that policy sees.
    token: Box<str>,
    /// The gate that asked.
    gate: Arc<ApprovalGate>,
    /// Whether the client has come back for it, with a state that is the gateway's.
    is_resumed: bool,
}

impl Granted {
    /// Uses an approval up; none if there is none.
    pub(crate) fn from(ticket: &Ticket) -> Option<Self> {
        let Conclusion::Approved { .. } = ticket.use_up()? else { return None };
        let asking = &ticket.pending().asking;
        Some(Self {
            bound: asking.bound,
            token: asking.question.id.clone(),
            is_resumed: ticket.is_resumed(),
            gate: Arc::clone(&asking.gate),
        })
    }
}

impl Awaiting {
    /// The gate.
    pub(crate) fn gate(&self) -> &Arc<ApprovalGate> {
        &self.gate
    }

    /// What its scope is counted in.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.revision.scope.metrics
    }

    /// The request, read again: it was read before.
    pub(crate) fn request(&self) -> Option<Request<'_>> {
        Request::parse(&self.received, &self.revision.message).ok()
    }

    /// The raw JSON-RPC id.
    pub(crate) fn id(&self) -> Option<&str> {
        self.request().map(|request| request.id().raw())
    }

    /// Whether it needs a session and has none: its upstream could not be told which one is meant.
    pub(crate) fn lacks_session(&self) -> bool {
        !self.is_modern() && !self.endpoint.is_transparent() && self.session.is_none()
    }

    /// Whether its client can be sent messages before the answer.
    pub(crate) fn can_stream(&self, head: &Parts) -> bool {
        Spoken::read(head, &self.received, &self.revision).is_ok_and(|spoken| spoken.accept().event_stream)
    }

    /// Whether it is of the era without sessions.
    fn is_modern(&self) -> bool {
        self.protocol.era() == Era::Modern
    }

    /// Whether its client can show a page to its user.
    pub(crate) fn can_elicit(&self) -> bool {
        let limits = &self.revision.message;
        let declared = |request: &Request<'_>| {
            Capabilities::parse(request.client_capabilities()?, Protocol::V2026_07_28, limits).ok()
        };
        self.request().as_ref().and_then(declared).is_some_and(|them| them.has(Capability::ElicitationUrl))
    }

    /// Everything that its place among the calls that wait needs.
    ///
    /// # Errors
    /// When nobody can be asked about it.
    pub(crate) async fn asking(&self, head: &Parts) -> Result<Asking, Refusal> {
        let spoken = Spoken::read(head, &self.received, &self.revision)?;
        let scope = &self.revision.scope;
        let call = self.call(&spoken, scope);
        let unavailable = |detail: String| {
            let message = "the call needs an approval, and nobody can be asked for it";
            Refusal::worded(RpcError::Denied, spoken.id(), UNAVAILABLE, message, detail)
        };
        let requester = self.gate.requester(self.identified.caller()).await;
        let requester: Requester = requester.map_err(|error| unavailable(error.to_string()))?;
        let terms = self.gate.terms();
        let policys =
            scope.redactor.with(&self.obligations).map_err(|error| unavailable(error.to_string()))?;
        let arguments = call
            .arguments
            .map(|arguments| show(arguments, &[&policys, &terms.redactor], terms.arguments_bytes_max));
        let arguments = arguments.transpose().map_err(|error| unavailable(error.to_string()))?;
        let caller = caller_digest(&scope.scope, self.identified.caller());
        let random = || {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| unavailable(error.to_string())).map(|()| hex(&bytes))
        };
        let (id, page_key): (Box<str>, Box<str>) = (random()?.into(), random()?.into());
        let target = match call.target {
            Target::Tool(name) | Target::Resource(name) | Target::Prompt(name) => name,
            Target::Binding => "",
        };
        let now = SystemTime::now();
        let question = Question {
            caller: self.identified.caller().subject.as_str().into(),
            scope: scope.scope.to_string().into(),
            binding: call.binding.into(),
            method: call.method.into(),
            target: target.into(),
            arguments: arguments.map(String::into_boxed_str),
            asked: now,
            deadline: now + terms.deadline,
            // Whoever calls chooses the host that it calls: people are sent to the one that is configured.
            page: terms.public_url.as_ref().map(|url| format!("{url}/approvals/{id}/{page_key}").into()),
            id,
        };
        Ok(Asking {
            gate: Arc::clone(&self.gate),
            question,
            page_key,
            requester,
            caller,
            bound: bound(&caller, &call),
            scope: scope.scope.clone(),
            request_id: self.request_id,
            request: self.session.as_ref().zip(spoken.id()).map(|(token, id)| (token.nonce, id.into())),
            audit: Arc::clone(&scope.audit),
            metrics: Arc::clone(&scope.metrics),
        })
    }

    /// The page of a call, for the client itself.
    pub(crate) fn page(&self, asking: &Asking) -> String {
        let base = self.gate.terms().public_url.as_deref().unwrap_or(&self.base);
        format!("{base}/approvals/{}/{}", asking.question.id, asking.page_key)
    }

    /// `requestState`, by which the client comes back for the call.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub(crate) fn seal(&self, asking: &Asking) -> Result<String, Refusal> {
        let mut value = Vec::with_capacity(128);
        value.extend_from_slice(asking.question.id.as_bytes());
        let sealed = self.revision.sessions.sealer.seal(Purpose::Approval, &value);
        sealed.map_err(|error| Refusal::new(RpcError::InternalError, self.id(), error.to_string()))
    }

    /// The call that it comes back for; none if it comes for the first time.
    ///
    /// # Errors
    /// When the approval that it comes back for is none of its own, or over.
    pub(crate) fn comes_back(&self, gateway: &Gateway, head: &Parts) -> Result<Option<Ticket>, Refusal> {
        let Some(request) = self.request() else { return Ok(None) };
        if !self.is_modern() {
            return Ok(None);
        }
        let Some(state) = request.request_state() else { return Ok(None) };
        // One that is not ours is the upstream's.
        let opened = self.revision.sessions.sealer.open(Purpose::Approval, state.as_bytes());
        let Ok(opened) = opened else { return Ok(None) };
        let spoken = Spoken::read(head, &self.received, &self.revision)?;
        let call = self.call(&spoken, &self.revision.scope);
        let caller = caller_digest(&self.revision.scope.scope, self.identified.caller());
        let id = std::str::from_utf8(&opened).unwrap_or_default();
        let over = || {
            let message = "the approval is over, was used, or is for another call";
            let error = RpcError::InputStateUnknown;
            Refusal::worded(error, spoken.id(), "approval_over", message, message)
        };
        let ticket = gateway.shared.approvals.resume(id, &caller, &bound(&caller, &call));
        ticket.map(Some).ok_or_else(over)
    }

    /// Lets the request go on, if policy permits it with the approval.
    ///
    /// # Errors
    /// When a stage refuses.
    pub(crate) async fn resume<E: Exchange>(
        self,
        granted: Granted,
        generation: &Generation,
        gateway: &Gateway,
        exchange: &E,
    ) -> Result<Authorized, Refusal> {
        let now = SystemTime::now();
        let received = if granted.is_resumed {
            let unread =
                || Refusal::new(RpcError::InternalError, self.id(), "the request cannot be read again");
            without_state(&self.received, &self.revision.message).ok_or_else(unread)?
        } else {
            self.received.clone()
        };
        let spoken = Spoken::read(exchange.head(), &received, &self.revision)?;
        let scope = &self.revision.scope;
        let caller = self.identified.caller();
        let untokened = Call { now, ..self.call(&spoken, scope) };
        if bound(&caller_digest(&scope.scope, caller), &untokened) != granted.bound {
            let detail = "an approval was given for another call";
            return Err(Refusal::new(RpcError::InternalError, spoken.id(), detail));
        }
        let call = Call { approval_token: Some(&granted.token), ..untokened };
        let mut decided = scope.gates.pass(scope.policy.decide(caller, &call).await, &call);
        let current = gateway.revisions.scope(&scope.scope);
        decided = match current {
            Some(current) if Arc::ptr_eq(&current, &self.revision) => decided,
            Some(current) => match self.again(&current, &granted, &call, generation, exchange, now).await {
                Ok(again) => both(decided, again),
                Err(why) => denied(&decided, "approval", UNAVAILABLE, why),
            },
            None => denied(&decided, "approval", UNAVAILABLE, "the scope is not served any more"),
        };
        let decided = approved(decided, &granted);
        let parts = Finish {
            revision: &self.revision,
            endpoint: &self.endpoint,
            reach: Reach::One(Arc::clone(&self.route)),
            own_name: self.own_name.as_deref(),
            source: self.source,
            arrival: self.arrival,
            session: self.session.clone(),
            request_id: self.request_id,
        };
        finish(parts, self.identified.clone(), &received, &spoken, &call, decided).await
    }

    /// What the revision in force says, which came while the call waited.
    ///
    /// # Errors
    /// When the call could not even be asked about there.
    async fn again<E: Exchange>(
        &self,
        current: &Revision,
        granted: &Granted,
        call: &Call<'_>,
        generation: &Generation,
        exchange: &E,
        now: SystemTime,
    ) -> Result<Decided, &'static str> {
        if !current.scope.routes.iter().any(|route| route.id == self.route.id) {
            return Err("the binding was withdrawn while the call waited");
        }
        if current.scope.gates.approval(granted.gate.id()).is_none() {
            return Err("the gate was withdrawn while the call waited");
        }
        let arrival = Arrival { wall: now, ..self.arrival };
        let identified = identify::identify(&current.scope, exchange, generation, arrival).await;
        let same = |caller: &Caller| {
            caller_digest(&current.scope.scope, caller)
                == caller_digest(&self.revision.scope.scope, self.identified.caller())
        };
        match identified {
            Ok(identified) if same(identified.caller()) => {
                let call = Call { scope: &current.scope.scope, ..*call };
                let decided = current.scope.policy.decide(identified.caller(), &call).await;
                Ok(current.scope.gates.pass(decided, &call))
            }
            _ => Err("the caller is not known any more"),
        }
    }

    fn call<'c>(&'c self, spoken: &'c Spoken<'_>, scope: &'c ScopeState) -> Call<'c> {
        spoken.call(scope, &self.route.id, self.own_name.as_deref(), self.source, self.arrival.wall)
    }
}

/// The message without what a client brings when it comes back for a call: what is sealed in it is for the gateway. Every other
/// value stays as it is written. None if it is no such message.
fn without_state(received: &[u8], limits: &Limits) -> Option<Bytes> {
    let message = Object::parse_bytes(received, limits).ok()?;
    let params = message.get("params")?.object(limits)?;
    let write = |out: &mut Vec<u8>, key: &str, value: &[u8]| {
        if out.len() > 1 {
            out.push(b',');
        }
        write_string(out, key);
        out.push(b':');
        out.extend_from_slice(value);
    };
    let mut inner = vec![b'{'];
    for member in params.iter().filter(|it| !matches!(&*it.key, "requestState" | "inputResponses")) {
        write(&mut inner, &member.key, member.value.raw().as_bytes());
    }
    inner.push(b'}');
    let mut out = Vec::with_capacity(received.len());
    out.push(b'{');
    for member in message.iter() {
        let value = if member.key == "params" { inner.as_slice() } else { member.value.raw().as_bytes() };
        write(&mut out, &member.key, value);
    }
    out.push(b'}');
    Some(Bytes::from(out))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_the_gateway_goes_no_further() {
        let check = |json: &str, expected: Option<&str>| {
            let left = without_state(json.as_bytes(), &Limits::default());
            assert_eq!(left.as_deref().map(|left| std::str::from_utf8(left).unwrap()), expected, "{json}");
        };
        check(r#"{"id":1,"params":{"name":"a"}}"#, Some(r#"{"id":1,"params":{"name":"a"}}"#));
        check(r#"{"id":1}"#, None);
        let brought = r#"{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{"requestState":"x","name":"a","arguments":{ "a" : 1.50 },"inputResponses":{}}}"#;
        let left = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{ "a" : 1.50 }}}"#;
        check(brought, Some(left));
        check(r#"{"id":1,"params":{"requestState":"x"}}"#, Some(r#"{"id":1,"params":{}}"#));
        // As written, and nowhere else.
        let inside = r#"{"id":1,"params":{"arguments":{"requestState":"x"}}}"#;
        check(inside, Some(inside));
        check(r#"{"id":1,"params":{"request\u0053tate":"x","b":2}}"#, Some(r#"{"id":1,"params":{"b":2}}"#));
    }
}
