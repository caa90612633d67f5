//! YAML documents that are no gateway's configuration: read within the same bounds and along the schema of a type, with the
//! same positions and the same help. What operators keep in files for the control plane is read by this.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::place::{Place, Report, diagnostic};
use crate::quote::{list, quote};
use crate::structure::{self, nearest, reword};
use crate::yaml::{self, Kind, Node};
use crate::{Diagnostic, Diagnostics};

/// Documents of one text.
const DOCUMENTS_MAX: usize = 10_000;

/// One document of a text.
#[derive(Clone)]
pub struct Document {
    file: String,
    root: Node,
}

impl Document {
    /// Reads the documents of a text, leaving out those that are empty. `file_name` is for messages.
    ///
    /// # Errors
    /// What is no YAML, or beyond the bounds.
    pub fn all(bytes: &[u8], file_name: &str) -> Result<Vec<Self>, Diagnostic> {
        let roots = yaml::parse_all(bytes, DOCUMENTS_MAX).map_err(|fault| {
            Diagnostic::new(file_name, fault.position, String::new(), fault.message, fault.help)
        })?;
        Ok(roots.into_iter().map(|root| Self { file: file_name.to_owned(), root }).collect())
    }

    /// The file's name as the caller gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line that it begins on.
    pub fn line(&self) -> usize {
        self.root.position.line
    }

    /// Whether a member of the root is there.
    pub fn has(&self, key: &str) -> bool {
        self.root.entry(key).is_some()
    }

    /// The text of a member of the root, if it is one.
    pub fn text(&self, key: &str) -> Option<&str> {
        Place::root(&self.root).child(key).text()
    }

    /// The same as JSON. A key without a value is an absent key.
    pub fn to_json(&self) -> Value {
        self.root.to_json()
    }

    /// Reads it as a value of the type.
    ///
    /// # Errors
    /// Everything that does not fit the type's schema, else the first thing that the type itself refuses.
    pub fn read<T: JsonSchema + DeserializeOwned>(&self) -> Result<T, Diagnostics> {
        let mut report = Report::new(&self.file);
        report.whole = "the document";
        structure::check::<T>(&Place::root(&self.root), &mut report);
        if !report.errors.is_empty() {
            return Err(Diagnostics::new(report.errors));
        }
        serde_path_to_error::deserialize(self.root.to_json()).map_err(|error| {
            let place = self.place(&pointer(error.path()));
            let (message, help) = reword(&error.inner().to_string());
            Diagnostics::from(diagnostic(&self.file, &place, message, help))
        })
    }

    /// A mistake at a JSON pointer (RFC 6901), or at the nearest place around it that is there.
    pub fn fault(&self, pointer: &str, message: impl Into<String>, help: Option<String>) -> Diagnostic {
        let keys: Vec<String> =
            pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
        diagnostic(&self.file, &self.place(&keys), message, help)
    }

    /// A mistake at a member of the root whose text is none of the known ones, naming the nearest.
    pub fn unknown(&self, key: &str, noun: &str, known: &[&str]) -> Diagnostic {
        let text = self.text(key).unwrap_or_default();
        let help = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => format!("known are {}", list(known.iter().copied())),
        };
        self.fault(&format!("/{key}"), format!("{} is no {noun}", quote(text)), Some(help))
    }

    fn place(&self, keys: &[String]) -> Place<'_> {
        let mut place = Place::root(&self.root);
        for key in keys {
            let is_list = place.node.is_some_and(|node| matches!(node.kind, Kind::List(_)));
            let next = match key.parse::<usize>() {
                Ok(index) if is_list => place.item(index),
                _ => place.child(key),
            };
            let is_there = next.node.is_some();
            place = next;
            if !is_there {
                break;
            }
        }
        place
    }
}

fn pointer(path: &Path) -> Vec<String> {
    let key = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        kind: String,
        #[serde(default)]
        entries: Vec<Entry>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        id: NonZeroU8,
    }

    fn all(text: &str) -> Vec<Document> {
        Document::all(text.as_bytes(), "a.yaml").unwrap_or_else(|error| panic!("{error}"))
    }

    fn refuse(text: &str, expected: &str) {
        let message = match Document::all(text.as_bytes(), "a.yaml") {
            Err(error) => error.to_string(),
            Ok(documents) => {
                let read: Result<Vec<Thing>, _> = documents.iter().map(Document::read).collect();
                read.expect_err(expected).to_string()
            }
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn a_text_has_several_documents() {
        let documents = all("kind: a\n---\n# nothing\n---\nkind: b\nentries: [{ id: 1 }]\n---\n");
        let read: Vec<Thing> = documents.iter().map(|document| document.read().unwrap()).collect();
        let kinds: Vec<&str> = read.iter().map(|thing| thing.kind.as_str()).collect();
        assert_eq!(kinds, ["a", "b"]);
        assert_eq!(documents.iter().map(Document::line).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(read.iter().flat_map(|thing| &thing.entries).map(|entry| entry.id.get()).sum::<u8>(), 1);
        assert!(all("").is_empty() && all("---\n---\n").is_empty());
    }

    #[test]
    fn mistakes_have_a_place_in_the_text() {
        refuse(
            "kind: a\n---\nkind: b\nentrys: []\n",
            "a.yaml:4:1: unknown key `entrys` in the document; did you mean `entries`?",
        );
        refuse("kind: a\n---\nentries: []\n", "a.yaml:3:1: `kind` is missing in the document");
        refuse(
            "kind: a\nentries:\n  - id: 3\n  - id: 300\n",
            "a.yaml:4:9: 300 is out of range: expected a number from 1 to 255",
        );
        refuse("kind: a\n--- !x\nkind: b\n", "a.yaml:2:5: tags are not supported, except `!!str`");
    }

    #[test]
    fn anchors_are_of_their_document_and_bounded() {
        assert!(Document::all(b"a: &x 1\n---\nb: *x\n", "a.yaml").is_err());
        let bomb = format!("a: &a {}\n{}", "x".repeat(1 << 20), "---\nb: &b yyyy\nc: [*b, *b]\n".repeat(3));
        assert_eq!(all(&bomb).len(), 4);
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(8));
        let error = Document::all(text.as_bytes(), "a.yaml").err().unwrap();
        assert!(error.to_string().contains("once its aliases are expanded"), "{error}");
        let many = "--- 1\n".repeat(DOCUMENTS_MAX + 1);
        let error = Document::all(many.as_bytes(), "a.yaml").err().unwrap();
        assert!(error.to_string().contains("more than 10000 documents"), "{error}");
    }

    #[test]
    fn a_pointer_finds_its_place() {
        let documents = all("kind: Thing\nentries:\n  - id: 1\n  - id: 2\n    a/b: 3\n");
        let document = &documents[0];
        let check = |pointer: &str, place: &str| {
            let found = document.fault(pointer, "no", None);
            assert_eq!(format!("{}:{}", found.line, found.column), place, "{pointer}");
        };
        check("", "1:1");
        check("/entries/1/id", "4:9");
        check("/entries/1/a~1b", "5:10");
        check("/entries/1/colour/red", "4:5");
        check("/entries/7", "3:3");
        let unknown = document.unknown("kind", "kind", &["Thong", "Other"]);
        assert_eq!(unknown.to_string(), "a.yaml:1:7: `Thing` is no kind; did you mean `Thong`?");
    }
}
