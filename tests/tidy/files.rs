//! Shape: the top level, file lengths, module files, the `//!` that opens every file.

use std::collections::BTreeSet;

use crate::tree::{self, Finding, Source};

const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "benches",
    "config",
    "cp",
    "docs",
    "filters",
    "loadtest",
    "proxy",
    "tests",
];

const LINES_MAX: usize = 600;
const LINES_WITHOUT_REASON: usize = 400;

/// Files of more than 400 lines, each with its reason. Tests are tables, which need none.
const LONG: &[(&str, &str)] = &[(
    "proxy/src/upstream/stdio/process/run.rs",
    "the life of a process, whose ends belong beside its beginning",
)];

#[test]
fn the_top_level_is_fixed() {
    let entries = std::fs::read_dir(tree::root()).unwrap();
    let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    tree::assert_none(&top_level(&names));
}

#[test]
fn files_stay_readable() {
    let sources = tree::sources();
    let rust: Vec<&Source> = sources.iter().filter(|source| source.is_rust()).collect();
    tree::assert_none(&lengths(&rust, LONG));
    let findings: Vec<Finding> = rust.iter().flat_map(|source| shape(source)).collect();
    tree::assert_none(&findings);
}

fn top_level(names: &[String]) -> Vec<Finding> {
    let allowed: BTreeSet<&str> = TOP_LEVEL.iter().copied().chain(["target"]).collect();
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !allowed.contains(name.as_str()))
        .map(|name| Finding { path: name.clone(), line: 0, message: "does not belong at the top".to_owned() })
        .collect()
}

fn lengths(sources: &[&Source], long: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        let listed = long.iter().any(|(path, _)| *path == source.path);
        let message = match lines {
            _ if lines > LINES_MAX => format!("has {lines} lines: split it, {LINES_MAX} is the most"),
            _ if lines > LINES_WITHOUT_REASON && !listed && !source.is_test() => {
                format!("has {lines} lines: split it, or list it in tests/tidy/files.rs with a reason")
            }
            _ if lines <= LINES_WITHOUT_REASON && listed => {
                "is no longer long: take it off the list in tests/tidy/files.rs".to_owned()
            }
            _ => continue,
        };
        findings.push(source.finding(0, message));
    }
    for (path, _) in long {
        if !sources.iter().any(|source| source.path == *path) {
            let message = "is listed as long but does not exist".to_owned();
            findings.push(Finding { path: (*path).to_owned(), line: 0, message });
        }
    }
    findings
}

fn shape(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.ends_with("/mod.rs") {
        findings.push(source.finding(0, "use `foo.rs` beside `foo/` in place of `mod.rs`"));
    }
    let opening = source.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!"));
    if !source.path.ends_with("tests.rs") && !opening.is_some_and(|line| line.starts_with("//!")) {
        findings.push(source.finding(1, "opens with `//!`: what it is for and what it holds"));
    }
    findings
}

#[test]
fn a_stray_entry_is_found() {
    let names = ["README.md", ".ci", "target", "notes.txt"].map(str::to_owned);
    let found: Vec<String> = top_level(&names).into_iter().map(|finding| finding.path).collect();
    assert_eq!(found, ["notes.txt"]);
}

#[test]
fn a_long_file_is_found() {
    let check = |lines: usize, long: &[(&str, &str)]| {
        lengths(&[&Source::of("a.rs", &"x\n".repeat(lines))], long).len()
    };
    assert_eq!(lengths(&[&Source::of("a/tests.rs", &"x\n".repeat(401))], &[]).len(), 0);
    let listed: &[(&str, &str)] = &[("a.rs", "one table")];
    assert_eq!(check(400, &[]), 0);
    assert_eq!(check(401, &[]), 1);
    assert_eq!(check(401, listed), 0);
    assert_eq!(check(601, listed), 1);
    assert_eq!(check(400, listed), 1, "a stale entry is a finding");
    assert_eq!(check(1, &[("gone.rs", "was long")]), 1, "and so is one of a file that went");
}

#[test]
fn a_misshapen_file_is_found() {
    for (path, text, expected) in [
        ("config/src/a.rs", "//! What it is.\n", 0),
        ("config/src/a.rs", "#![allow(x)]\n\n//! What it is.\n", 0),
        ("config/src/a.rs", "use std::fmt;\n", 1),
        ("config/src/a.rs", "", 1),
        ("config/src/a/tests.rs", "use std::fmt;\n", 0),
        ("config/src/a/mod.rs", "//! What it is.\n", 1),
    ] {
        assert_eq!(shape(&Source::of(path, text)).len(), expected, "{path}: {text}");
    }
}
