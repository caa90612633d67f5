//! What operators do is in the audit chain: one row for each change, naming who, what and to what, and none for reading.

use std::collections::BTreeSet;

use http::Method;
use mcpg_cp::api::endpoints;
use mcpg_cp::store::{AuditQuery, Page};
use mcpg_ledger::verify::{Row, RowBody};
use serde_json::{Value, json};

use crate::forwarding::Instance;
use crate::world::{ACME, Answer, Call, World};

const TEAM: &str = "/v1/orgs/acme-corp/workspaces/platform-team";
const PROD: &str = "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod";

/// Operations that change nothing that an operator decides on, or nothing of one organization.
const WITHOUT_ROW: &[&str] = &[
    // Their organization is not known, or there is none.
    "startSignIn",
    "finishSignIn",
    "createPlatformToken",
    "revokePlatformToken",
    "deletePlatformToken",
    // What a gateway says of itself.
    "beat",
    "acknowledgeRevision",
    "forwardAudit",
    "previewRevision",
];

/// Runs operations and looks at the chain after each.
struct Auditor<'w> {
    world: &'w World,
    token: String,
    actor: String,
    seen: usize,
    done: BTreeSet<String>,
}

impl<'w> Auditor<'w> {
    async fn new(world: &'w World) -> Self {
        let token = world.token(ACME, "admin", "org/acme-corp").await;
        let actor = world.get(&token, "/v1/whoami").await.json()["actor"].as_str().unwrap().to_owned();
        let seen = operators(world).await.len();
        Self { world, token, actor, seen, done: BTreeSet::new() }
    }

    async fn send(&mut self, (operation, call): (&str, Call), status: u16, row: (&str, &str)) -> Answer {
        let answer = call.send(self.world, &self.token).await;
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        let actor = self.actor.clone();
        self.look(operation, &actor, row).await;
        answer
    }

    /// One row has come, and it is this.
    async fn look(&mut self, operation: &str, actor: &str, (action, target): (&str, &str)) {
        let rows = operators(self.world).await;
        let new = &rows[self.seen..];
        assert_eq!(new.len(), 1, "{operation}: {new:?}");
        assert_eq!(new[0], (actor.to_owned(), action.to_owned(), target.to_owned()), "{operation}");
        self.seen = rows.len();
        self.done.insert(operation.to_owned());
    }

    async fn put(&mut self, operation: &str, path: &str, body: Value, row: (&str, &str)) -> Answer {
        let read = self.world.get(&self.token, path).await;
        let condition = if read.status == 404 { "if-none-match" } else { "if-match" };
        let status = if read.status == 404 { 201 } else { 200 };
        self.send((operation, Call::put(path, &body).header(condition, "*")), status, row).await
    }

    async fn post(&mut self, operation: &str, path: &str, body: Value, row: (&str, &str)) -> Value {
        self.send((operation, Call::post(path, &body)), 201, row).await.json()
    }

    async fn delete(&mut self, operation: &str, path: &str, row: (&str, &str)) {
        // Both kinds: with a tag and without.
        let answer = self.world.get(&self.token, path).await;
        let mut call = Call::new("DELETE", path);
        if answer.status == 200 && !answer.header("etag").is_empty() {
            call = call.header("if-match", "*");
        }
        let status = if operation == "removeLicense" { 200 } else { 204 };
        self.send((operation, call), status, row).await;
    }
}

/// Actor, action and target of the rows of operators.
async fn operators(world: &World) -> Vec<(String, String, String)> {
    let org = world.store.platform().org_by_slug(&ACME.parse().unwrap()).await.unwrap();
    let mut read = world.store.scope(org.id).read().await.unwrap();
    let query = AuditQuery { kind: Some("operator".to_owned()), ..AuditQuery::default() };
    let (mut found, mut page) = (Vec::new(), Page::first(1000));
    loop {
        let rows = read.audit_rows(&query, &page).await.unwrap();
        for row in rows.items {
            let RowBody::Operator(operator) = Row::decode(&row.row).unwrap().body else { panic!("{row:?}") };
            found.push((operator.subject, operator.action, operator.target));
        }
        match rows.next {
            Some(next) => page.after = Some(next),
            None => return found,
        }
    }
}

