//! From a binding to its route.

mod credentials;
mod origin;
mod stdio;

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use mcpg_config::{Binding, BindingKind, Config, Endpoint, HttpTransport, Text, TlsVersion, UpstreamTls};
use mcpg_filters::net::{AddressPolicy, AllowAddresses};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::{Cidr, Scope, Secret};
use pingora_core::tls::x509::X509;
use pingora_core::utils::tls::CertKey;

use crate::federation::Catalogues;
use crate::metrics::Metrics;
use crate::peer::{Http2, PeerSettings, PeerTemplate, PeerTimeouts, PeerTls};
use crate::revision::{Origin, Route, Routes, Transport};
use crate::streams::Feeds;
use crate::tls::Pair;
use crate::upstream::credentials::Credentials;
use crate::upstream::stdio::Processes;
use crate::upstream::{Connectors, Eras, Gate, HostAndPort, HttpParts, HttpUpstream, Leases};

/// How long a revision waits for a name. One that does not resolve is tried again in the background.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(2);

/// What routes are built with.
pub(super) struct Ground<'a> {
    /// The scope that they belong to.
    pub(super) scope: &'a Scope,
    /// Where secrets come from.
    pub(super) secrets: &'a SecretResolver,
    /// Where they count.
    pub(super) metrics: &'a Arc<Metrics>,
    /// What their connections are made with.
    pub(super) connectors: &'a Arc<Connectors>,
    /// Where their processes run.
    pub(super) processes: &'a Arc<Processes>,
    /// The routes so far: those of unchanged bindings are kept.
    pub(super) previous: Option<&'a Routes>,
}

/// The routes of every binding, or what is wrong with them.
pub(super) async fn routes(config: &Config, ground: &Ground<'_>) -> Result<Vec<Arc<Route>>, Vec<String>> {
    let mut routes = Vec::new();
    let mut problems = Vec::new();
    for binding in &config.bindings {
        let origin = Origin::of(binding, config, ground.secrets);
        let kept = ground.previous.and_then(|routes| routes.iter().find(|route| route.origin == origin));
        if let Some(kept) = kept {
            routes.push(Arc::clone(kept));
            continue;
        }
        match route(binding, origin, ground).await {
            Ok(route) => routes.push(Arc::new(route)),
            Err(problem) => {
                problems.push(format!("{}: binding `{}`: {problem}", config.file_name(), binding.id))
            }
        }
    }
    if problems.is_empty() { Ok(routes) } else { Err(problems) }
}

async fn route(binding: &Binding, origin: Origin, ground: &Ground<'_>) -> Result<Route, String> {
    let BindingKind::Mcp(mcp) = &binding.kind;
    let transport = match &mcp.transport {
        mcpg_config::Transport::Http(http) => {
            let credentials = credentials::build(&binding.id, http, ground).await?;
            Transport::Http(resolved(&binding.id, parts(http, credentials, ground)?).await?)
        }
        mcpg_config::Transport::Stdio(process) => {
            Transport::Stdio(stdio::upstream(&binding.id, process, mcp, origin.replies, ground)?)
        }
    };
    Ok(Route {
        id: binding.id.clone(),
        metrics: ground.metrics.binding(&binding.id),
        transport,
        gate: Gate::new(mcp.calls, ground.metrics.upstream(&binding.id)),
        replies: origin.replies,
        eras: Eras::new(mcp.protocol.revision().and_then(|text| text.parse().ok())),
        catalogues: Catalogues::new(&binding.id, Arc::clone(ground.metrics)),
        feeds: Feeds::default(),
        leases: Leases::default(),
        scope: ground.scope.clone(),
        judged: parking_lot::Mutex::default(),
        origin,
    })
}

/// An endpoint at the addresses that it has now. One whose name leads where it may not is there, without addresses: what a name
/// leads to is not for the configuration to say, and must not keep the other bindings from starting.
async fn resolved(id: &str, parts: HttpParts) -> Result<HttpUpstream, String> {
    parts.place.check_written().map_err(|error| error.to_string())?;
    let http = HttpUpstream::new(parts);
    http.look_up(id, RESOLVE_TIME_MAX).await;
    Ok(http)
}

