//! What is kept in versions, and secret references.

use serde_json::json;

use crate::world::{ACME, Call, World};

const SETS: &str = "/v1/orgs/acme-corp/workspaces/platform-team/plugin-sets";

pub(crate) async fn a_plugin_set_is_put_in_versions(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let path = format!("{SETS}/platform-team-prod");
    let one = json!({ "spec": { "plugins": [
        { "id": "identity.oidc" },
        { "id": "policy.cedar", "config": { "bundle": "oci://policies.acme.com/platform-team:1.0" } },
    ] } });
    let put = |body: &serde_json::Value, condition: (&str, &str)| {
        Call::put(&path, body).header(condition.0, condition.1)
    };
    assert_eq!(Call::put(&path, &one).send(&world, &operator).await.problem(), "precondition-required");
    assert_eq!(put(&one, ("if-match", "*")).send(&world, &operator).await.problem(), "precondition");
    let tried = Call::put(&format!("{path}?dry_run=true"), &one).header("if-none-match", "*");
    tried.send(&world, &operator).await.expect(201);
    assert_eq!(world.get(&operator, &path).await.problem(), "not-found", "a dry run does nothing");
    let first = put(&one, ("if-none-match", "*")).send(&world, &operator).await.expect(201).json();
    assert_eq!((&first["version"], &first["on"]), (&json!(1), &json!("workspace/acme-corp/platform-team")));
    assert_eq!(first["spec"], one["spec"], "what is as it would be anyway is not written");
    assert_eq!(put(&one, ("if-none-match", "*")).send(&world, &operator).await.problem(), "precondition");
    // The same content in another order is no new version.
    let same = json!({ "spec": { "require_signed": true, "plugins": [
        { "id": "identity.oidc", "enforce": true },
        { "config": { "bundle": "oci://policies.acme.com/platform-team:1.0" }, "id": "policy.cedar" },
    ] } });
    let again = put(&same, ("if-match", "\"1\"")).send(&world, &operator).await.expect(200).json();
    assert_eq!((&again["version"], &again["digest"]), (&first["version"], &first["digest"]));
    let shadow = json!({ "spec": { "plugins": [{ "id": "policy.cedar", "enforce": false }] } });
    let second = put(&shadow, ("if-match", "\"1\"")).send(&world, &operator).await.expect(200);
    assert_eq!(second.header("etag"), "\"2\"");
    assert_eq!(put(&one, ("if-match", "\"1\"")).send(&world, &operator).await.problem(), "precondition");
    let diff = world.get(&operator, &format!("{path}/diff")).await.expect(200).json();
    let pointers: Vec<&str> = diff["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        ["/plugins/identity.oidc", "/plugins/policy.cedar/config", "/plugins/policy.cedar/enforce"]
    );
    let versions = world.get(&operator, &format!("{path}/versions")).await.expect(200).json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    let old = world.get(&operator, &format!("{path}/versions/1")).await.expect(200).json();
    assert_eq!(old["spec"], one["spec"]);
    for missing in ["versions/3", "versions/0", "versions/01", "versions/x", "diff?from=9"] {
        assert_eq!(
            world.get(&operator, &format!("{path}/{missing}")).await.problem(),
            "not-found",
            "{missing}"
        );
    }
    let listed = world.get(&operator, SETS).await.expect(200).json();
    assert_eq!((&listed["items"][0]["version"], listed["items"].as_array().unwrap().len()), (&json!(2), 1));
    Call::new("DELETE", &path).header("if-match", "\"2\"").send(&world, &operator).await.expect(204);
    assert_eq!(world.get(&operator, &format!("{path}/versions")).await.problem(), "not-found");
    let made_again = put(&one, ("if-none-match", "*")).send(&world, &operator).await.expect(201).json();
    assert_eq!(made_again["version"], 3, "an etag from before never matches");
    let viewer = world.token(ACME, "viewer", "org/acme-corp").await;
    world.get(&viewer, &path).await.expect(200);
    assert_eq!(put(&one, ("if-match", "*")).send(&world, &viewer).await.problem(), "forbidden");
}