pub(crate) async fn every_change_is_one_row(world: World) {
    world.buy(ACME, "enterprise").await;
    let mut audit = Auditor::new(&world).await;
    tree(&mut audit).await;
    let (org, team, prod) =
        ("org/acme-corp", "workspace/acme-corp/platform-team", "env/acme-corp/platform-team/prod");
    let plugins = json!({ "spec": { "plugins": [{ "id": "identity.anonymous" }] } });
    let set = format!("{TEAM}/plugin-sets/main");
    audit.put("putPluginSet", &set, plugins, ("plugin_set.put", team)).await;
    let policy = json!({ "spec": { "engine": "cedar", "files": { "a.cedar": "permit (principal, action, resource);" } } });
    let policies = format!("{TEAM}/policies/main");
    audit.put("putPolicy", &policies, policy, ("policy.put", team)).await;
    let secret = format!("{TEAM}/secret-references/github");
    audit
        .put(
            "putSecretReference",
            &secret,
            json!({ "reference": "$secret://env/GITHUB" }),
            ("secret_reference.put", team),
        )
        .await;
    audit.delete("deleteSecretReference", &secret, ("secret_reference.delete", team)).await;
    let binding = json!([{ "id": "demo", "type": "mcp", "url": "https://mcp.acme.com/" }]);
    let config = json!({ "spec": { "plugin_set": "main", "bindings": binding } });
    let path = format!("{PROD}/config");
    audit.put("putGatewayConfig", &path, config, ("gateway_config.put", prod)).await;
    let revisions = format!("{PROD}/revisions");
    audit.post("publishRevision", &revisions, json!({}), ("revision.publish", prod)).await;
    audit
        .post("rollBackRevision", &format!("{revisions}/1/rollback"), json!({}), ("revision.publish", prod))
        .await;
    // To publish in stages is two decisions.
    let staged = Call::post(&revisions, &json!({ "rollout": { "percent": 10 } }));
    let published = staged.send(&world, &audit.token).await.expect(201).json();
    let rows = operators(&world).await;
    let actions: Vec<&str> = rows[audit.seen..].iter().map(|(_, action, _)| action.as_str()).collect();
    assert_eq!(actions, ["revision.publish", "rollout.begin"]);
    audit.seen = rows.len();
    let rollout = format!("{revisions}/{}/rollout", published["number"]);
    audit
        .send(
            ("changeRollout", Call::put(&rollout, &json!({ "percent": 100 }))),
            200,
            ("rollout.update", prod),
        )
        .await;
    audit.delete("deleteGatewayConfig", &path, ("gateway_config.delete", prod)).await;
    audit.delete("deletePolicy", &policies, ("policy.delete", team)).await;
    audit.delete("deletePluginSet", &set, ("plugin_set.delete", team)).await;

    let tokens = format!("{PROD}/enrollment-tokens");
    let made =
        audit.post("createEnrollmentToken", &tokens, json!({}), ("enrollment_token.create", prod)).await;
    let id = made["resource"]["id"].as_str().unwrap().to_owned();
    audit.delete("deleteEnrollmentToken", &format!("{tokens}/{id}"), ("enrollment_token.revoke", prod)).await;
    let made =
        audit.post("createEnrollmentToken", &tokens, json!({}), ("enrollment_token.create", prod)).await;
    let id = made["resource"]["id"].as_str().unwrap().to_owned();
    let gateway = Instance::enrolled_with(&world, "gw-1", 1, made["token"].as_str().unwrap()).await;
    audit.look("enrollGateway", &format!("enrollment:{id}"), ("gateway.enroll", prod)).await;
    let path = format!("{PROD}/gateways/{}", gateway.id());
    audit.delete("retireGateway", &path, ("gateway.retire", prod)).await;

    let list = json!({ "spec": { "artifacts": [] } });
    audit
        .put("putRevocationList", "/v1/orgs/acme-corp/revocation-list", list, ("revocation_list.put", org))
        .await;
    audit.delete("removeLicense", "/v1/orgs/acme-corp/license", ("org.update", org)).await;
    let license = json!({ "license": world.license(ACME, "team") });
    audit
        .send(
            ("installLicense", Call::put("/v1/orgs/acme-corp/license", &license).header("if-match", "*")),
            200,
            ("org.update", org),
        )
        .await;
    of_the_service(&mut audit).await;
    let missing: Vec<&str> = endpoints()
        .iter()
        .filter(|endpoint| endpoint.method != Method::GET)
        .map(|endpoint| endpoint.operation)
        .filter(|operation| !audit.done.contains(*operation) && !WITHOUT_ROW.contains(operation))
        .collect();
    assert_eq!(missing, ["x"; 0], "no row of these was looked at");
}

