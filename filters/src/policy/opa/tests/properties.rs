//! What holds for every policy and every input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::super::cedar::{BundleContext, CedarEngine, CedarSettings};
use super::*;

fn condition() -> impl Strategy<Value = String> {
    select(vec![
        "input.caller.subject == \"user:alice@acme.com\"",
        "\"dev\" in input.caller.groups",
        "input.caller.attributes.clearance > 2",
        "input.action.name == \"a\"",
        "input.action.kind == \"tool\"",
        "input.context.arguments.n > 1",
        "not input.context.arguments.n",
        "input.context.arguments.flag",
        "net.cidr_contains(\"10.0.0.0/8\", input.context.source_ip)",
        "some key, value in input.context.arguments; key == \"n\"; value == 1",
        "input.context.approval_token",
        "count(input.caller.roles) == 1",
        "input.tenant.environment == \"prod\"",
    ])
    .prop_map(str::to_owned)
}

/// Rules of a decision: any of some conjunctions permits.
fn rules() -> impl Strategy<Value = String> {
    vec((vec(condition(), 1..3), any::<bool>()), 1..4).prop_map(|bodies| {
        let rule = |(index, (conditions, redacts)): (usize, (Vec<String>, bool))| {
            let obligations = if redacts { format!("\"redact:f{index}\"") } else { String::new() };
            format!("allowed contains [{obligations}] if {{ {} }}\n", conditions.join("; "))
        };
        let rules: String = bodies.into_iter().enumerate().map(rule).collect();
        format!(
            "package mcpg\n{rules}decision := {{\"allow\": true, \"obligations\": {{o | some one in allowed; some o in one}}}} if count(allowed) > 0\n"
        )
    })
}

fn cedar() -> impl Strategy<Value = String> {
    let condition = select(vec![
        "principal in Group::\"dev\"",
        "context has approval_token",
        "context.arguments has n && context.arguments.n > 1",
        "resource.name == \"a\"",
        "context.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
    ]);
    vec((condition, any::<bool>(), any::<bool>()), 1..3).prop_map(|policies| {
        let policy = |(index, (condition, redacts, forbids)): (usize, (&str, bool, bool))| {
            let redact = if redacts && !forbids { format!("@redact(\"c{index}\")\n") } else { String::new() };
            let effect = if forbids && index > 0 { "forbid" } else { "permit" };
            let redact = if effect == "forbid" { String::new() } else { redact };
            format!("{redact}{effect} (principal, action in Action::\"tools/call\", resource) when {{ {condition} }};\n")
        };
        policies.into_iter().enumerate().map(policy).collect()
    })
}

fn cedar_engine(text: &str) -> Arc<dyn PolicyEngine> {
    let folder = folder(&[("a.cedar", text)]);
    let settings: CedarSettings =
        serde_json::from_value(json!({"bundle": "policies", "limits": {"evaluation_ms_max": 60_000}}))
            .unwrap();
    let (bindings, fetched) = (["crm".to_owned()], FetchedBundles::default());
    let context =
        BundleContext { base: &Base::trusted(folder.path()), bindings: &bindings, fetched: &fetched };
    Arc::new(CedarEngine::load(&settings, &context).unwrap())
}

/// Permits where a hash of the subject and the tool says so.
struct Scripted {
    reads: Reads,
    modulus: u8,
}

