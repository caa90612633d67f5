//! A binding served by a shell script, spoken to as the rest of the gateway does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use mcpg::metrics::Metrics;
use mcpg::sessions::SESSION_ID;
use mcpg::upstream::stdio::{Environment, Limits, Processes, Sharing, StdioSettings, StdioUpstream};
use mcpg::upstream::{Outgoing, Reply, UpstreamError, Verb};
use mcpg_sdk::{AuthMethod, Caller, Scope};
use serde_json::{Value, json};

pub(crate) const ALICE: &str = "user:alice";
pub(crate) const BOB: &str = "user:bob";
/// Long enough for a busy machine, and the end of a test that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A binding served by a script.
pub(crate) struct Rig {
    pub(crate) upstream: Arc<StdioUpstream>,
    pub(crate) processes: Arc<Processes>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where the script runs.
    pub(crate) folder: tempfile::TempDir,
}

/// The gateway's binary.
pub(crate) fn mcpg() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mcpg"))
}

/// A server of the era of sessions. `other` answers what is neither `initialize` nor `server/discover`: a shell command that finds
/// the request in `$line` and its id in `$id`.
pub(crate) fn legacy(other: &str) -> String {
    server(
        r#"error '{"code":-32601,"message":"unknown"}'"#,
        r#"result '{"protocolVersion":"2025-11-25","capabilities":{"logging":{},"tools":{}},"serverInfo":{"name":"sh","version":"1"}}'"#,
        other,
    )
}

/// A server of the modern era.
pub(crate) fn modern(other: &str) -> String {
    server(
        r#"result '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}'"#,
        r#"error '{"code":-32601,"message":"unknown"}'"#,
        other,
    )
}

fn server(discover: &str, initialize: &str, other: &str) -> String {
    format!(
        r#"
        say() {{ printf '%s\n' "$1"; }}
        result() {{ say '{{"jsonrpc":"2.0","id":'"$id"',"result":'"$1"'}}'; }}
        error() {{ say '{{"jsonrpc":"2.0","id":'"$id"',"error":'"$1"'}}'; }}
        text() {{ result '{{"content":[{{"type":"text","text":"'"$1"'"}}]}}'; }}
        progress() {{ say '{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":'"$id"',"progress":'"$1"'}}}}'; }}
        while IFS= read -r line; do
            id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
            case $line in
                *'"server/discover"'*) {discover} ;;
                *'"initialize"'*) {initialize} ;;
                *'"notifications/initialized"'*) ;;
                *) {other} ;;
            esac
        done
        "#
    )
}

impl Rig {
    /// With a process for each session.
    pub(crate) fn per_session(script: &str) -> Self {
        let sharing = Sharing::PerSession { processes_max: 8, idle: Duration::from_secs(600) };
        Self::with(script, |settings| settings.sharing = sharing)
    }

    /// With one process for all.
    pub(crate) fn shared(script: &str) -> Self {
        Self::with(script, |_| {})
    }

