//! TLS of the control plane: proven to the operator's program, renewed without a restart, and refused where it makes no whole.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use boring::ssl::SslVersion;
use mcpg_tests::tls::{Authority, Certificate};
use mcpg_tests::{Ctl, Process, Signal, free_port, mcpg_cp, until};

/// `mcpg-cp serve` with a certificate.
fn serve(folder: &Path, certificate: &Certificate) -> Command {
    let mut command = Command::new(mcpg_cp());
    command.args(["serve", "--tls-cert"]).arg(&certificate.chain).arg("--tls-key").arg(&certificate.key);
    command.env_remove("NOTIFY_SOCKET").current_dir(folder);
    command
}

/// It running, with a certificate for `localhost`.
struct OverTls {
    process: Process,
    folder: tempfile::TempDir,
    address: SocketAddr,
    authority: Authority,
    certificate: Certificate,
}

impl OverTls {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let certificate = authority.issue(folder.path(), "localhost");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = serve(folder.path(), &certificate);
        command.args(["--listen", &address.to_string()]);
        let process = Process::start("mcpg-cp", &mut command, &folder.path().join("cp.log"));
        Self { process, folder, address, authority, certificate }
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

/// The certificate that a new connection is shown, as SHA-256.
fn shown(cp: &OverTls) -> String {
    let stream = TcpStream::connect(cp.address).unwrap();
    let (stream, _) = cp.authority.handshake(stream, "localhost", b"\x08http/1.1").unwrap();
    let der = stream.ssl().peer_certificate().unwrap().to_der().unwrap();
    mcpg_tests::tls::sha256(&der)
}

#[test]
fn the_certificate_is_renewed_without_a_restart() {
    let cp = OverTls::start();
    until("it should listen", || TcpStream::connect(cp.address).ok());
    assert_eq!(shown(&cp), cp.certificate.sha256);
    let other = tempfile::tempdir().unwrap();
    let renewed = cp.authority.issue(other.path(), "localhost");

    // Half of it is there: the old one stays, and the log says why.
    let old = TcpStream::connect(cp.address).unwrap();
    fs::copy(&renewed.chain, &cp.certificate.chain).unwrap();
    cp.process.signal(Signal::Hangup);
    until("the half should be refused", || cp.process.log().contains("was not renewed").then_some(()));
    assert_eq!(shown(&cp), cp.certificate.sha256);

    fs::copy(&renewed.key, &cp.certificate.key).unwrap();
    cp.process.signal(Signal::Hangup);
    until("the whole should be shown", || (shown(&cp) == renewed.sha256).then_some(()));
    // Who was connected before is not cut off.
    assert!(cp.authority.handshake(old, "localhost", b"\x08http/1.1").is_ok());
}

#[test]
fn old_versions_of_tls_are_refused() {
    let cp = OverTls::start();
    until("it should listen", || TcpStream::connect(cp.address).ok());
    for (version, fine) in [
        (SslVersion::TLS1, false),
        (SslVersion::TLS1_1, false),
        (SslVersion::TLS1_2, true),
        (SslVersion::TLS1_3, true),
    ] {
        let mut connector = cp.authority.connector();
        connector.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        connector.set_max_proto_version(Some(version)).unwrap();
        let stream = TcpStream::connect(cp.address).unwrap();
        assert_eq!(connector.build().connect("localhost", stream).is_ok(), fine, "{version:?}");
    }
}

#[test]
fn what_makes_no_whole_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, other) =
        (authority.issue(folder.path(), "localhost"), authority.issue(folder.path(), "localhost"));
    let absent = folder.path().join("absent.pem");
    for (chain, key, words) in [
        (&one.chain, &other.key, "is not that of"),
        (&one.key, &one.key, "no PEM block of a certificate"),
        (&one.chain, &one.chain, "cannot use the key"),
        (&absent, &one.key, "cannot read the certificate"),
        (&one.chain, &absent, "cannot read the key"),
    ] {
        let certificate = Certificate { chain: chain.clone(), key: key.clone(), ..one.clone() };
        let out = serve(folder.path(), &certificate).args(["--listen", "127.0.0.1:0"]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}
