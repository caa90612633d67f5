//! What the gateway takes for one request, another server behind it takes for one request too (request smuggling).
//!
//! The next hop is a real nginx, which logs a line for each request that it reads. For every row of the corpus the lines
//! must be as many as the answers of nginx that the client got: a request more would have been smuggled.

use std::fs;
use std::path::Path;
use std::process::Command;

use mcpg_tests::{Gateway, Process, RawHttp, free_port, scenes, until};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[test]
fn nginx_sees_as_many_requests_as_were_answered() {
    let Some(nginx) = Nginx::start() else { return };
    // It speaks no MCP, so the gateway is told what to take it for.
    let upstream = format!("http://127.0.0.1:{}/mcp", nginx.port);
    let gateway = scenes::open_with(&upstream, "", "    protocol: 2025-03-26\n").start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let in_body = r#"{"jsonrpc":"2.0","id":"\r\n\r\nGET /smuggled HTTP/1.1\r\n","method":"ping"}"#;
    let check = |case: &str, request: String, answers: usize| nginx.check(&gateway, case, &request, answers);

    check("a length", post("", BODY), 1);
    check("a length with zeros before it", head(&format!("Content-Length: 000{}\r\n", BODY.len())) + BODY, 1);
    check("a request in the body", post("", in_body), 1);
    check("chunks", chunked("", &[BODY], ""), 1);
    check("many chunks", chunked("", &[&BODY[..7], &BODY[7..20], &BODY[20..]], ""), 1);
    check("a chunk extension", chunked(";a=b", &[BODY], ""), 1);
    check("a trailer", chunked("", &[BODY], "X-Smuggled: GET /smuggled HTTP/1.1\r\n"), 1);
    check("a trailer with a length", chunked("", &[BODY], "Content-Length: 999\r\n"), 1);
    check("a whole URL", post("", BODY).replacen("POST /mcp", "POST http://{authority}/mcp", 1), 1);
    check("a request behind a length", post("", BODY) + smuggled, 1);
    check("a request behind chunks", chunked("", &[BODY], "") + smuggled, 1);
    check("a header that ends a head elsewhere", post("X-A: b%0d%0a%0d%0aGET /smuggled\r\n", BODY), 1);
    check(
        "length and chunks",
        chunked("", &[BODY], "").replacen("Transfer", "Content-Length: 3\r\nTransfer", 1),
        0,
    );
    check("another coding", chunked("", &[BODY], "").replacen(": chunked", ": xchunked", 1) + smuggled, 0);
    check("two lengths", post("Content-Length: 3\r\n", BODY) + smuggled, 0);
    check("a length on a folded line", head(&format!("Content-Length:\r\n {}\r\n", BODY.len())) + BODY, 0);
    check(
        "a chunk size that overflows",
        head("Transfer-Encoding: chunked\r\n") + "10000000000000027\r\n" + BODY,
        0,
    );
    check(
        "a chunk size with a sign",
        head("Transfer-Encoding: chunked\r\n") + "+28\r\n" + BODY + "\r\n0\r\n\r\n",
        0,
    );
}

/// A POST with a length.
fn post(headers: &str, body: &str) -> String {
    head(&format!("{headers}Content-Length: {}\r\n", body.len())) + body
}

/// A POST in chunks, with an extension on each and trailers behind the last.
fn chunked(extension: &str, chunks: &[&str], trailers: &str) -> String {
    let mut request = head("Transfer-Encoding: chunked\r\n");
    for chunk in chunks {
        request += &format!("{:X}{extension}\r\n{chunk}\r\n", chunk.len());
    }
    request + &format!("0\r\n{trailers}\r\n")
}

fn head(headers: &str) -> String {
    "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        .to_owned()
        + headers
        + "\r\n"
}

struct Nginx {
    folder: tempfile::TempDir,
    port: u16,
    _process: Process,
}

impl Nginx {
    /// None, aloud, where there is no nginx.
    fn start() -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            eprintln!("SKIPPED next_hop: nginx is not installed");
            assert!(std::env::var_os("MCPG_TESTS_REQUIRE_ALL").is_none(), "nginx is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        fs::write(folder.path().join("nginx.conf"), configuration(folder.path(), port)).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg("nginx.conf").arg("-e").arg("stderr");
        let process = Process::start("nginx", &mut command, &folder.path().join("stderr.log"));
        until("nginx should listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { folder, port, _process: process })
    }

    fn check(&self, gateway: &Gateway, case: &str, request: &str, answers: usize) {
        let before = self.requests();
        let mut connection = RawHttp::connect(gateway.address());
        connection.send(request.replace("{authority}", &gateway.address().to_string()).as_bytes());
        let mut answered = 0;
        // A refused request is answered by the gateway; a request behind it may be dropped with the connection.
        while let Some(response) = connection.response() {
            answered += usize::from(response.text().contains("from nginx"));
            if answered >= answers {
                break;
            }
        }
        assert_eq!(answered, answers, "{case}: answers");
        drop(connection);
        // One more request, so that whatever was smuggled on the same upstream connection has been read by then.
        let probe =
            post("Connection: close\r\n", BODY).replace("{authority}", &gateway.address().to_string());
        let mut connection = RawHttp::connect(gateway.address());
        connection.send(probe.as_bytes());
        assert!(connection.response().is_some_and(|response| response.status == 200), "{case}: probe");
        until(case, || (self.requests().len() > before.len() + answers).then_some(()));
        let seen = self.requests().split_off(before.len());
        assert_eq!(seen.len(), answers + 1, "{case}: {seen:?}");
        assert!(seen.iter().all(|line| line == "POST /mcp HTTP/1.1"), "{case}: {seen:?}");
    }

    /// The request lines that nginx has read.
    fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        log.lines().map(ToOwned::to_owned).collect()
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid;
events {{}}
http {{
    log_format line '$request';
    access_log {folder}/access.log line;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            default_type application/json;
            return 200 '{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"text\":\"from nginx\"}}}}';
        }}
    }}
}}
"
    )
}
