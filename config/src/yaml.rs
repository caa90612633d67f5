//! YAML 1.2 text to a tree of values with positions, within fixed bounds.
//!
//! One value per key, keys are strings, no tags but `!!str`, no merge keys. Aliases are expanded against a budget, so
//! that a small text cannot become a large tree; several documents of one text share it. Nothing here recurses with the input.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

pub(crate) use crate::yaml::node::{Entry, Kind, Node, Position};

mod node;
mod scalar;

/// Bytes of a document: a hundred thousand scopes that are files of their own.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 32 << 20;
/// Nesting of a document.
pub(crate) const DEPTH_MAX: usize = 32;
/// Nodes and bytes of text that the aliases of a document may add to it.
const WEIGHT_MAX: usize = 4 << 20;

/// Why a text is not a document of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) position: Position,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Reads one document. An empty one is a map without keys.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node, Fault> {
    let mut documents = read(bytes, 1)?;
    Ok(documents.pop().unwrap_or(Node { position: Position::START, kind: Kind::Map(Vec::new()) }))
}

/// Reads several documents, leaving out those that are empty.
pub(crate) fn parse_all(bytes: &[u8], documents_max: usize) -> Result<Vec<Node>, Fault> {
    let documents = read(bytes, documents_max)?;
    Ok(documents.into_iter().filter(|document| document.kind != Kind::Null).collect())
}

fn read(bytes: &[u8], documents_max: usize) -> Result<Vec<Node>, Fault> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the file has {} bytes; {DOCUMENT_BYTES_MAX} is the limit", bytes.len());
        return Err(fault(Position::START, message, None));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        fault(Position::after(&before), "the file is not UTF-8 text", None)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { weight_max: text.len() + WEIGHT_MAX, documents_max, ..Builder::default() };
    for event in Parser::<'_, StrInput<'_>>::new_from_str(text) {
        let (event, span) = event.map_err(|error| not_yaml(&error))?;
        builder.accept(event, position(&span.start))?;
    }
    Ok(builder.roots)
}

#[derive(Default)]
struct Builder {
    weight_max: usize,
    documents_max: usize,
    open: Vec<Open>,
    roots: Vec<Node>,
    documents: usize,
    weight: usize,
    anchors: HashMap<usize, Node>,
}

/// A collection that is being read.
struct Open {
    position: Position,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Position)> },
}

impl Builder {
    fn accept(&mut self, event: Event<'_>, at: Position) -> Result<(), Fault> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                // A document's anchors are its own (YAML 1.2, 7.1).
                self.anchors.clear();
                match (self.documents <= self.documents_max, self.documents_max) {
                    (true, _) => Ok(()),
                    (false, 1) => {
                        Err(fault(at, "a second document begins here", Some("keep one document in a file")))
                    }
                    (false, most) => Err(fault(at, format!("more than {most} documents"), None)),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), at)?;
                self.open(Open { position: at, anchor, items: Items::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), at)?;
                let items = Items::Map { entries: Vec::new(), seen: HashSet::new(), key: None };
                self.open(Open { position: at, anchor, items })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), at),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(fault(open.position, format!("nested more than {DEPTH_MAX} deep"), None));
        }
        self.refuse_as_key(open.position)?;
        self.charge(1, open.position)?;
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(Open { position, anchor, items }) = self.open.pop() else { return Ok(()) };
        let kind = match items {
            Items::List(items) => Kind::List(items),
            Items::Map { entries, .. } => Kind::Map(entries),
        };
        self.complete(Node { position, kind }, anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Fault> {
        self.refuse_as_key(at)?;
        // An anchor that is still open is not in the table: a value cannot contain itself.
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(fault(at, "an alias to the value that it is part of", None));
        };
        let weight = node.weight();
        let node = node.clone();
        self.charge(weight, at)?;
        self.complete(node, 0)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), Fault> {
        self.charge(1 + text.len(), at)?;
        let as_text = match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
            other => {
                refuse_tag(other, at)?;
                style != ScalarStyle::Plain
            }
        };
        let kind = if as_text { Kind::Text(text.to_owned()) } else { scalar::resolve(text, at)? };
        if let Some(Open { items: Items::Map { seen, key: key @ None, .. }, .. }) = self.open.last_mut() {
            let name = match kind {
                Kind::Text(name) => name,
                _ => return Err(fault(at, "a key must be a string", Some("put it in quotes"))),
            };
            if name == "<<" {
                let help = "write the keys out: YAML 1.2 has no merge key";
                return Err(fault(at, "`<<` is not supported", Some(help)));
            }
            if !seen.insert(name.clone()) {
                return Err(fault(
                    at,
                    format!("{} stands twice in one map", crate::quote::quote(&name)),
                    None,
                ));
            }
            *key = Some((name, at));
            return Ok(());
        }
        self.complete(Node { position: at, kind }, anchor)
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            self.charge(node.weight(), node.position)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.roots.push(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key, .. }) => {
                if let Some((key, key_position)) = key.take() {
                    entries.push(Entry { key, key_position, value: node });
                }
            }
        }
        Ok(())
    }

    fn refuse_as_key(&self, at: Position) -> Result<(), Fault> {
        match self.open.last() {
            Some(Open { items: Items::Map { key: None, .. }, .. }) => {
                Err(fault(at, "a key must be a string", None))
            }
            _ => Ok(()),
        }
    }

    fn charge(&mut self, weight: usize, at: Position) -> Result<(), Fault> {
        self.weight += weight;
        if self.weight > self.weight_max {
            return Err(fault(at, "the document grows too large once its aliases are expanded", None));
        }
        Ok(())
    }
}

fn refuse_tag(tag: Option<&Tag>, at: Position) -> Result<(), Fault> {
    match tag {
        None => Ok(()),
        Some(_) => Err(fault(at, "tags are not supported, except `!!str`", None)),
    }
}

fn not_yaml(error: &ScanError) -> Fault {
    fault(position(error.marker()), format!("this is not valid YAML: {}", error.info()), None)
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn fault(position: Position, message: impl Into<String>, help: Option<&str>) -> Fault {
    Fault { position, message: message.into(), help: help.map(str::to_owned) }
}

#[cfg(test)]
mod tests;
