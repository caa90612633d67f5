//! What each part of the API does.

use serde_json::{Value, json};

use crate::world::{ACME, Call, World};

pub(crate) async fn the_articles_tree_is_made_and_read(world: World) {
    let platform = world.platform.clone();
    let made = world
        .post(&platform, "/v1/orgs", json!({ "slug": "umbrella", "display_name": "Umbrella, Inc." }))
        .await
        .expect(201);
    assert_eq!(made.header("location"), "/v1/orgs/umbrella");
    assert_eq!(made.header("etag"), format!("\"{}\"", made.json()["etag"].as_str().unwrap()));
    let workspace =
        world.post(&platform, "/v1/orgs/umbrella/workspaces", json!({ "slug": "labs" })).await.expect(201);
    assert_eq!(workspace.json()["display_name"], "labs");
    let environments = "/v1/orgs/umbrella/workspaces/labs/environments";
    for slug in ["prod", "staging", "dev"] {
        let made = world.post(&platform, environments, json!({ "slug": slug })).await.expect(201);
        let read = world.get(&platform, made.header("location")).await.expect(200);
        assert_eq!(read.json()["path"], format!("umbrella/labs/{slug}"));
        assert_eq!(read.body, made.body);
    }
    assert_eq!(world.post(&platform, "/v1/orgs", json!({ "slug": "umbrella" })).await.problem(), "exists");
    assert_eq!(world.post(&platform, environments, json!({ "slug": "prod" })).await.problem(), "exists");
    let delete = Call::new("DELETE", "/v1/orgs/umbrella/workspaces/labs").header("if-match", "*");
    assert_eq!(delete.send(&world, &platform).await.problem(), "in-use");
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    assert_eq!(world.post(&admin, "/v1/orgs", json!({ "slug": "mine" })).await.problem(), "forbidden");
}

pub(crate) async fn what_is_wrong_is_said_with_its_place(world: World) {
    let path = "/v1/orgs/acme-corp/workspaces";
    let check = async |body: Value, kind: &str, pointer: &str, detail: &str| {
        let answer = world.post(&world.platform, path, body.clone()).await;
        assert_eq!(answer.problem(), kind, "{body}");
        let problem = answer.json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert_eq!(problem["errors"][0]["detail"], detail, "{problem}");
        assert_eq!(problem["instance"], answer.header("x-request-id"));
    };
    check(
        json!({ "slug": "A" }),
        "invalid",
        "/slug",
        "`A` is not a slug: use 2 to 40 characters of `a-z`, `0-9` and `-`",
    )
    .await;
    check(
        json!({ "slug": "ab", "displayname": "x" }),
        "invalid",
        "/displayname",
        "unknown field `displayname`: did you mean `display_name`?",
    )
    .await;
    check(json!({}), "invalid", "", "missing field `slug`").await;
    check(json!([]), "invalid", "", "invalid length 0, expected struct CreateWorkspace with 2 elements")
        .await;
    let platform = &world.platform;
    for (call, kind) in [
        (Call::new("POST", path).header("content-type", "application/json").body(b"{".to_vec()), "malformed"),
        (
            Call::new("POST", path)
                .header("content-type", "application/json")
                .body(b"{\"slug\": \"\xff\"}".to_vec()),
            "malformed",
        ),
        (Call::new("POST", path).header("content-type", "text/plain").body(b"{}".to_vec()), "media-type"),
        (Call::new("POST", path).json(&json!({ "slug": "x".repeat(70_000) })), "too-large"),
        (Call::new("GET", path).body(b"{}".to_vec()), "malformed"),
        (Call::new("GET", "/v1/orgs/acme-corp/workspaces?limit=0"), "query"),
        (Call::new("GET", "/v1/orgs/acme-corp/workspaces?limti=1"), "query"),
        (Call::new("GET", "/v1/orgs/acme-corp/workspaces?cursor=%00"), "query"),
        (Call::new("PATCH", path), "method"),
        (Call::new("GET", "/v1/orgs/acme-corp").header("if-none-match", "nonsense"), "header"),
    ] {
        assert_eq!(call.clone().send(&world, platform).await.problem(), kind, "{call:?}");
    }
    let answer = Call::new("PATCH", path).send(&world, platform).await;
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    for header in ["Basic YTpi", "Bearer", "Bearer x", "Bearer mcpg_cp_x"] {
        let answer = Call::new("GET", "/v1/whoami").header("authorization", header).send(&world, "").await;
        assert_eq!(
            (answer.problem().as_str(), answer.header("www-authenticate")),
            ("unauthenticated", "Bearer realm=\"mcpg-cp\"")
        );
    }
}

