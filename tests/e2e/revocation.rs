//! Artifacts that are revoked: refused at every gateway of the organization without a word of a revision, through restarts and outages.

use std::process::Command;
use std::sync::{Arc, Mutex};

use mcpg_tests::{ControlPlane, Ctl, Fixture, Gateway, RawUpstream, Setup, Signal, Step, until};
use serde_json::{Value, json};

use crate::control_plane::{ENVIRONMENT, PERMIT, WORKSPACE, echo, gateway, is, known, publish};

const LIST: &str = "/orgs/acme-corp/revocation-list";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry with one bundle, by digest and by the tag `1`.
struct Registry {
    server: RawUpstream,
    manifest: Arc<Mutex<Vec<u8>>>,
    layer: String,
}

impl Registry {
    fn with(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("all.cedar"), policy).unwrap();
        let packed = folder.path().join("bundle.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&packed).arg("-C").arg(folder.path()).arg("all.cedar");
        assert!(tar.status().unwrap().success());
        let archive = std::fs::read(&packed).unwrap();
        let layer = digest(&archive);
        let manifest = Arc::new(Mutex::new(manifest(&layer, archive.len(), "first")));
        let (path, served) = (format!("/v2/policies/blobs/{layer}"), Arc::clone(&manifest));
        let server = RawUpstream::unaided(move |seen| {
            let manifest = served.lock().unwrap().clone();
            let by_digest = format!("/v2/policies/manifests/{}", digest(&manifest));
            vec![Step::Send(match seen.line.split(' ').nth(1).unwrap_or_default() {
                target if target == path => found(&archive),
                target if target == by_digest || target == "/v2/policies/manifests/1" => found(&manifest),
                _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
            })]
        });
        Self { server, manifest, layer }
    }

    fn digest(&self) -> String {
        digest(&self.manifest.lock().unwrap())
    }

    /// The settings of an engine that reads its bundle from here.
    fn settings(&self, reference: &str) -> Value {
        json!({
            "bundle": format!("oci://{}/policies{reference}", self.server.address()),
            "registry": { "plain_http": true, "allow_addresses": ["127.0.0.0/8"], "refresh_ms": 5000 },
        })
    }
}

fn manifest(layer: &str, size: usize, note: &str) -> Vec<u8> {
    let layer = json!({ "mediaType": LAYER, "digest": layer, "size": size });
    json!({ "schemaVersion": 2, "layers": [layer], "annotations": { "note": note } }).to_string().into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    let digits: String = boring::sha::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn found(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An environment whose one policy comes from a registry.
fn configure(cp: &ControlPlane, upstream: &str, bundle: &Value) {
    crate::control_plane::configure(cp, upstream, PERMIT);
    let plugins = json!({ "plugins": [
        { "id": "identity.anonymous" }, { "id": "policy.cedar", "config": bundle } ] });
    cp.put(&format!("{WORKSPACE}/plugin-sets/main"), &plugins);
}

fn revoke(cp: &ControlPlane, digests: &[&str]) {
    let artifacts: Vec<Value> =
        digests.iter().map(|digest| json!({ "digest": digest, "reason": "lets all in" })).collect();
    cp.put(LIST, &json!({ "artifacts": artifacts }));
}

fn has_list(cp: &ControlPlane, name: &str, version: u64) {
    until(&format!("`{name}` should say that it has list {version}"), || {
        let known = known(cp, name);
        (known["terms"]["revocation_list"] == version && known["terms"] == known["wanted_terms"])
            .then_some(())
    });
}

fn a_revoked_artifact_runs_nowhere(mut cp: ControlPlane) {
    let (fixture, registry) = (Fixture::start(), Registry::with(PERMIT));
    let bundle = registry.settings(&format!("@{}", registry.digest()));
    configure(&cp, &fixture.url(), &bundle);
    publish(&cp);
    let mut gateways = [gateway(&cp, "gw-1").start(), gateway(&cp, "gw-2").start()];
    gateways.iter().for_each(|gateway| is(gateway, 200));

    // The list of another organization is nothing to this one.
    cp.post("/orgs", &json!({ "slug": "other-corp", "display_name": "Other" }));
    let foreign = json!({ "artifacts": [{ "digest": registry.digest() }] });
    cp.put("/orgs/other-corp/revocation-list", &foreign);
    revoke(&cp, &[]);
    ["gw-1", "gw-2"].iter().for_each(|name| has_list(&cp, name, 1));
    gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 200));

    // Nothing is published, and both refuse.
    revoke(&cp, &[&registry.digest()]);
    gateways.iter().for_each(|gateway| is(gateway, 403));
    ["gw-1", "gw-2"].iter().for_each(|name| has_list(&cp, name, 2));
    assert_eq!(cp.get(&format!("{ENVIRONMENT}/revisions"))["items"].as_array().unwrap().len(), 1);
    let says_why = |gateway: &Gateway| {
        let shown = gateway.admin_get("/revision").text();
        let says = format!("`{}` is on the revocation list, version 2: lets all in", registry.digest());
        assert!(shown.contains(&says), "{shown}");
        assert_eq!(gateway.metrics().sum("mcpg_policy_revoked", &[]), 1.0);
        assert_eq!(gateway.metrics().sum("mcpg_control_plane_revocation_list", &[]), 2.0);
    };
    gateways.iter().for_each(says_why);
    let listed = Ctl::of(&cp).ok(&["gateway", "list", "acme-corp/platform-team/prod"]);
    assert_eq!(listed.matches("list 2").count(), 2, "{listed}");
    let refused = cp.ask("POST", &format!("{ENVIRONMENT}/revisions"), &[], &json!({}));
    assert_eq!(refused.status, 422, "{}", refused.text());

    // Without the control plane, and after a kill: still.
    cp.kill();
    let [mut one, two] = gateways;
    one.process().signal(Signal::Kill);
    let one = one.restart();
    is(&one, 403);
    says_why(&one);
    assert_eq!(echo(&two), 403);

    let cp = cp.restart();
    gateways = [one, two];
    revoke(&cp, &[]);
    gateways.iter().for_each(|gateway| is(gateway, 200));
    ["gw-1", "gw-2"].iter().for_each(|name| has_list(&cp, name, 3));
    let rows = gateways[1].ledger().rows();
    let denied = rows.iter().find(|row| row.to_string().contains("policy_revoked"));
    assert!(denied.is_some_and(|row| row.to_string().contains(&registry.digest())), "{rows:?}");
}

