//! The audit chain and usage, as the API shows them.

use mcpg_cp::store::{Actor, UsageCounts, UsageKey};
use serde_json::json;

use crate::world::{ACME, OTHER, World};

pub(crate) async fn what_operators_do_is_listed(world: World) {
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    world.post(&admin, "/v1/orgs/acme-corp/workspaces", json!({ "slug": "labs" })).await.expect(201);
    world
        .post(&admin, "/v1/orgs/acme-corp/workspaces/labs/environments", json!({ "slug": "dev" }))
        .await
        .expect(201);
    world
        .post(&world.platform, "/v1/orgs/other-corp/workspaces", json!({ "slug": "labs" }))
        .await
        .expect(201);
    let path = "/v1/orgs/acme-corp/audit";
    let rows = world
        .get(&admin, &format!("{path}?kind=operator&newest_first=true&limit=2"))
        .await
        .expect(200)
        .json();
    let first = &rows["items"][0];
    let whoami = world.get(&admin, "/v1/whoami").await.json();
    assert_eq!((&first["subject"], &first["kind"]), (&whoami["actor"], &json!("operator")));
    assert!(
        rows["next_cursor"].is_string() && first["sequence"].as_u64() > rows["items"][1]["sequence"].as_u64()
    );
    let next = format!(
        "{path}?kind=operator&newest_first=true&limit=2&cursor={}",
        rows["next_cursor"].as_str().unwrap()
    );
    let older = world.get(&admin, &next).await.expect(200).json();
    assert!(older["items"][0]["sequence"].as_u64() < rows["items"][1]["sequence"].as_u64());
    let all = world.get(&admin, &format!("{path}?limit=200")).await.expect(200).text();
    assert!(!all.contains("other-corp"), "{all}");
    let environment = "/v1/orgs/acme-corp/workspaces/labs/environments/dev/audit";
    world.get(&admin, environment).await.expect(200);
    assert_eq!(world.get(&admin, &environment.replace("dev", "no-such")).await.problem(), "not-found");
    let foreign = world.token(OTHER, "admin", "org/other-corp").await;
    assert_eq!(world.get(&foreign, path).await.problem(), "not-found");
    for wrong in ["?cursor=61", "?after=-1", "?since=yesterday", "?kinds=operator"] {
        assert_eq!(world.get(&admin, &format!("{path}{wrong}")).await.problem(), "query", "{wrong}");
    }
}

pub(crate) async fn usage_is_added_up(world: World) {
    let org = world.store.platform().org_by_slug(&ACME.parse().unwrap()).await.unwrap();
    let hour = mcpg_cp::store::Clock::now(&*world.clock) / 3_600_000 * 3_600_000 - 3_600_000;
    let key = |environment: &str, tool: &str| UsageKey {
        hour,
        workspace: "platform-team".to_owned(),
        environment: environment.to_owned(),
        tool: tool.to_owned(),
        caller: "user:alice@acme.com".to_owned(),
    };
    let counts = UsageCounts { calls: 3, denied: 1, failed: 0, bytes: 10, duration_us: 5 };
    let mut write = world.store.scope(org.id).begin(Actor::system("system")).await.unwrap();
    let used =
        [(key("prod", "echo"), counts), (key("prod", "a\"b"), counts), (key("staging", "echo"), counts)];
    write.add_usage(&used).await.unwrap();
    write.commit().await.unwrap();
    let viewer = world.token(ACME, "viewer", "org/acme-corp").await;
    let all = world.get(&viewer, "/v1/orgs/acme-corp/usage").await.expect(200).json();
    assert_eq!((&all["items"][0]["calls"], &all["items"][0].get("tool")), (&json!(9), &None));
    let prod = "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod/usage?by_tool=true";
    let prod = world.get(&viewer, prod).await.expect(200).json();
    assert_eq!(prod["items"].as_array().unwrap().len(), 2);
    let one = world.get(&viewer, "/v1/orgs/acme-corp/usage?by_tool=true&limit=1").await.expect(200).json();
    assert_eq!((one["items"].as_array().unwrap().len(), &one["truncated"]), (1, &json!(true)));
    let metrics = world.get(&viewer, "/v1/orgs/acme-corp/metrics").await.expect(200).text();
    let line = r#"mcpg_cp_hour_calls{workspace="platform-team",environment="prod",tool="a\"b"} 3"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    let other = world.get(&world.platform, "/v1/orgs/other-corp/usage").await.expect(200).json();
    assert_eq!(other["items"].as_array().map(Vec::len), Some(0), "{other}");
}
