//! The limits as configured: who is charged for what, and what a reload keeps.

use std::path::Path;
use std::time::SystemTime;

use mcpg_sdk::{AuthMethod, Base, Scope};
use serde_json::{Value, json};

use super::*;
use crate::secret::SecretResolver;

const SECOND: u64 = 1_000_000_000;

fn build(settings: Value) -> Result<RateLimit, SettingsError> {
    let secrets = SecretResolver::new(&Base::trusted("."));
    let (scope, shared) = (Scope::default(), Arc::default());
    let context = BuildContext {
        base: &Base::trusted(Path::new(".")),
        secrets: &secrets,
        bindings: &["files", "files.v2"],
        scope: &scope,
        shared: &shared,
        now: SystemTime::UNIX_EPOCH,
    };
    RateLimit::build(&Settings(settings), &context)
}

/// Who asks for what.
#[derive(Clone, Copy)]
struct Ask<'a> {
    scope: &'a str,
    subject: &'a str,
    target: Target<'a>,
}

const ASK: Ask<'static> =
    Ask { scope: "acme/team/prod", subject: "user:a@acme.com", target: Target::Tool("read") };

fn ask(limit: &RateLimit, ask: Ask<'_>, now_ns: u64) -> Verdict {
    of(ask, |caller, call| limit.check(caller, call, now_ns))
}

/// The caller and the call of an ask.
fn of<T>(ask: Ask<'_>, then: impl FnOnce(&Caller, &Call<'_>) -> T) -> T {
    let scope: Scope = ask.scope.parse().unwrap();
    let caller = Caller {
        subject: ask.subject.to_owned(),
        audience: None,
        attributes: Default::default(),
        auth_method: AuthMethod::ApiKey,
    };
    let call = Call {
        scope: &scope,
        binding: "files",
        method: "tools/call",
        target: ask.target,
        arguments: None,
        source: [127, 0, 0, 1].into(),
        now: SystemTime::UNIX_EPOCH,
        approval_token: None,
    };
    then(&caller, &call)
}

/// How many calls in a row are admitted at one moment.
fn admitted(limit: &RateLimit, who: Ask<'_>, now_ns: u64) -> usize {
    (0..1000).take_while(|_| ask(limit, who, now_ns) == Verdict::Allowed).count()
}

fn limited(limit: Limit, retry_after: Duration) -> Verdict {
    Verdict::Limited { limit, retry_after }
}

#[test]
fn each_caller_of_each_scope_has_its_own_bucket() {
    let limit = build(json!({"per_caller": {"requests": 5, "per": "1s"}})).unwrap();
    assert_eq!(admitted(&limit, ASK, SECOND), 5);
    assert_eq!(ask(&limit, ASK, SECOND), limited(Limit::Caller, Duration::from_millis(200)));
    assert_eq!(admitted(&limit, Ask { subject: "user:b@acme.com", ..ASK }, SECOND), 5);
    assert_eq!(admitted(&limit, Ask { scope: "acme/team/test", ..ASK }, SECOND), 5);
    assert_eq!(admitted(&limit, Ask { scope: "other/team/prod", ..ASK }, SECOND), 5);
    // All kinds of calls count.
    for target in [Target::Binding, Target::Resource("file:///a"), Target::Prompt("p"), Target::Tool("write")]
    {
        assert_ne!(ask(&limit, Ask { target, ..ASK }, SECOND), Verdict::Allowed);
    }
    assert_eq!(admitted(&limit, ASK, SECOND + SECOND / 5), 1);
    assert_eq!(admitted(&limit, ASK, 60 * SECOND), 5);
}

#[test]
fn tools_have_limits_by_name_and_by_default() {
    let rate = |requests: u32| json!({"requests": requests, "per": "1m"});
    let tools = json!({"files.read": rate(2), "files.v2.read": rate(9)});
    let limit = build(json!({"per_tool": {"default": rate(4), "tools": tools}})).unwrap();
    let tool = |name| Ask { target: Target::Tool(name), ..ASK };
    assert_eq!(admitted(&limit, tool("read"), SECOND), 2);
    assert_eq!(ask(&limit, tool("read"), SECOND), limited(Limit::Tool, Duration::from_secs(30)));
    assert_eq!(admitted(&limit, tool("write"), SECOND), 4);
    assert_eq!(admitted(&limit, tool("delete"), SECOND), 4);
    assert_eq!(admitted(&limit, Ask { subject: "user:b@acme.com", ..tool("read") }, SECOND), 2);
    // A tool `v2.read` of `files` and a tool `read` of `files.v2` have the same full name, and one limit.
    assert_eq!(admitted(&limit, tool("v2.read"), SECOND), 9);
    // What is no tool has no limit here.
    assert_eq!(admitted(&limit, Ask { target: Target::Binding, ..ASK }, SECOND), 1000);
}

