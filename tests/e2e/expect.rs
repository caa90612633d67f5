//! What every refusal has in common.

use mcpg_tests::Response;
use serde_json::Value;

/// A refusal as a client tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The JSON-RPC error code.
    pub(crate) code: i64,
    /// The stable word: the finer one (`data.detail`) where there is one, else `data.reason`.
    pub(crate) word: &'static str,
}

/// A refusal from its three parts.
pub(crate) const fn refused(status: u16, code: i64, word: &'static str) -> Refused {
    Refused { status, code, word }
}

impl Refused {
    /// Panics unless `response` is this refusal, as JSON, and tells the client nothing that it must not know.
    pub(crate) fn check(&self, case: &str, response: &Response) {
        let text = response.text();
        assert_eq!(response.status, self.status, "{case}: {text}");
        let message = response.json();
        let error = &message["error"];
        assert_eq!(message["jsonrpc"], "2.0", "{case}: {text}");
        assert_eq!(error["code"], self.code, "{case}: {text}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{case}: {text}");
        let data = &error["data"];
        let word = if data["detail"].is_string() { &data["detail"] } else { &data["reason"] };
        assert_eq!(*word, self.word, "{case}: {text}");
        says_nothing_inside(case, &text);
    }

    /// [`Refused::check`], and the id is `id`.
    pub(crate) fn check_id(&self, case: &str, response: &Response, id: Value) {
        self.check(case, response);
        assert_eq!(response.json()["id"], id, "{case}: {}", response.text());
    }
}

/// Neither a stack nor a source path nor an address of an upstream is any client's business.
pub(crate) fn says_nothing_inside(case: &str, text: &str) {
    for inside in ["panicked", "RUST_BACKTRACE", ".rs:", "127.0.0.1:", "pingora", "Pingora"] {
        assert!(!text.contains(inside), "{case}: `{inside}` in {text}");
    }
}
