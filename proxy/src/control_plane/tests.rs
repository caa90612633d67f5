//! What is taken from a control plane, and what is not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use mcpg_config::{Pushed, RevocationList};
use mcpg_cp_api::{
    Enrolled, EnvironmentPath, ScopeDocument, SignedRevision, Timestamp, document_digest, key_fingerprint,
};
use serde_json::json;

use super::folder::{Enrollment, Folder};
use super::pushed::PushedScopes;
use super::verify::{ControlPlaneKey, RevisionError};

const ENVIRONMENT: &str = "acme-corp/platform-team/prod";

fn environment() -> EnvironmentPath {
    ENVIRONMENT.parse().unwrap()
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn enrolled(key: &SigningKey) -> Enrolled {
    Enrolled {
        gateway: "0199a7f0-6c00-7000-8000-000000000001".parse().unwrap(),
        environment: environment(),
        audience: "https://cp.acme.com".to_owned(),
        control_plane_key: URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
        heartbeat_seconds: 10,
    }
}

fn document() -> ScopeDocument {
    serde_json::from_value(json!({
        "scope": { "bindings": [{ "id": "files", "type": "mcp", "url": "https://files.acme.com/mcp" }] },
        "files": { "policies/main/all.cedar": "permit (principal, action, resource);" },
    }))
    .unwrap()
}

fn sign(key: &SigningKey, number: u64, document: &str) -> SignedRevision {
    let mut signed = SignedRevision {
        environment: environment(),
        number,
        digest: document_digest(document),
        created_at: Timestamp::from_unix_ms(1_700_000_000_000),
        document: document.to_owned(),
        signature: String::new(),
    };
    signed.signature = URL_SAFE_NO_PAD.encode(key.sign(&signed.statement()).to_bytes());
    signed
}

fn signed(number: u64) -> SignedRevision {
    sign(&signing(1), number, &serde_json::to_string(&document()).unwrap())
}

fn key() -> ControlPlaneKey {
    ControlPlaneKey::of(&enrolled(&signing(1)), None).unwrap()
}

#[test]
fn a_revision_of_the_control_plane_is_opened() {
    assert_eq!(key().open(&signed(7), &environment()).unwrap(), document());
}

#[test]
fn nothing_of_a_revision_can_be_changed() {
    let check = |change: fn(&mut SignedRevision)| {
        let mut signed = signed(7);
        change(&mut signed);
        key().open(&signed, &environment()).unwrap_err()
    };
    let changes: [fn(&mut SignedRevision); 7] = [
        |signed| signed.number = 8,
        |signed| signed.created_at = Timestamp::from_unix_ms(0),
        |signed| signed.digest = signed.digest.replace('a', "b"),
        |signed| signed.environment = "acme-corp/platform-team/staging".parse().unwrap(),
        |signed| signed.signature = URL_SAFE_NO_PAD.encode([0; 64]),
        |signed| signed.signature = String::new(),
        |signed| signed.signature += "=",
    ];
    for change in changes {
        assert!(matches!(check(change), RevisionError::Signature));
    }
    assert!(matches!(check(|signed| signed.document += " "), RevisionError::Digest));
}

#[test]
fn a_revision_of_another_key_or_environment_is_not_taken() {
    let other = sign(&signing(2), 7, &signed(7).document);
    assert!(matches!(key().open(&other, &environment()), Err(RevisionError::Signature)));
    let elsewhere = "acme-corp/platform-team/staging".parse().unwrap();
    assert!(matches!(key().open(&signed(7), &elsewhere), Err(RevisionError::Environment(_))));
    let unknown = sign(&signing(1), 7, r#"{"scope": {}, "more": 1}"#);
    assert!(matches!(key().open(&unknown, &environment()), Err(RevisionError::Document(_))));
}

#[test]
fn the_key_is_the_one_of_the_token() {
    let expected = key_fingerprint(signing(1).verifying_key().as_bytes());
    assert!(ControlPlaneKey::of(&enrolled(&signing(1)), Some(&expected)).is_some());
    assert!(ControlPlaneKey::of(&enrolled(&signing(2)), Some(&expected)).is_none());
    let weak = Enrolled { control_plane_key: URL_SAFE_NO_PAD.encode([0; 32]), ..enrolled(&signing(1)) };
    assert!(ControlPlaneKey::of(&weak, None).is_none());
}

#[test]
fn what_was_in_force_last_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path(), &environment());
    let enrollment = Enrollment { token: "00".to_owned(), enrolled: enrolled(&signing(1)) };
    folder.enrolled(&enrollment).unwrap();
    assert!(folder.last().unwrap().is_none());
    assert_eq!(folder.last_file(), None);
    for number in 1..=4 {
        let file = folder.unpack(&signed(number), &document()).unwrap();
        let dir = file.parent().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let policy = fs::read_to_string(dir.join("policies/main/all.cedar")).unwrap();
        assert_eq!(policy, "permit (principal, action, resource);");
        folder.current(number).unwrap();
    }
    // Unpacked, and never in force.
    folder.unpack(&signed(5), &document()).unwrap();
    assert_eq!(folder.last().unwrap().unwrap(), signed(4));
    assert!(folder.last_file().unwrap().ends_with("revisions/4/scope.yaml"));
    let kept = |number: u64| {
        root.path().join("environments").join(ENVIRONMENT).join(format!("revisions/{number}")).exists()
    };
    assert_eq!([1, 2, 3, 4, 5].map(kept), [false, false, true, true, true]);
    let [(_, found)] = Folder::enrollments(root.path()).try_into().unwrap_or_else(|_| panic!("one"));
    assert_eq!(found.enrolled, enrollment.enrolled);
}

