//! Where the relative paths of a configuration are, and what of the machine it may name.
//!
//! The gateway's own file may name any file and any secret: who writes it runs the gateway. A document that comes from elsewhere, such as
//! a revision that a control plane pushes, is [bounded](Base::bounded): it names files of its own folder and the secrets that the
//! gateway's own file hands to it, and nothing else of the machine.
//!
//! INVARIANT: whoever turns a text of a configuration into a path or the name of a secret asks [`Base`].

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The folder of a configuration, and what it may name outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    dir: PathBuf,
    bounds: Option<Arc<Bounds>>,
}

/// What of the machine a document from elsewhere may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What the names of environment variables begin with that it may name as `$secret://env/NAME`; none for no variable.
    pub env_prefix: Option<String>,
    /// The folder below which the files are that it may name as `$secret://file/PATH`; none for no file.
    pub secret_dir: Option<PathBuf>,
}

impl Base {
    /// The folder of a configuration that may name everything.
    pub fn trusted(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bounds: None }
    }

    /// The folder of a document that may name what is in it, and what `bounds` say.
    pub fn bounded(dir: impl Into<PathBuf>, bounds: Arc<Bounds>) -> Self {
        Self { dir: dir.into(), bounds: Some(bounds) }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the document is bounded.
    pub fn is_bounded(&self) -> bool {
        self.bounds.is_some()
    }

    /// The file or folder that a path in the configuration means.
    ///
    /// # Errors
    /// When the document is bounded and the path leads out of its folder.
    pub fn file(&self, path: impl AsRef<Path>) -> Result<PathBuf, BoundsError> {
        let path = path.as_ref();
        if self.is_bounded() && !stays_inside(path) {
            return Err(BoundsError::Outside);
        }
        Ok(self.dir.join(path))
    }

    /// The file that `$secret://file/PATH` means.
    ///
    /// # Errors
    /// When the document is bounded and may not name it.
    pub fn secret_file(&self, path: &str) -> Result<PathBuf, BoundsError> {
        let Some(bounds) = &self.bounds else { return Ok(self.dir.join(path)) };
        let dir = bounds.secret_dir.as_ref().ok_or(BoundsError::NoSecretDir)?;
        if stays_inside(Path::new(path)) { Ok(dir.join(path)) } else { Err(BoundsError::OutsideSecrets) }
    }

    /// Passes on the name of an environment variable.
    ///
    /// # Errors
    /// When the document is bounded and may not name it.
    pub fn variable<'n>(&self, name: &'n str) -> Result<&'n str, BoundsError> {
        let Some(bounds) = &self.bounds else { return Ok(name) };
        match &bounds.env_prefix {
            None => Err(BoundsError::NoVariables),
            Some(prefix) if name.starts_with(prefix.as_str()) => Ok(name),
            Some(prefix) => Err(BoundsError::Prefix { prefix: prefix.clone() }),
        }
    }
}

/// Whether a path goes nowhere but down.
fn stays_inside(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

/// Why a document from elsewhere may not name something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// A path that is absolute or has `..` in it.
    #[error(
        "the path leads out of the revision: one that a control plane pushes may name the files in it, by relative paths without `..`"
    )]
    Outside,
    /// The same, of a secret.
    #[error(
        "the path leads out of `control_plane.secrets.dir`: write it relative to that folder, without `..`"
    )]
    OutsideSecrets,
    /// No folder of secrets.
    #[error(
        "the gateway's own file gives the revisions of its control plane no secrets of files: set `control_plane.secrets.dir` there"
    )]
    NoSecretDir,
    /// No variables.
    #[error(
        "the gateway's own file gives the revisions of its control plane no environment variables: set `control_plane.secrets.env_prefix` there"
    )]
    NoVariables,
    /// A variable of somebody else.
    #[error(
        "the revisions of a control plane may name environment variables that begin with `{prefix}` only"
    )]
    Prefix {
        /// What they begin with.
        prefix: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(env_prefix: Option<&str>, secret_dir: Option<&str>) -> Base {
        let bounds =
            Bounds { env_prefix: env_prefix.map(str::to_owned), secret_dir: secret_dir.map(PathBuf::from) };
        Base::bounded("/revision", Arc::new(bounds))
    }

    #[test]
    fn a_trusted_configuration_names_anything() {
        let base = Base::trusted("/etc/mcpg");
        assert_eq!(base.file("policies").unwrap(), Path::new("/etc/mcpg/policies"));
        assert_eq!(base.file("/elsewhere").unwrap(), Path::new("/elsewhere"));
        assert_eq!(base.secret_file("../key").unwrap(), Path::new("/etc/mcpg/../key"));
        assert_eq!(base.variable("ANY").unwrap(), "ANY");
    }

    #[test]
    fn a_bounded_document_names_what_is_in_its_folder() {
        let base = bounded(None, None);
        for inside in ["policies", "./policies/a.cedar", "a..b", "..."] {
            assert_eq!(base.file(inside).unwrap(), Path::new("/revision").join(inside));
        }
        for outside in ["/etc/passwd", "..", "../x", "a/../../x", "a/../b", "./.."] {
            assert_eq!(base.file(outside), Err(BoundsError::Outside), "{outside}");
        }
    }

    #[test]
    fn a_bounded_document_has_no_secrets_unless_they_are_given() {
        let base = bounded(None, None);
        assert_eq!(base.secret_file("key"), Err(BoundsError::NoSecretDir));
        assert_eq!(base.variable("KEY"), Err(BoundsError::NoVariables));
        let base = bounded(Some("ACME_"), Some("/secrets"));
        assert_eq!(base.secret_file("a/key").unwrap(), Path::new("/secrets/a/key"));
        for outside in ["/etc/shadow", "../key", "a/../../key"] {
            assert_eq!(base.secret_file(outside), Err(BoundsError::OutsideSecrets), "{outside}");
        }
        assert_eq!(base.variable("ACME_KEY").unwrap(), "ACME_KEY");
        assert!(matches!(base.variable("PATH"), Err(BoundsError::Prefix { .. })));
    }
}
