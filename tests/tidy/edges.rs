//! Which crate may depend on which. The table is the `edges` block of docs/ARCHITECTURE.md; `cargo metadata` says what is.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree::{self, Finding, Source};

/// Third-party crates that belong to one place, with the packages that may name them.
const CONFINED: &[(&str, &[&str])] = &[
    ("pingora", &["mcpg", "mcpg-benches"]),
    ("boring", &["mcpg", "mcpg-filters", "mcpg-benches", "mcpg-tests", "mcpg-cp", "mcpg-ctl"]),
    ("sqlx", &["mcpg-cp"]),
    ("axum", &["mcpg-cp"]),
    ("wasmtime", &["mcpg-plugin-host"]),
    ("libloading", &["mcpg-plugin-host"]),
    ("cedar", &["mcpg-filters"]),
    ("reqwest", &[]),
    ("openssl", &[]),
    ("native-tls", &[]),
];

/// Crates that take values and return values: no runtime, no sockets.
const PURE: &[&str] =
    &["mcpg-sdk", "mcpg-protocol", "mcpg-cp-api", "mcpg-ledger", "mcpg-license", "mcpg-config"];
const RUNTIMES: &[&str] = &["tokio", "hyper", "hyper-util", "mio", "socket2"];

/// Everything may be seen from here.
const OBSERVERS: &[&str] = &["mcpg-tests", "mcpg-benches", "mcpg-loadtest"];

/// A package and what its manifest names: (dependency, whether for development only).
type Packages = BTreeMap<String, Vec<(String, bool)>>;
type Table = BTreeMap<String, BTreeSet<String>>;

#[test]
fn crate_edges_are_those_of_the_architecture() {
    let architecture = Source::of(
        "docs/ARCHITECTURE.md",
        &std::fs::read_to_string(tree::root().join("docs/ARCHITECTURE.md")).unwrap(),
    );
    tree::assert_none(&check(&packages(), &table(&architecture.text)));
}

#[test]
fn manifests_take_lints_and_versions_from_the_workspace() {
    let findings: Vec<Finding> = tree::sources()
        .iter()
        .filter(|source| source.path.ends_with("/Cargo.toml") && !source.path.starts_with("tests/fuzz/"))
        .flat_map(manifest)
        .collect();
    tree::assert_none(&findings);
}

/// The `a -> b c` lines of the block fenced as `edges`.
fn table(document: &str) -> Table {
    document
        .lines()
        .skip_while(|line| *line != "```edges")
        .skip(1)
        .take_while(|line| *line != "```")
        .filter_map(|line| line.split_once("->"))
        .map(|(from, to)| (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

fn packages() -> Packages {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(tree::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (name(package), dependencies.iter().map(|it| (name(it), it["kind"] == "dev")).collect())
        })
        .collect()
}

fn check(packages: &Packages, table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut breach = |package: &str, message: String| {
        findings.push(Finding { path: package.to_owned(), line: 0, message });
    };
    for (package, dependencies) in packages {
        let observer = OBSERVERS.contains(&package.as_str());
        let Some(allowed) = table.get(package).or(observer.then_some(const { &BTreeSet::new() })) else {
            breach(package, "is not in the `edges` block of docs/ARCHITECTURE.md".to_owned());
            continue;
        };
        for (dependency, dev) in dependencies {
            if packages.contains_key(dependency) {
                let seen = observer || allowed.contains(dependency) || (*dev && dependency == "mcpg-tests");
                if !seen {
                    breach(package, format!("may not depend on {dependency}"));
                }
                continue;
            }
            let confined = CONFINED.iter().find(|(prefix, _)| dependency.starts_with(prefix));
            if confined.is_some_and(|(_, owners)| !owners.contains(&package.as_str())) {
                breach(package, format!("may not name {dependency}"));
            }
            if !dev && PURE.contains(&package.as_str()) && RUNTIMES.contains(&dependency.as_str()) {
                breach(package, format!("is pure and may not depend on {dependency}"));
            }
        }
    }
    findings
}

fn manifest(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.contains("[lints]\nworkspace = true\n") {
        findings.push(source.finding(0, "needs `[lints] workspace = true`"));
    }
    let mut section = "";
    for (number, line) in source.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies]")
            && line.contains('=')
            && !line.starts_with(['#', ' '])
            && !line.contains("workspace = true")
        {
            findings.push(
                source.finding(number, "name the version in the root Cargo.toml: `x.workspace = true`"),
            );
        }
    }
    findings
}

#[test]
fn a_forbidden_edge_is_found() {
    let table = table(
        "text\n```edges\nmcpg-sdk ->\nmcpg-config -> mcpg-sdk\nmcpg-cp -> mcpg-config\n```\nmcpg -> x\n",
    );
    assert_eq!(table.len(), 3);
    let check = |package: &str, dependency: &str, dev: bool| {
        let mut packages: Packages =
            ["mcpg-sdk", "mcpg-config", "mcpg-cp"].map(|name| (name.to_owned(), Vec::new())).into();
        packages.insert(package.to_owned(), vec![(dependency.to_owned(), dev)]);
        check(&packages, &table).len()
    };
    for (package, dependency, dev, expected) in [
        ("mcpg-config", "mcpg-sdk", false, 0),
        ("mcpg-sdk", "mcpg-config", false, 1),
        ("mcpg-sdk", "mcpg-config", true, 1),
        ("mcpg-config", "mcpg-cp", true, 1),
        ("mcpg-tests", "mcpg-cp", false, 0),
        ("mcpg-sdk", "tokio", false, 1),
        ("mcpg-sdk", "tokio", true, 0),
        ("mcpg-cp", "sqlx", false, 0),
        ("mcpg-config", "sqlx-core", false, 1),
        ("mcpg-config", "pingora-core", true, 1),
        ("mcpg-cp", "openssl-sys", false, 1),
        ("mcpg-new", "serde", false, 1),
    ] {
        assert_eq!(check(package, dependency, dev), expected, "{package} -> {dependency}");
    }
}

#[test]
fn a_manifest_outside_the_workspace_rules_is_found() {
    let good =
        "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[dependencies]\nserde.workspace = true\n";
    assert_eq!(manifest(&Source::of("a/Cargo.toml", good)), []);
    let own_version = format!("{good}libc = \"0.2\"\n");
    assert_eq!(manifest(&Source::of("a/Cargo.toml", &own_version)).len(), 1);
    assert_eq!(manifest(&Source::of("a/Cargo.toml", "[package]\n")).len(), 1);
}
