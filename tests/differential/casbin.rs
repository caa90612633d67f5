//! `policy.casbin` against PyPI `casbin`.

use std::time::{Duration, SystemTime};

use mcpg_filters::policy::bundle::FetchedBundles;
use mcpg_filters::policy::casbin::{CasbinEngine, CasbinSettings};
use mcpg_sdk::policy::{EngineDecision, PolicyEngine as _, PolicyInput};
use mcpg_sdk::{AuthMethod, Base, Call, Caller, Scope, Target};
use serde_json::{Value, json};

use crate::{Random, reference};

const CASES: u64 = 400;
const REQUESTS: usize = 40;

const SUBJECTS: &[&str] = &["alice", "bob", "admin", "reader", "root"];
const DOMAINS: &[&str] = &["d1", "d2"];
const OBJECTS: &[&str] = &["/a", "/a/b", "/a/b/c", "/x/1", "/x/1/y/1", "/x/1/y/2", "/a?z=1", "data1", ""];
const ACTIONS: &[&str] = &["read", "write", "delete", "reads"];

/// How an object is compared, and the values that the policy may have for it.
const OBJECT_CLAUSES: &[(&str, &[&str])] = &[
    ("r.obj == p.obj", OBJECTS),
    ("(p.obj == \"*\" || r.obj == p.obj)", &["*", "/a", "/a/b", "data1"]),
    ("keyMatch(r.obj, p.obj)", &["/a/*", "/a*", "*", "/a/b", "/x/*"]),
    ("keyMatch2(r.obj, p.obj)", &["/a/:x", "/x/:n/y/:m", "/a/*", "*", "/a/b"]),
    ("keyMatch3(r.obj, p.obj)", &["/a/{x}", "/x/{n}/y/{m}", "/a/*", "/a/b"]),
    ("keyMatch4(r.obj, p.obj)", &["/x/{n}/y/{n}", "/x/{n}/y/{m}", "/a/{x}", "/a/*"]),
    ("keyMatch5(r.obj, p.obj)", &["/a", "/a/{x}", "/x/*"]),
    ("regexMatch(r.obj, p.obj)", &["^/a", "^/a/[a-c]$", "^(/x/.*|data1)$", "^$", "^.*/[0-9]+$"]),
    ("globMatch(r.obj, p.obj)", &["/a/*", "/?", "/[ab]/b", "/[!b]", "data*"]),
    ("!(r.obj == p.obj)", OBJECTS),
];

const ACTION_CLAUSES: &[(&str, &[&str])] = &[
    ("r.act == p.act", ACTIONS),
    ("r.act != p.act", ACTIONS),
    ("(p.act == \"*\" || r.act == p.act)", &["*", "read", "write"]),
    ("regexMatch(r.act, p.act)", &["^read$", "^(read|write)$", "^re", "^.$"]),
    ("(r.act == p.act || r.act in (\"write\", \"delete\"))", ACTIONS),
    ("r.act >= p.act", ACTIONS),
];

