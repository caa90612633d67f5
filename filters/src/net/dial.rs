//! Connections to addresses that were checked.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::FetchProblem;

/// Addresses of one name that are tried.
const TRIED_MAX: usize = 4;

/// Connects to the first address that answers, all of them within `within`. Families take turns, so that one of them being
/// down costs one attempt (a lighter form of RFC 8305).
pub(super) async fn connect(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, FetchProblem> {
    let end = Instant::now() + within;
    let tried = in_turns(addresses);
    let mut failure = None;
    for (index, address) in tried.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(tried.len() - index).unwrap_or(1);
        #[expect(clippy::disallowed_methods, reason = "the dialer: the addresses were checked")]
        let connected = timeout(share, TcpStream::connect(address)).await;
        match connected {
            Ok(Ok(stream)) => {
                // Small messages, each awaited: nothing to gain from holding them back.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(reason)) => failure = Some((*address, reason)),
            Err(_) => failure = Some((*address, io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
    let unknown = || (SocketAddr::from(([0, 0, 0, 0], 0)), io::Error::from(io::ErrorKind::AddrNotAvailable));
    let (address, reason) = failure.unwrap_or_else(unknown);
    Err(FetchProblem::Connect { address, reason })
}

/// Connects to a socket of this machine, such as that of a SPIFFE agent, within `within`. The path is the operator's to configure:
/// never one that somebody else has named.
///
/// # Errors
/// When nobody listens there, or takes too long.
pub async fn connect_unix(path: &Path, within: Duration) -> io::Result<UnixStream> {
    #[expect(clippy::disallowed_methods, reason = "the dialer: the path is configured")]
    let connected = timeout(within, UnixStream::connect(path)).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The first addresses, one of a family and one of the other in turns, in their order otherwise.
fn in_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    (first, second) = (first.into_iter().rev().collect(), second.into_iter().rev().collect());
    let mut turns = Vec::with_capacity(TRIED_MAX);
    while turns.len() < TRIED_MAX {
        let both = [first.pop(), second.pop()];
        if both.iter().all(Option::is_none) {
            break;
        }
        turns.extend(both.into_iter().flatten());
    }
    turns.truncate(TRIED_MAX);
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_of_this_machine_is_connected_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let within = Duration::from_secs(5);
        assert_eq!(connect_unix(&path, within).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let (connected, accepted) = tokio::join!(connect_unix(&path, within), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
    }

    #[test]
    fn families_take_turns() {
        let check = |addresses: &[&str], expected: &[&str]| {
            let read = |texts: &[&str]| -> Vec<SocketAddr> {
                texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect()
            };
            assert_eq!(in_turns(&read(addresses)), read(expected));
        };
        check(&[], &[]);
        check(&["1.1.1.1"], &["1.1.1.1"]);
        check(&["2600::1", "2600::2", "2600::3", "1.1.1.1"], &["2600::1", "1.1.1.1", "2600::2", "2600::3"]);
        check(&["1.1.1.1", "1.1.1.2", "2600::1"], &["1.1.1.1", "2600::1", "1.1.1.2"]);
        let many = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5"];
        check(&many, &many[..TRIED_MAX]);
    }
}
