//! Credentials that are made and taken back: tokens of the service's administrators, sessions.

use serde_json::json;

use crate::world::{ACME, Call, World};

const TOKENS: &str = "/v1/platform-tokens";

pub(crate) async fn platform_tokens_are_made_and_revoked(world: World) {
    let first = world.platform.clone();
    let made = world.post(&first, TOKENS, json!({ "name": "on call", "expires_in_seconds": 60 })).await;
    let made = made.expect(201).json();
    let second = made["token"].as_str().unwrap();
    assert!(second.starts_with("mcpg_cpp_"), "{made}");
    let listed = world.get(second, TOKENS).await.expect(200);
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 2);
    assert!(!listed.text().contains(second));

    // Nobody locks everybody out: the token that asks stays.
    let whoami = world.get(second, "/v1/whoami").await.json();
    let own = whoami["actor"].as_str().unwrap().strip_prefix("platform:").unwrap();
    assert_eq!(made["resource"]["id"], own);
    let revoke = async |id: &str, token: &str| {
        Call::new("DELETE", &format!("{TOKENS}/{id}")).send(&world, token).await
    };
    assert_eq!(revoke(own, second).await.problem(), "state");
    let items = listed.json()["items"].clone();
    let other = items.as_array().unwrap().iter().find(|token| token["id"] != own).unwrap()["id"].clone();
    revoke(other.as_str().unwrap(), second).await.expect(204);
    assert_eq!(world.get(&first, "/v1/whoami").await.problem(), "unauthenticated");
    let missing = "0199a7f0-6c00-7000-8000-000000000001";
    assert_eq!(revoke(missing, second).await.problem(), "not-found");
    assert_eq!(revoke("x", second).await.problem(), "not-found");

    // It ends by itself; without a word of it after 90 days.
    let made = world.post(second, TOKENS, json!({ "name": "x" })).await.expect(201).json();
    assert!(made["resource"]["expires_at"].is_string());
    world.clock.advance_ms(61_000);
    assert_eq!(world.get(second, "/v1/whoami").await.problem(), "unauthenticated");
    let third = made["token"].as_str().unwrap();
    for wrong in [json!({ "name": "x", "expires_in_seconds": 59 }), json!({ "name": "" }), json!({})] {
        assert_eq!(world.post(third, TOKENS, wrong).await.problem(), "invalid");
    }
}

pub(crate) async fn a_session_ends_by_signing_out(world: World) {
    let sign_out = async |token: &str| Call::new("POST", "/v1/sign-out").send(&world, token).await;
    world.grant("alice@acme.com", "admin", "org/acme-corp").await;
    let (session, other) =
        (world.session(ACME, "alice@acme.com").await, world.session(ACME, "alice@acme.com").await);
    world.get(&session, "/v1/orgs/acme-corp/members").await.expect(200);
    sign_out(&session).await.expect(204);
    assert_eq!(world.get(&session, "/v1/whoami").await.problem(), "unauthenticated");
    assert_eq!(sign_out(&session).await.problem(), "unauthenticated");
    // Other sessions of the member go on.
    world.get(&other, "/v1/whoami").await.expect(200);
    let rows = world.get(&other, "/v1/orgs/acme-corp/audit?newest_first=true&limit=1").await.json();
    assert_eq!(rows["items"][0]["target"], "token.revoke", "{rows}");
    assert_eq!(rows["items"][0]["subject"], "user:alice@acme.com");
    // A member without a role signs out, too; what is no session does not.
    let mallory = world.session(ACME, "mallory@acme.com").await;
    sign_out(&mallory).await.expect(204);
    for token in [world.platform.clone(), world.token(ACME, "admin", "org/acme-corp").await] {
        assert_eq!(sign_out(&token).await.problem(), "state");
    }
}
