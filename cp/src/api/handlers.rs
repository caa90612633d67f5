//! What the endpoints do. Each handler is behind the access of its row in the table, and holds one organization's rows at most.

pub mod access;
pub mod agents;
pub mod agents_audit;
pub mod chains;
pub mod documents;
pub mod fleet;
pub mod licenses;
pub mod observed;
pub mod platform_tokens;
pub mod revisions;
pub mod secrets;
pub mod service;
pub mod sign_in;
pub mod tree;

use mcpg_cp_api::{Actor, Id, Page, Timestamp};

use super::call::Input;
use super::conditions;
use super::input;
use super::refused::Refused;
use super::reply::Reply;
use crate::store;

/// The page of the store that a query asks for.
fn page(limit: Option<u16>, cursor: Option<&str>) -> Result<store::Page, Refused> {
    Ok(store::Page { after: input::key(cursor)?, limit: input::limit(limit)? })
}

/// A page as the wire has it.
fn listed<T, U>(
    listed: store::Listed<T>,
    convert: impl FnMut(T) -> Result<U, Refused>,
) -> Result<Page<U>, Refused> {
    let items = listed.items.into_iter().map(convert).collect::<Result<_, _>>()?;
    Ok(Page { items, next_cursor: listed.next.as_deref().map(input::cursor) })
}

fn time(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

/// An id of the store as the wire has it.
fn id(id: &impl ToString) -> Result<Id, Refused> {
    id.to_string().parse().map_err(|_| Refused::internal("an id of the store is no UUID"))
}

/// Who did something, as the store noted it.
fn actor(subject: &str) -> Result<Actor, Refused> {
    subject.parse().map_err(|_| Refused::internal("an actor of the store has no known form"))
}

/// A resource with its entity tag, unless the reader has it.
fn tagged<T: serde::Serialize>(input: &Input, etag: &str, value: &T) -> Result<Reply, Refused> {
    if conditions::is_known(&input.headers, etag)? {
        return Ok(Reply::empty(http::StatusCode::NOT_MODIFIED).with_etag(etag));
    }
    Ok(Reply::ok(value).with_etag(etag))
}
