//! GET: the stream of a legacy session, over however many upstreams.
//!
//! Where the client has a session with the upstream, its stream is carried; elsewhere the gateway listens itself. What is said
//! to this client alone (requests, log messages) is not kept for it: while it does not read, the upstream is not read either.

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_protocol::streams::{Changes, EventId, Incoming, Notice, Positions, outward};
use mcpg_protocol::{Limits, RpcError};
use tokio::sync::oneshot;

use super::SESSION_STREAM;
use super::feeds::forget;
use super::live::{Judged, Live, Wake, Wanted};
use super::mailbox::PartId;
use super::merged::Merged;
use super::part::{Event, Part};
use super::refuse::refuse;
use super::resume::resume;
use super::source::Behind;
use super::voice::{Voice, outwards};
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};
use crate::sessions::{LocalSession, SessionToken};
use crate::upstream::Message;

/// Serves the stream of a legacy session.
///
/// # Errors
/// When the client left, or what it would get was withheld.
pub async fn get(admitted: Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let Some(token) = admitted.session.clone() else {
        return refuse(client, RpcError::InvalidRequest, None, "the request has no `Mcp-Session-Id`").await;
    };
    let local = admitted.shared.sessions.session(&token, admitted.now);
    let mut last = Last::Nothing;
    if let Some(id) = admitted.last_event_id.as_deref() {
        last = match (Positions::parse(id), EventId::parse(id)) {
            _ if admitted.endpoint.is_transparent() => Last::Own(id.into()),
            (Some(positions), _) => Last::Merged(positions),
            (None, Some(event)) => return resume(&admitted, &token, &local, event, client).await,
            (None, None) => {
                let message = "`Last-Event-ID` is no event of this endpoint";
                return refuse(client, RpcError::InvalidRequest, None, message).await;
            }
        };
    }
    let replaced = local.begin_stream();
    let stream = SessionStream::new(admitted, token, local, last);
    // Who has a stream is told of what changes from then on: first there is somebody who hears of it.
    tokio::select! {
        biased;
        () = client.gone() => return Err(ClientError::Gone),
        () = stream.live.agreed() => {}
    }
    client.open_stream(&[]).await?;
    stream.serve(replaced, client).await
}

/// Where a stream goes on.
enum Last {
    /// Nowhere.
    Nothing,
    /// After an event of the one upstream that there is.
    Own(Box<str>),
    /// After the last event of each part.
    Merged(Positions),
}

struct SessionStream {
    live: Live,
    token: Arc<SessionToken>,
    local: Arc<LocalSession>,
    /// The streams of the upstreams' sessions behind this one.
    merged: Merged<Behind>,
    behind: Vec<(PartId, Arc<Route>)>,
    voice: Voice,
    /// The last event of the one upstream that there is.
    own: Option<Box<str>>,
}

impl SessionStream {
    fn new(admitted: Admitted, token: Arc<SessionToken>, local: Arc<LocalSession>, last: Last) -> Self {
        let live = Live::new(admitted, SESSION_STREAM);
        let (positions, own) = match last {
            Last::Nothing => (Positions::default(), None),
            Last::Own(id) => (Positions::default(), Some(id)),
            Last::Merged(mut positions) => {
                positions.retain(|binding| live.admitted.endpoint.route(binding).is_some());
                // What nobody keeps events of may have changed meanwhile.
                live.mailbox.changed(Changes::ALL);
                (positions, None)
            }
        };
        let voice = Voice::Session(positions);
        let mut stream = Self { live, token, local, merged: Merged::new(), behind: Vec::new(), voice, own };
        stream.follow();
        stream
    }

