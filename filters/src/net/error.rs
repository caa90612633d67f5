//! Why nothing was fetched.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{HttpUrl, NetError};

/// Why nothing was fetched, and from where. It holds no secret: no query, no header, no byte of the answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch `{url}`: {problem}")]
pub struct FetchError {
    /// What was asked for; the URL at fault, where redirects were followed.
    pub url: Box<HttpUrl>,
    /// What is wrong.
    pub problem: Box<FetchProblem>,
}

impl FetchError {
    pub(super) fn at(url: &HttpUrl, problem: impl Into<FetchProblem>) -> Self {
        Self { url: Box::new(url.clone()), problem: Box::new(problem.into()) }
    }

    /// Whether the same may be answered later, with nothing changed here.
    pub fn may_pass(&self) -> bool {
        matches!(self.problem.word(), "dns" | "connect" | "timeout")
            || matches!(*self.problem, FetchProblem::Tls { .. } | FetchProblem::Http { .. })
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum FetchProblem {
    /// The host is no host, is not found, or is at an address that may not be dialled.
    #[error(transparent)]
    Address(#[from] NetError),
    /// `http` to another machine.
    #[error("it is not `https`, and {address} is another machine")]
    Cleartext {
        /// Where the host is.
        address: SocketAddr,
    },
    /// No connection to any address.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The last address that was tried.
        address: SocketAddr,
        /// The system's answer.
        reason: io::Error,
    },
    /// The server did not prove who it is, or speaks no TLS that is spoken here.
    #[error("TLS with `{server_name}` failed: {reason}")]
    Tls {
        /// The name that was asked for and verified.
        server_name: String,
        /// What the handshake says.
        reason: String,
    },
    /// The certificate is valid, but not one that is pinned.
    #[error("the certificate matches none of the pins; that of the server has SHA-256 {found}")]
    Pin {
        /// SHA-256 of the leaf certificate (DER) in hexadecimal digits.
        found: String,
    },
    /// Not in time.
    #[error("not done within {} ms, while {phase}", .after.as_millis())]
    Timeout {
        /// What was going on.
        phase: Phase,
        /// The time that there was.
        after: Duration,
    },
    /// The server does not keep to HTTP/1.1, or hung up.
    #[error("no complete HTTP answer: {reason}")]
    Http {
        /// What is wrong with it.
        reason: String,
    },
    /// A longer body than was asked for.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLong {
        /// The most bytes that a body may have.
        bytes_max: usize,
    },
    /// A body in an encoding that was not asked for.
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    /// A redirect that is not followed.
    #[error("it redirects to `{to}`, {reason}")]
    Redirect {
        /// Where to: the URL without its query, or what it is instead.
        to: String,
        /// Why it is not followed.
        reason: &'static str,
    },
}

impl FetchProblem {
    /// One word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Address(NetError::Refused { .. }) | Self::Cleartext { .. } => "refused",
            Self::Address(_) => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } | Self::Pin { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::Http { .. } | Self::Encoded => "protocol",
            Self::TooLong { .. } => "too_long",
            Self::Redirect { .. } => "redirect",
        }
    }
}

/// What was going on when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the name.
    Lookup,
    /// Connecting over TCP.
    Connect,
    /// In the TLS handshake.
    Handshake,
    /// Sending the request, waiting for the head of the answer.
    Head,
    /// Reading the body of the answer.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "looking up the name",
            Self::Connect => "connecting",
            Self::Handshake => "in the TLS handshake",
            Self::Head => "waiting for the answer",
            Self::Body => "reading the answer",
        })
    }
}
