//! A JSON value as a tree, and its canonical text. Depth is bounded by `Limits`, so what recurses here is too.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::json::{Fault, Scanner, ValueKind, unescape};
use crate::{JsonError, Limits, write_string};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// A number, `true`, `false` or `null`, as written.
    Literal(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object, its keys unescaped, different and in canonical order.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Reads one strict JSON value, to its end.
pub(super) fn parse<'a>(text: &'a str, limits: &Limits) -> Result<Node<'a>, JsonError> {
    let mut scanner = Scanner::new(text, limits);
    let node = value(text, &mut scanner).map_err(|fault| fault.error)?;
    scanner.finish().map_err(|fault| fault.error)?;
    Ok(node)
}

fn value<'a>(text: &'a str, scanner: &mut Scanner<'a>) -> Result<Node<'a>, Fault> {
    match scanner.peek_value() {
        // INVARIANT: the scanner refuses what is deeper than `Limits::depth_max`.
        Some(b'{') => {
            let mut object = scanner.open_object()?;
            let mut members = Vec::new();
            while let Some(key) = scanner.next_key(&mut object)? {
                let name = unescape(text.get(key.span.range()).unwrap_or_default(), key.escaped);
                members.push((name, value(text, scanner)?));
            }
            members.sort_by(|(one, _), (other, _)| order(one, other));
            Ok(Node::Map(members))
        }
        Some(b'[') => {
            let mut array = scanner.open_array()?;
            let mut elements = Vec::new();
            while scanner.next_element(&mut array)? {
                elements.push(value(text, scanner)?);
            }
            Ok(Node::List(elements))
        }
        _ => {
            let value = scanner.value()?;
            let written = text.get(value.span.range()).unwrap_or_default();
            Ok(match value.kind {
                ValueKind::String { escaped } => {
                    let content = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                    Node::Text(unescape(content.unwrap_or_default(), escaped))
                }
                _ => Node::Literal(written),
            })
        }
    }
}

/// The order of keys in RFC 8785 section 3.2.3.
pub(super) fn order(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

impl Node<'_> {
    /// The canonical text.
    pub(super) fn text(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        // INVARIANT: what is written is UTF-8 that was read, and JSON's own signs.
        String::from_utf8(out).unwrap_or_default()
    }

    /// Whether nothing is inside it.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Text(_))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => write_string(out, text),
            Self::List(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            Self::Map(members) => write_map(members.iter(), out),
        }
    }
}

/// Writes members that are in canonical order as an object.
pub(super) fn write_map<'n, 'a: 'n>(
    members: impl Iterator<Item = &'n (Cow<'a, str>, Node<'a>)>,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, key);
        out.push(b':');
        value.write(out);
    }
    out.push(b'}');
}
