//! The keys of an issuer: fetched in the background, used for a bounded time, and looked for anew when a token has one that is
//! not known.
//!
//! INVARIANTS:
//! - Keys are used for at most `stale_ms` after the last fetch that succeeded; then no token of the issuer is judged.
//! - At most one fetch is under way. Tokens cause none within `cooldown_ms` of the last, so that a flood of tokens with
//!   invented keys costs the issuer one request in that time. A fetch does not end with the request that has caused it.
//! - A fetch that fails changes nothing but when the next may be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::metadata::{self, Metadata, MetadataError};
use super::settings::JwksSettings;
use crate::identity::jwt::{JWKS_BYTES_MAX, Jwks, JwksError, KeyUse};
use crate::net::{Bounds, FetchError, HttpClient, HttpUrl, Request, Target};
use crate::shared::Fetches;

/// For everything: the metadata, wherever it is, and the keys.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where an issuer's keys come from, and those that are known.
pub(super) struct KeySource {
    origin: Origin,
    http: HttpClient,
    settings: JwksSettings,
    fetches: Arc<Fetches>,
    known: ArcSwapOption<Known>,
    fetching: Mutex<Fetching>,
    started: AtomicBool,
}

/// Where keys are.
pub(super) struct Origin {
    /// The issuer.
    pub(super) issuer: String,
    /// Its own URL, with what is allowed of it.
    pub(super) target: Target,
    /// `jwks_uri`, where it is configured.
    pub(super) jwks_uri: Option<Target>,
    /// Where its metadata is, where that is configured.
    pub(super) discovery: Option<Target>,
}

/// What was fetched.
pub(super) struct Known {
    /// The keys.
    pub(super) jwks: Jwks,
    /// What the issuer says of itself, where it was asked.
    pub(super) metadata: Option<Metadata>,
    fetched_at: Instant,
}

#[derive(Default)]
struct Fetching {
    /// Closed when the fetch is over.
    running: Option<watch::Receiver<()>>,
    failures: u32,
    allowed_at: Option<Instant>,
}

impl KeySource {
    /// Without any keys yet.
    pub(super) fn new(
        origin: Origin,
        http: HttpClient,
        settings: JwksSettings,
        fetches: Arc<Fetches>,
    ) -> Self {
        Self {
            origin,
            http,
            settings,
            fetches,
            known: ArcSwapOption::empty(),
            fetching: Mutex::default(),
            started: AtomicBool::new(false),
        }
    }

    /// Begins to fetch, and to fetch again, until nobody has this any more. Once.
    pub(super) fn start(self: &Arc<Self>) {
        if !self.started.swap(true, Ordering::AcqRel) {
            tokio::spawn(keep_fresh(Arc::downgrade(self)));
        }
    }

    /// What is known at a time, if it may still be used.
    pub(super) fn known(&self, now: Instant) -> Option<Arc<Known>> {
        let stale = Duration::from_millis(self.settings.stale_ms);
        self.known.load_full().filter(|known| now.saturating_duration_since(known.fetched_at) < stale)
    }

    /// Looks for keys anew, if it may be done now. False if nothing was fetched.
    pub(super) async fn renew(self: &Arc<Self>) -> bool {
        let Some(fetch) = self.fetch_for_a_token(Instant::now()) else { return false };
        over(fetch).await;
        true
    }

    /// The target of a URL that the issuer names.
    pub(super) fn target(&self, url: HttpUrl) -> Target {
        self.origin.target.naming(url)
    }

    /// As if the time in which tokens cause no fetch were over.
    #[cfg(test)]
    pub(super) fn cooled_down(&self) {
        self.fetching.lock().allowed_at = None;
    }

    /// As if the last fetch had been so much earlier.
    #[cfg(test)]
    pub(super) fn aged(&self, by: Duration) {
        self.known.rcu(|known| {
            let known = known.as_ref()?;
            let jwks = Jwks::default();
            Some(Arc::new(Known {
                jwks,
                metadata: known.metadata.clone(),
                fetched_at: known.fetched_at - by,
            }))
        });
    }

    fn fetch_for_a_token(self: &Arc<Self>, now: Instant) -> Option<watch::Receiver<()>> {
        let mut fetching = self.fetching.lock();
        if let Some(running) = fetching.running() {
            return Some(running);
        }
        fetching.allows(now).then(|| self.begin(&mut fetching))
    }

    fn fetch_in_any_case(self: &Arc<Self>) -> watch::Receiver<()> {
        let mut fetching = self.fetching.lock();
        fetching.running().unwrap_or_else(|| self.begin(&mut fetching))
    }

