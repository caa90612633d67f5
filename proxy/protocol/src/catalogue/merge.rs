//! What an endpoint says of itself: the capabilities and instructions of its bindings, united.
//!
//! Advertised is what the gateway can do for this client and no more:
//! - Tools, prompts, resources, logging and completions where any binding has them; `listChanged` and `subscribe` likewise.
//! - Tasks of the client's own era only: the two protocols of tasks cannot be bridged. `tasks/list` of 2025-11-25 only for one
//!   binding: several have no common cursor.
//! - Of extensions, Tasks (2026-07-28) where any binding has it. MCP Apps only where resources keep their own URIs, since apps are
//!   found by `ui://`. For several bindings no other: the gateway could not tell which binding an unknown message is for.
//! - `experimental` for one binding only.

use super::capabilities::{Advertised, Offer, TASKS, TaskOffer, UI};
use super::{About, ListError};
use crate::{Era, Limits, write_string};

/// A binding and what its server says of itself.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The binding's id.
    pub binding: &'a str,
    /// What its server says.
    pub about: &'a About<'a>,
    /// The era that it is spoken to in.
    pub era: Era,
}

/// The `capabilities` of an endpoint with these bindings for a client of `era`: the text of an object. With `prefixed`, names carry
/// their binding's prefix. One binding that is not prefixed keeps everything it says that the client's era has.
///
/// # Errors
/// If a binding's capabilities are not strict JSON.
pub fn united_capabilities(
    parts: &[Part<'_>],
    era: Era,
    prefixed: bool,
    limits: &Limits,
) -> Result<String, ListError> {
    if let ([part], false) = (parts, prefixed) {
        return bridged(part, era, limits);
    }
    let mut united = Advertised::default();
    for part in parts {
        let one = Advertised::parse(part.about.capabilities, limits)?;
        unite(&mut united.tools, one.tools);
        unite(&mut united.prompts, one.prompts);
        unite(&mut united.resources, one.resources);
        united.logging |= one.logging;
        united.completions |= one.completions;
        if part.era != era {
            continue;
        }
        match era {
            Era::Legacy => unite_tasks(&mut united.tasks, one.tasks, parts.len() == 1),
            Era::Modern => united.extensions.extend(
                one.extensions.into_iter().filter(|(name, _)| name == TASKS || name == UI && !prefixed),
            ),
        }
    }
    united.extensions.sort();
    united.extensions.dedup_by(|one, other| one.0 == other.0);
    Ok(written(&united))
}

/// The instructions of all bindings that have some, each under a heading with the binding's id. Alone and unprefixed, a binding's
/// own.
pub fn united_instructions(parts: &[Part<'_>], prefixed: bool) -> Option<String> {
    let texts = || {
        let text =
            |part: &'_ Part<'_>| part.about.instructions.as_deref().map(str::trim_end).map(str::to_owned);
        parts.iter().filter_map(move |part| Some((part.binding, text(part).filter(|text| !text.is_empty())?)))
    };
    if let ([part], false) = (parts, prefixed) {
        return part.about.instructions.as_deref().map(str::to_owned);
    }
    let mut united = String::new();
    for (binding, text) in texts() {
        if !united.is_empty() {
            united.push_str("\n\n");
        }
        united.push_str("# ");
        united.push_str(binding);
        united.push_str("\n\n");
        if prefixed {
            united.push_str(&format!(
                "Tools and prompts named here are called `{binding}.NAME`, resources `{binding}+URI`.\n\n"
            ));
        }
        united.push_str(&text);
    }
    (!united.is_empty()).then_some(united)
}

/// The capabilities of a server without what cannot be had from it across the eras.
fn bridged(part: &Part<'_>, era: Era, limits: &Limits) -> Result<String, ListError> {
    let mut out = Vec::new();
    for member in super::about::members(part.about.capabilities, limits)?.unwrap_or_default() {
        let raw = match &*member.key {
            "tasks" if era != part.era || era == Era::Modern => continue,
            "extensions" if era != part.era => without(member.raw, TASKS, limits)?,
            _ => member.raw.to_owned(),
        };
        write_member(&mut out, &member.key, &raw);
    }
    Ok(object(out))
}

/// An object without one of its members.
fn without(text: &str, name: &str, limits: &Limits) -> Result<String, ListError> {
    let mut out = Vec::new();
    for member in super::about::members(text, limits)?.unwrap_or_default() {
        if member.key != name {
            write_member(&mut out, &member.key, member.raw);
        }
    }
    Ok(object(out))
}

fn unite(united: &mut Option<Offer>, one: Option<Offer>) {
    let Some(one) = one else { return };
    let united = united.get_or_insert_default();
    united.list_changed |= one.list_changed;
    united.subscribe |= one.subscribe;
}

fn unite_tasks(united: &mut Option<TaskOffer>, one: Option<TaskOffer>, alone: bool) {
    let Some(one) = one else { return };
    let united = united.get_or_insert_default();
    united.list |= one.list && alone;
    united.cancel |= one.cancel;
    united.call |= one.call;
}

fn written(united: &Advertised<'_>) -> String {
    let mut out = Vec::new();
    let flags = |flags: &[(&str, bool)]| {
        let set: Vec<String> =
            flags.iter().filter(|(_, set)| *set).map(|(name, _)| format!(r#""{name}":true"#)).collect();
        format!("{{{}}}", set.join(","))
    };
    if united.logging {
        write_member(&mut out, "logging", "{}");
    }
    if united.completions {
        write_member(&mut out, "completions", "{}");
    }
    for (name, offer) in [("prompts", united.prompts), ("tools", united.tools)] {
        if let Some(offer) = offer {
            write_member(&mut out, name, &flags(&[("listChanged", offer.list_changed)]));
        }
    }
    if let Some(offer) = united.resources {
        let set = flags(&[("subscribe", offer.subscribe), ("listChanged", offer.list_changed)]);
        write_member(&mut out, "resources", &set);
    }
    if let Some(tasks) = united.tasks {
        let mut inside = Vec::new();
        let offers = [("list", tasks.list, "{}"), ("cancel", tasks.cancel, "{}")];
        for (name, _, value) in offers.into_iter().filter(|(_, set, _)| *set) {
            write_member(&mut inside, name, value);
        }
        if tasks.call {
            write_member(&mut inside, "requests", r#"{"tools":{"call":{}}}"#);
        }
        write_member(&mut out, "tasks", &object(inside));
    }
    if !united.extensions.is_empty() {
        let mut inside = Vec::new();
        united.extensions.iter().for_each(|(name, raw)| write_member(&mut inside, name, raw));
        write_member(&mut out, "extensions", &object(inside));
    }
    object(out)
}

fn write_member(out: &mut Vec<u8>, name: &str, raw: &str) {
    if !out.is_empty() {
        out.push(b',');
    }
    write_string(out, name);
    out.push(b':');
    out.extend_from_slice(raw.as_bytes());
}

/// INVARIANT: members are written from text only, so they are text.
fn object(members: Vec<u8>) -> String {
    format!("{{{}}}", String::from_utf8(members).unwrap_or_default())
}
