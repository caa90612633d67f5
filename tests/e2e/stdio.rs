//! Servers that the gateway starts itself: who shares a process, what is in its environment, and what happens when it ends.

use std::path::Path;
use std::time::Instant;

use mcpg_tests::mcp::Session;
use mcpg_tests::{Setup, Signal, fixture_binary, process_exists, scenes, signal, until};
use serde_json::{Value, json};

use mcpg_tests::client::{Client, capabilities};

#[test]
fn a_process_serves_clients_of_either_era() {
    for era in ["", "--only legacy", "--only modern"] {
        for sessions in ["shared", "per_session"] {
            let gateway = bench(era, &format!("    sessions: {sessions}\n")).start();
            for (client_era, client) in Client::both(gateway.address(), "/mcp") {
                let case = format!("{client_era} client, {era} {sessions} process");
                assert!(client.names("tools/list").contains(&"echo".to_owned()), "{case}");
                let result = client.call("echo", json!({ "text": "grüß dich\nzwei Zeilen" }));
                assert_eq!(result["content"][0]["text"], "grüß dich\nzwei Zeilen", "{case}");
                let read = client.ask("resources/read", json!({ "uri": "test://static-text" }));
                assert_eq!(read["result"]["contents"][0]["uri"], "test://static-text", "{case}: {read}");
            }
        }
    }
}

#[test]
fn its_environment_is_what_was_configured() {
    let lines =
        "    env: { SET: \"by the configuration\", SECRET: $secret://env/INNER }\n    inherit_env: [NAMED]\n";
    let gateway = bench_script("", lines, "env > \"$PWD/seen.env\"")
        .env("CANARY", "canary-of-the-gateway")
        .env("NAMED", "inherited by name")
        .env("INNER", "a secret for the process")
        .start();
    Client::modern(gateway.address(), "/mcp").call("echo", json!({ "text": "x" }));
    let seen = std::fs::read_to_string(gateway.dir().join("seen.env")).expect("the process ran");
    for wanted in ["SET=by the configuration", "NAMED=inherited by name", "SECRET=a secret for the process"] {
        assert!(seen.lines().any(|line| line == wanted), "{wanted}: {seen}");
    }
    // What the gateway passes on of its own (docs/FEDERATION.md), and what the shell that writes the file adds itself.
    let own = ["SET", "NAMED", "SECRET", "HOME", "PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"];
    for line in seen.lines() {
        let name = line.split('=').next().unwrap_or_default();
        assert!(own.contains(&name), "`{name}` leaked: {seen}");
    }
    assert!(!seen.contains("canary"), "{seen}");
}

#[test]
fn what_it_writes_to_standard_error_is_in_the_log() {
    let mut gateway = bench_script("", "", "echo 'a word of the process' >&2").start();
    Client::modern(gateway.address(), "/mcp").call("echo", json!({ "text": "x" }));
    until("the log should have it", || {
        gateway.process().log().contains("a word of the process").then_some(())
    });
}

