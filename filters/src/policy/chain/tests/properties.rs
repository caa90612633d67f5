//! Properties of the chain for random engines and calls.

use std::collections::BTreeSet;

use mcpg_sdk::policy::ArgumentsError;
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Value;

use super::*;

/// A caller and a call, owned.
#[derive(Debug, Clone)]
struct Ask {
    caller: Caller,
    scope: Scope,
    binding: &'static str,
    method: &'static str,
    name: &'static str,
    arguments: Option<&'static str>,
    source: &'static str,
    token: Option<&'static str>,
}

impl Ask {
    fn call(&self) -> Call<'_> {
        Call {
            scope: &self.scope,
            binding: self.binding,
            method: self.method,
            target: match self.method {
                "tools/call" => Target::Tool(self.name),
                "resources/read" => Target::Resource(self.name),
                "prompts/get" => Target::Prompt(self.name),
                _ => Target::Binding,
            },
            arguments: self.arguments,
            source: self.source.parse().unwrap(),
            now: SystemTime::UNIX_EPOCH,
            approval_token: self.token,
        }
    }
}

/// Few values that are easily confused, so that keys often meet where they may.
fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let word = || select(vec!["", "a", "b", "ab", "a\0", "\u{1}a"]);
    let value = select(vec![
        json!(null),
        json!("a"),
        json!(["a"]),
        json!([["a"]]),
        json!({"a": "b"}),
        json!(1),
        json!(1.0),
        json!("1"),
        json!([]),
    ]);
    let attributes = hash_map(select(vec!["groups", "roles", "x", "y"]).prop_map(str::to_owned), value, 0..4);
    let caller = (word(), option::of(word()), attributes, any::<bool>()).prop_map(
        |(subject, audience, attributes, oidc)| Caller {
            subject: subject.to_owned(),
            audience: audience.map(str::to_owned),
            attributes,
            auth_method: if oidc { AuthMethod::Oidc } else { AuthMethod::Mtls },
        },
    );
    let arguments = option::of(select(vec![
        "{}",
        r#"{"a":1}"#,
        r#"{"a":"1"}"#,
        r#"{"b":1}"#,
        r#"{"a":1,"b":1}"#,
        r#"{"b":1,"\u0061":1}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1}}"#,
        "[]",
        r#"{"a""#,
    ]));
    let method = select(vec!["tools/call", "resources/read", "prompts/get", "ping", "a"]);
    let rest =
        (arguments, select(vec!["10.0.0.1", "::ffff:10.0.0.1", "::1"]), option::of(word()), any::<bool>());
    let ask = (caller, word(), method, word(), rest).prop_map(|(caller, binding, method, name, rest)| {
        let (arguments, source, token, tenant) = rest;
        let scope = if tenant { Scope::new("acme", "team", "prod").unwrap() } else { Scope::default() };
        Ask { caller, scope, binding, method, name, arguments, source, token }
    });
    vec(ask, 1..60)
}

fn read_set() -> impl Strategy<Value = ReadSet> {
    let names = |all: Vec<&'static str>| {
        let some = subsequence(all.clone(), 0..=all.len()).prop_map(Names::only);
        prop_oneof![4 => some, 1 => Just(Names::All)]
    };
    let approval = select(vec![ApprovalRead::Nothing, ApprovalRead::Presence, ApprovalRead::Value]);
    let flags = (any::<[bool; 8]>(), prop::bool::weighted(0.1));
    (flags, names(vec!["x", "y"]), approval, names(vec!["a", "b"])).prop_map(
        |((flags, time), attributes, approval, arguments)| {
            let [subject, groups, roles, auth_method, audience, name, tenant, source] = flags;
            ReadSet {
                subject,
                groups,
                roles,
                auth_method,
                audience,
                attributes,
                name,
                tenant,
                source,
                time,
                approval,
                arguments,
            }
        },
    )
}

/// Everything that the engine can see of the input.
fn seen(input: &PolicyInput<'_>) -> String {
    let mut attributes: Vec<(&str, &Value)> = input.attributes().collect();
    attributes.sort_by_key(|(name, _)| *name);
    let arguments: Vec<Result<Option<&str>, ArgumentsError>> =
        ["a", "b"].iter().map(|name| input.argument(name)).collect();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {attributes:?} {:?} {:?} {:?} {:?} {arguments:?} {:?}",
        input.kind(),
        input.method(),
        input.binding(),
        input.name(),
        input.subject(),
        input.auth_method(),
        input.audience(),
        input.groups(),
        input.roles(),
        input.tenant(),
        input.source(),
        input.time(),
        input.approval_token(),
        input.arguments().and_then(|arguments| arguments.text()),
    )
}

/// An engine whose answer is all that it can see: two inputs that differ in it must not share a decision.
fn mirror(id: &'static str, rest: ReadSet, tool: ReadSet) -> Arc<dyn PolicyEngine> {
    let mut own = reads(rest);
    own.set_tool("a", "b", Arc::new(tool));
    let answer = |input: &PolicyInput<'_>| permit(&seen(input), &[]);
    Arc::new(Engine { id, reads: own, asked: Arc::default(), answer })
}

