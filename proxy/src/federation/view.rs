//! What callers see of a merged list, kept for those who see the same.
//!
//! Callers of one class see one list, and so do callers of different classes that may use the same things: the pages of a list are
//! kept once for all who see them. What is kept belongs to a revision and goes with it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use mcpg_filters::policy::{Listed, PolicyChain, Viewpoint};
use mcpg_protocol::catalogue::{ListKind, PageWriter, Prefix};
use mcpg_sdk::{Call, Caller, Scope, Target};
use parking_lot::Mutex;

use super::cursor::{Cursor, Tag};
use super::merged::{Entry, Merged};
use crate::lru::Lru;

/// A page ends when it has so many bytes, however few items they are.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Classes of callers that are remembered.
const CLASSES_MAX: usize = 8_192;
/// Bytes of pages that are kept.
const VIEWS_BYTES_MAX: usize = 128 << 20;

/// A merged list, and on what it depends who sees what of it.
pub(super) struct Edition {
    pub(super) merged: Merged,
    pub(super) viewpoint: Viewpoint,
    prefixes: Vec<Prefix>,
}

/// Who looks at a list.
#[derive(Clone, Copy)]
pub(crate) struct Onlooker<'a> {
    pub(crate) policy: &'a PolicyChain,
    pub(crate) scope: &'a Scope,
    pub(crate) caller: &'a Caller,
    pub(crate) source: IpAddr,
    pub(crate) now: SystemTime,
}

/// What a caller sees of a list.
pub(super) struct View {
    edition: Arc<Edition>,
    entries: Box<[Entry]>,
    pub(super) tag: Tag,
    pages: Box<[Page]>,
    /// Whether it would be the same the next time. If not, it is not kept.
    pub(super) settled: bool,
}

struct Page {
    /// The first entry, and the one behind the last.
    start: usize,
    end: usize,
    /// The result without its end, once somebody has asked for it.
    text: OnceLock<Bytes>,
}

/// The views of a revision.
pub(super) struct Views {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

struct Kept {
    by_class: Lru<ClassKey, Arc<View>>,
    by_tag: HashMap<Tag, Seen>,
    bytes: usize,
}

/// A view, and how many classes see it.
struct Seen {
    view: Weak<View>,
    classes: usize,
}

/// A list and a class of callers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ClassKey {
    list: [u8; 32],
    class: Box<[u8]>,
}

impl Edition {
    /// A list under a policy.
    pub(super) fn new(merged: Merged, policy: &PolicyChain, scope: &Scope) -> Self {
        let mut viewpoint = Viewpoint::default();
        let source = IpAddr::from([0, 0, 0, 0]);
        for entry in &merged.entries {
            if let Some((part, item)) = merged.resolve(*entry) {
                let call = call(merged.kind, scope, &part.binding, item.name, source, SystemTime::UNIX_EPOCH);
                viewpoint.add(policy, &call);
            }
        }
        let prefixes = merged.parts.iter().map(|part| Prefix::new(&part.binding)).collect();
        Self { merged, viewpoint, prefixes }
    }

    /// The class of an onlooker, with `owner` telling callers apart where the list is one caller's own. None if it is in none.
    pub(super) fn class(&self, onlooker: &Onlooker<'_>, owner: Option<&[u8; 32]>) -> Option<ClassKey> {
        let mut class = self.viewpoint.class(onlooker.caller, onlooker.source)?;
        class.push(u8::from(owner.is_some()));
        class.extend_from_slice(owner.map_or(&[], |owner| &owner[..]));
        Some(ClassKey { list: self.merged.digest, class: class.into() })
    }
}

impl View {
    /// What an onlooker sees of a list.
    pub(super) async fn of(edition: Arc<Edition>, onlooker: &Onlooker<'_>, page_size: usize) -> Self {
        let merged = &edition.merged;
        let resolved = merged.entries.iter().filter_map(|entry| Some((*entry, merged.resolve(*entry)?)));
        let (entries, listed): (Vec<Entry>, Vec<Listed<'_>>) = resolved
            .map(|(entry, (part, item))| {
                let Onlooker { scope, source, now, .. } = *onlooker;
                (entry, call(merged.kind, scope, &part.binding, item.name, source, now))
            })
            .unzip();
        let shown = onlooker.policy.shown(onlooker.caller, &listed).await;
        let settled = shown.settled;
        let entries: Vec<Entry> = entries
            .into_iter()
            .zip(shown.items)
            .filter_map(|(entry, shown)| shown.then_some(entry))
            .collect();
        let pages = pages(merged, &entries, page_size);
        let tag = tag(merged, &entries, &pages);
        Self { entries: entries.into(), tag, pages, edition, settled }
    }

    /// A page, without its end. None if there is no such page.
    pub(super) fn page(&self, number: u32) -> Option<Bytes> {
        let page = self.pages.get(number as usize)?;
        Some(page.text.get_or_init(|| self.write(number, page)).clone())
    }

    /// What it is a list of.
    pub(super) fn kind(&self) -> ListKind {
        self.edition.merged.kind
    }

    /// The list.
    pub(super) fn edition(&self) -> &Arc<Edition> {
        &self.edition
    }

    fn write(&self, number: u32, page: &Page) -> Bytes {
        let entries = self.entries.get(page.start..page.end).unwrap_or_default();
        let merged = &self.edition.merged;
        let size = |entry: &Entry| {
            merged.resolve(*entry).map_or(0, |(part, item)| part.binding.len() + item.text.len() + 2)
        };
        let mut writer = PageWriter::new(merged.kind, entries.iter().map(size).sum::<usize>() + 96);
        for entry in entries {
            if let Some((_, item)) = merged.resolve(*entry) {
                writer.item(item.text, item.name_at, entry.prefix(merged.kind, &self.edition.prefixes));
            }
        }
        let has_more = page.end < self.entries.len();
        let next = has_more.then(|| Cursor { tag: self.tag, page: number.saturating_add(1) }.write());
        Bytes::from(writer.finish(next.as_deref()))
    }

    /// Bytes, about, with all its pages written.
    fn weight(&self) -> usize {
        let text =
            |entry: &Entry| self.edition.merged.resolve(*entry).map_or(0, |(_, item)| item.text.len() + 16);
        self.entries.iter().map(text).sum::<usize>() + size_of_val(&*self.entries) + size_of::<Self>()
    }
}

impl Views {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self::within(VIEWS_BYTES_MAX)
    }

