//! Federation over upstreams that are made up, with time paused.

mod fetching;
mod lists;
mod names;
mod privacy;
mod served;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use mcpg_config::Naming as ConfiguredNaming;
use mcpg_filters::policy::CacheLimits;
use mcpg_protocol::Era;
use mcpg_protocol::catalogue::ClientClass;
use mcpg_sdk::policy::{EngineDecision, EngineError, PolicyEngine, PolicyInput, ReadSet, Reads};
use mcpg_sdk::{AuthMethod, Caller};
use serde_json::{Value, json};

use super::lists::{Ask, Listed, NoList};
use super::*;

/// An upstream that is made up.
struct Fake {
    /// What it answers to a list request, given who asks and with which cursor: the result, an error code, or nothing ever.
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    is_per_caller: bool,
}

type Answer = Box<dyn Fn(&str, Option<&str>) -> Reply + Send + Sync>;

/// What a made-up upstream does.
enum Reply {
    Result(Value),
    Error(i64),
    Hangs,
}

struct FakeListing(Arc<Fake>, Requester);

impl Fake {
    fn new(answer: impl Fn(&str, Option<&str>) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(Box::new(answer)),
            asked: AtomicUsize::new(0),
            is_per_caller: false,
        })
    }

    /// One page of tools of these names.
    fn tools(names: &[&str]) -> Arc<Self> {
        let result = tools(names);
        Self::new(move |_, _| Reply::Result(result.clone()))
    }

    fn answers(&self, answer: impl Fn(&str, Option<&str>) -> Reply + Send + Sync + 'static) {
        *self.answer.lock() = Box::new(answer);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The source of a fake: the trait is on a type of its own, so that a test keeps the fake.
struct FakeSource(Arc<Fake>);

#[async_trait]
impl Source for FakeSource {
    async fn listing(&self, requester: &Requester) -> Result<Box<dyn Listing>, FetchError> {
        Ok(Box::new(FakeListing(Arc::clone(&self.0), requester.clone())))
    }

    fn is_per_caller(&self) -> bool {
        self.0.is_per_caller
    }
}

#[async_trait]
impl Listing for FakeListing {
    fn era(&self) -> Era {
        Era::Modern
    }

    async fn about(&mut self) -> Result<Box<str>, FetchError> {
        let reply = (self.0.answer.lock())(&self.1.caller.subject, None);
        match reply {
            Reply::Result(result) => Ok(result.to_string().into()),
            Reply::Error(code) => Err(FetchError::Refused { code }),
            Reply::Hangs => std::future::pending().await,
        }
    }

    async fn page(&mut self, _kind: ListKind, cursor: Option<&str>) -> Result<Bytes, FetchError> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let reply = (self.0.answer.lock())(&self.1.caller.subject, cursor);
        let message = match reply {
            Reply::Result(result) => json!({"jsonrpc": "2.0", "id": 1, "result": result}),
            Reply::Error(code) => {
                json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no"}})
            }
            Reply::Hangs => std::future::pending().await,
        };
        Ok(Bytes::from(message.to_string()))
    }
}

