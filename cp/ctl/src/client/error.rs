//! Why a request was not done.

use std::path::PathBuf;
use std::time::Duration;

use boring::error::ErrorStack;
use mcpg_cp_api::trace_context::Hex;
use mcpg_cp_api::{FieldError, Problem, ProblemCode};

use super::settings::Settings;
use crate::text::plain;

/// Why the control plane did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Without TLS a token could be read on the way.
    #[error(
        "`{server}` is not on this machine, and without TLS the token could be read on the way: use `https`, or say `--insecure-http`"
    )]
    Plain {
        /// The server.
        server: String,
    },
    /// `localhost` is elsewhere.
    #[error(
        "`{server}` leads to {address}, which is not this machine: use `https`, or say `--insecure-http`"
    )]
    NotLoopback {
        /// The server.
        server: String,
        /// Where it leads.
        address: String,
    },
    /// No authority in the file.
    #[error("the authority `{}` cannot be used: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] ErrorStack),
    /// Nobody there.
    #[error("the control plane at `{server}` cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// Somebody there who is not the server, or says so wrongly.
    #[error("`{server}` has not proven who it is: {reason}")]
    Unproven {
        /// The server.
        server: String,
        /// What the verification found.
        reason: String,
    },
    /// The connection ended before the answer was there.
    #[error("the connection to `{server}` ended before the answer: {reason} (trace {trace_id})")]
    Broken {
        /// The server.
        server: String,
        /// The trace that it was part of.
        trace_id: String,
        /// Why.
        reason: String,
    },
    /// No answer in time.
    #[error("`{server}` has not answered within {} s (trace {trace_id})", after.as_secs())]
    Deadline {
        /// The server.
        server: String,
        /// The trace that it was part of.
        trace_id: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server asks for patience.
    #[error("{refusal}")]
    Busy {
        /// When to come again.
        after: Duration,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The server answers as no control plane does.
    #[error("the answer cannot be used: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be written.
    #[error("the request cannot be made: {reason}")]
    Request {
        /// Why.
        reason: String,
    },
}

impl ClientError {
    pub(super) fn broken(settings: &Settings, reason: String) -> Self {
        let trace_id = Hex(&settings.trace_id).to_string();
        Self::Broken { server: settings.server.to_string(), trace_id, reason }
    }

    pub(super) fn late(settings: &Settings) -> Self {
        let trace_id = Hex(&settings.trace_id).to_string();
        Self::Deadline { server: settings.server.to_string(), trace_id, after: settings.answer_timeout }
    }

    pub(super) fn answer(reason: impl Into<String>) -> Self {
        Self::Answer { reason: plain(&reason.into()).into_owned() }
    }

    pub(super) fn request(error: impl std::fmt::Display) -> Self {
        Self::Request { reason: error.to_string() }
    }

    /// What the server said, if it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Busy { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// The kind of the server's no.
    pub fn code(&self) -> Option<ProblemCode> {
        self.refusal().and_then(|refusal| refusal.code)
    }
}

/// The server's no (RFC 9457). All of its text is fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The kind; none where it is newer than this program, or the answer was no problem document.
    pub code: Option<ProblemCode>,
    /// The kind in a few words.
    pub title: String,
    /// What is wrong with the request.
    pub detail: Option<String>,
    /// Where in the request.
    pub errors: Vec<FieldError>,
    /// The request's id, also in the control plane's log.
    pub request_id: Option<String>,
    /// What was asked: method and target.
    pub asked: String,
    /// The trace that it was part of, also in the control plane's log.
    pub trace_id: String,
}

impl Refusal {
    pub(super) fn new(problem: Problem, request_id: Option<String>) -> Self {
        let word = problem.kind.rsplit('/').next().unwrap_or_default();
        let code = ProblemCode::ALL.iter().copied().find(|code| code.as_str() == word);
        let text = |text: String| plain(&text).into_owned();
        let error =
            |error: FieldError| FieldError { pointer: text(error.pointer), detail: text(error.detail) };
        Self {
            status: problem.status,
            code,
            title: text(problem.title),
            detail: problem.detail.map(text),
            errors: problem.errors.into_iter().map(error).collect(),
            request_id: problem.instance.or(request_id).map(text),
            asked: String::new(),
            trace_id: String::new(),
        }
    }

    /// An answer that is no problem document: of a proxy in between, perhaps.
    pub(super) fn bare(status: http::StatusCode, request_id: Option<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("no reason given").to_lowercase();
        let request_id = request_id.map(|id| plain(&id).into_owned());
        Self {
            status: status.as_u16(),
            code: None,
            title,
            detail: None,
            errors: Vec::new(),
            request_id,
            asked: String::new(),
            trace_id: String::new(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title)?,
            None => f.write_str(&self.title)?,
        }
        for error in &self.errors {
            if error.pointer.is_empty() {
                write!(f, "\n  {}", error.detail)?;
            } else {
                write!(f, "\n  {}: {}", error.pointer, error.detail)?;
            }
        }
        let code = self.code.map_or("unknown", ProblemCode::as_str);
        write!(f, "\n  ({} {code}, {}", self.status, self.asked)?;
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        if !self.trace_id.is_empty() {
            write!(f, ", trace {}", self.trace_id)?;
        }
        f.write_str(")")
    }
}
