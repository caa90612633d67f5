//! Proxies that end a client's TLS, and tell the gateway of its certificate. Their configurations are those of
//! docs/IDENTITY.md.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use mcpg_tests::tls::Authority;
use mcpg_tests::{Process, RawHttp, free_port, until};

/// A proxy in front of a gateway.
pub(crate) struct Proxy {
    address: SocketAddr,
    _process: Process,
}

impl Proxy {
    /// Envoy, with `X-Forwarded-Client-Cert`.
    pub(crate) fn envoy(
        tools: &Path,
        gateway: SocketAddr,
        folder: &Path,
        front: &Authority,
        clients: &str,
    ) -> Self {
        let address = prepare(folder, front, clients);
        let config = ENVOY
            .replace("{port}", &address.port().to_string())
            .replace("{gateway_port}", &gateway.port().to_string())
            .replace("{dir}", &folder.display().to_string());
        std::fs::write(folder.join("envoy.yaml"), config).unwrap();
        let mut command = Command::new(tools.join("envoy"));
        command.args(["-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        Self::start("envoy", command.current_dir(folder), folder, address)
    }

    /// nginx, with `Client-Cert`.
    pub(crate) fn nginx(gateway: SocketAddr, folder: &Path, front: &Authority, clients: &str) -> Self {
        let address = prepare(folder, front, clients);
        // A certificate in PEM has lines of 64 characters; 40 of them are 1,920 bytes of DER.
        let lines: String = (2..=40).map(|line| format!("(?:(?<l{line}>[^\\n-]+)\\n)?")).collect();
        let joined: String = (1..=40).map(|line| format!("$l{line}")).collect();
        let config = NGINX
            .replace("{lines}", &lines)
            .replace("{joined}", &joined)
            .replace("{listen}", &address.to_string())
            .replace("{gateway}", &gateway.to_string());
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "error.log"]);
        Self::start("nginx", &mut command, folder, address)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(name: &'static str, command: &mut Command, folder: &Path, address: SocketAddr) -> Self {
        let mut process = Process::start(name, command, &folder.join("proxy.log"));
        until("the proxy should listen", || {
            assert!(process.exited().is_none(), "{name} has ended: {}", process.log());
            RawHttp::try_connect(address)
        });
        Self { address, _process: process }
    }
}

/// The files that both need.
fn prepare(folder: &Path, front: &Authority, clients: &str) -> SocketAddr {
    std::fs::create_dir_all(folder).unwrap();
    let certificate = front.issue(folder, "localhost");
    std::fs::rename(certificate.chain, folder.join("front.pem")).unwrap();
    std::fs::rename(certificate.key, folder.join("front.key")).unwrap();
    std::fs::write(folder.join("clients.pem"), clients).unwrap();
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

const NGINX: &str = r#"
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  map $ssl_client_raw_cert $client_cert {
    default "";
    "~^-----BEGIN CERTIFICATE-----\n(?<l1>[^\n-]+)\n{lines}-----END CERTIFICATE-----\n?$" ":{joined}:";
  }
  server {
    listen {listen} ssl;
    ssl_certificate front.pem;
    ssl_certificate_key front.key;
    ssl_client_certificate clients.pem;
    ssl_verify_client optional;
    location / {
      proxy_pass http://{gateway};
      proxy_http_version 1.1;
      proxy_set_header Client-Cert $client_cert;
      proxy_set_header Client-Cert-Chain "";
      proxy_set_header X-Forwarded-Client-Cert "";
    }
  }
}
"#;

const ENVOY: &str = r#"
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: {port} } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: false
          common_tls_context:
            tls_certificates:
            - certificate_chain: { filename: "{dir}/front.pem" }
              private_key: { filename: "{dir}/front.key" }
            validation_context: { trusted_ca: { filename: "{dir}/clients.pem" } }
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: { cert: true, chain: true, subject: true, uri: true, dns: true }
          http_filters:
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: / }, route: { cluster: gateway, timeout: 0s } }]
  clusters:
  - name: gateway
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: gateway
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {gateway_port} } } }
"#;