    /// With other settings than the usual.
    pub(crate) fn with(script: &str, change: impl FnOnce(&mut StdioSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = |name: &str| std::env::var_os(name);
        let mut settings = StdioSettings {
            binding: "test".to_owned(),
            scope: Scope::new("acme", "main", "test").unwrap(),
            command: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
            env: Environment::new([], &[], own).into_variables(),
            cwd: folder.path().to_owned(),
            sharing: Sharing::Shared,
            protocol: None,
            backoff: (Duration::from_millis(20), Duration::from_millis(200)),
            limits: Limits::default(),
            shutdown: Duration::from_secs(5),
            read_timeout: PATIENCE,
            write_timeout: PATIENCE,
            line_bytes_max: 1 << 20,
        };
        change(&mut settings);
        let processes = Arc::new(Processes::new(mcpg()));
        let metrics = Metrics::new().unwrap();
        let counters = metrics.processes("test");
        let upstream = Arc::new(StdioUpstream::new(settings, Arc::clone(&processes), counters));
        Self { upstream, processes, metrics, folder }
    }

    /// Sends a message.
    pub(crate) async fn post(
        &self,
        caller: &str,
        session: Option<&HeaderValue>,
        body: &Value,
    ) -> Result<Reply, UpstreamError> {
        self.exchange(caller, Verb::Post, session, body.to_string().into()).await
    }

    /// Begins a session: its id.
    pub(crate) async fn open(&self, caller: &str) -> HeaderValue {
        let initialize = json!({"jsonrpc": "2.0", "id": "i", "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
        let mut reply = self.post(caller, None, &initialize).await.unwrap();
        let answer = last(&mut reply).await.unwrap();
        assert_eq!(
            (&answer["id"], &answer["result"]["serverInfo"]["name"]),
            (&json!("i"), &json!("sh")),
            "{answer}"
        );
        reply.headers.get(SESSION_ID).expect("a session").clone()
    }

    /// Calls a tool, and returns the answer's text.
    pub(crate) async fn call(
        &self,
        session: Option<&HeaderValue>,
        name: &str,
    ) -> Result<String, UpstreamError> {
        let mut reply = self.post(ALICE, session, &call(1, name)).await?;
        Ok(text_of(&last(&mut reply).await?))
    }

    /// The stream of a session.
    pub(crate) async fn stream(&self, session: &HeaderValue) -> Result<Reply, UpstreamError> {
        self.exchange(ALICE, Verb::Get, Some(session), Bytes::new()).await
    }

    /// Ends a session.
    pub(crate) async fn close(&self, session: &HeaderValue) {
        self.exchange(ALICE, Verb::Delete, Some(session), Bytes::new()).await.unwrap();
    }

    /// A metric's value.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (name, labels) = series.strip_suffix('}').and_then(|series| series.split_once('{')).unwrap();
        let text = String::from_utf8(self.metrics.render()).unwrap();
        let line = text.lines().find(|line| {
            line.starts_with(&format!("{name}{{")) && labels.split(',').all(|label| line.contains(label))
        });
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// What the script has written to a file, once it is there.
    pub(crate) async fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        eventually(|| read().ends_with('\n')).await;
        read().trim().to_owned()
    }

    async fn exchange(
        &self,
        caller: &str,
        verb: Verb,
        session: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Reply, UpstreamError> {
        let headers = session.map(|session| (SESSION_ID, session.clone())).into_iter().collect();
        let lasting = str::from_utf8(&body).unwrap().contains("subscriptions/listen");
        let outgoing = Outgoing { verb, headers, body, repeatable: false, lasting, aside: false };
        let caller = Caller {
            subject: caller.to_owned(),
            audience: None,
            attributes: HashMap::new(),
            auth_method: AuthMethod::ApiKey,
        };
        self.upstream.exchange(&caller, &outgoing, None).await
    }
}

/// A call with a progress token that everybody uses.
pub(crate) fn call(id: impl Into<Value>, name: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call",
        "params": {"name": name, "arguments": {}, "_meta": {"progressToken": "p"}}})
}

/// The next message.
pub(crate) async fn next(reply: &mut Reply) -> Result<Option<Value>, UpstreamError> {
    let message = tokio::time::timeout(PATIENCE, reply.next()).await.expect("no message in time")?;
    Ok(message.map(|message| serde_json::from_slice(&message.json).unwrap()))
}

/// The last message.
pub(crate) async fn last(reply: &mut Reply) -> Result<Value, UpstreamError> {
    let mut last = None;
    while let Some(message) = next(reply).await? {
        last = Some(message);
    }
    Ok(last.expect("at least one message"))
}

/// The text of a tool's answer.
pub(crate) fn text_of(answer: &Value) -> String {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Waits until something is so.
pub(crate) async fn eventually(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it did not come to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there. One that nobody has taken from the kernel yet is not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}
