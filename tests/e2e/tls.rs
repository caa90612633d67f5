//! TLS on both sides: what the gateway trusts in an upstream, which HTTP it speaks there, and what it shows to clients.

use std::path::Path;
use std::process::Command;

use mcpg_tests::mcp::Request;
use mcpg_tests::tls::{Authority, Certificate};
use mcpg_tests::{Fixture, Gateway, Process, RawHttp, Response, Setup, free_port, packages, scenes, until};
use serde_json::{Value, json};

use crate::expect::{Refused, refused};

const UNAVAILABLE: Refused = refused(502, 50201, "upstream_unavailable");
const NAME: &str = "tools.internal";

#[test]
fn an_upstream_with_a_certificate_of_a_private_authority_is_trusted() {
    let bench = Bench::new();
    let (fixture, certificate) = bench.server(&["--note-requests"]);
    let gateway = bench.gateway(&fixture, &bench.trust(""));
    succeeds("a private authority", &call(&gateway));
    assert_eq!(fixture.requests().last().unwrap()["http"], "HTTP/2.0", "ALPN agrees on HTTP/2");

    let pinned = format!("      pin_cert_sha256: \"{}\"\n", certificate.sha256);
    succeeds("its pin", &call(&bench.gateway(&fixture, &bench.trust(&pinned))));
    let capitals = format!(
        "      pin_cert_sha256: [\"{}\", \"{}\"]\n",
        "0".repeat(64),
        certificate.sha256.to_uppercase()
    );
    succeeds("one of two pins", &call(&bench.gateway(&fixture, &bench.trust(&capitals))));
}

#[test]
fn an_upstream_that_proves_too_little_gets_nothing() {
    let bench = Bench::new();
    let (fixture, certificate) = bench.server(&["--note-requests"]);
    let other = Authority::new();
    let other = other.write(&bench.path("other.pem"));
    let pin = |digits: &str| bench.trust(&format!("      pin_cert_sha256: \"{digits}\"\n"));
    let check = |case: &str, fixture: &Fixture, binding: &str| {
        UNAVAILABLE.check(case, &call(&bench.gateway(fixture, binding)));
        assert_eq!(fixture.requests(), Vec::<Value>::new(), "{case}: the upstream saw a request");
    };
    check("the system's roots", &fixture, &format!("    tls: {{ server_name: {NAME} }}\n"));
    check("another root", &fixture, &trust(&other, NAME, ""));
    check("another name", &fixture, &trust(&bench.root, "other.internal", ""));
    check("another pin", &fixture, &pin(&"ab".repeat(32)));
    check("a pin that is one digit off", &fixture, &pin(&off_by_one(&certificate.sha256)));
    let expired = bench.authority.issue_expired(bench.folder.path(), NAME);
    let (fixture, certificate) = bench.server_with(expired, &["--note-requests"]);
    check("an expired certificate", &fixture, &bench.trust(""));
    // A pin comes on top of the usual verification, not instead of it.
    check("an expired certificate with its pin", &fixture, &pin(&certificate.sha256));
}