#[test]
fn a_revoked_artifact_runs_nowhere_by_one_on_sqlite() {
    a_revoked_artifact_runs_nowhere(ControlPlane::on_sqlite());
}

#[test]
fn a_revoked_artifact_runs_nowhere_by_one_on_postgresql() {
    a_revoked_artifact_runs_nowhere(ControlPlane::on_postgres());
}

#[test]
fn a_tag_is_no_way_around_the_list() {
    let (fixture, registry) = (Fixture::start(), Registry::with(PERMIT));
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), &registry.settings(":1"));
    publish(&cp);
    let gateway = gateway(&cp, "gw-1").start();
    is(&gateway, 200);
    // By the archive in it, which the manifest that the tag stands for leads to.
    revoke(&cp, &[&registry.layer]);
    is(&gateway, 403);
    revoke(&cp, &[]);
    is(&gateway, 200);
    // And one that the tag comes to stand for only later.
    let size = bundle_size(&registry);
    let next = manifest(&registry.layer, size, "second");
    revoke(&cp, &[&digest(&next)]);
    has_list(&cp, "gw-1", 3);
    assert_eq!(echo(&gateway), 200);
    *registry.manifest.lock().unwrap() = next;
    is(&gateway, 403);
}

/// What the manifest says of the archive's size.
fn bundle_size(registry: &Registry) -> usize {
    let manifest: Value = serde_json::from_slice(&registry.manifest.lock().unwrap()).unwrap();
    usize::try_from(manifest["layers"][0]["size"].as_u64().unwrap()).unwrap()
}

#[test]
fn terms_that_were_tampered_with_close_the_environment() {
    let fixture = Fixture::start();
    let mut cp = ControlPlane::on_sqlite();
    crate::control_plane::configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let mut gateway = gateway(&cp, "gw-1").start();
    is(&gateway, 200);
    revoke(&cp, &[]);
    has_list(&cp, "gw-1", 1);
    cp.kill();
    gateway.process().signal(Signal::Kill);
    let terms = find(gateway.dir(), "terms.json").unwrap();
    std::fs::write(&terms, std::fs::read_to_string(&terms).unwrap().replace("community", "enterprise"))
        .unwrap();
    let gateway = gateway.restart_waiting();
    is(&gateway, 503);
    let ready = gateway.admin_get("/readyz").text();
    assert!(ready.contains("waits_for"), "{ready}");
    // Terms are received, and then the revision.
    let _cp = cp.restart();
    is(&gateway, 200);
}

fn find(dir: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(dir).ok()?.flatten().find_map(|entry| match entry.path() {
        path if path.is_dir() => find(&path, name),
        path => (entry.file_name() == name).then_some(path),
    })
}

#[test]
fn a_file_of_one_s_own_may_say_what_must_not_run() {
    let (fixture, registry) = (Fixture::start(), Registry::with(PERMIT));
    let config = |revoked: &str| {
        format!(
            "server: {{ listen: \"{{listen}}\", admin: \"{{admin}}\" }}\nplugins:\n  revocation_list:\n    version: 5\n    \
             artifacts: [{{ digest: \"{revoked}\", reason: lets all in }}]\n  load:\n    - identity.anonymous\n    - id: policy.cedar\n      \
             config: {}\nbindings: [{{ id: demo, type: mcp, url: \"{}\" }}]\n",
            registry.settings(":1"),
            fixture.url(),
        )
    };
    let other = digest(b"another");
    let gateway = Setup::new(&config(&other)).start();
    is(&gateway, 200);
    let config = std::fs::read_to_string(gateway.dir().join("mcpg.yaml")).unwrap();
    gateway.replace("mcpg.yaml", &config.replace(&other, &registry.digest()));
    is(&gateway, 403);
}
