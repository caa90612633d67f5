//! The endpoints of what was recorded and counted.

use http::Method;
use mcpg_cp_api as wire;

use super::super::endpoint::Endpoint;
use super::super::handlers::{chains, observed};
use crate::authorization::Permission;

const GET: Method = Method::GET;

/// Every one of them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    use Permission::{ReadAudit, ReadMetrics};
    let audit = |path, operation| {
        Endpoint::on(
            ReadAudit,
            (GET, path, operation, "Lists the rows of the audit chain that are about it."),
            observed::list_audit,
        )
        .query::<wire::AuditQuery>()
        .gives::<wire::Page<wire::AuditRow>>(200)
    };
    let usage = |path, operation| {
        Endpoint::on(ReadMetrics, (GET, path, operation, "Adds up what was called."), observed::read_usage)
            .query::<wire::UsageQuery>()
            .gives::<wire::Usage>(200)
    };
    vec![
        audit("/v1/orgs/{org}/audit", "listAudit"),
        audit("/v1/orgs/{org}/workspaces/{workspace}/audit", "listWorkspaceAudit"),
        audit(
            "/v1/orgs/{org}/workspaces/{workspace}/environments/{environment}/audit",
            "listEnvironmentAudit",
        ),
        Endpoint::on(
            ReadAudit,
            (
                GET,
                "/v1/orgs/{org}/audit/export",
                "exportAudit",
                "Hands out the audit chain as segments of the ledger's format.",
            ),
            chains::export,
        )
        .query::<wire::AuditExportQuery>()
        .gives_plain(200, "application/octet-stream"),
        Endpoint::on(
            ReadAudit,
            (
                GET,
                "/v1/orgs/{org}/audit/checkpoints",
                "listAuditCheckpoints",
                "Lists the signed heads of the audit chain.",
            ),
            chains::checkpoints,
        )
        .query::<wire::VersionsQuery>()
        .gives::<wire::Page<wire::AuditCheckpoint>>(200),
        Endpoint::on(
            ReadAudit,
            (GET, "/v1/orgs/{org}/audit/keys", "listAuditKeys", "Lists the keys that heads are signed with."),
            chains::keys,
        )
        .gives::<wire::AuditKeys>(200),
        usage("/v1/orgs/{org}/usage", "readUsage"),
        usage("/v1/orgs/{org}/workspaces/{workspace}/usage", "readWorkspaceUsage"),
        usage(
            "/v1/orgs/{org}/workspaces/{workspace}/environments/{environment}/usage",
            "readEnvironmentUsage",
        ),
        Endpoint::on(
            ReadMetrics,
            (
                GET,
                "/v1/orgs/{org}/metrics",
                "readOrganizationMetrics",
                "Reads the usage of the last hours for Prometheus.",
            ),
            observed::metrics,
        )
        .gives_plain(200, "text/plain"),
    ]
}
