//! `identity.basic`: callers by name and password (RFC 7617).
//!
//! Passwords are stored as argon2id or bcrypt hashes (`users_file`, `users`) and verified on the process's
//! [`HashPool`], never on a thread that serves. A credential that has been verified is remembered for
//! `cache_ttl_ms` by a keyed BLAKE3 hash at its user, so the usual request costs one hash of a short text and no
//! wait. What fails is not remembered; tries are limited for each user and address, in number and in parallel.
//!
//! INVARIANT: nothing tells a name that exists from one that does not. A name that does not is verified against a
//! decoy whose parameters are those of some user, the same for that name every time, and it is limited alike.
//! INVARIANT: a hit allocates nothing and never waits; callers are built at load and shared.

mod header;
mod issue;
mod phc;
mod pool;
mod settings;
mod throttle;
mod verifier;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use mcpg_sdk::{Caller, Secret};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use issue::{IssueError, NewUser, PASSWORD_BYTES_MAX};
pub use phc::{HashError, Scheme, StoredHash};
pub use pool::HashPool;
pub use settings::{BasicSettings, UserLine, UserRecord};

use super::{Credentials, Outcome, Presented};
use header::{Buffer, UserPass};
use verifier::{Attempt, NoVerdict, Proof, Verifier};

/// The built-in's id.
pub const ID: &str = "identity.basic";

/// The users of one scope.
#[derive(Debug)]
pub struct Basic {
    realm: Box<str>,
    users: HashMap<Box<str>, User>,
    decoys: Decoys,
    cache_ttl: Duration,
    key: Key,
    verifier: Arc<Verifier>,
}

#[derive(Debug)]
struct User {
    hash: Arc<StoredHash>,
    caller: Arc<Caller>,
    /// The name, for audit rows.
    id: Arc<str>,
    verified: ArcSwapOption<Verified>,
}

/// That a credential holds, and since when that is known.
#[derive(Debug)]
struct Verified {
    proof: Proof,
    at: SystemTime,
}

/// Random, of this revision in this process: what is hashed with it tells nobody anything.
struct Key(Zeroizing<[u8; 32]>);

/// What names of nobody are verified against: one entry for each user, so that costs are as frequent here as there.
#[derive(Debug)]
struct Decoys {
    key: Key,
    hashes: Vec<Arc<StoredHash>>,
}

/// What can be said without a hash of the password.
enum Look<'a> {
    Known(Outcome),
    Verify { user: Option<&'a User>, attempt: Attempt },
}

impl Basic {
    /// Finds the caller of a request's name and password.
    ///
    /// Codes: `repeated`, `ambiguous` (two credentials), `malformed`, `mismatch` (no such user, or another password);
    /// unavailable: `throttled` (too many tries at this user from this address), `busy`.
    pub async fn resolve(&self, credentials: &Credentials<'_>, now: SystemTime) -> Outcome {
        let (user, attempt) = match self.look(credentials, now) {
            Look::Known(outcome) => return outcome,
            Look::Verify { user, attempt } => (user, attempt),
        };
        let proof = attempt.proof;
        match (self.verifier.verify(attempt, now).await, user) {
            (Ok(true), Some(user)) => {
                user.verified.store(Some(Arc::new(Verified { proof, at: now })));
                user.resolved()
            }
            // No password is a decoy's; if it were, there would still be nobody.
            (Ok(_), _) => Outcome::Invalid("mismatch"),
            (Err(NoVerdict::Throttled), _) => Outcome::Unavailable("throttled"),
            (Err(NoVerdict::Busy), _) => Outcome::Unavailable("busy"),
        }
    }

    /// What clients are shown (RFC 7617 section 2): `Basic realm="…", charset="UTF-8"`. It needs no quoting.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn look(&self, credentials: &Credentials<'_>, now: SystemTime) -> Look<'_> {
        let mut buffer = Buffer::default();
        let user_pass = match presented(credentials, &mut buffer) {
            Ok(Some(user_pass)) => user_pass,
            Ok(None) => return Look::Known(Outcome::Absent),
            Err(code) => return Look::Known(Outcome::Invalid(code)),
        };
        let proof = self.key.hash(&[user_pass.whole.as_bytes()]);
        let user = self.users.get(user_pass.name);
        if let Some(user) = user.filter(|user| user.knows(&proof, now, self.cache_ttl)) {
            return Look::Known(user.resolved());
        }
        let hash = user.map(|user| Arc::clone(&user.hash)).or_else(|| self.decoys.of(user_pass.name));
        // Settings without a user are refused, so there is always a hash.
        let Some(hash) = hash else { return Look::Known(Outcome::Invalid("mismatch")) };
        let password = Secret::new(user_pass.password.as_bytes().to_vec());
        let pair = self.pair(user_pass.name, credentials.peer);
        Look::Verify { user, attempt: Attempt { proof, hash, password, pair } }
    }

    /// Names who tries whose password.
    fn pair(&self, name: &str, peer: Option<IpAddr>) -> u64 {
        let address = match peer {
            None => 0_u128,
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
            // Whoever has one address of a /64 has all of them.
            Some(IpAddr::V6(address)) => address.to_bits() & !u128::from(u64::MAX),
        };
        let [a, b, c, d, e, f, g, h, ..] = self.key.hash(&[&address.to_le_bytes(), name.as_bytes()]);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl User {
    fn knows(&self, proof: &Proof, now: SystemTime, ttl: Duration) -> bool {
        let verified = self.verified.load();
        let Some(verified) = verified.as_ref() else { return false };
        // A clock that was set back makes no credential last longer.
        let fresh = now.duration_since(verified.at).is_ok_and(|age| age < ttl);
        fresh && bool::from(verified.proof.ct_eq(proof))
    }

    fn resolved(&self) -> Outcome {
        Outcome::Resolved { caller: Arc::clone(&self.caller), credential: Some(Arc::clone(&self.id)) }
    }
}

impl Key {
    fn random() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        match parts {
            [whole] => *blake3::keyed_hash(&self.0, whole).as_bytes(),
            parts => {
                let mut hasher = blake3::Hasher::new_keyed(&self.0);
                parts.iter().for_each(|part| {
                    hasher.update(part);
                });
                *hasher.finalize().as_bytes()
            }
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Decoys {
    fn of(&self, name: &str) -> Option<Arc<StoredHash>> {
        let [a, b, c, d, e, f, g, h, ..] = self.key.hash(&[name.as_bytes()]);
        let place = u64::from_le_bytes([a, b, c, d, e, f, g, h]).checked_rem(self.hashes.len() as u64)?;
        self.hashes.get(usize::try_from(place).ok()?).cloned()
    }
}

/// The name and password that the headers agree on, if they are for this provider.
fn presented<'b>(
    credentials: &Credentials<'_>,
    buffer: &'b mut Buffer,
) -> Result<Option<UserPass<'b>>, &'static str> {
    let value = match credentials.authorization {
        Presented::Nothing => return Ok(None),
        Presented::Repeated => return Err("repeated"),
        Presented::Once(value) => value,
    };
    match (header::parse(value, buffer), credentials.api_key) {
        (None, _) => Ok(None),
        (Some(_), Presented::Once(_) | Presented::Repeated) => Err("ambiguous"),
        (Some(parsed), Presented::Nothing) => parsed.map(Some).map_err(|header::Malformed| "malformed"),
    }
}

#[cfg(test)]
mod tests;
