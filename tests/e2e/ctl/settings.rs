//! How the control plane is found and proven: contexts, token files, TLS; and what the shell is told when it is not.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mcpg_tests::tls::Authority;
use mcpg_tests::{ControlPlane, Ctl, Process, free_port, mcpg_cp, mcpg_ctl, until};
use serde_json::json;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn contexts_name_control_planes() {
    let cp = ControlPlane::on_sqlite();
    let token = cp.token_file();
    let ctl = Ctl::new();
    assert!(ctl.refused(&["org", "list", "--context", "prod"], 2).contains("no context `prod`"));
    ctl.ok(&["context", "set", "prod", "--server", &cp.url(), "--token-file", token.to_str().unwrap()]);
    ctl.ok(&["context", "set", "other", "--server", "http://127.0.0.1:1"]);
    assert_eq!(ctl.ok(&["context", "list", "-q"]), "other\nprod\n");
    let listed = ctl.json(&["context", "list"]);
    assert_eq!(
        listed["items"][1],
        json!({ "name": "prod", "current": true, "server": cp.url(), "credential": "token-file" })
    );
    let file = ctl.home().join(".config/mcpg/ctl.yaml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(ctl.ok(&["org", "list", "-q"]), "default\n");
    ctl.ok(&["context", "use", "other"]);
    ctl.refused(&["org", "list"], 6);
    assert_eq!(ctl.ok(&["org", "list", "-q", "--context", "prod"]), "default\n");
    ctl.ok(&["context", "use", "prod"]);
    ctl.ok(&["context", "delete", "other"]);
    ctl.refused(&["context", "use", "other"], 2);

    // A token can be kept, from standard input; it is shown nowhere.
    let secret = std::fs::read_to_string(&token).unwrap();
    let said = ctl.sh(&format!(
        "mcpg-ctl context set kept --server {} --token-stdin < {}",
        cp.url(),
        token.display()
    ));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(ctl.ok(&["org", "list", "-q", "--context", "kept"]), "default\n");
    assert!(!ctl.ok(&["context", "list", "-o", "yaml"]).contains(secret.trim()));
    // The settings have a token now: nobody else may read them.
    mode(&file, 0o644);
    assert!(ctl.refused(&["org", "list"], 2).contains("ctl.yaml` can be read by others (mode 0644)"));
}

#[test]
fn a_token_that_others_can_read_is_not_used() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    let file = cp.token_file();
    for (others, code) in [(0o600, 0), (0o400, 0), (0o640, 2), (0o604, 2)] {
        mode(&file, others);
        let said = ctl.run(&["whoami"]);
        assert_eq!(said.code, code, "{others:o}: {said:?}");
    }
    let nobody = Ctl::new().env("MCPG_CP_URL", &cp.url());
    let said = nobody.refused(&["whoami"], 4);
    assert!(said.contains("401 unauthenticated"), "{said}");
    let forged = Ctl::with_token(&cp, "mcpg_cp_forged");
    assert!(!forged.refused(&["whoami"], 4).contains("mcpg_cp_forged"));
}

#[test]
fn the_shell_is_told_what_happened() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    for (arguments, code) in [
        (&["org", "list"][..], 0),
        (&["revision", "publish", "default/default/default"], 1),
        (&["no-such-command"], 2),
        (&["org", "create", "Not A Slug"], 2),
        (&["--server", "cp.acme.com", "org", "list"], 2),
        (&["--server", "http://cp.acme.com", "org", "list"], 2),
        (&["--ca-file", "/no/such/file", "--server", "https://127.0.0.1:1", "org", "list"], 2),
        (&["org", "get", "no-such"], 3),
        (&["org", "create", "default"], 5),
        (&["--server", "http://127.0.0.1:1", "org", "list"], 6),
    ] {
        let said = ctl.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(ctl.ok(&["completion", shell]).contains("enroll-token"), "{shell}");
    }
    // A reader who has read enough is no failure.
    let said = ctl.sh("mcpg-ctl completion zsh | head -n 1; mcpg-ctl org list | true");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
}

