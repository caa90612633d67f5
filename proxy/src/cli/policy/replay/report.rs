//! What a replay found: for people, for programs, and as a table.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::changes::{Change, Changes, Counted, Group};

/// Groups of each change, and callers of each group, that the text shows.
const GROUPS_SHOWN: usize = 50;
const CALLERS_SHOWN: usize = 3;

const ORDER: [(Change, &str); 5] = [
    (Change::PermitToDeny, "permit -> deny"),
    (Change::DenyToPermit, "deny -> permit"),
    (Change::Obligations, "other obligations"),
    (Change::Policy, "same decision, other policy"),
    (Change::Undecidable, "undecidable: not recorded"),
];

pub(super) fn as_text(changes: &Changes) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} decisions, {} distinct: {} unchanged, {} not of policy",
        changes.decisions, changes.distinct, changes.unchanged, changes.skipped
    );
    for (change, title) in ORDER {
        let count = changes.of(change);
        if count == 0 {
            continue;
        }
        let _ = writeln!(text, "\n{title}: {count}");
        let mut groups: Vec<_> = changes.groups.iter().filter(|(group, _)| group.change == change).collect();
        groups.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.count));
        let more = groups.len().saturating_sub(GROUPS_SHOWN);
        for (group, counted) in groups.into_iter().take(GROUPS_SHOWN) {
            describe(&mut text, group, counted);
        }
        if more > 0 {
            let _ = writeln!(text, "  and {more} groups more: --format csv has all");
        }
    }
    text
}

fn describe(text: &mut String, group: &Group, counted: &Counted) {
    let target = if group.target.is_empty() { &group.method } else { &group.target };
    let _ = writeln!(text, "  {:>8}  {} {target}  ({})", counted.count, group.binding, group.scope);
    if group.change == Change::Undecidable {
        let _ = writeln!(text, "            missing: {}", group.after);
    } else {
        let _ = writeln!(text, "            was:     {}", group.before);
        let _ = writeln!(text, "            becomes: {}", group.after);
    }
    let mut callers: Vec<_> = counted.callers.iter().collect();
    callers.sort_by_key(|(subject, count)| (std::cmp::Reverse(**count), (*subject).clone()));
    let shown: Vec<_> =
        callers.iter().take(CALLERS_SHOWN).map(|(subject, count)| format!("{subject} ({count})")).collect();
    let more = callers.len().saturating_sub(CALLERS_SHOWN);
    let more = match (more, counted.other_callers) {
        (0, 0) => String::new(),
        (more, 0) => format!(" and {more} more"),
        (more, _) => format!(" and over {more} more"),
    };
    let _ = writeln!(text, "            callers: {}{more}", shown.join(", "));
    let _ = writeln!(text, "            requests: {}", counted.examples.join(" "));
}

pub(super) fn as_json(changes: &Changes) -> Value {
    let groups: Vec<Value> = changes
        .groups
        .iter()
        .map(|(group, counted)| {
            json!({
                "change": group.change,
                "scope": group.scope,
                "binding": group.binding,
                "method": group.method,
                "target": group.target,
                "before": group.before,
                "after": group.after,
                "count": counted.count,
                "callers": counted.callers,
                "other_callers": counted.other_callers,
                "examples": counted.examples,
                "first": rfc3339(counted.first),
                "last": rfc3339(counted.last),
            })
        })
        .collect();
    json!({
        "decisions": changes.decisions,
        "distinct": changes.distinct,
        "unchanged": changes.unchanged,
        "not_of_policy": changes.skipped,
        "permit_to_deny": changes.of(Change::PermitToDeny),
        "deny_to_permit": changes.of(Change::DenyToPermit),
        "obligations": changes.of(Change::Obligations),
        "policy": changes.of(Change::Policy),
        "undecidable": changes.of(Change::Undecidable),
        "groups": groups,
    })
}

/// A line for each caller of each group.
pub(super) fn as_csv(changes: &Changes) -> String {
    let mut text = String::from("change,scope,binding,method,target,before,after,caller,count,example\n");
    for (group, counted) in &changes.groups {
        let change = json!(group.change);
        let example = counted.examples.first().map_or("", String::as_str);
        let others = (counted.other_callers > 0).then_some(("(others)", &counted.other_callers));
        for (caller, count) in
            counted.callers.iter().map(|(caller, count)| (caller.as_str(), count)).chain(others)
        {
            let count = count.to_string();
            let cells = [
                change.as_str().unwrap_or_default(),
                &group.scope,
                &group.binding,
                &group.method,
                &group.target,
                &group.before,
                &group.after,
                caller,
                &count,
                example,
            ];
            let _ = writeln!(text, "{}", cells.map(cell).join(","));
        }
    }
    text
}

/// RFC 4180; what a spreadsheet would take for a formula is no formula.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn rfc3339(unix_nanos: u64) -> String {
    let nanos = i64::try_from(unix_nanos).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