fn parts(
    binding: &HttpTransport,
    credentials: Option<Credentials>,
    ground: &Ground<'_>,
) -> Result<HttpParts, String> {
    let http2 = match binding.http2 {
        mcpg_config::Http2::Auto => Http2::Auto,
        mcpg_config::Http2::On => Http2::Only,
        mcpg_config::Http2::Off => Http2::Off,
    };
    let allowed = &binding.allow_addresses;
    let reached = Reached { url: &binding.url, key: "url", allowed, tls: binding.tls.as_ref(), http2 };
    let parts = reached.parts(binding, ground)?;
    Ok(HttpParts { headers: headers(binding, ground.secrets)?, credentials, ..parts })
}

/// An HTTP endpoint and how it is reached.
struct Reached<'a> {
    url: &'a Endpoint,
    /// Where the URL is in the binding.
    key: &'static str,
    /// Where its name may lead although that is not public.
    allowed: &'a [Cidr],
    tls: Option<&'a UpstreamTls>,
    http2: Http2,
}

impl Reached<'_> {
    /// What it is made of; timeouts are the binding's.
    fn parts(&self, binding: &HttpTransport, ground: &Ground<'_>) -> Result<HttpParts, String> {
        let settings = PeerSettings {
            scope: ground.scope.to_string(),
            tls: self.tls.map(|settings| tls(settings, ground.secrets)).transpose()?,
            http2: self.http2,
            timeouts: PeerTimeouts {
                connect: binding.timeouts.connect,
                total_connect: binding.timeouts.connect + binding.timeouts.tls_handshake,
                read: binding.timeouts.read,
                write: binding.timeouts.write,
                idle: binding.timeouts.idle,
            },
        };
        Ok(HttpParts {
            connectors: Arc::clone(ground.connectors),
            peer: PeerTemplate::new(&settings).map_err(|error| error.to_string())?,
            place: self.place(),
            authority: header_value("the URL's authority", self.url.authority().as_bytes())?,
            path_and_query: PathAndQuery::try_from(self.url.path_and_query.as_str())
                .map_err(|_| format!("`{}` has a malformed path", self.key))?,
            headers: Vec::new(),
            credentials: None,
            timeouts: settings.timeouts,
            idle_max: binding.pool.size,
        })
    }

    fn place(&self) -> HostAndPort {
        let host = self.url.host.to_string();
        let policy = AddressPolicy::configured(&host, &AllowAddresses::from(self.allowed));
        HostAndPort { host, port: self.url.port, policy }
    }
}

fn tls(tls: &UpstreamTls, secrets: &SecretResolver) -> Result<PeerTls, String> {
    let roots = tls.ca.as_ref().map(|path| {
        let pem =
            std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        match X509::stack_from_pem(&pem) {
            Ok(roots) if !roots.is_empty() => Ok(roots),
            _ => Err(format!("`{}` holds no PEM certificate", path.display())),
        }
    });
    let client = tls.client.as_ref().map(|client| {
        let pair = Pair::load(&client.certificate, &client.key, secrets).map_err(|error| error.describe())?;
        // INVARIANT: a pair has at least its leaf.
        Ok::<_, String>(Arc::new(CertKey::new(pair.chain().to_vec(), pair.key().clone())))
    });
    Ok(PeerTls {
        server_name: tls.server_name.clone(),
        roots: roots.transpose()?,
        pins: tls.pins.clone(),
        spki_pins: tls.spki_pins.clone(),
        client: client.transpose()?,
        tls13_only: tls.min_version == TlsVersion::Tls13,
    })
}

fn headers(
    binding: &HttpTransport,
    secrets: &SecretResolver,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = Vec::with_capacity(binding.headers.len());
    for header in &binding.headers {
        let name = HeaderName::try_from(header.name.as_str())
            .map_err(|_| format!("`{}` is no header name", header.name))?;
        let mut value = header_value(&header.name, text(&header.value, secrets)?.expose())?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

/// A text, with the secret in it.
fn text(text: &Text, secrets: &SecretResolver) -> Result<Secret, String> {
    match text {
        Text::Plain(text) => Ok(Secret::new(text.clone().into_bytes())),
        Text::Secret { prefix, secret } => {
            let secret = secrets.resolve(secret).map_err(|error| error.to_string())?;
            Ok(Secret::new([prefix.as_bytes(), secret.expose()].concat()))
        }
    }
}

/// The value is not repeated in the message: it may be a secret.
fn header_value(name: &str, bytes: &[u8]) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(bytes)
        .map_err(|_| format!("{name} has a character that no header value can have"))
}