#[test]
fn a_refused_call_is_charged_to_neither_limit() {
    let limit = build(json!({
        "per_caller": {"requests": 4, "per": "1h"},
        "per_tool": {"tools": {"files.read": {"requests": 2, "per": "1h"}}},
    }))
    .unwrap();
    assert_eq!(admitted(&limit, ASK, SECOND), 2);
    for _ in 0..100 {
        assert!(matches!(ask(&limit, ASK, SECOND), Verdict::Limited { limit: Limit::Tool, .. }));
    }
    assert_eq!(admitted(&limit, Ask { target: Target::Tool("write"), ..ASK }, SECOND), 2);
}

#[test]
fn invented_tool_names_cost_their_caller_only() {
    let rate = json!({"requests": 1, "per": "1h"});
    let settings =
        json!({"per_tool": {"default": rate, "tools": {"files.read": rate}}, "tools_per_caller_max": 8});
    let limit = build(settings).unwrap();
    assert_eq!(admitted(&limit, ASK, SECOND), 1);
    let names: Vec<_> = (0..1000).map(|number| format!("tool{number}")).collect();
    let tools = names
        .iter()
        .filter(|name| ask(&limit, Ask { target: Target::Tool(name), ..ASK }, SECOND) == Verdict::Allowed);
    // Seven places beside `files.read`, and one shared bucket.
    assert_eq!(tools.count(), 8);
    assert_eq!(admitted(&limit, ASK, SECOND), 0);
    assert_eq!(admitted(&limit, Ask { subject: "user:b@acme.com", ..ASK }, SECOND), 1);
}

#[test]
fn without_settings_there_is_a_limit() {
    let limit = build(Value::Null).unwrap();
    assert_eq!(admitted(&limit, ASK, SECOND), 200);
    assert_eq!(admitted(&limit, ASK, 2 * SECOND), 100);
}

#[test]
fn a_reload_hands_nobody_a_fresh_burst() {
    let settings = json!({"per_caller": {"requests": 5, "per": "1m"}, "per_tool": {"default": {"requests": 3, "per": "1m"}}});
    let old = build(settings.clone()).unwrap();
    assert_eq!(admitted(&old, ASK, SECOND), 3);
    let mut new = build(settings.clone()).unwrap();
    new.inherit(&old);
    assert_eq!(admitted(&new, ASK, SECOND), 0);
    assert_eq!(admitted(&new, Ask { target: Target::Binding, ..ASK }, SECOND), 2);
    // Requests of the old revision that are still running count too.
    assert_eq!(admitted(&old, Ask { target: Target::Binding, ..ASK }, SECOND), 0);
    // Without a predecessor there is nothing to keep.
    assert_eq!(admitted(&build(settings).unwrap(), ASK, SECOND), 3);
}

#[test]
fn a_relaxed_limit_holds_at_once() {
    let old = build(json!({"per_caller": {"requests": 1, "per": "24h"}})).unwrap();
    assert_eq!(admitted(&old, ASK, SECOND), 1);
    let mut new = build(json!({"per_caller": {"requests": 10, "per": "1s"}})).unwrap();
    new.inherit(&old);
    assert_eq!(ask(&new, ASK, SECOND), limited(Limit::Caller, Duration::from_millis(100)));
    assert_eq!(admitted(&new, ASK, 2 * SECOND), 10);
}

/// How many charges to a class in a row are admitted at one moment. None: there is no such class.
fn admitted_to(limit: &RateLimit, class: &str, who: Ask<'_>, now_ns: u64) -> Option<usize> {
    let charge = || of(who, |caller, call| limit.check_class(class, caller, call, now_ns));
    let first = charge()?;
    let rest = (0..1000).take_while(|_| charge() == Some(Verdict::Allowed)).count();
    Some(if first == Verdict::Allowed { rest + 1 } else { 0 })
}

