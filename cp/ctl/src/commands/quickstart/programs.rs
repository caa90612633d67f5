//! The programs: beside this one, or where the shell finds programs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

const CONTROL_PLANE: &str = "mcpg-cp";
const GATEWAY: &str = "mcpg";
const DEMO: &str = "mcpg-fixture";

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    /// `mcpg-cp`
    pub(super) control_plane: PathBuf,
    /// `mcpg`
    pub(super) gateway: PathBuf,
    /// The demonstration server, where it is wanted.
    pub(super) demo: Option<PathBuf>,
}

impl Programs {
    /// Finds them.
    pub(super) fn find(with_demo: bool) -> Result<Self, Failure> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let here = std::env::current_exe().ok();
        folders.extend(here.as_deref().and_then(Path::parent).map(Path::to_owned));
        folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        Self::among(&folders, with_demo)
    }

    fn among(folders: &[PathBuf], with_demo: bool) -> Result<Self, Failure> {
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path));
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                Failure::Usage(format!(
                    "`{name}` is neither beside `mcpg-ctl` nor in PATH: install it, or build it with `cargo build -p {name}`"
                ))
            })
        };
        let (control_plane, gateway) = (need(CONTROL_PLANE)?, need(GATEWAY)?);
        let demo = find(DEMO);
        if with_demo && demo.is_none() {
            return Err(Failure::Usage(format!(
                "there is no MCP server to stand behind the gateway: give `--upstream URL`, such as `http://127.0.0.1:3001/mcp`, or build the demonstration server `{DEMO}`"
            )));
        }
        Ok(Self { control_plane, gateway, demo: demo.filter(|_| with_demo) })
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("none"), folder.path().to_owned()];
        let put = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        let missing = |with_demo| Programs::among(&folders, with_demo).unwrap_err().to_string();
        put("mcpg-cp", 0o644);
        assert!(missing(false).starts_with("`mcpg-cp` is neither"), "no program: {}", missing(false));
        put("mcpg-cp", 0o755);
        assert!(missing(false).starts_with("`mcpg` is neither"));
        put("mcpg", 0o755);
        assert!(missing(true).contains("give `--upstream URL`"));
        assert!(Programs::among(&folders, false).unwrap().demo.is_none());
        put("mcpg-fixture", 0o755);
        assert!(Programs::among(&folders, true).unwrap().demo.is_some());
    }
}