#[test]
fn names_of_others_command_no_terminal() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    // A right-to-left override is a letter to the API and an order to a terminal.
    cp.post("/orgs", &json!({ "slug": "evil-corp", "display_name": "gpj.\u{202e}exe" }));
    for format in ["table", "json", "yaml"] {
        let out = ctl.ok(&["org", "get", "evil-corp", "-o", format]);
        assert!(!out.contains('\u{202e}'), "{format}: {out:?}");
    }
    assert_eq!(ctl.json(&["org", "get", "evil-corp"])["display_name"], "gpj.\u{202e}exe");
}

/// `mcpg-cp serve --tls-cert`, with a certificate for `localhost`.
struct OverTls {
    _process: Process,
    folder: tempfile::TempDir,
    address: SocketAddr,
    authority: Authority,
}

impl OverTls {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let certificate = authority.issue(folder.path(), "localhost");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new(mcpg_cp());
        command.args(["serve", "--listen", &address.to_string(), "--tls-cert"]).arg(certificate.chain);
        command.arg("--tls-key").arg(certificate.key).env_remove("NOTIFY_SOCKET").current_dir(folder.path());
        let process = Process::start("mcpg-cp", &mut command, &folder.path().join("cp.log"));
        Self { _process: process, folder, address, authority }
    }

    /// Its first administrator, at a URL with its host, trusting an authority.
    fn ctl(&self, host: &str, authority: Option<&Authority>) -> Ctl {
        let ctl = Ctl::new().env("MCPG_CP_URL", &format!("https://{host}:{}", self.address.port()));
        if let Some(authority) = authority {
            authority.write(&ctl.home().join("ca.pem"));
        }
        let token = self.folder.path().join("mcpg-cp-state/bootstrap.token");
        ctl.env("MCPG_CP_TOKEN_FILE", token.to_str().unwrap())
    }
}

#[test]
fn tls_is_verified_and_speaks_http_2() {
    let cp = OverTls::start();
    let ctl = cp.ctl("localhost", Some(&cp.authority));
    let trusting = ["--ca-file", "ca.pem"];
    until("it should be ready", || (ctl.run(&[&trusting[..], &["whoami"]].concat()).code == 0).then_some(()));
    assert_eq!(ctl.ok(&[&trusting[..], &["org", "list", "-q"]].concat()), "default\n");
    // The server takes the protocol that this program offers first, and the other one from others.
    for (offered, agreed) in [(&b"\x02h2\x08http/1.1"[..], "h2"), (&b"\x08http/1.1"[..], "http/1.1")] {
        let stream = TcpStream::connect(cp.address).unwrap();
        let (_, found) = cp.authority.handshake(stream, "localhost", offered).unwrap();
        assert_eq!(found, agreed);
    }
    // Many requests go over it, and large answers.
    for number in 0..30 {
        ctl.ok(&[
            &trusting[..],
            &["org", "create", &format!("org-{number}"), "--display-name", &"x".repeat(100)],
        ]
        .concat());
    }
    assert_eq!(ctl.ok(&[&trusting[..], &["org", "list", "-q"]].concat()).lines().count(), 31);

    // A context keeps the authority.
    ctl.ok(&[&trusting[..], &["context", "set", "tls"]].concat());
    assert_eq!(ctl.ok(&["org", "get", "default", "-q"]), "default\n");

    // Without the authority, with another one, or by another name: nothing is said, the token least of all.
    let other = Authority::new();
    for (host, authority, words) in [
        ("localhost", None, "has not proven who it is"),
        ("localhost", Some(&other), "has not proven who it is"),
        ("127.0.0.1", Some(&cp.authority), "has not proven who it is"),
    ] {
        let ctl = cp.ctl(host, authority);
        let arguments =
            if authority.is_some() { &["--ca-file", "ca.pem", "whoami"][..] } else { &["whoami"] };
        let said = ctl.refused(arguments, 6);
        assert!(said.contains(words), "{host}: {said}");
    }
    let plain = Ctl::new().env("MCPG_CP_URL", &format!("http://{}", cp.address));
    plain.refused(&["whoami"], 6);
}

#[test]
fn a_token_is_never_in_the_arguments() {
    // What `ps` shows of a command is what it was started with: there is no option to say a token by.
    let mut child =
        Command::new(mcpg_ctl()).args(["--token", "x", "whoami"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(said.contains("unexpected argument '--token'"), "{said}");
}
