//! A new user: what goes into a users file.

use super::settings::{UserLine, check_name};
use super::{HashError, Scheme, StoredHash, header};
use crate::identity::api_key::check_subject;

/// The longest password that fits into a header with the longest name.
pub const PASSWORD_BYTES_MAX: usize = header::USER_PASS_BYTES_MAX - header::NAME_BYTES_MAX - 1;

/// A user to be made, or only a hash where there is no name.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// The name to log in with.
    pub name: Option<String>,
    /// Who that is: `user:<name>` if absent.
    pub subject: Option<String>,
}

impl NewUser {
    /// The line of a users file, or the bare hash.
    ///
    /// # Errors
    /// When the name, the subject or the parameters of the hash would be refused when they are loaded, or the system
    /// gives no randomness.
    pub fn line(self, scheme: Scheme, password: &str) -> Result<String, IssueError> {
        let wrong = |message| IssueError::Wrong { message };
        if let Some(name) = &self.name {
            check_name(name).map_err(wrong)?;
        }
        if let Some(subject) = &self.subject {
            check_subject(subject).map_err(wrong)?;
        }
        let hash = StoredHash::new(scheme, password.as_bytes())?.to_string();
        match self {
            Self { name: None, .. } => Ok(hash),
            // A plain line would be read as something else.
            Self { name: Some(name), subject: None }
                if !name.starts_with(['#', '{']) && name.trim() == name =>
            {
                Ok(format!("{name}:{hash}"))
            }
            Self { name: Some(name), subject } => {
                let (attributes, audience) = Default::default();
                let line = UserLine { name, hash, subject, attributes, audience };
                serde_json::to_string(&line).map_err(|error| wrong(error.to_string()))
            }
        }
    }
}

/// Why no line was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A name or subject that would be refused.
    #[error("{message}")]
    Wrong {
        /// What is wrong.
        message: String,
    },
    /// No hash.
    #[error(transparent)]
    Hash(#[from] HashError),
}
