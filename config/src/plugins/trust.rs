//! Reads the public keys whose signatures on artifacts are valid.

/// Base64 of the fixed start of an Ed25519 `SubjectPublicKeyInfo` (RFC 8410): 12 bytes, so whole base64 groups.
const ED25519_PREFIX: &str = "MCowBQYDK2VwAyEA";
/// Base64 of the 32 bytes after it, without the padding.
const KEY_CHARACTERS: usize = 43;

/// Whether a text is one PEM block of an Ed25519 public key.
pub(super) fn check_public_key(text: &str) -> Result<(), PublicKeyError> {
    if text.contains("PRIVATE KEY") {
        return Err(PublicKeyError::Private);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let [begin, body @ .., end] = lines.as_slice() else { return Err(PublicKeyError::Form) };
    if *begin != "-----BEGIN PUBLIC KEY-----" || *end != "-----END PUBLIC KEY-----" {
        return Err(PublicKeyError::Form);
    }
    let body = body.concat();
    let key = body.strip_prefix(ED25519_PREFIX).and_then(|rest| rest.strip_suffix('='));
    let is_key = key.is_some_and(|key| {
        key.len() == KEY_CHARACTERS
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
    });
    if is_key { Ok(()) } else { Err(PublicKeyError::Algorithm) }
}

/// Why a text is no public key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PublicKeyError {
    /// The other half.
    #[error("this is a private key, which must not be in the configuration: take its public half")]
    Private,
    /// No PEM.
    #[error("this is not a PEM block that begins with `-----BEGIN PUBLIC KEY-----`")]
    Form,
    /// Of another kind, or cut.
    #[error("this is not a complete Ed25519 public key")]
    Algorithm,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(body: &str) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    #[test]
    fn only_whole_ed25519_public_keys_pass() {
        let body = format!("{ED25519_PREFIX}{}=", "A".repeat(KEY_CHARACTERS));
        assert_eq!(check_public_key(&pem(&body)), Ok(()));
        assert_eq!(check_public_key(&pem("MCowBQYDK2VwAyEA...")), Err(PublicKeyError::Algorithm));
        assert_eq!(check_public_key(&pem("MFkwEwYHKoZIzj0CAQY=")), Err(PublicKeyError::Algorithm));
        assert_eq!(check_public_key(&body), Err(PublicKeyError::Form));
        assert_eq!(check_public_key(""), Err(PublicKeyError::Form));
        assert_eq!(
            check_public_key("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"),
            Err(PublicKeyError::Private)
        );
    }
}
