//! What detectors find, what they leave, and that they find it again after it was redacted nowhere.

use mcpg_sdk::Scope;
use proptest::prelude::*;

use super::super::hash::HashKey;
use super::*;

fn rules(mode: RedactMode, detectors: &[Detector]) -> Rules {
    let mut rules = Rules::default();
    detectors.iter().for_each(|detector| rules.detectors.insert(*detector, mode));
    rules.key = Some(HashKey::derive(&[7; 32], &Scope::default()));
    rules
}

fn masked(detector: Detector, text: &str) -> String {
    let rules = rules(RedactMode::Mask, &[detector]);
    rules.detectors.apply(text, &rules).unwrap_or_else(|| text.to_owned()).replace("[redacted]", "#")
}

/// Texts, and what is left of them with `#` for what was found.
fn check(detector: Detector, rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(masked(detector, text), *expected, "{text}");
    }
}

fn check_left(detector: Detector, texts: &[&str]) {
    for text in texts {
        assert_eq!(masked(detector, text), *text);
    }
}

#[test]
fn addresses_are_found() {
    check(
        Detector::Email,
        &[
            ("alice@acme.com", "#"),
            ("Write to alice.b+tag@mail.acme.co.uk, please.", "Write to #, please."),
            ("<alice@acme.com>;bob@x.io.", "<#>;#."),
            ("mailto:alice@acme.com?subject=x", "mailto:#?subject=x"),
            ("https://x.org/?a=1&u=alice%40acme.com&b", "https://x.org/?a=1&#&b"),
            ("alice&#64;acme.com", "#"),
            (r"alice\u0040acme.com", "#"),
            (r#"in {"a":"\u0061lice\\u0040acme.com"} so"#, r##"in {"a":"#"} so"##),
            ("\"john doe\"@acme.com", "#"),
            ("用户@例子.中国", "#"),
            ("root@[192.168.0.1]", "#"),
            ("a@b@c.de", "a@#"),
            ("alice@acme.com-", "#-"),
            ("'alice@acme.com'", "'#'"),
        ],
    );
    check_left(
        Detector::Email,
        &["@", "a@", "@b.c", "alice@localhost", "5 @ 3.20", "@media.x", "100%40", "a@b..c", "x@1.2"],
    );
}

#[test]
fn cards_are_found() {
    check(
        Detector::Card,
        &[
            ("4111111111111111", "#"),
            ("4111 1111 1111 1111", "#"),
            ("card 4111-1111-1111-1111, exp 12/27", "card #, exp 12/27"),
            ("3782 822463 10005 and 378282246310005", "# and #"),
            ("4111.1111.1111.1111", "#"),
            ("4111\u{a0}1111\u{a0}1111\u{a0}1111", "#"),
            ("5555 5555 5555 4444 12/27 123", "# 12/27 123"),
            ("6212341111111111232 (19)", "6212341111111111232 (19)"),
            ("x4222222222222y", "x#y"),
        ],
    );
    check_left(
        Detector::Card,
        &[
            "4111111111111112",
            "1700000000000",
            "0.4111111111111111",
            "12 15 18 20 25 30 41 11 11 11 11 11 11 11",
            "41111111111111111111111111",
            "550e8400-e29b-41d4-a716-446655440000",
        ],
    );
}

#[test]
fn telephone_numbers_are_found() {
    check(
        Detector::Phone,
        &[
            ("+4915112345678", "#"),
            ("call +49 (0)30 1234567 now", "call # now"),
            ("(+1) 415-555-0132", "(#"),
            ("+1 (415) 555-0132", "#"),
            ("(415) 555-0132 ext. 9", "# ext. 9"),
            ("415-555-0132", "#"),
            ("1-415-555-0132", "#"),
            ("415.555.0132", "#"),
            ("0049 30 1234567", "#"),
            ("030 12345678", "#"),
            ("0151-23456789", "#"),
            ("tel. 030/1234567", "tel. #"),
            ("01 23 45 67 89", "#"),
            ("020 7946 0958", "#"),
            ("tel:4155550132", "tel:#"),
            ("?phone=%2B4915112345678", "?phone=#"),
            (r"\u002b4915112345678", "#"),
        ],
    );
    check_left(
        Detector::Phone,
        &[
            "2026-11-22",
            "01.02.2026 07:15",
            "192.168.0.100",
            "1700000000",
            "3.14159265",
            "0.25 0.50 0.75",
            "550e8400-e29b-41d4-a716-446655440000",
            "1 + 1234",
            "v10.0.19041.1",
        ],
    );
}

#[test]
fn secrets_are_found() {
    // Put together here, so that nothing that looks like one is in the source.
    let of = |parts: &[&str]| parts.concat();
    let body = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5";
    for secret in [
        of(&["AKIA", "IOSFODNN7EXAMPLE"]),
        of(&["ghp_", body]),
        of(&["github_pat_", body, "_", body]),
        of(&["xoxb-", "123456789012-123456789012-", body]),
        of(&["AIza", body]),
        of(&["ya29.", body]),
        of(&["sk_live_", body]),
        of(&["whsec_", body]),
        of(&["glpat-", body]),
        of(&["eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiJhbGljZSJ9.", body]),
        of(&["eyJhbGciOiJub25lIn0x", ".eyJzdWIiOiJhbGljZSJ9."]),
        of(&["-----BEGIN RSA PRI", "VATE KEY-----\nMIIE\n+/==\n-----END RSA PRI", "VATE KEY-----"]),
        of(&["-----BEGIN PRI", "VATE KEY-----\nMIIE"]),
        of(&["hooks.slack.com/", "services/T0000000/B0000000/", body]),
    ] {
        let text = format!("see {secret}");
        assert_eq!(masked(Detector::Secret, &text), "see #", "{secret}");
    }
    for (before, value, after) in [
        ("token=", body, ""),
        ("access_token: ", body, ", next"),
        ("\"api_key\":\"", body, "\"}"),
        ("aws_secret_access_key = ", body, ""),
        ("Authorization: Bearer ", body, ""),
        ("https://alice:", "hunter2", "@acme.com/x"),
        ("password=", "hunter2", "&x"),
        ("DB_PASSWORD: ", "s3cr3t-pw", ""),
        ("\"password\": \"", "hunter", "\""),
    ] {
        let text = format!("{before}{value}{after}");
        assert_eq!(masked(Detector::Secret, &text), format!("{before}#{after}"));
    }
    check_left(
        Detector::Secret,
        &[
            "the token was refused",
            "token: none",
            "password: please enter one",
            "see https://acme.com:8080/a@b",
            "eyJhbGciOiJIUzI1NiJ9",
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "secret santa",
            "AKIA",
            "a token: tokenization-of-sentences",
        ],
    );
}

#[test]
fn two_spellings_have_one_hash() {
    let rules = rules(RedactMode::Hash, &Detector::ALL);
    let hash = |text: &str| rules.detectors.apply(text, &rules).unwrap();
    assert_eq!(hash("alice@acme.com"), hash("Alice%40ACME.com"));
    assert_eq!(hash("4111 1111 1111 1111"), hash("4111-1111-1111-1111"));
    assert_eq!(hash("+49 30 1234567"), hash("+49-30-1234567"));
    assert_ne!(hash("alice@acme.com"), hash("bob@acme.com"));
}

#[test]
fn hostile_texts_take_no_longer_than_others() {
    // Quadratic work on these would take minutes.
    for piece in [
        "@",
        "a@",
        "%40",
        "a%40b",
        "+",
        "0",
        "1 ",
        "4 1",
        "(",
        "eyJ",
        "eyJa.",
        "AKIA",
        "token=",
        "pwd:",
        "pwd: ",
        "://",
        "://a:",
        "bearer ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY",
        "ghp_",
        "\\u00",
        "\\",
        "\\u0040",
        "SG.",
        "hooks.slack.com/",
        "\"@",
        "0049",
        "tel:",
    ] {
        let text = piece.repeat(60_000 / piece.len());
        for mode in [RedactMode::Mask, RedactMode::Hash, RedactMode::Remove] {
            let rules = rules(mode, &Detector::ALL);
            let _ = rules.detectors.apply(&text, &rules);
        }
    }
}

proptest! {
    #[test]
    fn what_was_redacted_is_not_found_again(
        parts in proptest::collection::vec(prop_oneof![
            Just("alice@acme.com".to_owned()), Just("+49 30 1234567".to_owned()), Just("4111 1111 1111 1111".to_owned()),
            Just("token=aB3dE5fG7hJ9kL1mN3pQ".to_owned()), "[ a-z0-9@.+:=\\\\%-]{0,12}", any::<String>(),
        ], 0..8),
    ) {
        let text = parts.concat();
        for mode in [RedactMode::Mask, RedactMode::Hash] {
            let rules = rules(mode, &Detector::ALL);
            if let Some(clean) = rules.detectors.apply(&text, &rules) {
                prop_assert!(!clean.contains("alice@acme.com"));
            }
        }
    }

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let rules = rules(RedactMode::Remove, &Detector::ALL);
        let _ = rules.detectors.apply(&text, &rules);
        let _ = rules.detectors.sees_in_binary(text.as_bytes());
    }
}
