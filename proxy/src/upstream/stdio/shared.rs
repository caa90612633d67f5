//! One process for all callers. The gateway begins the session, if the server has sessions, and declares no capability of a client:
//! the process has nobody to ask.

mod handshake;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use mcpg_protocol::streams::Change;
use mcpg_protocol::{Method, RpcError, raw};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::handshake::{Handshake, shake};
use super::super::{Reply, UpstreamError};
use super::backoff::Backoff;
use super::mux::Audience;
use super::process::{End, Process, Start, unavailable};
use super::reply::{Overheard, reply, said};
use super::{Common, Incoming, Kind, START_TIME_MAX, fresh_session, refused};
use crate::sessions::SESSION_ID;

/// Resources whose changes are asked for on everybody's behalf.
const SUBSCRIBED_MAX: usize = 1024;

/// The process that all callers share.
pub(super) struct Shared {
    standing: watch::Sender<Standing>,
    running: AtomicBool,
    subscribed: Arc<Mutex<BTreeSet<String>>>,
    /// Ends the supervision when it is dropped.
    _stop: watch::Sender<()>,
    stopped: watch::Receiver<()>,
}

/// How the process stands.
#[derive(Clone)]
enum Standing {
    /// It is being started.
    Starting,
    /// It serves.
    Up(Arc<Live>),
    /// It is down until it is started again.
    Down(Cow<'static, str>),
}

/// A process that serves.
struct Live {
    process: Arc<Process>,
    handshake: Handshake,
}

impl Shared {
    /// Not started yet.
    pub(super) fn new() -> Self {
        let (stop, stopped) = watch::channel(());
        Self {
            standing: watch::Sender::new(Standing::Starting),
            running: AtomicBool::new(false),
            subscribed: Arc::default(),
            _stop: stop,
            stopped,
        }
    }

