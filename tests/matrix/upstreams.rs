//! The real servers, each as a binding and as a table of steps with what must come of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use mcpg_tests::{Process, RawHttp, RawUpstream, Step as Play, free_port, packages, until};
use serde_json::{Value, json};

use crate::expect::Expect;

/// One server, reached by a command or at a URL.
pub(crate) struct Upstream {
    pub(crate) id: &'static str,
    pub(crate) reach: Reach,
    pub(crate) steps: Vec<Step>,
}

pub(crate) enum Reach {
    /// The words, variables of its environment, and whether callers share a process.
    Command {
        words: Vec<String>,
        env: Vec<(String, String)>,
        shared: bool,
    },
    Url(String),
}

/// One step of a client and what must come of it. Names and URIs are the server's own.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) json: Value,
    pub(crate) expect: Expect,
}

/// All the servers, with what they stand on.
pub(crate) struct Upstreams {
    pub(crate) all: Vec<Upstream>,
    folder: tempfile::TempDir,
    _http: Process,
    _page: RawUpstream,
}

impl Upstreams {
    /// Installs what is missing and starts the one server that is reached over HTTP.
    pub(crate) fn start() -> Result<Self, packages::Missing> {
        let modules = packages::npm(&scripts())?;
        let node = packages::node(&modules)?.display().to_string();
        let python = packages::python(&scripts())?.display().to_string();
        let folder = tempfile::tempdir().expect("cannot make a folder");
        let server = |name: &str| {
            let path = format!("node_modules/@modelcontextprotocol/server-{name}/dist/index.js");
            modules.join(path).display().to_string()
        };
        let dir = folder.path().display().to_string();
        git(folder.path())?;
        let page = page();

        let port = free_port();
        let mut http = Command::new(&node);
        http.args([&server("everything"), "streamableHttp"]).env("PORT", port.to_string());
        let http = Process::start("server-everything", &mut http, &folder.path().join("everything.log"));
        let address = ([127, 0, 0, 1], port).into();
        until("server-everything should listen", || RawHttp::try_connect(address).map(drop));

        let command = |words: &[&str], shared: bool| Reach::Command {
            words: words.iter().map(ToString::to_string).collect(),
            env: Vec::new(),
            shared,
        };
        let memory = Reach::Command {
            words: vec![node.clone(), server("memory")],
            env: vec![("MEMORY_FILE_PATH".into(), format!("{dir}/memory.jsonl"))],
            shared: true,
        };
        let all = vec![
            Upstream { id: "web", reach: Reach::Url(format!("http://{address}/mcp")), steps: everything() },
            Upstream {
                id: "everything",
                reach: command(&[&node, &server("everything"), "stdio"], false),
                steps: everything(),
            },
            Upstream {
                id: "files",
                reach: command(&[&node, &server("filesystem"), &dir], false),
                steps: files(&dir),
            },
            Upstream { id: "memory", reach: memory, steps: memory_steps() },
            Upstream {
                id: "time",
                reach: command(&[&python, "-m", "mcp_server_time", "--local-timezone", "UTC"], true),
                steps: time(),
            },
            Upstream {
                id: "git",
                reach: command(&[&python, "-m", "mcp_server_git", "--repository", &dir], true),
                steps: git_steps(&dir),
            },
            Upstream {
                id: "fetch",
                reach: command(
                    &[&python, "-m", "mcp_server_fetch", "--ignore-robots-txt", "--allow-private-ips"],
                    true,
                ),
                steps: fetch(&page.url()),
            },
        ];
        Ok(Self { all, folder, _http: http, _page: page })
    }

    /// Takes away what a run has written, so that the next finds the same.
    pub(crate) fn tidy(&self) {
        for written in ["memory.jsonl", "matrix.txt"] {
            // It may not have been written.
            let _ = std::fs::remove_file(self.folder.path().join(written));
        }
    }
}

/// Where the pins and the clients' scripts are.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("matrix/scripts")
}

fn git(folder: &Path) -> Result<(), packages::Missing> {
    packages::program(Command::new("git").args(["init", "--quiet"]).current_dir(folder))?;
    std::fs::write(folder.join("a.txt"), "one\n").expect("cannot write");
    packages::program(Command::new("git").args(["add", "a.txt"]).current_dir(folder))?;
    let commit =
        ["-c", "user.name=matrix", "-c", "user.email=matrix@example.com", "commit", "--quiet", "-m", "First"];
    packages::program(Command::new("git").args(commit).current_dir(folder))
}

fn page() -> RawUpstream {
    let body = "a page of the matrix";
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
    RawUpstream::unaided(move |_| vec![Play::Send(answer.clone().into_bytes())])
}

