//! Artifacts of a document that the organization's revocation list names.
//!
//! An artifact is named by its digest: that of a policy bundle in a registry (`oci://…@sha256:…`), or of a plugin's `source`.

use std::collections::HashMap;

use mcpg_cp_api::{RevocationListSpec, ScopeDocument};
use serde_json::Value;

const DIGEST: &str = "sha256:";
const DIGITS: usize = 64;

/// What is wrong with a document by a version of the list: every entry that names a revoked artifact.
pub fn revoked(document: &ScopeDocument, list: &RevocationListSpec, version: i64) -> Vec<String> {
    let artifacts: HashMap<&str, Option<String>> = list
        .artifacts
        .iter()
        .map(|artifact| (artifact.digest.as_str(), artifact.reason.as_ref().map(ToString::to_string)))
        .collect();
    let entries =
        document.scope.get("plugins").and_then(|plugins| plugins.get("load")).and_then(Value::as_array);
    let mut problems = Vec::new();
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
        each_text(entry, &mut |text| {
            for digest in digests(text) {
                if let Some(reason) = artifacts.get(digest) {
                    let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                    problems.push(format!(
                        "`plugins.load[{index}]` (`{id}`): `{digest}` is on the organization's revocation list, version {version}{reason}"
                    ));
                }
            }
        });
    }
    problems
}

fn each_text<'v>(value: &'v Value, see: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, see)),
        Value::Object(members) => members.values().for_each(|member| each_text(member, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The digests that a text names.
fn digests(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(DIGEST).filter_map(|(at, _)| text.get(at..at + DIGEST.len() + DIGITS))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_revoked_is_named_with_its_entry_and_the_list() {
        let (bad, good) = ("ab".repeat(32), "cd".repeat(32));
        let document = json!({ "scope": { "plugins": { "load": [
            { "id": "identity.anonymous" },
            { "id": "policy.cedar", "config": { "bundle": format!("oci://policies.acme.com/main@sha256:{bad}") } },
            { "id": "policy.opa", "config": { "bundle": format!("oci://policies.acme.com/rego@sha256:{good}") } },
        ] } }, "files": { "policies/main/notes.md": format!("sha256:{bad}") } });
        let document = serde_json::from_value(document).unwrap();
        let list = |artifacts| serde_json::from_value(json!({ "artifacts": artifacts })).unwrap();
        let list: RevocationListSpec =
            list(json!([{ "digest": format!("sha256:{bad}"), "reason": "lets all in" }]));
        assert_eq!(
            revoked(&document, &list, 3),
            [format!(
                "`plugins.load[1]` (`policy.cedar`): `sha256:{bad}` is on the organization's revocation list, version 3: lets all in"
            )]
        );
        assert!(revoked(&document, &RevocationListSpec { artifacts: Vec::new() }, 4).is_empty());
    }
}
