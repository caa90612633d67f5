//! The official conformance suite scores through the gateway what it scores directly.
//!
//! The suite's outcomes are compared check by check, so a gateway that loses one check and gains another does
//! not pass. The direct score is fixed too: a fixture that forgets how to be checked proves nothing. The fixture is served
//! in both of the gateway's ways: at its own endpoint, and as the only binding of a federation.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcpg_tests::{Fixture, packages, scenes};
use serde_json::Value;

#[test]
fn revision_2025_11_25_scores_the_same_alone() {
    check(LEGACY, Served::Alone);
}

#[test]
fn revision_2026_07_28_scores_the_same_alone() {
    check(MODERN, Served::Alone);
}

#[test]
fn revision_2025_11_25_scores_the_same_federated() {
    check(LEGACY, Served::Federated);
}

#[test]
fn revision_2026_07_28_scores_the_same_federated() {
    check(MODERN, Served::Federated);
}

/// A revision, and how many checks of it the fixture passes.
type Required = (&'static str, usize);

const LEGACY: Required = ("2025-11-25", 83);
const MODERN: Required = ("2026-07-28", 197);

/// How the fixture is served.
#[derive(Debug, Clone, Copy)]
enum Served {
    /// At its own endpoint.
    Alone,
    /// As the only binding of a federation whose names are bare.
    Federated,
}

fn check((revision, passing): Required, served: Served) {
    let suite = match Suite::install() {
        Ok(suite) => suite,
        Err(missing) => return packages::skip(&format!("conformance {revision} {served:?}"), &missing),
    };
    let fixture = Fixture::start();
    let binding = format!("    url: {}\n", fixture.url());
    // The suite cannot send credentials, so its scope admits anonymous callers to everything.
    let gateway = scenes::open_federation(&[("fixture", &binding)], "federation: { naming: bare }\n").start();
    let path = match served {
        Served::Alone => "/bindings/fixture/mcp",
        Served::Federated => "/mcp",
    };
    let direct = suite.run(&fixture.url(), revision);
    let through = suite.run(&gateway.url(path), revision);
    eprintln!("{revision} {served:?}: {} direct, {} through the gateway", score(&direct), score(&through));
    assert_eq!(score(&direct), format!("{passing} passed, 0 failed"), "directly");
    let differences = differences(&direct, &through);
    assert!(differences.is_empty(), "{revision} {served:?}: the gateway changes\n{}", differences.join("\n"));
}

/// Every check by scenario, id and occurrence, with its status.
type Outcomes = BTreeMap<(String, String, usize), Outcome>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    status: String,
    message: String,
}

struct Suite {
    node: PathBuf,
    script: PathBuf,
}

impl Suite {
    fn install() -> Result<Self, packages::Missing> {
        let folder = packages::npm(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"))?;
        let node = packages::node(&folder)?;
        let script = folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
        Ok(Self { node, script })
    }

    /// Runs what `revision` requires of a server at `url`.
    fn run(&self, url: &str, revision: &str) -> Outcomes {
        let results = tempfile::tempdir().expect("cannot make a folder");
        let mut command = Command::new(&self.node);
        command.arg(&self.script).args(["server", "--url", url, "--requirements", revision, "-o"]);
        let output = command.arg(results.path()).output().expect("cannot run the suite");
        let outcomes = read(results.path());
        // A failing check ends the suite badly too, and is reported as a difference; no checks at all is a crash.
        assert!(!outcomes.is_empty(), "the suite said {}", String::from_utf8_lossy(&output.stderr));
        outcomes
    }
}

fn read(results: &Path) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for folder in std::fs::read_dir(results).into_iter().flatten().flatten() {
        let name = folder.file_name().into_string().expect("scenarios have plain names");
        let text = std::fs::read_to_string(folder.path().join("checks.json")).expect("a scenario has checks");
        let checks: Vec<Value> = serde_json::from_str(&text).expect("checks are JSON");
        for check in &checks {
            let field = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
            let outcome = Outcome { status: field("status"), message: field("errorMessage") };
            // Notes about the exchange, such as each response's headers, are no verdicts.
            if outcome.status == "INFO" {
                continue;
            }
            let mut key = (scenario(&name).to_owned(), field("id"), 0);
            while outcomes.contains_key(&key) {
                key.2 += 1;
            }
            outcomes.insert(key, outcome);
        }
    }
    outcomes
}

/// `server-ping-2026-11-21T21-59-27-807Z` is a result of `server-ping`.
fn scenario(folder: &str) -> &str {
    let time = "-2026-11-21T21-59-27-807Z".len();
    folder.get(..folder.len().saturating_sub(time)).unwrap_or(folder)
}

fn score(outcomes: &Outcomes) -> String {
    let count = |status: &str| outcomes.values().filter(|outcome| outcome.status == status).count();
    format!("{} passed, {} failed", count("SUCCESS"), count("FAILURE"))
}

fn differences(direct: &Outcomes, through: &Outcomes) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = direct.keys().chain(through.keys()).collect();
    let status = |outcomes: &Outcomes, key| match outcomes.get(key) {
        Some(outcome) => format!("{} {}", outcome.status, outcome.message).trim().to_owned(),
        None => "absent".to_owned(),
    };
    keys.into_iter()
        .filter(|key| {
            direct.get(key).map(|known| &known.status) != through.get(key).map(|known| &known.status)
        })
        .map(|key| {
            let (scenario, id, occurrence) = key;
            format!("{scenario} {id} #{occurrence}: {} -> {}", status(direct, key), status(through, key))
        })
        .collect()
}

#[test]
fn a_lost_check_is_a_difference() {
    let outcomes = |checks: &[(&str, &str)]| -> Outcomes {
        let entry = |(id, status): &(&str, &str)| {
            let outcome = Outcome { status: (*status).into(), message: String::new() };
            (("scenario".to_owned(), (*id).to_owned(), 0), outcome)
        };
        checks.iter().map(entry).collect()
    };
    let direct = outcomes(&[("a", "SUCCESS"), ("b", "SUCCESS")]);
    assert!(differences(&direct, &direct).is_empty());
    assert_eq!(differences(&direct, &outcomes(&[("a", "SUCCESS")])), ["scenario b #0: SUCCESS -> absent"]);
    let swapped = outcomes(&[("a", "FAILURE"), ("b", "SUCCESS"), ("c", "SUCCESS")]);
    assert_eq!(differences(&direct, &swapped).len(), 2);
}
