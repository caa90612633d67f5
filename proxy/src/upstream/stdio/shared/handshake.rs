//! Finds out which era a server is of, on the process that will serve, and begins its session if it has one.
//!
//! Source: MCP 2026-07-28 `basic/transports/stdio`, "Backward Compatibility".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcpg_protocol::{Era, Limits, Revision, RpcError, raw};
use tokio::time::timeout;

use super::super::super::UpstreamError;
use super::super::mux::Owner;
use super::super::process::Process;
use super::super::reply::Manner;
use super::super::{Common, START_TIME_MAX};

/// How long the answer to `server/discover` may take before `initialize` is tried too. The first one to be answered decides.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);
/// The revision that `initialize` asks for.
const NEWEST_WITH_SESSIONS: Revision = Revision::V2025_11_25;
const CLIENT_INFO: &str = concat!(r#"{"name":"mcpg","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// What a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handshake {
    /// Of the modern era.
    Stateless,
    /// Of the era of sessions.
    Sessions {
        /// The result of `initialize`, without what cannot be shared.
        result: Box<str>,
    },
}

/// Finds out. `probe` says whether the server may be asked by `server/discover`, and becomes `false` if it does not survive that.
pub(super) async fn shake(
    common: &Common,
    process: &Arc<Process>,
    probe: &mut bool,
) -> Result<Handshake, UpstreamError> {
    let configured = common.settings.protocol.map(Revision::era);
    match configured {
        Some(Era::Modern) => return Ok(Handshake::Stateless),
        Some(Era::Legacy) => return begin(common, process).await,
        None if !*probe => return begin(common, process).await,
        None => {}
    }
    let discover = discover_request();
    let asked = ask(common, process, &discover, START_TIME_MAX);
    tokio::pin!(asked);
    match timeout(PROBE_TIME_MAX, &mut asked).await {
        Ok(Ok(answer)) if is_modern(&answer, &common.settings.message()) => Ok(Handshake::Stateless),
        Ok(Ok(_)) => begin(common, process).await,
        Ok(Err(error)) => {
            *probe = process.is_open();
            Err(error)
        }
        Err(_) => {
            let beginning = begin(common, process);
            tokio::pin!(beginning);
            tokio::select! {
                late = &mut asked => match late {
                    Ok(answer) if is_modern(&answer, &common.settings.message()) => Ok(Handshake::Stateless),
                    _ => beginning.await,
                },
                begun = &mut beginning => begun,
            }
        }
    }
}

/// Begins a session.
async fn begin(common: &Common, process: &Arc<Process>) -> Result<Handshake, UpstreamError> {
    let revision = common.settings.protocol.unwrap_or(NEWEST_WITH_SESSIONS);
    let answer = ask(common, process, &initialize_request(revision), START_TIME_MAX).await?;
    let limits = common.settings.message();
    let text = str::from_utf8(&answer).unwrap_or_default();
    let result = match raw::find(text, [&["result"]], &limits) {
        Ok([Some(result)]) if result.is_object() => shareable(result.text, &limits),
        _ => return Err(UpstreamError::Invalid("the server refuses `initialize`".into())),
    };
    process.tell(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await?;
    Ok(Handshake::Sessions { result: result.into() })
}

/// Asks on the gateway's own behalf: the answer itself, whatever else is said before it.
pub(super) async fn ask(
    common: &Common,
    process: &Arc<Process>,
    text: &str,
    patience: Duration,
) -> Result<Bytes, UpstreamError> {
    let answer = common.begin(process, text, Owner::Nobody, Manner::default()).await?;
    answer.collect(patience).await?.pop().ok_or(UpstreamError::Invalid("no answer".into()))
}

fn discover_request() -> String {
    let revision = Revision::V2026_07_28.as_str();
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{revision}","io.modelcontextprotocol/clientInfo":{CLIENT_INFO},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

fn initialize_request(revision: Revision) -> String {
    let revision = revision.as_str();
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{CLIENT_INFO}}}}}"#
    )
}

/// Whether the answer to `server/discover` is that of a modern server: a result, or an error that only a modern one gives.
fn is_modern(answer: &[u8], limits: &Limits) -> bool {
    let text = str::from_utf8(answer).unwrap_or_default();
    let paths: [&[&str]; 3] =
        [&["result", "supportedVersions"], &["error", "code"], &["error", "data", "supported"]];
    let Ok([versions, code, supported]) = raw::find(text, paths, limits) else { return false };
    let lists = |versions: &raw::Raw<'_>| {
        let versions = versions.as_strings(limits).unwrap_or_default();
        // Revisions are dates: later ones are of the modern era too, if none that is spoken here.
        versions.iter().any(|version| **version >= *Revision::V2026_07_28.as_str())
    };
    let is = |error: RpcError| code.as_ref().is_some_and(|code| code.text == error.code().to_string());
    versions.is_some_and(|versions| lists(&versions))
        || is(RpcError::MissingClientCapability)
        // A server that knows the error and says that it has sessions only is of their era.
        || is(RpcError::UnsupportedVersion) && supported.is_none_or(|supported| lists(&supported))
}

/// The result of `initialize` without what only one caller can have.
fn shareable(result: &str, limits: &Limits) -> String {
    ["logging", "tasks"].iter().fold(result.to_owned(), |result, capability| {
        raw::remove(&result, &["capabilities", capability], limits).unwrap_or(result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_modern_server_answers_like_one() {
        for (answer, modern) in [
            (r#"{"id":0,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#, true),
            (r#"{"id":0,"error":{"code":-32022,"message":"","data":{"supported":["2027-01-01"]}}}"#, true),
            (r#"{"id":0,"error":{"code":-32022,"message":"","data":{"supported":["2025-11-25"]}}}"#, false),
            (r#"{"id":0,"error":{"code":-32601,"message":"method not found"}}"#, false),
            (r#"{"id":0,"error":{"code":-32602,"message":"before initialize"}}"#, false),
            (r#"{"id":0,"result":{}}"#, false),
            ("", false),
        ] {
            assert_eq!(is_modern(answer.as_bytes(), &Limits::default()), modern, "{answer}");
        }
    }

    #[test]
    fn what_cannot_be_shared_is_not_offered() {
        let result =
            r#"{"capabilities":{"logging":{},"tools":{"listChanged":true},"tasks":{}},"serverInfo":{}}"#;
        let expected = r#"{"capabilities":{"tools":{"listChanged":true}},"serverInfo":{}}"#;
        assert_eq!(shareable(result, &Limits::default()), expected);
        assert_eq!(shareable(expected, &Limits::default()), expected);
    }

    #[test]
    fn the_requests_are_sound() {
        for text in [discover_request(), initialize_request(NEWEST_WITH_SESSIONS)] {
            mcpg_protocol::Envelope::parse(text.as_bytes(), &Limits::default()).unwrap();
        }
    }
}