fn everything() -> Vec<Step> {
    const LONG: &str = "trigger-long-running-operation";
    let text = "demo://resource/dynamic/text/1";
    vec![
        list("tools", Expect::Names(&["echo", "get-sum", LONG])),
        list("prompts", Expect::Names(&["simple-prompt", "args-prompt", "completable-prompt"])),
        list("resources", Expect::Uris(&["demo://resource/static/document/features.md"])),
        list("templates", Expect::Uris(&["demo://resource/dynamic/text/{resourceId}"])),
        call("echo", "echo", json!({ "message": "grüß dich" }), Expect::Text("Echo: grüß dich")),
        call("unknown", "no-such-tool", json!({}), Expect::Error("not found")),
        call("wrong", "get-sum", json!({ "a": "x" }), Expect::Error("expected number")),
        call(
            "links",
            "get-resource-links",
            json!({ "count": 2 }),
            Expect::Uri("demo://resource/dynamic/text/2"),
        ),
        call(
            "embedded",
            "get-resource-reference",
            json!({ "resourceType": "Text", "resourceId": 1 }),
            Expect::Uri(text),
        ),
        with("progress", call("long", LONG, json!({ "duration": 0.4, "steps": 4 }), Expect::Progress(3))),
        with("cancel", call("cancel", LONG, json!({ "duration": 20, "steps": 100 }), Expect::Cancelled)),
        call("after", "echo", json!({ "message": "still there" }), Expect::Text("Echo: still there")),
        prompt("prompt", "simple-prompt", json!({}), Expect::Text("a simple prompt")),
        prompt("filled", "args-prompt", json!({ "city": "Paris" }), Expect::Text("weather in Paris")),
        prompt("no prompt", "no-such-prompt", json!({}), Expect::Error("not found")),
        complete(),
        read("read", text, Expect::Text("Resource 1")),
        read("no resource", "demo://none", Expect::Error("not found")),
        call(
            "sampling",
            "trigger-sampling-request",
            json!({ "prompt": "x" }),
            Expect::Text("sampled by the client"),
        ),
        call("elicitation", "trigger-elicitation-request", json!({}), Expect::Text("Name: matrix")),
        call(
            "elicitation by URL",
            "trigger-url-elicitation",
            json!({ "url": "https://example.com/x" }),
            Expect::Text("completed the URL elicitation"),
        ),
        call("roots", "get-roots-list", json!({}), Expect::Text("file:///matrix")),
    ]
}

fn files(dir: &str) -> Vec<Step> {
    let path = format!("{dir}/matrix.txt");
    vec![
        list("tools", Expect::Names(&["read_text_file", "write_file", "list_directory"])),
        call(
            "write",
            "write_file",
            json!({ "path": path, "content": "grüße" }),
            Expect::Text("Successfully wrote"),
        ),
        call("read", "read_text_file", json!({ "path": path }), Expect::Text("grüße")),
        call("outside", "read_text_file", json!({ "path": "/etc/passwd" }), Expect::Error("Access denied")),
        call("wrong", "read_text_file", json!({}), Expect::Error("expected string")),
        call("unknown", "no-such-tool", json!({}), Expect::Error("not found")),
    ]
}

fn memory_steps() -> Vec<Step> {
    let ada = json!({ "name": "Ada", "entityType": "person", "observations": ["writes programs"] });
    vec![
        list("tools", Expect::Names(&["create_entities", "open_nodes"])),
        list("resources", Expect::Uris(&["memory://knowledge-graph"])),
        // Empty where the other endpoint has made it already: both reach one graph.
        call("create", "create_entities", json!({ "entities": [ada] }), Expect::Text("[")),
        call("open", "open_nodes", json!({ "names": ["Ada"] }), Expect::Text("writes programs")),
        call("wrong", "open_nodes", json!({}), Expect::Error("expected array")),
        read("graph", "memory://knowledge-graph", Expect::Text("writes programs")),
    ]
}

fn time() -> Vec<Step> {
    let noon =
        |zone: &str| json!({ "source_timezone": zone, "time": "12:00", "target_timezone": "Asia/Tokyo" });
    vec![
        list("tools", Expect::Names(&["get_current_time", "convert_time"])),
        call("convert", "convert_time", noon("UTC"), Expect::Text("T21:00:00+09:00")),
        call("wrong", "convert_time", noon("Nowhere/No"), Expect::Error("Invalid timezone")),
        call("unknown", "no-such-tool", json!({}), Expect::Error("Unknown tool")),
    ]
}

fn git_steps(dir: &str) -> Vec<Step> {
    vec![
        list("tools", Expect::Names(&["git_status", "git_log"])),
        call("log", "git_log", json!({ "repo_path": dir }), Expect::Text("Message: First")),
        call("outside", "git_status", json!({ "repo_path": "/etc" }), Expect::Error("outside the allowed")),
        call("unknown", "no-such-tool", json!({}), Expect::Error("Unknown tool")),
    ]
}

fn fetch(url: &str) -> Vec<Step> {
    vec![
        list("tools", Expect::Names(&["fetch"])),
        list("prompts", Expect::Names(&["fetch"])),
        call("fetch", "fetch", json!({ "url": url }), Expect::Text("a page of the matrix")),
        call("wrong", "fetch", json!({ "url": "no url" }), Expect::Error("valid URL")),
        prompt("prompt", "fetch", json!({ "url": url }), Expect::Text("a page of the matrix")),
    ]
}

fn list(what: &'static str, expect: Expect) -> Step {
    Step { name: what, json: json!({ "op": what }), expect }
}

fn call(step: &'static str, tool: &str, arguments: Value, expect: Expect) -> Step {
    Step { name: step, json: json!({ "op": "call", "name": tool, "arguments": arguments }), expect }
}

fn prompt(step: &'static str, name: &str, arguments: Value, expect: Expect) -> Step {
    Step { name: step, json: json!({ "op": "prompt", "name": name, "arguments": arguments }), expect }
}

fn read(step: &'static str, uri: &str, expect: Expect) -> Step {
    Step { name: step, json: json!({ "op": "read", "uri": uri }), expect }
}

fn complete() -> Step {
    let argument = json!({ "name": "department", "value": "E" });
    let json = json!({ "op": "complete", "name": "completable-prompt", "argument": argument });
    Step { name: "complete", json, expect: Expect::Text("Engineering") }
}

/// The step with one more field set.
fn with(field: &str, mut step: Step) -> Step {
    step.json[field] = json!(true);
    step
}
