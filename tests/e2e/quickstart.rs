//! From nothing to a governed fleet by the operator's command line alone: a quickstart, a tenant, two gateways, manifests that
//! are applied, changed and rolled back.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use mcpg_tests::mcp::Request;
use mcpg_tests::{ControlPlane, Fixture, Gateway, Process, Setup, Signal, mcpg_ctl, process_exists, until};
use serde_json::Value;
use tempfile::TempDir;

const ENVIRONMENT: &str = "acme-corp/platform-team/prod";
const GATEWAY: &str = "server: { listen: \"{listen}\", admin: \"{admin}\" }\n\
                       control_plane:\n\
                       \x20 url: CONTROL_PLANE\n\
                       \x20 enroll_token: $secret://env/ENROLL_TOKEN\n\
                       \x20 name: NAME\n\
                       \x20 heartbeat_ms: 1000\n\
                       \x20 networks: 127.0.0.0/8\n";
/// The plugin set of the multi-tenant article, with an identity that needs no issuer, a policy of the workspace, and room for calls without a pause.
const PLUGIN_SET: &str = "\
apiVersion: mcpg.dev/v1
kind: MCPGPluginSet
metadata:
  name: platform-team-prod
  namespace: mcpg-acme
spec:
  workspace: acme-corp/platform-team
  plugins:
    - id: identity.anonymous
    - id: policy.cedar
      config:
        bundle: ./policies/main
    - id: reliability.rate-limit
      config:
        per_caller: { requests: 100000, per: 1s, burst: 100000 }
    - id: observability.audit
";
const POLICY: &str = "\
apiVersion: mcpg.dev/v1
kind: MCPGPolicy
metadata: { name: main }
spec: { workspace: acme-corp/platform-team, engine: cedar, folder: cedar }
";
const CONFIG: &str = "\
apiVersion: mcpg.dev/v1
kind: MCPGGatewayConfig
metadata: { name: prod }
spec:
  environment: acme-corp/platform-team/prod
  plugin_set: platform-team-prod
  policies: [main]
  bindings: [{ id: demo, type: mcp, url: \"UPSTREAM\" }]
";
const PERMIT: &str = "// Everybody.\npermit (principal, action, resource);\n";
const NO_ECHO: &str =
    "// Everybody.\npermit (principal, action, resource) unless { action == Action::\"demo.echo\" };\n";

/// The operator: their folder, and the control plane that they have a token for.
struct Operator {
    folder: TempDir,
    server: String,
    token: PathBuf,
}

/// What a command has written, and how it ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("cannot run mcpg-ctl");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Checks how it ended, and returns what it printed.
    fn ended(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.out
    }
}

impl Operator {
    fn of(server: String, token: PathBuf) -> Self {
        let operator = Self { folder: tempfile::tempdir().unwrap(), server, token };
        operator.write("manifests/set.yaml", PLUGIN_SET);
        operator.write("manifests/policy.yaml", POLICY);
        operator.write("manifests/cedar/all.cedar", PERMIT);
        operator
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs a command line, written as in the article: words, the last argument perhaps with spaces.
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = ctl();
        command.current_dir(self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command.args(["--server", &self.server, "--token-file"]).arg(&self.token).args(arguments);
        Ran::of(&mut command)
    }

    fn gateway(&self, name: &str) -> Gateway {
        let token = self.run(&["gateway", "enroll-token", ENVIRONMENT]).ended(0);
        let config = GATEWAY.replace("CONTROL_PLANE", &self.server).replace("NAME", name);
        Setup::new(&config).env("ENROLL_TOKEN", token.trim_end()).start()
    }
}

fn ctl() -> Command {
    let mut command = Command::new(mcpg_ctl());
    // What a developer's shell says of their own control plane is not for the test.
    for inherited in ["MCPG_CP_URL", "MCPG_CP_TOKEN", "MCPG_CP_TOKEN_FILE", "MCPG_CP_CONTEXT", "MCPG_CP_DB"] {
        command.env_remove(inherited);
    }
    command
}

fn echo(gateway: &Gateway) -> u16 {
    let arguments = serde_json::json!({ "text": "hi" });
    Request::modern_call("/mcp", "echo", arguments).send(gateway.address()).status
}

/// Does something while every gateway is called all the time: each call is answered as one policy or the other says.
fn under_load(gateways: &[Gateway], change: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let called: Vec<_> = gateways
            .iter()
            .map(|gateway| {
                let is_over = &is_over;
                threads.spawn(move || {
                    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
                    while !is_over.load(Ordering::Relaxed) {
                        *statuses.entry(echo(gateway)).or_default() += 1;
                    }
                    statuses
                })
            })
            .collect();
        // The calls end also where the change fails.
        let changed = std::panic::catch_unwind(AssertUnwindSafe(change));
        is_over.store(true, Ordering::Relaxed);
        for thread in called {
            let statuses = thread.join().expect("every call should be answered");
            assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200, 403], "{statuses:?}");
        }
        if let Err(panic) = changed {
            std::panic::resume_unwind(panic);
        }
    });
}

