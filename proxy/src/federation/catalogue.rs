//! One list of one upstream, whole: all its pages, as bytes that the upstream wrote.

use std::collections::HashSet;

use mcpg_protocol::catalogue::{CacheScope, ListKind, ListPage};

use super::shelf::Weight;

/// A list of an upstream.
pub struct Catalogue {
    kind: ListKind,
    /// The items' texts, one after the other.
    texts: Box<str>,
    /// Their names, likewise.
    names: Box<str>,
    items: Box<[Place]>,
    /// The items in the order of their names.
    sorted: Box<[u32]>,
    digest: [u8; 32],
    /// Items that the upstream lists and that are left out here.
    odd: usize,
}

/// An item of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'c> {
    /// The object, as the upstream wrote it.
    pub text: &'c str,
    /// Its name, URI or template.
    pub name: &'c str,
    /// Where in the text the name's content begins.
    pub name_at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    text_end: u32,
    name_end: u32,
    name_at: u32,
}

/// A list under construction.
pub(super) struct CatalogueBuilder {
    kind: ListKind,
    texts: String,
    names: String,
    items: Vec<Place>,
    seen: HashSet<Box<str>>,
    odd: usize,
    ttl_ms: Option<u64>,
    is_private: bool,
}

/// What an upstream said about keeping a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hints {
    /// The shortest of its pages' times to live.
    pub(super) ttl_ms: Option<u64>,
    /// Whether some page is for one caller only.
    pub(super) is_private: bool,
}

/// A list larger than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Catalogue {
    /// A list without items.
    pub fn empty(kind: ListKind) -> Self {
        CatalogueBuilder::new(kind).build().0
    }

    /// What is listed.
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items that were left out, as they cannot be named or are named twice.
    pub fn odd(&self) -> usize {
        self.odd
    }

    /// Equal for equal items in equal order.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// An item by its place.
    pub fn item(&self, index: usize) -> Option<Item<'_>> {
        let place = self.items.get(index)?;
        let before = index.checked_sub(1).and_then(|before| self.items.get(before));
        let (text_start, name_start) =
            before.map_or((0, 0), |before| (before.text_end as usize, before.name_end as usize));
        Some(Item {
            text: self.texts.get(text_start..place.text_end as usize)?,
            name: self.names.get(name_start..place.name_end as usize)?,
            name_at: place.name_at as usize,
        })
    }

    /// All items, in the upstream's order.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        (0..self.items.len()).filter_map(|index| self.item(index))
    }

    /// The place of the item of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        let name_of = |index: &u32| self.item(*index as usize).map_or("", |item| item.name);
        let at = self.sorted.binary_search_by(|index| name_of(index).cmp(name)).ok()?;
        self.sorted.get(at).map(|index| *index as usize)
    }
}

impl Weight for Catalogue {
    fn weight(&self) -> usize {
        let index = self.items.len() * (size_of::<Place>() + size_of::<u32>());
        self.texts.len() + self.names.len() + index + size_of::<Self>()
    }
}

impl CatalogueBuilder {
    pub(super) fn new(kind: ListKind) -> Self {
        Self {
            kind,
            texts: String::new(),
            names: String::new(),
            items: Vec::new(),
            seen: HashSet::new(),
            odd: 0,
            ttl_ms: None,
            is_private: false,
        }
    }

    /// How many items there are so far, those left out included.
    pub(super) fn items(&self) -> usize {
        self.items.len() + self.odd
    }

