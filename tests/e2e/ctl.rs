//! The operator's command line against a control plane: the article's commands as written, every noun, output, exit codes.

use std::path::PathBuf;

use mcpg_tests::{ControlPlane, Ctl};
use serde_json::{Value, json};
use tempfile::TempDir;

mod fleet;
mod licences;
mod login;
mod settings;
mod tls;

/// The article's block, as it stands there.
const TREE: &str = r#"
# Create the org
mcpg-ctl org create acme-corp --display-name "Acme, Inc."
# Create a workspace
mcpg-ctl workspace create acme-corp/platform-team
# Create environments
mcpg-ctl env create acme-corp/platform-team/prod
mcpg-ctl env create acme-corp/platform-team/staging
mcpg-ctl env create acme-corp/platform-team/dev
"#;
const ROLES: &str = r"
mcpg-ctl rbac grant alice@acme.com admin --on org/acme-corp
mcpg-ctl rbac grant bob@acme.com operator --on workspace/acme-corp/platform-team
mcpg-ctl rbac grant carol@acme.com viewer --on env/acme-corp/platform-team/prod
";
const WORKSPACE: &str = "acme-corp/platform-team";
const PROD: &str = "acme-corp/platform-team/prod";

/// A control plane that believes a licence issuer, on either database.
struct Bench {
    cp: ControlPlane,
    folder: TempDir,
}

impl Bench {
    fn on(start: fn(&[&str]) -> ControlPlane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("licence-keys.pem");
        std::fs::write(&keys, licences::public_key()).unwrap();
        let cp = start(&["--licence-keys", keys.to_str().unwrap(), "--allow-address", "127.0.0.1/32"]);
        Self { cp, folder }
    }

    fn licence(&self, tier: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{tier}.licence"));
        std::fs::write(&path, licences::issue("acme-corp", tier)).unwrap();
        path
    }

    /// The article's tree, licensed.
    fn with_tree(self) -> Self {
        let ctl = Ctl::of(&self.cp);
        assert_eq!(ctl.sh(TREE).code, 0);
        ctl.ok(&["license", "install", "acme-corp", self.licence("enterprise").to_str().unwrap()]);
        self
    }
}

/// Runs a case on both databases.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $case() {
                super::$case(super::Bench::on(mcpg_tests::ControlPlane::on_sqlite_with));
            })+
        }
        mod postgresql {
            $(#[test]
            fn $case() {
                super::$case(super::Bench::on(mcpg_tests::ControlPlane::on_postgres_with));
            })+
        }
    };
}

on_both!(
    the_articles_commands_work_as_written,
    the_tree_is_operated,
    credentials_are_made_and_taken_back,
    documents_are_read_and_compared
);

fn the_articles_commands_work_as_written(bench: Bench) {
    let ctl = Ctl::of(&bench.cp);
    let said = ctl.sh(TREE);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    assert!(
        said.err
            .starts_with("organization `acme-corp` created\nworkspace `acme-corp/platform-team` created\n")
    );
    // Roles below the organization need a licence, and say so.
    let refused = ctl.sh(ROLES);
    assert_eq!(refused.code, 4);
    assert!(refused.err.contains("`workspace.rbac` needs tier `team`"), "{}", refused.err);
    let licence = bench.licence("enterprise");
    ctl.ok(&["license", "install", "acme-corp", licence.to_str().unwrap()]);
    let said = ctl.sh(ROLES);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(
        ctl.ok(&["member", "list", "acme-corp", "-q"]),
        "alice@acme.com\nbob@acme.com\ncarol@acme.com\n"
    );
    let roles = ctl.json(&["member", "get", "acme-corp", "carol@acme.com"]);
    assert_eq!(roles["roles"], json!([{ "role": "viewer", "on": "env/acme-corp/platform-team/prod" }]));
    // Again is no mistake for a role, and one for a thing.
    assert_eq!(ctl.sh(ROLES).code, 0);
    assert_eq!(ctl.sh(TREE).code, 5);
}

