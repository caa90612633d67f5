//! What the quickstart sets up: manifests that are applied as anybody's would be, a key for Alice, and the gateway's own file.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::folder::{Folder, Ports};
use super::programs::Programs;
use super::{ENVIRONMENT, NAME};
use crate::client::addresses;
use crate::failure::Failure;
use crate::yaml;

const WORKSPACE: &str = "default/default";
const ALICE: &str = "user:alice@acme.com";
const POLICY: &str = r#"// What callers of the quickstart may do. What nothing here permits is denied.

// Listing, handshakes, notifications: what every client needs before it can call anything.
@id("protocol")
permit (principal, action in Action::"protocol", resource);

// Alice may call any tool of the binding `demo`. Addresses are masked in what comes back.
@id("alice-calls-tools")
@redact(field="email")
permit (
  principal == User::"alice@acme.com",
  action in Action::"tools/call",
  resource in Binding::"demo"
);

// Except this one, which nobody may.
@id("nobody-deletes")
forbid (principal, action == Action::"demo.delete_repo", resource);
"#;

/// Writes the manifests where there are none yet. Returns their folder.
pub(super) fn manifests(folder: &Folder, upstream: &str) -> Result<PathBuf, Failure> {
    let path = folder.path("manifests/quickstart.yaml");
    if !path.exists() {
        folder.write("manifests/policies/all.cedar", POLICY)?;
        let texts: Vec<String> = documents(upstream).iter().map(yaml::text).collect();
        let head = "# What the quickstart has applied. Change it, or the policy beside it, and say\n\
                    #   mcpg-ctl apply -f FOLDER --publish --wait\n";
        folder.write("manifests/quickstart.yaml", &format!("{head}{}", texts.join("---\n")))?;
    }
    Ok(folder.path("manifests"))
}

fn documents(upstream: &str) -> [Value; 4] {
    let document = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "mcpg.dev/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    let tokens = json!([{ "token": "$secret://ref/alice-key", "subject": ALICE }]);
    let plugins = json!([
        { "id": "identity.api-key", "config": { "tokens": tokens } },
        { "id": "reliability.rate-limit", "config": { "per_caller": { "requests": 100, "per": "1s", "burst": 200 } } },
        { "id": "policy.cedar", "config": { "bundle": format!("./policies/{NAME}") } },
    ]);
    let bindings = json!([{ "id": "demo", "type": "mcp", "url": upstream }]);
    [
        document(
            "MCPGSecretReference",
            "alice-key",
            json!({ "workspace": WORKSPACE, "reference": "$secret://file/alice.key" }),
        ),
        document(
            "MCPGPolicy",
            NAME,
            json!({ "workspace": WORKSPACE, "engine": "cedar", "folder": "policies" }),
        ),
        document("MCPGPluginSet", NAME, json!({ "workspace": WORKSPACE, "plugins": plugins })),
        document(
            "MCPGGatewayConfig",
            "default",
            json!({ "environment": ENVIRONMENT, "plugin_set": NAME, "policies": [NAME], "bindings": bindings }),
        ),
    ]
}

