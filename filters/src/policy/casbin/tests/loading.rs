//! What does not load, and what the message says.

use super::super::pattern::{Function, Pattern};
use super::*;

fn refuse(model: &str, policy: &str, expected: &str) {
    let error = load_with(model, policy, &json!({})).unwrap_err();
    assert!(error.contains(expected), "expected: {expected}\nfound:    {error}");
}

#[test]
fn models_are_checked() {
    let good = model(RBAC);
    let with = |from: &str, to: &str, expected: &str| refuse(&good.replace(from, to), "", expected);
    with(
        "[matchers]",
        "[matcher]",
        "model.conf:9: there is no section `[matcher]`: did you mean `matchers`?",
    );
    with("m = ", "m2 = ", "`[matchers]` has no `m = …`");
    with("g = _, _", "g = _", "a role definition is `g = _, _`");
    with("g = _, _", "h = _, _", "a role definition is `g = _, _`");
    with("p = sub, obj, act", "p = sub, sub, act", "a field is there twice");
    with("p = sub, obj, act", "p = sub, obj, act\np2 = sub", "`p2`: one definition is used");
    with("r.obj == p.obj", "r.objekt == p.obj", "`r.objekt`: the request has no such field");
    with("r.obj == p.obj", "r.obj == p.objekt", "`p.objekt`: the policy has no such column");
    with("r.obj == p.obj", "h(r.obj, p.obj)", "there is no function `h`");
    with("r.obj == p.obj", "keymatch(r.obj, p.obj)", "did you mean `keyMatch`?");
    with("r.obj == p.obj", "keyMatch(r.obj)", "`keyMatch` takes 2 values, not 1");
    with("r.obj == p.obj", "keyMatch(p.obj, r.obj)", "a request must not choose it");
    with("r.obj == p.obj", "g2(r.obj, p.obj)", "there is no `g2 = _, _`");
    with("g(r.sub, p.sub)", "g(r.sub, p.sub, r.obj)", "`g(…)` takes 2 values");
    with("r.obj == p.obj", "r.obj = p.obj", "model.conf:10: at character 26: `=` has no meaning");
    with("r.obj == p.obj", "r.obj == p.obj == r.act", "comparisons are not chained");
    with("r.obj == p.obj", "!r.obj == p.obj", "depends on the implementation: use brackets");
    with("r.obj == p.obj", "r.obj == obj", "`obj` is nothing");
    with("r.obj == p.obj", "r.obj == \"x", "does not end");
    with("r.obj == p.obj", "r.obj.name == p.obj", "there is no part `resource.id.name`");
    with("r.obj == p.obj", "regexMatch(r.obj, \"(\")", "is no regular expression");
    with("r.obj == p.obj", "eval(r.obj)", "`eval` takes a column of the policy");
    with("some(where (p.eft == allow))", "!some(where (p.eft == deny))", "permits what no policy speaks of");
    with("some(where (p.eft == allow))", "subjectPriority(p.eft) || deny", "a column `priority`");
    with("some(where (p.eft == allow))", "any", "`any` is no effect of Casbin");
    with("r = sub, obj, act", "r = sub, obj, act, ctx", "`request.ctx`: the model's request has this field");
}

#[test]
fn policies_are_checked() {
    let eft = matching("sub, obj, eft", "r.sub == p.sub && regexMatch(r.obj, p.obj)");
    refuse(&eft, "p, alice, ^x$\n", "policy.csv:1: the policy has 3 columns, not 2");
    refuse(&eft, "\n# x\np, alice, ^x$, permit\n", "policy.csv:3: `permit`: the effect is `allow` or `deny`");
    refuse(&eft, "p, alice, ^x$, deny\n", "nothing is denied under the model's effect");
    refuse(&eft, "p, alice, (, allow\np, bob, [, allow\n", "policy.csv:2: `[` is no regular expression");
    refuse(&eft, "p2, alice, x, allow\n", "`p2` is neither `p` nor a role definition");
    refuse(&eft, "g, alice, admin\n", "`g` is neither `p` nor a role definition");
    refuse(&model(RBAC), "g, alice, admin, d1\n", "`g` has 2 fields, not 3");
    refuse(&matching("obj", "ipMatch(r.sub, p.obj)"), "p, 10.0.0.0/33\n", "is no IP address and no block");
    refuse(&matching("obj", "globMatch(r.obj, p.obj)"), "p, [a\n", "a class does not end");
    refuse(&matching("obj", "eval(p.obj)"), "p, r.sub ==\n", "policy.csv:1: `r.sub ==`, at character 9");
    refuse(&matching("obj", "eval(p.obj)"), "p, eval(p.obj)\n", "`eval` within a condition");
    refuse(&matching("obj", "eval(p.obj)"), "p, r.nothing == r.sub\n", "the request has no such field");
    let with = matching("obj, obligations", "r.obj == p.obj");
    refuse(&with, "p, x, redcat:email\n", "policy.csv:1: `redcat:email`");
    refuse(&matching("obj", "regexMatch(r.obj, p.obj)"), "p, ^(a{1000}){1000}$\n", "compiles to more than");
    let few = json!({"limits": {"rules_max": 1}});
    assert!(
        load_with(&model(RBAC), "p, a, b, c\np, a, b, d\n", &few).unwrap_err().contains("more than 1 lines")
    );
    let few = json!({"limits": {"patterns_max": 1}});
    let error = load_with(&eft, "p, a, ^b, allow\np, a, ^c, allow\n", &few).unwrap_err();
    assert!(error.contains("policy.csv:2: more than 1 different patterns"), "{error}");
}

