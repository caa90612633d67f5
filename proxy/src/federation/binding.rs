//! What is kept of one binding: its lists, and what its server says of itself.
//!
//! It lives with the binding's route, so a reload that does not change the binding keeps it.
//!
//! Invariants:
//! - A list that the upstream gave to one caller, or with one caller's credentials, is never shown to another.
//! - Upstreams are asked with the capabilities of a [`ClientClass`], never with a client's own words, so the lists that can be kept
//!   are few.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use mcpg_protocol::Era;
use mcpg_protocol::catalogue::{About, CacheScope, ClientClass, ListKind};

use super::catalogue::Catalogue;
use super::fetch::{self, ListLimits};
use super::judge::Judgements;
use super::shelf::{FETCH_INTERVAL_MIN, Fetch, Fetched, Shelf, Supply, Terms, Watcher, Weight};
use super::{FetchError, Requester, Source};
use crate::metrics::Metrics;

/// Lists kept of one binding: of all kinds, for all classes of clients, and of callers that have their own.
const LISTS_MAX: usize = 1_024;
/// The longest that anything counts as fresh, whatever an upstream says.
pub(super) const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// All lists of one binding together, in multiples of the largest that one may be.
const LISTS_BYTES_FACTOR: usize = 4;
/// Instructions longer than this are left out.
const INSTRUCTIONS_BYTES_MAX: usize = 64 * 1024;

/// What is kept of one binding.
pub struct Catalogues {
    binding: Box<str>,
    lists: Shelf<Key<ListKind>, Catalogue>,
    abouts: Shelf<Key<()>, Introduction>,
    /// The lists that the upstream last gave to one caller only.
    is_private: [AtomicBool; 4],
    introduces_itself_privately: AtomicBool,
    judgements: Judgements,
    metrics: Arc<Metrics>,
}

/// What a server says of itself, and in which era it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The era that it is spoken to in.
    pub era: Era,
    /// `capabilities`: the raw text of an object.
    pub capabilities: Box<str>,
    /// `serverInfo`: the raw text of an object.
    pub info: Option<Box<str>>,
    /// `instructions`.
    pub instructions: Option<Box<str>>,
}

/// A thing kept, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key<W> {
    what: W,
    class: ClientClass,
    /// The one caller that may see it; none for everyone.
    caller: Option<[u8; 32]>,
}

struct Teller {
    binding: Box<str>,
    metrics: Arc<Metrics>,
}

impl Catalogues {
    /// Nothing yet, of a binding.
    pub fn new(binding: &str, metrics: Arc<Metrics>) -> Arc<Self> {
        let teller = Arc::new(Teller { binding: binding.into(), metrics: Arc::clone(&metrics) });
        Arc::new(Self {
            binding: binding.into(),
            lists: Shelf::new(LISTS_MAX, Arc::clone(&teller) as Arc<dyn Watcher<_>>),
            abouts: Shelf::new(LISTS_MAX, teller),
            is_private: Default::default(),
            introduces_itself_privately: AtomicBool::new(false),
            judgements: Judgements::default(),
            metrics,
        })
    }

    /// The binding's id.
    pub fn binding(&self) -> &str {
        &self.binding
    }

    /// Notes that the upstream says a list is changed. Whoever asks for it from now on gets one that was fetched later.
    pub fn changed(&self, kind: ListKind) {
        self.lists.change(|key| key.what == kind);
    }

    /// Which of its tools are withheld, as far as lists were judged.
    pub(super) fn judgements(&self) -> &Judgements {
        &self.judgements
    }

    /// A list, for a requester, and whether it may be shown to no one else.
    pub(super) async fn list(
        self: &Arc<Self>,
        source: &Arc<dyn Source>,
        requester: &Requester,
        kind: ListKind,
        settings: &mcpg_config::Catalogue,
    ) -> (Supply<Catalogue>, bool) {
        let terms = terms(settings);
        // Twice at most: the first answer may say that lists are private.
        for _ in 0..2 {
            let is_theirs = source.is_per_caller() || self.privacy(kind).load(Ordering::Acquire);
            let key =
                Key { what: kind, class: requester.class, caller: is_theirs.then(|| requester.digest()) };
            let fetch = || self.fetch_list(Arc::clone(source), requester.clone(), key.clone(), *settings);
            let supply = self.lists.take(&key, &terms, fetch).await;
            match supply {
                Supply::Missing { error, .. } if *error == FetchError::Private => {}
                supply => return (supply, is_theirs),
            }
        }
        (Supply::Missing { error: Arc::new(FetchError::Private), last: None }, true)
    }

