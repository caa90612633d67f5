//! A list that passes through: items that the caller may not use are taken out of it.

use std::ops::Range;

use super::{ListError, ListItem, ListKind, ListPage};
use crate::json::{Scanner, Value, ValueKind};
use crate::{JsonError, Limits};

/// What became of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtered {
    /// Nothing had to be done; the message is no list, or every item stays.
    Untouched,
    /// The message without what was taken out.
    Changed(Vec<u8>),
}

/// Why a list cannot be filtered, so that nothing of it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The message is not strict JSON, or beyond a limit.
    #[error("the message is not UTF-8 or not strict JSON: {}", .0.word())]
    Json(JsonError),
    /// The result is no page of the list.
    #[error(transparent)]
    List(#[from] ListError),
}

/// Takes the items out of a page that `keep` does not keep, and those that cannot be judged. With `private` the page is said to be
/// for this caller only, whether or not something was taken out. `message` is the answer to a list request.
///
/// # Errors
/// If the message cannot be read.
pub fn filter_list(
    message: &[u8],
    kind: ListKind,
    limits: &Limits,
    private: bool,
    mut keep: impl FnMut(&ListItem<'_>) -> bool,
) -> Result<Filtered, FilterError> {
    let text = str::from_utf8(message).map_err(|_| FilterError::Json(JsonError::UnexpectedByte))?;
    let Some(at) = result_of(text, limits).map_err(FilterError::Json)? else {
        return Ok(Filtered::Untouched);
    };
    let result = text.get(at.clone()).unwrap_or_default();
    let page = ListPage::parse(result, kind, usize::MAX, limits)?;
    let kept: Vec<&str> = page.items.iter().filter(|item| keep(item)).map(|item| item.text).collect();
    let complete = page.odd.is_empty() && kept.len() == page.items.len();
    let scope = page.scope_at.clone().and_then(|scope| result.get(scope));
    if complete && (!private || scope == Some(r#""private""#)) {
        return Ok(Filtered::Untouched);
    }
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut items = format!("[{}]", kept.join(","));
    match page.scope_at {
        Some(scope) if private => edits.push((scope, r#""private""#.to_owned())),
        None if private => items.push_str(r#","cacheScope":"private""#),
        _ => {}
    }
    edits.push((page.items_at, items));
    edits.sort_unstable_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(message.len());
    let mut copied = 0;
    for (range, new) in edits {
        out.extend_from_slice(message.get(copied..at.start + range.start).unwrap_or_default());
        out.extend_from_slice(new.as_bytes());
        copied = at.start + range.end;
    }
    out.extend_from_slice(message.get(copied..).unwrap_or_default());
    Ok(Filtered::Changed(out))
}

/// Where the result of a response lies; none if it has none, or one that is no object.
fn result_of(text: &str, limits: &Limits) -> Result<Option<Range<usize>>, JsonError> {
    let mut scanner = Scanner::new(text, limits);
    let mut found: Option<Value> = None;
    let mut read = || {
        if scanner.peek_value() == Some(b'{') {
            let mut object = scanner.open_object()?;
            while let Some(key) = scanner.next_key(&mut object)? {
                let value = scanner.value()?;
                let raw = text.get(key.span.range()).unwrap_or_default();
                if crate::json::unescape(raw, key.escaped) == "result" {
                    found = Some(value);
                }
            }
        } else {
            scanner.value()?;
        }
        scanner.finish()
    };
    read().map_err(|fault| fault.error)?;
    Ok(found.filter(|value| value.kind == ValueKind::Object).map(|value| value.span.range()))
}
