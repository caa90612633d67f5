//! Enrollment tokens, as far as a gateway reads them: which key the control plane has whose token it is.

/// An enrollment token as it is shown: the token, and the name of its control plane's key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EnrollmentToken<'a> {
    /// What the control plane is shown.
    pub(super) token: &'a str,
    /// What its key must be called ([`mcpg_cp_api::key_fingerprint`]).
    pub(super) fingerprint: &'a str,
}

impl<'a> EnrollmentToken<'a> {
    /// Reads `TOKEN.FINGERPRINT`. None if the text is no enrollment token.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (token, fingerprint) = text.split_once('.')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_token = token.strip_prefix("mcpg").is_some_and(|rest| rest.starts_with("_cpe_"));
        let fits = is_token && fingerprint.len() == 32 && fingerprint.bytes().all(is_digit);
        fits.then_some(Self { token, fingerprint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_key_of_its_control_plane() {
        let fingerprint = mcpg_cp_api::key_fingerprint(&[7; 32]);
        let text = format!("mcpg_cpe_0199_5ec2e7.{fingerprint}");
        let token = EnrollmentToken { token: "mcpg_cpe_0199_5ec2e7", fingerprint: &fingerprint };
        assert_eq!(EnrollmentToken::parse(&text), Some(token));
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "mcpg_cpe_0199_5ec2e7",
            "mcpg_cpe_0199_5ec2e7.",
            "mcpg_cpe_0199_5ec2e7.0123",
            "mcpg_cpe_0199_5ec2e7.0123456789ABCDEF0123456789ABCDEF",
            "mcpg_cp_0199_5ec2e7.0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(EnrollmentToken::parse(text), None, "{text}");
        }
    }
}
