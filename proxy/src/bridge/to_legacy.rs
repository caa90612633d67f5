//! A modern client in front of a legacy upstream.
//!
//! The call goes out in a leased session. What the upstream asks meanwhile is answered to the client as `input_required`,
//! and the call waits ([`super::Parked`]) until the client repeats its request with `inputResponses`. Where the upstream says
//! with -32042 that pages must be visited first, nothing waits: the repeated request is a new call.
//!
//! The client closing its stream is `notifications/cancelled` for the upstream.
//!
//! Sources: MCP 2026-07-28 `basic/patterns/mrtr`, `basic/patterns/cancellation`; 2025-11-25 `client/elicitation`.

use std::sync::Arc;
use std::time::Duration;

use mcpg_protocol::bridge::{
    Ask, Capabilities, Capability, Json, Object, Packet, Request, URL_ELICITATION_REQUIRED,
    capabilities_to_legacy, error_to_modern, input_response_to_answer, modern_status, result_to_modern,
    url_elicitations, write_input_required,
};
use mcpg_protocol::{Limits, Method, Revision as Protocol, RpcError, raw};
use tokio::time::{Instant, sleep_until};

use super::call::{Call, End, Event, Listener, Opening, Question};
use super::failure::Failure;
use super::fresh_id;
use super::outlet::Outlet;
use super::peer::{Leased, Peer};
use super::state::{self, Bound, State};
use crate::revision::Route;
use crate::serve::{Admitted, ClientError};
use crate::upstream::{ClientProfile, UpstreamError};

/// How long further questions are waited for once there is one: an upstream may ask several things at once.
const GATHER_TIME: Duration = Duration::from_millis(25);

/// Serves a request of a modern client to a legacy upstream.
///
/// # Errors
/// When the client is gone.
pub(super) async fn serve(
    admitted: &Admitted,
    route: &Arc<Route>,
    request: &Request<'_>,
    outlet: &mut Outlet<'_>,
) -> Result<(), ClientError> {
    match prepare(admitted, route, request).await {
        Ok(attended) => attended.serve(outlet).await,
        Err(failure) => outlet.fail(&failure).await,
    }
}

/// A request with the call that it waits for.
struct Attended<'a> {
    admitted: &'a Admitted,
    route: &'a Arc<Route>,
    method: Method<'a>,
    bound: Bound,
    call: Call,
    /// Whether questions are open already that the client has left unanswered.
    unanswered: bool,
}

/// Makes the call of a request, or takes the one that it continues.
async fn prepare<'a>(
    admitted: &'a Admitted,
    route: &'a Arc<Route>,
    request: &Request<'a>,
) -> Result<Attended<'a>, Failure> {
    let limits = admitted.revision.message;
    request.is_bridged(Protocol::V2025_11_25)?;
    let invalid = |message: &'static str| Failure::said(RpcError::InvalidParams, "invalid_params", message);
    let level = request.log_level().map_err(|_| invalid("the log level is none of the specification's"))?;
    let listener = Listener { token: request.progress_token().map(|token| token.raw().into()), level };
    let bound = Bound {
        caller: admitted.caller_digest(),
        subject: state::subject(&admitted.endpoint.path, &route.id, request, &limits),
        instance: admitted.shared.bridge.instance,
    };
    let sealer = &admitted.revision.sessions.sealer;
    let responses = request.input_responses(&limits).map_err(|_| invalid("`inputResponses` is no object"))?;
    let state = match request.request_state() {
        None => None,
        Some(text) => Some(state::open(sealer, &text, &bound, admitted.now)?),
    };
    let (call, unanswered) = match state {
        Some(State::Waiting(key)) => {
            let mut call = resume(admitted, route, key, &responses).await?;
            call.listen(listener);
            let unanswered = !call.questions().is_empty();
            (call, unanswered)
        }
        Some(State::Again(pages)) => {
            agreed(&responses, pages, &limits)?;
            (begin(admitted, route, request, listener).await?, false)
        }
        None => (begin(admitted, route, request, listener).await?, false),
    };
    Ok(Attended { admitted, route, method: request.method().clone(), bound, call, unanswered })
}

