//! Pinned definitions: a tool that is not approved cannot be called, and an approval needs no restart.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, Setup, run_mcpg, scenes, until};
use serde_json::json;

use crate::expect::{Refused, refused};

const WITHHELD: Refused = refused(403, 40301, "tool_withheld");
const HEADER: &str = r#"{"mcpg_tools":"approved","version":1}"#;

/// A lock file that approves tools of the binding `files`, by digests only.
fn approved(tools: &[&str]) -> String {
    let record = |tool: &&str| {
        let digest = format!("blake3:{}", "0".repeat(64));
        let since = "2026-07-28T12:00:00Z";
        let record =
            json!({ "binding": "files", "tool": tool, "digest": digest, "since": since, "by": "operator" });
        format!("{record}\n")
    };
    format!("{HEADER}\n{}", tools.iter().map(record).collect::<String>())
}

/// A gateway that withholds every tool that is not approved.
fn closed(upstream: &RawUpstream) -> Setup {
    scenes::open_with(
        &upstream.url(),
        "",
        "    protocol: 2026-07-28\n    pinning: { on_new: hold, on_change: hold }\n",
    )
}

fn call(gateway: &Gateway, path: &str, tool: &str) -> mcpg_tests::Response {
    Request::modern_call(path, tool, json!({})).send(gateway.address())
}

#[test]
fn a_tool_that_is_not_approved_cannot_be_called_until_it_is() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = closed(&upstream).file("state/tools.lock", &approved(&["echo"])).start();
    for path in ["/mcp", "/bindings/files/mcp"] {
        assert_eq!(call(&gateway, path, "echo").status, 200);
        WITHHELD.check_id("a tool that awaits approval", &call(&gateway, path, "add"), json!(1));
    }
    assert_eq!(upstream.requests().len(), 2);
    let rows = gateway.ledger().rows();
    let denied = rows.iter().filter(|row| row.to_string().contains("tool_withheld")).count();
    assert_eq!(denied, 2, "{rows:?}");

    gateway.replace("state/tools.lock", &approved(&["add", "echo"]));
    until("the approval should be noticed", || (call(&gateway, "/mcp", "add").status == 200).then_some(()));
}

#[test]
fn a_damaged_lock_file_changes_nothing_and_is_not_written_over() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = closed(&upstream).file("state/tools.lock", &approved(&["echo"])).start();
    let damaged = approved(&["add", "echo"]).trim_end().trim_end_matches('}').to_owned();
    let path = gateway.replace("state/tools.lock", &damaged);
    until("the damage should be reported", || {
        (gateway.metrics().sum("mcpg_tools_lock_failures_total", &[]) > 0.0).then_some(())
    });
    assert_eq!(call(&gateway, "/mcp", "echo").status, 200);
    WITHHELD.check("a tool of a damaged file", &call(&gateway, "/mcp", "add"));
    assert_eq!(std::fs::read_to_string(path).unwrap(), damaged);
}

#[test]
fn a_gateway_does_not_start_with_a_damaged_lock_file() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let log = closed(&upstream).file("state/tools.lock", "{}\n").start_refused();
    assert!(log.contains("state/tools.lock`, line 1: expected"), "{log}");
}

#[test]
fn the_commands_find_the_files_by_the_configuration() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let setup = closed(&upstream).file("state/tools.lock", &approved(&["echo"]));
    let config = setup.dir().join("mcpg.yaml");
    let run = |words: &[&str]| {
        let arguments =
            words.iter().map(|word| word.as_ref()).chain(["--config".as_ref(), config.as_os_str()]);
        let output = run_mcpg(&arguments.collect::<Vec<&std::ffi::OsStr>>());
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, text) = run(&["tools", "list"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("approved") && text.trim_end().ends_with("000000000000  files.echo"), "{text}");
    assert_eq!(run(&["tools", "diff"]), (Some(0), String::new()));
    assert_eq!(run(&["tools", "approve", "--all"]), (Some(0), String::new()));
    let (code, text) = run(&["tools", "approve", "files.add"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no tool `files.add` is known"), "{text}");
    assert_eq!(run(&["tools", "approve"]).0, Some(2));
}
