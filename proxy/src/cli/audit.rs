//! `mcpg audit show` and `mcpg audit verify`.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use mcpg::audit::{show, verify_dir};
use mcpg_ledger::verify::{Expected, Standing, Trust};

use super::{say, unless_closed};

/// Where a log keeps its own public key.
const PUBLIC_FILE: &str = "signing.pub";

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Print the rows of all organizations' logs, one JSON object a line. Shows what is there; whether it is genuine says
    /// `verify`.
    Show {
        /// The audit folder.
        dir: PathBuf,
    },
    /// Check every row, link and signature. Exits with 3 and names the first bad row when something is wrong.
    Verify {
        /// The audit folder.
        dir: PathBuf,
        /// A trusted public key (PEM). Without one the log's own `signing.pub` is taken: that finds damage, but not a log
        /// rewritten by somebody who replaced the key too.
        #[arg(long = "key")]
        keys: Vec<PathBuf>,
        /// A file of exported checkpoints, kept elsewhere, that the log must contain: finds a log cut off at its end.
        #[arg(long)]
        checkpoints: Vec<PathBuf>,
        /// A head written down earlier, `CHAIN:SEQ:HASH` as `verify` prints it, that the log must contain.
        #[arg(long)]
        head: Vec<Expected>,
        /// Whose log the folder must hold. Folders in `orgs/` must hold that of the organization that they are called by.
        #[arg(long)]
        organization: Option<String>,
        /// Accept a log whose oldest segments were removed by retention.
        #[arg(long)]
        allow_removed_prefix: bool,
    },
}

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show { dir } => {
                let mut out = BufWriter::new(io::stdout().lock());
                let mut written = Ok(());
                show::show_dir(&dir, |row| {
                    if written.is_ok() {
                        written = writeln!(out, "{row}");
                    }
                })?;
                unless_closed(written.and_then(|()| out.flush()))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Verify { dir, keys, checkpoints, head, organization, allow_removed_prefix } => {
                let keys = trusted(&dir, &keys)?;
                let mut expected = expected(&checkpoints, &keys)?;
                expected.extend(head);
                verify(&dir, &Trust { keys, expected, allow_removed_prefix, organization })
            }
        }
    }
}

fn verify(dir: &Path, trust: &Trust) -> anyhow::Result<ExitCode> {
    let report = verify_dir::verify_dir(dir, trust)?;
    say(&report)?;
    Ok(match report.standing() {
        Standing::Intact => ExitCode::SUCCESS,
        Standing::Torn => {
            eprintln!(
                "mcpg: the last row is incomplete: a crash leaves that, and the gateway repairs it when it starts"
            );
            ExitCode::from(3)
        }
        _ => ExitCode::from(3),
    })
}

fn trusted(dir: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<VerifyingKey>> {
    let own = [dir.join(PUBLIC_FILE)];
    if paths.is_empty() {
        eprintln!("mcpg: trusting the log's own `{PUBLIC_FILE}`; use --key with a copy kept elsewhere");
    }
    let paths = if paths.is_empty() { &own[..] } else { paths };
    paths.iter().map(|path| public_key(path)).collect()
}

fn public_key(path: &Path) -> anyhow::Result<VerifyingKey> {
    let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    VerifyingKey::from_public_key_pem(&pem)
        .map_err(|_| anyhow!("`{}` is no Ed25519 public key in PEM", path.display()))
}

fn expected(paths: &[PathBuf], keys: &[VerifyingKey]) -> anyhow::Result<Vec<Expected>> {
    let mut expected = Vec::new();
    for path in paths {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        for (number, line) in text.lines().enumerate() {
            let line = Expected::from_line(line, keys)
                .with_context(|| format!("`{}`, line {}", path.display(), number + 1))?;
            expected.push(line);
        }
    }
    Ok(expected)
}
