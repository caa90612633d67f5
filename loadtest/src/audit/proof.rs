//! The whole chain handed out, and verified by the program that operators verify it with.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mcpg_cp_api::AuditKeys;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::sleep;

use super::{Settings, rate, show};
use crate::http::{Connection, Request};
use crate::operator::Operator;
use crate::process::{Used, tree, used};

/// How often the memory of the verifier is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Exports the chain, verifies the export, and compares it with what was sent.
pub(super) async fn run(
    settings: &Settings,
    operator: &Operator,
    organization: &str,
    sent: u64,
) -> anyhow::Result<()> {
    let file = settings.folder.join(format!("{organization}.audit"));
    let exported = export(settings, operator, organization, &file).await;
    let verified = match (exported, &settings.ctl) {
        (Ok(()), Some(ctl)) => verify(ctl, operator, organization, &file, sent).await,
        (exported, _) => exported,
    };
    // It may be several gigabytes.
    std::fs::remove_file(&file)?;
    verified
}

async fn export(
    settings: &Settings,
    operator: &Operator,
    organization: &str,
    file: &Path,
) -> anyhow::Result<()> {
    let before = settings.process.and_then(tree);
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(file)?);
    let path = format!("/v1/orgs/{organization}/audit/export");
    let request = Request { method: "GET", path: &path, bearer: &operator.token, headers: "", body: "" };
    let begun = Instant::now();
    let mut connection = Connection::open(operator.address).await?;
    let status = connection.follow(request).await?;
    if status != 200 {
        bail!("the export is answered with {status}");
    }
    let mut bytes = 0;
    while let Some(piece) = connection.chunk().await? {
        bytes += piece.len();
        out.write_all(&piece)?;
    }
    out.flush()?;
    let time = begun.elapsed();
    let mib = rate(u64::try_from(bytes)?, time) / f64::from(1 << 20);
    println!("export: {} MiB in {:.1} s, {mib:.0} MiB/s", bytes >> 20, time.as_secs_f64());
    show("export, control plane", settings, before, time, 0);
    Ok(())
}

async fn verify(
    ctl: &Path,
    operator: &Operator,
    organization: &str,
    file: &Path,
    sent: u64,
) -> anyhow::Result<()> {
    let keys: AuditKeys = operator.get(&format!("/v1/orgs/{organization}/audit/keys")).await?;
    let mut command = Command::new(ctl);
    command.args(["audit", "verify", "--complete", "--output", "json", "--organization", organization]);
    for key in keys.items {
        command.args(["--key", &key.public_key]);
    }
    let begun = Instant::now();
    let mut child = command.arg(file).stdout(Stdio::piped()).spawn().context("the verifier")?;
    let id = child.id().context("the verifier has ended")?;
    let mut most = Used::default();
    while child.try_wait()?.is_none() {
        most = used(id).unwrap_or(most);
        sleep(LOOK_EVERY).await;
    }
    let time = begun.elapsed();
    let output = child.wait_with_output().await?;
    let verdict: Value = serde_json::from_slice(&output.stdout).context("the verifier's verdict")?;
    let number = |name: &str| verdict.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (rows, gateways) = (number("rows"), number("gateway_rows"));
    println!(
        "verify: {}, {rows} rows of which {gateways} are gateways', {} signatures, in {:.1} s: {:.0} rows/s; processor {:.1} s, memory at most {} MiB",
        verdict.get("verdict").and_then(Value::as_str).unwrap_or("no verdict"),
        number("checkpoints"),
        time.as_secs_f64(),
        rate(rows, time),
        most.processor.as_secs_f64(),
        most.resident_most_kib / 1024
    );
    if !output.status.success() || gateways != sent {
        bail!("{verdict}: {sent} rows were sent");
    }
    Ok(())
}