fn a_tenant_is_kept_in_files(operator: &Operator) {
    let fixture = Fixture::start();
    operator.write("manifests/config.yaml", &CONFIG.replace("UPSTREAM", &fixture.url()));
    operator.run(&["org", "create", "acme-corp", "--display-name", "Acme, Inc."]).ended(0);
    // Not yet there: said with its place, and nothing is changed.
    let early = operator.run(&["apply", "-f", "manifests"]);
    assert!(early.err.contains("`acme-corp/platform-team` is not there"), "{}", early.err);
    assert_ne!(early.code, 0);
    operator.run(&["workspace", "create", "acme-corp/platform-team"]).ended(0);
    operator.run(&["env", "create", ENVIRONMENT]).ended(0);

    let tried = operator.run(&["apply", "-f", "manifests", "--dry-run"]).ended(0);
    assert!(tried.contains("pluginset.mcpg.dev/platform-team-prod created (server dry run)"), "{tried}");
    operator.run(&["diff", "-f", "manifests"]).ended(7);
    operator.run(&["apply", "-f", "manifests", "--publish"]).ended(0);
    let gateways = [operator.gateway("gw-prod-1"), operator.gateway("gw-prod-2")];
    let again = operator.run(&["apply", "-f", "manifests", "--publish", "--wait"]).ended(0);
    let lines = "policy.mcpg.dev/main unchanged\npluginset.mcpg.dev/platform-team-prod unchanged\n\
                 gatewayconfig.mcpg.dev/prod unchanged\nrevision.mcpg.dev/acme-corp/platform-team/prod/1 unchanged\n";
    assert_eq!(again, lines);
    assert_eq!(operator.run(&["diff", "-f", "manifests"]).ended(0), "");
    gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 200));

    // A change of a file comes to both, and an older revision brings back what was.
    operator.write("manifests/cedar/all.cedar", NO_ECHO);
    let changed = operator.run(&["diff", "-f", "manifests/policy.yaml"]).ended(7);
    assert!(changed.contains("-      permit (principal, action, resource);\n"), "{changed}");
    under_load(&gateways, || {
        let changed = operator.run(&["apply", "-f", "manifests/policy.yaml", "--publish", "--wait"]).ended(0);
        assert!(changed.starts_with("policy.mcpg.dev/main configured\nrevision.mcpg.dev/"), "{changed}");
        gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 403));
        operator.run(&["revision", "rollback", ENVIRONMENT, "1", "--wait"]).ended(0);
        gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 200));
    });

    // What was done is in the organization's chain, which holds outside of the control plane, and only as it is.
    operator.run(&["audit", "export", "acme-corp", "--file", "acme.chain"]).ended(0);
    let key = operator.token.with_file_name("audit-signing.pub").display().to_string();
    let verify =
        |file: &str| operator.run(&["audit", "verify", file, "--key", &key, "--organization", "acme-corp"]);
    verify("acme.chain").ended(0);
    let path = operator.folder.path().join("acme.chain");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(operator.folder.path().join("changed.chain"), bytes).unwrap();
    assert_ne!(verify("changed.chain").code, 0);

    // What is there is kept in a file as it is.
    let kept = operator.run(&["get", "pluginset", "acme-corp/platform-team/platform-team-prod"]).ended(0);
    operator.write("kept.yaml", &kept);
    let unchanged = operator.run(&["apply", "-f", "kept.yaml"]).ended(0);
    assert_eq!(unchanged, "pluginset.mcpg.dev/platform-team-prod unchanged\n");

    // What gateways would refuse is not published, and says where and what instead.
    let oidc = PLUGIN_SET.replace("identity.anonymous", "identity.oidc");
    operator.write("manifests/set.yaml", &oidc);
    let refused = operator.run(&["apply", "-f", "manifests/set.yaml", "--publish"]);
    assert!(refused.err.contains("`plugins[0].config`: `identity.oidc`"), "{}", refused.err);
    assert!(
        refused.err.contains("write it like `{ id: identity.oidc, config: { issuers:"),
        "{}",
        refused.err
    );
    assert_eq!(refused.code, 1);
    gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 200));

    // A mistake has its line, and nothing of the others is changed.
    operator.write("manifests/set.yaml", &PLUGIN_SET.replace("  plugins:", "  plugin:"));
    operator.write("manifests/cedar/all.cedar", PERMIT);
    let mistaken = operator.run(&["apply", "-f", "manifests"]);
    assert!(
        mistaken.err.contains("manifests/set.yaml:8:3: unknown key `plugin` in `spec`"),
        "{}",
        mistaken.err
    );
    assert_eq!(mistaken.code, 2);
    operator.run(&["diff", "-f", "manifests/policy.yaml"]).ended(7);

    let gone = operator.run(&["delete", "-f", "manifests/policy.yaml"]).ended(0);
    assert_eq!(gone, "policy.mcpg.dev/main deleted\n");
    let gone = operator.run(&["delete", "-f", "manifests/policy.yaml"]).ended(0);
    assert_eq!(gone, "policy.mcpg.dev/main not found\n");
}

