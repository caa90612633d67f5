//! The official clients work through the gateway: npm `@modelcontextprotocol/sdk` 1.x and
//! `@modelcontextprotocol/client` 2.x, PyPI `mcp`, each in the revisions that it speaks.
//!
//! Each script prints what its library made of a listing, a permitted call, a redacted one and a denied one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use mcpg_tests::{Fixture, Gateway, packages, scenes};
use serde_json::{Value, json};

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

#[test]
fn typescript_sdk_1_speaks_sessions() {
    check("npm sdk 1.x", node_script("sdk-1.mjs"), LEGACY);
}

#[test]
fn typescript_client_2_speaks_sessions() {
    check("npm client 2.x", node_script("client-2.mjs"), LEGACY);
}

#[test]
fn typescript_client_2_speaks_stateless() {
    check("npm client 2.x", node_script("client-2.mjs"), MODERN);
}

#[test]
fn python_mcp_speaks_sessions() {
    check("PyPI mcp", python_script(), LEGACY);
}

#[test]
fn python_mcp_speaks_stateless() {
    check("PyPI mcp", python_script(), MODERN);
}

type Script = Result<Command, packages::Missing>;

fn check(client: &str, script: Script, revision: &str) {
    let script = match script {
        Ok(script) => script,
        Err(missing) => return packages::skip(&format!("{client} {revision}"), &missing),
    };
    let fixture = Fixture::start();
    let (gateway, key) = scenes::start_governed(&fixture.url());
    let said = run(script, &gateway, &key, revision);

    assert_eq!(said["failed"], Value::Null, "{client} {revision}: {said}");
    assert_eq!(said["revision"], revision, "{client}");
    let listed = said["tools"].as_array().expect("tools are listed");
    assert!(listed.contains(&json!("echo")), "{client} {revision}: {listed:?}");
    assert_eq!(said["echo"]["result"]["content"][0]["text"], "grüß dich", "{client} {revision}: {said}");
    assert_eq!(said["customer"]["result"]["structuredContent"]["name"], "Ada Example", "{client}: {said}");
    assert!(
        !said.to_string().contains("ada@example.com"),
        "{client} {revision}: the address is redacted: {said}"
    );
    assert_eq!(said["denied"]["result"], Value::Null, "{client} {revision}: {said}");
    assert!(
        said["denied"]["error"]["message"].is_string(),
        "{client} {revision}: the denial is legible: {said}"
    );
    assert!(!fixture.process().log().contains("panicked"), "{client} {revision}");
}

fn run(mut script: Command, gateway: &Gateway, key: &str, revision: &str) -> Value {
    let output = script.arg(gateway.url("/mcp")).arg(revision).env("MCPG_KEY", key).output();
    let output = output.expect("cannot run the client");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = text.lines().last().unwrap_or_else(|| panic!("the client said nothing: {errors}"));
    serde_json::from_str(report).unwrap_or_else(|error| panic!("{error} in `{report}`: {errors}"))
}

fn node_script(name: &str) -> Script {
    let modules = packages::npm(&scripts())?;
    let mut command = Command::new(packages::node(&modules)?);
    command.arg(modules.join(name));
    Ok(command)
}

fn python_script() -> Script {
    let mut command = Command::new(packages::python(&scripts())?);
    command.arg(scripts().join("mcp_client.py"));
    Ok(command)
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/scripts")
}
