//! Real clients in front of real servers, through one gateway: npm `@modelcontextprotocol/sdk` 1.x and
//! `@modelcontextprotocol/client` 2.x and PyPI `mcp`, in the revisions that each speaks, in front of
//! `server-everything` (HTTP and stdio), `-filesystem`, `-memory`, `mcp-server-time`, `-git` and `-fetch`.
//!
//! One table (`upstreams.rs`) says what every client must see of every server: alone at `/bindings/{id}/mcp`, and
//! among all the others, with its names prefixed, at `/mcp`. The same table holds without any gateway.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test, and its JSON is passed as it is written"
)]

mod expect;
mod upstreams;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use mcpg_tests::{Gateway, Setup, packages};
use serde_json::{Value, json};

use crate::expect::Naming;
use crate::upstreams::{Reach, Upstream, Upstreams, scripts};

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// A client and the revision that it is to speak.
const CLIENTS: &[(&str, &str)] = &[
    ("sdk-1.mjs", LEGACY),
    ("client-2.mjs", LEGACY),
    ("client-2.mjs", MODERN),
    ("client.py", LEGACY),
    ("client.py", MODERN),
];

#[test]
fn the_table_holds_without_a_gateway() {
    let Some(upstreams) = start("the table") else { return };
    let endpoints = upstreams.all.iter().map(|upstream| {
        let reach = match &upstream.reach {
            Reach::Url(url) => json!({ "url": url }),
            Reach::Command { words, .. } => json!({ "command": words }),
        };
        Endpoint::of(upstream.id.to_owned(), reach, &[(upstream, Naming::Bare)])
    });
    let failures = check("client-2.mjs", LEGACY, &endpoints.collect::<Vec<_>>());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_client_sees_every_server() {
    let Some(upstreams) = start("the matrix") else { return };
    let gateway = gateway(&upstreams.all);
    let mut endpoints = vec![Endpoint::of(
        "/mcp".to_owned(),
        json!({ "url": gateway.url("/mcp") }),
        &upstreams.all.iter().map(|upstream| (upstream, Naming::Prefixed(upstream.id))).collect::<Vec<_>>(),
    )];
    endpoints.extend(upstreams.all.iter().map(|upstream| {
        let path = format!("/bindings/{}/mcp", upstream.id);
        let reach = json!({ "url": gateway.url(&path) });
        Endpoint::of(path, reach, &[(upstream, Naming::Bare)])
    }));
    let mut failures = Vec::new();
    for (client, revision) in CLIENTS {
        upstreams.tidy();
        failures.extend(check(client, revision, &endpoints));
    }
    assert!(failures.is_empty(), "{} cells fail\n{}", failures.len(), failures.join("\n"));
}

/// Where a client goes, and what it does there.
struct Endpoint<'a> {
    id: String,
    reach: Value,
    cells: Vec<(&'a Upstream, Naming<'a>)>,
}

impl<'a> Endpoint<'a> {
    fn of(id: String, reach: Value, cells: &[(&'a Upstream, Naming<'a>)]) -> Self {
        Self { id, reach, cells: cells.to_vec() }
    }

    fn plan(&self) -> Value {
        let mut plan = self.reach.clone();
        plan["id"] = json!(self.id);
        let steps = self.cells.iter().flat_map(|(upstream, naming)| {
            upstream.steps.iter().map(move |step| {
                let mut json = step.json.clone();
                json["as"] = json!(format!("{} {}", upstream.id, step.name));
                if let Some(name) = json["name"].as_str() {
                    json["name"] = json!(naming.name(name));
                }
                if let Some(uri) = json["uri"].as_str() {
                    json["uri"] = json!(naming.uri(uri));
                }
                json
            })
        });
        plan["steps"] = steps.collect();
        plan
    }

    fn judge(&self, case: &str, revision: &str, said: &Value, failures: &mut Vec<String>) {
        let said = &said[&self.id];
        if said["revision"] != revision || !said["failed"].is_null() {
            failures.push(format!("{case} {}: {} {}", self.id, said["revision"], said["failed"]));
        }
        for (upstream, naming) in &self.cells {
            for step in &upstream.steps {
                let said = &said[format!("{} {}", upstream.id, step.name)];
                if let Err(wrong) = step.expect.check(said, *naming) {
                    failures.push(format!("{case} {} {} {}: {wrong}", self.id, upstream.id, step.name));
                }
            }
        }
    }
}

/// Lets a client follow the plan, and returns what is not as the table says.
fn check(client: &str, revision: &str, endpoints: &[Endpoint<'_>]) -> Vec<String> {
    let begun = std::time::Instant::now();
    let plans: Vec<Value> = endpoints.iter().map(Endpoint::plan).collect();
    let said = run(client, &json!({ "revision": revision, "endpoints": plans }));
    let mut failures = Vec::new();
    for endpoint in endpoints {
        endpoint.judge(&format!("{client} {revision}"), revision, &said, &mut failures);
    }
    let cells: usize = endpoints.iter().flat_map(|each| &each.cells).map(|(each, _)| each.steps.len()).sum();
    eprintln!("{client} {revision}: {cells} cells, {} fail, {:?}", failures.len(), begun.elapsed());
    failures
}

fn run(client: &str, plan: &Value) -> Value {
    let modules = packages::npm(&scripts()).expect("the packages are installed");
    let mut command = match client.strip_suffix(".py") {
        Some(_) => {
            let mut command = Command::new(packages::python(&scripts()).expect("the packages are installed"));
            command.arg(scripts().join(client));
            command
        }
        None => {
            let mut command = Command::new(packages::node(&modules).expect("the packages are installed"));
            command.arg(modules.join(client));
            command
        }
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot run");
    let mut input = child.stdin.take().expect("the input is piped");
    input.write_all(plan.to_string().as_bytes()).expect("the client should read its plan");
    drop(input);
    let output = child.wait_with_output().expect("cannot wait for the client");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = text.lines().last().unwrap_or_else(|| panic!("{client} said nothing: {errors}"));
    serde_json::from_str(report).unwrap_or_else(|error| panic!("{error} in `{report}`: {errors}"))
}

fn start(test: &str) -> Option<Upstreams> {
    match Upstreams::start() {
        Ok(upstreams) => Some(upstreams),
        Err(missing) => {
            packages::skip(test, &missing);
            None
        }
    }
}

/// One gateway with every server behind it. Starting a dozen interpreters on a busy machine takes its time.
fn gateway(upstreams: &[Upstream]) -> Gateway {
    let mut config = "server:
  listen: [\"{listen}\"]
  admin: \"{admin}\"
plugins:
  - identity.anonymous
  - { id: policy.cedar, config: { bundle: ./policies } }
federation:
  initialize_timeout_ms: 60000
  catalogue: { fetch_timeout_ms: 60000 }
bindings:
"
    .to_owned();
    for upstream in upstreams {
        write!(config, "  - id: {}\n    type: mcp\n", upstream.id).unwrap();
        match &upstream.reach {
            Reach::Url(url) => writeln!(config, "    url: {url}").unwrap(),
            Reach::Command { words, env, shared } => {
                let sessions = if *shared { "shared" } else { "per_session" };
                let env: serde_json::Map<_, _> =
                    env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                writeln!(config, "    command: {}", json!(words)).unwrap();
                writeln!(config, "    inherit_env: [PATH, HOME]\n    sessions: {sessions}").unwrap();
                writeln!(config, "    env: {}", json!(env)).unwrap();
            }
        }
    }
    Setup::new(&config).file("policies/open.cedar", "permit (principal, action, resource);\n").start()
}
