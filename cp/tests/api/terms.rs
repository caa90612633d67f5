//! Terms of an organization as gateways get them: first, again when they change, and signed as nothing else is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use mcpg_cp_api::{SignedRevision, SignedTerms, revision_statement};
use serde_json::{Value, json};

use crate::fleet::{Events, Simulated, publish};
use crate::world::{ACME, Call, OTHER, World};

const LIST: &str = "/v1/orgs/acme-corp/revocation-list";
const TEAM: &str = "/v1/orgs/acme-corp/workspaces/platform-team";

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

async fn revoke(world: &World, path: &str, letters: &str) {
    let artifacts: Vec<Value> =
        letters.chars().map(|letter| json!({ "digest": digest(letter), "reason": "lets all in" })).collect();
    let put = Call::put(path, &json!({ "spec": { "artifacts": artifacts } }));
    let answer = put.clone().header("if-none-match", "*").send(world, &world.platform).await;
    if answer.status == 412 {
        put.header("if-match", "*").send(world, &world.platform).await.expect(200);
    }
}

/// What terms say, once their signature and digest hold.
fn opened(world: &World, terms: &Value) -> (u64, Value) {
    let signed: SignedTerms = serde_json::from_value(terms.clone()).unwrap();
    let key = VerifyingKey::from_bytes(&world.service.signer.public_key()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(&signed.signature).unwrap();
    key.verify_strict(&signed.statement(), &Signature::from_slice(&signature).unwrap()).unwrap();
    assert_eq!(signed.digest, mcpg_cp_api::document_digest(&signed.document));
    (signed.version, serde_json::from_str(&signed.document).unwrap())
}

async fn next(world: &World, events: &mut Events) -> (u64, Value) {
    let terms = events.terms().await;
    opened(world, &terms)
}

pub(crate) async fn terms_come_first_and_again_when_they_change(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let one = Simulated::enrol(&world, &operator, "prod", "gw-1", json!({})).await;
    let two = Simulated::enrol(&world, &operator, "staging", "gw-2", json!({})).await;
    publish(&world, &operator, "prod", 1, json!({})).await;
    let mut streams = (one.follow(&world, 0).await, two.follow(&world, 0).await);
    let (name, first) = streams.0.event().await.unwrap();
    assert_eq!(name, "terms", "before the first revision");
    let (version, said) = opened(&world, &first);
    assert_eq!(version, 1);
    assert_eq!(
        said,
        json!({ "revocation_list": { "version": 0, "artifacts": [] }, "license": { "tier": "community" } })
    );
    let revision: SignedRevision = serde_json::from_value(streams.0.next().await.unwrap()).unwrap();
    // No signature of the one is one of the other.
    let key = VerifyingKey::from_bytes(&world.service.signer.public_key()).unwrap();
    let terms: SignedTerms = serde_json::from_value(first).unwrap();
    let signature = |text: &str| Signature::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let as_revision =
        revision_statement(&revision.environment, terms.version, &terms.digest, terms.created_at);
    assert!(key.verify_strict(&as_revision, &signature(&terms.signature)).is_err());
    assert!(key.verify_strict(&terms.statement(), &signature(&revision.signature)).is_err());
    assert_eq!(next(&world, &mut streams.1).await.0, 1, "both gateways get the same");

    // A list goes to both, and publishes nothing.
    revoke(&world, LIST, "a").await;
    for stream in [&mut streams.0, &mut streams.1] {
        let (version, said) = next(&world, stream).await;
        assert_eq!((version, &said["revocation_list"]["version"]), (2, &json!(1)));
        let expected = json!([{ "digest": digest('a'), "reason": "lets all in" }]);
        assert_eq!(said["revocation_list"]["artifacts"], expected);
    }
    let revisions = world.get(&operator, &format!("{TEAM}/environments/prod/revisions")).await;
    assert_eq!(revisions.expect(200).json()["items"].as_array().unwrap().len(), 1);
    // Another organization's list is nobody else's.
    revoke(&world, "/v1/orgs/other-corp/revocation-list", "b").await;
    world.buy(ACME, "team").await;
    let (version, said) = next(&world, &mut streams.0).await;
    assert_eq!((version, &said["license"]["tier"]), (3, &json!("team")));
    assert_eq!(said["license"]["entitlements"], json!(["policy.*"]));
    assert_eq!(said["revocation_list"]["version"], 1);
    // Who comes later begins with what is in force.
    assert_eq!(next(&world, &mut one.follow(&world, 1).await).await, (version, said));
}

pub(crate) async fn a_gateway_says_which_terms_it_has(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let one = Simulated::enrol(&world, &operator, "prod", "gw-1", json!({})).await;
    for absent in ["terms", "wanted_terms"] {
        assert_eq!(one.shown(&world).await.get(absent), None, "{absent}");
    }
    revoke(&world, LIST, "a").await;
    next(&world, &mut one.follow(&world, 0).await).await;
    let beat =
        |terms: Value| json!({ "version": "1.1", "started_at": "2026-01-01T00:00:00Z", "terms": terms });
    assert_eq!(one.shown(&world).await["wanted_terms"], json!({ "version": 1, "revocation_list": 1 }));
    let held = json!({ "version": 1, "revocation_list": 1 });
    one.post(&world, "/v1/agent/heartbeat", beat(held.clone())).await.expect(204);
    assert_eq!(one.shown(&world).await["terms"], held);
    let wrong = json!({ "version": 1, "revocation_list": 1, "more": 1 });
    one.post(&world, "/v1/agent/heartbeat", beat(wrong)).await.expect(422);
}

pub(crate) async fn a_licence_that_ends_is_told(world: World) {
    world.buy(ACME, "team").await;
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let one = Simulated::enrol(&world, &operator, "prod", "gw-1", json!({})).await;
    let mut stream = one.follow(&world, 0).await;
    let (version, said) = next(&world, &mut stream).await;
    assert_eq!(said["license"]["tier"], "team");
    assert!(said["license"]["expires_at"].is_string(), "{said}");
    world.clock.advance_ms(86_401_000);
    let (newer, said) = next(&world, &mut stream).await;
    assert_eq!((newer, &said["license"]), (version + 1, &json!({ "tier": "community" })));
}

pub(crate) async fn what_is_revoked_is_not_published(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let set = |letter: char| {
        let bundle = format!("oci://policies.acme.com/main@{}", digest(letter));
        json!({ "plugins": [
            { "id": "identity.anonymous" }, { "id": "policy.cedar", "config": { "bundle": bundle } },
        ] })
    };
    let put = async |path: &str, spec: Value| {
        let put = Call::put(path, &json!({ "spec": spec }));
        let first = put.clone().header("if-none-match", "*").send(&world, &operator).await;
        if first.status == 412 {
            put.header("if-match", "*").send(&world, &operator).await.expect(200);
        }
    };
    let bindings = json!([{ "id": "demo", "type": "mcp", "url": "http://127.0.0.1:1/mcp" }]);
    let config = json!({ "plugin_set": "main", "bindings": bindings });
    put(&format!("{TEAM}/plugin-sets/main"), set('a')).await;
    put(&format!("{TEAM}/environments/prod/config"), config).await;
    let revisions = format!("{TEAM}/environments/prod/revisions");
    let requests = [
        (revisions.clone(), Some(json!({}))),
        (format!("{revisions}/preview"), None),
        (format!("{revisions}/1/rollback"), Some(json!({}))),
    ];
    world.post(&operator, &revisions, json!({})).await.expect(201);
    // One of another organization revokes nothing here.
    revoke(&world, &format!("/v1/orgs/{OTHER}/revocation-list"), "a").await;
    Call::new("POST", &requests[1].0).send(&world, &operator).await.expect(200);
    revoke(&world, LIST, "a").await;
    for (path, body) in &requests {
        let call = Call::new("POST", path);
        let call = body.iter().fold(call, |call, body| call.json(body));
        let refused = call.send(&world, &operator).await.expect(422);
        let text = refused.text();
        for said in ["`plugins.load[1]` (`policy.cedar`)", &digest('a'), "version 1: lets all in"] {
            assert!(text.contains(said), "{path}: {text}");
        }
    }
    // Another artifact is published; the older revision stays out of reach until the list lets it go.
    put(&format!("{TEAM}/plugin-sets/main"), set('b')).await;
    world.post(&operator, &revisions, json!({})).await.expect(201);
    let rollback = &requests[2].0;
    world.post(&operator, rollback, json!({})).await.expect(422);
    revoke(&world, LIST, "").await;
    world.post(&operator, rollback, json!({})).await.expect(201);
}
