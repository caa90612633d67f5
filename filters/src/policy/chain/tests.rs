//! Behaviour of the chain, with engines made for the purpose.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use mcpg_sdk::policy::{ApprovalRead, EngineDecision, Names, PolicyInput, Reads};
use mcpg_sdk::{AuthMethod, RedactMode, Scope};
use serde_json::json;

use super::super::testing::now;
use super::*;

mod properties;
mod waiting;

/// Answers what its function answers, and counts how often it was asked.
struct Engine<F> {
    id: &'static str,
    reads: Reads,
    asked: Arc<AtomicUsize>,
    answer: F,
}

impl<F> PolicyEngine for Engine<F>
where
    F: Fn(&PolicyInput<'_>) -> Result<EngineDecision, EngineError> + Send + Sync,
{
    fn id(&self) -> &str {
        self.id
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn decide(&self, input: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        (self.answer)(input)
    }
}

type Answer = Result<EngineDecision, EngineError>;

fn permit(policy: &str, fields: &[(&str, RedactMode)]) -> Answer {
    let redact = |(field, mode): &(&str, RedactMode)| Obligation::redact_field(*field, *mode);
    Ok(EngineDecision::Permit {
        policies: vec![policy.to_owned()],
        obligations: fields.iter().map(redact).collect(),
    })
}

fn forbid(policy: &str) -> Answer {
    Ok(EngineDecision::Forbid { policy: policy.to_owned(), message: "no".to_owned() })
}

fn fixed(id: &'static str, answer: Answer) -> Arc<dyn PolicyEngine> {
    let answer = move |_: &PolicyInput<'_>| answer.clone();
    Arc::new(Engine { id, reads: reads(ReadSet::default()), asked: Arc::default(), answer })
}

fn reads(set: ReadSet) -> Reads {
    Reads::new(&Arc::new(set))
}

fn caller() -> Caller {
    Caller {
        subject: "user:alice@acme.com".to_owned(),
        audience: Some("gateway".to_owned()),
        attributes: [("groups".to_owned(), json!(["dev"])), ("level".to_owned(), json!(3))].into(),
        auth_method: AuthMethod::ApiKey,
    }
}

fn call(scope: &Scope) -> Call<'_> {
    Call {
        scope,
        binding: "files",
        method: "tools/call",
        target: Target::Tool("read"),
        arguments: Some(r#"{"path":"/a","mode":1}"#),
        source: "192.0.2.1".parse().unwrap(),
        now: SystemTime::UNIX_EPOCH,
        approval_token: None,
    }
}

fn check(engines: Vec<Arc<dyn PolicyEngine>>, expected: &str) {
    let chain = PolicyChain::new(engines, CacheLimits::default());
    let (caller, scope) = (caller(), Scope::default());
    let first = now(chain.decide(&caller, &call(&scope)));
    assert_eq!(show(&first.verdict), expected);
    assert_eq!(now(chain.decide(&caller, &call(&scope))).verdict, first.verdict);
    assert_eq!(now(chain.decide_uncached(&caller, &call(&scope))), *first.verdict);
}

fn show(verdict: &Verdict) -> String {
    let policies: Vec<_> =
        verdict.policies.iter().map(|policy| format!("{}:{}", policy.engine, policy.policy)).collect();
    let decision = match &verdict.decision {
        Decision::Permit => "permit".to_owned(),
        Decision::PermitWithObligations(obligations) => {
            let fields = obligations.iter().map(|obligation| match obligation {
                Obligation::Redact { what, mode } => format!("{what}={mode:?}"),
                other => format!("{other:?}"),
            });
            format!("permit with {}", fields.collect::<Vec<_>>().join(","))
        }
        Decision::Deny(reason) => format!("deny {} {}", reason.engine, reason.code),
    };
    format!("{decision} [{}]", policies.join(" "))
}

#[test]
fn every_engine_must_permit() {
    use RedactMode::{Mask, Remove};
    let email = || fixed("a", permit("1", &[("email", Mask)]));
    let phone = || fixed("b", permit("2", &[("phone", Mask)]));
    let stricter = || fixed("c", permit("3", &[("email", Remove), ("phone", Mask)]));
    let forbidding = || fixed("d", forbid("4"));
    let silent = || fixed("e", Ok(EngineDecision::NotPermitted { message: "nothing".to_owned() }));
    check(vec![], "deny policy not_permitted []");
    check(vec![email()], "permit with email=Mask [a:1]");
    check(vec![email(), phone()], "permit with email=Mask,phone=Mask [a:1 b:2]");
    check(vec![phone(), email()], "permit with email=Mask,phone=Mask [b:2 a:1]");
    check(vec![email(), stricter(), phone()], "permit with email=Remove,phone=Mask [a:1 c:3 b:2]");
    check(vec![email(), forbidding(), phone()], "deny d forbidden [d:4]");
    check(vec![email(), phone(), forbidding()], "deny d forbidden [d:4]");
    check(vec![silent(), forbidding()], "deny e not_permitted []");
    check(vec![email(), silent()], "deny e not_permitted []");
}

#[test]
fn errors_deny() {
    let input = EngineError::Input { part: "context.arguments.x".to_owned(), problem: "is null".to_owned() };
    let failed = EngineError::Evaluation { policy: "p".to_owned(), problem: "overflow".to_owned() };
    let late = EngineError::Deadline { limit_ms: 10 };
    check(vec![fixed("a", permit("1", &[])), fixed("b", Err(input))], "deny b policy_input []");
    check(vec![fixed("b", Err(failed)), fixed("a", permit("1", &[]))], "deny b policy_error [b:p]");
    check(vec![fixed("b", Err(late))], "deny b policy_timeout []");
}

#[test]
fn a_deadline_is_not_remembered() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move |_: &PolicyInput<'_>| match count.load(Ordering::Relaxed) {
        // On the worker, and again on a thread.
        1 | 2 => Err(EngineError::Deadline { limit_ms: 10 }),
        _ => permit("1", &[]),
    };
    let engine = Arc::new(Engine { id: "a", reads: reads(ReadSet::default()), asked, answer });
    let chain = PolicyChain::new(vec![engine], CacheLimits::default());
    let (caller, scope) = (caller(), Scope::default());
    assert_eq!(show(&now(chain.decide(&caller, &call(&scope))).verdict), "deny a policy_timeout []");
    let second = now(chain.decide(&caller, &call(&scope)));
    assert!(!second.cached);
    assert_eq!(show(&second.verdict), "permit [a:1]");
    assert!(now(chain.decide(&caller, &call(&scope))).cached);
}

