use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::policy::{EngineDecision, EngineError, Kind, Names, PolicyEngine, PolicyInput, Reads};
use mcpg_sdk::{AuthMethod, Scope, Target};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::policy::CacheLimits;

/// Permits what its function permits.
struct Engine<F> {
    reads: Reads,
    permits: F,
}

impl<F: Fn(&PolicyInput<'_>) -> bool + Send + Sync> PolicyEngine for Engine<F> {
    fn id(&self) -> &str {
        "policy.test"
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn decide(&self, input: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
        Ok(if (self.permits)(input) {
            EngineDecision::Permit { policies: Vec::new(), obligations: Vec::new() }
        } else {
            EngineDecision::NotPermitted { message: String::new() }
        })
    }
}

fn chain(reads: ReadSet, permits: impl Fn(&PolicyInput<'_>) -> bool + Send + Sync + 'static) -> PolicyChain {
    let engine = Engine { reads: Reads::new(&Arc::new(reads)), permits };
    PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default())
}

fn caller(subject: &str) -> Caller {
    Caller {
        subject: subject.to_owned(),
        audience: None,
        attributes: [("groups".to_owned(), json!(["dev"])), ("level".to_owned(), json!(3))].into(),
        auth_method: AuthMethod::ApiKey,
    }
}

fn listed<'a>(scope: &'a Scope, tool: &'a str) -> Listed<'a> {
    let call = Call {
        scope,
        binding: "files",
        method: "tools/call",
        target: Target::Tool(tool),
        arguments: None,
        source: "192.0.2.1".parse().unwrap(),
        now: SystemTime::UNIX_EPOCH,
        approval_token: None,
    };
    Listed { call, is_template: false }
}

#[test]
fn what_is_denied_is_shown_only_where_a_call_may_change_that() {
    let arguments = ReadSet { arguments: Names::only(["path"]), ..ReadSet::default() };
    for (reads, shown) in [
        (ReadSet::default(), false),
        (ReadSet { subject: true, name: true, source: true, tenant: true, ..ReadSet::default() }, false),
        (arguments, true),
        (ReadSet { time: true, ..ReadSet::default() }, true),
        (ReadSet { approval: ApprovalRead::Presence, ..ReadSet::default() }, true),
    ] {
        let scope = Scope::default();
        assert_eq!(
            chain(reads.clone(), |_| false).shows_for_tests(&caller("a"), &listed(&scope, "t")),
            shown,
            "{reads:?}"
        );
        assert!(chain(reads, |_| true).shows_for_tests(&caller("a"), &listed(&scope, "t")));
    }
    assert!(
        !PolicyChain::new(Vec::new(), CacheLimits::default())
            .shows_for_tests(&caller("a"), &listed(&Scope::default(), "t"))
    );
}

#[test]
fn a_template_is_shown_where_its_name_decides() {
    let scope = Scope::default();
    let template = Listed {
        call: Call {
            method: "resources/read",
            target: Target::Resource("file:///{path}"),
            ..listed(&scope, "t").call
        },
        is_template: true,
    };
    let by_name = ReadSet { name: true, subject: true, ..ReadSet::default() };
    assert!(chain(by_name.clone(), |_| false).shows_for_tests(&caller("a"), &template));
    assert!(!chain(ReadSet::default(), |_| false).shows_for_tests(&caller("a"), &template));
    assert!(
        !chain(by_name, |_| false).shows_for_tests(&caller("a"), &Listed { is_template: false, ..template })
    );
}

#[test]
fn a_class_has_what_the_listed_actions_read_and_nothing_else() {
    let scope = Scope::default();
    let mut reads = Reads::new(&Arc::new(ReadSet { subject: true, ..ReadSet::default() }));
    reads.set_tool("files", "timed", Arc::new(ReadSet { time: true, source: true, ..ReadSet::default() }));
    reads.set_tool("files", "near", Arc::new(ReadSet { source: true, ..ReadSet::default() }));
    reads.set_tool("files", "open", Arc::default());
    reads.set_rest(Kind::Prompt, Arc::new(ReadSet::everything()));
    let engine = Engine { reads, permits: |_: &PolicyInput<'_>| true };
    let chain = PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default());
    let source = |text: &str| text.parse::<IpAddr>().unwrap();
    let same = |tools: &[&str], one: (&str, &str), other: (&str, &str)| {
        let mut viewpoint = Viewpoint::default();
        tools.iter().for_each(|tool| viewpoint.add(&chain, &listed(&scope, tool)));
        let class = |(subject, from)| viewpoint.class(&caller(subject), source(from)).unwrap();
        (viewpoint.is_common(), class(one) == class(other))
    };
    let (a, b, far) = (("a", "192.0.2.1"), ("b", "192.0.2.1"), ("a", "192.0.2.2"));
    assert_eq!(same(&[], a, b), (true, true));
    assert_eq!(same(&["open"], a, b), (true, true));
    assert_eq!(same(&["open", "timed"], a, far), (true, true));
    assert_eq!(same(&["open", "other"], a, b), (false, false));
    assert_eq!(same(&["open", "other"], a, far), (false, true));
    assert_eq!(same(&["near"], a, far), (false, false));
    assert_eq!(same(&["near"], a, b), (false, true));
}

#[test]
fn every_attribute_can_be_written_down_in_any_order() {
    let everyone = chain(ReadSet { attributes: Names::All, ..ReadSet::default() }, |_| true);
    let scope = Scope::default();
    let mut viewpoint = Viewpoint::default();
    viewpoint.add(&everyone, &listed(&scope, "t"));
    let class = |pairs: &[(&str, i32)]| {
        let attributes = pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        viewpoint.class(&Caller { attributes, ..caller("a") }, "::1".parse().unwrap())
    };
    assert_eq!(class(&[("a", 1), ("b", 2)]), class(&[("b", 2), ("a", 1)]));
    assert_ne!(class(&[("a", 1), ("b", 2)]), class(&[("a", 2), ("b", 1)]));
    let long = "x".repeat(5000);
    assert_eq!(class(&[(&long, 1)]), None);
}

proptest! {
    /// Two callers of one class see the same, whatever the policy reads.
    #[test]
    fn a_class_sees_one_list(
        flags in any::<[bool; 6]>(),
        subjects in any::<[bool; 2]>(),
        levels in any::<[bool; 2]>(),
        sources in any::<[bool; 2]>(),
    ) {
        let [subject, auth_method, groups, attributes, source, name] = flags;
        let reads = ReadSet {
            subject,
            auth_method,
            groups,
            attributes: if attributes { Names::only(["level"]) } else { Names::default() },
            source,
            name,
            ..ReadSet::default()
        };
        // Permits by a digest of all that it is given.
        let chain = chain(reads, |input| {
            let given = format!(
                "{:?} {:?} {:?} {:?} {:?} {:?}",
                input.subject(), input.auth_method(), input.groups(), input.attribute("level"), input.source(), input.name()
            );
            blake3::hash(given.as_bytes()).as_bytes()[0].is_multiple_of(2)
        });
        let scope = Scope::default();
        let tools = ["a", "b", "c", "d"];
        let mut viewpoint = Viewpoint::default();
        tools.iter().for_each(|tool| viewpoint.add(&chain, &listed(&scope, tool)));
        let view = |at: usize| {
            let mut caller = caller(if subjects[at] { "a" } else { "b" });
            caller.attributes.insert("level".to_owned(), json!(levels[at]));
            let source: IpAddr = if sources[at] { "192.0.2.1" } else { "192.0.2.2" }.parse().unwrap();
            let shown = tools.map(|tool| {
                let mut listed = listed(&scope, tool);
                listed.call.source = source;
                chain.shows_for_tests(&caller, &listed)
            });
            (viewpoint.class(&caller, source).unwrap(), shown)
        };
        let (one, other) = (view(0), view(1));
        prop_assert!(one.0 != other.0 || one.1 == other.1);
        prop_assert!(!viewpoint.is_common() || one.1 == other.1);
    }
}