#[test]
fn a_tenant_is_kept_in_files_with_sqlite() {
    let cp = ControlPlane::on_sqlite();
    a_tenant_is_kept_in_files(&Operator::of(cp.url(), cp.token_file()));
}

#[test]
fn a_tenant_is_kept_in_files_with_postgresql() {
    let cp = ControlPlane::on_postgres();
    a_tenant_is_kept_in_files(&Operator::of(cp.url(), cp.token_file()));
}

/// A quickstart that stays, with everything in a folder.
struct Quickstart {
    process: Process,
    dir: PathBuf,
}

impl Quickstart {
    fn command(folder: &Path) -> Command {
        let mut command = ctl();
        command.args([
            "quickstart",
            "--cp-listen",
            "127.0.0.1:0",
            "--gateway-listen",
            "127.0.0.1:0",
            "--dir",
        ]);
        command.arg(folder.join("quickstart"));
        command.env("XDG_CONFIG_HOME", folder.join("config")).current_dir(folder);
        command
    }

    fn start(folder: &Path) -> Self {
        let log = folder.join("quickstart.log");
        // What one before has said is none of this one's.
        let _ = std::fs::remove_file(&log);
        let mut process = Process::start("mcpg-ctl", &mut Self::command(folder), &log);
        until("the quickstart should be there", || {
            if let Some(status) = process.exited() {
                panic!("it ended with {status}: {}", process.log());
            }
            process.log().contains("Ctrl-C ends all of it").then_some(())
        });
        Self { process, dir: folder.join("quickstart") }
    }

    /// What it remembers.
    fn ports(&self) -> BTreeMap<String, Value> {
        serde_json::from_str(&std::fs::read_to_string(self.dir.join("quickstart.json")).unwrap()).unwrap()
    }

    /// The programs that it has started.
    fn children(&self) -> Vec<u32> {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().map(|child| child.parse().unwrap()).collect()
    }
}

#[test]
fn one_command_gives_a_control_plane_with_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let mut quickstart = Quickstart::start(folder.path());
    let log = quickstart.process.log();
    for said in [
        "revision.mcpg.dev/default/default/default/1 published",
        "tools/call lookup_customer {\"id\":\"c-1\"}",
        "\\\"email\\\":\\\"[redacted]\\\"",
        "HTTP 200",
        "tools/call delete_repo {\"name\":\"hello\"}",
        "HTTP 403",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    // The context that it keeps is enough to go on, and the manifests say what is there.
    let with_context = |arguments: &[&str]| {
        let mut command = ctl();
        command.env("XDG_CONFIG_HOME", folder.path().join("config")).current_dir(&quickstart.dir);
        Ran::of(command.args(arguments))
    };
    assert_eq!(with_context(&["diff", "-f", "manifests"]).ended(0), "");
    let server = format!("http://{}", quickstart.ports()["control_plane"].as_str().unwrap());
    a_tenant_is_kept_in_files(&Operator::of(
        server,
        quickstart.dir.join("control-plane/state/bootstrap.token"),
    ));
    // One at a time works in a folder.
    let second = Ran::of(&mut Quickstart::command(folder.path()));
    assert!(second.code == 1 && second.err.contains("another quickstart runs"), "{}", second.err);

    // It stops what it has started, and goes on where it was.
    let (children, ports) = (quickstart.children(), quickstart.ports());
    assert_eq!(children.len(), 3);
    quickstart.process.signal(Signal::Terminate);
    assert!(quickstart.process.wait().success(), "{}", quickstart.process.log());
    assert!(!children.iter().any(|child| process_exists(*child)));
    let checked = Ran::of(Quickstart::command(folder.path()).arg("--check")).ended(0);
    assert!(checked.contains("`default/default/default` is at revision 1 already"), "{checked}");

    // What it has started ends with it even where it cannot stop it.
    let mut quickstart = Quickstart::start(folder.path());
    assert_eq!(quickstart.ports(), ports);
    let children = quickstart.children();
    assert_eq!(children.len(), 3);
    quickstart.process.signal(Signal::Kill);
    quickstart.process.wait();
    until("everything should end", || (!children.iter().any(|child| process_exists(*child))).then_some(()));
}

#[test]
fn what_a_quickstart_cannot_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("quickstart")).unwrap();
    std::fs::write(folder.path().join("quickstart/thesis.txt"), "").unwrap();
    let refused = Ran::of(&mut Quickstart::command(folder.path()));
    assert!(refused.code == 2 && refused.err.contains("has other things in it"), "{}", refused.err);
    // A program that ends by itself is named, with what it said last.
    std::fs::remove_file(folder.path().join("quickstart/thesis.txt")).unwrap();
    let refused =
        Ran::of(Quickstart::command(folder.path()).args(["--db", "postgres://nobody@127.0.0.1:1/none"]));
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("the control plane has ended by itself"), "{}", refused.err);
    assert!(refused.err.contains("cannot open the database"), "{}", refused.err);
}