fn answer() -> impl Strategy<Value = Answer> {
    use RedactMode::{Hash, Mask, Remove};
    let field =
        select(vec![("email", Mask), ("email", Remove), ("phone", Hash), ("phone", Mask), ("ssn", Remove)]);
    prop_oneof![
        6 => vec(field, 0..3).prop_map(|fields| permit("p", &fields)),
        1 => Just(forbid("f")),
        1 => Just(Ok(EngineDecision::NotPermitted { message: String::new() })),
        1 => Just(Err(EngineError::Evaluation { policy: "e".to_owned(), problem: String::new() })),
    ]
}

/// Permit or not, and the obligations.
fn outcome(answers: &[Answer]) -> Option<BTreeSet<Obligation>> {
    let ids = ["e0", "e1", "e2", "e3", "e4", "e5"];
    let engines = ids.into_iter().zip(answers).map(|(id, answer)| fixed(id, answer.clone())).collect();
    let chain = PolicyChain::new(engines, CacheLimits::default());
    let (caller, scope) = (caller(), Scope::default());
    match &now(chain.decide(&caller, &call(&scope))).verdict.decision {
        Decision::Permit => Some(BTreeSet::new()),
        Decision::PermitWithObligations(obligations) => Some(obligations.iter().cloned().collect()),
        Decision::Deny(_) => None,
    }
}

/// Texts that are JSON objects, nearly, or not at all.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\"\\\\{}\\[\\],: a\u{e4}]{0,6}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            hash_map("[\"\\\\{a:,]{0,3}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    });
    let object = hash_map("[\"\\\\{a:,b]{0,2}", value, 0..4)
        .prop_map(|members| members.into_iter().collect::<Value>());
    let text = (object, any::<bool>())
        .prop_map(|(object, pretty)| if pretty { format!("{object:#}") } else { object.to_string() });
    let broken = (text.clone(), any::<prop::sample::Index>(), "[\"\\\\{}\\[\\],: a]").prop_map(
        |(mut text, at, put)| {
            let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, &put);
            text
        },
    );
    prop_oneof![text, broken]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, fork: false, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cached_decision_equals_an_uncached_one(
        sets in vec((read_set(), read_set()), 1..3),
        asks in asks(),
        small in any::<bool>(),
    ) {
        let engines = ["e0", "e1"].into_iter().zip(sets).map(|(id, (rest, tool))| mirror(id, rest, tool)).collect();
        let limits = if small { CacheLimits { entries_max: 64, bytes_max: 64 << 10 } } else { CacheLimits::default() };
        let chain = PolicyChain::new(engines, limits);
        for ask in &asks {
            let decided = now(chain.decide(&ask.caller, &ask.call()));
            prop_assert_eq!(&*decided.verdict, &now(chain.decide_uncached(&ask.caller, &ask.call())), "{:?}", ask);
        }
    }

    #[test]
    fn the_order_of_engines_changes_neither_decision_nor_obligations(
        (one, other) in vec(answer(), 1..6).prop_flat_map(|answers| (Just(answers.clone()), Just(answers).prop_shuffle())),
    ) {
        prop_assert_eq!(outcome(&one), outcome(&other));
    }

    #[test]
    fn adding_an_engine_never_grants(answers in vec(answer(), 1..5), added in answer()) {
        let before = outcome(&answers);
        let mut more = answers;
        more.push(added);
        match (before, outcome(&more)) {
            (None, after) => prop_assert_eq!(after, None),
            (Some(_), None) => {}
            (Some(before), Some(after)) => {
                let fields = |all: &BTreeSet<Obligation>| -> BTreeSet<String> {
                    all.iter().map(|one| match one { Obligation::Redact { what, .. } => what.to_string(), other => format!("{other:?}") }).collect()
                };
                prop_assert!(fields(&before).is_subset(&fields(&after)));
            }
        }
    }

    #[test]
    fn arguments_are_read_as_a_json_parser_reads_them(text in json_text()) {
        use mcpg_sdk::policy::Arguments;
        let arguments = Arguments::new(Some(&text));
        let Ok(Value::Object(parsed)) = serde_json::from_str::<Value>(&text) else {
            // The envelope has refused it; here it must only not panic.
            prop_assert!(arguments.members().count() <= text.len());
            return Ok(());
        };
        let mut names = BTreeSet::new();
        for member in arguments.members() {
            let member = member.unwrap();
            let name = member.name().unwrap().into_owned();
            if names.insert(name.clone()) {
                continue;
            }
            prop_assert_eq!(arguments.member(&name), Err(ArgumentsError::Duplicate));
            return Ok(());
        }
        prop_assert_eq!(names.iter().collect::<Vec<_>>(), { let mut keys: Vec<_> = parsed.keys().collect(); keys.sort(); keys });
        for (name, value) in &parsed {
            let raw = arguments.member(name).unwrap().unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), value);
        }
    }
}
