use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn config() -> Config {
    let context = Context {
        server: "https://cp.acme.com".parse().unwrap(),
        ca_file: Some("/etc/acme/ca.pem".into()),
        insecure_http: false,
        token_file: None,
        token: Some(KeptToken {
            text: "mcpg_cps_secret".parse().unwrap(),
            expires_at: Some(Timestamp::default()),
        }),
    };
    Config {
        current: Some("prod".parse().unwrap()),
        contexts: BTreeMap::from([("prod".parse().unwrap(), context)]),
    }
}

#[test]
fn what_is_written_is_read_and_nobody_else_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/mcpg/ctl.yaml");
    assert_eq!(Config::read(&path).unwrap(), Config::default());
    config().write(&path).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert!(!format!("{:?}", config()).contains("secret"));
}

#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (link, real) = (folder.path().join("ctl.yaml"), folder.path().join("real.yaml"));
    config().write(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    Config::default().write(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Config::read(&real).unwrap(), Config::default());
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "mcpg_cp_secret\n").unwrap();
    for (mode, fits) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = token_file(&path);
        assert_eq!(read.is_ok(), fits, "{mode:o}");
        if let Err(error) = read {
            assert!(error.to_string().contains(&format!("(mode {mode:04o})")), "{error}");
        }
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Config::read(&path), Err(ConfigError::Exposed { .. })));
}

#[test]
fn what_is_not_understood_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ctl.yaml");
    for (text, words) in [
        ("contexts: {}\nextra: 1\n", "unknown field `extra`"),
        ("contexts: { prod: { server: cp.acme.com } }\n", "`cp.acme.com` is not the URL"),
        ("contexts: { \"a b\": { server: https://x } }\n", "the name of a context"),
        ("contexts: [", "ctl.yaml"),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    fs::write(&path, "two words\n").unwrap();
    let error = token_file(&path).unwrap_err().to_string();
    assert!(!error.contains("two words"), "{error}");
}