#[test]
fn a_pinned_key_outlives_its_certificate() {
    let bench = Bench::new();
    let (fixture, certificate) = bench.server(&["--note-requests"]);
    let renewed = bench.authority.renew(bench.folder.path(), NAME, &certificate);
    assert_eq!(renewed.spki_sha256, certificate.spki_sha256);
    assert_ne!(renewed.sha256, certificate.sha256);
    let (again, _) = bench.server_with(renewed, &["--note-requests"]);
    let key = |digits: &str, http2: &str| {
        format!("    http2: {http2}\n{}", bench.trust(&format!("      pin_spki_sha256: \"{digits}\"\n")))
    };
    for http2 in ["auto", "off"] {
        for fixture in [&fixture, &again] {
            let gateway = bench.gateway(fixture, &key(&certificate.spki_sha256, http2));
            // The second is on the connection of the first.
            for case in ["a new connection", "a pooled connection"] {
                succeeds(case, &call(&gateway));
            }
        }
    }
    let seen = again.requests().len();
    let check = |case: &str, fixture: &Fixture, binding: &str| {
        let gateway = bench.gateway(fixture, binding);
        for _ in 0..2 {
            UNAVAILABLE.check(case, &call(&gateway));
        }
        assert_eq!(fixture.requests().len(), seen, "{case}: the upstream saw a request");
    };
    for http2 in ["auto", "off"] {
        check("another key", &again, &key(&"ab".repeat(32), http2));
        check("a key that is one digit off", &again, &key(&off_by_one(&certificate.spki_sha256), http2));
        check("the certificate's digest", &again, &key(&certificate.sha256, http2));
    }
    let both = format!(
        "      pin_spki_sha256: \"{}\"\n      pin_cert_sha256: \"{}\"\n",
        certificate.spki_sha256,
        "ab".repeat(32)
    );
    check("its key, and another certificate", &again, &bench.trust(&both));
    let pin = format!("      pin_spki_sha256: \"{}\"\n", certificate.spki_sha256);
    check("another name with its key", &again, &trust(&bench.root, "other.internal", &pin));
    let expired = bench.authority.issue_expired(bench.folder.path(), NAME);
    let (fixture, certificate) = bench.server_with(expired, &["--note-requests"]);
    let pin = format!("      pin_spki_sha256: \"{}\"\n", certificate.spki_sha256);
    UNAVAILABLE
        .check("an expired certificate with its key", &call(&bench.gateway(&fixture, &bench.trust(&pin))));
    assert_eq!(fixture.requests(), Vec::<Value>::new());
}

#[test]
fn a_pin_that_is_changed_holds_on_connections_that_are_open() {
    let bench = Bench::new();
    let (fixture, certificate) = bench.server(&["--note-requests"]);
    let key = |digits: &str| bench.trust(&format!("      pin_spki_sha256: \"{digits}\"\n"));
    let gateway = bench.gateway(&fixture, &key(&certificate.spki_sha256));
    succeeds("its key", &call(&gateway));
    let config = std::fs::read_to_string(gateway.dir().join("mcpg.yaml")).unwrap();
    gateway.replace("mcpg.yaml", &config.replace(&certificate.spki_sha256, &"ab".repeat(32)));
    until("the new pin should hold", || (call(&gateway).status == 502).then_some(()));
    let seen = fixture.requests().len();
    UNAVAILABLE.check("another key", &call(&gateway));
    assert_eq!(fixture.requests().len(), seen, "the upstream saw a request");
}

#[test]
fn an_upstream_is_shown_the_clients_certificate() {
    if let Err(missing) = packages::program(Command::new("nginx").arg("-v")) {
        return packages::skip("nginx as an upstream", &missing);
    }
    let bench = Bench::new();
    let clients = Authority::new();
    let root = clients.write(&bench.path("clients.pem"));
    let fixture = Fixture::start();
    let nginx = Nginx::start(&bench, &root, &fixture);
    let [ours, rotated] = [(); 2].map(|()| clients.issue(bench.folder.path(), "gateway.internal"));
    let theirs = Authority::new().issue(bench.folder.path(), "gateway.internal");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let shown = bench.trust("      client_certificate: client.crt\n      client_key: client.key\n");
    let gateway = |certificate: &Certificate| {
        scenes::open_with(&nginx.url, "", &shown)
            .file("client.crt", &read(&certificate.chain))
            .file("client.key", &read(&certificate.key))
            .start()
    };
    let asked = gateway(&ours);
    succeeds("a certificate of the authority", &call(&asked));
    assert_ne!(call(&gateway(&theirs)).status, 200, "a certificate of another authority");
    assert_ne!(call(&scenes::open_with(&nginx.url, "", &bench.trust("")).start()).status, 200, "none");

    asked.replace("client.key", &read(&rotated.key));
    asked.replace("client.crt", &read(&rotated.chain));
    until("the rotated certificate should be shown", || {
        succeeds("while it changes", &call(&asked));
        // Ours, theirs, and the new one.
        (nginx.serials().len() == 3).then_some(())
    });
    assert!(asked.metrics().sum("mcpg_revision_reloads_total", &[("result", "applied")]) >= 1.0);
    let other = scenes::open_with(&nginx.url, "", &shown)
        .file("client.crt", &read(&ours.chain))
        .file("client.key", &read(&rotated.key))
        .start_refused();
    assert!(
        other.contains("does not belong to the certificate") && !other.contains("PRIVATE KEY"),
        "{other}"
    );
}

