//! What an approval is for: one call of one caller, to the byte.

use mcpg_sdk::{Call, Target};

/// Digest of caller, scope, binding, method, target and the raw text of the arguments. INVARIANT: two calls of which one could be
/// made in the other's place have different digests.
pub(crate) fn bound(caller: &[u8; 32], call: &Call<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026-11 what an approval is for");
    let (kind, name) = match call.target {
        Target::Binding => ("binding", ""),
        Target::Tool(name) => ("tool", name),
        Target::Resource(uri) => ("resource", uri),
        Target::Prompt(name) => ("prompt", name),
    };
    let scope = [call.scope.organization(), call.scope.workspace(), call.scope.environment()];
    let parts = scope.into_iter().chain([call.binding, call.method, kind, name]);
    hasher.update(caller);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    match call.arguments {
        None => hasher.update(&[0]),
        Some(arguments) => hasher.update(&[1]).update(arguments.as_bytes()),
    };
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::SystemTime;

    use mcpg_sdk::Scope;

    use super::*;

    #[test]
    fn every_part_counts() {
        let (scope, other): (Scope, Scope) =
            ("acme/team/prod".parse().unwrap(), "acme/team/test".parse().unwrap());
        let call = Call {
            scope: &scope,
            binding: "files",
            method: "tools/call",
            target: Target::Tool("delete"),
            arguments: Some(r#"{"a":1}"#),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            now: SystemTime::UNIX_EPOCH,
            approval_token: None,
        };
        let different = [
            call,
            Call { scope: &other, ..call },
            Call { binding: "file", ..call },
            Call { binding: "filestools", method: "/call", ..call },
            Call { target: Target::Tool("delet"), ..call },
            Call { target: Target::Prompt("delete"), ..call },
            Call { target: Target::Resource("delete"), ..call },
            Call { target: Target::Binding, ..call },
            Call { arguments: None, ..call },
            Call { arguments: Some(""), ..call },
            Call { arguments: Some(r#"{"a":2}"#), ..call },
            Call { arguments: Some(r#"{"a": 1}"#), ..call },
        ];
        let mut digests: HashSet<_> = different.iter().map(|call| bound(&[1; 32], call)).collect();
        digests.insert(bound(&[2; 32], &call));
        assert_eq!(digests.len(), different.len() + 1);
        // Where and when it came is not what is approved, and a token is nothing that a client brings.
        let later = Call { now: SystemTime::now(), approval_token: Some("x"), ..call };
        assert_eq!(bound(&[1; 32], &later), bound(&[1; 32], &call));
    }
}
