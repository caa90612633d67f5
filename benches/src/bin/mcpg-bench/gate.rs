//! Counts the instructions of each operation under callgrind and compares them with `benches/budgets.txt`.
//!
//! An operation is set up and run twice uncounted, so that everything is warm, and then counted a number of times. Nothing here is
//! timed, so a busy machine gives the same answer.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use mcpg_benches::ops::{OPS, Op, Run};
use mcpg_benches::process::find;

/// An operation may take this much more than its budget, in percent.
const TOLERANCE_PERCENT: u64 = 10;
const WARM_UP: u32 = 2;
/// What a test runner calls "could not be run here".
const SKIPPED: u8 = 75;

/// Instruction counts against their budgets.
#[derive(Args)]
pub(crate) struct Options {
    /// The file with the budgets.
    #[arg(long, default_value = "benches/budgets.txt")]
    budgets: PathBuf,
    /// Write what was counted as the new budgets.
    #[arg(long)]
    update: bool,
    /// Only operations whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    #[command(subcommand)]
    inner: Option<Inner>,
}

#[derive(Subcommand)]
enum Inner {
    /// Runs an operation so many times under the counter.
    #[command(hide = true)]
    Repeat { name: String, times: u32 },
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(Inner::Repeat { name, times }) = &options.inner {
        let mut run = Op::find(name)?.build()?;
        (0..WARM_UP).for_each(|_| run());
        counted(&mut run, *times);
        return Ok(ExitCode::SUCCESS);
    }
    if find("valgrind").is_none() {
        eprintln!("mcpg-bench: SKIPPED, valgrind is not installed: no instruction was counted");
        return Ok(ExitCode::from(SKIPPED));
    }
    let budgets = if options.update { Vec::new() } else { read(options)? };
    let (mut counted, mut over) = (String::new(), 0);
    println!("{:<24}{:>14}{:>14}{:>9}", "instructions", "counted", "budget", "");
    for op in OPS.iter().filter(|op| op.name.contains(&options.only)) {
        let Some(repeat) = op.repeat else { continue };
        let count = count(op.name, repeat)?;
        let _ = writeln!(counted, "{} {count}", op.name);
        let budget = budgets.iter().find(|(name, _)| name == op.name).map(|(_, budget)| *budget);
        let verdict = match budget {
            None if options.update => "",
            None => "no budget",
            Some(budget) if count * 100 > budget * (100 + TOLERANCE_PERCENT) => "OVER",
            Some(budget) if count * (100 + TOLERANCE_PERCENT) < budget * 100 => "under: lower it",
            Some(_) => "ok",
        };
        over += usize::from(matches!(verdict, "OVER" | "no budget"));
        let budget = budget.map_or_else(|| "-".to_owned(), |budget| budget.to_string());
        println!("{:<24}{count:>14}{budget:>14}  {verdict}", op.name);
    }
    if options.update {
        write(options, &counted)?;
    }
    Ok(if over == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What callgrind counts: from the entry of this function to its return.
#[inline(never)]
fn counted(run: &mut Run, times: u32) {
    for _ in 0..times {
        run();
    }
}

/// Instructions of one repetition.
fn count(name: &str, repeat: u32) -> anyhow::Result<u64> {
    let own = std::env::current_exe()?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=mcpg_bench::gate::counted",
        ])
        .arg(own)
        .args(["gate", "repeat", name, &repeat.to_string()])
        .output()
        .context("cannot run valgrind")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind on `{name}`: {log}");
    let line =
        log.lines().find_map(|line| line.split_once("Collected :")).context("valgrind counted nothing")?;
    let total: u64 = line.1.trim().parse()?;
    ensure!(total > 0, "valgrind counted nothing");
    Ok(total / u64::from(repeat))
}

fn read(options: &Options) -> anyhow::Result<Vec<(String, u64)>> {
    let path = &options.budgets;
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, budget) = line.split_once(' ').with_context(|| format!("`{line}` is no budget"))?;
            Ok((name.to_owned(), budget.trim().parse().with_context(|| format!("`{line}` is no budget"))?))
        })
        .collect()
}

fn write(options: &Options, counted: &str) -> anyhow::Result<()> {
    let head = "# Instructions of one operation (x86-64, profile `bench`), as `make bench PARTS=gate` counts them; 10 % over fails.\n\
                # `mcpg-bench gate --update` writes this file: say in the commit why a budget rises.\n";
    fs::write(&options.budgets, format!("{head}{counted}"))?;
    Ok(())
}
