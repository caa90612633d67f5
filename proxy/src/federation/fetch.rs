//! Fetching a list: page after page, to its end, within bounds.

use std::collections::HashSet;

use mcpg_protocol::Limits;
use mcpg_protocol::catalogue::{ListError, ListKind, ListPage};

use super::catalogue::{Catalogue, CatalogueBuilder, Hints};
use super::error::Response;
use super::{FetchError, Listing};

/// Pages of one list.
const PAGES_MAX: usize = 1_000;
/// What a cursor may have. It is sent back to the upstream as it is.
const CURSOR_BYTES_MAX: usize = 64 * 1024;
/// "Method not found" (JSON-RPC 2.0): a server without such a list.
const METHOD_NOT_FOUND: i64 = -32601;

/// How large a list may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListLimits {
    pub(super) items_max: usize,
    /// All pages together.
    pub(super) bytes_max: usize,
}

impl ListLimits {
    /// The limits of one message: a list is bounded by its bytes and items alone.
    pub(super) fn message(&self) -> Limits {
        Limits {
            body_bytes_max: self.bytes_max,
            depth_max: Limits::DEPTH_CEILING,
            values_max: usize::MAX,
            ..Limits::default()
        }
    }
}

/// Fetches all pages of a list. A server that has no such list has an empty one.
pub(super) async fn fetch(
    listing: &mut dyn Listing,
    kind: ListKind,
    limits: ListLimits,
) -> Result<(Catalogue, Hints), FetchError> {
    let message = limits.message();
    let mut list = CatalogueBuilder::new(kind);
    let mut cursors: HashSet<String> = HashSet::new();
    let mut bytes = 0;
    let mut cursor: Option<String> = None;
    loop {
        if cursors.len() >= PAGES_MAX {
            return Err(FetchError::TooManyPages { max: PAGES_MAX });
        }
        let answer = listing.page(kind, cursor.as_deref()).await?;
        bytes += answer.len();
        if bytes > limits.bytes_max {
            return Err(FetchError::TooManyBytes { max: limits.bytes_max });
        }
        let text = str::from_utf8(&answer).map_err(|_| FetchError::NoResponse)?;
        let result = match Response::read(text, &message)? {
            Response::Result(result) => result,
            Response::Error(METHOD_NOT_FOUND) if cursor.is_none() => break,
            Response::Error(code) => return Err(FetchError::Refused { code }),
        };
        let left = limits.items_max.saturating_sub(list.items());
        let too_many = FetchError::TooManyItems { max: limits.items_max };
        let page = match ListPage::parse(result, kind, left, &message) {
            Err(ListError::TooManyItems { .. }) => return Err(too_many),
            page => page?,
        };
        list.add(&page).map_err(|_| FetchError::TooManyBytes { max: limits.bytes_max })?;
        let Some(next) = page.next_cursor else { break };
        if next.len() > CURSOR_BYTES_MAX {
            return Err(FetchError::List(ListError::Cursor));
        }
        if !cursors.insert(next.to_string()) {
            return Err(FetchError::CursorLoop { pages: cursors.len() });
        }
        cursor = Some(next.into_owned());
    }
    Ok(list.build())
}
