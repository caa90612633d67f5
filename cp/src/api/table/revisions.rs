//! The endpoints of revisions, and those that gateways ask.

use http::Method;
use mcpg_cp_api as wire;
use mcpg_cp_api::ProblemCode as P;

use super::super::endpoint::Endpoint;
use super::super::handlers::{agents, agents_audit, revisions};
use crate::authorization::Permission;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;

macro_rules! environment {
    ($rest:literal) => {
        concat!("/v1/orgs/{org}/workspaces/{workspace}/environments/{environment}", $rest)
    };
}

/// Every one of them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    of_environments().into_iter().chain(of_gateways()).collect()
}

fn of_environments() -> Vec<Endpoint> {
    use Permission::{ManageGateways, ReadInstances};
    vec![
        Endpoint::on(
            ReadInstances,
            (GET, environment!("/revisions"), "listRevisions", "Lists the revisions, the newest first."),
            revisions::list_revisions,
        )
        .query::<wire::VersionsQuery>()
        .gives::<wire::Page<wire::Revision>>(200),
        Endpoint::on(
            ManageGateways,
            (
                POST,
                environment!("/revisions"),
                "publishRevision",
                "Publishes what the environment is configured with as its next revision. Where that is the newest one already, it stays.",
            ),
            revisions::publish_revision,
        )
        .body::<wire::PublishRevision>()
        .gives::<wire::Revision>(201)
        .gives::<wire::Revision>(200)
        .problems(&[P::Invalid]),
        Endpoint::on(
            ManageGateways,
            (
                POST,
                environment!("/revisions/preview"),
                "previewRevision",
                "Renders and validates what would be published, and publishes nothing.",
            ),
            revisions::preview_revision,
        )
        .gives::<wire::RevisionPreview>(200)
        .problems(&[P::Invalid]),
        Endpoint::on(
            ReadInstances,
            (GET, environment!("/revisions/{number}"), "readRevision", "Reads a revision with its document."),
            revisions::read_revision,
        )
        .gives::<wire::RevisionDocument>(200),
        Endpoint::on(
            ManageGateways,
            (
                POST,
                environment!("/revisions/{number}/rollback"),
                "rollBackRevision",
                "Publishes an older revision's document as the next one.",
            ),
            revisions::roll_back,
        )
        .body::<wire::RollbackRevision>()
        .gives::<wire::Revision>(201)
        .problems(&[P::Invalid]),
        Endpoint::on(
            ManageGateways,
            (
                PUT,
                environment!("/revisions/{number}/rollout"),
                "changeRollout",
                "Gives a staged revision to more gateways, or to all.",
            ),
            revisions::change_rollout,
        )
        .body::<wire::Rollout>()
        .gives::<wire::Revision>(200)
        .problems(&[P::Invalid]),
    ]
}

/// What gateways ask. Each proves who it is by an assertion that it signs.
fn of_gateways() -> Vec<Endpoint> {
    vec![
        Endpoint::open(
            (
                POST,
                "/v1/agent/enroll",
                "enrollGateway",
                "Enrols a gateway with a token that is used up by it.",
            ),
            agents::enroll,
        )
        .body::<wire::EnrollGateway>()
        .gives::<wire::Enrolled>(201)
        .problems(&[P::Unauthenticated, P::Exists]),
        Endpoint::agent(
            (
                GET,
                "/v1/agent/revisions",
                "followRevisions",
                "Streams the gateway's revisions as they are published.",
            ),
            agents::revisions,
        )
        .query::<wire::RevisionsQuery>()
        .gives_plain(200, "text/event-stream"),
        Endpoint::agent(
            (POST, "/v1/agent/acknowledgements", "acknowledgeRevision", "Says what came of a revision."),
            agents::acknowledge,
        )
        .body::<wire::Acknowledgement>()
        .gives_plain(204, ""),
        Endpoint::agent((POST, "/v1/agent/heartbeat", "beat", "Says how the gateway is."), agents::heartbeat)
            .body::<wire::Heartbeat>()
            .gives_plain(204, ""),
        Endpoint::agent(
            (POST, "/v1/agent/audit", "forwardAudit", "Takes over the rows of the gateway's audit log."),
            agents_audit::forward,
        )
        .body::<wire::AuditUpload>()
        .body_bytes_max(agents_audit::UPLOAD_BYTES_MAX)
        .gives::<wire::AuditAccepted>(200)
        .problems(&[P::State]),
    ]
}
