//! Revisions that a gateway cannot build for the moment: it says so once, tries again by itself, and serves what it had meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcpg_tests::{ControlPlane, Fixture, RawUpstream, Seen, Step, until};
use serde_json::json;

use super::control_plane::{
    ENVIRONMENT, NO_ECHO, PERMIT, WORKSPACE, configure, echo, gateway, is, known, progress, publish,
};
use super::fleet::{applied, said};

/// One file as a tar archive (POSIX ustar).
fn archive(name: &str, contents: &str) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", contents.len()));
    put(136, "00000000000\0");
    put(148, "        0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(contents.as_bytes());
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = boring::sha::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn answer(status: &str, body: &[u8]) -> Vec<Step> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// A registry with one bundle, that answers once it is up.
fn registry(policy: &str, is_up: Arc<AtomicBool>) -> RawUpstream {
    let layer = archive("all.cedar", policy);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len()
        }],
    });
    let manifest = manifest.to_string().into_bytes();
    RawUpstream::unaided(move |seen: &Seen| match seen.line.split(' ').nth(1) {
        _ if !is_up.load(Ordering::SeqCst) => answer("503 Service Unavailable", b""),
        Some(path) if path.contains("/manifests/") => answer("200 OK", &manifest),
        Some(path) if path.contains("/blobs/") => answer("200 OK", &layer),
        _ => answer("404 Not Found", b""),
    })
}

#[test]
fn a_revision_comes_into_force_once_its_registry_answers() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let gateway = gateway(&cp, "gw-1").start();
    is(&gateway, 200);

    let is_up = Arc::new(AtomicBool::new(false));
    let registry = registry(NO_ECHO, Arc::clone(&is_up));
    let bundle = format!("oci://{}/acme/policies:1", registry.address());
    let settings = json!({ "bundle": bundle, "registry": { "plain_http": true } });
    let plugins =
        json!({ "plugins": [{ "id": "identity.anonymous" }, { "id": "policy.cedar", "config": settings }] });
    cp.put(&format!("{WORKSPACE}/plugin-sets/main"), &plugins);
    assert_eq!(publish(&cp), 2);
    until("it should be refused", || (progress(&cp, 2)["rejected"] == 1).then_some(()));
    let reason = known(&cp, "gw-1")["rejected"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("HTTP status 503") && reason.ends_with("It is tried again."), "{reason}");
    until("it should be tried again", || {
        (gateway.metrics().sum("mcpg_control_plane_retries_total", &[]) >= 1.0).then_some(())
    });
    assert_eq!(echo(&gateway), 200);
    // That it still cannot be had is no news.
    assert_eq!(said(&gateway, "\"revision refused, the one in force stays\""), 1);
    assert_eq!(said(&gateway, "\"configuration refused, the revision in force stays\""), 1);
    assert_eq!(gateway.metrics().sum("mcpg_control_plane_refused_total", &[]), 1.0);

    is_up.store(true, Ordering::SeqCst);
    is(&gateway, 403);
    until("it should have said so", || {
        (progress(&cp, 2) == json!({ "wanted": 1, "applied": 1, "rejected": 0 })).then_some(())
    });
    assert_eq!(known(&cp, "gw-1").get("rejected"), None);
    assert_eq!(cp.get(&format!("{ENVIRONMENT}/revisions"))["items"].as_array().unwrap().len(), 2);
    assert_eq!(applied(&gateway), [1, 2]);
}
