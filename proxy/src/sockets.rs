//! Listening sockets that outlive a process: inherited from systemd or from the process before.
//!
//! Sockets are opened (or inherited) once, here, and Pingora is given duplicates. So a successor started by
//! an upgrade takes the very same sockets over, and no connection waits in a queue that nobody serves.
//! Source: `sd_listen_fds(3)`; the names are those of `FileDescriptorName=`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora_core::server::{Fds, ListenFds};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use socket2::{Domain, Protocol, Socket, Type};

/// Pending connections of a listener. The kernel caps it with `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;
/// Where sockets for a successor are placed: above what a process has open at its start.
const PASS_ON_BASE: i32 = 400;

/// What to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address, bound here unless an inherited socket has it already.
    Address(SocketAddr),
    /// An inherited socket, by name.
    Inherited(String),
}

/// The sockets of this process, in the order asked for.
#[derive(Debug)]
pub struct Sockets(Vec<NamedSocket>);

#[derive(Debug)]
struct NamedSocket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

impl Sockets {
    /// Takes inherited sockets over and binds what is missing.
    ///
    /// # Errors
    /// When an address cannot be bound or a named socket was not inherited.
    pub fn open(wanted: &[Listen]) -> Result<Self, SocketError> {
        let mut inherited = inherited()?;
        let sockets = wanted.iter().map(|listen| take_or_bind(listen, &mut inherited));
        sockets.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// The addresses as bound, in the order asked for (a port 0 has become a real one).
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|socket| socket.address).collect()
    }

    /// Duplicates for Pingora, keyed by the address as text.
    ///
    /// # Errors
    /// When no more files can be opened.
    pub fn for_pingora(&self) -> Result<ListenFds, SocketError> {
        let mut fds = Fds::new();
        for socket in &self.0 {
            let duplicate = socket.listener.try_clone().map_err(SocketError::Duplicate)?;
            fds.add(socket.address.to_string(), OwnedFd::from(duplicate).into_raw_fd());
        }
        Ok(Arc::new(Mutex::new(fds)))
    }

    /// Lets `command` inherit every socket. The guard must live until the command was spawned.
    ///
    /// # Errors
    /// When no more files can be opened.
    pub fn pass_on(&self, command: &mut Command) -> Result<PassedOn, SocketError> {
        let mut passed = Vec::new();
        let mut first = PASS_ON_BASE;
        // The protocol numbers descriptors without gaps: find a free run.
        'search: loop {
            passed.clear();
            for (socket, number) in self.0.iter().zip(first..) {
                let duplicate = fcntl_dupfd_cloexec(socket.listener.as_fd(), number)
                    .map_err(|error| SocketError::Duplicate(error.into()))?;
                let got = std::os::fd::AsRawFd::as_raw_fd(&duplicate);
                passed.push(duplicate);
                if got != number {
                    first = got + 1;
                    continue 'search;
                }
            }
            break;
        }
        for duplicate in &passed {
            fcntl_setfd(duplicate, FdFlags::empty()).map_err(|error| SocketError::Duplicate(error.into()))?;
        }
        let names: Vec<&str> = self.0.iter().map(|socket| socket.name.as_str()).collect();
        command
            .env("LISTEN_FDS", passed.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", first.to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env_remove("LISTEN_PID");
        Ok(PassedOn { _descriptors: passed })
    }
}

/// Keeps the descriptors of a successor open until it has been spawned.
#[derive(Debug)]
pub struct PassedOn {
    _descriptors: Vec<OwnedFd>,
}

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Binding failed.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address as configured.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No inherited socket of that name.
    #[error("no socket named `{0}` was inherited: set `FileDescriptorName={0}` in the `.socket` unit")]
    NotInherited(String),
    /// The inherited descriptors are not listening TCP sockets.
    #[error("an inherited descriptor is no listening TCP socket")]
    Inherited(#[source] io::Error),
    /// No more descriptors.
    #[error("cannot duplicate a listening socket")]
    Duplicate(#[source] io::Error),
}

fn take_or_bind(listen: &Listen, inherited: &mut Vec<NamedSocket>) -> Result<NamedSocket, SocketError> {
    let position = inherited.iter().position(|socket| match listen {
        Listen::Address(address) => socket.address == *address,
        Listen::Inherited(name) => socket.name == *name,
    });
    match (position, listen) {
        (Some(position), _) => Ok(inherited.swap_remove(position)),
        (None, Listen::Inherited(name)) => Err(SocketError::NotInherited(name.clone())),
        (None, Listen::Address(address)) => {
            bind(*address).map_err(|source| SocketError::Bind { address: *address, source })
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<NamedSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` serves IPv6 only; `0.0.0.0` is configured beside it. No surprise dual stack.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok(NamedSocket { name: address.to_string().replace(':', "_"), address, listener })
}

fn inherited() -> Result<Vec<NamedSocket>, SocketError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut from_environment = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..from_environment.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let listener = from_environment.take_tcp_listener(index).map_err(SocketError::Inherited)?;
        let Some(listener) = listener else { continue };
        listener.set_nonblocking(true).map_err(SocketError::Inherited)?;
        let address = listener.local_addr().map_err(SocketError::Inherited)?;
        sockets.push(NamedSocket { name, address, listener });
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn local() -> Listen {
        Listen::Address(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    #[test]
    fn binds_and_reports_the_real_port() {
        let sockets = Sockets::open(&[local(), local()]).unwrap();
        let addresses = sockets.addresses();
        assert!(addresses.iter().all(|address| address.port() != 0));
        assert_ne!(addresses[0], addresses[1]);
        let fds = sockets.for_pingora().unwrap();
        assert!(fds.lock().get(&addresses[0].to_string()).is_some());
    }

    #[test]
    fn says_which_address_is_taken() {
        let first = Sockets::open(&[local()]).unwrap();
        let error = Sockets::open(&[Listen::Address(first.addresses()[0])]).unwrap_err();
        assert!(error.to_string().contains(&first.addresses()[0].to_string()), "{error}");
    }

    #[test]
    fn a_name_that_was_not_inherited_is_an_error() {
        let error = Sockets::open(&[Listen::Inherited("mcpg".into())]).unwrap_err();
        assert!(error.to_string().contains("FileDescriptorName=mcpg"), "{error}");
    }

    #[test]
    fn passes_sockets_on_without_gaps() {
        let sockets = Sockets::open(&[local(), local(), local()]).unwrap();
        let mut command = Command::new("true");
        let passed = sockets.pass_on(&mut command).unwrap();
        let numbers: Vec<i32> = passed._descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
}
