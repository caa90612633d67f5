//! The endpoints of what is kept in versions, and of secret references.

use http::Method;
use mcpg_cp_api as wire;

use super::super::endpoint::{Conditions, Endpoint};
use super::super::handlers::documents::{self, Spec};
use super::super::handlers::secrets;
use crate::authorization::Permission;

const GET: Method = Method::GET;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;
const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The paths and operations of one kind of document.
struct Names {
    list: Option<(&'static str, &'static str)>,
    one: &'static str,
    operations: [&'static str; 6],
    versions: &'static str,
    version: &'static str,
    diff: &'static str,
}

macro_rules! names {
    ($base:literal, $one:literal, $list:expr, $operations:expr) => {
        Names {
            list: $list,
            one: concat!($base, $one),
            operations: $operations,
            versions: concat!($base, $one, "/versions"),
            version: concat!($base, $one, "/versions/{version}"),
            diff: concat!($base, $one, "/diff"),
        }
    };
}

const PLUGIN_SETS: Names = names!(
    "/v1/orgs/{org}/workspaces/{workspace}/plugin-sets",
    "/{name}",
    Some(("/v1/orgs/{org}/workspaces/{workspace}/plugin-sets", "listPluginSets")),
    [
        "readPluginSet",
        "putPluginSet",
        "deletePluginSet",
        "listPluginSetVersions",
        "readPluginSetVersion",
        "diffPluginSet"
    ]
);
const POLICIES: Names = names!(
    "/v1/orgs/{org}/workspaces/{workspace}/policies",
    "/{name}",
    Some(("/v1/orgs/{org}/workspaces/{workspace}/policies", "listPolicies")),
    ["readPolicy", "putPolicy", "deletePolicy", "listPolicyVersions", "readPolicyVersion", "diffPolicy"]
);
const CONFIG: Names = names!(
    "/v1/orgs/{org}/workspaces/{workspace}/environments/{environment}/config",
    "",
    None,
    [
        "readGatewayConfig",
        "putGatewayConfig",
        "deleteGatewayConfig",
        "listGatewayConfigVersions",
        "readGatewayConfigVersion",
        "diffGatewayConfig"
    ]
);

/// Every one of them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    use Permission::{ManageGateways, ReadInstances, WritePluginSets};
    let mut all = of_kind::<wire::PluginSetSpec>(&PLUGIN_SETS, ReadInstances, WritePluginSets);
    all.extend(of_kind::<wire::PolicySpec>(&POLICIES, ReadInstances, WritePluginSets));
    all.extend(of_kind::<wire::GatewayConfigSpec>(&CONFIG, ReadInstances, ManageGateways));
    all.extend(of_secret_references());
    all
}

fn of_kind<T: Spec + schemars::JsonSchema>(
    names: &Names,
    read: Permission,
    write: Permission,
) -> Vec<Endpoint> {
    let [read_one, put, delete, versions, version, diff] = names.operations;
    let mut all = Vec::new();
    if let Some((path, operation)) = names.list {
        let what =
            (GET, path, operation, "Lists what there is, each with its newest version's number and digest.");
        let list = Endpoint::on(read, what, documents::list::<T>).query::<wire::PageQuery>();
        all.push(list.gives::<wire::Page<wire::VersionedSummary>>(200));
    }
    all.extend([
        Endpoint::on(read, (GET, names.one, read_one, "Reads the newest version."), documents::read::<T>)
            .gives::<wire::Versioned<T>>(200)
            .conditions(Conditions::Read),
        Endpoint::on(
            write,
            (PUT, names.one, put, "Puts the next version. Content that is there already makes none."),
            documents::put::<T>,
        )
        .query::<wire::PutQuery>()
        .body::<wire::PutVersion<T>>()
        .body_bytes_max(DOCUMENT_BYTES_MAX)
        .gives::<wire::Versioned<T>>(201)
        .gives::<wire::Versioned<T>>(200)
        .conditions(Conditions::Put),
        Endpoint::on(
            write,
            (DELETE, names.one, delete, "Deletes it. Numbers of versions go on if it is made again."),
            documents::delete::<T>,
        )
        .gives_plain(204, "")
        .conditions(Conditions::Change),
        Endpoint::on(
            read,
            (GET, names.versions, versions, "Lists the versions, the newest first."),
            documents::versions::<T>,
        )
        .query::<wire::VersionsQuery>()
        .gives::<wire::Page<wire::VersionSummary>>(200),
        Endpoint::on(
            read,
            (GET, names.version, version, "Reads one version, which never changes."),
            documents::version::<T>,
        )
        .gives::<wire::Version<T>>(200)
        .conditions(Conditions::Read),
        Endpoint::on(
            read,
            (GET, names.diff, diff, "Says what differs between two versions."),
            documents::compare::<T>,
        )
        .query::<wire::DiffQuery>()
        .gives::<wire::Diff>(200),
    ]);
    all
}

fn of_secret_references() -> Vec<Endpoint> {
    use Permission::WriteSecrets;
    const LIST: &str = "/v1/orgs/{org}/workspaces/{workspace}/secret-references";
    const ONE: &str = "/v1/orgs/{org}/workspaces/{workspace}/secret-references/{name}";
    vec![
        Endpoint::on(
            WriteSecrets,
            (GET, LIST, "listSecretReferences", "Lists the secret references."),
            secrets::list_secret_references,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::SecretReference>>(200),
        Endpoint::on(
            WriteSecrets,
            (GET, ONE, "readSecretReference", "Reads where gateways find a secret."),
            secrets::read_secret_reference,
        )
        .gives::<wire::SecretReference>(200)
        .conditions(Conditions::Read),
        Endpoint::on(
            WriteSecrets,
            (PUT, ONE, "putSecretReference", "Says where gateways find a secret."),
            secrets::put_secret_reference,
        )
        .query::<wire::PutQuery>()
        .body::<wire::PutSecretReference>()
        .gives::<wire::SecretReference>(201)
        .gives::<wire::SecretReference>(200)
        .conditions(Conditions::Put),
        Endpoint::on(
            WriteSecrets,
            (DELETE, ONE, "deleteSecretReference", "Deletes a secret reference."),
            secrets::delete_secret_reference,
        )
        .gives_plain(204, "")
        .conditions(Conditions::Change),
    ]
}
