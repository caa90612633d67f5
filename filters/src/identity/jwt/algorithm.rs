//! Signature algorithms, and sets of them.
//!
//! INVARIANT: there is no way to name `none` or an algorithm with a shared secret (`HS*`): what cannot be named cannot
//! be allowed by mistake, and a public key is never taken for a secret.
//!
//! Source: RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 (`Ed25519`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A signature algorithm with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519, which JOSE calls `EdDSA` or `Ed25519`.
    Ed25519,
}

impl Algorithm {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ed25519,
    ];

    /// The name in `alg`. Ed25519 has a second one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ed25519 => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "Ed25519" => Ok(Self::Ed25519),
            _ => Self::ALL
                .into_iter()
                .find(|one| one.as_str() == name)
                .ok_or_else(|| UnknownAlgorithm(name.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Algorithm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Algorithm".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).chain(["Ed25519"]).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}

/// A name that is none of theirs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no signature algorithm that is verified here: use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA"
)]
pub struct UnknownAlgorithm(String);

/// A set of algorithms: what a caller of the verification allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Algorithms(u16);

impl Algorithms {
    /// Whether one of them is in the set.
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, algorithm: Algorithm) -> Self {
        Self(self.0 | (1 << algorithm as u16))
    }

    /// Whether none is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        algorithms.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert_eq!("Ed25519".parse(), Ok(Algorithm::Ed25519));
        for name in [
            "", "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "rs256", "RS256 ", "RS1",
            "ES256K", "Ed448", "dir", "A256GCM",
        ] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Algorithms = [Algorithm::Rs256, Algorithm::Ed25519].into_iter().collect();
        for algorithm in Algorithm::ALL {
            assert_eq!(set.contains(algorithm), matches!(algorithm, Algorithm::Rs256 | Algorithm::Ed25519));
        }
        assert!(Algorithms::default().is_empty() && !set.is_empty());
    }
}