impl PolicyEngine for Scripted {
    fn id(&self) -> &str {
        "scripted"
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn decide(&self, input: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
        let given = format!("{:?} {:?}", input.subject(), input.name());
        match blake3::hash(given.as_bytes()).as_bytes()[0] % self.modulus {
            0 => Ok(EngineDecision::NotPermitted { message: String::new() }),
            _ => Ok(EngineDecision::Permit { policies: vec!["s".to_owned()], obligations: Vec::new() }),
        }
    }
}

fn scripted(modulus: u8) -> Arc<dyn PolicyEngine> {
    let reads = Reads::new(&Arc::new(ReadSet { subject: true, name: true, ..ReadSet::default() }));
    Arc::new(Scripted { reads, modulus })
}

#[derive(Debug, Clone)]
struct Ask {
    alice: bool,
    groups: Value,
    clearance: i64,
    tool: &'static str,
    arguments: Option<&'static str>,
    source: &'static str,
    token: Option<&'static str>,
}

fn ask() -> impl Strategy<Value = Ask> {
    (
        any::<bool>(),
        select(vec![json!(["dev"]), json!([]), json!("dev"), json!(1)]),
        0..5_i64,
        select(vec!["a", "b"]),
        select(vec![
            None,
            Some("{}"),
            Some(r#"{"n":1}"#),
            Some(r#"{"n":2,"flag":true}"#),
            Some(r#"{"n":2,"n":3}"#),
            Some(r#"{"other":[1,2]}"#),
            Some("[]"),
        ]),
        select(vec!["10.1.2.3", "192.0.2.1"]),
        select(vec![None, Some("t")]),
    )
        .prop_map(|(alice, groups, clearance, tool, arguments, source, token)| Ask {
            alice,
            groups,
            clearance,
            tool,
            arguments,
            source,
            token,
        })
}

impl Ask {
    fn decide(&self, chain: &PolicyChain, cached: bool) -> Verdict {
        let mut caller = caller();
        if !self.alice {
            caller.subject = "user:bob@acme.com".to_owned();
        }
        caller.attributes.insert("groups".to_owned(), self.groups.clone());
        caller.attributes.insert("clearance".to_owned(), json!(self.clearance));
        let scope = Scope::default();
        let call = Call {
            source: self.source.parse().unwrap(),
            approval_token: self.token,
            ..call(&scope, self.tool, self.arguments)
        };
        if cached {
            (*now(chain.decide(&caller, &call)).verdict).clone()
        } else {
            now(chain.decide_uncached(&caller, &call))
        }
    }
}

/// Permit or deny, and the obligations.
fn outcome(verdict: &Verdict) -> Option<Vec<Obligation>> {
    match &verdict.decision {
        Decision::Permit => Some(Vec::new()),
        Decision::PermitWithObligations(obligations) => Some(obligations.clone()),
        Decision::Deny(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, fork: false, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chains_of_different_engines_are_sound(
        rego in rules(),
        cedar in cedar(),
        modulus in 2..5_u8,
        asks in vec(ask(), 1..12),
    ) {
        let rego: Arc<dyn PolicyEngine> = Arc::new(load(&rego).unwrap());
        let engines = [rego, cedar_engine(&cedar), scripted(modulus)];
        let chain = |order: &[usize]| {
            let engines = order.iter().map(|at| Arc::clone(&engines[*at])).collect();
            PolicyChain::new(engines, CacheLimits::default())
        };
        let whole = chain(&[0, 1, 2]);
        let others = [chain(&[2, 1, 0]), chain(&[1, 2, 0]), chain(&[1, 0, 2])];
        let parts = [chain(&[0]), chain(&[1]), chain(&[2]), chain(&[0, 1]), chain(&[1, 2])];
        for ask in &asks {
            let decided = ask.decide(&whole, true);
            // Cached as uncached, twice.
            prop_assert_eq!(&decided, &ask.decide(&whole, false), "{:?}", ask);
            prop_assert_eq!(&decided, &ask.decide(&whole, true), "{:?}", ask);
            let outcome_of_all = outcome(&decided);
            for other in &others {
                prop_assert_eq!(&outcome(&ask.decide(other, true)), &outcome_of_all, "{:?}", ask);
            }
            // What all permit each permits, and what each obliges to all oblige to.
            for part in &parts {
                let part = outcome(&ask.decide(part, true));
                if let Some(all) = &outcome_of_all {
                    let part = part.ok_or_else(|| TestCaseError::fail(format!("an engine granted: {ask:?}")))?;
                    prop_assert!(part.iter().all(|one| all.contains(one)), "{:?}", ask);
                }
            }
        }
    }
}
