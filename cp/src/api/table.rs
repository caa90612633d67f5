//! The one table of endpoints. The router, the OpenAPI document and the matrix of who may do what are made of it.

mod documents;
mod environments;
mod observed;
mod revisions;

use std::sync::LazyLock;

use http::Method;
use mcpg_cp_api as wire;
use mcpg_cp_api::ProblemCode as P;

use super::endpoint::{Conditions, Endpoint};
use super::handlers::{access, licenses, platform_tokens, secrets, service, sign_in, tree};
use crate::authorization::Permission;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Every endpoint, in the order of the document.
pub fn endpoints() -> &'static [Endpoint] {
    static TABLE: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
        [
            of_the_service(),
            of_organizations(),
            of_workspaces(),
            environments::endpoints(),
            documents::endpoints(),
            observed::endpoints(),
            revisions::endpoints(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
    &TABLE
}

fn of_the_service() -> Vec<Endpoint> {
    vec![
        Endpoint::open((GET, "/v1/openapi.json", "readOpenApi", "Reads this document."), service::openapi)
            .gives_plain(200, "application/json"),
        Endpoint::open(
            (GET, "/problems/{code}", "readProblem", "Says what a kind of problem is."),
            service::problem,
        )
        .gives::<wire::Problem>(200),
        Endpoint::platform(
            (GET, "/metrics", "readMetrics", "Reads what the service counts."),
            service::metrics,
        )
        .gives_plain(200, "text/plain"),
        Endpoint::open(
            (
                POST,
                "/v1/sign-in",
                "startSignIn",
                "Begins to sign in with an organization's identity provider.",
            ),
            sign_in::start,
        )
        .body::<wire::StartSignIn>()
        .gives::<wire::SignInStarted>(200)
        .problems(&[P::NotFound, P::TooMany, P::IdentityProvider]),
        Endpoint::open(
            (
                POST,
                "/v1/sign-in/finish",
                "finishSignIn",
                "Exchanges what the provider's redirect brought back for a session.",
            ),
            sign_in::finish,
        )
        .body::<wire::FinishSignIn>()
        .gives::<wire::SignedIn>(200)
        .problems(&[P::Unauthenticated, P::NotFound, P::TooMany, P::IdentityProvider]),
        Endpoint::caller(
            (
                POST,
                "/v1/sign-out",
                "signOut",
                "Ends the session that asks. Other tokens are revoked instead.",
            ),
            sign_in::end,
        )
        .gives_plain(204, "")
        .problems(&[P::State]),
        Endpoint::platform(
            (
                GET,
                "/v1/platform-tokens",
                "listPlatformTokens",
                "Lists the tokens of the service's administrators.",
            ),
            platform_tokens::list,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::PlatformToken>>(200),
        Endpoint::platform(
            (
                POST,
                "/v1/platform-tokens",
                "createPlatformToken",
                "Makes a token for an administrator of the service, which is shown once.",
            ),
            platform_tokens::create,
        )
        .body::<wire::CreatePlatformToken>()
        .gives::<wire::NewPlatformToken>(201),
        Endpoint::platform(
            (
                DELETE,
                "/v1/platform-tokens/{id}",
                "revokePlatformToken",
                "Revokes a token of an administrator of the service, other than the one that asks.",
            ),
            platform_tokens::revoke,
        )
        .gives_plain(204, "")
        .problems(&[P::State, P::NotFound]),
        Endpoint::caller((GET, "/v1/whoami", "whoami", "Says who the caller is."), access::whoami)
            .gives::<wire::WhoAmI>(200),
        Endpoint::caller(
            (GET, "/v1/orgs", "listOrganizations", "Lists the organizations that the caller may see."),
            tree::list_organizations,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::Organization>>(200),
        Endpoint::platform(
            (POST, "/v1/orgs", "createOrganization", "Makes an organization."),
            tree::create_organization,
        )
        .body::<wire::CreateOrganization>()
        .gives::<wire::Organization>(201)
        .problems(&[P::Exists]),
        Endpoint::platform(
            (
                PUT,
                "/v1/orgs/{org}/subdomain",
                "setSubdomain",
                "Gives an organization a subdomain, or takes it away.",
            ),
            tree::set_subdomain,
        )
        .body::<wire::SetSubdomain>()
        .gives::<wire::Organization>(200)
        .conditions(Conditions::Change)
        .problems(&[P::Exists]),
    ]
}

fn of_organizations() -> Vec<Endpoint> {
    use Permission::{ManageIdentity, ManageLicences, ManageRoles, ManageTree, ReadInstances};
    vec![
        Endpoint::within(
            (GET, "/v1/orgs/{org}", "readOrganization", "Reads an organization."),
            tree::read_organization,
        )
        .gives::<wire::Organization>(200)
        .conditions(Conditions::Read),
        Endpoint::on(
            ManageIdentity,
            (
                PUT,
                "/v1/orgs/{org}",
                "updateOrganization",
                "Changes an organization's name and how its members sign in.",
            ),
            tree::update_organization,
        )
        .body::<wire::UpdateOrganization>()
        .gives::<wire::Organization>(200)
        .conditions(Conditions::Change),
        Endpoint::on(
            ManageLicences,
            (GET, "/v1/orgs/{org}/license", "readLicense", "Reads the licence that is in force."),
            licenses::read_license,
        )
        .gives::<wire::License>(200)
        .conditions(Conditions::Read),
        Endpoint::on(
            ManageLicences,
            (PUT, "/v1/orgs/{org}/license", "installLicense", "Installs a licence."),
            licenses::install_license,
        )
        .body::<wire::InstallLicense>()
        .gives::<wire::License>(200)
        .conditions(Conditions::Change),
        Endpoint::on(
            ManageLicences,
            (
                DELETE,
                "/v1/orgs/{org}/license",
                "removeLicense",
                "Removes the licence: what is left is Community.",
            ),
            licenses::remove_license,
        )
        .gives::<wire::License>(200)
        .conditions(Conditions::Change),
        Endpoint::on(
            ReadInstances,
            (
                GET,
                "/v1/orgs/{org}/revocation-list",
                "readRevocationList",
                "Reads the list of artifacts that must not run.",
            ),
            secrets::read_revocation_list,
        )
        .gives::<wire::RevocationList>(200)
        .conditions(Conditions::Read),
        Endpoint::on(
            ManageTree,
            (
                PUT,
                "/v1/orgs/{org}/revocation-list",
                "putRevocationList",
                "Puts the next list of artifacts that must not run.",
            ),
            secrets::put_revocation_list,
        )
        .query::<wire::PutQuery>()
        .body::<wire::PutVersion<wire::RevocationListSpec>>()
        .body_bytes_max(4 * 1024 * 1024)
        .gives::<wire::RevocationList>(201)
        .gives::<wire::RevocationList>(200)
        .conditions(Conditions::Put),
        Endpoint::on(
            ManageRoles,
            (GET, "/v1/orgs/{org}/members", "listMembers", "Lists everybody who has a role."),
            access::list_members,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::MemberRoles>>(200),
        Endpoint::on(
            ManageRoles,
            (GET, "/v1/orgs/{org}/members/{member}", "readMember", "Reads the roles of a member."),
            access::read_member,
        )
        .gives::<wire::MemberRoles>(200),
        Endpoint::on(
            ManageRoles,
            (GET, "/v1/orgs/{org}/role-bindings", "listRoleBindings", "Lists the role bindings."),
            access::list_role_bindings,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::RoleBinding>>(200),
        Endpoint::on(
            ManageRoles,
            (POST, "/v1/orgs/{org}/role-bindings", "createRoleBinding", "Gives a member a role on a node."),
            access::create_role_binding,
        )
        .body::<wire::Grant>()
        .gives::<wire::RoleBinding>(201)
        .gives::<wire::RoleBinding>(200)
        .problems(&[P::Tier]),
        Endpoint::on(
            ManageRoles,
            (GET, "/v1/orgs/{org}/role-bindings/{id}", "readRoleBinding", "Reads a role binding."),
            access::read_role_binding,
        )
        .gives::<wire::RoleBinding>(200),
        Endpoint::on(
            ManageRoles,
            (DELETE, "/v1/orgs/{org}/role-bindings/{id}", "deleteRoleBinding", "Takes a role away."),
            access::delete_role_binding,
        )
        .gives_plain(204, ""),
        Endpoint::on(
            ManageRoles,
            (GET, "/v1/orgs/{org}/api-tokens", "listApiTokens", "Lists the API tokens that can be used."),
            access::list_api_tokens,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::ApiToken>>(200),
        Endpoint::on(
            ManageRoles,
            (POST, "/v1/orgs/{org}/api-tokens", "createApiToken", "Makes an API token, which is shown once."),
            access::create_api_token,
        )
        .body::<wire::CreateApiToken>()
        .gives::<wire::NewApiToken>(201)
        .shown_once()
        .problems(&[P::Tier, P::ShownOnce]),
        Endpoint::on(
            ManageRoles,
            (GET, "/v1/orgs/{org}/api-tokens/{id}", "readApiToken", "Reads what is known of an API token."),
            access::read_api_token,
        )
        .gives::<wire::ApiToken>(200),
        Endpoint::on(
            ManageRoles,
            (DELETE, "/v1/orgs/{org}/api-tokens/{id}", "deleteApiToken", "Revokes an API token."),
            access::delete_api_token,
        )
        .gives_plain(204, ""),
        Endpoint::within(
            (
                GET,
                "/v1/orgs/{org}/workspaces",
                "listWorkspaces",
                "Lists the workspaces that the caller may see.",
            ),
            tree::list_workspaces,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::Workspace>>(200),
        Endpoint::on(
            ManageTree,
            (POST, "/v1/orgs/{org}/workspaces", "createWorkspace", "Makes a workspace."),
            tree::create_workspace,
        )
        .body::<wire::CreateWorkspace>()
        .gives::<wire::Workspace>(201)
        .problems(&[P::Exists]),
    ]
}

fn of_workspaces() -> Vec<Endpoint> {
    use Permission::ManageTree;
    const WORKSPACE: &str = "/v1/orgs/{org}/workspaces/{workspace}";
    const ENVIRONMENTS: &str = "/v1/orgs/{org}/workspaces/{workspace}/environments";
    vec![
        Endpoint::within((GET, WORKSPACE, "readWorkspace", "Reads a workspace."), tree::read_workspace)
            .gives::<wire::Workspace>(200)
            .conditions(Conditions::Read),
        Endpoint::on(
            ManageTree,
            (PUT, WORKSPACE, "updateWorkspace", "Renames a workspace."),
            tree::update_workspace,
        )
        .body::<wire::Rename>()
        .gives::<wire::Workspace>(200)
        .conditions(Conditions::Change),
        Endpoint::on(
            ManageTree,
            (DELETE, WORKSPACE, "deleteWorkspace", "Deletes a workspace that has no environments."),
            tree::delete_workspace,
        )
        .gives_plain(204, "")
        .conditions(Conditions::Change)
        .problems(&[P::InUse]),
        Endpoint::within(
            (GET, ENVIRONMENTS, "listEnvironments", "Lists the environments that the caller may see."),
            tree::list_environments,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::Environment>>(200),
        Endpoint::on(
            ManageTree,
            (POST, ENVIRONMENTS, "createEnvironment", "Makes an environment."),
            tree::create_environment,
        )
        .body::<wire::CreateEnvironment>()
        .gives::<wire::Environment>(201)
        .problems(&[P::Exists]),
    ]
}
