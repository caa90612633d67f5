//! The mark that takes a value's place in the mode `hash`: short, the same for the same value, and keyed.
//!
//! Without the key nobody can try out the ten billion telephone numbers that there are. The key is derived from a secret of the
//! gateway and the scope, so the marks of two tenants tell nothing about each other. The mark has letters only: nothing takes it for
//! a number or a token again.

use mcpg_sdk::Scope;
use zeroize::Zeroizing;

const CONTEXT: &str = "mcpg 2026-11 redaction: marks of a scope";

/// How many letters a mark has, four bits each.
const LETTERS: usize = 16;

/// The key of the marks of one scope.
#[derive(Clone)]
pub struct HashKey(Zeroizing<[u8; 32]>);

impl HashKey {
    /// The key of a scope, from a secret of the gateway.
    pub fn derive(secret: &[u8; 32], scope: &Scope) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(secret).update(scope.to_string().as_bytes());
        Self(Zeroizing::new(*hasher.finalize().as_bytes()))
    }

    /// What stands for a value: `[hash:kdmbafocgplihaed]`.
    pub fn mark(&self, value: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.0, value);
        let nibbles = hash.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]).take(LETTERS);
        let mut mark = String::with_capacity(LETTERS + 7);
        mark.push_str("[hash:");
        mark.extend(nibbles.map(|nibble| char::from(b'a' + nibble)));
        mark.push(']');
        mark
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_its_value_scope_and_secret() {
        let scope = |text: &str| text.parse::<Scope>().unwrap();
        let key = HashKey::derive(&[7; 32], &scope("acme/core/prod"));
        let mark = key.mark(b"a@b.c");
        assert_eq!(mark, key.mark(b"a@b.c"));
        assert_eq!(mark.len(), 23);
        assert!(mark.bytes().all(|byte| !byte.is_ascii_digit()), "{mark}");
        assert_ne!(mark, key.mark(b"a@b.d"));
        assert_ne!(mark, HashKey::derive(&[7; 32], &scope("acme/core/test")).mark(b"a@b.c"));
        assert_ne!(mark, HashKey::derive(&[8; 32], &scope("acme/core/prod")).mark(b"a@b.c"));
        assert_eq!(format!("{key:?}"), "HashKey");
    }
}
