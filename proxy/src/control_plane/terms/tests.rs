//! Which terms are gone by, and which are not.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use mcpg_cp_api::{Enrolled, SignedRevision, Timestamp, document_digest};
use serde_json::json;

use super::*;

fn environment() -> EnvironmentPath {
    "acme-corp/platform-team/prod".parse().unwrap()
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn key() -> ControlPlaneKey {
    let enrolled = Enrolled {
        gateway: "0199a7f0-6c00-7000-8000-000000000001".parse().unwrap(),
        environment: environment(),
        audience: "https://cp.acme.com".to_owned(),
        control_plane_key: URL_SAFE_NO_PAD.encode(signing(1).verifying_key().as_bytes()),
        heartbeat_seconds: 10,
    };
    ControlPlaneKey::of(&enrolled, None).unwrap()
}

fn sign(key: &SigningKey, organization: &str, version: u64, document: &str) -> SignedTerms {
    let mut signed = SignedTerms {
        organization: organization.parse().unwrap(),
        version,
        digest: document_digest(document),
        created_at: Timestamp::from_unix_ms(1_700_000_000_000),
        document: document.to_owned(),
        signature: String::new(),
    };
    signed.signature = URL_SAFE_NO_PAD.encode(key.sign(&signed.statement()).to_bytes());
    signed
}

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

fn document(list: u64) -> String {
    let artifacts = json!([{ "digest": digest(), "reason": "lets all in" }]);
    json!({
        "revocation_list": { "version": list, "artifacts": artifacts },
        "license": { "tier": "team", "entitlements": ["policy.*"] }, "of a later version": 1,
    })
    .to_string()
}

fn signed(version: u64, list: u64) -> SignedTerms {
    sign(&signing(1), "acme-corp", version, &document(list))
}

fn take(terms: &StandingTerms, signed: &SignedTerms) -> Result<Taken, TermsError> {
    terms.take(signed, &key(), &environment())
}

#[test]
fn terms_of_the_control_plane_are_gone_by() {
    let terms = StandingTerms::default();
    assert!(terms.revoked().is_none() && terms.to_be_told().is_none());
    let Ok(Taken::New(held)) = take(&terms, &signed(7, 3)) else { panic!("they are new") };
    assert_eq!(held.shown(), HeldTerms { version: 7, revocation_list: 3 });
    assert_eq!(held.terms.license.entitlements, ["policy.*"]);
    let list = terms.revoked().unwrap();
    assert_eq!(list.find(&digest()).unwrap().reason, Some("lets all in"));
    assert_eq!(terms.to_be_told(), Some(held.shown()));
    assert!(matches!(take(&terms, &signed(7, 3)), Ok(Taken::Known)));
}

#[test]
fn older_terms_are_refused_and_those_before_stay() {
    let terms = StandingTerms::default();
    take(&terms, &signed(7, 3)).unwrap();
    for older in [
        signed(6, 3),
        signed(6, 4),
        // Newer terms with an older list: the database was set back.
        signed(8, 2),
        // Another document at the same version.
        signed(7, 4),
    ] {
        assert!(matches!(take(&terms, &older), Err(TermsError::Older { .. })), "{older:?}");
        assert_eq!(terms.to_be_told().unwrap().version, 7);
    }
    take(&terms, &signed(8, 3)).unwrap();
}

#[test]
fn nothing_of_terms_can_be_changed() {
    let changes: [fn(&mut SignedTerms); 5] = [
        |signed| signed.version = 8,
        |signed| signed.created_at = Timestamp::from_unix_ms(0),
        |signed| signed.digest = signed.digest.replace('a', "b"),
        |signed| signed.organization = "other-corp".parse().unwrap(),
        |signed| signed.signature = URL_SAFE_NO_PAD.encode([0; 64]),
    ];
    let terms = StandingTerms::default();
    for change in changes {
        let mut signed = signed(7, 3);
        change(&mut signed);
        assert!(matches!(take(&terms, &signed), Err(TermsError::Signature)), "{signed:?}");
    }
    let mut changed = signed(7, 3);
    changed.document += " ";
    assert!(matches!(take(&terms, &changed), Err(TermsError::Digest)));
    let foreign = sign(&signing(1), "other-corp", 7, &document(3));
    assert!(matches!(take(&terms, &foreign), Err(TermsError::Organization(_))));
    let forged = sign(&signing(2), "acme-corp", 7, &document(3));
    assert!(matches!(take(&terms, &forged), Err(TermsError::Signature)));
    assert!(matches!(take(&terms, &sign(&signing(1), "acme-corp", 7, "{}")), Err(TermsError::Document(_))));
    assert!(terms.revoked().is_none());
}

#[test]
fn a_signature_of_a_revision_is_none_of_terms() {
    let document = document(3);
    let mut revision = SignedRevision {
        environment: environment(),
        number: 7,
        digest: document_digest(&document),
        created_at: Timestamp::from_unix_ms(1_700_000_000_000),
        document: document.clone(),
        signature: String::new(),
    };
    revision.signature = URL_SAFE_NO_PAD.encode(signing(1).sign(&revision.statement()).to_bytes());
    let mut terms = signed(7, 3);
    std::mem::swap(&mut terms.signature, &mut revision.signature);
    assert!(matches!(take(&StandingTerms::default(), &terms), Err(TermsError::Signature)));
    assert!(key().open(&revision, &environment()).is_err());
}

#[test]
fn what_is_kept_is_verified_again_and_what_does_not_hold_closes() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path(), &environment());
    let file = root.path().join("environments/acme-corp/platform-team/prod/terms.json");
    let kept = || kept(&folder, &key(), &environment());
    assert!(matches!(kept(), Ok(None)), "there never were any");
    folder.keep_terms(&signed(7, 3)).unwrap();
    assert_eq!(kept().unwrap().unwrap().shown(), HeldTerms { version: 7, revocation_list: 3 });
    // A process that is killed while it writes the next leaves a draft, and these.
    fs::write(file.with_extension("draft"), "{\"organization\": \"acme").unwrap();
    assert_eq!(kept().unwrap().unwrap().shown().version, 7);
    folder.keep_terms(&signed(8, 4)).unwrap();
    assert_eq!(kept().unwrap().unwrap().shown().version, 8);
    let whole = fs::read_to_string(&file).unwrap();
    let foreign = serde_json::to_string(&sign(&signing(1), "other-corp", 9, &document(5))).unwrap();
    for spoilt in
        [String::new(), whole.chars().take(whole.len() / 2).collect(), whole.replace("lets", "let"), foreign]
    {
        fs::write(&file, &spoilt).unwrap();
        let terms = StandingTerms::default();
        terms.begin(kept());
        assert!(terms.unusable().is_some(), "{spoilt}");
        assert!(terms.revoked().is_none() && terms.to_be_told().is_none());
        // Until others are received.
        take(&terms, &signed(8, 4)).unwrap();
        assert!(terms.unusable().is_none() && terms.revoked().is_some());
    }
}

#[test]
fn a_control_plane_that_has_sent_none_is_told_of_none() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path(), &environment());
    folder.keep_terms(&signed(7, 3)).unwrap();
    let terms = StandingTerms::default();
    terms.begin(kept(&folder, &key(), &environment()));
    assert!(terms.revoked().is_some());
    assert_eq!(terms.to_be_told(), None, "it may be an older one, which refuses what it does not know");
    assert!(matches!(take(&terms, &signed(7, 3)), Ok(Taken::Known)));
    assert_eq!(terms.to_be_told().unwrap().version, 7);
}
