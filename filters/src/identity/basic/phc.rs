//! Password hashes at rest: argon2id as a PHC string (RFC 9106; the PHC string format), bcrypt as modular crypt.
//!
//! What is accepted is bounded on both sides when the file is loaded: a hash that is too cheap protects nobody,
//! and one that is too dear lets a stranger spend the gateway's memory and time. argon2i, argon2d and every other
//! scheme are refused by name. No message repeats a hash.
//!
//! INVARIANT: a stored hash either parses here or is refused; what verifies it has no way to fail but `false`.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest password that bcrypt reads. It would ignore the rest.
pub(crate) const BCRYPT_PASSWORD_BYTES_MAX: usize = 72;

const ARGON2_MEMORY_KIB: std::ops::RangeInclusive<u32> = 7 * 1024..=128 * 1024;
const ARGON2_PASSES: std::ops::RangeInclusive<u32> = 1..=20;
const ARGON2_LANES: std::ops::RangeInclusive<u32> = 1..=16;
/// KiB that are filled in all passes together: OWASP's cheapest choice is 7 MiB in 5 passes.
const ARGON2_WORK_KIB: std::ops::RangeInclusive<u64> = 7 * 1024 * 5..=512 * 1024;
const ARGON2_SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
const ARGON2_DIGEST_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 10..=14;
const BCRYPT_SALT_BYTES: usize = 16;
const BCRYPT_DIGEST_BYTES: usize = 23;
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

/// How a password is hashed, and so what one try costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// argon2id, version 1.3.
    Argon2id {
        /// `m`, in KiB.
        memory_kib: u32,
        /// `t`.
        passes: u32,
        /// `p`.
        lanes: u32,
    },
    /// bcrypt; 2 to the power of `cost` rounds.
    Bcrypt {
        /// The logarithm of the rounds.
        cost: u32,
    },
}

impl Default for Scheme {
    /// What OWASP recommends first: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self::Argon2id { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A password's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash {
    scheme: Scheme,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

/// Memory that one argon2 after another fills. Freed when nothing waits.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

impl Memory {
    /// Gives it back to the system.
    pub(crate) fn free(&mut self) {
        self.0 = Vec::new();
    }
}

impl StoredHash {
    /// Hashes a password with a fresh salt.
    ///
    /// # Errors
    /// When the scheme is out of bounds, or the system gives no randomness or memory.
    pub fn new(scheme: Scheme, password: &[u8]) -> Result<Self, HashError> {
        scheme.check()?;
        let mut hash = Self::decoy(scheme).map_err(|_| HashError::Failed)?;
        hash.digest = hash.compute(password, &mut Memory::default()).ok_or(HashError::Failed)?.to_vec();
        Ok(hash)
    }

    /// A hash of no password, as dear to try as a real one.
    pub(crate) fn decoy(scheme: Scheme) -> Result<Self, getrandom::Error> {
        let digest_bytes = match scheme {
            Scheme::Argon2id { .. } => 32,
            Scheme::Bcrypt { .. } => BCRYPT_DIGEST_BYTES,
        };
        let (mut salt, mut digest) = (vec![0; 16], vec![0; digest_bytes]);
        getrandom::fill(&mut salt)?;
        getrandom::fill(&mut digest)?;
        Ok(Self { scheme, salt, digest })
    }

    /// How it was made.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What tells it from other hashes.
    pub(crate) fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Whether it is a password's. Takes the same time whether it is or not, and for passwords that are too long.
    pub(crate) fn verify(&self, password: &[u8], memory: &mut Memory) -> bool {
        let fits = match self.scheme {
            Scheme::Argon2id { .. } => true,
            Scheme::Bcrypt { .. } => password.len() <= BCRYPT_PASSWORD_BYTES_MAX,
        };
        match self.compute(password, memory) {
            Some(digest) => bool::from(digest.ct_eq(&self.digest)) && fits,
            None => false,
        }
    }

