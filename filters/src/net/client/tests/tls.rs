//! TLS servers that prove who they are, and those that do not.

use boring::hash::{MessageDigest, hash};
use boring::ssl::SslVersion;
use mcpg_sdk::Secret;

use super::server::{Authority, Issued, Server, answer};
use super::*;
use crate::net::{ClientIdentity, ClientTlsSettings, Roots, TlsError};

/// What a client that trusts `root` gets from a server with this certificate, as `https://keys.test/`.
async fn ask(server: &Server, settings: ClientTlsSettings) -> Result<Response, FetchError> {
    let names = Names::of(&[("keys.test", &[&["127.0.0.1"]])]);
    let url = url(&format!("https://keys.test:{}/", server.address.port()));
    let target = Target::configured(url, &allow(&["127.0.0.1"]), ClientTls::new(settings).unwrap());
    HttpClient::new(names).fetch(&target, Request::get(), &bounds()).await
}

fn trusting(root: &Authority) -> ClientTlsSettings {
    ClientTlsSettings { roots: Roots::Pem(root.pem()), ..ClientTlsSettings::default() }
}

async fn serve(issued: &Issued) -> Server {
    Server::tls(issued.acceptor(None, None), answer("proven")).await
}

fn sha256(der: &[u8]) -> [u8; 32] {
    hash(MessageDigest::sha256(), der).unwrap().as_ref().try_into().unwrap()
}

async fn refused(server: &Server, settings: ClientTlsSettings, expected: &str) {
    let error = ask(server, settings).await.unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(error.problem.word(), "tls");
    assert!(server.heads.lock().is_empty(), "something was sent");
}

#[tokio::test]
async fn chain_name_and_time_are_verified() {
    let (root, stranger) = (Authority::new(), Authority::new());
    let good = serve(&root.issue("keys.test", -1..30)).await;
    assert_eq!(ask(&good, trusting(&root)).await.unwrap().body, "proven");
    refused(&serve(&root.issue("keys.test", -1..30)).await, trusting(&stranger), "failed: ").await;
    refused(&serve(&root.issue("keys.test", -1..30)).await, ClientTlsSettings::default(), "failed: ").await;
    refused(&serve(&root.issue("keys.test", -30..-1)).await, trusting(&root), "certificate has expired")
        .await;
    refused(&serve(&root.issue("keys.test", 1..30)).await, trusting(&root), "not yet valid").await;
    for other in ["other.test", "*.keys.test", "test", "127.0.0.1"] {
        refused(&serve(&root.issue(other, -1..30)).await, trusting(&root), "TLS with `keys.test` failed")
            .await;
    }
}

#[tokio::test]
async fn an_address_and_another_name_are_verified_too() {
    let root = Authority::new();
    let server = serve(&root.issue("127.0.0.1", -1..30)).await;
    let url = url(&format!("https://{}/", server.address));
    let target = |settings| {
        Target::configured(url.clone(), &AllowAddresses::default(), ClientTls::new(settings).unwrap())
    };
    assert_eq!(get(&target(trusting(&root)), &bounds()).await.unwrap().body, "proven");
    let named = ClientTlsSettings { server_name: Some("keys.test".to_owned()), ..trusting(&root) };
    assert_eq!(problem(get(&target(named), &bounds()).await).word(), "tls");
    let server = serve(&root.issue("inner.test", -1..30)).await;
    let named = ClientTlsSettings { server_name: Some("inner.test".to_owned()), ..trusting(&root) };
    assert_eq!(ask(&server, named).await.unwrap().body, "proven");
}

#[tokio::test]
async fn a_pin_narrows_and_never_replaces_verification() {
    let root = Authority::new();
    let issued = root.issue("keys.test", -1..30);
    let leaf = sha256(&issued.certificate.to_der().unwrap());
    let key = sha256(&issued.key.public_key_to_der().unwrap());
    for (pins, spki_pins, fits) in [
        (vec![leaf], vec![], true),
        (vec![[0; 32], leaf], vec![], true),
        (vec![], vec![key], true),
        (vec![leaf], vec![key], true),
        (vec![[0; 32]], vec![], false),
        (vec![key], vec![], false),
        (vec![], vec![leaf], false),
        (vec![leaf], vec![[0; 32]], false),
    ] {
        let server = serve(&issued).await;
        let settings = ClientTlsSettings { pins, spki_pins, ..trusting(&root) };
        if fits {
            assert_eq!(ask(&server, settings).await.unwrap().body, "proven");
        } else {
            refused(&server, settings, "matches none of the pins").await;
        }
    }
    let expired = root.issue("keys.test", -30..-1);
    let pins = vec![sha256(&expired.certificate.to_der().unwrap())];
    refused(&serve(&expired).await, ClientTlsSettings { pins, ..trusting(&root) }, "expired").await;
}