    fn begin(self: &Arc<Self>, fetching: &mut Fetching) -> watch::Receiver<()> {
        let (done, running) = watch::channel(());
        fetching.running = Some(running.clone());
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = tokio::time::timeout(FETCH_TIMEOUT, source.fetch()).await;
            let fetched = fetched.unwrap_or(Err(KeysError::Timeout));
            source.settle(fetched, Instant::now());
            drop(done);
        });
        running
    }

    async fn fetch(&self) -> Result<(Jwks, Option<Metadata>), KeysError> {
        let (place, metadata) = match &self.origin.jwks_uri {
            Some(place) => (place.clone(), None),
            None => {
                let metadata = self.discover().await?;
                (self.target(metadata.jwks_uri.clone()), Some(metadata))
            }
        };
        let keys = self.download(&place).await?;
        let jwks = Jwks::parse(&keys, KeyUse::Signature)?;
        if jwks.keys().is_empty() { Err(KeysError::Empty) } else { Ok((jwks, metadata)) }
    }

    async fn discover(&self) -> Result<Metadata, KeysError> {
        let places = match &self.origin.discovery {
            Some(place) => vec![place.clone()],
            None => {
                metadata::places(&self.origin.target.url).into_iter().map(|url| self.target(url)).collect()
            }
        };
        let mut failed = KeysError::Empty;
        for place in places {
            match self.download(&place).await {
                Ok(document) => return Ok(Metadata::parse(&document, &self.origin.issuer)?),
                // Not there: it may be in the next place. Whatever else is wrong is wrong with the issuer.
                Err(error @ KeysError::Status { status: 400..=499, .. }) => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    async fn download(&self, target: &Target) -> Result<bytes::Bytes, KeysError> {
        let bounds = Bounds { total: FETCH_TIMEOUT, response_bytes_max: JWKS_BYTES_MAX, ..Bounds::default() };
        let response = self.http.fetch(target, Request::get(), &bounds).await?;
        if response.status == StatusCode::OK {
            return Ok(response.body);
        }
        Err(KeysError::Status { url: target.url.to_string(), status: response.status.as_u16() })
    }

    fn settle(&self, fetched: Result<(Jwks, Option<Metadata>), KeysError>, now: Instant) {
        self.fetches.note(fetched.is_ok());
        let mut fetching = self.fetching.lock();
        fetching.running = None;
        match fetched {
            Ok((jwks, metadata)) => {
                fetching.failures = 0;
                fetching.allowed_at = Some(now + Duration::from_millis(self.settings.cooldown_ms));
                self.known.store(Some(Arc::new(Known { jwks, metadata, fetched_at: now })));
            }
            Err(error) => {
                fetching.failures = fetching.failures.saturating_add(1);
                fetching.allowed_at = Some(now + retry_in(fetching.failures));
                let in_use = self.known(now).is_some();
                tracing::warn!(issuer = %self.origin.issuer, %error, in_use, "the keys of an issuer cannot be fetched");
            }
        }
    }

    /// How long until the next fetch in the background.
    fn pause(&self) -> Duration {
        let refresh = Duration::from_millis(self.settings.refresh_ms);
        match self.fetching.lock().failures {
            0 => jittered(refresh),
            failures => jittered(retry_in(failures)).min(refresh),
        }
    }
}

impl Fetching {
    fn running(&self) -> Option<watch::Receiver<()>> {
        // One that was dropped, with its runtime, is not running.
        self.running.clone().filter(|running| running.has_changed().is_ok())
    }

    fn allows(&self, now: Instant) -> bool {
        self.allowed_at.is_none_or(|allowed_at| now >= allowed_at)
    }
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySource").field("issuer", &self.origin.issuer).finish_non_exhaustive()
    }
}

/// Fetches for as long as somebody else has the source.
async fn keep_fresh(source: Weak<KeySource>) {
    loop {
        let Some(alive) = source.upgrade() else { return };
        over(alive.fetch_in_any_case()).await;
        let pause = alive.pause();
        drop(alive);
        tokio::time::sleep(pause).await;
    }
}

/// Waits for the end of a fetch.
async fn over(mut fetch: watch::Receiver<()>) {
    while fetch.changed().await.is_ok() {}
}

fn retry_in(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(RETRY_MAX)
}

/// Between four fifths and all of it, so that gateways do not ask in step.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    // Without randomness there is no jitter, which harms nothing.
    let _ = getrandom::fill(&mut random);
    let [random] = random;
    pause.mul_f64(0.8 + 0.2 * f64::from(random) / 255.0)
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("`{url}` answered {status}")]
    Status { url: String, status: u16 },
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Jwks(#[from] JwksError),
    #[error("none of its keys can be used")]
    Empty,
    #[error("not done within {} ms", FETCH_TIMEOUT.as_millis())]
    Timeout,
}
