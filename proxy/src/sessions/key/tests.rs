use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mcpg_sdk::Base;

use super::*;
use crate::sessions::{OpenError, Purpose};

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn check(text: &str, expected: Result<(), InvalidKey>) {
    assert_eq!(SessionKey::parse(text.as_bytes()).map(|_| ()), expected, "{text}");
}

#[test]
fn a_key_is_written_in_hexadecimal_or_base64() {
    for text in [
        HEX,
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "_-7dzLuqmYh3ZlVEMyIRAP_u3cy7qpmId2ZVRDMiEQA",
        "/+7dzLuqmYh3ZlVEMyIRAP/u3cy7qpmId2ZVRDMiEQA=",
    ] {
        check(text, Ok(()));
    }
    let id = |text: &str| *SessionKey::parse(text.as_bytes()).unwrap().id();
    assert_eq!(id(HEX), id("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
    assert_ne!(id(HEX), id("_-7dzLuqmYh3ZlVEMyIRAP_u3cy7qpmId2ZVRDMiEQA"));
}

#[test]
fn what_is_no_key_is_refused() {
    for text in [
        "",
        "secret",
        "0001",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
        " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    ] {
        check(text, Err(InvalidKey::Form));
    }
    check(&"0".repeat(64), Err(InvalidKey::Weak));
    check(&"ab".repeat(32), Err(InvalidKey::Weak));
}

fn load_own(dir: &Path) -> Result<Sealer, KeyError> {
    load(&[], &SecretResolver::new(&Base::trusted(dir)), Some(dir), None)
}

#[test]
fn a_key_is_made_once_for_its_owner_only() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("state");
    let sealed = load_own(&dir).unwrap().seal(Purpose::Session, b"value").unwrap();
    let mode = fs::metadata(dir.join(KEY_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read(dir.join(KEY_FILE)).unwrap().len(), 65);
    let successor = load_own(&dir).unwrap();
    assert_eq!(successor.open(Purpose::Session, sealed.as_bytes()), Ok(b"value".to_vec()));
}

#[test]
fn processes_that_start_at_once_agree_on_one_key() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("state");
    let rings: Vec<Sealer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load_own(&dir).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for ring in &rings {
        let sealed = ring.seal(Purpose::Session, b"value").unwrap();
        assert!(rings.iter().all(|other| other.open(Purpose::Session, sealed.as_bytes()).is_ok()));
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_spoilt_key_file_is_an_error_and_stays() {
    for (contents, mode, expected) in
        [("", 0o600, "is empty"), ("half a k", 0o600, "is no key"), (HEX, 0o622, "others may write it")]
    {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join(KEY_FILE);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = load_own(base.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(KEY_FILE), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("file"), "").unwrap();
    let error = load_own(&base.path().join("file/state")).unwrap_err();
    assert!(error.to_string().contains(KEY_FILE), "{error}");
}

#[test]
fn without_a_folder_the_key_is_nobody_elses() {
    let load = || load(&[], &SecretResolver::new(&Base::trusted(".")), None, None).unwrap();
    let sealed = load().seal(Purpose::Session, b"value").unwrap();
    assert_eq!(load().open(Purpose::Session, sealed.as_bytes()), Err(OpenError::UnknownKey));
}

#[test]
fn configured_keys_make_no_file_and_are_never_repeated_in_errors() {
    let base = tempfile::tempdir().unwrap();
    let other = "ff".to_owned() + HEX.get(2..).unwrap();
    for (name, contents) in [("one", HEX), ("two", &other), ("bad", "hunter2hunter2")] {
        fs::write(base.path().join(name), contents).unwrap();
    }
    let ring = |names: &[&str]| {
        let references: Vec<SecretRef> =
            names.iter().map(|name| format!("$secret://file/{name}").parse().unwrap()).collect();
        load(
            &references,
            &SecretResolver::new(&Base::trusted(base.path())),
            Some(&base.path().join("state")),
            None,
        )
    };
    let old = ring(&["one"]).unwrap().seal(Purpose::Session, b"value").unwrap();
    assert!(ring(&["two", "one"]).unwrap().open(Purpose::Session, old.as_bytes()).is_ok());
    assert_eq!(ring(&["two"]).unwrap().open(Purpose::Session, old.as_bytes()), Err(OpenError::UnknownKey));
    assert!(!base.path().join("state").exists());
    let error = ring(&["one", "bad"]).unwrap_err().to_string();
    assert!(error.contains("$secret://file/bad") && !error.contains("hunter2"), "{error}");
    assert_eq!(
        ring(&["one", "one"]).unwrap_err().to_string(),
        "`sessions.keys`: the keys at 0 and 1 are the same"
    );
    assert!(ring(&["none"]).unwrap_err().to_string().contains("$secret://file/none"));
}
