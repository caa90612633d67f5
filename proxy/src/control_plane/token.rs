//! Enrollment tokens, as far as a gateway reads them: which key the control plane has whose token it is.
//!
//! `mcpg_en_<id>.<fingerprint>.<secret>`: the fingerprint is the first 16 bytes of BLAKE3 over the control plane's Ed25519 public key, in base64url. So
//! enrolling is authenticated both ways, whatever became of the token's way and of TLS.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of BLAKE3 that name a key.
const FINGERPRINT_BYTES: usize = 16;
const PREFIX: &str = "mcpg_en_";

/// The name of a public key.
pub(super) type Fingerprint = [u8; FINGERPRINT_BYTES];

/// The fingerprint of a public key.
pub(super) fn fingerprint(key: &[u8; 32]) -> Fingerprint {
    let mut fingerprint = [0; FINGERPRINT_BYTES];
    blake3::Hasher::new().update(key).finalize_xof().fill(&mut fingerprint);
    fingerprint
}

/// The key that a token expects of the control plane. None if the text is no enrollment token.
pub(super) fn expected_key(token: &str) -> Option<Fingerprint> {
    let mut parts = token.strip_prefix(PREFIX)?.splitn(3, '.');
    let (_id, fingerprint, _secret) = (parts.next()?, parts.next()?, parts.next()?);
    URL_SAFE_NO_PAD.decode(fingerprint).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_key_of_its_control_plane() {
        let name = fingerprint(&[7; 32]);
        let token = format!("mcpg_en_0199.{}.c2VjcmV0", URL_SAFE_NO_PAD.encode(name));
        assert_eq!(expected_key(&token), Some(name));
        assert_ne!(fingerprint(&[8; 32]), name);
    }

    #[test]
    fn other_texts_name_none() {
        for text in [
            "",
            "mcpg_en_",
            "mcpg_en_a.b.c",
            "mcpg_cp_a.AAAAAAAAAAAAAAAAAAAAAA.c",
            "mcpg_en_a.AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(expected_key(text), None, "{text}");
        }
    }
}