fn the_tree_is_operated(bench: Bench) {
    let bench = bench.with_tree();
    let ctl = Ctl::of(&bench.cp);
    // Tables for people, names for scripts, the API's own shapes for programs.
    let table = ctl.ok(&["env", "list", WORKSPACE]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "DISPLAY", "NAME", "CREATED"]);
    assert_eq!(lines[2][..2], ["acme-corp/platform-team/prod", "prod"]);
    let columns: Vec<usize> = table.lines().skip(1).map(|line| line.find("2").unwrap()).collect();
    assert!(columns.iter().all(|column| *column == columns[0]), "{table}");
    assert_eq!(ctl.ok(&["workspace", "list", "acme-corp", "-q"]), "acme-corp/platform-team\n");
    let api = bench.cp.get("/orgs/acme-corp");
    assert_eq!(ctl.json(&["org", "get", "acme-corp"]), api);
    assert_eq!(ctl.json(&["org", "list"])["items"][0], api);
    let yaml = ctl.ok(&["org", "get", "acme-corp", "-o", "yaml"]);
    assert!(
        yaml.contains("\ndisplay_name: \"Acme, Inc.\"\n") && yaml.contains("\npath: acme-corp\n"),
        "{yaml}"
    );

    ctl.ok(&["org", "update", "acme-corp", "--display-name", "Acme Ltd."]);
    assert!(ctl.ok(&["org", "get", "acme-corp"]).contains("DISPLAY NAME  Acme Ltd.\n"));
    ctl.ok(&["org", "subdomain", "acme-corp", "acme"]);
    assert_eq!(ctl.json(&["org", "get", "acme-corp"])["subdomain"], "acme");
    ctl.ok(&["org", "subdomain", "acme-corp", "--remove"]);
    assert_eq!(ctl.json(&["org", "get", "acme-corp"])["subdomain"], Value::Null);
    ctl.ok(&["workspace", "update", WORKSPACE, "--display-name", "Platform"]);
    assert_eq!(ctl.json(&["workspace", "get", WORKSPACE])["display_name"], "Platform");
    ctl.ok(&["env", "update", PROD, "--display-name", "Production"]);
    assert_eq!(ctl.json(&["env", "get", PROD])["display_name"], "Production");

    ctl.ok(&["secret-ref", "set", WORKSPACE, "api-key", "$secret://env/API_KEY"]);
    let changed = ctl.run(&["secret-ref", "set", WORKSPACE, "api-key", "$secret://vault/kv/api#key"]);
    assert!(changed.err.ends_with("changed\n"), "{}", changed.err);
    assert_eq!(
        ctl.json(&["secret-ref", "get", WORKSPACE, "api-key"])["reference"],
        "$secret://vault/kv/api#key"
    );
    assert_eq!(ctl.ok(&["secret-ref", "list", WORKSPACE, "-q"]), "api-key\n");
    ctl.ok(&["secret-ref", "delete", WORKSPACE, "api-key"]);
    ctl.refused(&["secret-ref", "get", WORKSPACE, "api-key"], 3);

    assert_eq!(ctl.json(&["license", "show", "acme-corp"])["tier"], "enterprise");
    assert!(ctl.ok(&["license", "show", "acme-corp"]).starts_with("TIER             Enterprise\n"));
    ctl.ok(&["license", "remove", "acme-corp"]);
    assert_eq!(ctl.json(&["license", "show", "acme-corp"])["tier"], "community");

    // What others depend on stays; what is left out is not there.
    let in_use = ctl.refused(&["workspace", "delete", WORKSPACE], 5);
    assert!(
        in_use.contains("(409 in-use, DELETE /v1/orgs/acme-corp/workspaces/platform-team, request "),
        "{in_use}"
    );
    for env in ["prod", "staging", "dev"] {
        ctl.ok(&["env", "delete", &format!("{WORKSPACE}/{env}")]);
    }
    ctl.ok(&["workspace", "delete", WORKSPACE]);
    ctl.refused(&["workspace", "get", WORKSPACE], 3);

    // Who did all that is in the chain, and shown as it came.
    let rows = ctl.json(&["audit", "tail", "acme-corp", "-n", "2"]);
    let targets: Vec<&Value> = rows["items"].as_array().unwrap().iter().map(|row| &row["target"]).collect();
    assert_eq!(targets, ["environment.delete", "workspace.delete"]);
    assert_eq!(ctl.ok(&["audit", "tail", "acme-corp", "-n", "0"]).lines().count(), 1);
    let none = ctl.json(&["audit", "tail", "acme-corp", "--kind", "decision", "--since", "1h"]);
    assert_eq!(none["items"], json!([]));
    assert_eq!(ctl.json(&["usage", "acme-corp", "--by", "tool,caller"])["items"], json!([]));
}

