//! Requests whose body or query refers to something: with what is another's, and with what is nowhere.

use std::collections::BTreeSet;

use mcpg_cp::api::endpoint::Endpoint;
use mcpg_cp::api::endpoints;
use serde_json::json;

use super::bodies::config;
use super::dump::Dump;
use super::recorder::Recorder;
use super::seen;
use super::tree::{Forest, SHARED, SHARED_KEY, Template, Thing, put};
use crate::forwarding::GatewayLog;
use crate::world::{Answer, Call, World};

/// Operations whose body and query refer to nothing that could be another's: pages, times, numbers and texts of one's own; names and secrets that are the
/// service's, not an organization's (a subdomain, a token, a sign-in under way).
pub(crate) const PLAIN: &[&str] = &[
    "beat",
    "changeRollout",
    "createEnrollmentToken",
    "createOrganization",
    "createPlatformToken",
    "enrollGateway",
    "exportAudit",
    "finishSignIn",
    "followRevisions",
    "listApiTokens",
    "listAuditCheckpoints",
    "listEnrollmentTokens",
    "listEnvironments",
    "listGatewayConfigVersions",
    "listGateways",
    "listMembers",
    "listOrganizations",
    "listPlatformTokens",
    "listPluginSetVersions",
    "listPluginSets",
    "listPolicies",
    "listPolicyVersions",
    "listRevisions",
    "listRoleBindings",
    "listSecretReferences",
    "listWorkspaces",
    "putPluginSet",
    "putPolicy",
    "putRevocationList",
    "putSecretReference",
    "readEnvironmentUsage",
    "readUsage",
    "readWorkspaceUsage",
    "rollBackRevision",
    "setSubdomain",
    "updateEnvironment",
    "updateOrganization",
    "updateWorkspace",
];

/// What is compared.
struct Trial<'w> {
    world: &'w World,
    recorder: &'w Recorder,
    tried: BTreeSet<&'static str>,
}

/// Tries all; which operations that were.
pub(crate) async fn all(world: &World, recorder: &Recorder, forest: &mut Forest) -> BTreeSet<&'static str> {
    let mut trial = Trial { world, recorder, tried: BTreeSet::new() };
    let before = Dump::of(world).await;
    trial.nodes(forest).await;
    trial.versions(forest).await;
    trial.audit(forest).await;
    trial.licences(forest).await;
    trial.sign_in(forest).await;
    trial.gateways(forest).await;
    assert_eq!(Dump::of(world).await.differences(&before), Vec::<String>::new());
    trial.configurations(forest).await;
    trial.names(forest).await;
    trial.tried
}