#[tokio::test]
async fn old_versions_are_not_spoken() {
    let root = Authority::new();
    let issued = root.issue("keys.test", -1..30);
    let at_most = async |version| Server::tls(issued.acceptor(None, Some(version)), answer("proven")).await;
    assert!(ask(&at_most(SslVersion::TLS1_2).await, trusting(&root)).await.is_ok());
    let only_13 = || ClientTlsSettings { tls13_only: true, ..trusting(&root) };
    refused(&at_most(SslVersion::TLS1_2).await, only_13(), "TLS with `keys.test` failed").await;
    refused(&at_most(SslVersion::TLS1_1).await, trusting(&root), "TLS with `keys.test` failed").await;
    assert!(ask(&at_most(SslVersion::TLS1_3).await, only_13()).await.is_ok());
}

#[tokio::test]
async fn the_own_certificate_is_presented_to_its_server_only() {
    let (root, clients) = (Authority::new(), Authority::new());
    let issued = root.issue("keys.test", -1..30);
    let own = clients.issue("gateway.test", -1..30);
    let asking = || Server::tls(issued.acceptor(Some(&clients), None), answer("proven"));
    let presenting = || ClientTlsSettings {
        identity: Some(ClientIdentity {
            certificate: own.certificate.to_pem().unwrap(),
            private_key: Secret::new(own.key.private_key_to_pem_pkcs8().unwrap()),
        }),
        ..trusting(&root)
    };
    assert_eq!(ask(&asking().await, presenting()).await.unwrap().body, "proven");
    assert!(ask(&asking().await, trusting(&root)).await.is_err());
    // A redirect elsewhere would take the certificate, or the pins, along.
    let elsewhere = server::moved(302, "https://127.0.0.1:1/");
    let server = Server::tls(issued.acceptor(Some(&clients), None), elsewhere).await;
    let names = Names::of(&[("keys.test", &[&["127.0.0.1"]])]);
    let url = url(&format!("https://keys.test:{}/", server.address.port()));
    let target = Target::configured(url, &allow(&["127.0.0.1"]), ClientTls::new(presenting()).unwrap());
    let bounds = Bounds { redirects_max: 1, ..bounds() };
    let refused = HttpClient::new(names).fetch(&target, Request::get(), &bounds).await.unwrap_err();
    assert!(refused.to_string().contains("another server than the one whose certificate"), "{refused}");
}

#[tokio::test]
async fn a_downgrade_is_not_followed() {
    let root = Authority::new();
    let plain = Server::plain(answer("in clear")).await;
    let moved = server::moved(302, &format!("http://{}/", plain.address));
    let server = Server::tls(root.issue("keys.test", -1..30).acceptor(None, None), moved).await;
    let names = Names::of(&[("keys.test", &[&["127.0.0.1"]])]);
    let url = url(&format!("https://keys.test:{}/", server.address.port()));
    let target = Target::configured(url, &allow(&["127.0.0.1"]), ClientTls::new(trusting(&root)).unwrap());
    let bounds = Bounds { redirects_max: 1, ..bounds() };
    let refused = HttpClient::new(names).fetch(&target, Request::get(), &bounds).await.unwrap_err();
    assert!(refused.to_string().ends_with("which is not `https`"), "{refused}");
    assert_eq!(plain.connections(), 0);
}

#[test]
fn what_is_no_certificate_or_key_is_told_apart() {
    let root = Authority::new();
    let (own, other) = (root.issue("a.test", -1..30), root.issue("b.test", -1..30));
    let pem = own.certificate.to_pem().unwrap();
    let key = |issued: &Issued| issued.key.private_key_to_pem_pkcs8().unwrap();
    let with = |certificate: &[u8], key: Vec<u8>| ClientTlsSettings {
        identity: Some(ClientIdentity { certificate: certificate.to_vec(), private_key: Secret::new(key) }),
        ..ClientTlsSettings::default()
    };
    let roots =
        |pem: &[u8]| ClientTlsSettings { roots: Roots::Pem(pem.to_vec()), ..ClientTlsSettings::default() };
    assert!(matches!(ClientTls::new(roots(b"")), Err(TlsError::Roots)));
    assert!(matches!(ClientTls::new(roots(&key(&own))), Err(TlsError::Roots)));
    assert!(matches!(ClientTls::new(with(b"x", key(&own))), Err(TlsError::Certificate)));
    assert!(matches!(ClientTls::new(with(&pem, b"x".to_vec())), Err(TlsError::Key)));
    assert!(matches!(ClientTls::new(with(&pem, key(&other))), Err(TlsError::Mismatch)));
    assert!(ClientTls::new(with(&pem, key(&own))).is_ok());
}
