//! One page of an upstream's list, read strictly; its items stay the upstream's own bytes.

use std::borrow::Cow;
use std::ops::Range;

use super::{CacheScope, ListKind};
use crate::envelope::fold::{self, Match};
use crate::json::{Fault, Scanner, Span, Value, ValueKind, unescape};
use crate::{JsonError, Limits};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage<'a> {
    /// The items, in the upstream's order.
    pub items: Vec<ListItem<'a>>,
    /// What is wrong with those that are not among the items.
    pub odd: Vec<OddItem>,
    /// `nextCursor`, unescaped: there is another page.
    pub next_cursor: Option<Cow<'a, str>>,
    /// `ttlMs`. Less than nothing counts as nothing.
    pub ttl_ms: Option<u64>,
    /// `cacheScope`. What is neither of the two words counts as private.
    pub scope: Option<CacheScope>,
    /// Where the array of the items lies.
    pub(super) items_at: Range<usize>,
    /// Where `cacheScope` lies.
    pub(super) scope_at: Option<Range<usize>>,
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListItem<'a> {
    /// The object, as the upstream wrote it.
    pub text: &'a str,
    /// Its name, URI or template, unescaped.
    pub name: Cow<'a, str>,
    /// Where in the text the name's content begins: behind its quote.
    pub name_at: usize,
}

/// An item that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddItem {
    /// Its place in the page.
    pub index: usize,
    /// What is wrong with it.
    pub oddity: Oddity,
}

/// Why an item is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// It is no object.
    #[error("not an object")]
    NotAnObject,
    /// It has no name.
    #[error("`{key}` is missing or not a string")]
    Nameless {
        /// The member that names it.
        key: &'static str,
    },
    /// Its name is longer than [`Limits::name_bytes_max`], or empty.
    #[error("`{key}` is empty or too long")]
    NameLength {
        /// The member that names it.
        key: &'static str,
    },
    /// Its name has a line end or another control character.
    #[error("`{key}` has a control character")]
    NameCharacters {
        /// The member that names it.
        key: &'static str,
    },
    /// A key that a lenient parser would take for the one that names it.
    #[error("key is a variant of `{key}`")]
    KeyVariant {
        /// The member that names it.
        key: &'static str,
    },
}

/// Why a text is no page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It is not strict JSON, or beyond a limit.
    #[error("{error} at byte {offset}")]
    Json {
        /// What is wrong.
        error: JsonError,
        /// Where.
        offset: usize,
    },
    /// It is no object.
    #[error("the result is not an object")]
    NotAnObject,
    /// It has no list of this kind.
    #[error("`{member}` is missing or not an array")]
    NoList {
        /// The member that should have it.
        member: &'static str,
    },
    /// The cursor is no string.
    #[error("`nextCursor` is not a string")]
    Cursor,
    /// It has more items than allowed.
    #[error("more than {max} items")]
    TooManyItems {
        /// The limit.
        max: usize,
    },
}

impl<'a> ListPage<'a> {
    /// Reads the `result` of a list request: the raw text of an object.
    ///
    /// # Errors
    /// If it is not strict JSON, no page of this kind, or has more than `items_max` items.
    pub fn parse(
        result: &'a str,
        kind: ListKind,
        items_max: usize,
        limits: &Limits,
    ) -> Result<Self, ListError> {
        let mut reader =
            Reader { text: result, scanner: Scanner::new(result, limits), kind, items_max, limits };
        reader.page()
    }
}

impl From<Fault> for ListError {
    fn from(fault: Fault) -> Self {
        Self::Json { error: fault.error, offset: fault.offset as usize }
    }
}

#[derive(Clone, Copy)]
enum Member {
    Items,
    NextCursor,
    TtlMs,
    CacheScope,
}

struct Reader<'a, 'l> {
    text: &'a str,
    scanner: Scanner<'a>,
    kind: ListKind,
    items_max: usize,
    limits: &'l Limits,
}

