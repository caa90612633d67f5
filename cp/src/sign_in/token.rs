//! Tokens: `mcpg_cp_<id>_<secret><checksum>`, everything after the prefix in hexadecimal.
//!
//! INVARIANTS:
//! - What has a wrong prefix, form or checksum is refused before anything is looked up.
//! - The store knows a token by a keyed hash alone; the key is in a file of the service ([`super::key_file`]). Who reads the database can neither
//!   use a token nor test a guess.
//! - The prefix tells what a token is for; one kind never stands for another, since the hash covers it.

use std::fmt;
use std::str::FromStr;

use mcpg_cp_api::Id;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Programs: an API token.
    Api,
    /// A member who has signed in.
    Session,
    /// An administrator of the whole service.
    Platform,
    /// A gateway that enrols.
    Enrollment,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Api, Self::Session, Self::Platform, Self::Enrollment];

    /// What its tokens begin with. Written in two parts, since names that begin so in one are those of metrics.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Api => concat!("mcpg", "_cp_"),
            Self::Session => concat!("mcpg", "_cps_"),
            Self::Platform => concat!("mcpg", "_cpp_"),
            Self::Enrollment => concat!("mcpg", "_cpe_"),
        }
    }
}

/// A token in the clear. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: TokenKind,
    id: Id,
    text: String,
}

const SECRET_DIGITS: usize = 64;
const CHECK_DIGITS: usize = 8;

impl Token {
    /// A token of an id and 32 random bytes.
    pub fn new(kind: TokenKind, id: Id, random: [u8; 32]) -> Self {
        let id_digits = id.as_str().replace('-', "");
        let secret = hex(&random);
        let body = format!("{}{id_digits}_{secret}", kind.prefix());
        let check = crc32fast::hash(body.as_bytes());
        Self { kind, id, text: format!("{body}{check:08x}") }
    }

    /// What it is for.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Its id: what may be shown of it.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The token itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What the store knows of it: BLAKE3 under the key, in hexadecimal.
    pub fn hash(&self, key: &TokenKey) -> String {
        blake3::keyed_hash(&key.0, self.text.as_bytes()).to_hex().to_string()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let with_prefix = |kind: &TokenKind| text.strip_prefix(kind.prefix()).map(|rest| (*kind, rest));
        let (kind, rest) = TokenKind::ALL.iter().find_map(with_prefix).ok_or(TokenError::Prefix)?;
        let (id_digits, secret) = rest.split_once('_').ok_or(TokenError::Form)?;
        let is_hex =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if id_digits.len() != 32
            || secret.len() != SECRET_DIGITS + CHECK_DIGITS
            || !is_hex(id_digits)
            || !is_hex(secret)
        {
            return Err(TokenError::Form);
        }
        let body_length = text.len().saturating_sub(CHECK_DIGITS);
        let (body, check) = text.split_at_checked(body_length).ok_or(TokenError::Form)?;
        if format!("{:08x}", crc32fast::hash(body.as_bytes())) != check {
            return Err(TokenError::Checksum);
        }
        let mut id = String::with_capacity(36);
        for (index, digit) in id_digits.chars().enumerate() {
            if matches!(index, 8 | 12 | 16 | 20) {
                id.push('-');
            }
            id.push(digit);
        }
        let id = id.parse().map_err(|_| TokenError::Form)?;
        Ok(Self { kind, id, text: text.to_owned() })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?} {})", self.kind, self.id)
    }
}

/// The key of the hashes of tokens. Replicas share it.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// A key by its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It begins like nothing of ours.
    #[error("the token has no known prefix")]
    Prefix,
    /// It has a wrong length, or a character that cannot be there.
    #[error("the token is malformed")]
    Form,
    /// It was mistyped or cut.
    #[error("the token's checksum does not hold")]
    Checksum,
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(kind: TokenKind) -> Token {
        Token::new(kind, "0199a7f0-6c00-7000-8000-00000000000a".parse().unwrap(), [7; 32])
    }

    #[test]
    fn tokens_come_back_as_they_were_made() {
        for kind in TokenKind::ALL {
            let made = token(kind);
            let read: Token = made.reveal().parse().unwrap();
            assert!(read == made && read.kind() == kind && read.id() == made.id());
        }
        let text = token(TokenKind::Api).reveal().to_owned();
        assert!(text.starts_with("mcpg_cp_0199a7f06c007000800000000000000a_0707"), "{text}");
    }

    #[test]
    fn what_is_nearly_a_token_is_refused_before_any_look_up() {
        let text = token(TokenKind::Api).reveal().to_owned();
        let check = |text: &str, expected: TokenError| {
            assert_eq!(text.parse::<Token>().unwrap_err(), expected, "{text}");
        };
        check("", TokenError::Prefix);
        check("Bearer x", TokenError::Prefix);
        check(&text.replacen("mcpg_cp_", "mcpg_cps_", 1), TokenError::Checksum);
        check(text.get(..text.len() - 1).unwrap(), TokenError::Form);
        check(&format!("{text}0"), TokenError::Form);
        check(&text.to_uppercase().replacen("MCPG_CP_", "mcpg_cp_", 1), TokenError::Form);
        for place in 8..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<Token>().is_err(), "{changed}");
        }
    }

    #[test]
    fn a_hash_depends_on_the_key_and_the_kind() {
        let (one, other) = (TokenKey::new([1; 32]), TokenKey::new([2; 32]));
        let api = token(TokenKind::Api);
        assert_ne!(api.hash(&one), api.hash(&other));
        assert_ne!(api.hash(&one), token(TokenKind::Session).hash(&one));
        assert_eq!(api.hash(&one).len(), 64);
    }

    #[test]
    fn nothing_prints_a_token() {
        let token = token(TokenKind::Platform);
        assert_eq!(format!("{token:?}"), "Token(Platform 0199a7f0-6c00-7000-8000-00000000000a)");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(mcpg_cp[spe]?_)?.{0,120}") {
            let _ = text.parse::<Token>();
        }
    }
}
