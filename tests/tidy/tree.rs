//! The files of the repository, and how a rule reports on them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "__pycache__", "corpus", "artifacts"];

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// One text file: its path below the root, with `/`, and its content.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// A file made up for a rule's own test.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests, benches and load tools: they may do what shipped code may not.
    pub(crate) fn is_test(&self) -> bool {
        ["tests/", "benches/", "loadtest/"].iter().any(|top| self.path.starts_with(top))
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// The lines that ship, numbered from 1: no comments, and nothing from the unit tests on (they come last).
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// All lines, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub(crate) fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }
}

/// Every text file of the tree, in order of path.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                folders.push(entry.path());
            } else if kind.is_file() && name != ".git" {
                // What is no UTF-8 is no text, and a file may go while another test writes.
                if let Ok(text) = fs::read_to_string(entry.path()) {
                    let path = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    found.push(Source { path, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Fails the test that calls it with all findings, one a line.
#[track_caller]
pub(crate) fn assert_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "{} finding(s):\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn the_tree_is_read() {
    let sources = sources();
    for path in ["Cargo.toml", ".ci/run", "tests/tidy/tree.rs", "filters/sdk/src/lib.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path} was not found");
    }
}

#[test]
fn unit_tests_and_comments_do_not_ship() {
    let source = Source::of("config/src/a.rs", "let a = 1;\n// let b = 2;\n#[cfg(test)]\nmod tests {\n");
    assert_eq!(source.shipped_lines().collect::<Vec<_>>(), [(1, "let a = 1;")]);
}
