//! What a plugin may ask of its host, by the names of the manifest.

use std::fmt;
use std::str::FromStr;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A host capability. A plugin that declares one loads only where the operator granted it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Capability { $($(#[$doc])* $variant,)+ }

        impl Capability {
            /// Every capability, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in manifests and grants.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

capabilities! {
    /// Make HTTP calls, through the host's dialer.
    OutboundHttp = "cap.host.outbound_http",
    /// Open TCP and UDP sockets.
    OutboundNetwork = "cap.host.outbound_network",
    /// Terminate TLS (binding plugins).
    TlsAccept = "cap.host.tls_accept",
    /// Read under the preopened paths.
    FilesystemRead = "cap.host.filesystem_read",
    /// Write under the preopened paths.
    FilesystemWrite = "cap.host.filesystem_write",
    /// Read the named environment variables.
    Environment = "cap.host.environment",
    /// Emit metrics.
    MetricsEmit = "cap.host.metrics_emit",
    /// Write structured log records.
    StructuredLogging = "cap.host.structured_logging",
    /// Read from the secret resolver.
    SecretStore = "cap.host.secret_store",
    /// Register HTTP routes on the gateway's listener.
    HttpRouteOverride = "cap.host.http_route_override",
    /// Receive client certificates from the listener.
    ClientCertAcceptor = "cap.host.client_cert_acceptor",
    /// Open UNIX sockets.
    UnixSocketClient = "cap.host.unix_socket_client",
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|capability| capability.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a host capability"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(*capability));
        }
        assert!("cap.host.everything".parse::<Capability>().is_err());
    }
}
