//! What servers list, and how the things of several servers are told apart on one endpoint.
//!
//! Tools, prompts and tasks of binding `files` are named `files.<name>` there, resources and templates `files+<uri>`. The binding's
//! id has neither `.` nor `+`, so the first of them ends it, and what follows is the upstream's own name, whatever it is.
//!
//! Invariants:
//! - What an upstream wrote stays byte for byte as it is. Outwards a name gets its prefix spliced in behind its first quote,
//!   inwards the name's bytes are exchanged; nothing is serialised again.
//! - `outward` after `inward` gives the same name, and `inward` after `outward` too.
//! - An item whose name a lenient parser could read otherwise is left out of its list.
//! - Everything is bounded by [`Limits`](crate::Limits) and nothing recurses but along fixed tables.
//!
//! Sources: MCP 2025-11-25 and 2026-07-28 `server/tools`, `server/prompts`, `server/resources`,
//! `server/utilities/pagination`, `server/utilities/caching`, `server/discover`; SEP-1686 and SEP-2663 (Tasks).

mod about;
mod capabilities;
mod filter;
mod merge;
mod outward;
mod page;
mod prefix;
mod rules;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

pub use about::About;
pub use capabilities::{Advertised, ClientClass};
pub use filter::{FilterError, Filtered, filter_list};
pub use merge::{Part, united_capabilities, united_instructions};
pub use outward::{OutwardError, outward, unrelate};
pub use page::{ListError, ListItem, ListPage, OddItem, Oddity};
pub use prefix::{Prefix, inward};
pub use write::{PageTail, PageWriter};

use crate::Method;

/// The kinds of lists that servers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
}

/// Who may be shown a kept answer (MCP 2026-07-28, "Caching").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheScope {
    /// Anyone.
    Public,
    /// Those in whose authorization context it was given.
    Private,
}

impl ListKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The list that a method asks for.
    pub fn of(method: &Method<'_>) -> Option<Self> {
        Some(match method {
            Method::ToolsList => Self::Tools,
            Method::PromptsList => Self::Prompts,
            Method::ResourcesList => Self::Resources,
            Method::ResourcesTemplatesList => Self::Templates,
            _ => return None,
        })
    }

    /// The method that asks for it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of the result that has the items.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The member of an item that names it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// Whether items are named by URIs.
    pub const fn is_by_uri(self) -> bool {
        matches!(self, Self::Resources | Self::Templates)
    }
}

impl fmt::Display for ListKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.member())
    }
}

impl CacheScope {
    /// The scope as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}
