//! Names that the documentation promises: metrics and make targets. What it lists exists, and every metric is listed.

use std::collections::BTreeSet;

use crate::tree::{self, Finding, Source};

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let sources = tree::sources();
    for (code, document) in
        [("proxy/src/metrics", "docs/OPERATIONS.md"), ("cp/src/api/metrics", "docs/CONTROL_PLANE.md")]
    {
        let shipped: Vec<&Source> =
            sources.iter().filter(|source| source.path.starts_with(code) && !source.is_test()).collect();
        tree::assert_none(&metrics(&shipped, find(&sources, document)));
    }
}

#[test]
fn documented_make_targets_exist() {
    let sources = tree::sources();
    let makefile = find(&sources, "Makefile");
    let findings: Vec<Finding> = sources
        .iter()
        .filter(|source| source.path.ends_with(".md"))
        .flat_map(|source| make_targets(source, &makefile.text))
        .collect();
    tree::assert_none(&findings);
}

fn find<'a>(sources: &'a [Source], path: &str) -> &'a Source {
    sources.iter().find(|source| source.path == path).unwrap()
}

/// Compares the names in the code with the first column of the document's table.
fn metrics(code: &[&Source], document: &Source) -> Vec<Finding> {
    let named: BTreeSet<&str> = code
        .iter()
        .flat_map(|source| source.shipped_lines())
        .flat_map(|(_, line)| line.split('"').skip(1).step_by(2))
        .filter(|text| text.starts_with("mcpg_"))
        .collect();
    let rows = document.lines().filter_map(|(number, line)| {
        let name = line.strip_prefix("| `")?.split('`').next()?;
        // What ends open is how tokens begin.
        (name.starts_with("mcpg_") && !name.ends_with('_')).then_some((number, name))
    });
    let documented: Vec<(usize, &str)> = rows.collect();
    let unknown = documented
        .iter()
        .filter(|(_, name)| !named.contains(name))
        .map(|(number, name)| document.finding(*number, format!("there is no metric `{name}`")));
    let missing = named
        .iter()
        .filter(|name| !documented.iter().any(|(_, listed)| listed == *name))
        .map(|name| document.finding(0, format!("does not list the metric `{name}`")));
    unknown.chain(missing).collect()
}

/// `make TARGET` in a code span or an indented block names a target of the Makefile.
fn make_targets(source: &Source, makefile: &str) -> Vec<Finding> {
    let exists = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    source
        .lines()
        .filter_map(|(number, line)| {
            let spans = line.split('`').skip(1).step_by(2);
            let block = line.strip_prefix("    ");
            let wrong = spans
                .chain(block)
                .filter_map(|code| code.strip_prefix("make ")?.split_whitespace().next())
                .find(|target| !exists(target))?;
            Some(source.finding(number, format!("there is no target `make {wrong}`")))
        })
        .collect()
}

#[test]
fn an_undocumented_and_an_invented_metric_are_found() {
    let code = Source::of("proxy/src/metrics.rs", "a(\"mcpg_a_total\", \"Help of a.\");\n// \"mcpg_old\"\n");
    let check = |table: &str| metrics(&[&code], &Source::of("docs/OPERATIONS.md", table)).len();
    assert_eq!(check("| `mcpg_a_total` | | what |\n"), 0);
    assert_eq!(check("| `mcpg_b_total` | | what |\n"), 2);
    assert_eq!(check("`mcpg_a_total` in prose\n"), 1);
}

#[test]
fn an_invented_target_is_found() {
    let check =
        |text: &str| make_targets(&Source::of("README.md", text), "test: setup ## run\nrun: setup\n").len();
    assert_eq!(check("`make test` and\n    make run     # now\n"), 0);
    assert_eq!(check("`make tests`"), 1);
    assert_eq!(check("    make all\n"), 1);
    assert_eq!(check("make do with little"), 0);
}
