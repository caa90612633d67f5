//! Which kinds of keys a client can verify signatures of, from its ClientHello.
//!
//! RFC 8446 section 4.2.3 (`signature_algorithms`); in TLS 1.2 the suite says it too (RFC 5246 section 7.4.2). Pure: bytes in,
//! an answer out.

/// A kind of key. The least is the one to choose first: it costs the server least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// EdDSA on Curve25519.
    Ed25519,
    /// RSA.
    Rsa,
}

impl KeyKind {
    /// Whether a client can verify it. `algorithms` is the body of its extension; without one every kind will do, and
    /// the handshake will say if not.
    pub(super) fn suits(self, suites: &[u8], algorithms: Option<&[u8]>) -> bool {
        let suites = || suites.as_chunks::<2>().0.iter().map(|suite| u16::from_be_bytes(*suite));
        let tls13 = suites().any(|suite| matches!(suite, 0x1301..=0x1303));
        let tls12 = suites().any(|suite| match self {
            Self::Rsa => matches!(suite, 0xc02f | 0xc030 | 0xcca8),
            _ => matches!(suite, 0xc02b | 0xc02c | 0xcca9),
        });
        let listed = algorithms.is_none_or(|body| {
            let list = body.get(2..).unwrap_or_default();
            list.as_chunks::<2>().0.iter().any(|algorithm| self.signs(u16::from_be_bytes(*algorithm)))
        });
        (tls13 || tls12) && listed
    }

    fn signs(self, algorithm: u16) -> bool {
        match self {
            Self::P256 => algorithm == 0x0403,
            Self::P384 => algorithm == 0x0503,
            Self::P521 => algorithm == 0x0603,
            Self::Ed25519 => algorithm == 0x0807,
            Self::Rsa => matches!(algorithm, 0x0401 | 0x0501 | 0x0601 | 0x0804 | 0x0805 | 0x0806),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_suits_a_client_that_can_verify_it() {
        const TLS13: &[u8] = &[0x13, 0x01];
        const ECDSA: &[u8] = &[0xc0, 0x2b];
        const RSA: &[u8] = &[0xc0, 0x2f];
        let algorithms = |list: &[u16]| {
            let body = list.iter().flat_map(|algorithm| algorithm.to_be_bytes());
            u16::try_from(list.len() * 2).unwrap().to_be_bytes().into_iter().chain(body).collect::<Vec<u8>>()
        };
        let check = |kind: KeyKind, suites: &[u8], list: &[u16], suits: bool| {
            assert_eq!(kind.suits(suites, Some(&algorithms(list))), suits, "{kind:?} {suites:x?} {list:x?}");
        };
        check(KeyKind::P256, TLS13, &[0x0804, 0x0403], true);
        check(KeyKind::P256, ECDSA, &[0x0403], true);
        check(KeyKind::P256, RSA, &[0x0403], false);
        check(KeyKind::P256, TLS13, &[0x0804], false);
        check(KeyKind::P384, TLS13, &[0x0403], false);
        check(KeyKind::P384, TLS13, &[0x0503], true);
        check(KeyKind::Rsa, TLS13, &[0x0403, 0x0804], true);
        check(KeyKind::Rsa, RSA, &[0x0401], true);
        check(KeyKind::Rsa, ECDSA, &[0x0401], false);
        check(KeyKind::Rsa, TLS13, &[0x0403], false);
        check(KeyKind::Ed25519, TLS13, &[0x0807], true);
        check(KeyKind::Ed25519, TLS13, &[0x0403], false);
        assert!(KeyKind::Rsa.suits(RSA, None) && !KeyKind::Rsa.suits(ECDSA, None), "the suite still counts");
    }

    #[test]
    fn odd_bytes_are_no_reason_to_panic() {
        for body in [&[][..], &[0], &[0, 1, 4], &[0xff, 0xff, 4, 3, 4]] {
            KeyKind::P256.suits(body, Some(body));
        }
    }
}
