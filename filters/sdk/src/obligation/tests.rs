//! The text form, and what several obligations are together.

use super::*;

fn read(text: &str) -> Obligation {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_form_is_read_and_written_again() {
    for text in [
        "redact:email",
        "remove:email",
        "hash:e-mail address",
        "redact:pointer=/structuredContent/a/0",
        "hash:pointer=/content/*/text",
        "remove:pointer=/a~1b/~0",
        "redact:detector=card",
        "redact:detector=email",
        "hash:detector=phone",
        "remove:detector=secret",
        "redact:field=contact.email",
        "redact:field=pointer=/a",
        "redact:a=b",
        "approval",
        "approval:gate.slack-approval",
        "rate:bulk",
        "note:asked by audit: see #12",
    ] {
        assert_eq!(read(text).to_string(), text);
        let json = serde_json::to_string(&read(text)).unwrap();
        assert_eq!(serde_json::from_str::<Obligation>(&json).unwrap(), read(text));
    }
    assert_eq!(read("redact:field=email"), read("redact:email"));
    assert_eq!(read(" note: a ").to_string(), "note:a");
    // A name that only looks like one of the other forms stays a name.
    for name in ["pointer=/a", "detector=card", "field=x", "a.b", "/a", "$", " a", "a "] {
        let obligation = Obligation::redact_field(name, RedactMode::Mask);
        assert!(obligation.to_string().starts_with("redact:field="), "{obligation}");
    }
}

#[test]
fn what_is_no_obligation_says_what_is() {
    for (text, expected) in [
        ("", "write `redact:FIELD`"),
        ("redact", "write `redact:FIELD`"),
        ("Redact:email", "is no obligation"),
        ("mask:email", "is no obligation"),
        ("redact:", "a field is a member's name"),
        ("redact: email", "a field is a member's name"),
        ("redact:field=", "a field is a member's name"),
        ("redact:a\u{0}b", "a field is a member's name"),
        ("redact:contact.email", "looks like a path"),
        ("redact:/contact/email", "write `pointer=/a/b`"),
        ("redact:pointer=", "no JSON pointer"),
        ("redact:pointer=/", "no JSON pointer"),
        ("redact:pointer=a/b", "no JSON pointer"),
        ("redact:pointer=/a~2", "no JSON pointer"),
        ("redact:pointer=/a~", "no JSON pointer"),
        ("redact:detector=iban", "there is no detector `iban`"),
        ("approval:", "is no name"),
        ("approval:a b", "is no name"),
        ("rate:", "is no name"),
        ("rate", "is no obligation"),
        ("note:", "a note is"),
        ("note:a\nb", "a note is"),
    ] {
        let error = text.parse::<Obligation>().expect_err(text);
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    assert!(format!("note:{}", "x".repeat(257)).parse::<Obligation>().is_err());
    assert!(format!("redact:{}", "x".repeat(257)).parse::<Obligation>().is_err());
    assert!(format!("redact:pointer=/{}", "x".repeat(1024)).parse::<Obligation>().is_err());
}

fn check_united(obligations: &[&str], expected: &[&str]) {
    for turn in 0..obligations.len().max(1) {
        let mut turned = obligations.to_vec();
        turned.rotate_left(turn);
        let united = Obligation::unite(turned.into_iter().map(read).collect());
        assert_eq!(united.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_strictest_stays() {
    check_united(&[], &[]);
    check_united(&["redact:a", "redact:a", "hash:a"], &["redact:a"]);
    check_united(&["redact:a", "remove:a", "hash:a"], &["remove:a"]);
    check_united(&["hash:a", "hash:b"], &["hash:a", "hash:b"]);
    check_united(
        &["redact:email", "redact:detector=email", "redact:pointer=/email"],
        &["redact:email", "redact:pointer=/email", "redact:detector=email"],
    );
    check_united(&["approval", "approval:b", "approval:a"], &["approval:a", "approval:b"]);
    check_united(&["approval", "approval"], &["approval"]);
    check_united(&["note:b", "rate:x", "note:a", "rate:x"], &["rate:x", "note:a", "note:b"]);
}