/// Makes a call in a leased session. One that the upstream has forgotten is replaced once.
async fn begin(
    admitted: &Admitted,
    route: &Arc<Route>,
    request: &Request<'_>,
    listener: Listener,
) -> Result<Call, Failure> {
    let limits = admitted.revision.message;
    let wrong =
        |_| Failure::said(RpcError::InvalidParams, "invalid_params", "the capabilities are malformed");
    let capabilities =
        capabilities_to_legacy(request.client_capabilities().unwrap_or("{}"), &limits).map_err(wrong)?;
    let declared = Capabilities::parse(&capabilities, Protocol::V2025_11_25, &limits).map_err(wrong)?;
    let own = ClientProfile::own(Protocol::V2025_11_25);
    let profile = ClientProfile {
        info: request.client_info().map_or(own.info, Box::from),
        capabilities: capabilities.into(),
        protocol: own.protocol,
    };
    let on_behalf = admitted.on_behalf();
    let mut lease = route.lease(&on_behalf, &profile).await?;
    let mut replaced = false;
    loop {
        let id = fresh_id();
        let opening = Opening {
            body: request.to_legacy(&id),
            id,
            repeatable: is_repeatable(request.method()),
            token: request.progress_token(),
            listener: listener.clone(),
            // Answers to other methods cannot be `input_required`.
            capabilities: can_ask(request.method()).then_some(declared),
            limits,
        };
        let peer = Arc::new(Leased::new(lease, on_behalf.to_owned()));
        match Call::begin(Arc::clone(&peer) as Arc<dyn Peer>, opening).await {
            Ok(call) => return Ok(call),
            Err(UpstreamError::SessionLost) if !std::mem::replace(&mut replaced, true) => {
                // It was not acted on: the upstream knows no such session.
                let freed = Arc::into_inner(peer).and_then(Leased::into_lease);
                lease = freed.ok_or(UpstreamError::SessionLost)?;
                lease.replace().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes a call that waits, and gives the upstream what the client brings.
async fn resume(
    admitted: &Admitted,
    route: &Arc<Route>,
    key: [u8; 16],
    responses: &Object<'_>,
) -> Result<Call, Failure> {
    let limits = admitted.revision.message;
    let bridge = &admitted.shared.bridge;
    let over = || state::gone("the request does not wait any more, or was repeated already");
    let mut call = bridge.parked.take(&key).await.ok_or_else(over)?;
    let mut answers = Vec::new();
    for question in call.questions() {
        let Some(entry) = responses.get(&question.key) else { continue };
        match input_response_to_answer(question.kind, &question.id, entry, &limits) {
            Ok(answer) => answers.push((question.key.clone(), answer)),
            Err(error) => {
                tracing::debug!(binding = route.id, %error, "a client's input was refused");
                // Not worth the call: what is answered wrongly can only be asked again.
                call.abandon("the client's answer was malformed").await;
                let message = "an input response does not answer what was asked";
                return Err(Failure::said(RpcError::InvalidParams, "input_responses", message));
            }
        }
    }
    for (key, answer) in answers {
        if let Err(error) = call.send(answer).await {
            call.abandon("an answer could not be delivered").await;
            return Err(error.into());
        }
        call.settled(&key);
    }
    Ok(call)
}

/// Whether the client's user agreed to visit every page.
fn agreed(responses: &Object<'_>, pages: u8, limits: &Limits) -> Result<(), Failure> {
    for page in 1..=pages {
        let action = responses
            .get(&page.to_string())
            .and_then(|response| response.object(limits))
            .and_then(|response| response.get("action"))
            .and_then(Json::text);
        if action.as_deref() != Some("accept") {
            let message = "the server requires what was declined";
            return Err(Failure::said(RpcError::ClientInputRefused, "declined", message));
        }
    }
    Ok(())
}

impl Attended<'_> {
    /// Waits for the call, until it ends, asks or is given up.
    async fn serve(mut self, outlet: &mut Outlet<'_>) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.route.gate.calls().deadline;
        let mut ask_at = self.unanswered.then(|| Instant::now() + GATHER_TIME);
        loop {
            // The upstream comes last: one that never stops talking cannot outlast its client or the deadline.
            let event = tokio::select! {
                biased;
                () = outlet.gone() => {
                    self.call.abandon("the client left").await;
                    return Err(ClientError::Gone);
                }
                () = sleep_until(deadline) => {
                    self.call.abandon("the call took too long").await;
                    return outlet.fail(&UpstreamError::Timeout { sent: true }.into()).await;
                }
                () = sleep_until(ask_at.unwrap_or(deadline)), if ask_at.is_some() => {
                    return self.ask(outlet).await;
                }
                event = self.call.next() => event,
            };
            match event {
                Event::Notice(json) => {
                    if let Err(error) = outlet.notice(json).await {
                        self.call.abandon("the client left").await;
                        return Err(error);
                    }
                }
                Event::Send(json) => {
                    if let Err(error) = self.call.send(json).await {
                        tracing::debug!(binding = self.route.id, %error, "an answer was not taken");
                    }
                }
                Event::Questions if self.call.questions().is_empty() => ask_at = None,
                Event::Questions => {
                    ask_at.get_or_insert_with(|| Instant::now() + GATHER_TIME);
                }
                Event::Changed(kind) => self.route.catalogues.changed(kind),
                Event::Ended => return self.end(outlet).await,
            }
        }
    }

    /// Answers `input_required`, and lets the call wait.
    async fn ask(self, outlet: &mut Outlet<'_>) -> Result<(), ClientError> {
        let shared = &self.admitted.shared;
        let lasts = self.admitted.revision.input_timeout;
        let place = match shared.bridge.parked.reserve(self.bound.caller) {
            Ok(place) => place,
            Err(error) => {
                self.call.abandon("too many calls wait").await;
                let failure = Failure::said(RpcError::Overloaded, "calls_waiting", error.to_string());
                return outlet.fail(&failure).await;
            }
        };
        let sealer = &self.admitted.revision.sessions.sealer;
        let now = std::time::SystemTime::now();
        let sealed = match state::seal(sealer, State::Waiting(place.key()), &self.bound, now, lasts) {
            Ok(sealed) => sealed,
            Err(failure) => {
                self.call.abandon("the call cannot wait").await;
                return outlet.fail(&failure).await;
            }
        };
        let entries = self.call.questions().iter().map(|it: &Question| (&*it.key, it.entry.as_slice()));
        let json = write_input_required(outlet.id(), entries, &sealed);
        // First it waits, then the client hears of it: it may come back at once.
        let key = place.key();
        place.park(self.call, Arc::clone(self.route), lasts);
        let delivered = outlet.answer(200, json).await;
        if delivered.is_err()
            && let Some(call) = shared.bridge.parked.take(&key).await
        {
            call.abandon("the client left").await;
        }
        delivered
    }

    /// Answers with what the upstream said at last.
    async fn end(mut self, outlet: &mut Outlet<'_>) -> Result<(), ClientError> {
        let limits = self.admitted.revision.message;
        let end = self.call.take_end();
        let message = match end {
            Some(End::Answered(message)) => message,
            Some(End::Failed(failure)) => {
                self.call.close(false).await;
                return outlet.fail(&failure).await;
            }
            None => {
                self.call.close(false).await;
                return outlet.fail(&Failure::invalid("no response")).await;
            }
        };
        let answer = match Packet::parse(&message.json, &limits) {
            Ok(Packet::Result { result, .. }) => Ok((
                200,
                result_to_modern(outlet.id(), &self.method, &result, self.server_info(&limits), &limits),
            )),
            Ok(packet @ Packet::Error { .. }) => self.error(outlet, &packet, &limits),
            Ok(_) => Err(Failure::invalid("no response")),
            Err(error) => Err(error.into()),
        };
        let delivered = match answer {
            Ok((status, json)) => outlet.answer(status, json).await,
            Err(failure) => outlet.fail(&failure).await,
        };
        self.call.close(true).await;
        delivered
    }

    /// The answer to a client whose call failed: with pages to visit first, with the capability that it would have needed, or
    /// with the upstream's own error.
    fn error(
        &self,
        outlet: &Outlet<'_>,
        packet: &Packet<'_>,
        limits: &Limits,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let Packet::Error { error, .. } = packet else { return Err(Failure::invalid("no response")) };
        let code = packet.failure().map(|(code, _)| code);
        if code == Some(URL_ELICITATION_REQUIRED) {
            return self.pages(outlet, error, limits).map(|json| (200, json));
        }
        if let Some(capability) = self.call.refused() {
            return Err(Failure::MissingCapability(capability));
        }
        let (code, json) = error_to_modern(outlet.id(), &self.method, error);
        Ok((modern_status(code), json))
    }

    /// `input_required` for an upstream that wants pages to be visited before it is called again.
    fn pages(&self, outlet: &Outlet<'_>, error: &Object<'_>, limits: &Limits) -> Result<Vec<u8>, Failure> {
        if !self.call.can_be_asked(Capability::ElicitationUrl) {
            return Err(Failure::MissingCapability(Capability::ElicitationUrl));
        }
        let pages = url_elicitations(error, limits)?;
        let count = u8::try_from(pages.len()).map_err(|_| Failure::invalid("too many pages to visit"))?;
        let sealed = state::seal(
            &self.admitted.revision.sessions.sealer,
            State::Again(count),
            &self.bound,
            std::time::SystemTime::now(),
            self.admitted.revision.input_timeout,
        )?;
        let entries: Vec<(String, Vec<u8>)> =
            (1..).map(|n: u8| n.to_string()).zip(pages.iter().map(Ask::to_input_request)).collect();
        let entries = entries.iter().map(|(key, entry)| (key.as_str(), entry.as_slice()));
        Ok(write_input_required(outlet.id(), entries, &sealed))
    }

    /// `serverInfo` of the upstream's `initialize`.
    fn server_info(&self, limits: &Limits) -> Option<&str> {
        let [info] = raw::find(self.call.initialized(), [&["serverInfo"]], limits).ok()?;
        info.filter(raw::Raw::is_object).map(|info| info.text)
    }
}

/// Whether the answer to a request can be `input_required`.
fn can_ask(method: &Method<'_>) -> bool {
    matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
}

/// Whether sending a request twice does no more than sending it once.
fn is_repeatable(method: &Method<'_>) -> bool {
    matches!(method, Method::PromptsGet | Method::ResourcesRead | Method::CompletionComplete)
}
