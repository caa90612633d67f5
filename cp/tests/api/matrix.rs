//! Who may do what: every endpoint, every caller, on nodes that are theirs, beside theirs, foreign, and missing.
//!
//! Each request has an idempotency key that is none, which is looked at right behind authorization: whoever is let through gets 400 and
//! nothing happens. The golden table is in `matrix.txt`.

use std::fmt::Write as _;

use mcpg_cp::api::endpoint::Access;
use mcpg_cp::api::endpoints;

use crate::golden;
use crate::world::{ACME, Call, OTHER, World};

const ID: &str = "0199a7f0-6c00-7000-8000-000000000001";
/// Nodes: own, beside, of another organization, and missing at every depth.
const NODES: &[(&str, [&str; 3])] = &[
    ("own", [ACME, "platform-team", "prod"]),
    ("beside", [ACME, "platform-team", "staging"]),
    ("far", [ACME, "finance-team", "prod"]),
    ("foreign", [OTHER, "platform-team", "prod"]),
    ("no-org", ["no-such-org", "platform-team", "prod"]),
    ("no-ws", [ACME, "no-such", "prod"]),
    ("no-env", [ACME, "platform-team", "no-such"]),
];

pub(crate) async fn the_matrix_of_who_may_do_what(world: World) {
    for org in [ACME, OTHER] {
        world.buy(org, "enterprise").await;
    }
    let callers = callers(&world).await;
    let mut table = String::from("# Made by the_matrix_of_who_may_do_what. `yes` is let through.\n");
    let names: Vec<&str> = callers.iter().map(|(name, _)| *name).collect();
    writeln!(table, "# {}", names.join(" | ")).unwrap();
    for endpoint in endpoints() {
        if endpoint.access == Access::Open {
            writeln!(table, "{} {}: open", endpoint.method, endpoint.path).unwrap();
            continue;
        }
        writeln!(table, "{} {}", endpoint.method, endpoint.path).unwrap();
        let mut paths = Vec::new();
        for (node, slugs) in NODES {
            let path = path(endpoint.path, slugs);
            if paths.contains(&path) {
                continue;
            }
            let mut cells = Vec::new();
            for (_, token) in &callers {
                cells.push(cell(&world, endpoint.method.as_str(), &path, token).await);
            }
            writeln!(table, "    {node:8} {}", cells.join(" ")).unwrap();
            paths.push(path);
        }
    }
    golden::same("cp/tests/api/matrix.txt", &table);
}

async fn callers(world: &World) -> Vec<(&'static str, String)> {
    world.grant("alice@acme.com", "admin", "org/acme-corp").await;
    world.grant("bob@acme.com", "operator", "workspace/acme-corp/platform-team").await;
    world.grant("carol@acme.com", "viewer", "env/acme-corp/platform-team/prod").await;
    // The same address in another organization is somebody else.
    world.grant("alice@acme.com", "viewer", "env/other-corp/platform-team/prod").await;
    vec![
        ("nobody", String::new()),
        ("forged", world.service.token(mcpg_cp::sign_in::token::TokenKind::Api).reveal().to_owned()),
        ("platform", world.platform.clone()),
        ("org admin", world.token(ACME, "admin", "org/acme-corp").await),
        ("org operator", world.token(ACME, "operator", "org/acme-corp").await),
        ("org viewer", world.token(ACME, "viewer", "org/acme-corp").await),
        ("workspace operator", world.token(ACME, "operator", "workspace/acme-corp/platform-team").await),
        ("workspace viewer", world.token(ACME, "viewer", "workspace/acme-corp/platform-team").await),
        ("environment viewer", world.token(ACME, "viewer", "env/acme-corp/platform-team/prod").await),
        ("alice (org admin)", world.session(ACME, "alice@acme.com").await),
        ("bob (workspace operator)", world.session(ACME, "bob@acme.com").await),
        ("carol (environment viewer)", world.session(ACME, "carol@acme.com").await),
        ("mallory (no role)", world.session(ACME, "mallory@acme.com").await),
        ("foreign admin", world.token(OTHER, "admin", "org/other-corp").await),
    ]
}

fn path(template: &str, slugs: &[&str; 3]) -> String {
    let [org, workspace, environment] = slugs;
    template
        .replace("{org}", org)
        .replace("{workspace}", workspace)
        .replace("{environment}", environment)
        .replace("{member}", "alice@acme.com")
        .replace("{name}", "some-name")
        .replace("{version}", "1")
        .replace("{number}", "1")
        .replace("{gateway}", ID)
        .replace("{id}", ID)
}

async fn cell(world: &World, method: &str, path: &str, token: &str) -> &'static str {
    let answer = Call::new(method, path).header("idempotency-key", "").send(world, token).await;
    match (answer.status, answer.problem().as_str()) {
        (400, "header") => "yes",
        (401, "unauthenticated") => "401",
        (403, "forbidden") => "403",
        (404, "not-found") => "404",
        other => panic!("{method} {path}: {other:?} {}", answer.text()),
    }
}
