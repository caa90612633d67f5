//! A tool's definition as the model and the client read it: its canonical form, what differs between two of them, and text in it
//! that people do not see.
//!
//! The canonical form is that of RFC 8785 (keys sorted by UTF-16 code units, no white space, the shortest escapes) of the members
//! in [`MEMBERS`], with one difference: numbers stay as they are written, so `1.0` and `1` are two definitions. What an upstream
//! says in another order, with other white space or escapes is the same definition; whatever else differs is another one.
//!
//! The text is read strictly (no duplicate keys at any level), so there is one definition in it. Sources: MCP 2025-11-25 and
//! 2026-07-28 `server/tools`, "Tool"; RFC 8785; RFC 6901 for paths.

mod diff;
mod hidden;
#[cfg(test)]
mod tests;
mod tree;

pub use diff::{Change, Diff, diff};
pub use hidden::{HiddenKind, HiddenText, escaped, printable, visible_json};

use crate::{JsonError, Limits};
use tree::Node;

/// The members that make a definition. What else a tool has may differ from day to day (`_meta`, `icons`).
pub const MEMBERS: &[&str] = &["annotations", "description", "inputSchema", "name", "outputSchema", "title"];

/// A tool's definition in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Definition {
    canonical: String,
}

impl Definition {
    /// Reads a tool, as it stands in a `tools/list` or in what [`Definition::as_str`] gave.
    ///
    /// # Errors
    /// If the text is no strict JSON, or no object with a `name`.
    pub fn read(tool: &str, limits: &Limits) -> Result<Self, DefinitionError> {
        Self::of(&tree::parse(tool, limits)?)
    }

    /// The canonical text: JSON, in one line.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    fn of(tool: &Node<'_>) -> Result<Self, DefinitionError> {
        let Node::Map(members) = tool else { return Err(DefinitionError::NoTool) };
        let is_name = |(key, value): &(_, Node<'_>)| key == "name" && matches!(value, Node::Text(_));
        if !members.iter().any(is_name) {
            return Err(DefinitionError::NoTool);
        }
        let mut canonical = Vec::new();
        let pinned = members.iter().filter(|(key, _)| MEMBERS.contains(&key.as_ref()));
        tree::write_map(pinned, &mut canonical);
        // INVARIANT: what is written is UTF-8 that was read, and JSON's own signs.
        Ok(Self { canonical: String::from_utf8(canonical).unwrap_or_default() })
    }
}

/// A tool that was read: its definition, and what is hidden anywhere in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolText {
    /// What is pinned.
    pub definition: Definition,
    /// Text that people do not see, in every member, pinned or not. At most [`HiddenText::FINDINGS_MAX`].
    pub hidden: Vec<HiddenText>,
}

impl ToolText {
    /// Reads a tool as it stands in a `tools/list`.
    ///
    /// # Errors
    /// If the text is no strict JSON, or no object with a `name`.
    pub fn read(tool: &str, limits: &Limits) -> Result<Self, DefinitionError> {
        let tree = tree::parse(tool, limits)?;
        Ok(Self { definition: Definition::of(&tree)?, hidden: hidden::find(&tree) })
    }
}

/// Why a text is no tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Not the strict JSON that is read here.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another value, or an object without a `name`.
    #[error("no object with a `name`")]
    NoTool,
}