fn credentials_are_made_and_taken_back(bench: Bench) {
    let bench = bench.with_tree();
    let ctl = Ctl::of(&bench.cp);
    let made = ctl.run(&[
        "token",
        "create",
        "ci",
        "--role",
        "operator",
        "--on",
        "workspace/acme-corp/platform-team",
        "--expires-in",
        "1d",
    ]);
    assert!(made.out.starts_with("mcpg_cp_") && made.out.lines().count() == 1, "{made:?}");
    assert!(!made.err.contains(made.out.trim()), "{made:?}");
    let program = Ctl::with_token(&bench.cp, &made.out);
    let id = ctl.ok(&["token", "list", "acme-corp", "-q"]);
    assert_eq!(program.json(&["whoami"])["actor"], format!("token:{}", id.trim()));
    // It sees what it may see: nothing of others, which is as what is not there.
    assert_eq!(program.ok(&["env", "list", WORKSPACE, "-q"]).lines().count(), 3);
    let (foreign, missing) =
        (program.refused(&["org", "get", "default"], 3), program.refused(&["org", "get", "no-such"], 3));
    let told = |text: &str| text.split(", request").next().unwrap().replace("no-such", "default");
    assert_eq!(told(&foreign), told(&missing));
    let forbidden = program.refused(&["org", "create", "mine"], 4);
    assert!(forbidden.contains("(403 forbidden, POST /v1/orgs, request "), "{forbidden}");
    program.refused(&["env", "create", "acme-corp/platform-team/more"], 4);
    // Who may see a workspace only does not learn what else there is.
    program.refused(&["rbac", "grant", "eve@acme.com", "admin", "--on", "org/acme-corp"], 3);
    assert!(program.ok(&["status"]).contains("acme-corp/platform-team/prod  no revision"));
    ctl.ok(&["token", "revoke", "acme-corp", id.trim()]);
    let ended = program.refused(&["whoami"], 4);
    assert!(ended.contains("(401 unauthenticated") && ended.contains("mcpg-ctl login ORG"), "{ended}");

    ctl.ok(&["rbac", "grant", "alice@acme.com", "admin", "--on", "org/acme-corp"]);
    assert!(ctl.ok(&["rbac", "list", "acme-corp"]).contains("alice@acme.com  admin  org/acme-corp  yes "));
    ctl.ok(&["rbac", "revoke", "alice@acme.com", "admin", "--on", "org/acme-corp"]);
    let gone = ctl.refused(&["rbac", "revoke", "alice@acme.com", "admin", "--on", "org/acme-corp"], 3);
    assert_eq!(gone, "mcpg-ctl: `alice@acme.com` is not `admin` on `org/acme-corp`\n");

    let second = Ctl::with_token(&bench.cp, &ctl.ok(&["platform-token", "create", "on call"]));
    let listed = second.json(&["platform-token", "list"]);
    let first =
        listed["items"].as_array().unwrap().iter().find(|token| token["name"] == "bootstrap").unwrap();
    let (first, own) = (first["id"].as_str().unwrap().to_owned(), second.json(&["whoami"])["actor"].clone());
    let own = own.as_str().unwrap().strip_prefix("platform:").unwrap();
    second.refused(&["platform-token", "revoke", own], 5);
    second.ok(&["platform-token", "revoke", &first]);
    ctl.refused(&["org", "list"], 4);

    let enroll = second.json(&[
        "gateway",
        "enroll-token",
        "create",
        PROD,
        "--expires-in",
        "10m",
        "--label",
        "ring=canary",
    ]);
    assert!(enroll["token"].as_str().unwrap().starts_with("mcpg_cpe_"));
    assert_eq!(enroll["resource"]["labels"], json!({ "ring": "canary" }));
    assert!(second.ok(&["gateway", "enroll-token", PROD]).starts_with("mcpg_cpe_"), "as the article has it");
    let ids = second.ok(&["gateway", "enroll-token", "list", PROD, "-q"]);
    assert_eq!(ids.lines().count(), 2);
    for id in ids.lines() {
        second.ok(&["gateway", "enroll-token", "revoke", PROD, id]);
    }
    assert_eq!(second.ok(&["gateway", "enroll-token", "list", PROD, "-q"]), "");
}

