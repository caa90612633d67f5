//! Makes a serde message fit to be shown: names the nearest field and drops values, which may be secrets.

use crate::quote::{list, quote};
use crate::structure::nearest;

/// Rewords a filter's message about its settings: the message, and help if it can be given.
///
/// Serde writes `unknown field `x`, expected one of `a`, `b`` and `invalid type: string "x", expected u64`; a filter's
/// own messages pass as they are.
pub(crate) fn reword(message: &str) -> (String, Option<String>) {
    if let Some(key) = unknown_field(message) {
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        let help = match nearest(&key, known.iter().copied()) {
            Some(near) => Some(format!("did you mean {}?", quote(near))),
            None if known.is_empty() => Some("there are no keys here".to_owned()),
            None => Some(format!("known here: {}", list(known))),
        };
        return (format!("unknown key {}", quote(&key)), help);
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            // The last one: a string value may contain the words itself.
            let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "something else"));
            return (format!("expected {expected}, found {}", noun(found)), None);
        }
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (found, expected) = rest.rsplit_once("`, expected ").unwrap_or_default();
        let known = expected.split('`').skip(1).step_by(2);
        let help = nearest(found, known).map(|near| format!("did you mean {}?", quote(near)));
        return (format!("expected {expected}, found another string"), help);
    }
    (message.to_owned(), None)
}

/// The key in serde's message about an unknown one.
pub(crate) fn unknown_field(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    Some(rest.split_once("`, ").unwrap_or((rest, "")).0.trim_end_matches('`').to_owned())
}

/// `string "hunter2"` is a string.
fn noun(found: &str) -> &'static str {
    match found.split([' ', ',']).next().unwrap_or_default() {
        "string" | "character" => "a string",
        "integer" => "an integer",
        "floating" => "a fraction",
        "boolean" => "a boolean",
        "sequence" => "a list",
        "map" => "a map",
        "null" | "unit" => "nothing",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: &str, help: Option<&str>) {
        assert_eq!(reword(message), (expected.to_owned(), help.map(str::to_owned)), "{message}");
    }

    #[test]
    fn serde_messages_lose_their_values_and_gain_help() {
        check(
            "unknown field `lmit`, expected one of `limit`, `window`",
            "unknown key `lmit`",
            Some("did you mean `limit`?"),
        );
        check(
            "unknown field `zzzz`, expected `limit` or `window`",
            "unknown key `zzzz`",
            Some("known here: `limit`, `window`"),
        );
        check("unknown field `x`, there are no fields", "unknown key `x`", Some("there are no keys here"));
        check(
            "invalid type: string \"hunter2, expected x\", expected u64",
            "expected u64, found a string",
            None,
        );
        check("invalid value: integer `-1`, expected u32", "expected u32, found an integer", None);
        check(
            "unknown variant `hunter2`, expected `mask` or `remove`",
            "expected `mask` or `remove`, found another string",
            None,
        );
        check("the bundle is empty", "the bundle is empty", None);
    }
}