    fn compute(&self, password: &[u8], memory: &mut Memory) -> Option<Zeroizing<Vec<u8>>> {
        match self.scheme {
            Scheme::Argon2id { memory_kib, passes, lanes } => {
                let mut digest = Zeroizing::new(vec![0; self.digest.len()]);
                let params = Params::new(memory_kib, passes, lanes, Some(digest.len())).ok()?;
                let blocks = params.block_count();
                if memory.0.len() < blocks {
                    memory.0.resize(blocks, Block::new());
                }
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let memory = memory.0.get_mut(..blocks)?;
                argon2.hash_password_into_with_memory(password, &self.salt, &mut digest, memory).ok()?;
                Some(digest)
            }
            Scheme::Bcrypt { cost } => {
                // The terminating NUL counts where it fits. A password has no NUL, so no two are the same to bcrypt.
                let key: Zeroizing<Vec<u8>> = password
                    .iter()
                    .copied()
                    .chain([0])
                    .take(BCRYPT_PASSWORD_BYTES_MAX)
                    .collect::<Vec<_>>()
                    .into();
                let salt = self.salt.as_slice().try_into().ok()?;
                let digest = Zeroizing::new(bcrypt::bcrypt(cost, salt, &key));
                Some(digest.get(..BCRYPT_DIGEST_BYTES)?.to_vec().into())
            }
        }
    }
}

impl Scheme {
    fn check(self) -> Result<(), HashError> {
        match self {
            Self::Argon2id { memory_kib, passes, lanes } => {
                let work = u64::from(memory_kib) * u64::from(passes);
                // What fills the memory may not be fewer than two blocks a slice of each lane.
                if memory_kib < *ARGON2_MEMORY_KIB.start() || work < *ARGON2_WORK_KIB.start() {
                    return Err(HashError::Argon2Weak);
                }
                let bounded = ARGON2_MEMORY_KIB.contains(&memory_kib)
                    && ARGON2_PASSES.contains(&passes)
                    && ARGON2_LANES.contains(&lanes)
                    && ARGON2_WORK_KIB.contains(&work);
                if bounded { Ok(()) } else { Err(HashError::Argon2Dear) }
            }
            Self::Bcrypt { cost } if cost < *BCRYPT_COST.start() => Err(HashError::BcryptWeak { cost }),
            Self::Bcrypt { cost } if cost > *BCRYPT_COST.end() => Err(HashError::BcryptDear { cost }),
            Self::Bcrypt { .. } => Ok(()),
        }
    }
}

impl FromStr for StoredHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let (name, rest) = text
            .strip_prefix('$')
            .and_then(|rest| rest.split_once('$'))
            .ok_or_else(|| HashError::Scheme { name: scheme_name(text) })?;
        let hash = match name {
            "argon2id" => argon2id(rest)?,
            "2a" | "2b" | "2y" => bcrypt_fields(rest)?,
            _ => return Err(HashError::Scheme { name: scheme_name(text) }),
        };
        hash.scheme.check()?;
        Ok(hash)
    }
}

impl fmt::Display for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Argon2id { memory_kib, passes, lanes } => {
                let (salt, digest) =
                    (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.digest));
                write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}")
            }
            Scheme::Bcrypt { cost } => {
                let encode = |bytes: &[u8]| BCRYPT_BASE64.encode(bytes);
                write!(f, "$2b${cost:02}${}{}", encode(&self.salt), encode(&self.digest))
            }
        }
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Why a text is no hash that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Another scheme, or none.
    #[error(
        "{name} is not accepted: make an argon2id hash with `mcpg users hash`, or a bcrypt one with `htpasswd -B -C 12`"
    )]
    Scheme {
        /// What it seems to be.
        name: &'static str,
    },
    /// Not the form that its scheme has.
    #[error("the {scheme} hash is malformed: {wrong}")]
    Malformed {
        /// The scheme.
        scheme: &'static str,
        /// Which part.
        wrong: &'static str,
    },
    /// Too cheap to guess.
    #[error(
        "the argon2id parameters are too weak: at least m=7168,t=5 or m=19456,t=2; make it again with `mcpg users hash`"
    )]
    Argon2Weak,
    /// Too dear to check.
    #[error(
        "the argon2id parameters are too dear to check at every log-in: at most m=131072 (KiB), t=20, p=16 and m times t 524288"
    )]
    Argon2Dear,
    /// Too cheap to guess.
    #[error(
        "the bcrypt cost {cost} is too weak: at least 10; make it again with `htpasswd -B -C 12` or `mcpg users hash`"
    )]
    BcryptWeak {
        /// The cost.
        cost: u32,
    },
    /// Too dear to check.
    #[error("the bcrypt cost {cost} is too dear to check at every log-in: at most 14")]
    BcryptDear {
        /// The cost.
        cost: u32,
    },
    /// No randomness or no memory.
    #[error("the system gives no randomness or no memory")]
    Failed,
}

