//! Bundles made to hurt.

use super::*;

fn refuse_bytes(bytes: &[u8], expected: &str) {
    let folder = folder(&[("a.cedar", "")]);
    fs::write(folder.path().join("policies/a.cedar"), bytes).unwrap();
    let error = load_at(folder.path(), &settings()).unwrap_err().to_string();
    assert!(error.contains(expected), "expected: {expected}\nfound:    {error}");
}

#[test]
fn texts_that_are_no_text_are_refused() {
    refuse_bytes(b"permit (principal, action, resource); // \xff", "is not UTF-8 at byte 41");
    refuse_bytes(
        b"permit (principal, action, resource); // \0\nforbid (principal, action, resource);",
        "NUL",
    );
    refuse_bytes("\u{feff}permit (principal, action, resource);".as_bytes(), "a.cedar:1:1");
    // A comment ends at a carriage return, for Cedar and for us: what follows is not hidden.
    let folder = folder(&[(
        "a.cedar",
        "permit (principal, action, resource); // x\rforbid (principal, action, resource);",
    )]);
    assert_eq!(load_at(folder.path(), &settings()).unwrap().policies(), 3);
}

#[test]
fn deep_and_long_policies_are_refused_or_survive() {
    let policy = |condition: &str| format!("permit (principal, action, resource) when {{ {condition} }};");
    let deep = policy(&format!("{}true{}", "(".repeat(100_000), ")".repeat(100_000)));
    assert!(load(&[("a.cedar", &deep)]).unwrap_err().contains("nested deeper"));
    let long = policy(&vec!["true"; 100_000].join(" && "));
    assert!(load(&[("a.cedar", &long)]).unwrap_err().contains("operators"));
    for condition in [
        vec!["principal == User::\"alice@acme.com\""; 200].join(" && "),
        format!("0{} == 0", " + 0".repeat(900)),
        format!("{}true{}", "(".repeat(30), ")".repeat(30)),
        format!("{}true", "if false then false else ".repeat(300)),
    ] {
        let chain = chain(&policy(&condition));
        assert!(matches!(
            show(&decide(&chain, &Ask::tool("files", "a"))).as_str(),
            "permit" | "policy_error"
        ));
    }
}

#[test]
fn bundles_over_their_limits_are_refused() {
    let folder = folder(&[("a.cedar", &"permit (principal, action, resource);".repeat(3))]);
    let with = |limits: CedarLimits, expected: &str| {
        let error = load_at(folder.path(), &CedarSettings { limits, ..settings() }).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    with(CedarLimits { policies_max: 2, ..CedarLimits::default() }, "more than 2 policies");
    with(CedarLimits { file_bytes_max: 110, ..CedarLimits::default() }, "larger than 110 bytes");
}

#[cfg(unix)]
#[test]
fn links_stay_inside_the_bundle() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("..data/a.cedar", "permit (principal, action, resource);"), ("..data/b.txt", "")]);
    let policies = folder.path().join("policies");
    symlink("..data/a.cedar", policies.join("a.cedar")).unwrap();
    assert_eq!(load_at(folder.path(), &settings()).unwrap().policies(), 2);

    let outside = folder.path().join("outside.cedar");
    fs::write(&outside, "permit (principal, action, resource);").unwrap();
    symlink(&outside, policies.join("b.cedar")).unwrap();
    let error = load_at(folder.path(), &settings()).unwrap_err().to_string();
    assert!(error.contains("b.cedar: the link leads outside the bundle"), "{error}");

    fs::remove_file(policies.join("b.cedar")).unwrap();
    symlink(folder.path(), policies.join("loop")).unwrap();
    let error = load_at(folder.path(), &settings()).unwrap_err().to_string();
    assert!(error.contains("loop: a link to a folder is not followed"), "{error}");

    fs::remove_file(policies.join("loop")).unwrap();
    symlink("nowhere", policies.join("c.cedar")).unwrap();
    assert!(load_at(folder.path(), &settings()).unwrap_err().to_string().contains("c.cedar: cannot be read"));
}

#[test]
fn a_decision_over_its_time_is_denied() {
    let folder = folder(&[("a.cedar", "permit (principal, action, resource);")]);
    let limits = CedarLimits { evaluation_ms_max: 0, ..CedarLimits::default() };
    let engine = load_at(folder.path(), &CedarSettings { limits, ..settings() }).unwrap();
    let chain = PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default());
    let ask = Ask::tool("files", "a");
    assert_eq!(show(&now(chain.decide(&ask.caller, &ask.call())).verdict), "policy_timeout");
    assert!(!now(chain.decide(&ask.caller, &ask.call())).cached);
}

#[test]
fn a_caller_in_too_many_groups_is_denied() {
    let many: Vec<String> = (0..10_001).map(|number| format!("group {number}")).collect();
    check(
        "permit (principal in Group::\"group 7\", action, resource is Tool);",
        &[
            (Ask::tool("files", "a").attribute("groups", json!(many)), "policy_input"),
            (Ask::tool("files", "a").attribute("groups", json!(many.get(..10_000))), "permit"),
        ],
    );
}

#[test]
fn many_policies_are_sliced() {
    use std::fmt::Write;
    let mut text = String::new();
    for number in 0..1_000 {
        writeln!(
            text,
            "permit (principal in Group::\"dev\", action == Action::\"files.tool_{number}\", resource);"
        )
        .unwrap();
    }
    let chain = chain(&text);
    assert_eq!(show(&decide(&chain, &Ask::tool("files", "tool_471"))), "permit");
    assert_eq!(show(&decide(&chain, &Ask::tool("files", "tool_1000"))), "not_permitted");
}