fn tools(names: &[&str]) -> Value {
    json!({"tools": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
}

/// Permits what its function permits, by all that it reads.
struct Engine<F> {
    reads: Reads,
    permits: F,
}

impl<F: Fn(&PolicyInput<'_>) -> bool + Send + Sync> PolicyEngine for Engine<F> {
    fn id(&self) -> &str {
        "policy.test"
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn decide(&self, input: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
        Ok(if (self.permits)(input) {
            EngineDecision::Permit { policies: Vec::new(), obligations: Vec::new() }
        } else {
            EngineDecision::NotPermitted { message: String::new() }
        })
    }
}

fn policy(permits: impl Fn(&PolicyInput<'_>) -> bool + Send + Sync + 'static) -> PolicyChain {
    let reads = ReadSet { subject: true, name: true, ..ReadSet::default() };
    let engine = Engine { reads: Reads::new(&Arc::new(reads)), permits };
    PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default())
}

fn settings(page_size: usize) -> Settings {
    Settings {
        naming: ConfiguredNaming::Auto,
        page_size,
        catalogue: mcpg_config::Catalogue {
            ttl: Duration::from_secs(60),
            stale: Duration::from_secs(300),
            fetch_timeout: Duration::from_secs(5),
            items_max: 1_000,
            bytes_max: 1 << 20,
        },
        initialize_timeout: Duration::from_secs(5),
    }
}

/// Several upstreams behind one endpoint.
struct World {
    federation: Federation,
    policy: PolicyChain,
    scope: Scope,
    bound: Vec<Bound>,
    naming: Naming,
    pins: Arc<Pins>,
}

impl World {
    fn new(upstreams: &[(&str, &Arc<Fake>)]) -> Self {
        Self::with(upstreams, 1_000, policy(|_| true))
    }

    fn with(upstreams: &[(&str, &Arc<Fake>)], page_size: usize, policy: PolicyChain) -> Self {
        let metrics = Metrics::new().unwrap();
        let pins = Pins::in_memory(Arc::clone(&metrics));
        let rules =
            upstreams.iter().map(|(binding, _)| ((*binding).to_owned(), mcpg_config::PinRules::default()));
        pins.configure(rules);
        let bound = |(binding, fake): &(&str, &Arc<Fake>)| Bound {
            catalogues: Catalogues::new(binding, Arc::clone(&metrics)),
            source: Arc::new(FakeSource(Arc::clone(fake))) as Arc<dyn Source>,
            is_listed: true,
        };
        Self {
            bound: upstreams.iter().map(bound).collect(),
            federation: Federation::new(settings(page_size), Arc::clone(&pins), metrics),
            policy,
            scope: Scope::default(),
            naming: Naming::Prefixed,
            pins,
        }
    }

    fn with_pins(mut self, pins: Arc<Pins>) -> Self {
        let binding = self.bound[0].catalogues.binding().to_owned();
        pins.configure([(binding, mcpg_config::PinRules::default())]);
        self.federation.pins = Arc::clone(&pins);
        Self { pins, ..self }
    }

    fn bare(self) -> Self {
        Self { naming: Naming::Bare, ..self }
    }

    fn requester(&self, subject: &str) -> Requester {
        Requester {
            scope: self.scope.clone(),
            caller: Arc::new(caller(subject)),
            bearer: None,
            traceparent: None,
            class: ClientClass::default(),
        }
    }

    async fn page(&self, subject: &str, cursor: Option<&str>) -> Result<Listed, NoList> {
        let requester = self.requester(subject);
        let onlooker = Onlooker {
            policy: &self.policy,
            scope: &self.scope,
            caller: &requester.caller,
            source: [192, 0, 2, 1].into(),
            now: SystemTime::UNIX_EPOCH,
        };
        let ask = Ask {
            kind: ListKind::Tools,
            cursor,
            naming: self.naming,
            bound: &self.bound,
            onlooker,
            requester: &requester,
        };
        self.federation.list(&ask).await
    }

    /// The names on a page, and the cursor of the next.
    async fn names(
        &self,
        subject: &str,
        cursor: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), NoList> {
        let listed = self.page(subject, cursor).await?;
        Ok(names(&listed))
    }

    /// The names on all pages, with blanks between them.
    async fn all(&self, subject: &str) -> String {
        let (mut all, mut cursor) = self.names(subject, None).await.unwrap();
        while let Some(next) = cursor {
            let (names, next) = self.names(subject, Some(&next)).await.unwrap();
            assert!(!names.is_empty(), "a page without items");
            all.extend(names);
            cursor = next;
        }
        all.join(" ")
    }

    async fn locate(&self, name: &str) -> String {
        let requester = self.requester("a");
        let search = locate::Search {
            bound: &self.bound,
            requester: &requester,
            policy: &self.policy,
            scope: &self.scope,
        };
        let kind = if name.contains("://") {
            mcpg_protocol::TargetKind::Resource
        } else {
            mcpg_protocol::TargetKind::Tool
        };
        match self.federation.search(&search, kind, name).await {
            Located::At { binding, name } => format!("{binding} {name}"),
            Located::Ambiguous => "ambiguous".to_owned(),
            Located::Unknown => "unknown".to_owned(),
            Located::Unavailable(reason) => reason.to_owned(),
        }
    }
}

fn names(listed: &Listed) -> (Vec<String>, Option<String>) {
    let mut page = listed.page.to_vec();
    page.push(b'}');
    let page: Value = serde_json::from_slice(&page).unwrap();
    let names = page["tools"].as_array().unwrap().iter();
    let names = names.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    (names, page["nextCursor"].as_str().map(str::to_owned))
}

fn caller(subject: &str) -> Caller {
    Caller {
        subject: subject.to_owned(),
        audience: None,
        attributes: HashMap::new(),
        auth_method: AuthMethod::ApiKey,
    }
}
