//! What a route is built from: its binding, and what the binding only names.

use mcpg_config::{Binding, BindingKind, Config, KeySource, Text, Transport, UpstreamTls};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::SecretRef;

use crate::revision::Origin;
use crate::upstream::ReplyLimits;

impl Origin {
    /// The origin of a binding's route. Secrets and files are looked at: a rotated one counts as a change.
    pub(super) fn of(binding: &Binding, config: &Config, secrets: &SecretResolver) -> Self {
        let limits = &config.server.limits;
        let replies = ReplyLimits {
            body_bytes_max: limits.response_bytes_max,
            event_bytes_max: limits.sse_event_bytes_max,
        };
        Self { binding: binding.clone(), replies, named: Named::new(secrets).of(binding) }
    }
}

/// A digest of what a configuration only names. What cannot be had counts as absent: building the route says why.
struct Named<'a> {
    secrets: &'a SecretResolver,
    hasher: blake3::Hasher,
}

impl<'a> Named<'a> {
    fn new(secrets: &'a SecretResolver) -> Self {
        Self { secrets, hasher: blake3::Hasher::new_derive_key("mcpg 2026 route origin") }
    }

    fn of(mut self, binding: &Binding) -> blake3::Hash {
        let BindingKind::Mcp(mcp) = &binding.kind;
        match &mcp.transport {
            Transport::Http(http) => {
                http.headers.iter().for_each(|header| self.text(&header.value));
                self.tls(http.tls.as_ref());
                if let Some(credentials) = &http.credentials {
                    self.text(&credentials.client_id);
                    self.secret(&credentials.client_secret);
                    self.tls(credentials.tls.as_ref());
                }
            }
            Transport::Stdio(stdio) => stdio.env.iter().for_each(|(_, value)| self.text(value)),
        }
        self.hasher.finalize()
    }

    fn tls(&mut self, tls: Option<&UpstreamTls>) {
        let client = tls.and_then(|tls| tls.client.as_ref());
        self.file(tls.and_then(|tls| tls.ca.as_deref()));
        self.file(client.map(|client| client.certificate.as_path()));
        match client.map(|client| &client.key) {
            Some(KeySource::File(path)) => self.file(Some(path)),
            Some(KeySource::Secret(reference)) => self.secret(reference),
            None => self.part(None),
        }
    }

    fn text(&mut self, text: &Text) {
        if let Some(secret) = text.secret() {
            self.secret(secret);
        }
    }

    fn secret(&mut self, reference: &SecretRef) {
        let secret = self.secrets.resolve(reference).ok();
        self.part(secret.as_ref().map(|secret| secret.expose()));
    }

    fn file(&mut self, path: Option<&std::path::Path>) {
        let contents = path.and_then(|path| std::fs::read(path).ok());
        self.part(contents.as_deref());
    }

    fn part(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.hasher.update(&length.to_le_bytes()).update(bytes.unwrap_or_default());
    }
}
