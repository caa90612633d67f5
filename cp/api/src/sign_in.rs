//! Signing in with an organization's identity provider: what a program on the member's machine and the control plane say to each other.
//!
//! The program makes a verifier, keeps it, and sends its hash (PKCE, RFC 7636); the provider's page sends the browser back to a port of
//! that program (RFC 8252, section 7.3). The control plane never sees a password and the browser never sees the session.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Line, Member, Slug, Timestamp};

/// Asks to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartSignIn {
    /// The organization.
    pub organization: Slug,
    /// Where the browser returns to, on the member's machine.
    pub redirect_uri: LoopbackUri,
    /// The hash of a verifier that only the asking program knows: without it nobody can finish.
    pub code_challenge: CodeChallenge,
}

/// Where the browser goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignInStarted {
    /// The provider's page.
    pub authorization_url: String,
    /// What the redirect must bring back as `state`.
    pub state: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// What the redirect brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishSignIn {
    /// `state` of the redirect.
    pub state: Line<200>,
    /// `code` of the redirect.
    pub code: Line<4096>,
    /// What `code_challenge` is the hash of.
    pub code_verifier: CodeVerifier,
}

/// A member has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// The token of the session, for `Authorization: Bearer`.
    pub token: String,
    /// Who.
    pub member: Member,
    /// When the session ends.
    pub expires_at: Timestamp,
}

/// A port of this machine: `http://127.0.0.1:PORT/callback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoopbackUri(String);

/// SHA-256 of a verifier, base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeChallenge(String);

/// 43 to 128 characters that nobody can guess.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeVerifier(String);

impl FromStr for LoopbackUri {
    type Err = SignInError;

    fn from_str(text: &str) -> Result<Self, SignInError> {
        let rest = text.strip_prefix("http://127.0.0.1:").or_else(|| text.strip_prefix("http://[::1]:"));
        let (port, path) = rest.and_then(|rest| rest.split_once('/')).ok_or(SignInError::Redirect)?;
        let is_port = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
        let is_path = path.len() <= 100
            && path.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'-'));
        if is_port && is_path { Ok(Self(text.to_owned())) } else { Err(SignInError::Redirect) }
    }
}

impl FromStr for CodeChallenge {
    type Err = SignInError;

    fn from_str(text: &str) -> Result<Self, SignInError> {
        let fits = text.len() == 43
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if fits { Ok(Self(text.to_owned())) } else { Err(SignInError::Challenge) }
    }
}

impl FromStr for CodeVerifier {
    type Err = SignInError;

    fn from_str(text: &str) -> Result<Self, SignInError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let fits = (43..=128).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(SignInError::Verifier) }
    }
}

impl std::fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeVerifier")
    }
}

crate::text::text_access!(LoopbackUri);
crate::text::text_access!(CodeChallenge);
crate::text::text_access!(CodeVerifier);
crate::text::wire_text!(
    LoopbackUri,
    SignInError,
    r"^http://(127\.0\.0\.1|\[::1\]):([1-9][0-9]{0,3}|[1-5][0-9]{4})/[a-z/-]{0,100}$",
    14,
    130,
    "http://127.0.0.1:8400/callback"
);
crate::text::wire_text!(
    CodeChallenge,
    SignInError,
    "^[A-Za-z0-9_-]{43}$",
    43,
    43,
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
);
crate::text::wire_text!(
    CodeVerifier,
    SignInError,
    "^[A-Za-z0-9._~-]{43,128}$",
    43,
    128,
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
);

/// Why a text is not what signing in takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No port of this machine.
    #[error("a redirect goes to `http://127.0.0.1:PORT/PATH` or `http://[::1]:PORT/PATH`")]
    Redirect,
    /// No hash.
    #[error("a code challenge is SHA-256 as base64url without padding: 43 characters")]
    Challenge,
    /// No verifier.
    #[error("a code verifier has 43 to 128 of `A-Z`, `a-z`, `0-9`, `-`, `.`, `_` and `~`")]
    Verifier,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_machine() {
        for (text, fits) in [
            ("http://127.0.0.1:8400/callback", true),
            ("http://[::1]:1/", true),
            ("http://localhost:8400/callback", false),
            ("https://127.0.0.1:8400/callback", false),
            ("http://127.0.0.1:8400@evil.example/", false),
            ("http://127.0.0.1:8400", false),
            ("http://127.0.0.1:0/", false),
            ("http://127.0.0.1:99999/", false),
            ("http://127.0.0.1:8400/?a=b", false),
            ("http://127.0.0.1.evil.example:80/", false),
        ] {
            assert_eq!(text.parse::<LoopbackUri>().is_ok(), fits, "{text}");
        }
    }
}