#[test]
fn a_class_has_a_bucket_for_each_caller_of_each_scope() {
    let classes = json!({"bulk": {"requests": 3, "per": "1m"}, "rare": {"requests": 1, "per": "1h"}});
    let limit = build(json!({"classes": classes})).unwrap();
    assert_eq!(limit.classes().collect::<Vec<_>>(), ["bulk", "rare"]);
    assert_eq!(admitted_to(&limit, "bulk", ASK, SECOND), Some(3));
    let over = of(ASK, |caller, call| limit.check_class("bulk", caller, call, SECOND));
    assert_eq!(over, Some(limited(Limit::Class, Duration::from_secs(20))));
    // Whatever is called, the class is one; other callers, scopes and classes have their own.
    assert_eq!(admitted_to(&limit, "bulk", Ask { target: Target::Tool("write"), ..ASK }, SECOND), Some(0));
    assert_eq!(admitted_to(&limit, "rare", ASK, SECOND), Some(1));
    assert_eq!(admitted_to(&limit, "bulk", Ask { subject: "user:b@acme.com", ..ASK }, SECOND), Some(3));
    assert_eq!(admitted_to(&limit, "bulk", Ask { scope: "other/team/prod", ..ASK }, SECOND), Some(3));
    assert_eq!(admitted_to(&limit, "bulk", ASK, 21 * SECOND), Some(1));
    assert_eq!(admitted_to(&limit, "bluk", ASK, SECOND), None, "nobody has a limit for it");
    // With classes alone nothing is charged before the decision.
    assert_eq!(admitted(&limit, ASK, SECOND), 1000);
}

#[test]
fn a_class_is_charged_beside_the_other_limits() {
    let bulk = json!({"bulk": {"requests": 2, "per": "1h"}});
    let settings = json!({"per_caller": {"requests": 3, "per": "1h"}, "classes": bulk});
    let old = build(settings.clone()).unwrap();
    assert_eq!(admitted_to(&old, "bulk", ASK, SECOND), Some(2));
    assert_eq!(admitted(&old, ASK, SECOND), 3, "a class takes nothing of them");
    // A tool of that name is no class.
    let named = json!({"per_tool": {"tools": {"files.bulk": {"requests": 2, "per": "1h"}}}, "classes": bulk});
    let named = build(named).unwrap();
    assert_eq!(admitted(&named, Ask { target: Target::Tool("bulk"), ..ASK }, SECOND), 2);
    assert_eq!(admitted_to(&named, "bulk", ASK, SECOND), Some(2));
    // A reload hands nobody a fresh burst.
    let mut new = build(settings).unwrap();
    new.inherit(&old);
    assert_eq!(admitted_to(&new, "bulk", ASK, SECOND), Some(0));
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    let seconds = |nanos| limited(Limit::Caller, Duration::from_nanos(nanos)).retry_after_seconds();
    assert_eq!(seconds(1), Some(1));
    assert_eq!(seconds(SECOND), Some(1));
    assert_eq!(seconds(SECOND + 1), Some(2));
    assert_eq!(Verdict::Allowed.retry_after_seconds(), None);
}

#[test]
fn settings_that_do_not_hold_say_where() {
    let rate = json!({"requests": 1, "per": "1s"});
    for (settings, pointer) in [
        (json!({"per_caller": {"requests": 0, "per": "1s"}}), "/per_caller/requests"),
        (json!({"per_caller": {"requests": 1, "per": "1s", "burst": 0}}), "/per_caller/burst"),
        (json!({"per_caller": {"requests": 1, "per": "1 day"}}), "/per_caller/per"),
        (json!({"per_caller": {"requests": 1}}), "/per_caller"),
        (json!({"per_caler": rate}), "/per_caler"),
        (json!({"keys_max": 1}), "/keys_max"),
        (json!({"tools_per_caller_max": 0}), "/tools_per_caller_max"),
        (json!({"per_tool": {"default": {"requests": 0, "per": "1s"}}}), "/per_tool/default/requests"),
        (json!({"per_tool": {"tools": {"read": rate}}}), "/per_tool/tools/read"),
        (json!({"per_tool": {"tools": {"files.": rate}}}), "/per_tool/tools/files."),
        (json!({"per_tool": {"tools": {"github.a/b": rate}}}), "/per_tool/tools/github.a~1b"),
    ] {
        let error = build(settings.clone()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{settings}: {error}");
    }
}