/// Makes Alice's key, where she has none: the gateway's machine has it, the control plane does not.
pub(super) async fn key(programs: &Programs, folder: &Folder) -> Result<(), Failure> {
    if folder.path("gateway/secrets/alice.key").exists() {
        return Ok(());
    }
    let mut command = Command::new(&programs.gateway);
    command.args(["keys", "new", "--subject", ALICE, "--env", "test", "--hash-key-file"]);
    command.arg(folder.path("gateway/hash.key"));
    let made = tokio::process::Command::from(command).output().await;
    let failed = |reason: String| Failure::Failed(format!("cannot make a key for {ALICE}: {reason}"));
    let made = made.map_err(|error| failed(error.to_string()))?;
    if !made.status.success() {
        return Err(failed(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    folder.write_secret("gateway/secrets/alice.key", &String::from_utf8_lossy(&made.stdout))
}

/// Writes the gateway's own file: what belongs to the machine, and who tells it the rest.
pub(super) async fn gateway_file(folder: &Folder, ports: &Ports, upstream: &str) -> Result<(), Failure> {
    let file = json!({
        "server": { "listen": ports.gateway.to_string(), "admin": ports.admin.to_string() },
        "control_plane": {
            "url": format!("http://{}", ports.control_plane),
            "enroll_token": "$secret://file/./enroll.token",
            "name": NAME,
            "heartbeat_ms": 2000,
            "secrets": { "dir": "./secrets" },
            "networks": networks(upstream).await?,
        },
        "state": { "dir": "./state" },
        "audit": { "dir": "./audit", "mode": "written" },
    });
    let head = "# The gateway's own file: what belongs to its machine. What it serves, the control plane tells it.\n";
    folder.write("gateway/gateway.yaml", &format!("{head}{}", yaml::text(&file))).map(drop)
}

/// The blocks that revisions may have the gateway dial: where the upstream is, if that is no public address.
async fn networks(upstream: &str) -> Result<Vec<String>, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("the upstream `{upstream}`: {reason}"));
    let url = url::Url::parse(upstream).map_err(|error| wrong(error.to_string()))?;
    let host = url.host_str().ok_or_else(|| wrong("it has no host".to_owned()))?;
    let host = host.trim_matches(['[', ']']);
    let found = addresses(host, url.port_or_known_default().unwrap_or(443)).await;
    let found = found.map_err(|error| wrong(format!("cannot be resolved: {error}")))?;
    let mut blocks: Vec<String> = found.into_iter().map(block).collect();
    blocks.sort();
    blocks.dedup();
    Ok(blocks)
}

fn block(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => format!("{address}/128"),
    }
}

/// Where everything is, and what to do next.
pub(super) fn how_to_go_on(folder: &Folder, ports: &Ports, with_context: bool) -> String {
    let path = |path: &str| folder.path(path).display().to_string();
    let ctl = if with_context {
        format!("mcpg-ctl --context {NAME}")
    } else {
        let token = folder.bootstrap_token();
        format!("mcpg-ctl --server http://{} --token-file {}", ports.control_plane, token.display())
    };
    let manifests = path("manifests");
    format!(
        "\nAll of it is in {}.\n\
         \x20 Control plane  http://{} (log: {})\n\
         \x20 Gateway        http://{}/mcp (log: {}; admin: http://{})\n\
         \x20 Upstream       {}\n\
         \x20 Alice's key    {}\n\
         \x20 First token    {}\n\
         \n\
         Change {manifests}/policies/all.cedar, and say\n\
         \x20 {ctl} apply -f {manifests} --publish --wait\n\
         Point a client at it (Streamable HTTP), with Alice's key:\n\
         \x20 npx @modelcontextprotocol/inspector@latest --cli http://{}/mcp --transport http \\\n\
         \x20   --header \"Authorization: Bearer $(cat {})\" --method tools/list\n\
         Ctrl-C ends all of it; the same command in the same folder goes on.",
        path("").trim_end_matches('/'),
        ports.control_plane,
        path("logs/control-plane.log"),
        ports.gateway,
        path("logs/gateway.log"),
        ports.admin,
        ports.upstream,
        path("gateway/secrets/alice.key"),
        folder.bootstrap_token().display(),
        ports.gateway,
        path("gateway/secrets/alice.key"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{self, Source};

    #[test]
    fn the_example_is_made_of_sound_manifests() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("q")).unwrap();
        let path = manifests(&folder, "http://127.0.0.1:8788/mcp").unwrap();
        let sources = Source::all(&[path], false).unwrap();
        let read = manifest::read(&sources, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let said: Vec<String> = read.manifests.iter().map(|one| one.resource.to_string()).collect();
        assert_eq!(
            said,
            [
                "secretreference.mcpg.dev/alice-key",
                "policy.mcpg.dev/quickstart",
                "pluginset.mcpg.dev/quickstart",
                "gatewayconfig.mcpg.dev/default",
            ]
        );
    }

    #[test]
    fn revisions_may_dial_the_upstream_and_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let networks = |upstream| runtime.block_on(networks(upstream));
        assert_eq!(networks("http://127.0.0.1:8788/mcp").unwrap(), ["127.0.0.1/32"]);
        assert_eq!(networks("http://[::1]:8788/mcp").unwrap(), ["::1/128"]);
        assert!(networks("http://no-such-host.invalid/mcp").is_err());
    }
}
