//! Why a list cannot be had.

use mcpg_protocol::catalogue::ListError;
use mcpg_protocol::raw;

use crate::upstream::UpstreamError;

/// Why a list, or what a server says of itself, cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The upstream gives no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Its answer is no list.
    #[error("no list: {0}")]
    List(#[from] ListError),
    /// Its answer is no response.
    #[error("no response to the request")]
    NoResponse,
    /// It answers with an error.
    #[error("refused by the upstream with error {code}")]
    Refused {
        /// The error's code.
        code: i64,
    },
    /// It leads in a circle.
    #[error("a cursor comes again after {pages} pages")]
    CursorLoop {
        /// The pages before.
        pages: usize,
    },
    /// It never ends.
    #[error("more than {max} pages")]
    TooManyPages {
        /// The limit.
        max: usize,
    },
    /// It has too many items.
    #[error("more than {max} items (`federation.catalogue.items_max`)")]
    TooManyItems {
        /// The limit.
        max: usize,
    },
    /// It is too long.
    #[error("more than {max} bytes (`federation.catalogue.bytes_max`)")]
    TooManyBytes {
        /// The limit.
        max: usize,
    },
    /// It took too long.
    #[error("not there within `federation.catalogue.fetch_timeout_ms`")]
    Timeout,
    /// It is for the caller that asked, and for no one else.
    #[error("for one caller only")]
    Private,
}

impl FetchError {
    /// A stable word for metrics and for clients.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Upstream(error) => error.rpc().reason(),
            Self::List(_) | Self::NoResponse | Self::CursorLoop { .. } => "upstream_invalid",
            Self::Refused { .. } => "upstream_refused",
            Self::TooManyPages { .. } | Self::TooManyItems { .. } | Self::TooManyBytes { .. } => {
                "list_too_large"
            }
            Self::Timeout => "upstream_timeout",
            Self::Private => "private",
        }
    }
}

/// What an upstream's response says.
pub(super) enum Response<'a> {
    /// `result`: the raw text of an object.
    Result(&'a str),
    /// `error.code`.
    Error(i64),
}

impl<'a> Response<'a> {
    /// Reads a response.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn read(text: &'a str, limits: &mcpg_protocol::Limits) -> Result<Self, FetchError> {
        let [result, code] = raw::find(text, [&["result"], &["error", "code"]], limits)
            .map_err(|error| FetchError::List(ListError::Json { error, offset: 0 }))?;
        match (result, code) {
            (Some(result), None) if result.is_object() => Ok(Self::Result(result.text)),
            (None, Some(code)) => code.text.parse().map(Self::Error).map_err(|_| FetchError::NoResponse),
            _ => Err(FetchError::NoResponse),
        }
    }
}
