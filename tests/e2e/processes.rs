//! Bindings whose servers are processes, and the gateway's life: they follow it, and only it.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, Setup, Signal, process_exists, scenes, until};
use serde_json::{Value, json};

/// A server of 2026-07-28. What it answers to a call is made by the shell, as `$text`.
fn server(text: &str) -> String {
    format!(
        r#"while IFS= read -r line; do
  id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
  case $line in
    *'"server/discover"'*) result='{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}}}}' ;;
    *) text="{text}"; result='{{"resultType":"complete","content":[{{"type":"text","text":"'"$text"'"}}]}}' ;;
  esac
  printf '%s\n' '{{"jsonrpc":"2.0","id":'"$id"',"result":'"$result"'}}'
done
"#
    )
}

/// One binding that runs `server.sh`, with more lines.
fn setup(text: &str, more: &str) -> Setup {
    let lines = format!("    command: [sh, server.sh]\n    sessions: shared\n{more}");
    scenes::open_federation(&[("one", &lines)], "").file("server.sh", &server(text))
}

fn call(gateway: &Gateway) -> String {
    let answer = Request::modern_call("/bindings/one/mcp", "t", json!({})).send(gateway.address());
    let answer: Value = answer.json();
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn pid(gateway: &Gateway) -> u32 {
    call(gateway).parse().unwrap()
}

fn gone(pid: u32) {
    until("the process should end", || (!process_exists(pid)).then_some(()));
}

#[test]
fn a_reload_leaves_alone_what_it_does_not_change() {
    let gateway = setup("$$", "").start();
    let first = pid(&gateway);
    let config = std::fs::read_to_string(gateway.dir().join("mcpg.yaml")).unwrap();
    let reloaded = |number: f64| {
        until("the new revision should be in force", || {
            (gateway.metrics().sum("mcpg_revision_number", &[]) >= number).then_some(())
        });
    };
    gateway.replace("mcpg.yaml", &format!("{config}  - {{ id: two, type: mcp, command: [cat] }}\n"));
    reloaded(2.0);
    assert_eq!(pid(&gateway), first);
    gateway.replace("mcpg.yaml", &format!("{config}    env: {{ A: b }}\n"));
    reloaded(3.0);
    assert_ne!(pid(&gateway), first);
    gone(first);
}

#[test]
fn processes_end_with_the_gateway() {
    for how in [Signal::Terminate, Signal::Kill] {
        let mut gateway = setup("$$", "").start();
        let pid = pid(&gateway);
        gateway.process().signal(how);
        gateway.process().wait();
        gone(pid);
    }
}

#[test]
fn nothing_of_the_gateway_reaches_its_processes() {
    let text = r#"$(env | sort | tr '\n' ' ') $(readlink /proc/$$/fd/* | grep -c socket:)"#;
    let more = "    env: { GIVEN: \"pre-$secret://env/GIVEN_SECRET\" }\n    inherit_env: [LET_IN]\n";
    let gateway = setup(text, more)
        .env("CANARY", "canary-4711")
        .env("GIVEN_SECRET", "s3cret")
        .env("LET_IN", "yes")
        .env("NOTIFY_SOCKET", "@nowhere")
        .start();
    let text = call(&gateway);
    assert!(text.contains("GIVEN=pre-s3cret") && text.contains("LET_IN=yes"), "{text}");
    assert!(!text.contains("CANARY") && !text.contains("GIVEN_SECRET") && !text.contains("NOTIFY"), "{text}");
    assert!(text.ends_with(" 0"), "{text}");
}

#[test]
fn what_it_says_aside_is_for_the_log_only() {
    let mut gateway = setup(r"$(printf 'aside-%s \033[31m\n' 815 >&2; printf ok)", "").start();
    assert_eq!(call(&gateway), "ok");
    let log = until("it should be logged", || {
        Some(gateway.process().log()).filter(|log| log.contains("aside-815"))
    });
    assert!(log.contains(r"\u{1b}[31m") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_program_that_is_not_there_is_found_at_the_start() {
    for (command, expected) in [
        ("[no-such-program-815]", "`no-such-program-815` is in no folder of PATH"),
        ("[./server.sh]", "cannot be executed by the gateway's user"),
        ("[./absent]", "absent` is no file"),
    ] {
        let binding = format!("    command: {command}\n");
        let setup = scenes::open_federation(&[("one", &binding)], "").file("server.sh", "");
        let refusal = setup.start_refused();
        assert!(refusal.contains("binding `one`") && refusal.contains(expected), "{command}: {refusal}");
    }
}
