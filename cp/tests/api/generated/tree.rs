//! Organizations with random trees and things of every kind in them, made over the API as anybody would, and callers of every role.

use fastrand::Rng;
use mcpg_cp::publish::current_terms;
use mcpg_cp::store::Actor;
use serde_json::{Value, json};

use super::bodies::{config, plugin_set, policy};
use crate::forwarding::{GatewayLog, Instance};
use crate::world::{Answer, Call, World};

/// A workspace and an environment that every organization has, so that names are shared too.
pub(crate) const SHARED: [&str; 2] = ["platform-team", "prod"];
/// A key that every organization has used.
pub(crate) const SHARED_KEY: &str = "a-key-of-everybody";
const ORGANIZATIONS: usize = 3;
const ORGS: &str = "v1/orgs";

/// A path of the table: what stands before each parameter is the parameter's kind.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) kinds: Vec<String>,
    pattern: String,
}

/// Something that a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) kinds: Vec<String>,
    pub(crate) values: Vec<String>,
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) is_administrator: bool,
    pub(crate) is_of_platform: bool,
    org: String,
}

/// Everything that was made.
pub(crate) struct Forest {
    pub(crate) rng: Rng,
    pub(crate) things: Vec<Thing>,
    /// A gateway of each shared environment, with its organization.
    pub(crate) gateways: Vec<(String, Instance)>,
    /// The digests of first revisions, by environment.
    pub(crate) digests: Vec<(Thing, u64, String)>,
    callers: Vec<Caller>,
}

