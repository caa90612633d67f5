//! SIGUSR2: a successor takes over the sockets, and no request fails on the way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use mcpg_tests::mcp::Request;
use mcpg_tests::{Orphan, RawHttp, RawUpstream, Signal, scenes, until};
use serde_json::json;

#[test]
fn an_upgrade_under_load_fails_no_request() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let mut gateway = scenes::open(&upstream.url()).start();
    let load = Load::start(gateway.address());
    load.go_on();
    gateway.process().signal(Signal::User2);
    let successor = until("a successor should start", || successor(&gateway.process().log()));
    let successor = Orphan::adopt(successor);
    let status = gateway.process().wait();
    assert!(status.success(), "{status}");
    load.go_on();
    let failures = load.stop();
    assert!(failures.is_empty(), "{} failed: {:?}", failures.len(), failures.first());
    assert!(gateway.is_ready(), "the successor is ready");
    let output = gateway.ledger().verify();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    drop(successor);
}

/// The process id in the line that the old process logs.
fn successor(log: &str) -> Option<u32> {
    let line = log.lines().find(|line| line.contains("successor started"))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let pid = line.pointer("/fields/pid").or_else(|| line.get("pid"))?;
    pid.as_u64().and_then(|pid| u32::try_from(pid).ok())
}

/// Clients that call without a pause: some on a connection for each call, some on one that they keep.
struct Load {
    served: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (served, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let client = |keeps: bool| {
            let (served, stopped) = (Arc::clone(&served), Arc::clone(&stopped));
            std::thread::spawn(move || {
                let request = Request::modern_call("/mcp", "echo", json!({})).bytes(address);
                let mut failures = Vec::new();
                let mut kept = None;
                while !stopped.load(Ordering::SeqCst) {
                    let mut connection = kept.take().unwrap_or_else(|| RawHttp::connect(address));
                    connection.send(&request);
                    match connection.response() {
                        Some(response) if response.status == 200 && response.complete => {
                            served.fetch_add(1, Ordering::SeqCst);
                            let closing = response.header("connection").is_some_and(|value| value == "close");
                            kept = (keeps && !closing).then_some(connection);
                        }
                        failed => failures.push(format!("keeps {keeps}: {failed:?}")),
                    }
                }
                failures
            })
        };
        let clients = [false, true, false, true].map(client).into();
        Self { served, stopped, clients }
    }

    /// Waits until some more calls were served.
    fn go_on(&self) {
        let before = self.served.load(Ordering::SeqCst);
        until("calls should be served", || (self.served.load(Ordering::SeqCst) >= before + 50).then_some(()));
    }

    fn stop(self) -> Vec<String> {
        self.stopped.store(true, Ordering::SeqCst);
        self.clients.into_iter().flat_map(|client| client.join().expect("no client panics")).collect()
    }
}
