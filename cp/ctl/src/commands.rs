//! What can be asked for: one module per noun, with its grammar and what it does.

use clap::Subcommand;
use clap_complete::Shell;

use crate::arguments::Span;
use crate::failure::{Exit, Failure};
use crate::session::Session;

pub mod apply;
pub mod audit;
mod completion;
pub mod context;
pub mod document;
pub mod environment;
pub mod gateway;
pub mod license;
pub mod organization;
pub mod platform_token;
pub mod quickstart;
pub mod rbac;
pub mod revision;
pub mod revocation_list;
pub mod secret_reference;
pub mod sign_in;
pub mod status;
pub mod token;
pub mod usage;
mod whoami;
pub mod workspace;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Organizations.
    #[command(subcommand)]
    Org(organization::Verb),
    /// Workspaces of an organization.
    #[command(subcommand)]
    Workspace(workspace::Verb),
    /// Environments of a workspace.
    #[command(subcommand)]
    Env(environment::Verb),
    /// Roles of members.
    #[command(subcommand)]
    Rbac(rbac::Verb),
    /// Everybody who has a role.
    #[command(subcommand)]
    Member(rbac::MemberVerb),
    /// API tokens of an organization, for programs.
    #[command(subcommand)]
    Token(token::Verb),
    /// Tokens of the service's own administrators.
    #[command(subcommand)]
    PlatformToken(platform_token::Verb),
    /// Names for secrets that gateways resolve.
    #[command(subcommand)]
    SecretRef(secret_reference::Verb),
    /// What an organization has bought.
    #[command(subcommand)]
    License(license::Verb),
    /// Gateways of an environment, and the tokens they enrol with.
    #[command(subcommand)]
    Gateway(gateway::Verb),
    /// Plugin sets of a workspace.
    #[command(subcommand)]
    PluginSet(document::Verb),
    /// Policies of a workspace.
    #[command(subcommand)]
    Policy(document::Verb),
    /// The gateway configuration of an environment.
    #[command(subcommand)]
    Config(document::ConfigVerb),
    /// Artifacts that must not run anywhere in an organization.
    #[command(subcommand)]
    RevocationList(revocation_list::Verb),
    /// What the gateways of an environment run.
    #[command(subcommand)]
    Revision(revision::Verb),
    /// An organization's audit chain.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// What was called, added up.
    Usage(usage::Sums),
    /// Shows the control plane, who you are there, and the tree with its gateways.
    Status(status::Status),
    /// Shows who the credential is, and what it may do.
    Whoami,
    /// Signs in with your organization's identity provider.
    Login(sign_in::Login),
    /// Ends the session of the context.
    Logout,
    /// Prints what a shell completes command lines by.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Control planes that this machine knows by name.
    #[command(subcommand)]
    Context(context::Verb),
    /// Makes the control plane say what files say.
    Apply(apply::Apply),
    /// Shows what applying files would change.
    Diff(apply::Diff),
    /// Deletes what files name.
    Delete(apply::Delete),
    /// Prints what is there as a manifest, to be kept in a file and applied again.
    Get(apply::Get),
    /// Prints the kinds of manifest as CustomResourceDefinitions of Kubernetes.
    Crds(apply::Crds),
    /// Starts a control plane and a gateway that follows it, shows what they do, and stays until Ctrl-C.
    Quickstart(quickstart::Quickstart),
    /// Turns into a program that ends with the one that started it.
    #[command(hide = true)]
    Attend(quickstart::Attend),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Org(verb) => verb.run(session).await,
            Self::Workspace(verb) => verb.run(session).await,
            Self::Env(verb) => verb.run(session).await,
            Self::Rbac(verb) => verb.run(session).await,
            Self::Member(verb) => verb.run(session).await,
            Self::Token(verb) => verb.run(session).await,
            Self::PlatformToken(verb) => verb.run(session).await,
            Self::SecretRef(verb) => verb.run(session).await,
            Self::License(verb) => verb.run(session).await,
            Self::Gateway(verb) => verb.run(session).await,
            Self::PluginSet(verb) => verb.run(document::PLUGIN_SET, session).await,
            Self::Policy(verb) => verb.run(document::POLICY, session).await,
            Self::Config(verb) => verb.run(session).await,
            Self::RevocationList(verb) => verb.run(session).await,
            Self::Revision(verb) => verb.run(session).await,
            Self::Audit(verb) => verb.run(session).await,
            Self::Usage(sums) => sums.run(session).await,
            Self::Status(status) => status.run(session).await,
            Self::Whoami => whoami::run(session).await,
            Self::Login(login) => login.run(session).await,
            Self::Logout => sign_in::logout(session).await,
            Self::Completion { shell } => completion::run(shell, session),
            Self::Context(verb) => verb.run(session),
            Self::Apply(apply) => apply.run(session).await,
            Self::Diff(diff) => diff.run(session).await,
            Self::Delete(delete) => delete.run(session).await,
            Self::Get(get) => get.run(session).await,
            Self::Crds(crds) => crds.run(session),
            Self::Quickstart(quickstart) => quickstart.run(session).await,
            Self::Attend(attend) => attend.run(),
        }
    }
}

/// The largest page that the API gives: lists are read whole.
pub(crate) fn whole() -> mcpg_cp_api::PageQuery {
    mcpg_cp_api::PageQuery { limit: Some(200), cursor: None }
}

/// A span of time as the API takes it.
pub(crate) fn seconds(span: Option<Span>) -> Result<Option<u32>, Failure> {
    span.map(Span::seconds).transpose().map_err(|_| Failure::Usage("the span of time is too long".to_owned()))
}