impl Template {
    pub(crate) fn of(path: &str) -> Self {
        let (mut kinds, mut before) = (Vec::new(), Vec::new());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if part.starts_with('{') {
                kinds.push(before.join("/"));
                before.clear();
            } else {
                before.push(part);
            }
        }
        Self { kinds, pattern: path.to_owned() }
    }

    /// The path to a thing.
    pub(crate) fn path(&self, thing: &Thing) -> String {
        let mut values = thing.values.iter();
        let part =
            |part: &str| if part.starts_with('{') { values.next().unwrap().clone() } else { part.to_owned() };
        self.pattern.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

impl Thing {
    fn below(&self, kind: &str, value: &str) -> Self {
        let mut thing = self.clone();
        thing.kinds.push(kind.to_owned());
        thing.values.push(value.to_owned());
        thing
    }

    /// Its path in the API.
    pub(crate) fn path(&self) -> String {
        let parts = self.kinds.iter().zip(&self.values);
        parts.map(|(kind, value)| format!("/{kind}/{value}")).collect()
    }

    /// Its organization.
    pub(crate) fn org(&self) -> &str {
        if self.kinds[0] == ORGS { &self.values[0] } else { "" }
    }
}

impl Forest {
    /// Makes one, always the same for a seed but for ids and times.
    pub(crate) async fn grow(world: &World, seed: u64) -> Self {
        let mut forest = Self {
            rng: Rng::with_seed(seed),
            things: Vec::new(),
            gateways: Vec::new(),
            digests: Vec::new(),
            callers: Vec::new(),
        };
        for _ in 0..ORGANIZATIONS {
            forest.organization(world).await;
        }
        forest.callers.push(Caller {
            name: "an administrator of the service".to_owned(),
            token: world.platform.clone(),
            is_administrator: false,
            is_of_platform: true,
            org: String::new(),
        });
        for name in ["one", "other"] {
            let made = world.post(&world.platform, "/v1/platform-tokens", json!({ "name": name })).await;
            let id = id(&made.expect(201).json()).to_owned();
            forest.things.push(Thing { kinds: vec!["v1/platform-tokens".to_owned()], values: vec![id] });
        }
        crate::chains::janitor(world, "gardener").round(false).await.unwrap();
        // The first use of a token is noted.
        for caller in &forest.callers {
            world.get(&caller.token, "/v1/whoami").await.expect(200);
        }
        forest
    }

    /// A thing that a template leads to.
    pub(crate) fn some(&mut self, template: &Template) -> Thing {
        let fitting: Vec<&Thing> = self.things.iter().filter(|thing| thing.kinds == template.kinds).collect();
        let found = self.rng.choice(fitting);
        found.unwrap_or_else(|| panic!("generated::tree makes nothing for {}", template.pattern)).clone()
    }

    /// A thing, and for each of its parameters things of others whose value there leads nowhere in its place.
    pub(crate) fn with_others(&mut self, template: &Template) -> (Thing, Vec<Vec<Thing>>) {
        let mut fitting: Vec<Thing> =
            self.things.iter().filter(|thing| thing.kinds == template.kinds).cloned().collect();
        assert!(!fitting.is_empty(), "generated::tree makes nothing for {}", template.pattern);
        self.rng.shuffle(&mut fitting);
        for own in &fitting {
            let elsewhere: Vec<Vec<Thing>> =
                (0..own.values.len()).map(|at| self.others(own, at, &fitting)).collect();
            if elsewhere.iter().all(|others| others.iter().any(|other| other.org() != own.org())) {
                return (own.clone(), elsewhere);
            }
        }
        // What is of no organization is tried with the id of something that is.
        let api_tokens = Template::of("/v1/orgs/{org}/api-tokens/{id}");
        assert_ne!(template.kinds[0], ORGS, "generated::tree makes nothing foreign for {}", template.pattern);
        let id = self.some(&api_tokens).values[1].clone();
        let own = fitting[0].clone();
        let other = Thing { kinds: own.kinds.clone(), values: vec![id] };
        (own, vec![vec![other]])
    }

    /// At most one of another organization, and one of the same.
    fn others(&self, own: &Thing, at: usize, fitting: &[Thing]) -> Vec<Thing> {
        let leads_nowhere = |other: &&Thing| {
            if at == 0 && own.kinds[0] == ORGS {
                return other.org() != own.org();
            }
            let there = |thing: &Thing| {
                thing.kinds.get(..=at) == own.kinds.get(..=at)
                    && thing.values[..at] == own.values[..at]
                    && thing.values[at] == other.values[at]
            };
            !self.things.iter().any(there)
        };
        let mut candidates = fitting.iter().filter(leads_nowhere);
        let near = candidates.clone().find(|other| other.org() == own.org());
        let far = candidates.find(|other| other.org() != own.org());
        far.into_iter().chain(near).cloned().collect()
    }

    /// Somebody of a thing's organization, or of the service.
    pub(crate) fn caller(&mut self, thing: &Thing) -> Caller {
        let known = |caller: &&Caller| caller.org == thing.org() || caller.is_of_platform;
        let callers: Vec<&Caller> = self.callers.iter().filter(known).collect();
        self.rng.choice(callers).unwrap().clone()
    }

    /// Who may do everything with a thing.
    pub(crate) fn administrator(&self, thing: &Thing) -> &Caller {
        let may = |caller: &&Caller| match thing.org() {
            "" => caller.is_of_platform,
            org => caller.is_administrator && caller.org == org,
        };
        self.callers.iter().find(may).unwrap()
    }

    /// A name of the same form that nothing has.
    pub(crate) fn missing(&mut self, like: &str) -> String {
        if like.len() == 36 && like.matches('-').count() == 4 {
            let random: String = (0..12).map(|_| self.rng.digit(16)).collect();
            return format!("{}{random}", &like[..24]);
        }
        if like.parse::<u64>().is_ok() {
            return self.rng.u64(900..1000).to_string();
        }
        let letters: String = (0..8).map(|_| self.rng.lowercase()).collect();
        match like.split_once('@') {
            Some((_, domain)) => format!("{letters}@{domain}"),
            None => format!("no-{letters}"),
        }
    }

    fn name(&mut self, of: &str) -> String {
        let letters: String = (0..8).map(|_| self.rng.lowercase()).collect();
        format!("{of}-{letters}")
    }

    /// Some are longer than others, so numbers are there that others do not reach.
    fn length(&mut self) -> usize {
        self.rng.usize(1..=4)
    }

    async fn organization(&mut self, world: &World) {
        let slug = self.name("org");
        let platform = &world.platform;
        world.post(platform, "/v1/orgs", json!({ "slug": slug })).await.expect(201);
        world.buy(&slug, "enterprise").await;
        let org = Thing { kinds: vec![ORGS.to_owned()], values: vec![slug.clone()] };
        self.things.push(org.clone());
        let list = json!({ "spec": { "artifacts": [
            { "digest": format!("sha256:{}", "ab".repeat(32)), "reason": slug },
        ] } });
        put(world, &format!("{}/revocation-list", org.path()), &list).await;
        for index in 0..2 + self.rng.usize(0..2) {
            let name = if index == 0 { SHARED[0].to_owned() } else { self.name("ws") };
            self.workspace(world, &org.below("workspaces", &name)).await;
        }
        self.access(world, &org).await;
        let known = world.store.platform().org_by_slug(&slug.parse().unwrap()).await.unwrap();
        let scope = world.store.scope(known.id);
        let mut write = scope.begin(Actor::system("system")).await.unwrap();
        write.begin_sign_in(&slug, "{}", i64::MAX).await.unwrap();
        write.commit().await.unwrap();
        current_terms(&scope, &world.service.signer, &world.service.license_keys).await.unwrap();
    }

    async fn workspace(&mut self, world: &World, workspace: &Thing) {
        let made = json!({ "slug": workspace.values[1] });
        let path = format!("/{ORGS}/{}/workspaces", workspace.values[0]);
        let mut call = Call::post(&path, &made);
        if workspace.values[1] == SHARED[0] {
            call = call.header("idempotency-key", SHARED_KEY);
        }
        call.send(world, &world.platform).await.expect(201);
        self.things.push(workspace.clone());
        for kind in ["plugin-sets", "policies", "secret-references"] {
            let thing = workspace.below(kind, &self.name("doc"));
            for version in 1..=self.length() {
                let text = format!("{} {version}", thing.values[2]);
                let body = match kind {
                    "plugin-sets" => json!({ "spec": plugin_set(&text) }),
                    "policies" => json!({ "spec": policy(&text) }),
                    _ => json!({ "reference": format!("$secret://env/V{version}") }),
                };
                put(world, &thing.path(), &body).await;
                if kind != "secret-references" {
                    self.things.push(thing.below("versions", &version.to_string()));
                }
            }
            self.things.push(thing);
        }
        for index in 0..1 + self.rng.usize(0..2) {
            let shared = index == 0 && workspace.values[1] == SHARED[0];
            let name = if shared { SHARED[1].to_owned() } else { self.name("env") };
            let made = json!({ "slug": name });
            world
                .post(&world.platform, &format!("{}/environments", workspace.path()), made)
                .await
                .expect(201);
            self.environment(world, &workspace.below("environments", &name), shared).await;
        }
    }

    async fn environment(&mut self, world: &World, environment: &Thing, shared: bool) {
        let path = environment.path();
        self.things.push(environment.clone());
        let length = self.length();
        for number in 1..=length {
            let mut spec = config(&[], &[]);
            spec["bindings"][0]["url"] = json!(format!("http://127.0.0.1:{number}/mcp"));
            put(world, &format!("{path}/config"), &json!({ "spec": spec })).await;
            // The newest of several is staged.
            let percent = if number > 1 && number == length { 10 } else { 100 };
            let made = json!({ "rollout": { "percent": percent } });
            let made =
                world.post(&world.platform, &format!("{path}/revisions"), made).await.expect(201).json();
            let digest = made["digest"].as_str().unwrap().to_owned();
            self.digests.push((environment.clone(), number as u64, digest));
            let number = number.to_string();
            self.things.push(environment.below("config/versions", &number));
            self.things.push(environment.below("revisions", &number));
        }
        let tokens = format!("{path}/enrollment-tokens");
        let made = world.post(&world.platform, &tokens, json!({})).await;
        self.things.push(environment.below("enrollment-tokens", id(&made.expect(201).json())));
        let gateway = Instance::enrolled(world, "gw-1", self.rng.u8(..), &[&path]).await;
        self.things.push(environment.below("gateways", gateway.id()));
        let (_, number, digest) = &self.digests[self.digests.len() - length];
        let said = json!({ "number": number, "digest": digest, "outcome": "applied" });
        gateway.post(world, (0, "/v1/agent/acknowledgements"), &said).await.expect(204);
        if shared {
            let org = environment.org().to_owned();
            let mut log = GatewayLog::new(org.clone().leak());
            (0..3).for_each(|_| log.call(world, SHARED[1], "echo"));
            // The last call has no outcome yet.
            gateway.send(world, &log.upload(0, log.len() - 1)).await.expect(200);
            self.gateways.push((org, gateway));
        }
    }

    /// Members, bindings, tokens and callers at every node that there is.
    async fn access(&mut self, world: &World, org: &Thing) {
        let slug = org.org().to_owned();
        let of_org: Vec<Thing> = self.things.iter().filter(|thing| thing.org() == slug).cloned().collect();
        let nodes = [("org", vec!["v1/orgs"]), ("workspace", vec!["v1/orgs", "workspaces"])];
        let environment = ("env", vec!["v1/orgs", "workspaces", "environments"]);
        for (level, kinds) in nodes.into_iter().chain([environment]) {
            let fitting: Vec<&Thing> = of_org.iter().filter(|thing| thing.kinds == kinds).collect();
            let node = self.rng.choice(fitting).unwrap();
            let on = format!("{level}/{}", node.values.join("/"));
            let roles = ["viewer", "operator", "admin"];
            for role in roles.into_iter().take(3 - kinds.len() + 1) {
                let member = format!("{}@acme.com", self.name("m"));
                let grant = json!({ "member": member, "role": role, "on": on });
                let made = world.post(&world.platform, &format!("{}/role-bindings", org.path()), grant).await;
                self.things.push(org.below("role-bindings", id(&made.expect(201).json())));
                self.things.push(org.below("members", &member));
                let made = json!({ "name": "made", "role": role, "on": on });
                let made = world.post(&world.platform, &format!("{}/api-tokens", org.path()), made).await;
                let made = made.expect(201).json();
                self.things.push(org.below("api-tokens", id(&made)));
                let session = world.session(&slug, &member).await;
                for (what, token) in [("program", made["token"].as_str().unwrap()), ("member", &session)] {
                    self.callers.push(Caller {
                        name: format!("a {what}, {role} on {on}"),
                        token: token.to_owned(),
                        is_administrator: role == "admin" && what == "program",
                        is_of_platform: false,
                        org: slug.clone(),
                    });
                }
            }
        }
        let nobody = world.session(&slug, "nobody@acme.com").await;
        let name = format!("a member of {slug} without a role");
        self.callers.push(Caller {
            name,
            token: nobody,
            is_administrator: false,
            is_of_platform: false,
            org: slug,
        });
    }
}

fn id(made: &Value) -> &str {
    // What is shown once is beside the thing.
    made["resource"]["id"].as_str().or(made["id"].as_str()).unwrap()
}

/// Puts a version, the first or another.
pub(crate) async fn put(world: &World, path: &str, body: &Value) -> Answer {
    let put = Call::put(path, body);
    let first = put.clone().header("if-none-match", "*").send(world, &world.platform).await;
    let answer = match first.status {
        412 => put.header("if-match", "*").send(world, &world.platform).await,
        _ => first,
    };
    assert!([200, 201].contains(&answer.status), "{path}: {}", answer.text());
    answer
}
