//! The endpoints of environments, their enrollment tokens and gateways.

use http::Method;
use mcpg_cp_api as wire;
use mcpg_cp_api::ProblemCode as P;

use super::super::endpoint::{Conditions, Endpoint};
use super::super::handlers::{fleet, tree};
use crate::authorization::Permission;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// An environment, with more of a path behind it.
macro_rules! environment {
    ($($rest:literal)?) => {
        concat!("/v1/orgs/{org}/workspaces/{workspace}/environments/{environment}", $($rest)?)
    };
}

/// Every one of them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    use Permission::{ManageGateways, ManageTree, ReadInstances};
    vec![
        Endpoint::on(
            ReadInstances,
            (GET, environment!(), "readEnvironment", "Reads an environment."),
            tree::read_environment,
        )
        .gives::<wire::Environment>(200)
        .conditions(Conditions::Read),
        Endpoint::on(
            ManageTree,
            (PUT, environment!(), "updateEnvironment", "Renames an environment."),
            tree::update_environment,
        )
        .body::<wire::Rename>()
        .gives::<wire::Environment>(200)
        .conditions(Conditions::Change),
        Endpoint::on(
            ManageTree,
            (DELETE, environment!(), "deleteEnvironment", "Deletes an environment that has no gateways."),
            tree::delete_environment,
        )
        .gives_plain(204, "")
        .conditions(Conditions::Change)
        .problems(&[P::InUse]),
        Endpoint::on(
            ManageGateways,
            (GET, environment!("/enrollment-tokens"), "listEnrollmentTokens", "Lists the enrollment tokens."),
            fleet::list_enrollment_tokens,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::EnrollmentToken>>(200),
        Endpoint::on(
            ManageGateways,
            (
                POST,
                environment!("/enrollment-tokens"),
                "createEnrollmentToken",
                "Makes a token with which one gateway enrols, once. It is shown once.",
            ),
            fleet::create_enrollment_token,
        )
        .body::<wire::CreateEnrollmentToken>()
        .gives::<wire::NewEnrollmentToken>(201)
        .shown_once()
        .problems(&[P::ShownOnce]),
        Endpoint::on(
            ManageGateways,
            (
                DELETE,
                environment!("/enrollment-tokens/{id}"),
                "deleteEnrollmentToken",
                "Revokes an enrollment token.",
            ),
            fleet::delete_enrollment_token,
        )
        .gives_plain(204, ""),
        Endpoint::on(
            ReadInstances,
            (GET, environment!("/gateways"), "listGateways", "Lists the gateways and how they are."),
            fleet::list_gateways,
        )
        .query::<wire::PageQuery>()
        .gives::<wire::Page<wire::Gateway>>(200),
        Endpoint::on(
            ReadInstances,
            (GET, environment!("/gateways/{id}"), "readGateway", "Reads a gateway and how it is."),
            fleet::read_gateway,
        )
        .gives::<wire::Gateway>(200),
        Endpoint::on(
            ManageGateways,
            (
                DELETE,
                environment!("/gateways/{id}"),
                "retireGateway",
                "Retires a gateway: from then on it is refused.",
            ),
            fleet::retire_gateway,
        )
        .gives_plain(204, ""),
    ]
}