/// What administrators of the service do to an organization, and members to their sessions.
async fn of_the_service(audit: &mut Auditor<'_>) {
    let world = audit.world;
    let actor = world.get(&world.platform, "/v1/whoami").await.json()["actor"].as_str().unwrap().to_owned();
    let subdomain = Call::put("/v1/orgs/acme-corp/subdomain", &json!({ "subdomain": "acme" }));
    subdomain.header("if-match", "*").send(world, &world.platform).await.expect(200);
    audit.look("setSubdomain", &actor, ("org.subdomain", "org/acme-corp")).await;
    world.post(&world.platform, "/v1/orgs", json!({ "slug": "umbrella" })).await.expect(201);
    let rows = world.get(&world.platform, "/v1/orgs/umbrella/audit").await.expect(200).json();
    let rows = rows["items"].as_array().unwrap().clone();
    assert_eq!(
        (rows.len(), &rows[0]["subject"], &rows[0]["target"]),
        (1, &json!(actor), &json!("org.create"))
    );
    audit.done.insert("createOrganization".to_owned());
    let session = world.session(ACME, "carol@acme.com").await;
    audit.seen = operators(world).await.len();
    Call::new("POST", "/v1/sign-out").send(world, &session).await.expect(204);
    audit.look("signOut", "user:carol@acme.com", ("token.revoke", "org/acme-corp")).await;
}

/// The tree, roles and tokens.
async fn tree(audit: &mut Auditor<'_>) {
    let org = "org/acme-corp";
    let root = "/v1/orgs/acme-corp";
    let update = json!({ "display_name": "Acme" });
    audit.put("updateOrganization", root, update, ("org.update", org)).await;
    let labs = format!("{root}/workspaces/labs");
    let workspace = "workspace/acme-corp/labs";
    audit
        .post(
            "createWorkspace",
            &format!("{root}/workspaces"),
            json!({ "slug": "labs" }),
            ("workspace.create", workspace),
        )
        .await;
    audit
        .put("updateWorkspace", &labs, json!({ "display_name": "Labs" }), ("workspace.update", workspace))
        .await;
    let environment = "env/acme-corp/labs/dev";
    audit
        .post(
            "createEnvironment",
            &format!("{labs}/environments"),
            json!({ "slug": "dev" }),
            ("environment.create", environment),
        )
        .await;
    let dev = format!("{labs}/environments/dev");
    audit
        .put("updateEnvironment", &dev, json!({ "display_name": "Dev" }), ("environment.update", environment))
        .await;
    audit.delete("deleteEnvironment", &dev, ("environment.delete", environment)).await;
    audit.delete("deleteWorkspace", &labs, ("workspace.delete", workspace)).await;
    let grant = json!({ "member": "bob@acme.com", "role": "viewer", "on": org });
    let made =
        audit.post("createRoleBinding", &format!("{root}/role-bindings"), grant, ("role.grant", org)).await;
    let path = format!("{root}/role-bindings/{}", made["id"].as_str().unwrap());
    audit.delete("deleteRoleBinding", &path, ("role.revoke", org)).await;
    let token = json!({ "name": "ci", "role": "viewer", "on": org });
    let made =
        audit.post("createApiToken", &format!("{root}/api-tokens"), token, ("token.create", org)).await;
    let path = format!("{root}/api-tokens/{}", made["resource"]["id"].as_str().unwrap());
    audit.delete("deleteApiToken", &path, ("token.revoke", org)).await;
}

pub(crate) async fn reading_leaves_no_row(world: World) {
    let token = world.token(ACME, "admin", "org/acme-corp").await;
    let before = operators(&world).await.len();
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.method == Method::GET) {
        let path = endpoint
            .path
            .replace("{org}", ACME)
            .replace("{workspace}", "platform-team")
            .replace("{environment}", "prod")
            .replace("{name}", "main")
            .replace("{member}", "bob@acme.com");
        let path = path.replace("{number}", "1").replace("{version}", "1");
        let path = path.replace("{id}", "0199a7f0-6c00-7000-8000-000000000001");
        let answer = world.get(&token, &path).await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
    }
    assert_eq!(operators(&world).await.len(), before);
}
