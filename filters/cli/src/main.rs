//! The plugin author's command line.
//!
//! `mcpg-plugins hash FILE` prints an artifact's digest; `mcpg-plugins inspect MANIFEST [--artifact FILE]` prints what a
//! manifest says as the gateway reads it, and checks the artifact against it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};
use mcpg_plugin_host::{Digest, Manifest};

/// Works on MCPG plugins and their manifests.
#[derive(Debug, Parser)]
#[command(name = "mcpg-plugins", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the digest and the size of an artifact, as a manifest names them.
    Hash {
        /// The artifact.
        file: PathBuf,
    },
    /// Prints what a manifest says; fails where the gateway would refuse it.
    Inspect {
        /// The manifest.
        manifest: PathBuf,
        /// Also check that these are the bytes the manifest speaks for.
        #[arg(long)]
        artifact: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match CommandLine::parse().command {
        Command::Hash { file } => hash(&file, &mut out),
        Command::Inspect { manifest, artifact } => inspect(&manifest, artifact.as_deref(), &mut out),
    }
}

fn hash(file: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let reading = || format!("cannot read `{}`", file.display());
    let artifact = File::open(file).with_context(reading)?;
    let (digest, bytes) = Digest::of_reader(artifact).with_context(reading)?;
    writeln!(out, "{digest} {bytes}")?;
    Ok(())
}

fn inspect(path: &Path, artifact: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
    let manifest =
        Manifest::parse(&read(path)?).with_context(|| format!("`{}` is refused", path.display()))?;
    writeln!(out, "id: {}", manifest.id)?;
    if let Some(version) = &manifest.version {
        writeln!(out, "version: {version:?}")?;
    }
    if let Some(kind) = manifest.kind {
        writeln!(out, "kind: {kind}")?;
    }
    for capability in &manifest.required_capabilities {
        writeln!(out, "requires: {capability}")?;
    }
    if let Some(artifact) = &manifest.artifact {
        writeln!(out, "artifact: {} {}", artifact.digest, artifact.size_bytes)?;
    }
    if let Some(file) = artifact {
        let named = manifest.artifact.context("the manifest names no artifact to check against")?;
        named.verify(&read(file)?).with_context(|| format!("`{}` is refused", file.display()))?;
        writeln!(out, "artifact verified: {}", file.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Writes a manifest and an artifact, runs `inspect`, and gives what it printed or the whole error.
    fn inspected(manifest: &str, artifact: Option<&str>) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        fs::write(&path, manifest).unwrap();
        let artifact = artifact.map(|bytes| {
            let path = folder.path().join("plugin.wasm");
            fs::write(&path, bytes).unwrap();
            path
        });
        let mut out = Vec::new();
        let prefix = format!("{}/", folder.path().display());
        inspect(&path, artifact.as_deref(), &mut out)
            .map(|()| String::from_utf8(out).unwrap().replace(&prefix, ""))
            .map_err(|error| format!("{error:#}").replace(&prefix, ""))
    }

    #[test]
    fn hash_prints_what_a_manifest_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin.wasm");
        fs::write(&file, "abc").unwrap();
        let mut out = Vec::new();
        hash(&file, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{ABC} 3\n"));
        assert!(hash(&folder.path().join("none"), &mut Vec::new()).is_err());
    }

    #[test]
    fn inspect_prints_and_verifies() {
        let manifest = format!(
            r#"{{"id": "redact-emails", "version": "1.0.0\n", "kind": "transform",
                "required_capabilities": ["cap.host.metrics_emit"],
                "artifact": {{"digest": "{ABC}", "size_bytes": 3}}}}"#
        );
        assert_eq!(
            inspected(&manifest, Some("abc")).unwrap(),
            format!(
                "id: redact-emails\nversion: \"1.0.0\\n\"\nkind: transform\nrequires: cap.host.metrics_emit\n\
                 artifact: {ABC} 3\nartifact verified: plugin.wasm\n"
            )
        );
        assert!(inspected(&manifest, Some("abd")).unwrap_err().contains("`plugin.wasm` is refused"));
    }

    #[test]
    fn inspect_fails_where_the_gateway_would_refuse() {
        let check = |manifest: &str, artifact: Option<&str>, expected: &str| {
            assert_eq!(inspected(manifest, artifact).unwrap_err(), expected);
        };
        check(
            r#"{"id": "a", "required_capabilities": ["cap.host.root"]}"#,
            None,
            "`manifest.json` is refused: `cap.host.root` is not a host capability",
        );
        check(r#"{"id": "a"}"#, Some("abc"), "the manifest names no artifact to check against");
    }
}
