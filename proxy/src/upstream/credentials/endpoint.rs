//! The token endpoint of an authorization server.

use std::future::Future;

use super::Fetched;
use super::form::Form;

/// Where tokens come from.
pub trait TokenEndpoint: Send + Sync + 'static {
    /// Asks for a token. The gateway's own proof of who it is is added.
    fn fetch(&self, form: Form) -> impl Future<Output = Fetched> + Send;
}