#[test]
fn what_is_unpacked_again_is_what_was_signed() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path(), &environment());
    let file = folder.unpack(&signed(1), &document()).unwrap();
    fs::write(&file, "tampered").unwrap();
    fs::write(file.parent().unwrap().join("policies/main/more.cedar"), "tampered").unwrap();
    let again = folder.unpack(&signed(1), &document()).unwrap();
    assert!(fs::read_to_string(&again).unwrap().contains("files.acme.com"));
    assert!(!again.parent().unwrap().join("policies/main/more.cedar").exists());
}

#[test]
fn what_was_signed_outlives_an_unpacking_that_is_cut_off() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path(), &environment());
    let file = folder.unpack(&signed(1), &document()).unwrap();
    folder.current(1).unwrap();
    // The folder is emptied first, and then the process is killed.
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(folder.last_file(), None);
    assert_eq!(folder.last().unwrap().unwrap(), signed(1));
}

#[test]
fn a_document_cannot_overwrite_what_it_came_with() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path(), &environment());
    let mut document = document();
    document.files.insert("scope.yaml".parse().unwrap(), "x".to_owned());
    assert!(folder.unpack(&signed(1), &document).is_err());
}

#[test]
fn a_scope_goes_back_to_what_it_was() {
    let scopes = PushedScopes::default();
    let pushed =
        |scope: &str, file: &str| Pushed { scope: scope.parse().unwrap(), file: file.into(), revoked: None };
    assert_eq!(scopes.replace(pushed("b-corp/team/prod", "b1")), None);
    assert_eq!(scopes.replace(pushed("a-corp/team/prod", "a1")), None);
    let before = scopes.replace(pushed("b-corp/team/prod", "b2"));
    assert_eq!(before.as_deref(), Some(Path::new("b1")));
    scopes.restore(&"b-corp/team/prod".parse().unwrap(), before);
    scopes.restore(&"a-corp/team/prod".parse().unwrap(), None);
    assert_eq!(scopes.list(), [pushed("b-corp/team/prod", "b1")]);
    // What is revoked is, whichever file it is, and before there is one.
    let list = Arc::new(RevocationList::new(3, [(format!("sha256:{}", "a".repeat(64)), None)]));
    for scope in ["a-corp/team/prod", "b-corp/team/prod"] {
        let scope = scope.parse().unwrap();
        assert!(scopes.revoke(&scope, &list));
        assert!(!scopes.revoke(&scope, &list), "it is no news");
    }
    scopes.replace(pushed("a-corp/team/prod", "a1"));
    scopes.restore(&"b-corp/team/prod".parse().unwrap(), Some("b0".into()));
    assert!(scopes.list().iter().all(|one| one.revoked.as_deref() == Some(&*list)));
}
