//! `mcpg tools`: which definitions are pinned, what differs, and the approval of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use mcpg::pinning::{Approval, By, Digest, Record, Row, ToolKey, approve, survey};
use mcpg::reload::{Loaded, read};
use mcpg_config::{BindingKind, Config, PinRules};
use mcpg_protocol::Limits;
use mcpg_protocol::definition::{Diff, diff, printable};

/// Fields of one definition that are shown.
const CHANGES_MAX: usize = 100;
/// Characters of a new definition that are shown.
const DEFINITION_CHARS_MAX: usize = 4_000;
/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Tools {
    /// Show every tool that is known: approved, new or changed, and whether it is withheld.
    List {
        #[command(flatten)]
        gateway: Gateway,
        /// Only those that await approval.
        #[arg(long)]
        pending: bool,
    },
    /// Show what differs from what was approved, field by field.
    Diff {
        #[command(flatten)]
        gateway: Gateway,
        /// Which: `BINDING.TOOL`, or a binding for all of its tools. Without any: all that await approval.
        tools: Vec<String>,
    },
    /// Approve definitions as they were last seen. A running gateway notices within seconds.
    Approve {
        #[command(flatten)]
        gateway: Gateway,
        /// Which: `BINDING.TOOL`, or a binding for all of its tools.
        #[arg(required_unless_present = "all")]
        tools: Vec<String>,
        /// All that await approval.
        #[arg(long, conflicts_with = "tools")]
        all: bool,
        /// Only if the definition has this digest, or one that begins like this, as `mcpg tools diff` shows it.
        #[arg(long)]
        digest: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Gateway {
    /// The configuration file.
    #[arg(long, short, default_value = "/etc/mcpg/gateway.yaml", env = "MCPG_CONFIG")]
    config: PathBuf,
}

impl Tools {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { gateway, pending } => list(&gateway.config()?, pending),
            Self::Diff { gateway, tools } => show_differences(&gateway.config()?, &tools),
            Self::Approve { gateway, tools, digest, .. } => {
                approve_chosen(&gateway.config()?, &tools, digest.as_deref())
            }
        }
    }
}

impl Gateway {
    fn config(&self) -> anyhow::Result<Config> {
        let path = std::path::absolute(&self.config)?;
        let Loaded { config, .. } = read(&path).map_err(|problems| anyhow!(problems.join("\n")))?;
        Ok(config)
    }
}

fn list(config: &Config, only_pending: bool) -> anyhow::Result<ExitCode> {
    for row in rows(config)?.iter().filter(|row| !only_pending || row.pending.is_some()) {
        let (digest, note) = match (&row.pending, &row.approved) {
            (Some(pending), _) => (pending.digest, ""),
            (None, Some(approved)) => (approved.digest, approval(approved)),
            (None, None) => continue,
        };
        println!("{:<28} {}  {}{note}", standing(row), digest.short(), name(&row.key));
    }
    Ok(ExitCode::SUCCESS)
}

fn show_differences(config: &Config, tools: &[String]) -> anyhow::Result<ExitCode> {
    for row in chosen(rows(config)?, tools)? {
        let Some(pending) = &row.pending else {
            println!("{}: as it was approved", name(&row.key));
            continue;
        };
        println!("{} ({}), {}", name(&row.key), standing(&row), pending.digest);
        for line in differences(row.approved.as_ref(), pending) {
            println!("  {line}");
        }
        for hidden in &pending.hidden {
            println!("  hidden text: {}", printable(hidden, NAME_CHARS_MAX));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn approve_chosen(config: &Config, tools: &[String], digest: Option<&str>) -> anyhow::Result<ExitCode> {
    let rows = chosen(rows(config)?, tools)?;
    let open: Vec<(ToolKey, Digest)> =
        rows.iter().filter_map(|row| Some((row.key.clone(), row.pending.as_ref()?.digest))).collect();
    if let Some(wanted) = digest {
        let [(key, seen)] = open.as_slice() else {
            return Err(anyhow!("`--digest` is for one tool, and {} await approval", open.len()));
        };
        let wanted = wanted.strip_prefix("blake3:").unwrap_or(wanted);
        if wanted.len() < 8 || !seen.to_string().starts_with(&format!("blake3:{wanted}")) {
            return Err(anyhow!("{} has the digest {seen}; nothing was approved", name(key)));
        }
    }
    for row in rows.iter().filter(|row| row.pending.is_none()) {
        println!("{}: as it was approved", name(&row.key));
    }
    if open.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = approve(&config.pinning.lock_file, &config.state.dir, &open, SystemTime::now())?;
    if let Approval::Moved(key) = outcome {
        return Err(anyhow!("{} has changed again meanwhile; nothing was approved", name(&key)));
    }
    for (key, digest) in &open {
        println!("{}: approved {digest}", name(key));
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(config: &Config) -> anyhow::Result<Vec<Row>> {
    let rules = |id: &str| {
        let binding = config.bindings.iter().find(|binding| binding.id == id);
        binding.map_or_else(PinRules::default, |binding| {
            let BindingKind::Mcp(mcp) = &binding.kind;
            mcp.pinning
        })
    };
    Ok(survey(&config.pinning.lock_file, &config.state.dir, rules)?)
}

/// Those that are named; without names all that await approval.
fn chosen(rows: Vec<Row>, names: &[String]) -> anyhow::Result<Vec<Row>> {
    if names.is_empty() {
        return Ok(rows.into_iter().filter(|row| row.pending.is_some()).collect());
    }
    let is_meant = |row: &Row, wanted: &String| {
        let full = format!("{}.{}", row.key.binding, row.key.tool);
        // A name that cannot be typed can be copied from what is shown.
        full == *wanted || name(&row.key) == *wanted || (row.key.binding == *wanted && row.pending.is_some())
    };
    for wanted in names {
        if !rows.iter().any(|row| is_meant(row, wanted)) {
            return Err(anyhow!(
                "no tool `{}` is known, or awaits approval",
                printable(wanted, NAME_CHARS_MAX)
            ));
        }
    }
    Ok(rows.into_iter().filter(|row| names.iter().any(|wanted| is_meant(row, wanted))).collect())
}

fn standing(row: &Row) -> String {
    if row.pending.is_none() {
        return "approved".to_owned();
    }
    let words: Vec<&str> = row.findings.words().collect();
    format!("{}, {}", words.join("+"), if row.is_withheld { "withheld" } else { "served" })
}

fn approval(record: &Record) -> &'static str {
    match record.by {
        Some(By::FirstSight) => "  (at first sight)",
        Some(By::Operator) | None => "",
    }
}

fn differences(approved: Option<&Record>, pending: &Record) -> Vec<String> {
    let limits = Limits { depth_max: Limits::DEPTH_CEILING, ..Limits::default() };
    match (approved, &pending.definition) {
        (None, Some(definition)) => vec![printable(definition.as_str(), DEFINITION_CHARS_MAX)],
        (Some(Record { definition: Some(old), .. }), Some(new)) => {
            let Diff { changes, more } = diff(old, new, CHANGES_MAX, &limits);
            let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
            lines.extend((more > 0).then(|| format!("and {more} more")));
            lines
        }
        (Some(old), _) if old.digest == pending.digest => Vec::new(),
        _ => vec!["the definition is too long to be kept: only its digest is known".to_owned()],
    }
}

fn name(key: &ToolKey) -> String {
    printable(&format!("{}.{}", key.binding, key.tool), NAME_CHARS_MAX)
}