    /// A list as it stands, if there is one that everyone may see.
    pub(super) fn peek(
        &self,
        class: ClientClass,
        kind: ListKind,
        settings: &mcpg_config::Catalogue,
    ) -> Option<Arc<Catalogue>> {
        self.lists.peek(&Key { what: kind, class, caller: None }, &terms(settings))
    }

    /// What the server says of itself to a requester, and whether it may be shown to no one else.
    pub(super) async fn introduction(
        self: &Arc<Self>,
        source: &Arc<dyn Source>,
        requester: &Requester,
        settings: &mcpg_config::Catalogue,
    ) -> (Supply<Introduction>, bool) {
        let terms = terms(settings);
        for _ in 0..2 {
            let is_theirs =
                source.is_per_caller() || self.introduces_itself_privately.load(Ordering::Acquire);
            let key = Key { what: (), class: requester.class, caller: is_theirs.then(|| requester.digest()) };
            let fetch =
                || self.fetch_introduction(Arc::clone(source), requester.clone(), key.clone(), *settings);
            let supply = self.abouts.take(&key, &terms, fetch).await;
            match supply {
                Supply::Missing { error, .. } if *error == FetchError::Private => {}
                supply => return (supply, is_theirs),
            }
        }
        (Supply::Missing { error: Arc::new(FetchError::Private), last: None }, true)
    }

    fn fetch_list(
        self: &Arc<Self>,
        source: Arc<dyn Source>,
        requester: Requester,
        key: Key<ListKind>,
        settings: mcpg_config::Catalogue,
    ) -> Fetch<Catalogue> {
        let this = Arc::clone(self);
        Box::pin(async move {
            let limits = ListLimits { items_max: settings.items_max, bytes_max: settings.bytes_max };
            let mut listing = source.listing(&requester).await?;
            let (list, hints) = fetch::fetch(&mut *listing, key.what, limits).await?;
            let list = Arc::new(list);
            this.metrics.catalogue_renewed(&this.binding, key.what.method(), list.len(), SystemTime::now());
            if list.odd() > 0 {
                let (binding, list_name, items) = (&*this.binding, key.what.method(), list.odd());
                tracing::warn!(
                    binding,
                    list = list_name,
                    items,
                    "items without a name of their own are left out"
                );
            }
            let fetched = Fetched { value: list, ttl: ttl(hints.ttl_ms, &settings) };
            let is_per_caller = source.is_per_caller();
            let terms = terms(&settings);
            Arrival { shelf: &this.lists, privacy: this.privacy(key.what), key: &key, is_per_caller, terms }
                .settle(fetched, hints.is_private, &requester)
        })
    }

    fn fetch_introduction(
        self: &Arc<Self>,
        source: Arc<dyn Source>,
        requester: Requester,
        key: Key<()>,
        settings: mcpg_config::Catalogue,
    ) -> Fetch<Introduction> {
        let this = Arc::clone(self);
        Box::pin(async move {
            let limits = ListLimits { items_max: 0, bytes_max: settings.bytes_max }.message();
            let mut listing = source.listing(&requester).await?;
            let result = listing.about().await?;
            let about = About::parse(&result, &limits)?;
            let is_private = about.scope == Some(CacheScope::Private);
            let ttl = ttl(about.ttl_ms, &settings);
            let value = Arc::new(Introduction::new(&about, listing.era()));
            let is_per_caller = source.is_per_caller();
            let (privacy, terms) = (&this.introduces_itself_privately, terms(&settings));
            Arrival { shelf: &this.abouts, privacy, key: &key, is_per_caller, terms }.settle(
                Fetched { value, ttl },
                is_private,
                &requester,
            )
        })
    }

