//! Lists in pages: the key of the last item is where the next page begins.

use super::StoreError;

/// The most items that one page has.
const LIMIT_MAX: u32 = 1000;

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The key after which it begins: [`Listed::next`] of the page before.
    pub after: Option<String>,
    /// How many items at most; 1,000 is the most.
    pub limit: u32,
}

/// One page of a list, in the order of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

impl Page {
    /// The first items of a list.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The key as text; before all keys is the empty one.
    pub(super) fn after_text(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// The key as a number.
    pub(super) fn after_number(&self) -> Result<Option<i64>, StoreError> {
        let parse = |text: &str| text.parse().map_err(|_| StoreError::Invalid { what: "a cursor" });
        self.after.as_deref().map(parse).transpose()
    }

    /// One more than wanted, which shows whether there is a next page.
    pub(super) fn fetch(&self) -> i64 {
        i64::from(self.limit.clamp(1, LIMIT_MAX)) + 1
    }

    /// Makes the page of what was fetched.
    pub(super) fn listed<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Listed<T> {
        let limit = usize::try_from(self.fetch() - 1).unwrap_or_default();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Listed { items, next }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(50)
    }
}
