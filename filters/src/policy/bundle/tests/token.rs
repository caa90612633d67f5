//! Registries that hand out tokens, and registries that lie: played by a small server, since the real one does neither by itself.

use std::net::SocketAddr;
use std::sync::Arc;

use mcpg_sdk::{Base, Scope, Settings};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::net::HttpClient;
use crate::secret::SecretResolver;

/// Answers by the first line and the `Authorization` of a request: status, more headers, body.
type Play = dyn Fn(SocketAddr, &str, &str) -> (u16, String, Vec<u8>) + Send + Sync;

async fn serve(play: Arc<Play>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: "));
            let line = head.lines().next().unwrap_or_default().to_owned();
            let (status, headers, body) = play(address, &line, authorization.unwrap_or_default());
            heard.lock().push(format!("{line} [{}]", authorization.unwrap_or_default()));
            let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, seen)
}

fn manifest(layer: &[u8], size: usize) -> Vec<u8> {
    let digest = ContentDigest::of(layer).to_string();
    let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    json!({"schemaVersion": 2, "layers": [{"mediaType": media_type, "digest": digest, "size": size}]})
        .to_string()
        .into_bytes()
}

async fn fetch(written: &str, registry: serde_json::Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "hunter2").unwrap();
    let settings = Settings(json!({"bundle": written, "registry": registry}));
    let secrets = SecretResolver::new(&Base::trusted(folder.path()));
    let order =
        BundleOrder::of(&settings, &Base::trusted(folder.path()), &secrets).map_err(|error| error.message)?;
    let (store, http) = (BundleStore::default(), HttpClient::default());
    let errors = store.fetch(&http, &Scope::default(), order.into_iter().collect(), None).await;
    errors.into_iter().next().map_or(Ok(()), |(_, error)| Err(error.to_string()))
}

#[tokio::test]
async fn a_token_is_asked_for_and_shown() {
    let layer = gzip(&files(&[("a.cedar", b"permit")]));
    let play = move |address: SocketAddr, line: &str, authorization: &str| {
        if line.starts_with("GET /token?service=policies&scope=repository%3Ateam%2Fpolicies%3Apull ") {
            return (200, String::new(), br#"{"token": "letmein"}"#.to_vec());
        }
        if authorization != "Bearer letmein" {
            let realm = format!(
                "www-authenticate: Bearer realm=\"http://{address}/token\",service=\"policies\",scope=\"registry:catalog:*\"\r\n"
            );
            return (401, realm, Vec::new());
        }
        let body = if line.contains("/manifests/") { manifest(&layer, layer.len()) } else { layer.clone() };
        (200, String::new(), body)
    };
    let (address, seen) = serve(Arc::new(play)).await;
    let written = format!("oci://{address}/team/policies:1.0");
    fetch(&written, json!({"plain_http": true})).await.unwrap();
    let anonymous = std::mem::take(&mut *seen.lock());
    assert!(anonymous.iter().all(|line| !line.contains("Basic")), "{anonymous:?}");
    let login = json!({"plain_http": true, "username": "gateway", "password": "$secret://file/password"});
    fetch(&written, login).await.unwrap();
    let named = seen.lock();
    let with_password: Vec<_> = named.iter().filter(|line| line.contains("Basic")).collect();
    assert!(
        !with_password.is_empty() && with_password.iter().all(|line| line.contains("/token?")),
        "{named:?}"
    );
}

#[tokio::test]
async fn a_registry_that_lies_is_not_believed() {
    let honest = gzip(&files(&[("a.cedar", b"forbid")]));
    let forged = gzip(&files(&[("a.cedar", b"permit")]));
    let (wanted, other) = (ContentDigest::of(&manifest(&honest, honest.len())), forged.clone());
    let with = |body: Vec<u8>, first: Vec<u8>| {
        move |_: SocketAddr, line: &str, _: &str| {
            (200, String::new(), if line.contains("/manifests/") { first.clone() } else { body.clone() })
        }
    };
    for (play, rest, expected) in [
        // Another manifest than the one that is pinned.
        (
            with(forged.clone(), manifest(&forged, forged.len())),
            format!("@{wanted}"),
            "the registry sent sha256:",
        ),
        // Another layer than the manifest's.
        (with(forged, manifest(&honest, honest.len())), format!("@{wanted}"), "the registry sent"),
        (with(other, manifest(&honest, honest.len())), ":1.0".to_owned(), "the registry sent"),
        // Fewer bytes than announced, and more.
        (with(b"short".to_vec(), manifest(b"short", 6)), ":1.0".to_owned(), "sent 5 bytes where 6"),
        (with(b"longer".to_vec(), manifest(b"longer", 5)), ":1.0".to_owned(), "sent 6 bytes where 5"),
        (with(Vec::new(), b"{}".to_vec()), ":1.0".to_owned(), "the manifest is none"),
    ] {
        let (address, _) = serve(Arc::new(play)).await;
        let error = fetch(&format!("oci://{address}/team/policies{rest}"), json!({"plain_http": true})).await;
        let error = error.unwrap_err();
        assert!(error.contains(expected), "expected: {expected}\nfound:    {error}");
    }
}

#[tokio::test]
async fn a_password_goes_nowhere_else() {
    let (elsewhere, heard) =
        serve(Arc::new(|_, _: &str, _: &str| (200, String::new(), b"{}".to_vec()))).await;
    let play = move |_: SocketAddr, line: &str, authorization: &str| match authorization {
        "" => (401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new()),
        _ if line.contains("/manifests/") => {
            (307, format!("location: http://{elsewhere}/stolen\r\n"), Vec::new())
        }
        _ => (404, String::new(), Vec::new()),
    };
    let (address, _) = serve(Arc::new(play)).await;
    let login = json!({
        "plain_http": true, "username": "gateway", "password": "$secret://file/password",
        "allow_addresses": "127.0.0.0/8",
    });
    let error = fetch(&format!("oci://{address}/team/policies:1.0"), login.clone()).await.unwrap_err();
    assert!(error.contains("the manifest is none"), "{error}");
    assert_eq!(heard.lock().as_slice(), ["GET /stolen HTTP/1.1 []"]);
    // Nor is an internal address asked that only the registry names.
    heard.lock().clear();
    let login = json!({"plain_http": true, "username": "gateway", "password": "$secret://file/password"});
    let error = fetch(&format!("oci://{address}/team/policies:1.0"), login).await.unwrap_err();
    assert!(error.contains("a loopback address, which is not dialled"), "{error}");
    assert!(heard.lock().is_empty());
}
