//! What a client needs to know: the server, the credential, whom to trust, how long to wait.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::server::Server;

/// How a client reaches the control plane.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub server: Server,
    /// The credential; none for what needs none.
    pub token: Option<Token>,
    /// The authority to trust, PEM, instead of the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Whether a server that is not on this machine may be spoken to without TLS.
    pub insecure_http: bool,
    /// How long a connection may take to be there.
    pub connect_timeout: Duration,
    /// How long an answer may take to be there as a whole.
    pub answer_timeout: Duration,
    /// The most bytes of an answer.
    pub answer_bytes_max: usize,
    /// The trace that all requests are part of (W3C Trace Context).
    pub trace_id: [u8; 16],
}

impl Settings {
    /// The defaults for a server: the system's roots, 10 s to connect, 60 s and 64 MiB for an answer.
    pub fn new(server: Server) -> Self {
        let mut trace_id = [0; 16];
        // Without one the server begins traces of its own.
        let _ = getrandom::fill(&mut trace_id);
        Self {
            trace_id,
            server,
            token: None,
            ca_file: None,
            insecure_http: false,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            answer_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// A bearer token. It is printed nowhere and wiped when it is dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// The text, for the header of a request or a file of the operator's own.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim_end_matches(['\r', '\n']);
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(TokenError) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// A text that is no token. It is not shown: it may be one all but for a character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token is one line of 1 to 512 printable characters")]
pub struct TokenError;
