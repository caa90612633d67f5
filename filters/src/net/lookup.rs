//! Looking up names.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;

use tokio::sync::Semaphore;

/// Look-ups of the system's resolver at a time. One that nobody waits for any more still holds a thread until it ends.
const LOOKUPS_MAX: usize = 64;

/// The addresses of a name, to come.
pub type Addresses<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Who is asked for the addresses of a name.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, with the port. Whether they may be dialled is not for it to say.
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> Addresses<'a>;
}

/// The system's resolver: `/etc/hosts`, then DNS, or as the system is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> Addresses<'a> {
        static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);
        Box::pin(async move {
            let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let found = tokio::task::spawn_blocking(move || {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the dialer: what is found is judged by the caller"
                )]
                let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
                drop(permit);
                found
            });
            found.await.map_err(io::Error::other)?
        })
    }
}
