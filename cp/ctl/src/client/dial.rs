//! The one place of this program that opens connections.
//!
//! The gateway's dialer (`filters/src/net`) judges addresses because tenants name them. Here the operator names one server, on the command
//! line or in a file of their own, and means it.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::ClientError;
use super::settings::Settings;

/// A connection to the server, by the first of its addresses that answers.
#[expect(clippy::disallowed_methods, reason = "the operator names the server, and it is dialled here only")]
pub(super) async fn dial(settings: &Settings) -> Result<TcpStream, ClientError> {
    let server = &settings.server;
    let unreachable = |reason: String| ClientError::Unreachable { server: server.to_string(), reason };
    let dialled = async {
        match server.address() {
            Some(address) => TcpStream::connect((address, server.port())).await,
            None => TcpStream::connect((server.name().as_str(), server.port())).await,
        }
    };
    let stream = match timeout(settings.connect_timeout, dialled).await {
        Err(_) => {
            return Err(unreachable(format!(
                "no connection within {} s",
                settings.connect_timeout.as_secs()
            )));
        }
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Ok(Ok(stream)) => stream,
    };
    let peer = stream.peer_addr().map_err(|error| unreachable(error.to_string()))?.ip();
    // `localhost` is a name, and names can lead anywhere.
    if !server.is_tls() && !settings.insecure_http && !peer.is_loopback() {
        return Err(ClientError::NotLoopback { server: server.to_string(), address: peer.to_string() });
    }
    stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    Ok(stream)
}
