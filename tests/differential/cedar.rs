//! `policy.cedar` against PyPI `cedarpy`.

use std::path::Path;
use std::time::{Duration, SystemTime};

use mcpg_filters::policy::bundle::FetchedBundles;
use mcpg_filters::policy::cedar::{BundleContext, CedarEngine, CedarSettings};
use mcpg_sdk::policy::{EngineDecision, PolicyEngine as _, PolicyInput};
use mcpg_sdk::{AuthMethod, Base, Call, Caller, Scope, Target};
use serde_json::{Value, json};

use crate::{Random, reference};

const CASES: u64 = 300;
const REQUESTS: usize = 30;

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal == User::\"alice\"",
    "principal in Group::\"dev\"",
    "principal in Group::\"ops\"",
    "principal in Role::\"admin\"",
    "principal is User",
];
const ACTIONS: &[&str] = &[
    "action",
    "action == Action::\"files.read\"",
    "action == Action::\"github.delete\"",
    "action in [Action::\"files.read\", Action::\"files.write\"]",
    "action in Action::\"tools/call\"",
];
const RESOURCES: &[&str] = &[
    "resource",
    "resource in Binding::\"files\"",
    "resource == Tool::\"github.delete\"",
    "resource is Tool",
];
const CONDITIONS: &[&str] = &[
    "",
    "when { principal.subject like \"a*\" }",
    "when { principal.auth_method == \"oidc\" }",
    "when { principal has audience && principal.audience == \"x\" }",
    "when { context.source_ip.isInRange(ip(\"10.0.0.0/8\")) }",
    "unless { context has approval_token }",
    "when { context.mcp.binding == \"files\" }",
    "when { context.tenant.environment == \"prod\" }",
    "when { context has arguments && context.arguments has limit && context.arguments.limit <= 10 }",
    "when { principal.attributes has level && principal.attributes.level > 2 }",
    "when { context.time < datetime(\"2026-01-02\") }",
    "when { principal in Group::\"ops\" || principal in Role::\"admin\" }",
    "unless { resource is Tool && resource.name like \"del*\" }",
];

fn policies(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(6) {
        let effect = random.pick(&["permit", "permit", "permit", "forbid"]);
        let (principal, action) = (random.pick(PRINCIPALS), random.pick(ACTIONS));
        let (resource, condition) = (random.pick(RESOURCES), random.pick(CONDITIONS));
        text += &format!("{effect} ({principal}, {action}, {resource}) {condition};\n");
    }
    text
}

/// A call.
struct Ask {
    user: &'static str,
    groups: Vec<&'static str>,
    roles: Vec<&'static str>,
    audience: Option<&'static str>,
    level: Option<usize>,
    method: AuthMethod,
    binding: &'static str,
    tool: &'static str,
    limit: Option<usize>,
    source: [u8; 4],
    environment: &'static str,
    approved: bool,
    day: u64,
}

impl Ask {
    fn random(random: &mut Random) -> Self {
        let (binding, tool) =
            [("files", "read"), ("files", "write"), ("github", "delete"), ("github", "list")]
                [random.below(4)];
        let some = |random: &mut Random, all: &[&'static str]| {
            all.iter().copied().filter(|_| random.chance(2)).collect::<Vec<_>>()
        };
        Self {
            user: random.pick(&["alice", "bob"]),
            groups: some(random, &["dev", "ops"]),
            roles: some(random, &["admin"]),
            audience: random.chance(2).then_some("x"),
            level: random.chance(2).then(|| random.below(5)),
            method: if random.chance(2) { AuthMethod::Oidc } else { AuthMethod::Basic },
            binding,
            tool,
            limit: random.chance(2).then(|| random.below(20)),
            source: if random.chance(2) { [10, 0, 0, 1] } else { [192, 0, 2, 1] },
            environment: random.pick(&["prod", "dev"]),
            approved: random.chance(2),
            day: random.below(3) as u64,
        }
    }