pub(crate) async fn what_a_document_says_is_checked(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let base = "/v1/orgs/acme-corp/workspaces/platform-team";
    let config = "environments/prod/config";
    for (path, spec, pointer) in [
        ("plugin-sets/ab", json!({ "plugins": [{ "id": "a" }, { "id": "a" }] }), "/spec/plugins/1"),
        ("plugin-sets/ab", json!({ "plugins": [{ "id": "A" }] }), "/spec/plugins/0/id"),
        (
            "plugin-sets/ab",
            json!({ "plugins": [], "capability_grants": { "A": [] } }),
            "/spec/capability_grants",
        ),
        ("policies/ab", json!({ "engine": "cedar", "files": {} }), "/spec/files"),
        ("policies/ab", json!({ "engine": "cedar", "files": { "../x": "" } }), "/spec/files"),
        ("policies/ab", json!({ "engine": "prolog", "files": { "x": "" } }), "/spec/engine"),
        (config, json!({ "policies": ["ab", "ab"] }), "/spec/policies"),
        (config, json!({ "plugin_sets": "ab" }), "/spec/plugin_sets"),
    ] {
        let put = Call::put(&format!("{base}/{path}"), &json!({ "spec": spec })).header("if-none-match", "*");
        let answer = put.send(&world, &operator).await;
        assert_eq!(answer.problem(), "invalid", "{path} {spec}");
        let found = answer.json()["errors"][0]["pointer"].as_str().unwrap().to_owned();
        assert!(found.starts_with(pointer), "{path} {spec}: {found}");
    }
    for (path, spec) in [
        (
            "policies/ab",
            json!({ "engine": "cedar", "files": { "all.cedar": "permit (principal, action, resource);" } }),
        ),
        (config, json!({ "plugin_set": "ab", "policies": ["ab"], "bindings": [{ "id": "x" }] })),
        (config, json!({})),
    ] {
        let path = format!("{base}/{path}");
        let condition =
            if world.get(&operator, &path).await.status == 200 { "if-match" } else { "if-none-match" };
        let put =
            Call::put(&path, &json!({ "spec": spec })).header(condition, "*").send(&world, &operator).await;
        assert!([200, 201].contains(&put.status), "{}", put.text());
        assert_eq!(put.json()["spec"], spec);
    }
}

pub(crate) async fn secrets_are_referred_to(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let path = "/v1/orgs/acme-corp/workspaces/platform-team/secret-references/github";
    let body = json!({ "reference": "$secret://vault/kv/data/github#token" });
    let put = |body: &serde_json::Value| Call::put(path, body);
    let tried = Call::put(&format!("{path}?dry_run=true"), &body).header("if-none-match", "*");
    tried.send(&world, &operator).await.expect(201);
    assert_eq!(world.get(&operator, path).await.problem(), "not-found", "a dry run does nothing");
    let made = put(&body).header("if-none-match", "*").send(&world, &operator).await.expect(201);
    let changed =
        put(&json!({ "reference": "$secret://env/GITHUB" })).header("if-match", made.header("etag"));
    changed.send(&world, &operator).await.expect(200);
    assert_eq!(
        put(&body).header("if-match", made.header("etag")).send(&world, &operator).await.problem(),
        "precondition"
    );
    assert_eq!(
        put(&json!({ "reference": "hunter2" }))
            .header("if-match", "*")
            .send(&world, &operator)
            .await
            .problem(),
        "invalid"
    );
    let viewer = world.token(ACME, "viewer", "org/acme-corp").await;
    assert_eq!(world.get(&viewer, path).await.problem(), "forbidden");
    Call::new("DELETE", path).header("if-match", "*").send(&world, &operator).await.expect(204);
    let list = "/v1/orgs/acme-corp/revocation-list";
    assert_eq!(world.get(&viewer, list).await.problem(), "not-found");
    let digest = format!("sha256:{}", "ab".repeat(32));
    let spec = json!({ "spec": { "artifacts": [{ "digest": digest, "reason": "stolen key" }] } });
    let put = Call::put(list, &spec).header("if-none-match", "*");
    assert_eq!(put.clone().send(&world, &operator).await.problem(), "forbidden");
    let tried = Call::put(&format!("{list}?dry_run=true"), &spec).header("if-none-match", "*");
    tried.send(&world, &world.platform).await.expect(201);
    assert_eq!(world.get(&viewer, list).await.problem(), "not-found", "a dry run does nothing");
    put.send(&world, &world.platform).await.expect(201);
    assert_eq!(world.get(&viewer, list).await.expect(200).json()["spec"], spec["spec"]);
}
