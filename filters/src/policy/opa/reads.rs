//! Which parts of the input a path stands for.

use mcpg_sdk::policy::{ApprovalRead, Names, ReadSet};

/// What a reference to the input reads: everything below it, where its use cannot be seen through. False: there is no such part.
pub(super) fn note(reads: &mut ReadSet, path: &[String]) -> bool {
    let mut path: Vec<&str> = path.iter().map(String::as_str).collect();
    path.truncate(3);
    match *path {
        [] => reads.merge(&ReadSet::everything()),
        ["caller"] => reads.merge(&ReadSet {
            subject: true,
            groups: true,
            roles: true,
            auth_method: true,
            audience: true,
            attributes: Names::All,
            ..ReadSet::default()
        }),
        ["caller", "subject", ..] => reads.subject = true,
        ["caller", "audience", ..] => reads.audience = true,
        ["caller", "auth_method", ..] => reads.auth_method = true,
        ["caller", "groups", ..] => reads.groups = true,
        ["caller", "roles", ..] => reads.roles = true,
        ["caller", "attributes"] => attributes(reads, Names::All),
        ["caller", "attributes", name] => attributes(reads, Names::only([name])),
        ["action" | "resource"] | ["action", "name", ..] | ["resource", "name" | "uri", ..] => {
            reads.name = true
        }
        ["action", "method" | "kind", ..] | ["resource", "binding" | "kind", ..] => {}
        ["tenant"] | ["tenant", "organization" | "workspace" | "environment", ..] => reads.tenant = true,
        ["context"] => reads.merge(&ReadSet {
            arguments: Names::All,
            approval: ApprovalRead::Value,
            time: true,
            source: true,
            ..ReadSet::default()
        }),
        ["context", "arguments"] => arguments(reads, Names::All),
        ["context", "arguments", name] => arguments(reads, Names::only([name])),
        ["context", "approval_token", ..] => reads.approval = ApprovalRead::Value,
        ["context", "time", ..] => reads.time = true,
        ["context", "source_ip", ..] => reads.source = true,
        _ => return false,
    }
    true
}

fn attributes(reads: &mut ReadSet, names: Names) {
    reads.merge(&ReadSet { attributes: names, ..ReadSet::default() });
}

fn arguments(reads: &mut ReadSet, names: Names) {
    reads.merge(&ReadSet { arguments: names, ..ReadSet::default() });
}