    /// Passes a message on, or answers it from what is known of the process.
    pub(super) async fn post(
        &self,
        common: &Arc<Common>,
        incoming: &Incoming<'_>,
    ) -> Result<Reply, UpstreamError> {
        let live = self.live(common).await?;
        let Kind::Request { id, method } = &incoming.kind else {
            return common.pass(&live.process, incoming).await;
        };
        match (&live.handshake, method) {
            (Handshake::Sessions { result }, Method::Initialize) => initialized(result, id),
            (Handshake::Stateless, Method::Initialize) => {
                Ok(refused(id, RpcError::MethodNotFound, "the server has no sessions"))
            }
            (Handshake::Sessions { .. }, Method::ServerDiscover) => {
                Ok(refused(id, RpcError::MethodNotFound, "the server has sessions only"))
            }
            (Handshake::Sessions { .. }, method) if is_personal(method) => Ok(refused(
                id,
                RpcError::MethodNotFound,
                "not to be had of a server whose process is shared (`sessions: shared`)",
            )),
            // Others may still want to know.
            (Handshake::Sessions { .. }, Method::ResourcesUnsubscribe) => {
                Ok(said([Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))]))
            }
            (Handshake::Sessions { .. }, Method::ResourcesSubscribe) => {
                self.remember(common, incoming.text)?;
                common.pass(&live.process, incoming).await
            }
            _ => common.pass(&live.process, incoming).await,
        }
    }

    /// What the process says to everybody.
    pub(super) async fn listen(&self, common: &Arc<Common>) -> Result<Reply, UpstreamError> {
        let live = self.live(common).await?;
        match live.handshake {
            Handshake::Sessions { .. } => {
                Ok(reply(true, Box::new(Overheard::new(common.events.subscribe()))))
            }
            Handshake::Stateless => Ok(super::silent(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    /// The process, once it serves.
    async fn live(&self, common: &Arc<Common>) -> Result<Arc<Live>, UpstreamError> {
        if !self.running.swap(true, Ordering::AcqRel) {
            let runtime = common.processes.handle();
            let runtime = runtime.map_err(|error| unavailable(error.to_string(), false))?;
            let supervision = Supervision {
                common: Arc::clone(common),
                standing: self.standing.clone(),
                subscribed: Arc::clone(&self.subscribed),
            };
            runtime.spawn(supervision.run(self.stopped.clone()));
        }
        let mut standing = self.standing.subscribe();
        let decided = standing.wait_for(|standing| !matches!(standing, Standing::Starting));
        match timeout(START_TIME_MAX, decided).await {
            Ok(Ok(standing)) => match &*standing {
                Standing::Up(live) => Ok(Arc::clone(live)),
                Standing::Down(reason) => Err(unavailable(reason.clone(), false)),
                Standing::Starting => Err(unavailable("the process is being started", false)),
            },
            _ => Err(unavailable("the process is being started", false)),
        }
    }

    /// Remembers a subscription, for the process after this one.
    fn remember(&self, common: &Common, text: &str) -> Result<(), UpstreamError> {
        let uri = raw::find(text, [&["params", "uri"]], &common.settings.message());
        let Ok([Some(uri)]) = uri else { return Ok(()) };
        let mut subscribed = self.subscribed.lock();
        if subscribed.len() >= SUBSCRIBED_MAX && !subscribed.contains(uri.text) {
            return Err(UpstreamError::Busy);
        }
        subscribed.insert(uri.text.to_owned());
        Ok(())
    }
}

/// What starts the process, and starts it again.
struct Supervision {
    common: Arc<Common>,
    standing: watch::Sender<Standing>,
    subscribed: Arc<Mutex<BTreeSet<String>>>,
}

impl Supervision {
    async fn run(self, mut stopped: watch::Receiver<()>) {
        let mut stopping = self.common.processes.stopping();
        tokio::select! {
            // Nothing is ever sent: this returns when nobody is left to use the process.
            _ = stopped.changed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = self.keep_running() => {}
        }
        self.standing.send_replace(Standing::Down("the process has ended".into()));
    }

    async fn keep_running(&self) {
        let (first, longest) = self.common.settings.backoff;
        let mut backoff = Backoff::new(first, longest);
        // A server that an unknown request kills is not asked again.
        let mut probe = true;
        let mut served_before = false;
        loop {
            let started = Instant::now();
            let reason = match self.start(&mut probe).await {
                Ok(live) => {
                    let live = Arc::new(live);
                    self.standing.send_replace(Standing::Up(Arc::clone(&live)));
                    if std::mem::replace(&mut served_before, true) {
                        self.tell_of_changes();
                    }
                    let end = live.process.ended().await;
                    backoff.lasted(started.elapsed());
                    reason_of(end)
                }
                Err(error) => {
                    let binding = self.common.settings.binding.as_str();
                    tracing::warn!(binding, %error, "the shared process does not serve");
                    Cow::Owned(error.to_string())
                }
            };
            self.standing.send_replace(Standing::Down(reason));
            let wait = backoff.failed(fastrand::f64());
            sleep(wait).await;
            self.common.metrics.restarts.inc();
            self.standing.send_replace(Standing::Starting);
        }
    }

    async fn start(&self, probe: &mut bool) -> Result<Live, UpstreamError> {
        let common = &self.common;
        let start = Start {
            settings: Arc::clone(&common.settings),
            audience: Audience::Many,
            events: common.events.clone(),
            metrics: common.metrics.clone(),
            place: None,
        };
        let process = Process::start(&common.processes, start)?;
        let handshake = shake(common, &process, probe).await?;
        if matches!(handshake, Handshake::Sessions { .. }) {
            self.subscribe_again(&process).await;
        }
        Ok(Live { process, handshake })
    }

    /// Another process may list other things than the one before: whoever listens shall look again.
    fn tell_of_changes(&self) {
        for change in Change::ALL {
            // Nobody may be listening.
            let _ = self.common.events.send(change.message(None).into());
        }
    }

    async fn subscribe_again(&self, process: &Arc<Process>) {
        let uris: Vec<String> = self.subscribed.lock().iter().cloned().collect();
        for uri in uris {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":0,"method":"resources/subscribe","params":{{"uri":{uri}}}}}"#
            );
            if let Err(error) = handshake::ask(&self.common, process, &text, Duration::from_secs(5)).await {
                tracing::warn!(binding = self.common.settings.binding, %error, "not subscribed again");
                return;
            }
        }
    }
}

fn reason_of(end: End) -> Cow<'static, str> {
    Cow::Owned(format!("the process has ended ({})", end.as_str()))
}

/// Methods of a session's own state, of which a shared process has one for all.
fn is_personal(method: &Method<'_>) -> bool {
    matches!(
        method,
        Method::LoggingSetLevel
            | Method::TasksList
            | Method::TasksGet
            | Method::TasksResult
            | Method::TasksUpdate
            | Method::TasksCancel
    )
}

/// The answer to `initialize`, from the one that the gateway got.
fn initialized(result: &str, id: &str) -> Result<Reply, UpstreamError> {
    let (_, name) = fresh_session()?;
    let mut reply = said([Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))]);
    reply.headers.insert(SESSION_ID, name);
    Ok(reply)
}