/// The name of a scheme that others write, so that the message names it and never the hash.
fn scheme_name(text: &str) -> &'static str {
    const KNOWN: &[(&str, &str)] = &[
        ("$argon2i$", "argon2i"),
        ("$argon2d$", "argon2d"),
        ("$argon2", "this argon2 variant"),
        ("$2x$", "bcrypt of the faulty revision `2x`"),
        ("$2$", "bcrypt of the old revision `2`"),
        ("$apr1$", "`apr1` (MD5)"),
        ("$1$", "`md5crypt`"),
        ("$5$", "`sha256crypt`"),
        ("$6$", "`sha512crypt`"),
        ("$7$", "scrypt"),
        ("$scrypt$", "scrypt"),
        ("$y$", "yescrypt"),
        ("$pbkdf2", "PBKDF2"),
        ("{SHA}", "unsalted SHA-1"),
        ("{SSHA", "`SSHA`"),
    ];
    KNOWN
        .iter()
        .find(|(prefix, _)| text.starts_with(prefix))
        .map_or("a text that is no password hash", |(_, name)| name)
}

/// `v=19$m=…,t=…,p=…$salt$digest`.
fn argon2id(rest: &str) -> Result<StoredHash, HashError> {
    let malformed = |wrong| HashError::Malformed { scheme: "argon2id", wrong };
    let fields: Vec<&str> = rest.split('$').collect();
    let [version, costs, salt, digest] = fields.as_slice() else {
        return Err(malformed("write `$argon2id$v=19$m=…,t=…,p=…$salt$hash`"));
    };
    if *version != "v=19" {
        return Err(malformed("its version is not `v=19`"));
    }
    let costs: Vec<&str> = costs.split(',').collect();
    let [memory, passes, lanes] = costs.as_slice() else {
        return Err(malformed("its parameters are not `m=…,t=…,p=…`"));
    };
    let number = |text: &str, key: &str| text.strip_prefix(key).and_then(decimal);
    let (Some(memory_kib), Some(passes), Some(lanes)) =
        (number(memory, "m="), number(passes, "t="), number(lanes, "p="))
    else {
        return Err(malformed("its parameters are not `m=…,t=…,p=…`"));
    };
    let bytes = |text: &str, range: std::ops::RangeInclusive<usize>| {
        STANDARD_NO_PAD.decode(text).ok().filter(|bytes| range.contains(&bytes.len()))
    };
    let salt = bytes(salt, ARGON2_SALT_BYTES).ok_or(malformed("its salt is not 8 to 64 bytes of base64"))?;
    let digest =
        bytes(digest, ARGON2_DIGEST_BYTES).ok_or(malformed("its hash is not 16 to 64 bytes of base64"))?;
    Ok(StoredHash { scheme: Scheme::Argon2id { memory_kib, passes, lanes }, salt, digest })
}

/// `cost$` and 53 digits: a salt of 22 and a digest of 31.
fn bcrypt_fields(rest: &str) -> Result<StoredHash, HashError> {
    let malformed = |wrong| HashError::Malformed { scheme: "bcrypt", wrong };
    let (cost, digits) = rest.split_once('$').ok_or(malformed("write `$2b$12$` and 53 digits"))?;
    let cost = Some(cost)
        .filter(|cost| cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|cost| cost.parse().ok())
        .ok_or(malformed("its cost is not two digits"))?;
    let wrong = || malformed("it does not end in 53 digits of bcrypt's base64");
    let (salt, digest) = digits.split_at_checked(22).ok_or_else(wrong)?;
    let bytes = |text: &str, length: usize| {
        BCRYPT_BASE64.decode(text).ok().filter(|bytes| bytes.len() == length).ok_or_else(wrong)
    };
    let salt = bytes(salt, BCRYPT_SALT_BYTES)?;
    let digest = bytes(digest, BCRYPT_DIGEST_BYTES)?;
    Ok(StoredHash { scheme: Scheme::Bcrypt { cost }, salt, digest })
}

/// A number as the PHC string format has it: no sign, no leading zero.
fn decimal(text: &str) -> Option<u32> {
    let canonical =
        !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
