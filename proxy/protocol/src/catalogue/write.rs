//! Pages as clients get them, assembled from items as upstreams wrote them.

use super::{CacheScope, ListItem, ListKind};
use crate::{Era, write_string};

/// Writes the `result` of a list request.
#[derive(Debug)]
pub struct PageWriter {
    out: Vec<u8>,
    empty: bool,
}

/// How a page ends: what may differ between two answers with the same items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageTail<'a> {
    /// The era of the client. A legacy one gets no caching hints and no `resultType`.
    pub era: Era,
    /// How long the client may keep it.
    pub ttl_ms: u64,
    /// For whom.
    pub scope: CacheScope,
    /// Members of `_meta`, each with its value as JSON.
    pub meta: &'a [(&'a str, &'a str)],
}

impl PageWriter {
    /// Begins a page of about so many bytes.
    pub fn new(kind: ListKind, capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        write_string(&mut out, kind.member());
        out.extend_from_slice(b":[");
        Self { out, empty: true }
    }

    /// Adds an item, its name behind `prefix` (text as it may stand inside a JSON string).
    pub fn item(&mut self, text: &str, name_at: usize, prefix: &str) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        let (head, tail) = text.split_at_checked(name_at).unwrap_or((text, ""));
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(prefix.as_bytes());
        self.out.extend_from_slice(tail.as_bytes());
    }

    /// Ends the items. What is left is for [`PageTail::write`].
    pub fn finish(mut self, next_cursor: Option<&str>) -> Vec<u8> {
        self.out.push(b']');
        if let Some(cursor) = next_cursor {
            self.out.extend_from_slice(br#","nextCursor":"#);
            write_string(&mut self.out, cursor);
        }
        self.out
    }
}

impl PageTail<'_> {
    /// Ends a page, or any other object that has a member already.
    pub fn write(&self, out: &mut Vec<u8>) {
        if !self.meta.is_empty() {
            out.extend_from_slice(br#","_meta":{"#);
            for (index, (key, value)) in self.meta.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(out, key);
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
            }
            out.push(b'}');
        }
        if self.era == Era::Modern {
            out.extend_from_slice(br#","ttlMs":"#);
            out.extend_from_slice(self.ttl_ms.to_string().as_bytes());
            out.extend_from_slice(br#","cacheScope":"#);
            write_string(out, self.scope.as_str());
            out.extend_from_slice(br#","resultType":"complete""#);
        }
        out.push(b'}');
    }
}

impl ListItem<'_> {
    /// Adds it to a page, its name behind `prefix`.
    pub fn write(&self, page: &mut PageWriter, prefix: &str) {
        page.item(self.text, self.name_at, prefix);
    }
}