/// One case: what the reference gets, and what is loaded here.
fn case(random: &mut Random) -> Value {
    let has_domains = random.chance(3);
    let has_roles = has_domains || !random.chance(3);
    let effect = [
        "some(where (p.eft == allow))",
        "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
        "priority(p.eft) || deny",
    ][random.below(3)];
    let denies = !effect.ends_with("allow))");
    let by_number = effect.starts_with("priority") && random.chance(2);
    let (object, objects) = OBJECT_CLAUSES[random.below(OBJECT_CLAUSES.len())];
    let (action, actions) = ACTION_CLAUSES[random.below(ACTION_CLAUSES.len())];
    let subject = match (has_roles, has_domains) {
        (_, true) => "g(r.sub, p.sub, r.dom) && r.dom == p.dom",
        (true, false) => "g(r.sub, p.sub)",
        (false, false) => "r.sub == p.sub",
    };
    let mut clauses = [subject, object, action];
    clauses.rotate_left(random.below(3));
    let mut matcher = clauses.join(" && ");
    if random.chance(4) {
        matcher += " || r.sub == \"root\"";
    }
    let dom = if has_domains { "dom, " } else { "" };
    let roles = match (has_roles, has_domains) {
        (_, true) => "[role_definition]\ng = _, _, _\n",
        (true, false) => "[role_definition]\ng = _, _\n",
        (false, false) => "",
    };
    let number = if by_number { "priority, " } else { "" };
    let eft = if denies { ", eft" } else { "" };
    let model = format!(
        "[request_definition]\nr = sub, {dom}obj, act\n[policy_definition]\np = {number}sub, {dom}obj, act{eft}\n{roles}\
         [policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    );
    let mut policy = String::new();
    for _ in 0..=random.below(8) {
        let mut fields = vec!["p".to_owned()];
        if by_number {
            fields.push(random.below(5).to_string());
        }
        fields.push(random.pick(SUBJECTS).to_owned());
        if has_domains {
            fields.push(random.pick(DOMAINS).to_owned());
        }
        fields.extend([random.pick(objects).to_owned(), random.pick(actions).to_owned()]);
        if denies {
            fields.push(random.pick(&["allow", "allow", "deny"]).to_owned());
        }
        policy += &(fields.join(", ") + "\n");
    }
    for _ in 0..random.below(6) * usize::from(has_roles) {
        let dom = if has_domains { format!(", {}", random.pick(DOMAINS)) } else { String::new() };
        policy += &format!("g, {}, {}{dom}\n", random.pick(SUBJECTS), random.pick(SUBJECTS));
    }
    let requests = (0..REQUESTS).map(|_| {
        let mut request = vec![random.pick(SUBJECTS)];
        if has_domains {
            request.push(random.pick(DOMAINS));
        }
        request.extend([random.pick(OBJECTS), random.pick(ACTIONS)]);
        json!(request)
    });
    json!({"model": model, "policy": policy, "requests": requests.collect::<Vec<_>>()})
}

fn load(case: &Value) -> CasbinEngine {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.conf"), case["model"].as_str().unwrap()).unwrap();
    std::fs::write(folder.path().join("policy.csv"), case["policy"].as_str().unwrap()).unwrap();
    let mut request = json!({"obj": "resource.name", "act": "caller.audience"});
    if case["requests"][0].as_array().unwrap().len() == 4 {
        request["dom"] = json!("caller.attributes.dom");
    }
    let settings: CasbinSettings =
        serde_json::from_value(json!({"bundle": ".", "protocol": "explicit", "request": request})).unwrap();
    CasbinEngine::load(&settings, &Base::trusted(folder.path()), &FetchedBundles::default())
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", case["model"], case["policy"]))
}

fn decide(engine: &CasbinEngine, request: &Value) -> bool {
    let fields: Vec<&str> = request.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let dom = if fields.len() == 4 { fields[1] } else { "" };
    let caller = Caller {
        subject: fields[0].to_owned(),
        audience: Some(fields[fields.len() - 1].to_owned()),
        attributes: [("dom".to_owned(), json!(dom))].into(),
        auth_method: AuthMethod::Oidc,
    };
    let scope = Scope::default();
    let call = Call {
        scope: &scope,
        binding: "files",
        method: "tools/call",
        target: Target::Tool(fields[fields.len() - 2]),
        arguments: None,
        source: [127, 0, 0, 1].into(),
        now: SystemTime::UNIX_EPOCH,
        approval_token: None,
    };
    let input = PolicyInput::select(&caller, &call, engine.reads().of(&call));
    match engine.decide(&input, Duration::from_secs(10)) {
        Ok(EngineDecision::Permit { .. }) => true,
        Ok(EngineDecision::Forbid { .. } | EngineDecision::NotPermitted { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn casbin_decides_like_its_reference() {
    let cases: Vec<Value> = (0..CASES).map(|seed| case(&mut Random::new(seed))).collect();
    let Some(answers) = reference("casbin", "casbin_reference.py", &json!(cases)) else { return };
    let (mut wrong, mut permitted) = (Vec::new(), 0);
    for (seed, (case, answers)) in cases.iter().zip(&answers).enumerate() {
        let engine = load(case);
        for (request, expected) in case["requests"].as_array().unwrap().iter().zip(answers) {
            permitted += usize::from(*expected);
            if decide(&engine, request) != *expected {
                let (model, policy) = (case["model"].as_str().unwrap(), case["policy"].as_str().unwrap());
                wrong.push(format!(
                    "seed {seed}: {request} is {expected} by the reference\n{model}\n{policy}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong[..wrong.len().min(3)].join("\n"));
    let all = cases.len() * REQUESTS;
    eprintln!("{all} requests, {permitted} permitted");
    assert!(permitted > all / 20 && permitted < all * 19 / 20, "the cases say little: {permitted} of {all}");
}
