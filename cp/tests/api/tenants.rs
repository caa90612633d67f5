//! Isolation: what is foreign is as good as missing, and what names a tenant agrees.

use serde_json::json;

use crate::world::{ACME, Call, OTHER, World};

type Headers = Vec<(String, Vec<u8>)>;

/// Everything but the id of the request.
fn seen(answer: &crate::world::Answer) -> (u16, Headers, Vec<u8>) {
    let mut headers: Headers = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id")
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

pub(crate) async fn foreign_and_missing_are_the_same_bytes(world: World) {
    for org in [ACME, OTHER] {
        world.buy(org, "enterprise").await;
    }
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    let operator = world.token(ACME, "operator", "workspace/acme-corp/platform-team").await;
    world.grant("zoe@other.com", "viewer", "org/other-corp").await;
    let bindings = world.get(&world.platform, "/v1/orgs/other-corp/role-bindings").await.json();
    let foreign_id = bindings["items"][0]["id"].as_str().unwrap().to_owned();
    let missing = world.get(&admin, "/v1/orgs/no-such-org").await;
    assert_eq!(missing.problem(), "not-found");
    let body = json!({ "slug": "new-one" });
    for (token, method, path) in [
        (&admin, "GET", "/v1/orgs/other-corp".to_owned()),
        (&admin, "GET", "/v1/orgs/NOT_A_SLUG".to_owned()),
        (&admin, "GET", "/v1/orgs/acme-corp/workspaces/no-such".to_owned()),
        (&admin, "GET", "/v1/orgs/other-corp/workspaces/platform-team".to_owned()),
        (&admin, "DELETE", "/v1/orgs/other-corp/workspaces/platform-team".to_owned()),
        (&admin, "GET", format!("/v1/orgs/acme-corp/role-bindings/{foreign_id}")),
        (&admin, "DELETE", format!("/v1/orgs/acme-corp/role-bindings/{foreign_id}")),
        (&admin, "GET", "/v1/orgs/acme-corp/role-bindings/not-an-id".to_owned()),
        (&admin, "GET", "/v1/orgs/acme-corp/members/zoe@other.com".to_owned()),
        (&admin, "GET", "/no/such/path".to_owned()),
        (&operator, "GET", "/v1/orgs/acme-corp/workspaces/finance-team".to_owned()),
        (&operator, "GET", "/v1/orgs/acme-corp/workspaces/no-such".to_owned()),
        (&operator, "GET", "/v1/orgs/acme-corp/role-bindings".to_owned()),
        (&admin, "POST", "/v1/orgs/other-corp/workspaces".to_owned()),
    ] {
        let mut call = Call::new(method, &path);
        if method == "POST" {
            call = call.json(&body);
        }
        if method == "DELETE" {
            call = call.header("if-match", "*");
        }
        let answer = call.send(&world, token).await;
        assert_eq!(seen(&answer), seen(&missing), "{method} {path}");
    }
    // Nothing came of any of it.
    let workspaces = world.get(&world.platform, "/v1/orgs/other-corp/workspaces").await.json();
    assert_eq!(workspaces["items"].as_array().unwrap().len(), 2);
}

pub(crate) async fn host_header_path_and_token_agree(world: World) {
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    let foreign = world.token(OTHER, "admin", "org/other-corp").await;
    for (org, label) in [(ACME, "acme"), (OTHER, "other")] {
        Call::put(&format!("/v1/orgs/{org}/subdomain"), &json!({ "subdomain": label }))
            .header("if-match", "*")
            .send(&world, &world.platform)
            .await
            .expect(200);
    }
    let check = async |host: &str, header: Option<&str>, path: &str, token: &str, expected: u16| {
        let mut call = Call::new("GET", path).header("host", host);
        if let Some(header) = header {
            call = call.header("x-mcpg-tenant", header);
        }
        let answer = call.send(&world, token).await;
        assert_eq!(answer.status, expected, "{host} {header:?} {path}: {}", answer.text());
    };
    let path = "/v1/orgs/acme-corp";
    for (host, header, path, token, expected) in [
        ("acme.mcpg.dev", None, path, &admin, 200),
        ("acme.mcpg.dev", None, "/v1/whoami", &admin, 200),
        ("acme.mcpg.dev", Some("acme-corp"), path, &admin, 200),
        ("ACME.mcpg.dev:443", None, path, &admin, 200),
        ("cp.test", Some("acme-corp"), path, &admin, 200),
        ("cp.test", Some("acme-corp"), "/v1/whoami", &admin, 200),
        ("other.mcpg.dev", None, path, &admin, 404),
        ("other.mcpg.dev", None, "/v1/whoami", &admin, 404),
        ("nobody.mcpg.dev", None, "/v1/whoami", &admin, 404),
        ("nobody.mcpg.dev", None, path, &admin, 404),
        ("acme.mcpg.dev", None, path, &foreign, 404),
        ("acme.mcpg.dev", None, "/v1/whoami", &foreign, 404),
        ("cp.test", Some("other-corp"), "/v1/whoami", &admin, 404),
        ("cp.test", Some("no-such-org"), "/v1/whoami", &admin, 404),
        ("cp.test", Some("other-corp"), path, &admin, 400),
        ("acme.mcpg.dev", Some("other-corp"), "/v1/whoami", &admin, 404),
        ("acme.mcpg.dev.", None, path, &admin, 421),
        ("acme.mcpg.dev.evil", None, path, &admin, 421),
        ("evil.example", None, path, &admin, 421),
        ("cp.test", Some("other-corp"), path, &String::new(), 401),
        ("evil.example", None, path, &String::new(), 401),
        ("acme.mcpg.dev", None, path, &String::new(), 401),
        ("nobody.mcpg.dev", None, path, &String::new(), 401),
    ] {
        check(host, header, path, token, expected).await;
    }
}

pub(crate) async fn a_member_loses_a_role_at_once(world: World) {
    world.grant("alice@acme.com", "admin", "org/acme-corp").await;
    let alice = world.session(ACME, "alice@acme.com").await;
    let bindings = world.get(&alice, "/v1/orgs/acme-corp/role-bindings").await.expect(200).json();
    let id = bindings["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/orgs/acme-corp/role-bindings/{id}");
    Call::new("DELETE", &path).send(&world, &world.platform).await.expect(204);
    assert_eq!(world.get(&alice, "/v1/orgs/acme-corp/role-bindings").await.problem(), "not-found");
    let whoami = world.get(&alice, "/v1/whoami").await.expect(200).json();
    assert_eq!((&whoami["member"], &whoami["roles"]), (&json!("alice@acme.com"), &json!([])));
}

pub(crate) async fn nothing_of_another_organization_is_listed(world: World) {
    world.buy(ACME, "enterprise").await;
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    let viewer = world.token(ACME, "viewer", "env/acme-corp/platform-team/prod").await;
    let paths = async |token: &str, path: &str| {
        let list = world.get(token, path).await.expect(200).json();
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&admin, "/v1/orgs").await, [ACME]);
    assert_eq!(paths(&viewer, "/v1/orgs").await, [ACME]);
    assert_eq!(paths(&world.platform, "/v1/orgs").await, [ACME, OTHER]);
    let workspaces = "/v1/orgs/acme-corp/workspaces";
    assert_eq!(paths(&admin, workspaces).await, ["acme-corp/finance-team", "acme-corp/platform-team"]);
    assert_eq!(paths(&viewer, workspaces).await, ["acme-corp/platform-team"]);
    let environments = "/v1/orgs/acme-corp/workspaces/platform-team/environments";
    assert_eq!(paths(&viewer, environments).await, ["acme-corp/platform-team/prod"]);
    assert_eq!(paths(&admin, environments).await.len(), 2);
}