impl<'a> Reader<'a, '_> {
    fn page(&mut self) -> Result<ListPage<'a>, ListError> {
        if self.scanner.peek_value() != Some(b'{') {
            self.scanner.value()?;
            self.scanner.finish()?;
            return Err(ListError::NotAnObject);
        }
        let members = [
            (self.kind.member(), Member::Items),
            ("nextCursor", Member::NextCursor),
            ("ttlMs", Member::TtlMs),
            ("cacheScope", Member::CacheScope),
        ];
        let mut page = ListPage {
            items: Vec::new(),
            odd: Vec::new(),
            next_cursor: None,
            ttl_ms: None,
            scope: None,
            items_at: 0..0,
            scope_at: None,
        };
        let mut has_items = false;
        let mut object = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut object)? {
            match fold::look_up(self.text, key, &members) {
                Match::Known(Member::Items) => {
                    has_items = true;
                    self.items(&mut page)?;
                }
                Match::Known(Member::NextCursor) => page.next_cursor = self.cursor()?,
                Match::Known(Member::TtlMs) => page.ttl_ms = self.ttl()?,
                Match::Known(Member::CacheScope) => self.scope(&mut page)?,
                Match::Variant(_) | Match::Other => {
                    self.scanner.value()?;
                }
            }
        }
        self.scanner.finish()?;
        if has_items { Ok(page) } else { Err(ListError::NoList { member: self.kind.member() }) }
    }

    fn items(&mut self, page: &mut ListPage<'a>) -> Result<(), ListError> {
        if self.scanner.peek_value() != Some(b'[') {
            return Err(ListError::NoList { member: self.kind.member() });
        }
        let start = self.scanner.offset();
        let mut array = self.scanner.open_array()?;
        let mut index = 0;
        while self.scanner.next_element(&mut array)? {
            if index == self.items_max {
                return Err(ListError::TooManyItems { max: self.items_max });
            }
            match self.item()? {
                Ok(item) => page.items.push(item),
                Err(oddity) => page.odd.push(OddItem { index, oddity }),
            }
            index += 1;
        }
        page.items_at = Span { start, end: self.scanner.offset() }.range();
        Ok(())
    }

    fn item(&mut self) -> Result<Result<ListItem<'a>, Oddity>, Fault> {
        if self.scanner.peek_value() != Some(b'{') {
            self.scanner.value()?;
            return Ok(Err(Oddity::NotAnObject));
        }
        let key = self.kind.key();
        let start = self.scanner.offset();
        let mut name = Err(Oddity::Nameless { key });
        let mut variant = false;
        let mut object = self.scanner.open_object()?;
        while let Some(found) = self.scanner.next_key(&mut object)? {
            let looked_up = fold::look_up(self.text, found, &[(key, ())]);
            let value = self.scanner.value()?;
            match looked_up {
                Match::Known(()) => name = self.name(value),
                Match::Variant(_) => variant = true,
                Match::Other => {}
            }
        }
        let text = self.raw(Span { start, end: self.scanner.offset() });
        if variant {
            return Ok(Err(Oddity::KeyVariant { key }));
        }
        Ok(name.map(|(name, at)| ListItem { text, name, name_at: at.saturating_sub(start as usize) }))
    }

    /// The name that a value is, and where its content begins.
    fn name(&self, value: Value) -> Result<(Cow<'a, str>, usize), Oddity> {
        let key = self.kind.key();
        let Some(content) = self.string(value) else { return Err(Oddity::Nameless { key }) };
        let length = value.span.range().len().saturating_sub(2);
        if length == 0 || length > self.limits.name_bytes_max {
            return Err(Oddity::NameLength { key });
        }
        if content.contains(char::is_control) {
            return Err(Oddity::NameCharacters { key });
        }
        Ok((content, value.span.start as usize + 1))
    }

    /// `null` is what some servers write for no cursor.
    fn cursor(&mut self) -> Result<Option<Cow<'a, str>>, ListError> {
        let value = self.scanner.value()?;
        match self.string(value) {
            Some(cursor) => Ok(Some(cursor)),
            None if value.kind == ValueKind::Null => Ok(None),
            None => Err(ListError::Cursor),
        }
    }

    /// A hint: what is no number is none.
    fn ttl(&mut self) -> Result<Option<u64>, Fault> {
        let value = self.scanner.value()?;
        let ValueKind::Number { integer } = value.kind else { return Ok(None) };
        let text = self.raw(value.span);
        if text.starts_with('-') || !integer {
            return Ok(Some(0));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    fn scope(&mut self, page: &mut ListPage<'a>) -> Result<(), Fault> {
        let value = self.scanner.value()?;
        let public = self.string(value).as_deref() == Some("public");
        page.scope = Some(if public { CacheScope::Public } else { CacheScope::Private });
        page.scope_at = Some(value.span.range());
        Ok(())
    }

    fn string(&self, value: Value) -> Option<Cow<'a, str>> {
        let ValueKind::String { escaped } = value.kind else { return None };
        let content = self.raw(value.span).strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(content, escaped))
    }

    /// INVARIANT: spans come from the scanner and lie on character boundaries of the text.
    fn raw(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }
}
