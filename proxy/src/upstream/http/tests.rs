//! Where bindings are dialled, and where not.

use std::path::Path;
use std::time::SystemTime;

use mcpg_config::Config;
use mcpg_filters::net::AllowAddresses;

use super::*;
use crate::metrics::Metrics;
use crate::peer::{Http2, PeerSettings};
use crate::revision::Builder;

const WITHIN: Duration = Duration::from_secs(10);

fn allow(blocks: &[&str]) -> AllowAddresses {
    serde_json::from_value(serde_json::json!(blocks)).unwrap()
}

/// An endpoint at a host that the system's resolver takes for an address, but whose text is none: a name, for our purposes.
fn endpoint(host: &str, allowed: &[&str]) -> HttpUpstream {
    let timeouts =
        PeerTimeouts { connect: WITHIN, total_connect: WITHIN, read: WITHIN, write: WITHIN, idle: WITHIN };
    let settings = PeerSettings { scope: "a/b/c".to_owned(), tls: None, http2: Http2::Off, timeouts };
    HttpUpstream::new(HttpParts {
        connectors: Arc::default(),
        peer: PeerTemplate::new(&settings).unwrap(),
        place: HostAndPort {
            host: host.to_owned(),
            port: 1,
            policy: AddressPolicy::configured(host, &allow(allowed)),
        },
        authority: HeaderValue::from_static("a"),
        path_and_query: http::uri::PathAndQuery::from_static("/"),
        headers: Vec::new(),
        credentials: None,
        timeouts,
        idle_max: 1,
    })
}

fn addresses(endpoint: &HttpUpstream) -> Vec<String> {
    endpoint.targets.load().iter().map(|target| target.address().to_string()).collect()
}

#[tokio::test]
async fn a_name_is_dialled_at_addresses_that_are_allowed() {
    for (host, allowed, expected) in [
        ("127.1", &[][..], &[][..]),
        ("127.1", &["10.0.0.0/8"], &[]),
        ("127.1", &["127.0.0.0/8"], &["127.0.0.1:1"]),
        ("0xa9fea9fe", &["169.254.0.0/16"], &[]),
        ("127.0.0.1", &[], &["127.0.0.1:1"]),
        ("[::1]", &[], &["[::1]:1"]),
    ] {
        let endpoint = endpoint(host, allowed);
        endpoint.look_up("files", WITHIN).await;
        assert_eq!(addresses(&endpoint), expected, "{host} {allowed:?}");
        assert_eq!(endpoint.place.is_name(), !host.starts_with("127.0") && !host.starts_with('['), "{host}");
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_from_now_on_loses_its_addresses() {
    let endpoint = endpoint("127.1", &[]);
    endpoint.set_addresses(&["192.0.2.1:1".parse().unwrap()]);
    endpoint.look_up("files", WITHIN).await;
    assert_eq!(addresses(&endpoint), [""; 0]);
    assert!(endpoint.next_target().is_none());
}

#[tokio::test]
async fn a_name_that_is_not_found_keeps_them() {
    let endpoint = endpoint("no name at all", &[]);
    endpoint.set_addresses(&["192.0.2.1:1".parse().unwrap()]);
    endpoint.look_up("files", WITHIN).await;
    assert_eq!(addresses(&endpoint), ["192.0.2.1:1"]);
}

async fn built(binding: &str) -> Result<(), String> {
    let yaml = format!("bindings:\n  - {{ id: files, type: mcp, {binding} }}\n");
    let config = Config::from_yaml(yaml.as_bytes(), "gateway.yaml", Path::new("/")).unwrap();
    let builder = Builder::new(Metrics::new().unwrap());
    let built = builder.build(&config, [0; 32], 1, None, SystemTime::now()).await;
    built.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_written_address_is_dialled_unless_it_is_a_metadata_service() {
    assert_eq!(built("url: 'http://10.0.0.1/'").await, Ok(()));
    let refused = built("url: 'http://169.254.169.254/'").await.unwrap_err();
    for part in ["files", "169.254.169.254, a metadata address", "allow_addresses: [169.254.169.254/32]"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(built("url: 'http://169.254.169.254/', allow_addresses: 169.254.0.0/16").await.is_err());
    assert_eq!(built("url: 'http://169.254.169.254/', allow_addresses: 169.254.169.254").await, Ok(()));
}
