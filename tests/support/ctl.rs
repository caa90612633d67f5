//! The operator's command line: the real binary, with a home of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{ControlPlane, binaries};

/// An operator at a machine of their own.
#[derive(Debug)]
pub struct Ctl {
    home: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ctl {
    /// One who knows of no control plane.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().expect("cannot make a folder"), environment: Vec::new() }
    }

    /// A control plane's first administrator.
    pub fn of(cp: &ControlPlane) -> Self {
        let file = cp.token_file();
        let file = file.to_str().expect("the path is text");
        Self::new().env("MCPG_CP_URL", &cp.url()).env("MCPG_CP_TOKEN_FILE", file)
    }

    /// Whoever has a token.
    pub fn with_token(cp: &ControlPlane, token: &str) -> Self {
        Self::new().env("MCPG_CP_URL", &cp.url()).env("MCPG_CP_TOKEN", token.trim_end())
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Their home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command, in their home and with nothing of this process's environment but where programs are.
    pub fn command(&self, program: &Path) -> Command {
        let binary = binaries::mcpg_ctl();
        let folder = binary.parent().expect("the binary is in a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env_clear().env("PATH", format!("{folder}:{path}")).env("HOME", self.home());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.home()).stdin(Stdio::null());
        command
    }

    /// Runs `mcpg-ctl`.
    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(&binaries::mcpg_ctl()).args(arguments).output().expect("cannot run mcpg-ctl"))
    }

    /// Runs a script by `sh`, which finds `mcpg-ctl` where it is.
    pub fn sh(&self, script: &str) -> Said {
        said(self.command(Path::new("sh")).args(["-euc", script]).output().expect("cannot run sh"))
    }

    /// Runs `mcpg-ctl` to a good end. Returns its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out
    }

    /// The same, as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// Runs `mcpg-ctl` to an exit code. Returns its standard error; standard output must be empty.
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let said = self.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {said:?}");
        said.err
    }
}

impl Default for Ctl {
    fn default() -> Self {
        Self::new()
    }
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
