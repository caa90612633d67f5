//! The audit log as the operator sees it: through the gateway's own commands.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::run_mcpg;

/// An audit folder.
#[derive(Debug, Clone)]
pub struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// The ledger in `dir`.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `mcpg audit verify`.
    pub fn verify(&self) -> Output {
        run_mcpg(&["audit".as_ref(), "verify".as_ref(), self.dir.as_os_str()])
    }

    /// The rows, oldest first, by `mcpg audit show`: one JSON object a line.
    pub fn rows(&self) -> Vec<Value> {
        let output = run_mcpg(&["audit".as_ref(), "show".as_ref(), self.dir.as_os_str()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "audit show: {text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(|line| serde_json::from_str(line).expect("a row should be JSON")).collect()
    }

    /// The segment files, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        let segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
        self.files().into_iter().filter(segment).collect()
    }

    /// Every file in the folder and below.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.dir, &mut files);
        files.sort();
        files
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