fn documents_are_read_and_compared(bench: Bench) {
    let bench = bench.with_tree();
    let ctl = Ctl::of(&bench.cp);
    let path = "/orgs/acme-corp/workspaces/platform-team";
    for permit in ["permit (principal, action, resource);\n", "forbid (principal, action, resource);\n"] {
        bench.cp.put(
            &format!("{path}/policies/main"),
            &json!({ "engine": "cedar", "files": { "all.cedar": permit } }),
        );
    }
    bench
        .cp
        .put(&format!("{path}/plugin-sets/main"), &json!({ "plugins": [{ "id": "identity.anonymous" }] }));
    bench
        .cp
        .put(&format!("{path}/environments/prod/config"), &json!({ "plugin_set": "main", "bindings": [] }));
    bench.cp.put("/orgs/acme-corp/revocation-list", &json!({ "artifacts": [] }));

    assert_eq!(ctl.ok(&["policy", "list", WORKSPACE, "-q"]), "main\n");
    assert_eq!(ctl.ok(&["policy", "versions", WORKSPACE, "main", "-q"]), "2\n1\n");
    let shown = ctl.ok(&["policy", "get", WORKSPACE, "main"]);
    assert!(
        shown.contains("VERSION  2\n") && shown.contains("\n  all.cedar: |\n    forbid (principal"),
        "{shown}"
    );
    assert!(ctl.ok(&["policy", "get", WORKSPACE, "main", "--version", "1"]).contains("permit (principal"));
    let diff = ctl.run(&["policy", "diff", WORKSPACE, "main"]);
    assert_eq!(diff.code, 7, "{diff:?}");
    for line in [
        "--- version 1",
        "+++ version 2",
        "- permit (principal, action, resource);",
        "+ forbid (principal, action, resource);",
    ] {
        assert!(diff.out.lines().any(|other| other == line), "{}", diff.out);
    }
    assert_eq!(ctl.run(&["policy", "diff", WORKSPACE, "main", "--from", "2", "--to", "2"]).code, 0);
    ctl.ok(&["policy", "delete", WORKSPACE, "main"]);
    ctl.refused(&["policy", "get", WORKSPACE, "main"], 3);

    assert_eq!(
        ctl.json(&["plugin-set", "get", WORKSPACE, "main"])["spec"],
        json!({ "plugins": [{ "id": "identity.anonymous" }] })
    );
    assert_eq!(ctl.ok(&["plugin-set", "list", WORKSPACE, "-q"]), "main\n");
    assert_eq!(ctl.json(&["plugin-set", "versions", WORKSPACE, "main"])["items"][0]["version"], 1);
    assert_eq!(ctl.run(&["plugin-set", "diff", WORKSPACE, "main"]).code, 7, "the first version is all new");
    assert_eq!(ctl.json(&["config", "get", PROD])["spec"], json!({ "plugin_set": "main" }));
    assert_eq!(ctl.ok(&["config", "versions", PROD, "-q"]), "1\n");
    assert_eq!(ctl.run(&["config", "diff", PROD]).code, 7);
    ctl.ok(&["config", "delete", PROD]);
    ctl.ok(&["plugin-set", "delete", WORKSPACE, "main"]);
    assert_eq!(ctl.json(&["revocation-list", "get", "acme-corp"])["spec"], json!({ "artifacts": [] }));
    assert!(ctl.ok(&["revocation-list", "get", "acme-corp"]).ends_with("\nartifacts: []\n"));
}
