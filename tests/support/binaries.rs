//! Where the binaries under test are.
//!
//! Cargo tells a test only about binaries of its own package, so the others are looked for where this build
//! puts them: beside the directory that the test itself is in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The gateway's binary: `MCPG_BIN`, or `mcpg` of this build.
pub fn mcpg() -> PathBuf {
    find("mcpg", "MCPG_BIN", "cargo build -p mcpg")
}

/// The control plane's binary: `MCPG_CP_BIN`, or `mcpg-cp` of this build.
pub fn mcpg_cp() -> PathBuf {
    find("mcpg-cp", "MCPG_CP_BIN", "cargo build -p mcpg-cp")
}

/// The operator's binary: `MCPG_CTL_BIN`, or `mcpg-ctl` of this build.
pub fn mcpg_ctl() -> PathBuf {
    find("mcpg-ctl", "MCPG_CTL_BIN", "cargo build -p mcpg-ctl")
}

/// Runs `mcpg` with `arguments` to its end.
pub fn run_mcpg<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(mcpg()).args(arguments).output().expect("cannot run mcpg")
}

/// The fixture server's binary: `MCPG_FIXTURE_BIN`, or `mcpg-fixture` of this build.
pub fn fixture() -> PathBuf {
    find("mcpg-fixture", "MCPG_FIXTURE_BIN", "cargo build -p mcpg-tests --bins")
}

fn find(name: &str, variable: &str, remedy: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("this test has a path");
    // A test is at `<target>/<profile>/deps/<test>`, a binary at `<target>/<profile>/<binary>`.
    let candidates = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let mut searched = Vec::new();
    for candidate in candidates {
        if is_file(&candidate) {
            return candidate;
        }
        searched.push(candidate.display().to_string());
    }
    panic!("`{name}` is not at {}: build it with `{remedy}`, or set {variable}", searched.join(" nor at "));
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
