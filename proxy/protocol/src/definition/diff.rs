//! What differs between two definitions, field by field.

use std::cmp::Ordering;
use std::fmt;

use super::Definition;
use super::hidden::{escaped, printable};
use super::tree::{self, Node};
use crate::Limits;

/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;
/// Characters before the first difference that are shown with it.
const CONTEXT_CHARS: usize = 40;
/// Characters of a key that are shown.
const KEY_CHARS_MAX: usize = 64;

/// What differs between two definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The first differences, in the order of the canonical form.
    pub changes: Vec<Change>,
    /// How many there are besides.
    pub more: usize,
}

/// One field that differs. Values are JSON, printable, and cut to where they begin to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where: a JSON Pointer (RFC 6901).
    pub path: String,
    /// What it was; none if it is new.
    pub old: Option<String>,
    /// What it is; none if it is gone.
    pub new: Option<String>,
}

/// What differs, at most `changes_max` fields of it.
pub fn diff(old: &Definition, new: &Definition, changes_max: usize, limits: &Limits) -> Diff {
    let mut found = Diff { changes: Vec::new(), more: 0 };
    // INVARIANT: a canonical text was read under some limits; under narrower ones all of it counts as one change.
    match (tree::parse(old.as_str(), limits), tree::parse(new.as_str(), limits)) {
        (Ok(old), Ok(new)) => compare(&mut String::new(), Some(&old), Some(&new), changes_max, &mut found),
        _ if old != new => {
            let (old, new) = excerpts(old.as_str(), new.as_str());
            found.changes.push(Change { path: String::new(), old: Some(old), new: Some(new) });
        }
        _ => {}
    }
    found
}

impl fmt::Display for Diff {
    /// On one line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.changes.iter().enumerate() {
            write!(f, "{}{change}", if index > 0 { "; " } else { "" })?;
        }
        if self.more > 0 { write!(f, "; and {} more", self.more) } else { Ok(()) }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{path}: {old} -> {new}"),
            (None, Some(new)) => write!(f, "{path}: added {new}"),
            (Some(old), None) => write!(f, "{path}: removed {old}"),
            (None, None) => f.write_str(path),
        }
    }
}

fn compare(
    path: &mut String,
    old: Option<&Node<'_>>,
    new: Option<&Node<'_>>,
    changes_max: usize,
    found: &mut Diff,
) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Node::Map(old)), Some(Node::Map(new))) => {
            let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
            loop {
                let order = match (old.peek(), new.peek()) {
                    (Some((one, _)), Some((other, _))) => tree::order(one, other),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => return,
                };
                let was = if order.is_le() { old.next() } else { None };
                let is = if order.is_ge() { new.next() } else { None };
                let Some((key, _)) = was.or(is) else { return };
                let end = path.len();
                push_key(path, key);
                compare(path, was.map(|(_, value)| value), is.map(|(_, value)| value), changes_max, found);
                path.truncate(end);
            }
        }
        // A list of names (`required`, `enum`) is read as a whole.
        (Some(Node::List(old)), Some(Node::List(new))) if !old.iter().chain(new).all(Node::is_scalar) => {
            for index in 0..old.len().max(new.len()) {
                let end = path.len();
                push_key(path, &index.to_string());
                compare(path, old.get(index), new.get(index), changes_max, found);
                path.truncate(end);
            }
        }
        _ => note(path, old, new, changes_max, found),
    }
}

fn note(path: &str, old: Option<&Node<'_>>, new: Option<&Node<'_>>, changes_max: usize, found: &mut Diff) {
    if found.changes.len() >= changes_max {
        found.more += 1;
        return;
    }
    let (old, new) = match (old.map(Node::text), new.map(Node::text)) {
        (Some(old), Some(new)) => {
            let (old, new) = excerpts(&old, &new);
            (Some(old), Some(new))
        }
        (old, new) => (
            old.map(|text| printable(&text, VALUE_CHARS_MAX)),
            new.map(|text| printable(&text, VALUE_CHARS_MAX)),
        ),
    };
    found.changes.push(Change { path: path.to_owned(), old, new });
}

/// Both texts from a little before where they begin to differ.
fn excerpts(old: &str, new: &str) -> (String, String) {
    let same = old.chars().zip(new.chars()).take_while(|(one, other)| one == other).count();
    let skipped = same.saturating_sub(CONTEXT_CHARS);
    // Little is gained by leaving out a little.
    let skipped = if skipped <= CONTEXT_CHARS { 0 } else { skipped };
    let excerpt = |text: &str| {
        let rest: String = text.chars().skip(skipped).collect();
        format!("{}{}", if skipped > 0 { "…" } else { "" }, printable(&rest, VALUE_CHARS_MAX))
    };
    (excerpt(old), excerpt(new))
}

/// Adds a segment to a JSON Pointer.
pub(super) fn push_key(path: &mut String, key: &str) {
    path.push('/');
    let mut characters = key.chars();
    for character in characters.by_ref().take(KEY_CHARS_MAX) {
        match character {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push_str(&escaped(other.encode_utf8(&mut [0; 4]))),
        }
    }
    if characters.next().is_some() {
        path.push('…');
    }
}
