//! Reads `audit:`, or the same settings from the entry of `observability.audit`. Both at once is an error.

use std::time::Duration;

use mcpg_sdk::Base;

use crate::place::{Place, Report};
use crate::plugins::{builtin, read::entries};
use crate::yaml::Kind;
use crate::{Audit, AuditMode, KeySource, RecordInput, structure, wire};

/// Reads the settings from where they are written; the defaults if they are nowhere.
pub(crate) fn read(root: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Option<Audit> {
    let section = root.child("audit");
    let Some(config) = plugin_config(root) else { return read_at(&section, base, report) };
    structure::check::<wire::audit::Audit>(&config, report);
    if section.node.is_some() {
        let message = format!("the ledger is configured here and in `audit`, line {}", section.position.line);
        report.error_with_help(&config, message, "keep one of the two");
        return None;
    }
    read_at(&config, base, report)
}

/// The `config` of the plugin entry, if it says anything.
fn plugin_config<'a>(root: &Place<'a>) -> Option<Place<'a>> {
    let entries = entries(&root.child("plugins")).one_or_many();
    let is_audit = |entry: &&Place<'_>| {
        let id = entry.child("id").text().and_then(builtin::find);
        id.is_some_and(|builtin| builtin.id == builtin::AUDIT)
    };
    let config = entries.iter().find(is_audit)?.child("config");
    matches!(&config.node?.kind, Kind::Map(entries) if !entries.is_empty()).then_some(config)
}

fn read_at(place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Option<Audit> {
    let read = report.read::<wire::audit::Audit>(place)?;
    if read.dir.is_empty() {
        report.error(&place.child("dir"), "the path is empty");
    }
    let signing_key = match read.signing_key.map(|text| KeySource::parse(&text, base)) {
        None => None,
        Some(Ok(source)) => Some(source),
        Some(Err(error)) => {
            let help = "write the path of the key's file, or a reference such as `$secret://env/NAME`";
            report.error_with_help(&place.child("signing_key"), error.to_string(), help);
            None
        }
    };
    let mode = match read.mode {
        wire::audit::Mode::Written => AuditMode::Written,
        wire::audit::Mode::Sync => AuditMode::Sync,
        wire::audit::Mode::Async => AuditMode::Async,
    };
    Some(Audit {
        dir: base.dir().join(read.dir),
        mode,
        signing_key,
        fsync_interval: Duration::from_millis(read.fsync_interval_ms),
        checkpoint_rows: read.checkpoint_rows,
        checkpoint_interval: Duration::from_millis(read.checkpoint_interval_ms),
        segment_bytes_max: read.segment_bytes_max,
        queue_rows_max: read.queue_rows_max,
        organizations_open_max: read.organizations_open_max,
        record_input: match read.record_input {
            wire::audit::RecordInput::None => RecordInput::None,
            wire::audit::RecordInput::Read => RecordInput::Read,
            wire::audit::RecordInput::Full => RecordInput::Full,
        },
        record_input_mask: read.record_input_mask,
    })
}
