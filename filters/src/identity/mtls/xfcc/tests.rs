//! What an `X-Forwarded-Client-Cert` says, and what only looks as if it did.

use proptest::prelude::*;

use super::*;
use crate::identity::certificate::forge::{Draft, Forged};

const HASH: &str = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";

/// The URIs of every element, the last hop's last.
fn check(header: &str, expected: Result<&[&[&str]], Malformed>) {
    let parsed = parse(header.as_bytes());
    let uris = parsed.as_ref().map(|all| all.iter().map(|one| one.uris.as_slice()).collect::<Vec<_>>());
    assert_eq!(uris, expected.as_ref().map(|all| all.to_vec()), "{header}");
}

fn refused(header: &str) {
    check(header, Err(Malformed));
}

#[test]
fn an_element_says_what_its_hop_has_seen() {
    let header = format!(
        r#"By=spiffe://acme.org/proxy;Hash={HASH};Subject="/C=US/CN=a, \"b\"";URI=spiffe://acme.org/a;URI=https://a/?b=c;DNS=a.acme.org;DNS=b"#
    );
    let elements = parse(header.as_bytes()).unwrap();
    let [element] = elements.as_slice() else { panic!("{elements:?}") };
    assert_eq!(element.by, ["spiffe://acme.org/proxy"]);
    assert_eq!(element.hash, unhex(HASH));
    assert_eq!(element.subject, Some(r#"/C=US/CN=a, \"b\""#));
    assert_eq!(element.uris, ["spiffe://acme.org/a", "https://a/?b=c"]);
    assert_eq!(element.dns, ["a.acme.org", "b"]);
    assert_eq!(element.certificate, None);
    check("URI=a,URI=b , URI=\"c;d,e=f\"", Ok(&[&["a"], &["b"], &["c;d,e=f"]]));
    check("Hash=".to_owned().as_str(), Err(Malformed));
    check("uri=a;dns=b", Ok(&[&["a"]]));
    check("Subject=\"\";URI=", Ok(&[&[]]));
}

#[test]
fn a_name_in_quotes_is_a_name() {
    check(
        r#"Subject="CN=x\";URI=spiffe://acme.org/root;DNS=\"y";URI=spiffe://acme.org/a"#,
        Ok(&[&["spiffe://acme.org/a"]]),
    );
    check(
        r#"Subject="CN=x,URI=spiffe://acme.org/root";URI=spiffe://acme.org/a"#,
        Ok(&[&["spiffe://acme.org/a"]]),
    );
    // A backslash belongs to the byte after it, so the second one does not free the quote.
    check(r#"Subject="CN=x\\";URI=spiffe://acme.org/a"#, Ok(&[&["spiffe://acme.org/a"]]));
    refused(r#"Subject="CN=x\\\";URI=spiffe://acme.org/root"#);
    refused(r#"Subject="CN=x"URI=spiffe://acme.org/root"#);
    refused(r#"Subject="CN=x"y;URI=spiffe://acme.org/root"#);
    refused(r#"Subject=CN="x;URI=spiffe://acme.org/root""#);
    refused(r#"URI="spiffe://acme.org/\"a""#);
}

#[test]
fn keys_come_as_envoy_writes_them() {
    // A DNS name with a semicolon in it would look so.
    refused("DNS=a;URI=spiffe://acme.org/root");
    refused("URI=spiffe://acme.org/a;Subject=\"CN=root\"");
    refused(&format!("URI=a;Hash={HASH}"));
    refused(&format!("Hash={HASH};Hash={HASH}"));
    refused("Subject=\"a\";Subject=\"b\"");
    for header in [
        "",
        ",",
        ";",
        "=",
        "URI",
        "URI=a,",
        ",URI=a",
        "URI=a;",
        "URI=a,,URI=b",
        ";URI=a",
        "URI=a;;DNS=b",
        "URI =a",
        " URI=a",
        "URI= a",
        "Url=a",
        "URI=a b",
        "URI=a\\b",
        "Hash=12",
        "Cert=\"\"",
        "Cert=\"x\"",
        "Cert=%2",
        "Cert=%zz",
        "URI=\"a",
        "URI=a\u{e9}",
        "URI=a\tb",
    ] {
        refused(header);
    }
    refused(&vec!["URI=a"; ELEMENTS_MAX + 1].join(","));
    refused(&vec!["URI=a"; NAMES_MAX + 1].join(";"));
    refused(&format!("URI={}", "a".repeat(HEADER_BYTES_MAX)));
}

#[test]
fn certificates_are_read_from_their_pem() {
    let root = Forged::root("root");
    let alice = Draft::client("alice").uri("spiffe://acme.org/a,b").sign_by(&root);
    let encode = |pem: &str| {
        let bytes = pem.bytes().map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        });
        bytes.collect::<String>()
    };
    let (cert, chain) = (encode(&alice.pem()), encode(&(alice.pem() + &root.pem())));
    let read =
        |header: String| parse(header.as_bytes()).map(|mut all| all.pop().unwrap().certificate.unwrap());
    assert_eq!(read(format!("Cert=\"{cert}\"")), Ok(alice.presented(&[])));
    assert_eq!(read(format!("Cert={cert};Chain=\"{chain}\"")), Ok(alice.presented(&[&root])));
    assert_eq!(read(format!("Chain=\"{chain}\"")), Ok(alice.presented(&[&root])));
    assert_eq!(read(format!("Cert=\"{chain}\"")), Err(Malformed));
    let other = encode(&root.pem());
    assert_eq!(read(format!("Cert=\"{other}\";Chain=\"{chain}\"")), Err(Malformed));
    assert_eq!(
        read(format!("Cert=\"{}\"", encode("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"))),
        Err(Malformed)
    );

    let names = alice.presented(&[]).contents().unwrap().names().clone();
    let agrees = |header: &str| parse(header.as_bytes()).unwrap().iter().all(|one| one.agrees_with(&names));
    assert!(agrees("URI=\"spiffe://acme.org/a,b\"") && agrees("Subject=\"x\""));
    assert!(!agrees("URI=spiffe://acme.org/a") && !agrees("DNS=a"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_envoy_writes_is_read(
        subject in "([a-zA-Z0-9 =;,]|\\\\[,\"\\\\;])*",
        uris in prop::collection::vec("[a-z:/.?=-]{1,20}", 1..4),
        dns in prop::collection::vec("[a-z.]{1,20}", 0..3),
    ) {
        let mut header = format!("Hash={HASH};Subject=\"{subject}\"");
        header.extend(uris.iter().map(|uri| format!(";URI={uri}")));
        header.extend(dns.iter().map(|name| format!(";DNS={name}")));
        let twice = format!("URI=spiffe://acme.org/first,{header}");
        let elements = parse(twice.as_bytes()).unwrap();
        prop_assert_eq!(elements.len(), 2);
        let last = &elements[1];
        prop_assert_eq!(last.subject, Some(subject.as_str()));
        prop_assert_eq!(&last.uris, &uris);
        prop_assert_eq!(&last.dns, &dns);
    }

    #[test]
    fn no_subject_adds_a_uri(subject in "([ !#-\\[\\]-~]|\\\\[ -~])*") {
        let header = format!("Subject=\"{subject}\";URI=spiffe://acme.org/a");
        if let Ok(elements) = parse(header.as_bytes()) {
            let last = elements.last().unwrap();
            prop_assert_eq!(&last.uris, &["spiffe://acme.org/a"]);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(header: Vec<u8>) {
        let _ = parse(&header);
    }
}
