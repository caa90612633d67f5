//! The files' form: a header, then one JSON object a line for each tool, sorted by binding and tool.
//!
//! Made to be read and compared by people: the definition stands in its canonical form, and what would be hidden in it stands as an
//! escape. INVARIANT: a definition that is kept has the digest beside it; a file where it has not is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use mcpg_protocol::Limits;
use mcpg_protocol::definition::{Definition, visible_json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{LineError, PinError};

/// The longest definition that is kept whole; of a longer one only the digest is.
const DEFINITION_BYTES_MAX: usize = 64 * 1024;

/// Bytes of definitions in one file. Of further ones only the digest is kept.
const TABLE_BYTES_MAX: usize = 192 * 1024 * 1024;

/// Which tool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolKey {
    /// The binding's id.
    pub binding: String,
    /// The upstream's own name.
    pub tool: String,
}

/// What is kept of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Of its definition.
    pub digest: Digest,
    /// What is hidden in it, as `HiddenText` prints it.
    pub hidden: Vec<String>,
    /// When it was approved, or first seen: RFC 3339.
    pub since: String,
    /// Who approved it; none if nobody has.
    pub by: Option<By>,
    /// The definition, unless it is very long.
    pub definition: Option<Definition>,
}

/// Who approved a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Nobody: it was the first that was seen of its tool.
    FirstSight,
    /// An operator.
    Operator,
}

/// BLAKE3 of a definition's canonical form. Prints as `blake3:` and hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Approved definitions.
    Approved,
    /// Definitions that were seen and are not approved.
    Pending,
}

/// A file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table(pub(super) BTreeMap<ToolKey, Record>);

impl Digest {
    /// The digest of a definition.
    pub fn of(definition: &Definition) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 tool definition");
        hasher.update(definition.as_str().as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The first digits, to tell definitions apart by eye.
    pub fn short(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let hex = text.strip_prefix("blake3:").ok_or(LineError::Digest)?;
        blake3::Hash::from_hex(hex).map(|hash| Self(*hash.as_bytes())).map_err(|_| LineError::Digest)
    }
}

impl Kind {
    const fn header(self) -> &'static str {
        match self {
            Self::Approved => r#"{"mcpg_tools":"approved","version":1}"#,
            Self::Pending => r#"{"mcpg_tools":"pending","version":1}"#,
        }
    }
}

impl Record {
    /// A record of a definition, of which the text is kept if it is not very long.
    pub fn new(definition: &Definition, hidden: Vec<String>, since: String, by: Option<By>) -> Self {
        let digest = Digest::of(definition);
        let kept = definition.as_str().len() <= DEFINITION_BYTES_MAX;
        Self { digest, hidden, since, by, definition: kept.then(|| definition.clone()) }
    }

    /// Bytes of the definition that is kept.
    pub(super) fn definition_bytes(&self) -> usize {
        self.definition.as_ref().map_or(0, |definition| definition.as_str().len())
    }
}

impl Table {
    /// Adds records of tools that it has none of.
    pub(super) fn add(&mut self, records: impl Iterator<Item = (ToolKey, Record)>) {
        let fresh: Vec<_> = records.filter(|(key, _)| !self.0.contains_key(key)).collect();
        self.put(fresh.into_iter());
    }

    /// Puts records in. Where the definitions are too long already only the digest of one is kept.
    pub(super) fn put(&mut self, records: impl Iterator<Item = (ToolKey, Record)>) {
        let mut bytes: usize = self.0.values().map(Record::definition_bytes).sum();
        for (key, mut record) in records {
            bytes += record.definition_bytes();
            if bytes > TABLE_BYTES_MAX {
                record.definition = None;
            }
            self.0.insert(key, record);
        }
    }

    /// Reads a file's text. `path` is for messages.
    pub(super) fn parse(text: &str, kind: Kind, path: &Path) -> Result<Self, PinError> {
        let mut records = BTreeMap::new();
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let at = |line: usize| move |problem| PinError::Line { path: path.to_owned(), line, problem };
        match lines.next() {
            Some((_, header)) if header == kind.header() => {}
            _ => return Err(at(1)(LineError::Header(kind.header()))),
        }
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let (key, record) = parse_line(line).map_err(at(number))?;
            if records.insert(key, record).is_some() {
                return Err(at(number)(LineError::Repeated));
            }
        }
        Ok(Self(records))
    }

    /// The file's text.
    pub(super) fn text(&self, kind: Kind) -> serde_json::Result<String> {
        let mut text = format!("{}\n", kind.header());
        for (key, record) in &self.0 {
            text += &visible_json(&line(key, record)?);
            text.push('\n');
        }
        Ok(text)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    binding: String,
    tool: String,
    digest: String,
    since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<By>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hidden: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    definition: Option<Box<RawValue>>,
}

fn line(key: &ToolKey, record: &Record) -> serde_json::Result<String> {
    let definition = record.definition.as_ref().map(|kept| kept.as_str().to_owned());
    serde_json::to_string(&Line {
        binding: key.binding.clone(),
        tool: key.tool.clone(),
        digest: record.digest.to_string(),
        since: record.since.clone(),
        by: record.by,
        hidden: record.hidden.clone(),
        definition: definition.map(RawValue::from_string).transpose()?,
    })
}

fn parse_line(line: &str) -> Result<(ToolKey, Record), LineError> {
    let Line { binding, tool, digest, since, by, hidden, definition } =
        serde_json::from_str(line).map_err(LineError::Form)?;
    let digest: Digest = digest.parse()?;
    let definition = match definition {
        None => None,
        Some(text) => {
            let read = Definition::read(text.get(), &limits()).map_err(|_| LineError::Mismatch)?;
            Some(read).filter(|read| Digest::of(read) == digest).ok_or(LineError::Mismatch).map(Some)?
        }
    };
    Ok((ToolKey { binding, tool }, Record { digest, hidden, since, by, definition }))
}

/// What a tool may be and still be read: as deep as any message can be.
pub(super) fn limits() -> Limits {
    Limits { depth_max: Limits::DEPTH_CEILING, ..Limits::default() }
}