    fn privacy(&self, kind: ListKind) -> &AtomicBool {
        let [tools, prompts, resources, templates] = &self.is_private;
        match kind {
            ListKind::Tools => tools,
            ListKind::Prompts => prompts,
            ListKind::Resources => resources,
            ListKind::Templates => templates,
        }
    }
}

impl Introduction {
    /// What a server says, in which era.
    pub fn new(about: &About<'_>, era: Era) -> Self {
        let instructions = about.instructions.as_deref();
        Self {
            era,
            capabilities: about.capabilities.into(),
            info: about.info.map(Into::into),
            instructions: instructions.filter(|text| text.len() <= INSTRUCTIONS_BYTES_MAX).map(Into::into),
        }
    }

    /// The same as it was read.
    pub fn about(&self) -> About<'_> {
        About {
            capabilities: &self.capabilities,
            info: self.info.as_deref(),
            instructions: self.instructions.as_deref().map(Into::into),
            protocol: None,
            supported: Vec::new(),
            ttl_ms: None,
            scope: None,
        }
    }
}

impl Weight for Introduction {
    fn weight(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        self.capabilities.len() + text(&self.info) + text(&self.instructions) + size_of::<Self>()
    }
}

/// Something that came, and where it may be kept.
struct Arrival<'a, W, T> {
    shelf: &'a Shelf<Key<W>, T>,
    /// Whether the upstream gave it to one caller only.
    privacy: &'a AtomicBool,
    key: &'a Key<W>,
    is_per_caller: bool,
    terms: Terms,
}

impl<W, T> Arrival<'_, W, T>
where
    W: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    T: Weight + Send + Sync + 'static,
{
    /// What was asked for as everyone's and is one caller's goes to that caller only, and the other way round to all.
    fn settle(
        self,
        fetched: Fetched<T>,
        is_private: bool,
        requester: &Requester,
    ) -> Result<Fetched<T>, FetchError> {
        self.privacy.store(is_private, Ordering::Release);
        let copy = Fetched { value: Arc::clone(&fetched.value), ttl: fetched.ttl };
        match (self.is_per_caller || is_private, self.key.caller) {
            (true, None) => {
                let theirs = Key { caller: Some(requester.digest()), ..self.key.clone() };
                self.shelf.put(&theirs, copy, &self.terms);
                Err(FetchError::Private)
            }
            (false, Some(_)) => {
                self.shelf.put(&Key { caller: None, ..self.key.clone() }, copy, &self.terms);
                Ok(fetched)
            }
            _ => Ok(fetched),
        }
    }
}

impl<W: fmt::Debug + Send + Sync> Watcher<Key<W>> for Teller
where
    Key<W>: Named,
{
    fn fetched(&self, key: &Key<W>, outcome: Result<(), &FetchError>, changed: bool) {
        let (binding, list) = (&*self.binding, key.name());
        let error = outcome.err().filter(|error| **error != FetchError::Private);
        self.metrics.catalogue_fetched(binding, list, error.map_or("ok", FetchError::reason));
        match error {
            Some(error) if changed => {
                tracing::warn!(binding, list, %error, "an upstream's list cannot be had");
            }
            None if changed && outcome.is_ok() => {
                tracing::info!(binding, list, "an upstream's list can be had again");
            }
            _ => {}
        }
    }
}

/// What a kept thing is called in metrics and logs.
trait Named {
    fn name(&self) -> &'static str;
}

impl Named for Key<ListKind> {
    fn name(&self) -> &'static str {
        self.what.method()
    }
}

impl Named for Key<()> {
    fn name(&self) -> &'static str {
        "server/discover"
    }
}

fn terms(settings: &mcpg_config::Catalogue) -> Terms {
    Terms {
        fetch_timeout: settings.fetch_timeout,
        stale: settings.stale,
        bytes_max: settings.bytes_max.saturating_mul(LISTS_BYTES_FACTOR),
    }
}

/// What an upstream says, within what can be kept: a list that is stale at once would be fetched for every request.
fn ttl(said_ms: Option<u64>, settings: &mcpg_config::Catalogue) -> Duration {
    said_ms.map_or(settings.ttl, Duration::from_millis).clamp(FETCH_INTERVAL_MIN, TTL_MAX)
}
