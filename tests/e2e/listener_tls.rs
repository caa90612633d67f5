//! TLS towards clients: certificates by the name that clients send, rotated under traffic, asked of clients and handed to
//! identity; what is too old, too slow or resumed elsewhere.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use boring::hash::MessageDigest;
use boring::ssl::{SslConnectorBuilder, SslFiletype, SslStream, SslVersion};
use mcpg_tests::mcp::Request;
use mcpg_tests::tls::{Authority, Certificate};
use mcpg_tests::{DEADLINE, Fixture, Gateway, RawHttp, Response, Setup, packages, scenes, until};
use serde_json::json;

use crate::expect::refused;

#[test]
fn the_name_that_a_client_sends_picks_the_certificate() {
    let bench = Bench::new();
    let [own, acme, wild] = ["localhost", "mcp.acme.test", "other.test"].map(|name| bench.issue(name));
    let more = format!(
        "    certificates:
      - {}
      - {{ {}, hosts: [\"*.eu.test\"] }}\n",
        flow(&acme),
        pair(&wild)
    );
    let gateway = bench.gateway(&own, &more);
    for (name, shown) in [
        ("localhost", &own),
        ("mcp.acme.test", &acme),
        ("MCP.Acme.TEST", &acme),
        ("a.eu.test", &wild),
        ("eu.test", &own),
        ("a.b.eu.test", &own),
        ("unknown.test", &own),
        // `hosts` is instead of the names that it is issued for.
        ("other.test", &own),
    ] {
        assert_eq!(shown_to(&bench, &gateway, name), shown.sha256, "{name}");
    }
    assert_eq!(shown_to(&bench, &gateway, ""), own.sha256, "no name");
    let handshakes = gateway.metrics().sum("mcpg_tls_handshakes_total", &[("result", "complete")]);
    assert!(handshakes >= 9.0, "{handshakes}");
}

#[test]
fn a_rotated_certificate_is_shown_and_no_handshake_fails() {
    let bench = Bench::new();
    let fixture = Fixture::start();
    let [first, second] = [(); 2].map(|()| bench.issue("localhost"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let server = "  tls: { certificate: tls/cert.pem, private_key: tls/key.pem }\n";
    let mut gateway = scenes::open_with(&fixture.url(), server, "")
        .file("tls/cert.pem", &read(&first.chain))
        .file("tls/key.pem", &read(&first.key))
        .start();
    assert_eq!(shown_to(&bench, &gateway, "localhost"), first.sha256);
    let left = gateway.metrics().sum("mcpg_tls_certificate_expires_seconds", &[]);
    assert!(left > 28.0 * 86_400.0 && left < 31.0 * 86_400.0, "{left}");

    let mut kept = bench.open(&gateway, "localhost", bench.client()).expect("a connection before the change");
    succeeds("before", &call_on(&gateway, &mut kept));
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut connection =
                        bench.open(&gateway, "localhost", bench.client()).expect("a handshake");
                    succeeds("under way", &call_on(&gateway, &mut connection));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The key first, so that for a while the two do not belong together.
        gateway.replace("tls/key.pem", &read(&second.key));
        until("the half of a change should be refused", || {
            (gateway.metrics().sum("mcpg_revision_reloads_total", &[("result", "refused")]) > 0.0)
                .then_some(())
        });
        assert_eq!(shown_to(&bench, &gateway, "localhost"), first.sha256, "half a change changes nothing");
        gateway.replace("tls/cert.pem", &read(&second.chain));
        until("the new certificate should be shown", || {
            (shown_to(&bench, &gateway, "localhost") == second.sha256).then_some(())
        });
        let before = served.load(Ordering::Relaxed);
        until("calls should go on", || (served.load(Ordering::Relaxed) > before + 4).then_some(()));
        done.store(true, Ordering::Relaxed);
    });
    succeeds("a connection that is open lives on", &call_on(&gateway, &mut kept));
    assert_eq!(gateway.metrics().sum("mcpg_tls_handshakes_total", &[("result", "failed")]), 0.0);
    assert!(!gateway.process().log().contains("PRIVATE KEY"));
}

#[test]
fn a_client_certificate_is_a_caller() {
    let bench = Bench::new();
    let own = bench.issue("localhost");
    let gateway = bench.identified(&own, "request");
    let alice = bench.clients.issue(bench.folder.path(), "alice.test");
    let mallory = Authority::new().issue(bench.folder.path(), "alice.test");
    let expired = bench.clients.issue_expired(bench.folder.path(), "alice.test");
    let bob = bench.clients.issue(bench.folder.path(), "bob.test");
    let call = |case: &str, certificate: Option<&Certificate>| {
        let client = showing(bench.client(), certificate);
        let mut connection = bench.open(&gateway, "localhost", client).expect(case);
        call_on(&gateway, &mut connection)
    };
    succeeds("a certificate of the authority", &call("alice", Some(&alice)));
    refused(403, 40301, "denied").check("another caller", &call("bob", Some(&bob)));
    let stranger = refused(401, 40101, "unauthenticated");
    stranger.check("no certificate", &call("none", None));
    stranger.check("a certificate of another authority", &call("mallory", Some(&mallory)));
    stranger.check("an expired certificate", &call("expired", Some(&expired)));
    assert!(gateway.ledger().rows().iter().any(|row| row.to_string().contains("user:alice.test")));
}

#[test]
fn a_required_certificate_is_verified_in_the_handshake() {
    let bench = Bench::new();
    let own = bench.issue("localhost");
    let gateway = bench.identified(&own, "require");
    let alice = bench.clients.issue(bench.folder.path(), "alice.test");
    let mallory = Authority::new().issue(bench.folder.path(), "alice.test");
    let expired = bench.clients.issue_expired(bench.folder.path(), "alice.test");
    let answered = |certificate: Option<&Certificate>| {
        let client = showing(bench.client(), certificate);
        // In TLS 1.3 a client learns that it was turned away when it reads.
        let mut connection = bench.open(&gateway, "localhost", client).ok()?;
        connection.send(&request().bytes(gateway.address()));
        connection.response()
    };
    succeeds("a certificate of the authority", &answered(Some(&alice)).expect("an answer"));
    for (case, certificate) in
        [("none", None), ("another authority's", Some(&mallory)), ("expired", Some(&expired))]
    {
        assert_eq!(answered(certificate), None, "{case}");
    }
    until("the failures should be counted", || {
        let failed = gateway.metrics().sum("mcpg_tls_handshakes_total", &[("result", "failed")]);
        (failed >= 3.0).then_some(())
    });
}

#[test]
fn what_is_too_old_is_refused() {
    let bench = Bench::new();
    let own = bench.issue("localhost");
    let check = |gateway: &Gateway, version: SslVersion, agreed: bool| {
        let mut client = bench.client();
        client.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        client.set_max_proto_version(Some(version)).unwrap();
        assert_eq!(bench.handshake(gateway, "localhost", client).is_ok(), agreed, "{version:?}");
    };
    let gateway = bench.gateway(&own, "");
    for (version, agreed) in [
        (SslVersion::TLS1, false),
        (SslVersion::TLS1_1, false),
        (SslVersion::TLS1_2, true),
        (SslVersion::TLS1_3, true),
    ] {
        check(&gateway, version, agreed);
    }
    let gateway = bench.gateway(&own, "    min_version: tls1.3\n");
    check(&gateway, SslVersion::TLS1_2, false);
    check(&gateway, SslVersion::TLS1_3, true);

    let gateway = bench.gateway(&own, "");
    for suite in ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"] {
        let mut client = bench.client();
        client.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        client.set_cipher_list(suite).unwrap();
        assert!(bench.handshake(&gateway, "localhost", client).is_err(), "{suite}");
    }
}

#[test]
fn sessions_are_resumed_only_where_clients_are_not_asked() {
    if let Err(missing) = packages::program(Command::new("openssl").arg("version")) {
        return packages::skip("resumption", &missing);
    }
    let bench = Bench::new();
    let [own, other] = ["localhost", "other.test"].map(|name| bench.issue(name));
    let alice = bench.clients.issue(bench.folder.path(), "alice.test");
    let more = format!("    certificates: [{}]\n", flow(&other));
    let open = bench.gateway(&own, &more);
    let asking = ["request", "require"].map(|ask| (ask, bench.identified_with(&own, ask, &more)));
    for version in ["-tls1_2", "-tls1_3"] {
        let file = bench.folder.path().join(format!("open{version}"));
        let said = OpenSsl { gateway: &open, name: "localhost", version, certificate: None };
        let first = said.session(&file);
        assert!(first.contains("New, TLSv1") && first.contains("200 OK"), "{version}: {first}");
        let again = said.resumed(&file);
        assert!(again.contains("Reused, TLSv1") && again.contains("200 OK"), "{version}: {again}");
        for (ask, gateway) in &asking {
            // With her certificate Alice is served, and takes nothing away that another could be her with.
            let file = bench.folder.path().join(format!("{ask}{version}"));
            let hers = OpenSsl { gateway, name: "localhost", version, certificate: Some(&alice) };
            let first = hers.session(&file);
            assert!(first.contains("200 OK"), "{version} {ask}: {first}");
            for name in ["localhost", "other.test"] {
                let again = OpenSsl { name, certificate: None, ..hers }.resumed(&file);
                assert!(
                    !again.contains("Reused,") && !again.contains("200 OK"),
                    "{version} {ask} {name}: {again}"
                );
            }
        }
    }
}

#[test]
fn a_ticket_of_before_is_worth_nothing_once_clients_are_asked() {
    if let Err(missing) = packages::program(Command::new("openssl").arg("version")) {
        return packages::skip("resumption", &missing);
    }
    let bench = Bench::new();
    let gateway = bench.gateway(&bench.issue("localhost"), "");
    let file = bench.folder.path().join("session");
    let client = OpenSsl { gateway: &gateway, name: "localhost", version: "-tls1_3", certificate: None };
    client.session(&file);
    assert!(client.resumed(&file).contains("Reused,"), "before");
    let config = std::fs::read_to_string(gateway.dir().join("mcpg.yaml")).unwrap();
    let asked =
        format!("  tls:\n    client_certificates: require\n    client_ca: {}\n", bench.root.display());
    gateway.replace("mcpg.yaml", &config.replacen("  tls:\n", &asked, 1));
    until("clients should be asked", || (!client.resumed(&file).contains("200 OK")).then_some(()));
    assert!(!client.resumed(&file).contains("Reused,"), "afterwards");
}

#[test]
fn sslyze_finds_mozillas_intermediate_profile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/sslyze");
    let python = match packages::python(&folder) {
        Ok(python) => python,
        Err(missing) => return packages::skip("sslyze", &missing),
    };
    let bench = Bench::new();
    let gateway = bench.gateway(&bench.issue("localhost"), "");
    let mut sslyze = Command::new(python.parent().unwrap().join("sslyze"));
    sslyze.arg("--mozilla_config=intermediate").arg(gateway.address().to_string());
    let output = sslyze.output().expect("sslyze runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let (_, verdict) = said.split_once("Mozilla's \"intermediate\" configuration").expect("a verdict");
    let findings: Vec<&str> = verdict.lines().filter_map(|line| line.trim().strip_prefix("* ")).collect();
    // No store of roots has this test's own.
    assert!(
        matches!(findings.as_slice(), [one] if one.starts_with("certificate_path_validation:")),
        "{said}"
    );
}

#[test]
fn a_slow_handshake_is_cut() {
    let bench = Bench::new();
    let own = bench.issue("localhost");
    let gateway = bench.gateway(&own, "  limits: { tls_handshake_timeout_ms: 300 }\n");
    for sent in [&b""[..], b"\x16\x03\x01\x00\xc8\x01"] {
        let mut connection = RawHttp::connect(gateway.address());
        connection.send(sent);
        assert!(connection.is_closed_silently(), "{sent:?}");
    }
    until("both should be counted", || {
        let cut = gateway.metrics().sum("mcpg_tls_handshakes_total", &[("result", "timed_out")]);
        (cut >= 2.0).then_some(())
    });
    let mut plain = RawHttp::connect(gateway.address());
    plain.send(&request().bytes(gateway.address()));
    assert_eq!(plain.response(), None, "cleartext gets no answer");
    let mut connection = bench.open(&gateway, "localhost", bench.client()).expect("a handshake");
    succeeds("others are served", &call_on(&gateway, &mut connection));
}

struct Bench {
    folder: tempfile::TempDir,
    /// Who issues the gateway's certificates.
    authority: Authority,
    /// Who issues those of clients, and its file.
    clients: Authority,
    root: std::path::PathBuf,
    fixture: Fixture,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clients = Authority::new();
        let root = clients.write(&folder.path().join("clients.pem"));
        Self { folder, authority: Authority::new(), clients, root, fixture: Fixture::start() }
    }

    fn issue(&self, name: &str) -> Certificate {
        self.authority.issue(self.folder.path(), name)
    }

    /// A gateway that shows `own`, with more lines below `tls`, open to everybody.
    fn gateway(&self, own: &Certificate, more: &str) -> Gateway {
        scenes::open_with(&self.fixture.url(), &tls(own, more), "").start()
    }

    /// A gateway that asks clients, where only Alice may call.
    fn identified(&self, own: &Certificate, ask: &str) -> Gateway {
        self.identified_with(own, ask, "")
    }

    fn identified_with(&self, own: &Certificate, ask: &str, more: &str) -> Gateway {
        let asked = format!("    client_certificates: {ask}\n    client_ca: {}\n{more}", self.root.display());
        let config = format!(
            "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
{}plugins:
  - {{ id: identity.mtls, config: {{ ca: {}, subject: dns }} }}
  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
audit: {{ dir: ./audit }}
bindings:
  - {{ id: files, type: mcp, url: {} }}\n",
            tls(own, &asked),
            self.root.display(),
            self.fixture.url()
        );
        let policy = "permit (principal == User::\"alice.test\", action, resource);";
        Setup::new(&config).file("policies/policy.cedar", policy).start()
    }

    fn client(&self) -> SslConnectorBuilder {
        self.authority.connector()
    }

    fn handshake(
        &self,
        gateway: &Gateway,
        name: &str,
        client: SslConnectorBuilder,
    ) -> Result<SslStream<TcpStream>, String> {
        let stream = TcpStream::connect(gateway.address()).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = client.build().configure().unwrap();
        // Which certificate is shown is what is asked here, not whether it is for the name.
        client.set_verify_hostname(false);
        client.set_use_server_name_indication(!name.is_empty());
        client
            .connect(if name.is_empty() { "localhost" } else { name }, stream)
            .map_err(|error| error.to_string())
    }

    fn open(&self, gateway: &Gateway, name: &str, client: SslConnectorBuilder) -> Result<RawHttp, String> {
        self.handshake(gateway, name, client).map(RawHttp::over_tls)
    }
}

/// `openssl s_client`, which keeps sessions in files.
#[derive(Clone, Copy)]
struct OpenSsl<'a> {
    gateway: &'a Gateway,
    name: &'a str,
    version: &'a str,
    certificate: Option<&'a Certificate>,
}

