//! A new key: the token, shown once, and the record to keep.

use mcpg_sdk::Secret;
use zeroize::Zeroizing;

use super::HashKey;
use super::settings::{KeyRecord, check_subject};
use super::token;

/// A key just made. The token is shown once and kept nowhere.
#[derive(Debug)]
pub struct NewKey {
    /// The whole token, for its holder.
    pub token: Secret,
    /// What goes into `keys` or `keys_file`.
    pub record: KeyRecord,
}

/// Makes a key for a subject (`user:alice@acme.com`). `env` is the label in its prefix: `live`, `test`.
///
/// # Errors
/// When the label or the subject has the wrong form, or the system gives no randomness.
pub fn generate(env: &str, subject: &str, hash_key: &HashKey) -> Result<NewKey, GenerateError> {
    if !token::is_env(env.as_bytes()) {
        return Err(GenerateError::Env { env: env.to_owned() });
    }
    check_subject(subject).map_err(|message| GenerateError::Subject { message })?;
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut_slice()).map_err(GenerateError::Randomness)?;
    let token = token::compose(env, &random);
    let record = KeyRecord {
        id: token::fingerprint(token.expose()),
        subject: subject.to_owned(),
        hash: hash_key.hash(token.expose()).to_string(),
        attributes: Default::default(),
        audience: None,
        expires_at: None,
    };
    Ok(NewKey { token, record })
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The label is not of the form.
    #[error("`{env}` is no key label: use 1 to 16 of `a-z` and `0-9`, such as `live`")]
    Env {
        /// The label as given.
        env: String,
    },
    /// The subject is not of the form.
    #[error("{message}")]
    Subject {
        /// What is wrong.
        message: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness(#[source] getrandom::Error),
}