    /// Adds a page. Of items with one name the first stays.
    pub(super) fn add(&mut self, page: &ListPage<'_>) -> Result<(), TooLarge> {
        self.odd += page.odd.len();
        self.is_private |= page.scope == Some(CacheScope::Private);
        self.ttl_ms = match (self.ttl_ms, page.ttl_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        for item in &page.items {
            if !self.seen.insert((*item.name).into()) {
                self.odd += 1;
                continue;
            }
            self.texts.push_str(item.text);
            self.names.push_str(&item.name);
            let end = |text: &str| u32::try_from(text.len()).map_err(|_| TooLarge);
            self.items.push(Place {
                text_end: end(&self.texts)?,
                name_end: end(&self.names)?,
                name_at: u32::try_from(item.name_at).map_err(|_| TooLarge)?,
            });
        }
        Ok(())
    }

    pub(super) fn build(self) -> (Catalogue, Hints) {
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 digest of a list");
        hasher.update(self.kind.member().as_bytes());
        let mut catalogue = Catalogue {
            kind: self.kind,
            texts: self.texts.into(),
            names: self.names.into(),
            items: self.items.into(),
            sorted: Box::default(),
            digest: [0; 32],
            odd: self.odd,
        };
        for item in catalogue.items() {
            hasher.update(&(item.text.len() as u64).to_le_bytes());
            hasher.update(item.text.as_bytes());
        }
        catalogue.digest = hasher.finalize().into();
        // INVARIANT: there are fewer items than bytes, and those are counted in a u32.
        let mut sorted: Vec<u32> =
            (0..catalogue.items.len()).filter_map(|index| u32::try_from(index).ok()).collect();
        sorted.sort_by_cached_key(|index| {
            catalogue.item(*index as usize).map_or("", |item| item.name).to_owned()
        });
        catalogue.sorted = sorted.into();
        (catalogue, Hints { ttl_ms: self.ttl_ms, is_private: self.is_private })
    }
}

#[cfg(test)]
mod tests {
    use mcpg_protocol::Limits;

    use super::*;

    fn catalogue(pages: &[&str]) -> (Catalogue, Hints) {
        let mut builder = CatalogueBuilder::new(ListKind::Tools);
        for page in pages {
            let page = ListPage::parse(page, ListKind::Tools, 100, &Limits::default()).unwrap();
            builder.add(&page).unwrap();
        }
        builder.build()
    }

    #[test]
    fn pages_make_one_list() {
        let (list, hints) = catalogue(&[
            r#"{"tools":[{"name":"b"},{"name":"\u0061","x":1}],"ttlMs":5,"cacheScope":"public"}"#,
            r#"{"tools":[{"name":"c"},{"name":"b","again":true},7],"ttlMs":3}"#,
        ]);
        let items: Vec<_> = list.items().map(|item| (item.name, item.text, item.name_at)).collect();
        assert_eq!(
            items,
            [
                ("b", r#"{"name":"b"}"#, 9),
                ("a", r#"{"name":"\u0061","x":1}"#, 9),
                ("c", r#"{"name":"c"}"#, 9)
            ]
        );
        assert_eq!((list.len(), list.odd()), (3, 2));
        assert_eq!(hints, Hints { ttl_ms: Some(3), is_private: false });
        let found = ["a", "b", "c", "d", ""].map(|name| list.find(name));
        assert_eq!(found, [Some(1), Some(0), Some(2), None, None]);
    }

    #[test]
    fn one_private_page_makes_a_private_list() {
        let (_, hints) =
            catalogue(&[r#"{"tools":[],"cacheScope":"public"}"#, r#"{"tools":[],"cacheScope":"private"}"#]);
        assert!(hints.is_private);
    }

    #[test]
    fn a_digest_tells_lists_apart() {
        let digest = |page: &str| *catalogue(&[page]).0.digest();
        let one = digest(r#"{"tools":[{"name":"a"},{"name":"b"}],"ttlMs":1}"#);
        assert_eq!(one, digest(r#"{"ttlMs":2,"tools":[{"name":"a"}, {"name":"b"}]}"#));
        assert_ne!(one, digest(r#"{"tools":[{"name":"b"},{"name":"a"}]}"#));
        assert_ne!(one, digest(r#"{"tools":[{"name":"a"},{"name":"b" }]}"#));
        assert_ne!(digest(r#"{"tools":[]}"#), *Catalogue::empty(ListKind::Prompts).digest());
    }
}
