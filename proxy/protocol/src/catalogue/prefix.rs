//! The prefix of a binding's names, and names on their way in.

use std::ops::Range;

use super::ListKind;
use crate::{Envelope, write_string};

/// What stands before a binding's names on an endpoint of several bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// `<binding>.`, as it stands inside a JSON string.
    name: Box<str>,
    /// `<binding>+`, likewise.
    uri: Box<str>,
}

impl Prefix {
    /// The prefix of a binding.
    pub fn new(binding: &str) -> Self {
        let mut quoted = Vec::new();
        write_string(&mut quoted, binding);
        // INVARIANT: `write_string` writes UTF-8 between two quotes. Ids need no escape, so this is the id as it is.
        let escaped = String::from_utf8(quoted).unwrap_or_default();
        let escaped = escaped.trim_matches('"');
        Self { name: format!("{escaped}.").into(), uri: format!("{escaped}+").into() }
    }

    /// What is spliced in before a tool's, a prompt's or a task's name.
    pub fn of_names(&self) -> &str {
        &self.name
    }

    /// What is spliced in before a resource's URI or a template.
    pub fn of_uris(&self) -> &str {
        &self.uri
    }

    /// What is spliced in before the names in a list.
    pub fn of(&self, kind: ListKind) -> &str {
        if kind.is_by_uri() { &self.uri } else { &self.name }
    }
}

/// A request as its upstream shall read it: with its target called `name`. Every other byte stays. None where the message has no
/// target.
///
/// `envelope` must be what [`Envelope::parse`] made of `body`.
pub fn inward(body: &[u8], envelope: &Envelope<'_>, name: &str) -> Option<Vec<u8>> {
    splice(body, envelope.spans.name.clone()?, name)
}

/// `body` with the JSON string at `span` exchanged for `text`.
pub(super) fn splice(body: &[u8], span: Range<usize>, text: &str) -> Option<Vec<u8>> {
    let (head, tail) = (body.get(..span.start)?, body.get(span.end..)?);
    let mut out = Vec::with_capacity(head.len() + text.len() + 2 + tail.len());
    out.extend_from_slice(head);
    write_string(&mut out, text);
    out.extend_from_slice(tail);
    Some(out)
}