#[test]
fn a_process_that_was_killed_is_started_again() {
    for sessions in ["shared", "per_session"] {
        let lines =
            format!("    sessions: {sessions}\n    restart: {{ backoff_ms: 50, backoff_max_ms: 200 }}\n");
        let gateway = bench_script("", &lines, NOTE_PID).start();
        let client = Client::modern(gateway.address(), "/mcp");
        client.call("echo", json!({ "text": "x" }));
        let first = *pids(gateway.dir()).last().expect("a process");
        signal(first, Signal::Kill);
        until("a process should serve again", || {
            let answer = client.ask("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
            (answer["result"]["content"][0]["text"] == "x").then_some(())
        });
        assert!(pids(gateway.dir()).len() > 1, "{sessions}: another process");
        assert!(!process_exists(first), "{sessions}: the killed one is reaped");
    }
}

#[test]
fn a_call_whose_process_dies_ends_with_an_error() {
    let gateway = bench_script("", "    sessions: shared\n", NOTE_PID).start();
    let client = Client::modern(gateway.address(), "/mcp");
    let params = json!({ "name": "slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
    let mut stream = client.begin("tools/call", params);
    assert_eq!(stream.head().status, 200);
    stream.until(Some("notifications/progress"));
    signal(*pids(gateway.dir()).last().expect("a process"), Signal::Kill);
    let end = stream.until(None);
    assert!(end["error"].is_object(), "{end}");
    assert_eq!(end["id"], 1, "{end}");
}

#[test]
fn a_process_that_cannot_stay_up_is_not_started_without_pause() {
    let lines = "    sessions: shared\n    restart: { backoff_ms: 400, backoff_max_ms: 400 }\n";
    let config =
        format!("    command: [sh, -c, \"echo x >> starts; exit 1\"]\n    inherit_env: [PATH]\n{lines}");
    let gateway = scenes::open_federation(&[("up", &config)], "").start();
    let begun = Instant::now();
    let client = Client::modern(gateway.address(), "/mcp");
    for _ in 0..20 {
        let answer = client.send("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        assert!(answer.status >= 500 || answer.json()["error"].is_object(), "{}", answer.text());
        crate::expect::says_nothing_inside("a process that fails", &answer.text());
    }
    let starts = std::fs::read_to_string(gateway.dir().join("starts")).unwrap_or_default().lines().count();
    let most = 2 + usize::try_from(begun.elapsed().as_millis() / 400).expect("it is small");
    assert!(starts <= most, "{starts} starts in {:?}", begun.elapsed());
    assert!(gateway.is_ready(), "the gateway is none the worse");
}

#[test]
fn a_program_that_is_not_there_is_found_out_before_anything_is_served() {
    let config = "    command: [no-such-program-anywhere]\n";
    let said = scenes::open_federation(&[("up", config)], "").start_refused();
    assert!(said.contains("`no-such-program-anywhere` is in no folder of PATH"), "{said}");
}

#[test]
fn sessions_share_a_process_only_where_configured() {
    for (sessions, more) in [("shared", 1), ("per_session", 3)] {
        let gateway = bench_script("--only legacy", &format!("    sessions: {sessions}\n"), NOTE_PID).start();
        let open = || Session::open_with(gateway.address(), "/mcp", None, capabilities());
        let all: Vec<Session> = (0..3).map(|_| open()).collect();
        for session in &all {
            session.call("echo", json!({ "text": "x" }));
        }
        // One more may have been started to see what the server offers.
        let started = pids(gateway.dir()).len();
        assert!((more..=more + 1).contains(&started), "{sessions}: {started} processes");
        let mut ends = pids(gateway.dir());
        for session in &all {
            assert!(session.end().status < 300);
        }
        if sessions == "per_session" {
            until("the processes of ended sessions should end", || {
                ends.retain(|pid| process_exists(*pid));
                (ends.len() <= 1).then_some(())
            });
        }
    }
}

#[test]
fn callers_that_share_a_process_get_their_own_answers() {
    let config = format!("{}    sessions: shared\n", command("", "true"));
    let permit = "permit (principal, action, resource);\n";
    let gateway = scenes::governed_federation(&[("up", &config)], "", permit).start();
    crate::crossing::callers_with_equal_ids(&gateway);
}

#[test]
fn a_cancelled_call_is_cancelled_in_the_process() {
    let mut gateway = bench("--only legacy", "    sessions: shared\n").start();
    let client = Client::modern(gateway.address(), "/mcp");
    let params = json!({ "name": "slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
    let mut stream = client.begin("tools/call", params);
    assert_eq!(stream.head().status, 200);
    stream.until(Some("notifications/progress"));
    drop(stream);
    // The fixture notes it on standard error, which goes to the log.
    until("the process should be told", || gateway.process().log().contains("cancelled").then_some(()));
    assert_eq!(client.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
}

#[test]
fn processes_end_with_the_gateway() {
    for how in [Signal::Terminate, Signal::Kill] {
        let mut gateway = bench_script("", "    sessions: shared\n    shutdown_ms: 500\n", NOTE_PID).start();
        Client::modern(gateway.address(), "/mcp").call("echo", json!({ "text": "x" }));
        let mut running = pids(gateway.dir());
        gateway.process().signal(how);
        gateway.process().wait();
        until("its processes should end", || {
            running.retain(|pid| process_exists(*pid));
            running.is_empty().then_some(())
        });
    }
}

#[test]
fn garbage_on_its_output_harms_one_call_at_most() {
    // An answer to nobody, no JSON, two messages on a line, an endless line: then the right answer.
    let answer = r#"{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n"#;
    let script = format!(
        r#"#!/bin/sh
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"x","version":"1"}}}}}}\n' "$id" ;;
    *'"tools/call"'*)
      printf '{answer}' '"nobody"' wrong
      printf '{answer}' 987654321 wrong
      printf 'no JSON at all\n\n'
      printf '[]\n{{}}\nnull\n'
      printf '{answer}' "$id" right ;;
    *'"tools/list"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"tools":[]}}}}\n' "$id" ;;
  esac
done
"#
    );
    let config = "    command: [sh, ./hostile.sh]\n    inherit_env: [PATH]\n    protocol: 2025-11-25\n    sessions: shared\n";
    let gateway = scenes::open_federation(&[("up", config)], "").file("hostile.sh", &script).start();
    for (era, client) in Client::both(gateway.address(), "/mcp") {
        for _ in 0..3 {
            let result = client.call("any", json!({}));
            assert_eq!(result["content"][0]["text"], "right", "{era}");
        }
    }
    assert!(gateway.is_ready());
}

/// Writes the number of the process that the fixture will be.
pub(crate) const NOTE_PID: &str = "echo $$ >> \"$PWD/pids\"";

pub(crate) fn bench(arguments: &str, lines: &str) -> Setup {
    bench_script(arguments, lines, "true")
}

/// The fixture as a process, once a line of shell has run.
pub(crate) fn bench_script(arguments: &str, lines: &str, before: &str) -> Setup {
    scenes::open_federation(&[("up", &format!("{}{lines}", command(arguments, before)))], "")
}

fn command(arguments: &str, before: &str) -> String {
    let script = format!("{before}; exec {} --stdio {arguments}", fixture_binary().display());
    format!("    command: {}\n", json!(["/bin/sh", "-c", script]))
}

pub(crate) fn pids(dir: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(dir.join("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[test]
fn a_process_may_ask_the_client() {
    for sessions in ["shared", "per_session"] {
        let gateway = bench("--only legacy", &format!("    sessions: {sessions}\n")).start();
        let client = Client::modern(gateway.address(), "/mcp");
        let params = json!({ "name": "test_elicitation", "arguments": { "message": "Who?" } });
        let asked: Value = client.ask("tools/call", params);
        let required = asked["result"]["resultType"] == "input_required";
        // A process that all share cannot ask one of them, and is told so.
        let refused = asked["result"]["isError"] == true;
        assert_eq!((refused, required), (sessions == "shared", sessions != "shared"), "{sessions}: {asked}");
    }
}
