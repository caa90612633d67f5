//! Which program a binding's `command` names, and the environment that it gets. Looked up when a revision is loaded, so that a
//! typing error is found then.
//!
//! The environment is clean: `PATH`, `HOME` and `LANG`, what the binding sets (`env`), what it lets through (`inherit_env`), and
//! nothing else. `PATH` and `HOME` are the gateway's own unless the binding sets them: without them hardly a program starts, and
//! they are no secrets.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Where programs are searched for if nobody says otherwise.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What programs take for their language: English messages in UTF-8.
const USUAL_LANG: &str = "C.UTF-8";

/// The environment of a process.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment(Vec<(OsString, OsString)>);

/// Why there is no such program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// No folder of `PATH` has it.
    #[error("`command`: `{}` is in no folder of PATH (`{}`)", .program.display(), .path.display())]
    NotInPath {
        /// The name.
        program: PathBuf,
        /// The folders.
        path: PathBuf,
    },
    /// There is no file there.
    #[error("`command`: `{}` is no file", .0.display())]
    NoFile(PathBuf),
    /// The gateway may not execute it.
    #[error("`command`: `{}` cannot be executed by the gateway's user", .0.display())]
    NotExecutable(PathBuf),
    /// There is no such folder.
    #[error("`cwd`: `{}` is no folder", .0.display())]
    NoFolder(PathBuf),
}

impl Environment {
    /// The environment of a process: what is set for it, what it inherits of `own`, and the usual.
    pub fn new(
        set: impl IntoIterator<Item = (OsString, OsString)>,
        inherited: &[String],
        own: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let mut variables: Vec<(OsString, OsString)> = set.into_iter().collect();
        let inherit = inherited.iter().filter_map(|name| Some((OsString::from(name), own(name)?)));
        variables.extend(inherit);
        let usual = [
            ("PATH", own("PATH").or(Some(USUAL_PATH.into()))),
            ("HOME", own("HOME")),
            ("LANG", Some(USUAL_LANG.into())),
        ];
        for (name, value) in usual {
            if let Some(value) = value
                && !variables.iter().any(|(other, _)| other == name)
            {
                variables.push((name.into(), value));
            }
        }
        Self(variables)
    }

    /// The variables.
    pub fn into_variables(self) -> Vec<(OsString, OsString)> {
        self.0
    }

    /// The absolute path of a program: as it stands if it has a `/`, else from the first folder of `PATH` that has it.
    ///
    /// # Errors
    /// When there is none that can be executed.
    pub fn find(&self, program: &Path) -> Result<PathBuf, ProgramError> {
        if program.as_os_str().as_encoded_bytes().contains(&b'/') {
            return executable(program.to_owned());
        }
        let path = self.0.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, value)| value);
        // A relative folder would depend on where the gateway was started.
        let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        let mut refused = None;
        for folder in folders {
            match executable(folder.join(program)) {
                Ok(found) => return Ok(found),
                Err(ProgramError::NoFile(_)) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| ProgramError::NotInPath {
            program: program.to_owned(),
            path: PathBuf::from(path),
        }))
    }
}

/// A working directory, if it is one.
///
/// # Errors
/// When it is not.
pub fn working_folder(path: &Path) -> Result<PathBuf, ProgramError> {
    if path.is_dir() { Ok(path.to_owned()) } else { Err(ProgramError::NoFolder(path.to_owned())) }
}

fn executable(path: PathBuf) -> Result<PathBuf, ProgramError> {
    if !path.is_file() {
        Err(ProgramError::NoFile(path))
    } else if access(&path, Access::EXEC_OK).is_err() {
        Err(ProgramError::NotExecutable(path))
    } else {
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn own(name: &str) -> Option<OsString> {
        let own = [
            ("PATH", "/own"),
            ("HOME", "/home/mcpg"),
            ("LANG", "de_DE"),
            ("CANARY", "s3cret"),
            ("PROXY", "p"),
        ];
        own.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into())
    }

    #[test]
    fn nothing_is_in_the_environment_that_was_not_let_in() {
        let check = |set: &[(&str, &str)], inherited: &[&str], expected: &[(&str, &str)]| {
            let inherited: Vec<String> = inherited.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Environment::new(pairs(set), &inherited, own).into_variables(), pairs(expected));
        };
        check(&[], &[], &[("PATH", "/own"), ("HOME", "/home/mcpg"), ("LANG", "C.UTF-8")]);
        check(
            &[("PATH", "/x"), ("A", "b")],
            &["PROXY", "ABSENT", "LANG"],
            &[("PATH", "/x"), ("A", "b"), ("PROXY", "p"), ("LANG", "de_DE"), ("HOME", "/home/mcpg")],
        );
        let bare = Environment::new([], &[], |_| None).into_variables();
        assert_eq!(bare, pairs(&[("PATH", USUAL_PATH), ("LANG", "C.UTF-8")]));
    }

    #[test]
    fn a_program_is_found_or_it_is_said_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, mode) in [("tool", 0o755), ("data", 0o644)] {
            std::fs::write(at(name), "").unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path =
            std::env::join_paths([Path::new("relative"), Path::new("/nowhere"), folder.path()]).unwrap();
        let environment = Environment(vec![("PATH".into(), path.clone())]);
        assert_eq!(environment.find(Path::new("tool")), Ok(at("tool")));
        assert_eq!(environment.find(&at("tool")), Ok(at("tool")));
        assert_eq!(environment.find(Path::new("data")), Err(ProgramError::NotExecutable(at("data"))));
        assert_eq!(environment.find(&at("absent")), Err(ProgramError::NoFile(at("absent"))));
        assert_eq!(environment.find(folder.path()), Err(ProgramError::NoFile(folder.path().to_owned())));
        let missing = ProgramError::NotInPath { program: "absent".into(), path: PathBuf::from(path) };
        assert_eq!(environment.find(Path::new("absent")), Err(missing));
        assert_eq!(working_folder(&at("tool")), Err(ProgramError::NoFolder(at("tool"))));
    }
}