impl Trial<'_> {
    /// The same answer and the same statements for what is another's as for what is nowhere.
    async fn same(
        &mut self,
        operation: &'static str,
        token: &str,
        foreign: (&str, Call),
        missing: (&str, Call),
    ) -> Answer {
        self.tried.insert(operation);
        let (one, statements) = self.recorder.watch(foreign.1.send(self.world, token)).await;
        let (other, expected) = self.recorder.watch(missing.1.send(self.world, token)).await;
        // A number that was asked for is not said again.
        let text = |answer: &Answer, name: &str| match name.parse::<u64>() {
            Ok(_) => format!("{:?}", seen(answer)),
            Err(_) => format!("{:?}", seen(answer)).replace(name, "NAME"),
        };
        assert_eq!(text(&one, foreign.0), text(&other, missing.0), "{operation}");
        assert_eq!(statements, expected, "{operation}: {} {}", foreign.0, missing.0);
        one
    }

    /// Nodes that roles and tokens are on.
    async fn nodes(&mut self, forest: &mut Forest) {
        let own = forest.some(&Template::of("/v1/orgs/{org}"));
        let token = forest.administrator(&own).token.clone();
        for path in ["/v1/orgs/{org}", WORKSPACE, ENVIRONMENT] {
            let level = ["org", "workspace", "env"][Template::of(path).kinds.len() - 1];
            let others = elsewhere(forest, path, &own);
            // As it is, and as if it were one's own.
            for foreign in [others.values.clone(), with_first(&others.values, &own.values[0])] {
                if foreign == own.values {
                    continue;
                }
                let mut missing = foreign.clone();
                let from = usize::from(foreign[0] == own.values[0]);
                for value in &mut missing[from..] {
                    *value = forest.missing(value);
                }
                let on = |values: &[String]| format!("{level}/{}", values.join("/"));
                for (operation, rest, member) in [
                    ("createRoleBinding", "role-bindings", ("member", "new@acme.com")),
                    ("createApiToken", "api-tokens", ("name", "new")),
                ] {
                    let call = |on: &str| {
                        let body = json!({ member.0: member.1, "role": "viewer", "on": on });
                        Call::post(&format!("{}/{rest}", own.path()), &body)
                    };
                    let (foreign, missing) = (on(&foreign), on(&missing));
                    let pair = ((foreign.as_str(), call(&foreign)), (missing.as_str(), call(&missing)));
                    assert_eq!(self.same(operation, &token, pair.0, pair.1).await.status, 422, "{foreign}");
                }
            }
        }
    }

    /// Versions that others have.
    async fn versions(&mut self, forest: &mut Forest) {
        for endpoint in named(|endpoint| endpoint.path.ends_with("/diff")) {
            let versions = endpoint.path.replace("/diff", "/versions/{version}");
            let (own, others) = forest.with_others(&Template::of(&versions));
            let token = forest.administrator(&own).token.clone();
            let (foreign, path) =
                (others[own.values.len() - 1][0].values.last().unwrap().clone(), own.path());
            let (base, _) = path.rsplit_once("/versions/").unwrap();
            let missing = forest.missing(&foreign);
            for query in ["from", "to"] {
                let call = |number: &str| Call::new("GET", &format!("{base}/diff?{query}={number}"));
                let pair = ((foreign.as_str(), call(&foreign)), (missing.as_str(), call(&missing)));
                assert_eq!(self.same(endpoint.operation, &token, pair.0, pair.1).await.status, 404);
            }
        }
    }

    /// Whom rows are about.
    async fn audit(&mut self, forest: &mut Forest) {
        for endpoint in named(|endpoint| endpoint.path.ends_with("/audit") && endpoint.path.contains("{org}"))
        {
            let template = Template::of(endpoint.path);
            let own = forest.some(&template);
            let token = forest.administrator(&own).token.clone();
            let member = elsewhere(forest, "/v1/orgs/{org}/members/{member}", &own).values[1].clone();
            let missing = forest.missing(&member);
            let call =
                |member: &str| Call::new("GET", &format!("{}?subject=user:{member}", template.path(&own)));
            let pair = ((member.as_str(), call(&member)), (missing.as_str(), call(&missing)));
            let answer = self.same(endpoint.operation, &token, pair.0, pair.1).await.expect(200);
            assert_eq!(answer.json()["items"], json!([]));
        }
    }

    async fn licences(&mut self, forest: &mut Forest) {
        let own = forest.some(&Template::of("/v1/orgs/{org}"));
        let token = forest.administrator(&own).token.clone();
        let foreign = elsewhere(forest, "/v1/orgs/{org}", &own).values[0].clone();
        let missing = forest.missing(&foreign);
        let call = |org: &str| {
            let body = json!({ "license": self.world.license(org, "enterprise") });
            Call::put(&format!("{}/license", own.path()), &body).header("if-match", "*")
        };
        let pair = ((foreign.as_str(), call(&foreign)), (missing.as_str(), call(&missing)));
        assert_eq!(self.same("installLicense", &token, pair.0, pair.1).await.status, 422);
    }

    /// Who is nobody yet is not told which organizations there are, unless they sign in there.
    async fn sign_in(&mut self, forest: &mut Forest) {
        let foreign = forest.some(&Template::of("/v1/orgs/{org}")).values[0].clone();
        let missing = forest.missing(&foreign);
        let call = |org: &str| {
            let body = json!({
                "organization": org, "redirect_uri": "http://127.0.0.1:1/callback", "code_challenge": "a".repeat(43),
            });
            Call::post("/v1/sign-in", &body)
        };
        let pair = ((foreign.as_str(), call(&foreign)), (missing.as_str(), call(&missing)));
        assert_eq!(self.same("startSignIn", "", pair.0, pair.1).await.status, 404);
    }

    /// Revisions and logs that are not the gateway's.
    async fn gateways(&mut self, forest: &mut Forest) {
        self.tried.extend(["acknowledgeRevision", "forwardAudit"]);
        let newest = |org: &str| {
            let of = |found: &&(Thing, u64, String)| {
                found.0.org() == org && found.0.values[1..] == SHARED.map(str::to_owned)
            };
            forest.digests.iter().filter(of).max_by_key(|found| found.1).unwrap().1
        };
        let (org, gateway) = forest.gateways.iter().min_by_key(|(org, _)| newest(org)).unwrap();
        let others =
            forest.digests.iter().filter(|(thing, number, _)| thing.org() != org && *number > newest(org));
        let (_, number, digest) = others.max_by_key(|found| found.1).unwrap();
        let said = |number: u64| json!({ "number": number, "digest": digest, "outcome": "applied" });
        let path = "/v1/agent/acknowledgements";
        let one = gateway.post(self.world, (0, path), &said(*number)).await;
        let other = gateway.post(self.world, (0, path), &said(900 + number)).await;
        assert_eq!((one.status, seen(&one)), (404, seen(&other)));
        let (foreign, _) = forest.gateways.iter().find(|(other, _)| other != org).unwrap();
        let mut answers = Vec::new();
        for organization in [foreign.as_str(), "nobody-at-all"] {
            let mut log = GatewayLog::new(organization.to_owned().leak());
            log.call(self.world, SHARED[1], "echo");
            let mut upload = log.upload(0, log.len());
            upload["log"] = json!("cd".repeat(16));
            answers.push(seen(&gateway.send(self.world, &upload).await));
        }
        assert!((400..500).contains(&answers[0].0), "{:?}", answers[0]);
        assert_eq!(answers[0], answers[1]);
    }

    /// What a configuration is to be made of.
    async fn configurations(&mut self, forest: &mut Forest) {
        let own = forest.some(&Template::of(ENVIRONMENT));
        let token = forest.administrator(&own).token.clone();
        for (index, kind) in ["plugin-sets", "policies", "secret-references"].into_iter().enumerate() {
            let path = format!("{WORKSPACE}/{kind}/{{name}}");
            let fitting: Vec<Thing> = forest
                .things
                .iter()
                .filter(|thing| thing.kinds == Template::of(&path).kinds)
                .cloned()
                .collect();
            let is_near = |thing: &&Thing| thing.org() == own.org();
            let near = fitting.iter().find(|thing| is_near(thing) && thing.values[1] != own.values[1]);
            let far = fitting.iter().find(|thing| !is_near(thing));
            for other in near.into_iter().chain(far) {
                let foreign = other.values[2].clone();
                let missing = format!("{}-no", &foreign[..foreign.len() - 3]);
                let spec = |name: &str| match index {
                    0 => config(&[name], &[]),
                    1 => config(&[], &[name]),
                    _ => {
                        let mut config = config(&[], &[]);
                        config["bindings"][0]["url"] = json!(format!("$secret://ref/{name}"));
                        config
                    }
                };
                let mut answers = Vec::new();
                for name in [&foreign, &missing] {
                    put(self.world, &format!("{}/config", own.path()), &json!({ "spec": spec(name) })).await;
                    let mut said = Vec::new();
                    for rest in ["revisions/preview", "revisions"] {
                        let mut call = Call::new("POST", &format!("{}/{rest}", own.path()));
                        if rest == "revisions" {
                            call = call.json(&json!({}));
                        }
                        let (answer, statements) = self.recorder.watch(call.send(self.world, &token)).await;
                        assert_eq!(answer.status, 422, "{kind} {name}: {}", answer.text());
                        said.push((
                            format!("{:?}", seen(&answer)).replace(name.as_str(), "NAME"),
                            statements,
                        ));
                    }
                    answers.push(said);
                }
                assert_eq!(answers[0], answers[1], "{kind}: {foreign} {missing}");
            }
        }
        self.tried.extend(["putGatewayConfig", "publishRevision"]);
    }

    /// Names and keys that others have are free.
    async fn names(&mut self, forest: &mut Forest) {
        let own = forest.some(&Template::of(ENVIRONMENT));
        let token = forest.administrator(&own).token.clone();
        let org = Thing { kinds: own.kinds[..1].to_vec(), values: own.values[..1].to_vec() };
        let workspace = Thing { kinds: own.kinds[..2].to_vec(), values: own.values[..2].to_vec() };
        for (operation, of, path) in
            [("createWorkspace", &org, WORKSPACE), ("createEnvironment", &workspace, ENVIRONMENT)]
        {
            let (at, template) = (of.values.len(), Template::of(path));
            let mut others = forest.things.iter().filter(|thing| thing.kinds == template.kinds);
            let taken =
                others.find(|thing| thing.org() != own.org() && !SHARED.contains(&thing.values[at].as_str()));
            let taken = taken.unwrap().values[at].clone();
            let free = forest.missing(&taken);
            let list = ["workspaces", "environments"][at - 1];
            let call = |slug: &str| Call::post(&format!("{}/{list}", of.path()), &json!({ "slug": slug }));
            let mut statements = Vec::new();
            for slug in [&taken, &free] {
                let (answer, ran) = self.recorder.watch(call(slug).send(self.world, &token)).await;
                answer.expect(201);
                statements.push(ran);
            }
            assert_eq!(statements[0], statements[1], "{operation}");
            self.tried.insert(operation);
        }
        // Each organization has used this key for another request.
        let call = Call::post(&format!("{}/workspaces", org.path()), &json!({ "slug": forest.missing("x") }));
        call.header("idempotency-key", SHARED_KEY).send(self.world, &token).await.expect(201);
    }
}

const WORKSPACE: &str = "/v1/orgs/{org}/workspaces/{workspace}";
const ENVIRONMENT: &str = "/v1/orgs/{org}/workspaces/{workspace}/environments/{environment}";

fn named(which: impl Fn(&Endpoint) -> bool) -> impl Iterator<Item = &'static Endpoint> {
    endpoints().iter().filter(move |endpoint| which(endpoint))
}

/// Something of another organization that does not have a name that everybody has.
fn elsewhere(forest: &mut Forest, path: &str, own: &Thing) -> Thing {
    let kinds = Template::of(path).kinds;
    let of_others = |thing: &&Thing| {
        thing.kinds == kinds
            && thing.org() != own.org()
            && !thing.values.iter().any(|value| SHARED.contains(&value.as_str()))
    };
    let fitting: Vec<Thing> = forest.things.iter().filter(of_others).cloned().collect();
    forest.rng.choice(fitting).unwrap()
}

fn with_first(values: &[String], first: &str) -> Vec<String> {
    let mut values = values.to_vec();
    first.clone_into(&mut values[0]);
    values
}