pub(crate) async fn a_change_wants_the_tag_that_was_read(world: World) {
    let path = "/v1/orgs/acme-corp/workspaces/finance-team";
    let platform = &world.platform;
    let read = world.get(platform, path).await.expect(200);
    let etag = read.header("etag").to_owned();
    let again =
        Call::new("GET", path).header("if-none-match", &etag).send(&world, platform).await.expect(304);
    assert!(again.body.is_empty() && again.header("etag") == etag);
    let rename = |name: &str| Call::put(path, &json!({ "display_name": name }));
    assert_eq!(rename("A").send(&world, platform).await.problem(), "precondition-required");
    assert_eq!(
        rename("A").header("if-match", "\"77\"").send(&world, platform).await.problem(),
        "precondition"
    );
    assert_eq!(
        rename("A").header("if-none-match", "*").send(&world, platform).await.problem(),
        "precondition"
    );
    let changed = rename("Finance").header("if-match", &etag).send(&world, platform).await.expect(200);
    assert_ne!(changed.header("etag"), etag);
    assert_eq!(rename("B").header("if-match", &etag).send(&world, platform).await.problem(), "precondition");
    assert_eq!(world.get(platform, path).await.json()["display_name"], "Finance");
    let delete = |tag: &str| Call::new("DELETE", path).header("if-match", tag);
    assert_eq!(delete(&etag).send(&world, platform).await.problem(), "precondition");
    delete(changed.header("etag")).send(&world, platform).await.expect(204);
    assert_eq!(world.get(platform, path).await.problem(), "not-found");
}

pub(crate) async fn a_repetition_gets_the_same_answer(world: World) {
    let path = "/v1/orgs/acme-corp/workspaces";
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    let post = |slug: &str| Call::post(path, &json!({ "slug": slug })).header("idempotency-key", "key-1");
    let first = post("labs").send(&world, &admin).await.expect(201);
    let second = post("labs").send(&world, &admin).await.expect(201);
    assert_eq!(
        (&first.body, first.header("location"), first.header("etag")),
        (&second.body, second.header("location"), second.header("etag"))
    );
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), ("", "true"));
    assert_eq!(post("other").send(&world, &admin).await.problem(), "key-reused");
    // Another caller's key is another key.
    assert_eq!(post("labs").send(&world, &world.platform).await.problem(), "exists");
    // What was refused can be tried again.
    let retry = |slug: &str| Call::post(path, &json!({ "slug": slug })).header("idempotency-key", "key-2");
    assert_eq!(retry("labs").send(&world, &admin).await.problem(), "exists");
    assert_eq!(retry("labs").send(&world, &admin).await.problem(), "exists");
    world.clock.advance_ms(25 * 3_600_000);
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    assert_eq!(post("labs").send(&world, &admin).await.problem(), "exists", "a key is kept for a day");
}

