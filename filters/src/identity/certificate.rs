//! A certificate that a client has presented on its connection, as bytes: what it is worth is for a provider to say.

use sha2::{Digest as _, Sha256};

/// A client's certificate, and what it sent along to be verified by. That it is here proves that the client has its
/// private key, and nothing else: neither who issued it nor that it has not expired.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    leaf: Box<[u8]>,
    chain: Box<[Box<[u8]>]>,
    sha256: [u8; 32],
}

impl PeerCertificate {
    /// The certificate and the others of its chain in the order of the handshake, each in DER.
    pub fn from_der(leaf: &[u8], chain: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        Self { leaf: leaf.into(), chain: chain.into_iter().collect(), sha256: Sha256::digest(leaf).into() }
    }

    /// The certificate, in DER.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// The others of its chain, in DER.
    pub fn chain(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }

    /// SHA-256 of the certificate's DER: its fingerprint.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

impl std::fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PeerCertificate").field(&blake3::Hash::from_bytes(self.sha256).to_hex()).finish()
    }
}
