//! What is wrong with a bundle, where, and what to write instead.

use std::fmt;

/// One thing that keeps a bundle from loading. Prints as `file:line:column: policy …: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the bundle.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 for the file as a whole.
    pub column: usize,
    /// The policy's id, where it is known.
    pub policy: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(super) fn of_file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: 0, column: 0, policy: None, message: message.into() }
    }

    /// The same problem, of a policy.
    pub(super) fn in_policy(mut self, id: &str) -> Self {
        self.policy = Some(id.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if let Some(policy) = &self.policy {
            write!(f, ": policy `{policy}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a bundle does not load.
#[derive(Debug, thiserror::Error)]
pub enum CedarError {
    /// The bundle or a file of it cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The setting does not name a bundle that this engine can load.
    #[error("{0}")]
    Bundle(String),
    /// The policies are wrong.
    #[error("{}", Listed(.0))]
    Policies(Vec<Problem>),
}

/// The problems, one a line, up to a limit.
struct Listed<'a>(&'a [Problem]);

const SHOWN_MAX: usize = 20;

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().take(SHOWN_MAX).enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().checked_sub(SHOWN_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

/// The name nearest to `wanted`, if one is near.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase());
    let near = (wanted.chars().count() / 2).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, name)| name)
}

/// `` : did you mean `x`? `` or nothing.
pub(in crate::policy) fn did_you_mean<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, names).map(|name| format!(": did you mean `{name}`?")).unwrap_or_default()
}
