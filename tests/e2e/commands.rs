//! The commands besides `run`: what they print, and how they end.

use std::path::Path;
use std::process::{Command, Output};

use mcpg_tests::mcp::Request;
use mcpg_tests::{RawUpstream, Setup, mcpg, run_mcpg, scenes};
use serde_json::{Value, json};

#[test]
fn check_says_what_run_would_say() {
    let setup = scenes::open("http://127.0.0.1:3001/mcp").file("mcpg.yaml", PLAIN);
    let config = setup.dir().join("mcpg.yaml");
    let good = run_mcpg(&["check".as_ref(), config.as_os_str()]);
    assert!(good.status.success(), "{}", said(&good));

    let setup = setup.file("mcpg.yaml", &PLAIN.replace("bindings:", "bindngs:"));
    let config = setup.dir().join("mcpg.yaml");
    let bad = run_mcpg(&["check".as_ref(), config.as_os_str()]);
    assert!(!bad.status.success());
    let text = said(&bad);
    assert!(text.contains("mcpg.yaml:6:") && text.contains("`bindings`"), "{text}");
    let none = run_mcpg(&["check", "no-such-file.yaml"]);
    assert!(!none.status.success() && said(&none).contains("no-such-file.yaml"), "{}", said(&none));
}

#[test]
fn schema_is_a_json_schema() {
    let output = run_mcpg(&["schema"]);
    assert!(output.status.success(), "{}", said(&output));
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["bindings"].is_object(), "{schema}");
}

#[test]
fn a_new_key_opens_the_door() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let config = "server: { listen: [\"{listen}\"], admin: \"{admin}\" }
plugins:
  - id: identity.api-key
    config: { hash_key: $secret://file/hash.key, keys_file: keys.jsonl }
  - { id: policy.cedar, config: { bundle: ./policies } }
bindings:
  - { id: files, type: mcp, url: UPSTREAM }
";
    let setup = Setup::new(&config.replace("UPSTREAM", &upstream.url()));
    let setup = setup
        .file("policies/open.cedar", "permit (principal == User::\"carol@acme.com\", action, resource);");
    let (hash_key, keys) = (setup.dir().join("hash.key"), setup.dir().join("keys.jsonl"));
    let made = |subject: &str| {
        let words = ["keys", "new", "--subject", subject, "--env", "test", "--hash-key-file"]
            .map(std::ffi::OsStr::new);
        let files = [hash_key.as_os_str(), "--keys-file".as_ref(), keys.as_os_str()];
        let output = run_mcpg(&[&words[..], &files[..]].concat());
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (carol, dave) = (made("user:carol@acme.com"), made("user:dave@acme.com"));
    assert!(carol.starts_with("mcpg_test_"), "{carol}");
    assert_ne!(carol, dave);
    let stored = std::fs::read_to_string(&keys).unwrap();
    assert!(!stored.contains(&carol) && stored.contains("blake3-keyed:"), "{stored}");
    let gateway = setup.start();
    let call = |key: &str| {
        Request::modern_call("/mcp", "echo", json!({})).bearer(key).send(gateway.address()).status
    };
    assert_eq!((call(&carol), call(&dave)), (200, 403));
}

/// The example that has every key has policies beside it, and a table of what they say.
#[test]
fn the_policies_of_the_production_example_decide_as_their_table_says() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let mut command = Command::new(mcpg());
    command.current_dir(&examples).args(["policy", "test", "production/cases.yaml"]);
    // Its own bundle of Casbin is in a registry, and its OPA elsewhere; neither is there.
    command.args([
        "--config",
        "production.yaml",
        "--engine",
        "policy.casbin",
        "--bundle",
        "production/casbin",
    ]);
    let output = command.env("MCPG_OPA_TOKEN", "x").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("11 cases, 0 failed"), "{text}");
}

#[test]
fn nonsense_is_explained() {
    for arguments in [&["no-such-command"][..], &["run", "--config"], &["keys", "new"], &["audit", "verify"]]
    {
        let output = run_mcpg(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains("error: "), "{arguments:?}: {}", said(&output));
    }
    let none = run_mcpg(&["audit", "verify", "no-such-folder"]);
    assert!(!none.status.success(), "an absent log does not verify");
}

const PLAIN: &str = "server: { listen: \"127.0.0.1:8787\" }
plugins:
  - identity.anonymous
  - { id: policy.cedar, config: { bundle: ./policies } }
audit: { dir: ./audit }
bindings:
  - { id: files, type: mcp, url: \"http://127.0.0.1:3001/mcp\" }
";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
