//! Where in the document something is, and what is wrong there.

use std::path::PathBuf;

use mcpg_sdk::Base;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Diagnostic;
use crate::yaml::{Kind, Node, Position};

/// A place in the document, whether or not something stands there.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub(crate) node: Option<&'a Node>,
    pub(crate) position: Position,
    pub(crate) path: String,
}

impl<'a> Place<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node: Some(node), position: node.position, path: String::new() }
    }

    /// The value under a key. Where the key is absent or empty the place is that of the key or the map.
    pub(crate) fn child(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        match self.node.and_then(|node| node.entry(key)) {
            None => Self { node: None, position: self.position, path },
            Some(entry) if entry.value.kind == Kind::Null => {
                Self { node: None, position: entry.key_position, path }
            }
            Some(entry) => Self { node: Some(&entry.value), position: entry.value.position, path },
        }
    }

    /// The key itself rather than its value.
    pub(crate) fn key(&self, key: &str) -> Self {
        let child = self.child(key);
        match self.node.and_then(|node| node.entry(key)) {
            Some(entry) => Self { position: entry.key_position, ..child },
            None => child,
        }
    }

    /// The items of a list, or the value itself as the only one: where one or several may be written.
    pub(crate) fn one_or_many(&self) -> Vec<Self> {
        match self.node.map(|node| &node.kind) {
            None => Vec::new(),
            Some(Kind::List(items)) => (0..items.len()).map(|index| self.item(index)).collect(),
            Some(_) => vec![self.clone()],
        }
    }

    /// An item of a list.
    pub(crate) fn item(&self, index: usize) -> Self {
        let node = self.node.and_then(|node| node.items().get(index));
        let position = node.map_or(self.position, |node| node.position);
        Self { node, position, path: format!("{}[{index}]", self.path) }
    }

    /// The text that stands here.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match &self.node?.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Mistakes that are reported; more help nobody, and a hostile file could hold very many.
pub(crate) const ERRORS_MAX: usize = 100;

/// What was found wrong so far.
pub(crate) struct Report<'a> {
    file: &'a str,
    /// What the root is called.
    pub(crate) whole: &'static str,
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, whole: "the configuration", errors: Vec::new(), warnings: Vec::new() }
    }

    /// Whether there is no point in looking further.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    /// The file that a path at a place means. One that may not be named is reported.
    pub(crate) fn file(&mut self, base: &Base, path: &str, place: &Place<'_>) -> PathBuf {
        base.file(path).unwrap_or_else(|error| {
            self.error(place, error.to_string());
            base.dir().join(path)
        })
    }

    pub(crate) fn error(&mut self, place: &Place<'_>, message: impl Into<String>) {
        self.add_error(place, message.into(), None);
    }

    pub(crate) fn error_with_help(
        &mut self,
        place: &Place<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add_error(place, message.into(), Some(help.into()));
    }

    fn add_error(&mut self, place: &Place<'_>, message: String, help: Option<String>) {
        if !self.is_full() {
            self.errors.push(diagnostic(self.file, place, message, help));
        }
    }

    pub(crate) fn warning(&mut self, place: &Place<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.warnings.push(diagnostic(self.file, place, message, Some(help.into())));
    }

    /// Deserialises what stands at a place that the structure check found in order; an absent one as an empty map.
    /// `None` if the check found something there or around it, which is then already reported.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, place: &Place<'_>) -> Option<T> {
        let concerns = |path: &str| is_within(path, &place.path) || is_within(&place.path, path);
        if self.is_full() || self.errors.iter().any(|error| concerns(&error.path)) {
            return None;
        }
        let value = place.node.map_or_else(|| Value::Object(serde_json::Map::new()), Node::to_json);
        // The structure check refuses what would fail here, and the text of serde's errors may repeat values.
        let read = serde_json::from_value(value).ok();
        if read.is_none() {
            self.error(place, "this does not have the expected form");
        }
        read
    }
}

/// Builds a diagnostic for a place.
pub(crate) fn diagnostic(
    file: &str,
    place: &Place<'_>,
    message: impl Into<String>,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic::new(file, place.position, place.path.clone(), message.into(), help)
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| {
        outer.is_empty() || rest.is_empty() || rest.starts_with('.') || rest.starts_with('[')
    })
}
