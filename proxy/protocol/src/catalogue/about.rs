//! What a server says of itself, in the answer to `initialize` or to `server/discover`.

use std::borrow::Cow;

use super::{CacheScope, ListError};
use crate::Limits;
use crate::json::{Fault, Scanner, Value, ValueKind, unescape};

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About<'a> {
    /// `capabilities`: the raw text of an object.
    pub capabilities: &'a str,
    /// `serverInfo`: the raw text of an object. In the modern era it stands in `_meta`.
    pub info: Option<&'a str>,
    /// `instructions`, unescaped.
    pub instructions: Option<Cow<'a, str>>,
    /// `protocolVersion` of an answer to `initialize`, unescaped.
    pub protocol: Option<Cow<'a, str>>,
    /// `supportedVersions` of an answer to `server/discover`, unescaped.
    pub supported: Vec<Cow<'a, str>>,
    /// `ttlMs`.
    pub ttl_ms: Option<u64>,
    /// `cacheScope`. What is neither of the two words counts as private.
    pub scope: Option<CacheScope>,
}

/// A member of an object.
pub(super) struct Member<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) raw: &'a str,
    pub(super) kind: ValueKind,
}

impl<'a> About<'a> {
    /// Reads the `result` of `initialize` or `server/discover`: the raw text of an object.
    ///
    /// # Errors
    /// If it is not strict JSON or no object.
    pub fn parse(result: &'a str, limits: &Limits) -> Result<Self, ListError> {
        let mut about = Self {
            capabilities: "{}",
            info: None,
            instructions: None,
            protocol: None,
            supported: Vec::new(),
            ttl_ms: None,
            scope: None,
        };
        for member in members(result, limits)?.ok_or(ListError::NotAnObject)? {
            match &*member.key {
                "capabilities" if member.kind == ValueKind::Object => about.capabilities = member.raw,
                "serverInfo" if member.kind == ValueKind::Object => about.info = Some(member.raw),
                "instructions" => about.instructions = member.text(),
                "protocolVersion" => about.protocol = member.text(),
                "supportedVersions" => about.supported = strings(member.raw, limits)?,
                "ttlMs" => about.ttl_ms = member.raw.parse().ok(),
                "cacheScope" => {
                    let public = member.text().as_deref() == Some("public");
                    about.scope = Some(if public { CacheScope::Public } else { CacheScope::Private });
                }
                "_meta" => {
                    let info = members(member.raw, limits)?.into_iter().flatten().find(|member| {
                        member.key == "io.modelcontextprotocol/serverInfo" && member.kind == ValueKind::Object
                    });
                    about.info = info.map(|info| info.raw).or(about.info);
                }
                _ => {}
            }
        }
        Ok(about)
    }
}

impl<'a> Member<'a> {
    /// What it says, if it is a string.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        let ValueKind::String { escaped } = self.kind else { return None };
        let content = self.raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(content, escaped))
    }
}

/// The members of an object; none if the text is no object.
pub(super) fn members<'a>(text: &'a str, limits: &Limits) -> Result<Option<Vec<Member<'a>>>, Fault> {
    let mut scanner = Scanner::new(text, limits);
    let mut found = Vec::new();
    if scanner.peek_value() != Some(b'{') {
        scanner.value()?;
        scanner.finish()?;
        return Ok(None);
    }
    let mut object = scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut object)? {
        let key = unescape(text.get(key.span.range()).unwrap_or_default(), key.escaped);
        let value = scanner.value()?;
        found.push(Member { key, raw: text.get(value.span.range()).unwrap_or_default(), kind: value.kind });
    }
    scanner.finish()?;
    Ok(Some(found))
}

/// The strings of an array.
fn strings<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Cow<'a, str>>, Fault> {
    let mut scanner = Scanner::new(text, limits);
    let mut found = Vec::new();
    if scanner.peek_value() == Some(b'[') {
        let mut array = scanner.open_array()?;
        while scanner.next_element(&mut array)? {
            let Value { kind, span } = scanner.value()?;
            let raw = text.get(span.range()).unwrap_or_default();
            found.extend(Member { key: Cow::Borrowed(""), raw, kind }.text());
        }
    }
    Ok(found)
}
