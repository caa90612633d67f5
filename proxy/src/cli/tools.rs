//! `mcpg tools`: which definitions are pinned, what differs, and the approval of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use mcpg::pinning::{Approval, By, Digest, Record, Row, ToolKey, approve, survey};
use mcpg::reload::{Loaded, read};
use mcpg_config::{BindingKind, Config, PinRules};
use mcpg_protocol::Limits;
use mcpg_protocol::definition::{Diff, diff, printable};
use mcpg_sdk::Scope;

/// Fields of one definition that are shown.
const CHANGES_MAX: usize = 100;
/// Characters of a new definition that are shown.
const DEFINITION_CHARS_MAX: usize = 4_000;
/// Hexadecimal digits that tell a digest from others.
const DIGEST_CHARS_MIN: usize = 8;
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
    /// The scope, where the file has several: `org/workspace/env`. Default: that of its top level.
    #[arg(long)]
    scope: Option<Scope>,
}

impl Tools {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        super::say(self.answer(SystemTime::now())?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Does what was asked, and says what there is to say: lines, each ended.
    fn answer(self, now: SystemTime) -> anyhow::Result<String> {
        match self {
            Self::List { gateway, pending } => list(&gateway.config()?, pending),
            Self::Diff { gateway, tools } => show_differences(&gateway.config()?, &tools),
            Self::Approve { gateway, tools, digest, .. } => {
                approve_chosen(&gateway.config()?, &tools, digest.as_deref(), now)
            }
        }
    }
}

impl Gateway {
    /// The configuration of the scope.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let path = std::path::absolute(&self.config)?;
        let Loaded { config, .. } =
            read(&path, self.scope.as_ref()).map_err(|problems| anyhow!(problems.join("\n")))?;
        if config.bindings.is_empty() {
            bail!("all scopes of this file are in `tenancy.scopes`: name one with `--scope`");
        }
        Ok(config)
    }
}

fn list(config: &Config, only_pending: bool) -> anyhow::Result<String> {
    let mut said = String::new();
    for row in rows(config)?.iter().filter(|row| !only_pending || row.pending.is_some()) {
        let (digest, note) = match (&row.pending, &row.approved) {
            (Some(pending), _) => (pending.digest, ""),
            (None, Some(approved)) => (approved.digest, approval(approved)),
            (None, None) => continue,
        };
        said += &format!("{:<24} {}  {}{note}\n", standing(row), digest.short(), name(&row.key));
    }
    Ok(said)
}

fn show_differences(config: &Config, tools: &[String]) -> anyhow::Result<String> {
    let mut said = String::new();
    for row in chosen(rows(config)?, tools)? {
        let Some(pending) = &row.pending else {
            said += &format!("{}: as it was approved\n", name(&row.key));
            continue;
        };
        said += &format!("{}: {}, {}\n", name(&row.key), standing(&row), pending.digest);
        for line in differences(row.approved.as_ref(), pending) {
            said += &format!("  {line}\n");
        }
        for hidden in &pending.hidden {
            said += &format!("  hidden text in {}\n", printable(hidden, NAME_CHARS_MAX));
        }
    }
    Ok(said)
}

fn approve_chosen(
    config: &Config,
    tools: &[String],
    digest: Option<&str>,
    now: SystemTime,
) -> anyhow::Result<String> {
    let rows = chosen(rows(config)?, tools)?;
    let open: Vec<(ToolKey, Digest)> =
        rows.iter().filter_map(|row| Some((row.key.clone(), row.pending.as_ref()?.digest))).collect();
    if let Some(wanted) = digest {
        check_digest(&open, wanted)?;
    }
    let unchanged = rows.iter().filter(|row| row.pending.is_none());
    let mut said: String = unchanged.map(|row| format!("{}: as it was approved\n", name(&row.key))).collect();
    if open.is_empty() {
        return Ok(said);
    }
    match approve(&config.pinning.lock_file, &config.state.dir, &open, now)? {
        Approval::Moved(key) => {
            Err(anyhow!("`{}` has changed again meanwhile; nothing was approved", name(&key)))
        }
        Approval::Done => {
            said.extend(open.iter().map(|(key, digest)| format!("{}: approved {digest}\n", name(key))));
            Ok(said)
        }
    }
}

/// That the one tool has the digest that was looked at.
fn check_digest(open: &[(ToolKey, Digest)], wanted: &str) -> anyhow::Result<()> {
    let [(key, seen)] = open else {
        return Err(anyhow!("`--digest` is for one tool, and {} await approval", open.len()));
    };
    let wanted = wanted.strip_prefix("blake3:").unwrap_or(wanted);
    if wanted.len() < DIGEST_CHARS_MIN || !seen.to_string().starts_with(&format!("blake3:{wanted}")) {
        return Err(anyhow!("`{}` has the digest {seen}; nothing was approved", name(key)));
    }
    Ok(())
}