    fn now(&self) -> SystemTime {
        // From 2026-01-01.
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + self.day * 86_400)
    }

    /// The request and the entities as Cedar sees them, by `docs/POLICY.md`.
    fn reference(&self) -> Value {
        let id = format!("{}.{}", self.binding, self.tool);
        let entity = |kind: &str, id: &str| json!({"type": kind, "id": id});
        let mut attributes = json!({});
        if let Some(level) = self.level {
            attributes["level"] = json!(level);
        }
        let method = if self.method == AuthMethod::Oidc { "oidc" } else { "basic" };
        let mut principal = json!({"subject": format!("user:{}", self.user), "auth_method": method, "attributes": attributes});
        if let Some(audience) = self.audience {
            principal["audience"] = json!(audience);
        }
        let groups = self.groups.iter().map(|group| entity("Group", group));
        let parents: Vec<Value> = groups
            .chain(self.roles.iter().map(|role| entity("Role", role)))
            .chain([entity("Org", "acme-corp")])
            .collect();
        let extension =
            |function: &str, argument: String| json!({"__extn": {"fn": function, "arg": argument}});
        let [a, b, c, d] = self.source;
        let mut arguments = json!({});
        if let Some(limit) = self.limit {
            arguments["limit"] = json!(limit);
        }
        let mut context = json!({
            "source_ip": extension("ip", format!("{a}.{b}.{c}.{d}")),
            "time": extension("datetime", format!("2026-01-0{}", self.day + 1)),
            "mcp": {"method": "tools/call", "binding": self.binding},
            "tenant": {"organization": "acme-corp", "workspace": "platform-team", "environment": self.environment},
            "arguments": arguments,
        });
        if self.approved {
            context["approval_token"] = json!("token");
        }
        json!({
            "principal": format!("User::\"{}\"", self.user),
            "action": format!("Action::\"{id}\""),
            "resource": format!("Tool::\"{id}\""),
            "context": context,
            "entities": [
                {"uid": entity("User", self.user), "attrs": principal, "parents": parents},
                {"uid": entity("Action", &id), "attrs": {}, "parents": [entity("Action", "tools/call")]},
                {
                    "uid": entity("Tool", &id),
                    "attrs": {"name": self.tool, "binding": self.binding},
                    "parents": [entity("Binding", self.binding)],
                },
            ],
        })
    }

    fn decide(&self, engine: &CedarEngine) -> bool {
        let mut attributes =
            vec![("groups".to_owned(), json!(self.groups)), ("roles".to_owned(), json!(self.roles))];
        attributes.extend(self.level.map(|level| ("level".to_owned(), json!(level))));
        let caller = Caller {
            subject: format!("user:{}", self.user),
            audience: self.audience.map(str::to_owned),
            attributes: attributes.into_iter().collect(),
            auth_method: self.method,
        };
        let scope = Scope::new("acme-corp", "platform-team", self.environment).unwrap();
        let arguments = self.limit.map_or_else(|| "{}".to_owned(), |limit| format!("{{\"limit\":{limit}}}"));
        let call = Call {
            scope: &scope,
            binding: self.binding,
            method: "tools/call",
            target: Target::Tool(self.tool),
            arguments: Some(&arguments),
            source: self.source.into(),
            now: self.now(),
            approval_token: self.approved.then_some("token"),
        };
        let input = PolicyInput::select(&caller, &call, engine.reads().of(&call));
        match engine.decide(&input, Duration::from_secs(10)) {
            Ok(EngineDecision::Permit { .. }) => true,
            Ok(EngineDecision::Forbid { .. } | EngineDecision::NotPermitted { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn load(text: &str) -> Result<CedarEngine, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(folder.path().join("policies/a.cedar"), text).unwrap();
    let settings: CedarSettings =
        serde_json::from_value(json!({"bundle": "policies", "protocol": "explicit"})).unwrap();
    let bindings = ["files".to_owned(), "github".to_owned()];
    let base: &Path = folder.path();
    let context = BundleContext {
        base: &Base::trusted(base),
        bindings: &bindings,
        fetched: &FetchedBundles::default(),
    };
    CedarEngine::load(&settings, &context).map_err(|error| error.to_string())
}

#[test]
fn cedar_decides_like_its_own_evaluator() {
    let mut cases = Vec::new();
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let text = policies(&mut random);
        // Some combinations are refused here: an attribute that not every kind of resource has, a condition that is always false.
        if let Ok(engine) = load(&text) {
            let asks: Vec<Ask> = (0..REQUESTS).map(|_| Ask::random(&mut random)).collect();
            cases.push((seed, text, engine, asks));
        }
    }
    assert!(cases.len() > usize::try_from(CASES).unwrap() / 2, "only {} of {CASES} load", cases.len());
    let asked = cases.iter().map(|(_, text, _, asks)| {
        json!({"policies": text, "requests": asks.iter().map(Ask::reference).collect::<Vec<_>>()})
    });
    let Some(answers) = reference("cedar", "cedar_reference.py", &asked.collect()) else { return };
    let (mut wrong, mut permitted, mut all) = (Vec::new(), 0, 0);
    for ((seed, text, engine, asks), answers) in cases.iter().zip(&answers) {
        for (ask, expected) in asks.iter().zip(answers) {
            all += 1;
            permitted += usize::from(*expected);
            if ask.decide(engine) != *expected {
                wrong
                    .push(format!("seed {seed}: {} is {expected} by the reference\n{text}", ask.reference()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {all} differ\n{}", wrong.len(), wrong[..wrong.len().min(3)].join("\n"));
    eprintln!("{all} requests, {permitted} permitted");
    assert!(permitted > all / 20 && permitted < all * 19 / 20, "the cases say little: {permitted} of {all}");
}
