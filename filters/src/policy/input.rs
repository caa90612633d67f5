//! The cache key of a decision: exactly the parts that the engines read, in one unambiguous encoding.
//!
//! INVARIANT: the encoding is injective. The plan's id comes first and fixes which parts follow; every part
//! of variable length carries its length. The whole key is stored and compared, so a hash collision
//! is a miss, never another call's answer.

use std::cell::Cell;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};

use mcpg_sdk::policy::{ApprovalRead, Arguments, Names, ReadSet};
use mcpg_sdk::{Call, Caller, Target};
use serde_json::Value;

use super::chain::{Asking, Plan};

/// Longer keys are not worth keeping: the decision is evaluated each time.
const KEY_BYTES_MAX: usize = 4096;

/// Values nested deeper than this are not worth keying.
const DEPTH_MAX: usize = 16;

/// The decision cannot be keyed and must be evaluated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unkeyed;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer that returns to its thread when dropped, so that building a key does not allocate.
pub(crate) struct KeyBuffer(Vec<u8>);

impl KeyBuffer {
    /// Takes the thread's buffer, empty.
    pub(crate) fn take() -> Self {
        let mut buffer = SPARE.take();
        buffer.clear();
        Self(buffer)
    }
}

impl Drop for KeyBuffer {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.0));
    }
}

impl Deref for KeyBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for KeyBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// Writes the key of a call.
///
/// # Errors
/// When the key would be too long, or the arguments cannot be read part by part.
pub(crate) fn write_key(
    key: &mut Vec<u8>,
    plan: &Plan,
    asking: Asking,
    caller: &Caller,
    call: &Call<'_>,
) -> Result<(), Unkeyed> {
    let reads = match asking {
        Asking::Deciders => &plan.reads,
        Asking::Everyone => &plan.with_shadows,
    };
    key.extend_from_slice(&plan.id.to_le_bytes());
    key.push(asking as u8);
    let (kind, name) = match call.target {
        Target::Tool(name) => (0, name),
        Target::Resource(name) => (1, name),
        Target::Prompt(name) => (2, name),
        Target::Binding => (3, ""),
    };
    key.push(kind);
    // The chain has checked that a tool's or a prompt's method is the one that there is.
    if matches!(call.target, Target::Resource(_) | Target::Binding) {
        text(key, call.method)?;
    }
    text(key, call.binding)?;
    if reads.name {
        text(key, name)?;
    }
    write_identity(key, reads, caller)?;
    write_attributes(key, &reads.attributes, caller)?;
    if reads.tenant {
        text(key, call.scope.organization())?;
        text(key, call.scope.workspace())?;
        text(key, call.scope.environment())?;
    }
    if reads.source {
        write_source(key, call.source)?;
    }
    match reads.approval {
        ApprovalRead::Nothing => {}
        ApprovalRead::Presence => key.push(u8::from(call.approval_token.is_some())),
        ApprovalRead::Value => optional_text(key, call.approval_token)?,
    }
    write_arguments(key, &reads.arguments, call)
}

/// Writes what a list depends on: the parts of the caller that are read, every attribute in the order of names, and the source.
///
/// # Errors
/// When the key would be too long.
pub(crate) fn write_class(
    key: &mut Vec<u8>,
    reads: &ReadSet,
    caller: &Caller,
    source: IpAddr,
) -> Result<(), Unkeyed> {
    write_identity(key, reads, caller)?;
    match &reads.attributes {
        Names::Only(_) => write_attributes(key, &reads.attributes, caller)?,
        Names::All => {
            let mut attributes: Vec<_> = caller.attributes.iter().collect();
            attributes.sort_unstable_by_key(|(name, _)| *name);
            length(key, attributes.len())?;
            for (name, value) in attributes {
                text(key, name)?;
                write_value(key, value, DEPTH_MAX)?;
            }
        }
    }
    if reads.source { write_source(key, source) } else { Ok(()) }
}

/// The parts of the caller that have a name of their own.
fn write_identity(key: &mut Vec<u8>, reads: &ReadSet, caller: &Caller) -> Result<(), Unkeyed> {
    if reads.subject {
        text(key, &caller.subject)?;
    }
    if reads.auth_method {
        text(key, caller.auth_method.as_str())?;
    }
    if reads.audience {
        optional_text(key, caller.audience.as_deref())?;
    }
    if reads.groups {
        optional_value(key, caller.attributes.get("groups"))?;
    }
    if reads.roles {
        optional_value(key, caller.attributes.get("roles"))?;
    }
    Ok(())
}

