//! `login` and `logout` with an organization's identity provider: npm `oidc-provider`, and a browser that goes where it is sent.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use mcpg_tests::{ControlPlane, Ctl, Provider, mcpg_ctl, until};
use serde_json::json;

const CLIENT: &str = "mcpg-cp";

/// None, aloud, where there is no Node.
fn provider() -> Option<Provider> {
    let issuer = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/issuer");
    Provider::start(&issuer, CLIENT, "signing in by mcpg-ctl")
}

/// Signs in as a person in a browser, and goes where that leads. Returns the page at the end.
fn browse(provider: &Provider, page: &str, sub: &str) -> String {
    let location = provider.browse(page, sub, true);
    let rest = location.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    request(&format!("http://{authority}"), "GET", &format!("/{path}"), "")
}

/// A whole request by hand. Returns the answer's body.
fn request(origin: &str, method: &str, path: &str, body: &str) -> String {
    let address: SocketAddr = origin.strip_prefix("http://").unwrap().parse().unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    mcpg_tests::exchange(address, format!("{head}{body}").as_bytes()).text()
}

/// A control plane whose `acme-corp` signs in with the provider, with alice as its administrator.
fn control_plane(provider: &Provider) -> ControlPlane {
    let cp = ControlPlane::on_sqlite_with(&["--allow-address", "127.0.0.1/32"]);
    let ctl = Ctl::of(&cp);
    ctl.ok(&["org", "create", "acme-corp"]);
    assert!(ctl.refused(&["login", "acme-corp", "--no-browser"], 3).contains("not found"));
    ctl.ok(&[
        "org",
        "update",
        "acme-corp",
        "--sso-issuer",
        &provider.url,
        "--sso-client-id",
        CLIENT,
        "--sso-domain",
        "acme.com",
    ]);
    assert_eq!(ctl.json(&["org", "get", "acme-corp"])["single_sign_on"]["domains"], json!(["acme.com"]));
    ctl.ok(&["rbac", "grant", "alice@acme.com", "admin", "--on", "org/acme-corp"]);
    cp
}

#[test]
fn a_member_signs_in_and_out() {
    let Some(provider) = provider() else { return };
    let cp = control_plane(&provider);
    let ctl = Ctl::new();
    // Where no browser is wanted the page's address is printed.
    let mut command = ctl.command(&mcpg_ctl());
    command.args(["login", "acme-corp", "--no-browser", "--server", &cp.url()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let page = said.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("http")).unwrap();
    assert!(browse(&provider, &page, "alice").contains("You are signed in"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(
        rest.starts_with("signed in as `alice@acme.com` until ") && !rest.contains("mcpg_cps_"),
        "{rest}"
    );

    assert_eq!(ctl.json(&["whoami"])["member"], "alice@acme.com");
    let context = ctl.json(&["context", "list"]);
    assert_eq!(
        (&context["items"][0]["name"], &context["items"][0]["credential"]),
        (&json!("acme-corp"), &json!("token"))
    );
    let file = ctl.home().join(".config/mcpg/ctl.yaml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The session goes to its own server alone.
    let other = ControlPlane::on_sqlite();
    assert!(ctl.refused(&["whoami", "--server", &other.url()], 4).contains("401"));

    let kept = std::fs::read_to_string(&file).unwrap();
    let token = kept.split_whitespace().find(|word| word.starts_with("mcpg_cps_")).unwrap().to_owned();
    ctl.ok(&["logout"]);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("mcpg_cps_"));
    Ctl::with_token(&cp, &token).refused(&["whoami"], 4);
    ctl.refused(&["logout"], 3);
}

#[test]
fn the_browser_is_opened() {
    let Some(provider) = provider() else { return };
    let cp = control_plane(&provider);
    let ctl = Ctl::new();
    let browser = ctl.home().join("browser");
    std::fs::write(
        &browser,
        "#!/bin/sh\nprintf %s \"$1\" > \"$HOME/page.part\" && mv \"$HOME/page.part\" \"$HOME/page\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
    let ctl = ctl.env("BROWSER", browser.to_str().unwrap()).env("MCPG_CP_URL", &cp.url());
    let mut child =
        ctl.command(&mcpg_ctl()).args(["login", "acme-corp"]).stderr(Stdio::null()).spawn().unwrap();
    let page = until("a browser should be asked", || std::fs::read_to_string(ctl.home().join("page")).ok());
    assert!(browse(&provider, &page, "alice").contains("You are signed in"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(ctl.json(&["whoami", "--context", "acme-corp"])["member"], "alice@acme.com");
    // Who has no role is a member and sees nothing.
    std::fs::remove_file(ctl.home().join("page")).unwrap();
    let mut child =
        ctl.command(&mcpg_ctl()).args(["login", "acme-corp"]).stderr(Stdio::null()).spawn().unwrap();
    let page = until("a browser should be asked", || std::fs::read_to_string(ctl.home().join("page")).ok());
    browse(&provider, &page, "mallory");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    ctl.refused(&["org", "get", "acme-corp"], 3);
}
