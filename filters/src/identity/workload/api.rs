//! Bundles from the SPIFFE Workload API: two streams over a Unix socket, kept open for as long as the provider lives.
//!
//! INVARIANTS:
//! - The last good bundles stay in force while the agent is away, but no longer than `stale_ms`.
//! - An answer is the whole truth of its stream: a trust domain that is not in it any more is withdrawn. An answer that
//!   cannot be read changes nothing.

mod grpc;
mod message;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::bundle::Bundle;
use super::id::SCHEME;
use grpc::{Stream, StreamError};

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The bundles that an agent sends.
#[derive(Debug)]
pub(super) struct WorkloadApi {
    socket: PathBuf,
    domains: BTreeMap<Box<str>, Received>,
    certificates: Link,
    tokens: Option<Link>,
    stale: Duration,
    started: AtomicBool,
    /// Dropped with all of this: the streams end then.
    held: watch::Sender<()>,
}

/// What was received for a trust domain.
#[derive(Debug, Default)]
struct Received {
    bundle: ArcSwapOption<Bundle>,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default, Clone)]
struct Parts {
    issuers: Option<Vec<u8>>,
    jwks: Option<Vec<u8>>,
}

/// One of the two streams.
#[derive(Debug)]
struct Link {
    kind: Kind,
    /// When it was lost, in seconds since 1970; [`UP`] while it is open, [`NEVER`] before its first answer.
    lost_at: AtomicU64,
}

const UP: u64 = u64::MAX;
const NEVER: u64 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificates,
    Tokens,
}

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Certificates => "FetchX509Bundles",
            Self::Tokens => "FetchJWTBundles",
        }
    }

    /// The field of the answer that has the bundles.
    fn field(self) -> u32 {
        match self {
            Self::Certificates => 2,
            Self::Tokens => 1,
        }
    }
}

impl WorkloadApi {
    /// For the bundles of these trust domains.
    pub(super) fn new(socket: PathBuf, domains: &[&str], with_tokens: bool, stale: Duration) -> Arc<Self> {
        let link = |kind| Link { kind, lost_at: AtomicU64::new(NEVER) };
        Arc::new(Self {
            socket,
            domains: domains.iter().map(|name| ((*name).into(), Received::default())).collect(),
            certificates: link(Kind::Certificates),
            tokens: with_tokens.then(|| link(Kind::Tokens)),
            stale,
            started: AtomicBool::new(false),
            held: watch::Sender::new(()),
        })
    }

    /// The bundle of a trust domain, unless it is missing or too old.
    pub(super) fn bundle(
        &self,
        domain: &str,
        for_tokens: bool,
        now: SystemTime,
    ) -> Result<Arc<Bundle>, &'static str> {
        let link = if for_tokens { self.tokens.as_ref() } else { Some(&self.certificates) };
        match link.map_or(NEVER, |link| link.lost_at.load(Ordering::Acquire)) {
            NEVER => return Err("bundle_missing"),
            UP => {}
            lost_at => {
                let until = (UNIX_EPOCH + Duration::from_secs(lost_at)).checked_add(self.stale);
                if until.is_some_and(|until| now >= until) {
                    return Err("bundle_stale");
                }
            }
        }
        self.domains.get(domain).and_then(|received| received.bundle.load_full()).ok_or("bundle_missing")
    }

    /// Opens the streams, and opens them again whenever they are lost, as long as somebody holds this.
    pub(super) fn start(self: &Arc<Self>) {
        if self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        for link in std::iter::once(&self.certificates).chain(&self.tokens) {
            let following = follow(Arc::downgrade(self), link.kind, self.socket.clone());
            let mut held = self.held.subscribe();
            tokio::spawn(async move {
                tokio::select! {
                    () = following => {}
                    // Nothing is ever sent: it returns when the sender is gone.
                    _ = held.changed() => {}
                }
            });
        }
    }

    fn link(&self, kind: Kind) -> Option<&Link> {
        std::iter::once(&self.certificates).chain(&self.tokens).find(|link| link.kind == kind)
    }

    /// Takes over an answer: all of it, or nothing.
    fn receive(&self, kind: Kind, answer: &[u8]) -> Result<(), String> {
        let mut bundles = message::bundles(answer, kind.field()).map_err(|error| error.to_string())?;
        let mut new = Vec::new();
        for (name, received) in &self.domains {
            let mut parts = received.parts.lock().clone();
            let sent = bundles.remove(&format!("{SCHEME}{name}"));
            let part = match kind {
                Kind::Certificates => &mut parts.issuers,
                Kind::Tokens => &mut parts.jwks,
            };
            if *part == sent && received.bundle.load().is_some() {
                continue;
            }
            *part = sent;
            let bundle = Bundle::from_workload_api(parts.issuers.as_deref(), parts.jwks.as_deref());
            new.push((received, parts, bundle.map_err(|error| format!("`{name}`: {error}"))?));
        }
        for (received, parts, bundle) in new {
            *received.parts.lock() = parts;
            received.bundle.store(Some(Arc::new(bundle)));
        }
        if let Some(link) = self.link(kind) {
            link.lost_at.store(UP, Ordering::Release);
        }
        Ok(())
    }

    /// What was received stays for a while.
    fn lose(&self, kind: Kind, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs().max(1));
        if let Some(link) = self.link(kind) {
            // Not if nothing was ever received, and not a second time for the same loss.
            let _ = link.lost_at.compare_exchange(UP, seconds, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

/// Keeps one stream open until nobody needs it any more.
async fn follow(api: Weak<WorkloadApi>, kind: Kind, socket: PathBuf) {
    let mut backoff = BACKOFF_MIN;
    while api.strong_count() > 0 {
        let mut received = false;
        let ended = listen(&api, kind, &socket, &mut received).await;
        let Some(api) = api.upgrade() else { return };
        api.lose(kind, SystemTime::now());
        drop(api);
        if received {
            backoff = BACKOFF_MIN;
        }
        let error = ended.map_or_else(|error| error.to_string(), |()| "it has ended".to_owned());
        tracing::warn!(
            method = kind.method(),
            error,
            "the SPIFFE Workload API is away: the last bundles stay for a while"
        );
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Takes over what one stream sends, until it ends or nobody needs it any more.
async fn listen(
    api: &Weak<WorkloadApi>,
    kind: Kind,
    socket: &Path,
    received: &mut bool,
) -> Result<(), StreamError> {
    let mut stream = Stream::open(socket, kind.method()).await?;
    while let Some(answer) = stream.next().await? {
        let Some(api) = api.upgrade() else { return Ok(()) };
        match api.receive(kind, &answer) {
            Ok(()) => *received = true,
            Err(error) => tracing::warn!(
                error,
                "a bundle of the SPIFFE Workload API is unusable: the last good one stays"
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