/// nginx with TLS in front of a fixture, for clients with certificates of one authority only.
struct Nginx {
    url: String,
    log: std::path::PathBuf,
    _process: Process,
}

impl Nginx {
    fn start(bench: &Bench, clients: &Path, fixture: &Fixture) -> Self {
        let folder = bench.folder.path();
        let (certificate, port) = (bench.authority.issue(folder, NAME), free_port());
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log; events {{}}
http {{
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  log_format serial '$ssl_client_serial';
  access_log serials.log serial;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {}; ssl_certificate_key {};
    ssl_client_certificate {}; ssl_verify_client on;
    location /mcp {{ proxy_pass {}; proxy_http_version 1.1; proxy_buffering off; }}
  }}
}}\n",
            certificate.chain.display(),
            certificate.key.display(),
            clients.display(),
            fixture.url()
        );
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "error.log"]);
        let mut process = Process::start("nginx", &mut command, &folder.join("nginx.log"));
        until("nginx should listen", || {
            assert!(process.exited().is_none(), "nginx has ended: {}", process.log());
            RawHttp::try_connect(([127, 0, 0, 1], port).into())
        });
        let url = format!("https://127.0.0.1:{port}/mcp");
        Self { url, log: folder.join("serials.log"), _process: process }
    }

    /// The certificates that it was shown.
    fn serials(&self) -> std::collections::BTreeSet<String> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.lines().filter(|serial| *serial != "-").map(str::to_owned).collect()
    }
}

#[test]
fn http_2_is_spoken_as_configured() {
    let bench = Bench::new();
    let check = |case: &str, tls: bool, server: &str, http2: &str, spoken: Option<&str>| {
        let arguments = ["--note-requests", "--http", server];
        let fixture = if tls { bench.server(&arguments).0 } else { Fixture::start_with(&arguments) };
        let trust = if tls { bench.trust("") } else { String::new() };
        let gateway = bench.gateway(&fixture, &format!("    http2: {http2}\n{trust}"));
        let response = call(&gateway);
        match spoken {
            Some(version) => {
                succeeds(case, &response);
                assert_eq!(fixture.requests().last().unwrap()["http"], version, "{case}");
            }
            None => assert_eq!(response.status, 502, "{case}: {}", response.text()),
        }
    };
    check("TLS, either, auto", true, "auto", "auto", Some("HTTP/2.0"));
    check("TLS, either, off", true, "auto", "off", Some("HTTP/1.1"));
    check("TLS, HTTP/1.1 only, auto", true, "1", "auto", Some("HTTP/1.1"));
    check("TLS, HTTP/2 only, auto", true, "2", "auto", Some("HTTP/2.0"));
    check("TLS, HTTP/2 only, on", true, "2", "on", Some("HTTP/2.0"));
    check("TLS, HTTP/2 only, off", true, "2", "off", None);
    check("cleartext, either, auto", false, "auto", "auto", Some("HTTP/1.1"));
    check("cleartext, either, on", false, "auto", "on", Some("HTTP/2.0"));
    check("cleartext, HTTP/1.1 only, on", false, "1", "on", None);
}

#[test]
fn many_calls_share_a_connection_of_http_2() {
    let bench = Bench::new();
    let (fixture, _) = bench.server(&["--http", "2"]);
    let gateway = bench.gateway(&fixture, &bench.trust(""));
    std::thread::scope(|scope| {
        for number in 0..16 {
            let gateway = &gateway;
            scope.spawn(move || {
                let text = format!("{number}").repeat(20_000);
                let request = Request::modern_call("/mcp", "echo", json!({ "text": text }));
                let response = request.send(gateway.address());
                assert_eq!(response.json()["result"]["content"][0]["text"], text, "{number}");
            });
        }
    });
}

