//! Pingora without anything on it: what the ladder is measured against. The same allocator and profile as the gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use boring::ssl::SslVerifyMode;
use clap::Args;
use pingora_core::Result;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// Passes every request on.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to pass requests on to.
    #[arg(long)]
    upstream: SocketAddr,
    /// Listen with TLS: the folder with `server.pem`, `server.key` and `ca.pem`.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Demand a certificate of `ca.pem` from clients.
    #[arg(long, requires = "tls")]
    mutual: bool,
}

struct PassThrough {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 128, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let conf = Arc::clone(&server.configuration);
    let mut service = http_proxy_service(&conf, PassThrough { upstream: options.upstream });
    match &options.tls {
        Some(dir) => {
            let settings = tls(dir, options.mutual)?;
            service.add_tls_with_settings(&options.listen.to_string(), None, settings);
        }
        None => service.add_tcp(&options.listen.to_string()),
    }
    server.add_service(service);
    server.run_forever();
}

fn tls(dir: &Path, mutual: bool) -> anyhow::Result<TlsSettings> {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut settings = TlsSettings::intermediate(&file("server.pem"), &file("server.key"))?;
    if mutual {
        settings.set_ca_file(file("ca.pem"))?;
        settings.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    Ok(settings)
}
