//! What to write instead of a value of the wrong type.

use serde_json::Value;

use crate::place::Place;
use crate::yaml::Kind;

/// Advice on a value whose type does not fit, if there is any to give.
pub(super) fn for_type(branches: &[&Value], place: &Place<'_>) -> Option<String> {
    let expects = |name: &str| branches.iter().any(|branch| super::types(branch).contains(&name));
    match &place.node?.kind {
        Kind::Text(text) if expects("boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => Some("write `true`: in YAML 1.2 this is a string".to_owned()),
            "no" | "off" | "n" => Some("write `false`: in YAML 1.2 this is a string".to_owned()),
            _ => None,
        },
        Kind::Text(text) if expects("integer") => {
            // The key says the unit: `_ms` or `_bytes_max`.
            let number = if place.path.ends_with("_ms") { milliseconds(text) } else { bytes(text) }?;
            Some(format!("write the number alone: {number}"))
        }
        Kind::Bool(false) if place.path == "server.admin" => Some("write `off`".to_owned()),
        Kind::Bool(value) if has_choice(branches, if *value { "on" } else { "off" }) => {
            Some(format!("write `{}`", if *value { "on" } else { "off" }))
        }
        Kind::Number(_) | Kind::Bool(_)
            if branches.iter().any(|branch| super::constants(branch).next().is_some()) =>
        {
            None
        }
        Kind::Bool(_) if place.path.ends_with("allow_addresses") => {
            Some("name the blocks that may be dialled: `[10.20.0.0/16]`".to_owned())
        }
        Kind::Number(_) | Kind::Bool(_) if expects("string") => Some("put it in quotes".to_owned()),
        Kind::Map(_) | Kind::Text(_) if expects("array") => Some("begin each item with `- `".to_owned()),
        _ => None,
    }
}

fn has_choice(branches: &[&Value], choice: &str) -> bool {
    branches.iter().any(|branch| super::constants(branch).any(|other| other == choice))
}

fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let scale = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(scale)
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let scale = match unit {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(scale)
}

/// `4MiB`, `10 s`, `1_000`: digits, perhaps with underscores, and what follows in lower case.
fn split_unit(text: &str) -> Option<(u64, &'static str)> {
    const UNITS: &[&str] =
        &["", "ms", "s", "m", "min", "h", "b", "k", "kb", "kib", "mb", "mib", "g", "gb", "gib"];
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let unit = UNITS.iter().find(|known| known.eq_ignore_ascii_case(unit.trim()))?;
    Some((digits.replace('_', "").parse().ok()?, unit))
}
