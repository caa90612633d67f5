//! `sessions:` and `state:`: session tokens, and what the gateway keeps on disk besides the ledger.

use std::path::PathBuf;
use std::time::Duration;

use mcpg_sdk::SecretRef;

pub(crate) mod read;

/// Sessions of clients that speak a revision before 2026-07-28.
#[derive(Debug, Clone, PartialEq)]
pub struct Sessions {
    /// The keys that tokens are sealed with: the first seals, all open. Each is 32 bytes, as 64 hexadecimal digits or
    /// base64. Empty: one that is made at the first start, in [`State::dir`].
    pub keys: Vec<SecretRef>,
    /// How long a session lasts.
    pub ttl: Duration,
    /// Sessions of which this gateway keeps what is not in the token. At least 1.
    pub local_max: usize,
    /// How long a call waits for what its upstream asked of the client.
    pub input_timeout: Duration,
}

/// What the gateway keeps on disk besides the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The folder, of this scope alone if it is one of `tenancy.scopes`.
    pub dir: PathBuf,
    /// The folder of the whole gateway: where the key is that others are derived from.
    pub shared_dir: PathBuf,
}