#[test]
fn a_listeners_key_may_be_a_secret() {
    let bench = Bench::new();
    let fixture = Fixture::start();
    let certificate = bench.authority.issue(bench.folder.path(), "localhost");
    let key = std::fs::read_to_string(&certificate.key).unwrap();
    let reference = "$secret://file/keys/gateway.key";
    for private_key in [certificate.key.to_str().unwrap(), reference, "$secret://env/LISTENER_KEY"] {
        let server = format!(
            "  tls: {{ certificate: {}, private_key: {private_key} }}\n",
            certificate.chain.display()
        );
        let gateway = scenes::open_with(&fixture.url(), &server, "")
            .file("keys/gateway.key", &key)
            .env("LISTENER_KEY", &key)
            .start();
        let mut client = RawHttp::connect_tls(gateway.address(), &bench.authority, "localhost").unwrap();
        client.send(&Request::modern_call("/mcp", "echo", json!({ "text": "hi" })).bytes(gateway.address()));
        succeeds(private_key, &client.response().expect("the gateway should answer"));

        let stranger = RawHttp::connect_tls(gateway.address(), &Authority::new(), "localhost");
        assert!(stranger.is_err(), "a client that trusts another root only");
        let stream = std::net::TcpStream::connect(gateway.address()).unwrap();
        let (_, agreed) =
            bench.authority.handshake(stream, "localhost", b"\x02h2\x08http/1.1").expect("a handshake");
        assert_eq!(agreed, "h2", "clients may speak HTTP/2");
    }
}

#[test]
fn a_listeners_key_that_does_not_fit_is_refused() {
    let bench = Bench::new();
    let [certificate, other] = [(); 2].map(|()| bench.authority.issue(bench.folder.path(), "localhost"));
    let check = |case: &str, key: &str| {
        let server = format!(
            "  tls: {{ certificate: {}, private_key: $secret://file/gateway.key }}\n",
            certificate.chain.display()
        );
        let said =
            scenes::open_with("http://127.0.0.1:1/mcp", &server, "").file("gateway.key", key).start_refused();
        assert!(!said.contains("PRIVATE KEY") && !said.contains("panicked"), "{case}: {said}");
    };
    check("a key of another certificate", &std::fs::read_to_string(other.key).unwrap());
    check("no key", "not a key");
}

struct Bench {
    folder: tempfile::TempDir,
    authority: Authority,
    root: std::path::PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let root = authority.write(&folder.path().join("root.pem"));
        Self { folder, authority, root }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self, arguments: &[&str]) -> (Fixture, Certificate) {
        self.server_with(self.authority.issue(self.folder.path(), NAME), arguments)
    }

    fn server_with(&self, certificate: Certificate, arguments: &[&str]) -> (Fixture, Certificate) {
        let (chain, key) = (certificate.chain.to_str().unwrap(), certificate.key.to_str().unwrap());
        let files = ["--tls-certificate", chain, "--tls-key", key];
        (Fixture::start_with(&[&files, arguments].concat()), certificate)
    }

    /// The lines of a binding that trusts this bench's root, and more below `tls`.
    fn trust(&self, more: &str) -> String {
        trust(&self.root, NAME, more)
    }

    fn gateway(&self, fixture: &Fixture, binding: &str) -> Gateway {
        self.setup(fixture, binding).start()
    }

    fn setup(&self, fixture: &Fixture, binding: &str) -> Setup {
        let url =
            if binding.contains("tls:") { fixture.url().replace("http:", "https:") } else { fixture.url() };
        scenes::open_with(&url, "", binding)
    }
}

fn trust(root: &Path, name: &str, more: &str) -> String {
    format!("    tls:\n      ca: {}\n      server_name: {name}\n{more}", root.display())
}

fn off_by_one(digits: &str) -> String {
    let (rest, last) = digits.split_at(digits.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn call(gateway: &Gateway) -> Response {
    Request::modern_call("/mcp", "echo", json!({ "text": "hi" })).send(gateway.address())
}

fn succeeds(case: &str, response: &Response) {
    assert_eq!(response.status, 200, "{case}: {}", response.text());
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi", "{case}: {}", response.text());
}
