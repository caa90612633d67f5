//! The message in Slack: who wants to call what with which arguments, two buttons, and afterwards how it ended.
//!
//! Everything that came from outside is in elements in which Slack interprets nothing (`plain_text` with `emoji` off, and text
//! elements of `rich_text`), so that no argument can mention a channel, show a link or end a block.
//!
//! Limits: "Reference: blocks" and "Block elements" of Slack's documentation.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::gate::Reason;
use crate::gate::question::{Conclusion, Question};
use crate::gate::show::visible;

/// What one text object may have.
const TEXT_CHARS_MAX: usize = 3000;
/// What a field, or one short line, shows of what came from outside.
const LINE_CHARS_MAX: usize = 300;
/// What notifications show.
const SUMMARY_CHARS_MAX: usize = 200;
/// The action of the button that approves.
pub(super) const APPROVE: &str = "mcpg-approve";
/// The action of the button that denies.
pub(super) const DENY: &str = "mcpg-deny";

/// The message as it is first posted.
pub(super) fn asked(question: &Question) -> Value {
    let summary = format!("Approve {}?", name(question));
    let mut blocks = facts(question, "Approval needed");
    blocks.push(json!({
        "type": "actions",
        "block_id": "mcpg-decision",
        "elements": [
            {
                "type": "button",
                "action_id": APPROVE,
                "style": "primary",
                "text": plain("Approve"),
                "value": &*question.id,
                "confirm": {
                    "title": plain("Approve this call?"),
                    "text": plain("It is made once, with exactly these arguments."),
                    "confirm": plain("Approve"),
                    "deny": plain("Back"),
                },
            },
            {
                "type": "button",
                "action_id": DENY,
                "style": "danger",
                "text": plain("Deny"),
                "value": &*question.id,
            },
        ],
    }));
    blocks.push(context(&until(question.deadline)));
    json!({ "text": cut(&summary, SUMMARY_CHARS_MAX), "blocks": blocks })
}

/// The message once nothing can be decided any more.
pub(super) fn concluded(question: &Question, conclusion: &Conclusion) -> Value {
    let (title, line) = match conclusion {
        Conclusion::Approved { by, reason } => ("Approved", answered("Approved", by, reason.as_ref())),
        Conclusion::Denied { by, reason } => ("Denied", answered("Denied", by, reason.as_ref())),
        Conclusion::Expired => ("Expired", "Nobody answered in time: the call was not made.".to_owned()),
        Conclusion::Cancelled => ("Cancelled", "The caller gave up: the call was not made.".to_owned()),
    };
    let summary = format!("{title}: {}", name(question));
    let mut blocks = facts(question, title);
    blocks.push(context(&line));
    json!({ "text": cut(&summary, SUMMARY_CHARS_MAX), "blocks": blocks })
}

fn answered(how: &str, by: &str, reason: Option<&Reason>) -> String {
    match reason {
        None => format!("{how} by {}.", person(by)),
        Some(reason) => {
            format!("{how} by {}: {}", person(by), cut(&visible(reason.as_str()), LINE_CHARS_MAX))
        }
    }
}

/// What only the one who pressed a button sees.
pub(super) fn ephemeral(text: &str) -> Value {
    json!({ "response_type": "ephemeral", "replace_original": false, "text": text })
}

fn facts(question: &Question, title: &str) -> Vec<Value> {
    let mut blocks = vec![
        json!({ "type": "header", "block_id": "mcpg-title", "text": plain(title) }),
        json!({
            "type": "section",
            "block_id": "mcpg-call",
            "fields": [
                field("Tool", &name(question)),
                field("Caller", &question.caller),
                field("Scope", &question.scope),
                field("Approval", &question.id),
            ],
        }),
    ];
    match &question.arguments {
        None => blocks.push(context("Without arguments.")),
        Some(arguments) => {
            for (index, piece) in pieces(arguments, TEXT_CHARS_MAX).into_iter().enumerate() {
                blocks.push(json!({
                    "type": "rich_text",
                    "block_id": format!("mcpg-arguments-{index}"),
                    "elements": [{
                        "type": "rich_text_preformatted",
                        "elements": [{ "type": "text", "text": piece }],
                    }],
                }));
            }
        }
    }
    if let Some(page) = &question.page {
        blocks.push(json!({
            "type": "rich_text",
            "block_id": "mcpg-page",
            "elements": [{
                "type": "rich_text_section",
                "elements": [{ "type": "link", "url": &**page, "text": "Status page" }],
            }],
        }));
    }
    blocks
}

/// `files.delete`, or what else is called.
fn name(question: &Question) -> String {
    let target = visible(&question.target);
    match &*question.method {
        "tools/call" => format!("{}.{target}", question.binding),
        method => format!("{method} {}: {target}", question.binding),
    }
}

fn field(label: &str, value: &str) -> Value {
    plain(&format!("{label}\n{}", cut(&visible(value), LINE_CHARS_MAX)))
}

fn context(line: &str) -> Value {
    json!({ "type": "context", "elements": [plain(line)] })
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": cut(text, TEXT_CHARS_MAX), "emoji": false })
}

/// `slack:T1/U2` as people know it. Nobody is mentioned: they know what they did.
fn person(by: &str) -> String {
    cut(&visible(by), LINE_CHARS_MAX)
}

/// In UTC, to the second.
fn until(deadline: SystemTime) -> String {
    let seconds = deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let time = time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    format!("Waits until {time}.")
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The text in pieces of so many characters at most, broken at ends of lines where there are any.
fn pieces(text: &str, chars_max: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut count = 0;
    for line in text.split_inclusive('\n') {
        let length = line.chars().count();
        if count + length > chars_max && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
            count = 0;
        }
        for char in line.chars() {
            if count == chars_max {
                pieces.push(std::mem::take(&mut piece));
                count = 0;
            }
            piece.push(char);
            count += 1;
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}