    fn within(bytes_max: usize) -> Self {
        let kept = Kept { by_class: Lru::new(CLASSES_MAX), by_tag: HashMap::new(), bytes: 0 };
        Self { kept: Mutex::new(kept), bytes_max }
    }

    /// What a class sees, if it is known.
    pub(super) fn find(&self, class: &ClassKey) -> Option<Arc<View>> {
        self.kept.lock().by_class.touch(class).map(|view| Arc::clone(view))
    }

    /// What is seen by the name of a cursor. It is for the caller to say whether it is of a class that sees it.
    pub(super) fn tagged(&self, tag: &Tag) -> Option<Arc<View>> {
        self.kept.lock().by_tag.get(tag)?.view.upgrade()
    }

    /// Keeps what a class sees. Answers with the one to use: another class may see the same.
    pub(super) fn keep(&self, class: ClassKey, view: View) -> Arc<View> {
        let mut kept = self.kept.lock();
        let known = kept.by_tag.get(&view.tag).and_then(|seen| seen.view.upgrade());
        let view = known.unwrap_or_else(|| {
            kept.bytes += view.weight();
            Arc::new(view)
        });
        let seen = kept.by_tag.entry(view.tag).or_insert_with(|| Seen { view: Weak::new(), classes: 0 });
        seen.view = Arc::downgrade(&view);
        seen.classes += 1;
        let gone = kept.by_class.insert(class, Arc::clone(&view), |_| true);
        kept.forget(gone);
        while kept.bytes > self.bytes_max && kept.by_class.len() > 1 {
            let gone = kept.by_class.pop();
            kept.forget(gone);
        }
        view
    }
}

impl Kept {
    /// Takes a view out of the account if no class sees it any more.
    fn forget(&mut self, view: Option<Arc<View>>) {
        let Some(view) = view else { return };
        let Some(seen) = self.by_tag.get_mut(&view.tag) else { return };
        seen.classes -= 1;
        if seen.classes == 0 {
            // Requests under way may hold it too; it is out of the account all the same.
            self.by_tag.remove(&view.tag);
            self.bytes = self.bytes.saturating_sub(view.weight());
        }
    }
}

/// The call that would use an item.
fn call<'a>(
    kind: ListKind,
    scope: &'a Scope,
    binding: &'a str,
    name: &'a str,
    source: IpAddr,
    now: SystemTime,
) -> Listed<'a> {
    let (method, target) = match kind {
        ListKind::Tools => ("tools/call", Target::Tool(name)),
        ListKind::Prompts => ("prompts/get", Target::Prompt(name)),
        ListKind::Resources | ListKind::Templates => ("resources/read", Target::Resource(name)),
    };
    let call = Call { scope, binding, method, target, arguments: None, source, now, approval_token: None };
    Listed { call, is_template: kind == ListKind::Templates }
}

/// Where pages begin and end. There is one page at least.
fn pages(merged: &Merged, entries: &[Entry], page_size: usize) -> Box<[Page]> {
    let page = |start, end| Page { start, end, text: OnceLock::new() };
    let mut pages = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        let size = merged.resolve(*entry).map_or(0, |(_, item)| item.text.len());
        if index > start && (index - start >= page_size || bytes + size > PAGE_BYTES_MAX) {
            pages.push(page(start, index));
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    pages.push(page(start, entries.len()));
    pages.into()
}

fn tag(merged: &Merged, entries: &[Entry], pages: &[Page]) -> Tag {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 digest of a view");
    hasher.update(&merged.digest);
    hasher.update(&(pages.len() as u64).to_le_bytes());
    hasher.update(&(pages.first().map_or(0, |page| page.end) as u64).to_le_bytes());
    entries.iter().for_each(|entry| entry.hash(&mut hasher));
    let mut tag = [0; 16];
    hasher.finalize_xof().fill(&mut tag);
    tag
}
