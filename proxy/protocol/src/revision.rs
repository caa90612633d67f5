//! The revisions of the protocol that the gateway speaks, and the two eras they fall into.
//!
//! Source: MCP 2026-07-28, "Versioning and Compatibility".

use std::fmt;
use std::str::FromStr;

/// A revision of the specification, ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// `2025-03-26`: the first with Streamable HTTP; assumed where a legacy request names none.
    V2025_03_26,
    /// `2025-06-18`: adds the `MCP-Protocol-Version` header.
    V2025_06_18,
    /// `2025-11-25`: the last with sessions.
    V2025_11_25,
    /// `2026-07-28`: stateless, every request carries its own metadata.
    V2026_07_28,
}

/// How a request establishes who speaks which revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// An `initialize` handshake begins a session.
    Legacy,
    /// Each request stands alone and names its revision in `_meta`.
    Modern,
}

/// A revision that the gateway does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol revision")]
pub struct UnknownRevision;

impl Revision {
    /// Every revision the gateway speaks, newest first.
    pub const SUPPORTED: &'static [Self] =
        &[Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26];

    /// The revision as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era that the revision belongs to.
    pub const fn era(self) -> Era {
        match self {
            Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => Era::Legacy,
            Self::V2026_07_28 => Era::Modern,
        }
    }
}

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::SUPPORTED.iter().copied().find(|revision| revision.as_str() == text).ok_or(UnknownRevision)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_revision_survives_a_round_trip() {
        for &revision in Revision::SUPPORTED {
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
    }

    #[test]
    fn supported_is_newest_first() {
        assert!(Revision::SUPPORTED.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn near_misses_are_unknown() {
        for text in ["", "2024-11-05", "2026-07-28 ", "2026-7-28", "v2026-07-28", "2026-07-28\0", "DRAFT"] {
            assert_eq!(text.parse::<Revision>(), Err(UnknownRevision), "{text:?}");
        }
    }

    #[test]
    fn only_the_stateless_revision_is_modern() {
        let modern: Vec<_> =
            Revision::SUPPORTED.iter().filter(|revision| revision.era() == Era::Modern).collect();
        assert_eq!(modern, [&Revision::V2026_07_28]);
    }
}
