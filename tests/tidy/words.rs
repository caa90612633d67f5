//! Words that have no place in the tree: unfinished marks, ignored tests, paths of one machine.

use crate::tree::{self, Finding, Source};

/// Marks of unfinished work, whole words. Written in halves, so that this file passes its own rule.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Anything in a Rust file that hides a gap.
const GAPS: &[&str] = &[concat!("to", "do!("), concat!("unimple", "mented!("), concat!("#[ig", "nore")];

/// Folders of one machine.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "bash_jobs")];

#[test]
fn nothing_is_left_unfinished() {
    let findings: Vec<Finding> = tree::sources().iter().flat_map(words).collect();
    tree::assert_none(&findings);
}

fn words(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.ends_with(".lock")
        || source.path.ends_with("package-lock.json")
        || source.path == "LICENSE"
    {
        return findings;
    }
    for (number, line) in source.lines() {
        if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
            findings.push(
                source.finding(number, format!("`{mark}`: finish it, or open an issue and say no more here")),
            );
        }
        if let Some(gap) = GAPS.iter().find(|gap| source.is_rust() && line.contains(*gap)) {
            findings.push(source.finding(number, format!("`{gap}` hides a gap")));
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(*path)) {
            findings.push(source.finding(number, format!("`{path}` exists on one machine only")));
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|character: char| !(character.is_alphanumeric() || character == '_')).any(|part| part == word)
}

#[test]
fn forbidden_words_are_found() {
    let check = |path: &str, line: &str| words(&Source::of(path, line)).len();
    let mark = MARKS[0];
    assert_eq!(check("README.md", &format!("{mark}: later")), 1);
    assert_eq!(check("README.md", &format!("mktemp name.{0}{0}", MARKS[2])), 0, "part of a longer word");
    assert_eq!(check("a.rs", &format!("    {})", GAPS[0])), 1);
    assert_eq!(check("a.rs", &format!("{}]", GAPS[2])), 1);
    assert_eq!(check("a.sh", &format!("cd {}here", MACHINE_PATHS[0])), 1);
    assert_eq!(check("a.rs", "let method = \"tools/call\";"), 0);
}
