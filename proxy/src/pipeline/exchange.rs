//! What the pipeline is given: a request as the network has it, and when it arrived.

use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;

use super::BodyError;
use crate::connection::Connection;
use crate::revision::Revision;

/// The request as the network has it.
pub trait Exchange: Send + Sync {
    /// Its head.
    fn head(&self) -> &Parts;

    /// Who sent it.
    fn source(&self) -> IpAddr;

    /// The connection that it came on.
    fn connection(&self) -> Connection<'_> {
        Connection { peer: self.source(), tls: None }
    }

    /// Its body, whole.
    fn body(&mut self, revision: &Revision) -> impl Future<Output = Result<Bytes, BodyError>> + Send;
}

/// When a request arrived, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// For rows, expiry and policy.
    pub wall: SystemTime,
    /// For rates: nanoseconds of a monotonic clock.
    pub monotonic_ns: u64,
}
