//! Which known name a mistaken one was probably meant to be.

use serde_json::Value;

use crate::quote::either;

/// The candidate closest to `text`, if one is close.
///
/// Letter case, `-` and `_` do not count; else one edit in three characters, three at most, is close. So is the only
/// one that goes on where `text` ends (`drain`, `drain_ms`).
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(text)?;
    let length = folded.chars().count();
    let candidates: Vec<(String, &str)> =
        candidates.into_iter().filter_map(|candidate| Some((fold(candidate)?, candidate))).collect();
    let edits = |candidate: &str| strsim::damerau_levenshtein(&folded, candidate);
    let by_edits = candidates.iter().map(|(folded, candidate)| (edits(folded), *candidate));
    let closest =
        by_edits.filter(|(edits, _)| *edits <= (length / 3).clamp(1, 3)).min_by_key(|(edits, _)| *edits);
    closest.map(|(_, candidate)| candidate).or_else(|| {
        let mut longer =
            candidates.iter().filter(|(candidate, _)| length >= 4 && candidate.starts_with(&folded));
        longer.next().filter(|_| longer.next().is_none()).map(|(_, candidate)| *candidate)
    })
}

/// Where else in the schema a key of this very name stands: `did you mean `server.listen`?`.
pub(super) fn elsewhere(root: &Value, key: &str) -> Option<String> {
    let mut found = Vec::new();
    search(root, root, "", key, &mut found);
    // A name that stands in many places says nothing.
    (1..=3)
        .contains(&found.len())
        .then(|| format!("did you mean {}?", either(found.iter().map(String::as_str))))
}

fn search(root: &Value, schema: &Value, path: &str, key: &str, found: &mut Vec<String>) {
    let schema = super::resolve(root, schema);
    for keyword in ["anyOf", "oneOf"] {
        for branch in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            search(root, branch, path, key, found);
        }
    }
    if let Some(items) = schema.get("items") {
        search(root, items, &format!("{path}[]"), key, found);
    }
    for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        // What further scopes have, the top level has too.
        if path == "tenancy" && name == "scopes" {
            continue;
        }
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        search(root, member, &here, key, found);
        if name == key && !found.contains(&here) {
            found.push(here);
        }
    }
}

/// `None` for a text too long to be anybody's name, which also bounds the work.
fn fold(text: &str) -> Option<String> {
    (text.len() <= 80)
        .then(|| text.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found_and_far_ones_are_not() {
        let names = ["listen", "admin", "body_bytes_max", "url", "written"];
        for (text, expected) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("bodyBytesMax", Some("body_bytes_max")),
            ("ulr", Some("url")),
            ("wrtten", Some("written")),
            ("body", Some("body_bytes_max")),
            ("hunter2", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, names), expected, "{text}");
        }
    }
}