fn write_source(key: &mut Vec<u8>, source: IpAddr) -> Result<(), Unkeyed> {
    match source {
        IpAddr::V4(address) => bytes(key, &address.octets()),
        IpAddr::V6(address) => bytes(key, &address.octets()),
    }
}

fn write_attributes(key: &mut Vec<u8>, names: &Names, caller: &Caller) -> Result<(), Unkeyed> {
    match names {
        Names::Only(names) => {
            names.iter().try_for_each(|name| optional_value(key, caller.attributes.get(&**name)))
        }
        // A map has no order of its own, and sorting would allocate.
        Names::All if caller.attributes.is_empty() => Ok(()),
        Names::All => Err(Unkeyed),
    }
}

/// The members that are read, in the order of the text, each with its place in the sorted names. The raw
/// text stands for the value: another spelling of an equal value is another key.
fn write_arguments(key: &mut Vec<u8>, names: &Names, call: &Call<'_>) -> Result<(), Unkeyed> {
    let names = match names {
        Names::Only(names) if names.is_empty() => return Ok(()),
        Names::Only(names) => names,
        Names::All => return optional_text(key, call.arguments),
    };
    for member in Arguments::new(call.arguments).members() {
        let member = member.map_err(|_| Unkeyed)?;
        let name = member.name().map_err(|_| Unkeyed)?;
        if let Ok(at) = names.binary_search_by(|own| (**own).cmp(&name)) {
            let at = u32::try_from(at).map_err(|_| Unkeyed)?;
            key.push(1);
            key.extend_from_slice(&at.to_le_bytes());
            text(key, member.value)?;
        }
    }
    key.push(0);
    Ok(())
}

fn optional_value(key: &mut Vec<u8>, value: Option<&Value>) -> Result<(), Unkeyed> {
    match value {
        None => {
            key.push(b'-');
            Ok(())
        }
        Some(value) => write_value(key, value, DEPTH_MAX),
    }
}

fn write_value(key: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), Unkeyed> {
    let depth = depth.checked_sub(1).ok_or(Unkeyed)?;
    match value {
        Value::Null => key.push(b'0'),
        Value::Bool(false) => key.push(b'f'),
        Value::Bool(true) => key.push(b't'),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                key.push(b'i');
                key.extend_from_slice(&number.to_le_bytes());
            } else if let Some(number) = number.as_u64() {
                key.push(b'u');
                key.extend_from_slice(&number.to_le_bytes());
            } else {
                key.push(b'd');
                key.extend_from_slice(&number.as_f64().ok_or(Unkeyed)?.to_bits().to_le_bytes());
            }
        }
        Value::String(value) => {
            key.push(b's');
            text(key, value)?;
        }
        Value::Array(items) => {
            key.push(b'[');
            length(key, items.len())?;
            for item in items {
                write_value(key, item, depth)?;
            }
        }
        Value::Object(members) => {
            key.push(b'{');
            length(key, members.len())?;
            for (name, member) in members {
                text(key, name)?;
                write_value(key, member, depth)?;
            }
        }
    }
    Ok(())
}

fn optional_text(key: &mut Vec<u8>, value: Option<&str>) -> Result<(), Unkeyed> {
    key.push(u8::from(value.is_some()));
    text(key, value.unwrap_or(""))
}

fn text(key: &mut Vec<u8>, text: &str) -> Result<(), Unkeyed> {
    bytes(key, text.as_bytes())
}

fn bytes(key: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Unkeyed> {
    length(key, bytes.len())?;
    key.extend_from_slice(bytes);
    Ok(())
}

fn length(key: &mut Vec<u8>, length: usize) -> Result<(), Unkeyed> {
    if key.len().saturating_add(length) > KEY_BYTES_MAX {
        return Err(Unkeyed);
    }
    let length = u32::try_from(length).map_err(|_| Unkeyed)?;
    key.extend_from_slice(&length.to_le_bytes());
    Ok(())
}
