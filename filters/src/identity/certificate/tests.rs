//! What certificates say, and which chains lead to a trusted issuer.

use std::time::{Duration, UNIX_EPOCH};

use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::x509::X509Name;
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use proptest::prelude::*;

use super::forge::{Draft, Forged, now};
use super::revocation::RevocationsError;
use super::*;

fn anchors(roots: &[&Forged]) -> Anchors {
    let roots: Vec<_> = roots.iter().map(|root| root.der()).collect();
    Anchors::new(roots.iter().map(Vec::as_slice)).unwrap()
}

fn check(anchors: &Anchors, presented: &PeerCertificate, expected: Result<usize, VerifyError>) {
    let verified = anchors.verify(presented, now()).map(|verified| verified.path.len());
    assert_eq!(verified, expected);
}

#[test]
fn a_certificate_is_read_as_it_was_signed() {
    let root = Forged::root("Clients CA");
    let alice = Draft::client("alice, of \"Acme\" ")
        .uri("spiffe://acme.org/a?b=c,d;e")
        .dns("a.acme.org")
        .dns("*.b.acme.org")
        .name(|names| names.email("alice@acme.com"))
        .sign_by(&root);
    let presented = alice.presented(&[]);
    let contents = presented.contents().unwrap();
    let names = contents.names();
    assert_eq!(names.uris, ["spiffe://acme.org/a?b=c,d;e"]);
    assert_eq!(names.dns, ["a.acme.org", "*.b.acme.org"]);
    assert_eq!(names.emails, ["alice@acme.com"]);
    assert_eq!(names.common_names, ["alice, of \"Acme\" "]);
    assert_eq!(names.subject_dn, r#"CN=alice\, of \"Acme\"\ "#);
    assert_eq!(names.issuer_dn, "CN=Clients CA");
    assert_eq!(contents.serial(), "1092");
    assert!(!contents.is_ca() && contents.validity().contains(now()));
    assert_eq!(hex(presented.sha256()), hex(&alice.certificate.digest(MessageDigest::sha256()).unwrap()));
    assert_ne!(presented.digest(), alice.presented(&[&root]).digest());
    let again = Draft { key: alice.key, ..Draft::client("other") }.sign_by(&root).presented(&[]);
    assert_eq!(again.contents().unwrap().spki_sha256(), contents.spki_sha256());
}

#[test]
fn a_subject_is_written_as_rfc_4514_says() {
    let mut name = X509Name::builder().unwrap();
    for (field, value) in
        [("C", "DE"), ("DC", "acme"), ("O", "Größe+1"), ("OU", "#1 "), ("UID", "a<b>;\\"), ("CN", " x")]
    {
        name.append_entry_by_text(field, value).unwrap();
    }
    name.append_entry_by_nid(Nid::PKCS9_EMAILADDRESS, "a@b.c").unwrap();
    let presented = Draft { name: name.build(), ..Draft::client("") }.sign_itself().presented(&[]);
    let expected =
        r"1.2.840.113549.1.9.1=#16056140622e63,CN=\ x,UID=a\<b\>\;\\,OU=\#1\ ,O=Größe\+1,DC=acme,C=DE";
    assert_eq!(presented.contents().unwrap().names().subject_dn, expected);
}

#[test]
fn a_name_that_would_be_read_short_makes_the_certificate_malformed() {
    let root = Forged::root("CA");
    let der = Draft::client("alice-evil").uri("spiffe://acme.org/alice-evil").sign_by(&root).der();
    let replace = |from: &[u8], to: &[u8]| {
        let mut der = der.clone();
        while let Some(at) = der.windows(from.len()).position(|window| window == from) {
            der[at..at + to.len()].copy_from_slice(to);
        }
        PeerCertificate::from_der(&der, [])
    };
    assert!(replace(b"nothing", b"nothing").contents().is_some());
    for (from, to) in [
        (b"/alice-evil", b"/alice\0evil"),
        (b"/alice-evil", b"/alice\nevil"),
        (b"/alice-evil", b"/alice evil"),
        (b"/alice-evil", b"/alice\xffevil"),
        (b"alice-evil ", b"alice\0evil "),
    ] {
        let (from, to) = (from.as_slice().trim_ascii_end(), to.as_slice().trim_ascii_end());
        let presented = replace(from, to);
        assert_eq!(presented.contents(), None, "{}", to.escape_ascii());
        check(&anchors(&[&root]), &presented, Err(VerifyError::Malformed));
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let root = Forged::root("CA");
    let alice = Draft::client("alice").sign_by(&root);
    let long: Vec<_> = std::iter::repeat_n(&root, CHAIN_MAX).collect();
    check(&anchors(&[&root]), &alice.presented(&long[1..]), Ok(2));
    check(&anchors(&[&root]), &alice.presented(&long), Err(VerifyError::Malformed));
    let large = PeerCertificate::from_der(&vec![0x30; CERTIFICATE_BYTES_MAX + 1], []);
    check(&anchors(&[&root]), &large, Err(VerifyError::Malformed));
    let fat = PeerCertificate::from_der(&alice.der(), [vec![0; CERTIFICATE_BYTES_MAX + 1].into()]);
    check(&anchors(&[&root]), &fat, Err(VerifyError::Malformed));
}

#[test]
fn a_chain_leads_to_an_anchor() {
    let root = Forged::root("root");
    let middle = Draft::issuer("middle").sign_by(&root);
    let last = Draft::last_issuer("last").sign_by(&middle);
    let alice = Draft::client("alice").sign_by(&last);
    let trusting = anchors(&[&root]);
    check(&trusting, &alice.presented(&[&last, &middle]), Ok(4));
    check(&trusting, &alice.presented(&[&middle, &last, &root]), Ok(4));
    check(&trusting, &alice.presented(&[&last]), Err(VerifyError::Untrusted));
    check(&trusting, &alice.presented(&[]), Err(VerifyError::Untrusted));
    // Every certificate of a bundle is an anchor.
    check(&anchors(&[&last]), &alice.presented(&[]), Ok(2));
    check(&anchors(&[&middle]), &alice.presented(&[&last]), Ok(3));
    // What a client sends along is never an anchor.
    let other = Forged::root("root");
    let mallory = Draft::client("alice").sign_by(&other);
    check(&trusting, &mallory.presented(&[&other]), Err(VerifyError::Signature));
    check(&anchors(&[&other]), &alice.presented(&[&last, &middle, &root]), Err(VerifyError::Signature));
    let stranger = Forged::root("stranger");
    check(&anchors(&[&stranger]), &alice.presented(&[&last, &middle, &root]), Err(VerifyError::Untrusted));
    let itself = Draft::client("alice").sign_itself();
    check(&trusting, &itself.presented(&[]), Err(VerifyError::Untrusted));
}

#[test]
fn every_step_of_a_chain_is_judged() {
    let root = Forged::root("root");
    let trusting = anchors(&[&root]);
    let refuse =
        |draft: Draft, expected| check(&trusting, &draft.sign_by(&root).presented(&[]), Err(expected));
    let now = 1_800_000_000;
    refuse(Draft::client("a").valid(now + 1, now + 9), VerifyError::NotYetValid);
    refuse(Draft::client("a").valid(now - 9, now), VerifyError::Expired);
    refuse(Draft::issuer("a"), VerifyError::IssuerAsClient);
    refuse(Draft::bare("a").with(ExtendedKeyUsage::new().server_auth().build().unwrap()), VerifyError::Usage);
    refuse(Draft::bare("a").with(KeyUsage::new().key_encipherment().build().unwrap()), VerifyError::Usage);
    refuse(Draft::client("a").rsa(1024), VerifyError::Weak);
    refuse(Draft { digest: MessageDigest::sha1(), ..Draft::client("a") }, VerifyError::Weak);
    check(&trusting, &Draft::bare("a").sign_by(&root).presented(&[]), Ok(2));
    check(&trusting, &Draft::client("a").rsa(2048).sign_by(&root).presented(&[]), Ok(2));
    check(&trusting, &Draft::client("a").valid(now, now + 1).sign_by(&root).presented(&[]), Ok(2));

    let through = |issuer: Forged, client: Draft| client.sign_by(&issuer).presented(&[&issuer]);
    let client = Draft::client("alice").sign_by(&root);
    check(&trusting, &through(client, Draft::client("b")), Err(VerifyError::Untrusted));
    let client = Draft::bare("alice").sign_by(&root);
    check(&trusting, &through(client, Draft::client("b")), Err(VerifyError::Issuer));
    let servers = ExtendedKeyUsage::new().server_auth().build().unwrap();
    let for_servers = Draft::issuer("servers").with(servers).sign_by(&root);
    check(&trusting, &through(for_servers, Draft::client("b")), Err(VerifyError::Usage));
    let no_signing = Draft::bare("x")
        .with(BasicConstraints::new().critical().ca().build().unwrap())
        .with(KeyUsage::new().critical().digital_signature().build().unwrap())
        .sign_by(&root);
    check(&trusting, &through(no_signing, Draft::client("b")), Err(VerifyError::Untrusted));
}

#[test]
fn an_issuer_s_limits_hold_below_it() {
    let root = Draft::last_issuer("root").sign_itself();
    let middle = Draft::issuer("middle").sign_by(&root);
    let alice = Draft::client("alice").sign_by(&middle);
    check(&anchors(&[&root]), &alice.presented(&[&middle]), Err(VerifyError::PathLength));
    check(&anchors(&[&middle]), &alice.presented(&[]), Ok(2));

    let root = Draft::issuer("root").sign_itself();
    let last = Draft::last_issuer("last").sign_by(&root);
    let beyond = Draft::issuer("beyond").sign_by(&last);
    let alice = Draft::client("alice").sign_by(&beyond);
    check(&anchors(&[&root]), &alice.presented(&[&beyond, &last]), Err(VerifyError::PathLength));

    let named = Draft::issuer("named")
        .with_text(Nid::NAME_CONSTRAINTS, "critical,permitted;URI:.acme.org,permitted;DNS:acme.org")
        .sign_by(&root);
    let check_name = |client: Draft, expected| {
        check(&anchors(&[&root]), &client.sign_by(&named).presented(&[&named]), expected);
    };
    check_name(Draft::client("a").dns("a.acme.org").uri("spiffe://x.acme.org/a"), Ok(3));
    check_name(Draft::client("a").dns("a.evil.org"), Err(VerifyError::NameConstraints));
    check_name(Draft::client("a").uri("spiffe://evil.org/a"), Err(VerifyError::NameConstraints));
}

#[test]
fn a_changed_byte_is_noticed() {
    let root = Forged::root("root");
    let trusting = anchors(&[&root]);
    let der = Draft::client("alice").uri("spiffe://acme.org/alice").sign_by(&root).der();
    for place in 0..der.len() {
        let mut changed = der.clone();
        changed[place] ^= 1;
        let presented = PeerCertificate::from_der(&changed, []);
        assert!(trusting.verify(&presented, now()).is_err(), "byte {place}");
    }
    let mut longer = der;
    longer.push(0);
    check(&trusting, &PeerCertificate::from_der(&longer, []), Err(VerifyError::Malformed));
}

#[test]
fn only_issuers_are_anchors() {
    let refusal =
        |ders: &[Vec<u8>]| Anchors::new(ders.iter().map(Vec::as_slice)).err().map(|error| error.to_string());
    let root = Forged::root("root");
    assert_eq!(refusal(&[root.der(), root.der()]), None);
    assert_eq!(refusal(&[]).unwrap(), "it has no certificate");
    assert!(refusal(&[root.der(), vec![0x30, 0]]).unwrap().contains("certificate 2 is malformed"));
    let client = Draft::client("alice").sign_itself();
    assert!(refusal(&[client.der()]).unwrap().contains("certificate 1 may not issue"));
    assert!(refusal(&[Draft::bare("bare").sign_itself().der()]).unwrap().contains("may not issue"));
}

#[test]
fn what_is_revoked_holds_no_more() {
    let root = Forged::root("root");
    let last = Draft { serial: 0x00ab, ..Draft::issuer("last") }.sign_by(&root);
    let alice = Draft::client("alice").sign_by(&last);
    let verified = anchors(&[&root]).verify(&alice.presented(&[&last]), now()).unwrap();
    let check = |denied: &str, expected| {
        let mut revocations = Revocations::default();
        revocations.add_denied(denied).unwrap();
        assert_eq!(revocations.check(&verified, now()), expected, "{denied}");
    };
    let fingerprint = hex(alice.presented(&[]).sha256());
    check("", Ok(i64::MAX));
    check(&format!("# stolen\n\nsha256:{fingerprint} # laptop"), Err("certificate_revoked"));
    check(&format!("sha256:{}", fingerprint.to_uppercase()), Err("certificate_revoked"));
    check("serial:1092", Err("certificate_revoked"));
    check("serial:00:AB", Err("certificate_revoked"));
    check("serial:10920", Ok(i64::MAX));
    for wrong in ["1092", "serial:", "serial:x", "sha256:12", "sha1:00"] {
        let error = Revocations::default().add_denied(&format!("serial:1\n{wrong}")).unwrap_err();
        assert_eq!(error, RevocationsError::Line { number: 2 }, "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_taken_for_a_client(leaf in prop::collection::vec(any::<u8>(), 0..600), seconds in any::<u32>()) {
        let root = Forged::root("root");
        let at = UNIX_EPOCH + Duration::from_secs(seconds.into());
        let presented = PeerCertificate::from_der(&leaf, [leaf.clone().into()]);
        prop_assert!(anchors(&[&root]).verify(&presented, at).is_err());
        prop_assert!(Revocations::default().add_list(leaf).is_err());
    }
}
