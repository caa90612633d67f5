//! A tool as it stands in a list, read.

use mcpg_protocol::definition::{Definition, DefinitionError, ToolText};

use super::gates::Sight;
use super::record::{self, By, Digest, Record, ToolKey};

/// Bytes of definitions that are kept whole at a time. Of further ones only the digest is.
const DEFINITION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A tool of a list.
pub(super) struct Seen<'t> {
    pub(super) name: &'t str,
    pub(super) sight: Sight,
    definition: Definition,
}

impl<'t> Seen<'t> {
    pub(super) fn read(name: &'t str, tool: &str) -> Result<Self, DefinitionError> {
        let ToolText { definition, hidden } = ToolText::read(tool, &record::limits())?;
        let hidden = hidden.iter().map(ToString::to_string).collect();
        let sight = Sight { digest: Digest::of(&definition), hidden };
        Ok(Self { name, sight, definition })
    }

    pub(super) fn key(&self, binding: &str) -> ToolKey {
        ToolKey { binding: binding.to_owned(), tool: self.name.to_owned() }
    }

    /// Its record; without the definition where `bytes` are too many already.
    pub(super) fn record(&self, since: &str, by: Option<By>, bytes: &mut usize) -> Record {
        let mut record = Record::new(&self.definition, self.sight.hidden.to_vec(), since.to_owned(), by);
        *bytes += record.definition_bytes();
        if *bytes > DEFINITION_BYTES_MAX {
            record.definition = None;
        }
        record
    }
}