    async fn serve(
        mut self,
        mut replaced: oneshot::Receiver<()>,
        client: &mut dyn Client,
    ) -> Result<(), ClientError> {
        if self.live.is_outdated() && self.judge().await == Judged::Over {
            return self.voice.end(client).await;
        }
        loop {
            tokio::select! {
                biased;
                () = client.gone() => return Err(ClientError::Gone),
                _ = &mut replaced => return client.finish().await,
                () = self.local.ended() => return client.finish().await,
                () = self.local.changed() => self.follow(),
                wake = self.live.wake() => match wake {
                    Wake::Leaving => return self.voice.end(client).await,
                    Wake::Judge if self.judge().await == Judged::Over => return self.voice.end(client).await,
                    Wake::Judge => {}
                    Wake::News => {
                        let news = self.live.news();
                        if !news.lost.is_empty() {
                            return self.voice.end(client).await;
                        }
                        self.voice.tell(news, &self.live, client).await?;
                    }
                },
                (part, event) = self.merged.next() => match event {
                    Event::Message(message) => self.pass_on(part, message, client).await?,
                    Event::Opened { missed: true, .. } => self.live.mailbox.changed(Changes::ALL),
                    Event::Lost => return self.voice.end(client).await,
                    Event::Opened { .. } | Event::Failed | Event::Silent => {}
                },
            }
        }
    }

    async fn judge(&mut self) -> Judged {
        let judged = self.live.judge(SystemTime::now()).await;
        if judged == Judged::Renewed {
            self.follow();
        }
        judged
    }

    /// Listens to what there is to listen to now.
    fn follow(&mut self) {
        let routes = self.live.admitted.routes.clone();
        let gone: Vec<_> = self
            .behind
            .extract_if(.., |(_, known)| !routes.iter().any(|it| Arc::ptr_eq(it, known)))
            .collect();
        for (part, _) in gone {
            self.merged.remove(part);
        }
        let mut wanted = Vec::new();
        for route in routes {
            if self.behind.iter().any(|(_, known)| Arc::ptr_eq(known, &route)) {
                continue;
            }
            let behalf = self.live.admitted.on_behalf().to_owned();
            match Behind::find(&route, behalf, &self.token, &self.local) {
                Some(source) => self.listen_behind(route, source),
                None => {
                    let resources = self.local.subscriptions(&route.id);
                    wanted.push((route, Wanted { changes: true, resources, tasks: Vec::new() }));
                }
            }
        }
        self.live.listen_to(wanted);
    }

    fn listen_behind(&mut self, route: Arc<Route>, source: Behind) {
        let last = match &self.voice {
            Voice::Session(positions) => self.own.as_deref().or(positions.last(&route.id)),
            Voice::Subscription { .. } => None,
        };
        let stream = Part::new(source, last);
        let part = self.live.part();
        self.merged.add(part, stream);
        self.behind.push((part, route));
    }

    /// Passes a message of an upstream on.
    async fn pass_on(
        &mut self,
        part: PartId,
        message: Message,
        client: &mut dyn Client,
    ) -> Result<(), ClientError> {
        let Some((_, route)) = self.behind.iter().find(|(known, _)| *known == part) else { return Ok(()) };
        let endpoint = &self.live.admitted.endpoint;
        let is_transparent = endpoint.is_transparent();
        if let (Voice::Session(positions), Some(id)) = (&mut self.voice, &message.event_id) {
            positions.note(&route.id, Some(id));
        }
        let limits = Limits::default();
        match str::from_utf8(&message.json).map(|text| Incoming::read(text, &limits)) {
            // An answer here would answer another upstream's request.
            Ok(Ok(None | Some(Incoming::Response { .. }))) | Ok(Err(_)) | Err(_) => return Ok(()),
            Ok(Ok(Some(Incoming::Notification(Notice::ListChanged(change))))) => {
                let changes = [change].into_iter().collect();
                forget(route, changes);
                self.live.mailbox.changed(changes);
                return Ok(());
            }
            Ok(Ok(Some(_))) => {}
        }
        let Some(json) = outwards(&message.json, endpoint, route) else { return Ok(()) };
        if is_transparent {
            return client.event(&Message { json, retry_ms: None, ..message }).await;
        }
        let Some(json) = routed(&json, &route.id, &limits) else { return Ok(()) };
        client.event(&self.voice.message(json)).await
    }
}

/// A message whose ids find their way back; none if it cannot be passed on.
pub(super) fn routed(json: &[u8], binding: &str, limits: &Limits) -> Option<Vec<u8>> {
    let text = str::from_utf8(json).ok()?;
    match outward(text, binding, limits) {
        Ok(routed) => Some(routed.into_owned().into_bytes()),
        Err(error) => {
            tracing::warn!(binding, %error, "a request of an upstream is not passed on");
            None
        }
    }
}
