//! Signing in with an organization's identity provider. The provider is npm `oidc-provider`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::provider::Provider;
use crate::world::{ACME, Answer, Call, OTHER, World};

const CLIENT: &str = "mcpg-cp";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://127.0.0.1:8400/callback";

/// None, aloud, where there is no Node.
fn provider() -> Option<Provider> {
    let issuer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/issuer");
    Provider::start(&issuer, CLIENT, "single sign-on")
}

/// What a browser brings back in which a person signs in: the code and the state.
fn browse(provider: &Provider, url: &str, sub: &str, verified: bool) -> (String, String) {
    let location = provider.browse(url, sub, verified);
    assert!(location.starts_with(REDIRECT), "{location}");
    let url = url::Url::parse(&location).unwrap();
    let part =
        |name: &str| url.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned());
    (part("code").unwrap_or_else(|| panic!("{location}")), part("state").unwrap())
}

async fn configure(world: &World, org: &str, sign_on: &Value) -> Answer {
    let body = json!({ "display_name": "Acme", "single_sign_on": sign_on });
    Call::put(&format!("/v1/orgs/{org}"), &body).header("if-match", "*").send(world, &world.platform).await
}

async fn start(world: &World, org: &str) -> Answer {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let body = json!({ "organization": org, "redirect_uri": REDIRECT, "code_challenge": challenge });
    world.post("", "/v1/sign-in", body).await
}

async fn finish(world: &World, state: &str, code: &str, verifier: &str) -> Answer {
    let body = json!({ "state": state, "code": code, "code_verifier": verifier });
    world.post("", "/v1/sign-in/finish", body).await
}

pub(crate) async fn a_member_signs_in(world: World) {
    let Some(provider) = provider() else { return };
    assert_eq!(start(&world, ACME).await.problem(), "not-found", "an organization without a provider");
    assert_eq!(start(&world, "no-such-org").await.problem(), "not-found");
    let sign_on = json!({ "issuer": provider.url, "client_id": CLIENT, "domains": ["acme.com"] });
    configure(&world, ACME, &sign_on).await.expect(200);
    world.grant("alice@acme.com", "admin", "org/acme-corp").await;

    let begun = start(&world, ACME).await.expect(200).json();
    let page = begun["authorization_url"].as_str().unwrap();
    let (code, state) = browse(&provider, page, "alice", true);
    assert_eq!(begun["state"], state.as_str());
    let session = finish(&world, &state, &code, VERIFIER).await.expect(200).json();
    assert_eq!(session["member"], "alice@acme.com");
    let token = session["token"].as_str().unwrap();
    let whoami = world.get(token, "/v1/whoami").await.expect(200).json();
    assert_eq!(
        (&whoami["actor"], &whoami["roles"][0]["role"]),
        (&json!("user:alice@acme.com"), &json!("admin"))
    );
    world.get(token, "/v1/orgs/acme-corp/role-bindings").await.expect(200);
    assert_eq!(world.get(token, "/v1/orgs/other-corp").await.problem(), "not-found");
    assert_eq!(finish(&world, &state, &code, VERIFIER).await.problem(), "unauthenticated", "it ends once");
    // Sessions are not among the organization's API tokens, and end.
    assert_eq!(world.get(token, "/v1/orgs/acme-corp/api-tokens").await.json()["items"], json!([]));
    world.clock.advance_ms(8 * 3_600_000);
    assert_eq!(world.get(token, "/v1/whoami").await.problem(), "unauthenticated");
    world.clock.advance_ms(-8 * 3_600_000);

    // Whoever saw the redirect and has no verifier gets nothing, and the sign-in is over.
    let begun = start(&world, ACME).await.expect(200).json();
    let (code, state) = browse(&provider, begun["authorization_url"].as_str().unwrap(), "alice", true);
    let guessed = "x".repeat(43);
    assert_eq!(finish(&world, &state, &code, &guessed).await.problem(), "unauthenticated");
    assert_eq!(finish(&world, &state, &code, VERIFIER).await.problem(), "unauthenticated");

    // An address that the provider has not verified.
    let begun = start(&world, ACME).await.expect(200).json();
    let (code, state) = browse(&provider, begun["authorization_url"].as_str().unwrap(), "bob", false);
    assert_eq!(finish(&world, &state, &code, VERIFIER).await.problem(), "unauthenticated");

    // A domain that is not the organization's.
    let strangers = json!({ "issuer": provider.url, "client_id": CLIENT, "domains": ["other.com"] });
    configure(&world, OTHER, &strangers).await.expect(200);
    let begun = start(&world, OTHER).await.expect(200).json();
    let (code, state) = browse(&provider, begun["authorization_url"].as_str().unwrap(), "alice", true);
    assert_eq!(finish(&world, &state, &code, VERIFIER).await.problem(), "unauthenticated");

    // Too late.
    let begun = start(&world, ACME).await.expect(200).json();
    let (code, state) = browse(&provider, begun["authorization_url"].as_str().unwrap(), "alice", true);
    world.clock.advance_ms(10 * 60_000);
    assert_eq!(finish(&world, &state, &code, VERIFIER).await.problem(), "unauthenticated");
    world.clock.advance_ms(-10 * 60_000);

    // The provider was changed in between.
    let begun = start(&world, ACME).await.expect(200).json();
    let (code, state) = browse(&provider, begun["authorization_url"].as_str().unwrap(), "alice", true);
    let changed = json!({ "issuer": provider.url, "client_id": "another", "domains": ["acme.com"] });
    configure(&world, ACME, &changed).await.expect(200);
    assert_eq!(finish(&world, &state, &code, VERIFIER).await.problem(), "unauthenticated");
}

pub(crate) async fn providers_are_strangers(world: World) {
    for (issuer, status) in [
        ("http://169.254.169.254", 502),
        ("https://10.0.0.1", 502),
        ("https://localhost:1", 502),
        ("http://127.0.0.1:1", 502),
    ] {
        let sign_on = json!({ "issuer": issuer, "client_id": CLIENT, "domains": ["acme.com"] });
        configure(&world, ACME, &sign_on).await.expect(200);
        let answer = start(&world, ACME).await;
        assert_eq!(answer.status, status, "{issuer}: {}", answer.text());
        assert_eq!(answer.problem(), "identity-provider");
        assert!(answer.json().get("detail").is_none(), "what was found of the network is not told");
    }
    for wrong in
        ["ftp://acme.com", "https://user@acme.com", "https://acme.com?x", "https://acme.com#x", "acme.com"]
    {
        let sign_on = json!({ "issuer": wrong, "client_id": CLIENT, "domains": ["acme.com"] });
        assert_eq!(configure(&world, ACME, &sign_on).await.problem(), "invalid", "{wrong}");
    }
}
