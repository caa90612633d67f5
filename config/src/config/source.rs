//! The document that a configuration was read from.

use std::fmt;
use std::sync::Arc;

use mcpg_sdk::Base;

use crate::place::Place;
use crate::yaml::Node;

/// A document, or the part of it that is one scope's.
#[derive(Clone)]
pub(crate) struct Source {
    file: String,
    base: Base,
    root: Arc<Node>,
    /// Which of `tenancy.scopes`, if it is one of them.
    scope: Option<usize>,
}

impl Source {
    /// The whole of a file.
    pub(crate) fn of_file(file: String, base: &Base, root: &Arc<Node>) -> Self {
        Self { file, base: base.clone(), root: Arc::clone(root), scope: None }
    }

    /// One of its scopes.
    pub(crate) fn of_scope(&self, index: usize) -> Self {
        Self { scope: Some(index), ..self.clone() }
    }

    /// Where the sections are.
    pub(crate) fn place(&self) -> Place<'_> {
        let root = Place::root(&self.root);
        match self.scope {
            Some(index) => root.child("tenancy").child("scopes").item(index),
            None => root,
        }
    }

    /// The file's name as given.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// What relative paths are below.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }
}

impl fmt::Debug for Source {
    /// Without the document, which holds the plugins' settings as they were written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("base", &self.base).finish_non_exhaustive()
    }
}