/// Every tool that is known of a scope.
pub(super) fn rows(config: &Config) -> anyhow::Result<Vec<Row>> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use mcpg::metrics::Metrics;
    use mcpg::pinning::Pins;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        tools: Tools,
    }

    /// A folder with a configuration, of which a gateway has seen a list of tools twice.
    fn place() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let text = "bindings: [{ id: git, type: mcp, url: 'http://a/', pinning: { on_change: hold } }]\n";
        std::fs::write(dir.path().join("gateway.yaml"), text).unwrap();
        let pins = gateway(&dir);
        let now = SystemTime::UNIX_EPOCH;
        let clone = r#"{"name":"clone","description":"clones"}"#;
        let (log, sly) = (r#"{"name":"log"}"#, r#"{"name":"sly","title":"\u202ex"}"#);
        pins.judge("git", &[("clone", clone), ("log", log), ("sly", sly)], now);
        pins.save();
        pins.judge("git", &[("clone", r#"{"name":"clone","description":"clones and deletes"}"#)], now);
        pins.save();
        dir
    }

    fn gateway(dir: &tempfile::TempDir) -> std::sync::Arc<Pins> {
        let state = dir.path().join("state");
        Pins::open(&state.join("tools.lock"), &state, Metrics::new().unwrap()).unwrap()
    }

    /// What a command says; its error after `error: `.
    fn said(dir: &tempfile::TempDir, line: &[&str]) -> String {
        let config = dir.path().join("gateway.yaml");
        let (action, rest) = line.split_first().unwrap();
        let line =
            ["tools", action, "--config", config.to_str().unwrap()].into_iter().chain(rest.iter().copied());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        match Line::try_parse_from(line) {
            Ok(line) => line.tools.answer(now).unwrap_or_else(|error| format!("error: {error}")),
            Err(error) => format!("usage: {:?}", error.kind()),
        }
    }

    #[test]
    fn what_awaits_approval_is_listed_compared_and_approved() {
        let dir = place();
        let listed = said(&dir, &["list"]);
        let words: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0][..2], ["changed,", "withheld"]);
        assert_eq!((words[0][3], words[1][0], words[1][2]), ("git.clone", "approved", "git.log"));
        assert_eq!(words[2][..2], ["new+hidden_text,", "withheld"]);
        assert_eq!(said(&dir, &["list", "--pending"]).lines().count(), 2);

        let shown = said(&dir, &["diff", "git.clone"]);
        assert!(shown.ends_with("\n  /description: \"clones\" -> \"clones and deletes\"\n"), "{shown}");
        let shown = said(&dir, &["diff"]);
        assert!(shown.contains("  {\"name\":\"sly\",\"title\":\"\\u{202e}x\"}\n"), "{shown}");
        assert!(shown.contains("  hidden text in /title: bidi U+202E at 0\n"), "{shown}");
        assert_eq!(said(&dir, &["diff", "git.log"]), "git.log: as it was approved\n");

        let approved = said(&dir, &["approve", "git.clone", "git.log"]);
        assert!(
            approved.starts_with("git.log: as it was approved\ngit.clone: approved blake3:"),
            "{approved}"
        );
        assert_eq!(said(&dir, &["list", "--pending"]).lines().count(), 1);
        assert!(said(&dir, &["approve", "--all"]).starts_with("git.sly: approved blake3:"));
        assert_eq!(said(&dir, &["list", "--pending"]), "");
        assert_eq!(said(&dir, &["approve", "--all"]), "");
    }

    #[test]
    fn nothing_is_approved_by_mistake() {
        let dir = place();
        assert_eq!(said(&dir, &["approve"]), "usage: MissingRequiredArgument");
        assert_eq!(said(&dir, &["approve", "--all", "git.log"]), "usage: ArgumentConflict");
        for (line, error) in [
            (&["approve", "git.clone", "git.nothing"][..], "no tool `git.nothing` is known"),
            (&["approve", "other"], "no tool `other` is known"),
            (&["approve", "git.clone", "--digest", "00000000"], "nothing was approved"),
            (&["approve", "git.clone", "--digest", ""], "nothing was approved"),
            (&["approve", "git", "--digest", "00000000"], "`--digest` is for one tool, and 2 await approval"),
        ] {
            let answer = said(&dir, line);
            assert!(answer.starts_with("error: ") && answer.contains(error), "{line:?}: {answer}");
        }
        assert_eq!(said(&dir, &["list", "--pending"]).lines().count(), 2);
        let shown = said(&dir, &["diff", "git.clone"]);
        let digest = shown.split_whitespace().find(|word| word.starts_with("blake3:")).unwrap();
        let begin: String = digest.chars().take(20).collect();
        assert!(said(&dir, &["approve", "git.clone", "--digest", &begin]).contains("approved"));
    }
}