#[test]
fn settings_are_checked() {
    let load = |more: Value| load_with(&model(RBAC), "", &more).map(|_| ());
    assert_eq!(load(json!({})), Ok(()));
    assert!(load(json!({"model": "x.conf"})).unwrap_err().contains("the bundle has no file `x.conf`"));
    let error = load(json!({"request": {"obj": "resource.nme"}})).unwrap_err();
    assert!(
        error.contains("`request.obj`: there is no part `resource.nme`: did you mean `resource.name`?"),
        "{error}"
    );
    assert!(load(json!({"request": {"objct": "resource.name"}})).unwrap_err().contains("no such field"));
    let error = load(json!({"request": {"obj": "resource"}})).unwrap_err();
    assert!(error.contains("`r.obj` stands for `resource`, which has members"), "{error}");
}

#[test]
fn deep_and_long_matchers_are_refused() {
    let nested = format!("{}r.sub == \"a\"{}", "(".repeat(40_000), ")".repeat(40_000));
    refuse(&matching("obj", &nested), "", "nested deeper than 32");
    refuse(&matching("obj", &format!("{}true", "!".repeat(40_000))), "", "nested deeper than 32");
    refuse(&matching("obj", &vec!["true"; 2000].join(" && ")), "", "more than 1000 operators");
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let engine =
        load(&matching("sub, obj, act", "r.sub == p.sub && regexMatch(r.obj, p.obj)"), "p, a, x, y\n");
    let warnings = engine.warnings().join("\n");
    assert!(warnings.contains("policy.csv:1: `x` may match anywhere"), "{warnings}");
    assert!(warnings.contains("model.conf: the matcher does not read `p.act`"), "{warnings}");
    assert!(warnings.contains("model.conf: the matcher does not read `r.act`"), "{warnings}");
}

#[test]
fn functions_match_what_is_documented() {
    use super::super::value::Value as Found;
    let matches = |function: &str, text: &str, pattern: &str| {
        let pattern = Pattern::new(function.parse::<Function>().unwrap(), pattern).unwrap();
        pattern.apply(text, None).unwrap() == Found::Boolean(true)
    };
    for (function, text, pattern, expected) in [
        ("keyMatch", "/foo/bar", "/foo/*", true),
        ("keyMatch", "/foo", "/foo/*", false),
        ("keyMatch", "/\u{e4}", "/\u{e4}*", true),
        ("keyMatch2", "/resource1", "/:resource", true),
        ("keyMatch2", "/a/b", "/:resource", false),
        ("keyMatch2", "/foo/bar/baz", "/foo/*", true),
        ("keyMatch2", "anything", "*", true),
        ("keyMatch3", "/proj/7/res/8", "/proj/{id}/res/{res}", true),
        ("keyMatch3", "/proj/7/8/res", "/proj/{id}/res", false),
        ("keyMatch4", "/parent/123/child/123", "/parent/{id}/child/{id}", true),
        ("keyMatch4", "/parent/123/child/456", "/parent/{id}/child/{id}", false),
        ("keyMatch5", "/foo/bar?status=1", "/foo/bar", true),
        ("keyMatch5", "/foo/x?status=1", "/foo/{id}", true),
        ("regexMatch", "/topic/create/123", "/topic/create", true),
        ("regexMatch", "xy", "^x$", false),
        ("ipMatch", "192.168.2.123", "192.168.2.0/24", true),
        ("ipMatch", "192.168.3.123", "192.168.2.7/24", false),
        ("ipMatch", "::ffff:192.168.2.1", "192.168.2.0/24", true),
        ("globMatch", "/foo/bar", "/foo/*", true),
        ("globMatch", "/foo/bar/baz", "/foo/*", false),
        ("globMatch", "a/c", "a[!b]c", false),
        ("globMatch", "abc", "a[a-c]c", true),
        ("globMatch", "a.c", "a.c", true),
        ("globMatch", "axc", "a.c", false),
        ("globMatch", "a*c", "a\\*c", true),
        ("globMatch", "a]c", "a[\\]]c", true),
        ("globMatch", "a^c", "a[x^]c", true),
        ("globMatch", "a&c", "a[&&]c", true),
    ] {
        assert_eq!(matches(function, text, pattern), expected, "{function}({text}, {pattern})");
    }
    let get = |function: Function, text: &str, pattern: &str, name: Option<&str>| {
        Pattern::new(function, pattern).unwrap().apply(text, name).unwrap()
    };
    assert_eq!(get(Function::KeyGet, "/foo/bar/x", "/foo/*", None), Found::text("bar/x"));
    assert_eq!(get(Function::KeyGet2, "/a/b", "/:x/:y", Some("y")), Found::text("b"));
    assert_eq!(get(Function::KeyGet3, "/p/x_1", "/p/x_{id}", Some("id")), Found::text("1"));
    assert!(Pattern::new(Function::RegexMatch, "^a").unwrap().apply(&"a".repeat(100_000), None).is_err());
}
