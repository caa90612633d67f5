use std::collections::BTreeMap;

use super::*;
use crate::config::KeptToken;

fn config() -> Config {
    let context = |server: &str, token: &str| Context {
        server: server.parse().unwrap(),
        ca_file: Some("/ca.pem".into()),
        insecure_http: true,
        token_file: None,
        token: Some(KeptToken { text: token.parse().unwrap(), expires_at: None }),
    };
    Config {
        current: Some("prod".parse().unwrap()),
        contexts: BTreeMap::from([
            ("prod".parse().unwrap(), context("https://prod.acme.com", "of-prod")),
            ("dev".parse().unwrap(), context("https://dev.acme.com", "of-dev")),
        ]),
    }
}

/// Checks the server, the token, and whether the context's authority is used.
fn check(
    connection: &Connection,
    config: &Config,
    environment: &[(&str, &str)],
    expected: (&str, Option<&str>, bool),
) {
    let variable = |name: &str| {
        environment.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    };
    let settings = settings(connection, config, variable).unwrap();
    let found = (
        settings.server.to_string(),
        settings.token.as_ref().map(|token| token.expose().to_owned()),
        settings.ca_file.is_some(),
    );
    let (server, token, ca) = expected;
    assert_eq!(found, (server.to_owned(), token.map(str::to_owned), ca), "{connection:?}");
    assert_eq!(settings.insecure_http, ca, "both are the context's");
}

#[test]
fn the_command_line_comes_before_the_environment_before_the_context() {
    let none = Connection::default();
    let server = |url: &str| Connection { server: Some(url.parse().unwrap()), ..Connection::default() };
    check(&none, &Config::default(), &[], ("http://127.0.0.1:9400", None, false));
    check(&none, &config(), &[], ("https://prod.acme.com", Some("of-prod"), true));
    let dev = Connection { context: Some("dev".parse().unwrap()), ..Connection::default() };
    check(&dev, &config(), &[], ("https://dev.acme.com", Some("of-dev"), true));
    check(&none, &config(), &[("MCPG_CP_TOKEN", "of-env")], ("https://prod.acme.com", Some("of-env"), true));
    // The same server by another way of saying it.
    check(
        &server("https://prod.acme.com:443/"),
        &config(),
        &[],
        ("https://prod.acme.com", Some("of-prod"), true),
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "of-file\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let named = file.to_str().unwrap();
    check(
        &none,
        &config(),
        &[("MCPG_CP_TOKEN_FILE", named)],
        ("https://prod.acme.com", Some("of-file"), true),
    );
    let both = [("MCPG_CP_TOKEN", "of-env"), ("MCPG_CP_TOKEN_FILE", named)];
    check(&none, &config(), &both, ("https://prod.acme.com", Some("of-env"), true));
    let by_file = Connection { token_file: Some(file.clone()), ..Connection::default() };
    check(&by_file, &config(), &both, ("https://prod.acme.com", Some("of-file"), true));
}

#[test]
fn a_contexts_token_goes_to_its_own_server_alone() {
    let elsewhere =
        Connection { server: Some("https://evil.example".parse().unwrap()), ..Connection::default() };
    check(&elsewhere, &config(), &[], ("https://evil.example", None, false));
    let plain = Connection { server: Some("http://prod.acme.com".parse().unwrap()), ..Connection::default() };
    check(&plain, &config(), &[], ("http://prod.acme.com", None, false));
}

#[test]
fn what_is_not_there_is_not_passed_over() {
    let missing = Connection { context: Some("no-such".parse().unwrap()), ..Connection::default() };
    let error = settings(&missing, &config(), |_| None).unwrap_err();
    assert_eq!(error.to_string(), "there is no context `no-such`: see `mcpg-ctl context list`");
    let missing = Connection { token_file: Some("/no/such/file".into()), ..Connection::default() };
    assert!(matches!(settings(&missing, &config(), |_| None), Err(Failure::Config(ConfigError::Io { .. }))));
}