#[test]
fn a_method_that_does_not_fit_its_target_is_denied() {
    let chain = PolicyChain::new(vec![fixed("a", permit("1", &[]))], CacheLimits::default());
    let (caller, scope) = (caller(), Scope::default());
    for (method, target, fits) in [
        ("tools/call", Target::Tool("read"), true),
        ("tools/call", Target::Binding, false),
        ("tools/call", Target::Prompt("read"), false),
        ("ping", Target::Tool("read"), false),
        ("resources/read", Target::Resource("file:///a"), true),
        ("resources/read", Target::Binding, false),
        ("resources/list", Target::Binding, true),
        ("resources/list", Target::Resource("file:///a"), false),
        ("prompts/get", Target::Prompt("p"), true),
        ("prompts/get", Target::Tool("p"), false),
        ("files.delete", Target::Binding, true),
    ] {
        let call = Call { method, target, ..call(&scope) };
        let expected = if fits { "permit [a:1]" } else { "deny policy policy_input []" };
        assert_eq!(show(&now(chain.decide(&caller, &call)).verdict), expected, "{method} {target:?}");
        assert_eq!(show(&now(chain.decide_uncached(&caller, &call))), expected);
    }
}

/// Whether a change of the caller or call misses the cache that the unchanged one filled.
fn misses(set: &ReadSet, change: impl Fn(&mut Caller, &mut Call<'_>)) -> bool {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = |_: &PolicyInput<'_>| permit("1", &[]);
    let engine = Arc::new(Engine { id: "a", reads: reads(set.clone()), asked: asked.clone(), answer });
    let chain = PolicyChain::new(vec![engine], CacheLimits::default());
    let scope = Scope::default();
    now(chain.decide(&caller(), &call(&scope)));
    assert!(now(chain.decide(&caller(), &call(&scope))).cached == set.is_cacheable());
    let (mut caller, mut call) = (caller(), call(&scope));
    change(&mut caller, &mut call);
    let before = asked.load(Ordering::Relaxed);
    let decided = now(chain.decide(&caller, &call));
    assert_eq!(decided.cached, asked.load(Ordering::Relaxed) == before);
    !decided.cached
}

#[test]
fn a_part_is_in_the_key_exactly_when_it_is_read() {
    type Change = fn(&mut Caller, &mut Call<'_>);
    let nothing = ReadSet::default();
    let rows: &[(&str, ReadSet, Change)] = &[
        ("subject", ReadSet { subject: true, ..nothing.clone() }, |caller, _| {
            caller.subject = "user:bob".into()
        }),
        ("groups", ReadSet { groups: true, ..nothing.clone() }, |caller, _| {
            caller.attributes.insert("groups".into(), json!(["dev", "admin"]));
        }),
        ("no groups", ReadSet { groups: true, ..nothing.clone() }, |caller, _| {
            caller.attributes.remove("groups");
        }),
        ("roles", ReadSet { roles: true, ..nothing.clone() }, |caller, _| {
            caller.attributes.insert("roles".into(), json!([]));
        }),
        ("auth method", ReadSet { auth_method: true, ..nothing.clone() }, |caller, _| {
            caller.auth_method = AuthMethod::Oidc;
        }),
        ("audience", ReadSet { audience: true, ..nothing.clone() }, |caller, _| caller.audience = None),
        ("empty audience", ReadSet { audience: true, ..nothing.clone() }, |caller, _| {
            caller.audience = Some(String::new());
        }),
        ("attribute", ReadSet { attributes: Names::only(["level"]), ..nothing.clone() }, |caller, _| {
            caller.attributes.insert("level".into(), json!("3"));
        }),
        ("name", ReadSet { name: true, ..nothing.clone() }, |_, call| call.target = Target::Tool("write")),
        ("source", ReadSet { source: true, ..nothing.clone() }, |_, call| {
            call.source = "::1".parse().unwrap()
        }),
        ("mapped source", ReadSet { source: true, ..nothing.clone() }, |_, call| {
            call.source = "::ffff:192.0.2.1".parse().unwrap();
        }),
        ("presence", ReadSet { approval: ApprovalRead::Presence, ..nothing.clone() }, |_, call| {
            call.approval_token = Some("t");
        }),
        ("token", ReadSet { approval: ApprovalRead::Value, ..nothing.clone() }, |_, call| {
            call.approval_token = Some("");
        }),
        ("argument", ReadSet { arguments: Names::only(["path"]), ..nothing.clone() }, |_, call| {
            call.arguments = Some(r#"{"path":"/b","mode":1}"#);
        }),
        ("no arguments", ReadSet { arguments: Names::only(["path"]), ..nothing.clone() }, |_, call| {
            call.arguments = None;
        }),
        ("escaped argument", ReadSet { arguments: Names::only(["path"]), ..nothing.clone() }, |_, call| {
            call.arguments = Some(r#"{"p\u0061th":"/b","mode":1}"#);
        }),
        ("all arguments", ReadSet { arguments: Names::All, ..nothing.clone() }, |_, call| {
            call.arguments = Some(r#"{"path":"/a","mode":2}"#);
        }),
    ];
    for (part, set, change) in rows {
        assert!(misses(set, change), "{part} is read but not in the key");
        assert!(!misses(&nothing, change), "{part} is not read but in the key");
    }
    let other =
        ReadSet { arguments: Names::only(["path"]), attributes: Names::only(["x"]), ..ReadSet::default() };
    assert!(!misses(&other, |caller, call| {
        caller.attributes.insert("level".into(), json!(9));
        call.arguments = Some(r#"{"mode":2,"path":"/a"}"#);
    }));
    // The binding and the method select the action: they are always in the key.
    assert!(misses(&nothing, |_, call| call.binding = "other"));
    assert!(misses(&nothing, |_, call| (call.method, call.target) = ("ping", Target::Binding)));
    let clock = ReadSet { time: true, ..ReadSet::default() };
    assert!(misses(&clock, |_, call| call.now += Duration::from_secs(1)));
    assert!(misses(&clock, |_, _| {}));
}

#[test]
fn the_tenant_is_in_the_key_when_it_is_read() {
    for (tenant, expected) in [(true, false), (false, true)] {
        let set = ReadSet { tenant, ..ReadSet::default() };
        let answer = |_: &PolicyInput<'_>| permit("1", &[]);
        let engine = Arc::new(Engine { id: "a", reads: reads(set), asked: Arc::default(), answer });
        let chain = PolicyChain::new(vec![engine], CacheLimits::default());
        let (one, other) = (Scope::default(), Scope::new("acme", "team", "prod").unwrap());
        now(chain.decide(&caller(), &call(&one)));
        assert_eq!(now(chain.decide(&caller(), &call(&other))).cached, expected);
    }
}

#[test]
fn neighbouring_parts_do_not_run_into_each_other() {
    let set = ReadSet { subject: true, name: true, ..ReadSet::default() };
    assert!(misses(&set, |caller, call| {
        caller.subject = "duser:alice@acme.com".into();
        call.target = Target::Tool("rea");
    }));
}

#[test]
fn long_and_unreadable_arguments_are_evaluated_each_time() {
    let long = format!(r#"{{"path":"{}"}}"#, "x".repeat(100_000));
    for text in [long.as_str(), "[1]", r#"{"path":1"#] {
        let set = ReadSet { arguments: Names::only(["path"]), ..ReadSet::default() };
        let answer = |_: &PolicyInput<'_>| permit("1", &[]);
        let engine = Arc::new(Engine { id: "a", reads: reads(set), asked: Arc::default(), answer });
        let chain = PolicyChain::new(vec![engine], CacheLimits::default());
        let scope = Scope::default();
        let call = Call { arguments: Some(text), ..call(&scope) };
        for _ in 0..2 {
            assert!(!now(chain.decide(&caller(), &call)).cached);
        }
        assert_eq!(chain.cache_counters().entries, 0);
        assert_eq!(chain.cache_counters().skipped, 2);
    }
}

#[test]
fn an_engine_is_given_only_what_it_declared() {
    let nosy = |input: &PolicyInput<'_>| {
        assert_eq!((input.subject(), input.name(), input.audience()), (None, None, None));
        assert_eq!((input.groups(), input.attribute("level"), input.time()), (None, None, None));
        assert_eq!((input.source(), input.approval_token(), input.auth_method()), (None, None, None));
        assert_eq!(input.argument("path"), Ok(None));
        assert_eq!(input.argument("mode"), Ok(Some("1")));
        assert!(input.tenant().is_none() && input.arguments().is_none());
        assert_eq!(input.attributes().count(), 0);
        permit("1", &[])
    };
    let set = ReadSet { arguments: Names::only(["mode"]), ..ReadSet::default() };
    let engine = Arc::new(Engine { id: "a", reads: reads(set), asked: Arc::default(), answer: nosy });
    let greedy = Arc::new(Engine {
        id: "b",
        reads: Reads::everything(),
        asked: Arc::default(),
        answer: |input: &PolicyInput<'_>| {
            assert_eq!(input.subject(), Some("user:alice@acme.com"));
            permit("2", &[])
        },
    });
    check(vec![engine, greedy], "permit [a:1 b:2]");
}

#[test]
fn plans_are_per_action() {
    let mut own = reads(ReadSet::default());
    own.set_tool("files", "write", Arc::new(ReadSet { time: true, ..ReadSet::default() }));
    let answer = |_: &PolicyInput<'_>| permit("1", &[]);
    let engine = Arc::new(Engine { id: "a", reads: own, asked: Arc::default(), answer });
    let chain = PolicyChain::new(vec![fixed("b", permit("2", &[])), engine], CacheLimits::default());
    let (caller, scope) = (caller(), Scope::default());
    for (tool, cached) in [("read", true), ("write", false)] {
        let call = Call { target: Target::Tool(tool), ..call(&scope) };
        now(chain.decide(&caller, &call));
        assert_eq!(now(chain.decide(&caller, &call)).cached, cached, "{tool}");
    }
}

/// Knows the obligations of its policies, or does not.
struct Obliging(Option<Vec<Obligation>>, Reads);

impl PolicyEngine for Obliging {
    fn id(&self) -> &str {
        "obliging"
    }

    fn reads(&self) -> &Reads {
        &self.1
    }

    fn obligations(&self) -> Option<Vec<Obligation>> {
        self.0.clone()
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn decide(&self, _: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
        Ok(EngineDecision::Permit { policies: Vec::new(), obligations: Vec::new() })
    }
}

#[test]
fn every_obligation_is_known_if_every_engine_knows_its_own() {
    let redact = |field: &str, mode| Obligation::redact_field(field, mode);
    let engine = |known| Arc::new(Obliging(known, reads(ReadSet::default()))) as Arc<dyn PolicyEngine>;
    let first = vec![redact("email", RedactMode::Mask), redact("phone", RedactMode::Mask)];
    let second = vec![redact("email", RedactMode::Remove)];
    let chain = |engines| PolicyChain::new(engines, CacheLimits::default());
    let known = chain(vec![engine(Some(first)), engine(Some(second.clone()))]);
    let united = [redact("email", RedactMode::Remove), redact("phone", RedactMode::Mask)];
    let mut found = known.every_obligation().unwrap().to_vec();
    found.sort_unstable_by_key(|obligation| format!("{obligation:?}"));
    assert_eq!(found, united);
    assert_eq!(chain(vec![engine(Some(second)), engine(None)]).every_obligation(), None);
    assert_eq!(chain(Vec::new()).every_obligation(), Some(&[][..]));
}

#[test]
fn a_closed_chain_denies_what_it_had_permitted() {
    use crate::policy::RevokedEngine;

    let error = || EngineError::Revoked { entry: "revocation-list/2/x".to_owned(), problem: "x".to_owned() };
    let denied = "deny a policy_revoked [a:revocation-list/2/x]";
    check(vec![Arc::new(RevokedEngine::new("a", error()))], denied);
    let chain = PolicyChain::new(vec![fixed("a", permit("1", &[]))], CacheLimits::default());
    let (caller, scope) = (caller(), Scope::default());
    assert_eq!(show(&now(chain.decide(&caller, &call(&scope))).verdict), "permit [a:1]");
    chain.close("a", &error());
    assert_eq!(show(&now(chain.decide(&caller, &call(&scope))).verdict), denied);
    assert_eq!(show(&now(chain.decide_uncached(&caller, &call(&scope)))), denied);
}
