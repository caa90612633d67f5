//! The one place of this program that opens connections.
//!
//! The gateway's dialer (`filters/src/net`) judges addresses because tenants name them. Here the operator names one server, on the command
//! line or in a file of their own, and means it.

use std::io;
use std::net::{IpAddr, SocketAddr};

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

/// A connection to something else that listens on this machine: what a quickstart has started.
#[expect(clippy::disallowed_methods, reason = "an address of this machine and no other")]
pub(crate) async fn dial_here(address: SocketAddr) -> io::Result<TcpStream> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address is not of this machine"));
    }
    TcpStream::connect(address).await
}

/// The addresses of a host that the operator names, to say what a gateway may dial.
#[expect(clippy::disallowed_methods, reason = "nothing is sent there by this program")]
pub(crate) async fn addresses(host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect())
}
