//! Links of the documentation: every relative one leads to a file, and to a heading where it names one.

use std::path::{Component, Path, PathBuf};

use crate::tree::{self, Finding, Source};

#[test]
fn documentation_links_resolve() {
    let root = tree::root();
    let findings: Vec<Finding> = tree::sources()
        .iter()
        .filter(|source| source.path.ends_with(".md"))
        .flat_map(|source| {
            broken(source, |path| {
                let path = root.join(path);
                if path.is_dir() { Some(String::new()) } else { std::fs::read_to_string(path).ok() }
            })
        })
        .collect();
    tree::assert_none(&findings);
}

/// Links that lead nowhere. `read` gives the text of a path below the root, if there is one.
fn broken(source: &Source, read: impl Fn(&Path) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    for (number, target) in links(&source.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let text =
            if path.is_empty() { Some(source.text.clone()) } else { read(&normal(&folder.join(path))) };
        let Some(text) = text else {
            findings.push(source.finding(number, format!("`{path}` does not exist")));
            continue;
        };
        if !heading.is_empty() && !prose(&text).any(|(_, line)| anchor(line).as_deref() == Some(heading)) {
            findings.push(source.finding(number, format!("`{target}` names no heading")));
        }
    }
    findings
}

/// The lines outside fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().map(|(index, line)| (index + 1, line)).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| Some((number, rest.split_once(')')?.0)))
    })
}

/// The anchor that hosts give a heading: lower case, spaces to hyphens, other punctuation dropped.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect())
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn a_dead_link_is_found() {
    let read =
        |path: &Path| (path == Path::new("docs/OTHER.md")).then(|| "# One, two\n```\n# no\n```\n".to_owned());
    let check = |line: &str| broken(&Source::of("docs/adr/0001-a.md", line), read).len();
    for (line, expected) in [
        ("see [other](../OTHER.md)", 0),
        ("see [other](../OTHER.md#one-two)", 0),
        ("see [other](../OTHER.md#no)", 1),
        ("see [other](OTHER.md) and [more](../NONE.md)", 2),
        ("see [site](https://example.com/x)", 0),
        ("```\n[not](a-link.md)\n```", 0),
        ("# Title here\n[up](#title-here)", 0),
        ("[up](#title-here)", 1),
    ] {
        assert_eq!(check(line), expected, "{line}");
    }
}