impl OpenSsl<'_> {
    /// A call, and the session of its connection into `file`.
    fn session(&self, file: &Path) -> String {
        self.call(&["-sess_out".as_ref(), file.as_os_str()])
    }

    /// A call with the session in `file`, if there is one.
    fn resumed(&self, file: &Path) -> String {
        if file.exists() { self.call(&["-sess_in".as_ref(), file.as_os_str()]) } else { self.call(&[]) }
    }

    fn call(&self, more: &[&OsStr]) -> String {
        let address = self.gateway.address();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-ign_eof", "-servername", self.name, self.version]);
        command.arg("-connect").arg(address.to_string()).args(more);
        if let Some(certificate) = self.certificate {
            command.arg("-cert").arg(&certificate.chain).arg("-key").arg(&certificate.key);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("openssl runs");
        // One that was turned away already reads nothing.
        let _ =
            process.stdin.take().unwrap().write_all(&request().header("Connection", "close").bytes(address));
        let output = process.wait_with_output().unwrap();
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
    }
}

fn tls(own: &Certificate, more: &str) -> String {
    format!(
        "  tls:\n    certificate: {}\n    private_key: {}\n{more}",
        own.chain.display(),
        own.key.display()
    )
}

fn pair(certificate: &Certificate) -> String {
    format!("certificate: {}, private_key: {}", certificate.chain.display(), certificate.key.display())
}

fn flow(certificate: &Certificate) -> String {
    format!("{{ {} }}", pair(certificate))
}

/// A client that shows a certificate.
fn showing(mut client: SslConnectorBuilder, certificate: Option<&Certificate>) -> SslConnectorBuilder {
    if let Some(certificate) = certificate {
        client.set_certificate_chain_file(&certificate.chain).unwrap();
        client.set_private_key_file(&certificate.key, SslFiletype::PEM).unwrap();
    }
    client
}

fn shown_to(bench: &Bench, gateway: &Gateway, name: &str) -> String {
    let stream = bench.handshake(gateway, name, bench.client()).expect(name);
    let digest = stream.ssl().peer_certificate().unwrap().digest(MessageDigest::sha256()).unwrap();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request() -> Request {
    Request::modern_call("/mcp", "echo", json!({ "text": "hi" }))
}

fn call_on(gateway: &Gateway, connection: &mut RawHttp) -> Response {
    connection.send(&request().bytes(gateway.address()));
    connection.response().expect("the gateway should answer")
}

fn succeeds(case: &str, response: &Response) {
    assert_eq!(response.status, 200, "{case}: {}", response.text());
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi", "{case}: {}", response.text());
}