pub(crate) async fn lists_come_in_pages(world: World) {
    let platform = &world.platform;
    for number in 10..20 {
        let body = json!({ "slug": format!("ws-{number}") });
        world.post(platform, "/v1/orgs/acme-corp/workspaces", body).await.expect(201);
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/orgs/acme-corp/workspaces?limit=5{cursor}");
        let page = world.get(platform, &path).await.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 5);
        found.extend(items.iter().map(|item| item["path"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut sorted = found.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((found.len(), &found), (12, &sorted));
}

pub(crate) async fn api_tokens_are_shown_once_and_end(world: World) {
    let platform = &world.platform;
    let path = "/v1/orgs/acme-corp/api-tokens";
    let new = json!({ "name": "ci", "role": "viewer", "on": "org/acme-corp", "expires_in_seconds": 60 });
    let post = || Call::post(path, &new).header("idempotency-key", "once");
    let made = post().send(&world, platform).await.expect(201).json();
    let token = made["token"].as_str().unwrap().to_owned();
    let location = format!("{path}/{}", made["resource"]["id"].as_str().unwrap());
    assert_eq!(post().send(&world, platform).await.problem(), "shown-once");
    let whoami = world.get(&token, "/v1/whoami").await.expect(200).json();
    assert_eq!(whoami["roles"], json!([{ "role": "viewer", "on": "org/acme-corp" }]));
    assert_eq!(whoami["actor"], format!("token:{}", made["resource"]["id"].as_str().unwrap()));
    assert_eq!(
        world.post(&token, "/v1/orgs/acme-corp/workspaces", json!({ "slug": "ab" })).await.problem(),
        "forbidden"
    );
    let listed = world.get(platform, path).await.expect(200);
    assert!(!listed.text().contains(&token) && listed.json()["items"].as_array().unwrap().len() == 1);
    assert!(listed.json()["items"][0]["last_used_at"].is_string());
    Call::new("DELETE", &location).send(&world, platform).await.expect(204);
    assert_eq!(world.get(&token, "/v1/whoami").await.problem(), "unauthenticated");
    assert_eq!(world.get(platform, &location).await.problem(), "not-found");

    let made = world.post(platform, path, new.clone()).await.expect(201).json();
    let token = made["token"].as_str().unwrap().to_owned();
    world.get(&token, "/v1/whoami").await.expect(200);
    world.clock.advance_ms(60_000);
    assert_eq!(world.get(&token, "/v1/whoami").await.problem(), "unauthenticated");
    for (member, value) in [
        ("expires_in_seconds", json!(59)),
        ("on", json!("org/other-corp")),
        ("on", json!("workspace/acme-corp/no-such")),
    ] {
        world.buy(ACME, "enterprise").await;
        let mut wrong = new.clone();
        wrong[member] = value;
        assert_eq!(world.post(platform, path, wrong.clone()).await.problem(), "invalid", "{wrong}");
    }
}

pub(crate) async fn roles_need_their_tier(world: World) {
    let path = "/v1/orgs/acme-corp/role-bindings";
    let platform = &world.platform;
    let grant = async |member: &str, role: &str, on: &str| {
        world.post(platform, path, json!({ "member": member, "role": role, "on": on })).await
    };
    let workspace = "workspace/acme-corp/platform-team";
    let environment = "env/acme-corp/platform-team/prod";
    grant("alice@acme.com", "admin", "org/acme-corp").await.expect(201);
    grant("alice@acme.com", "admin", "org/acme-corp").await.expect(200);
    assert_eq!(grant("bob@acme.com", "operator", workspace).await.problem(), "tier");
    world.buy(ACME, "team").await;
    grant("bob@acme.com", "operator", workspace).await.expect(201);
    assert_eq!(grant("carol@acme.com", "viewer", environment).await.problem(), "tier");
    world.buy(ACME, "enterprise").await;
    grant("carol@acme.com", "viewer", environment).await.expect(201);
    assert_eq!(grant("carol@acme.com", "operator", environment).await.problem(), "invalid");
    assert_eq!(grant("carol@acme.com", "viewer", "org/other-corp").await.problem(), "invalid");
    assert_eq!(
        grant("carol@acme.com", "viewer", "env/acme-corp/platform-team/no").await.problem(),
        "invalid"
    );
    let bob = world.session(ACME, "bob@acme.com").await;
    let read = "/v1/orgs/acme-corp/workspaces/platform-team";
    world.get(&bob, read).await.expect(200);
    // What lapses takes effect at once, and comes back with the licence.
    Call::new("DELETE", "/v1/orgs/acme-corp/license")
        .header("if-match", "*")
        .send(&world, platform)
        .await
        .expect(200);
    assert_eq!(world.get(&bob, read).await.problem(), "not-found");
    let bindings = world.get(platform, path).await.json();
    let effective = bindings["items"].as_array().unwrap().iter().map(|item| item["effective"] == true);
    assert_eq!(effective.collect::<Vec<_>>(), [true, false, false]);
    let members = world.get(platform, "/v1/orgs/acme-corp/members").await.expect(200).json();
    assert_eq!(members["items"].as_array().unwrap().len(), 3);
}

pub(crate) async fn a_licence_is_for_its_organization(world: World) {
    let path = "/v1/orgs/acme-corp/license";
    let platform = &world.platform;
    let read = world.get(platform, path).await.expect(200).json();
    assert_eq!((&read["tier"], &read["audit_retention_days"]), (&json!("community"), &json!(30)));
    let put = |text: &str| Call::put(path, &json!({ "license": text })).header("if-match", "*");
    assert_eq!(
        put(&world.license("other-corp", "enterprise")).send(&world, platform).await.problem(),
        "invalid"
    );
    assert_eq!(put("a.b.c").send(&world, platform).await.problem(), "invalid");
    let installed = put(&world.license(ACME, "team")).send(&world, platform).await.expect(200).json();
    assert_eq!((&installed["tier"], &installed["entitlements"]), (&json!("team"), &json!(["policy.*"])));
    world.clock.advance_ms(86_400_000);
    let read = world.get(platform, path).await.expect(200).json();
    assert_eq!((&read["tier"], &read["refused"]), (&json!("community"), &json!("the licence has expired")));
}

pub(crate) async fn gateways_enrol_with_a_token_of_the_environment(world: World) {
    let platform = &world.platform;
    let path = "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod/enrollment-tokens";
    let body = json!({ "expires_in_seconds": 600, "labels": { "region": "eu" } });
    let made = world.post(platform, path, body).await.expect(201).json();
    assert!(made["token"].as_str().unwrap().starts_with("mcpg_cpe_"));
    assert_eq!(made["resource"]["environment"], "acme-corp/platform-team/prod");
    // It enrols, and does nothing else.
    assert_eq!(world.get(made["token"].as_str().unwrap(), "/v1/whoami").await.problem(), "unauthenticated");
    let listed = world.get(platform, path).await.expect(200).json();
    assert_eq!(listed["items"], json!([made["resource"]]));
    let id = made["resource"]["id"].as_str().unwrap();
    let beside =
        format!("/v1/orgs/acme-corp/workspaces/platform-team/environments/staging/enrollment-tokens/{id}");
    assert_eq!(Call::new("DELETE", &beside).send(&world, platform).await.problem(), "not-found");
    Call::new("DELETE", &format!("{path}/{id}")).send(&world, platform).await.expect(204);
    let gateways = "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod/gateways";
    assert_eq!(world.get(platform, gateways).await.expect(200).json(), json!({ "items": [] }));
    let many: serde_json::Map<String, Value> = (0..21).map(|n| (format!("l{n}"), json!("x"))).collect();
    assert_eq!(world.post(platform, path, json!({ "labels": many })).await.problem(), "invalid");
}

pub(crate) async fn plain_http_is_kept(world: World) {
    let platform = &world.platform;
    let answer = world.get(platform, "/v1/whoami").await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(world.get("", "/livez").await.expect(200).text(), "ok\n");
    assert_eq!(world.get("", "/readyz").await.expect(200).text(), "ok\n");
    assert_eq!(world.get("", "/problems/not-found").await.expect(200).json()["status"], 404);
    assert_eq!(world.get("", "/v1/openapi.json").await.expect(200).json()["openapi"], "3.1.0");
    assert_eq!(world.get("", "/metrics").await.problem(), "unauthenticated");
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    assert_eq!(world.get(&admin, "/metrics").await.problem(), "forbidden");
    let metrics = world.get(platform, "/metrics").await.expect(200).text();
    assert!(metrics.contains("mcpg_cp_requests_total{operation=\"whoami\",status=\"200\"} 1"), "{metrics}");
    assert!(!metrics.contains("acme"), "no tenant is named");
    assert!(["sqlite", "postgresql"].contains(&world.backend));
}
