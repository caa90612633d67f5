//! The operator's command line, a client of the control plane's API.
//!
//! A command line becomes one typed [`Request`] or an error that names the argument: nothing is sent that the API would
//! refuse for its form.

pub mod manifest;

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use mcpg_cp_api::{
    DisplayName, EnvironmentPath, Grant, Member, OrganizationPath, Role, Target, WorkspacePath,
};
use serde::Serialize;

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Creates an organization.
    CreateOrganization {
        /// Its slug.
        path: OrganizationPath,
        /// The name that people read.
        #[serde(skip_serializing_if = "Option::is_none")]
        display_name: Option<DisplayName>,
    },
    /// Creates a workspace in an organization.
    CreateWorkspace {
        /// Where.
        path: WorkspacePath,
    },
    /// Creates an environment in a workspace.
    CreateEnvironment {
        /// Where.
        path: EnvironmentPath,
    },
    /// Gives a member a role.
    GrantRole(Grant),
    /// Takes it away.
    RevokeRole(Grant),
}

/// Parses a command line, its first word being the program's name.
///
/// # Errors
/// What is wrong with it, or the help or version text that it asked for, as [`clap::Error`] prints them.
pub fn parse<I, T>(arguments: I) -> Result<Request, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    CommandLine::try_parse_from(arguments).map(Request::from)
}

/// Operates an MCPG control plane.
#[derive(Debug, Parser)]
#[command(name = "mcpg-ctl", version)]
struct CommandLine {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Organizations.
    #[command(subcommand)]
    Org(OrgVerb),
    /// Workspaces of an organization.
    #[command(subcommand)]
    Workspace(WorkspaceVerb),
    /// Environments of a workspace.
    #[command(subcommand)]
    Env(EnvVerb),
    /// Roles of members.
    #[command(subcommand)]
    Rbac(RbacVerb),
}

#[derive(Debug, Subcommand)]
enum OrgVerb {
    /// Creates an organization.
    Create {
        /// Its slug, such as `acme-corp`.
        org: OrganizationPath,
        /// The name that people read.
        #[arg(long)]
        display_name: Option<DisplayName>,
    },
}

#[derive(Debug, Subcommand)]
enum WorkspaceVerb {
    /// Creates a workspace.
    Create {
        /// Where, such as `acme-corp/platform-team`.
        workspace: WorkspacePath,
    },
}

#[derive(Debug, Subcommand)]
enum EnvVerb {
    /// Creates an environment.
    Create {
        /// Where, such as `acme-corp/platform-team/prod`.
        env: EnvironmentPath,
    },
}

#[derive(Debug, Subcommand)]
enum RbacVerb {
    /// Gives a member a role.
    Grant(Binding),
    /// Takes a role away from a member.
    Revoke(Binding),
}

#[derive(Debug, Args)]
struct Binding {
    /// Who, such as `alice@acme.com`.
    member: Member,
    /// `admin`, `operator` or `viewer`.
    role: Role,
    /// Where: `org/ORG`, `workspace/ORG/WORKSPACE` or `env/ORG/WORKSPACE/ENV`.
    #[arg(long)]
    on: Target,
}

impl From<CommandLine> for Request {
    fn from(line: CommandLine) -> Self {
        match line.noun {
            Noun::Org(OrgVerb::Create { org, display_name }) => {
                Self::CreateOrganization { path: org, display_name }
            }
            Noun::Workspace(WorkspaceVerb::Create { workspace }) => Self::CreateWorkspace { path: workspace },
            Noun::Env(EnvVerb::Create { env }) => Self::CreateEnvironment { path: env },
            Noun::Rbac(RbacVerb::Grant(binding)) => Self::GrantRole(binding.into()),
            Noun::Rbac(RbacVerb::Revoke(binding)) => Self::RevokeRole(binding.into()),
        }
    }
}

impl From<Binding> for Grant {
    fn from(binding: Binding) -> Self {
        Self { member: binding.member, role: binding.role, on: binding.on }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a command line against the request it becomes, as JSON.
    fn check(arguments: &[&str], expected: &serde_json::Value) {
        let line = [&["mcpg-ctl"], arguments].concat();
        let request = parse(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!(serde_json::to_value(request).unwrap(), *expected, "{line:?}");
    }

    /// Checks that a command line is refused with a message that has the words.
    fn refuse(arguments: &[&str], words: &str) {
        let line = [&["mcpg-ctl"], arguments].concat();
        let message = parse(&line).expect_err(words).to_string();
        assert!(message.contains(words), "{line:?}: {message}");
    }

    #[test]
    fn the_articles_commands_parse_as_written() {
        use serde_json::json;
        check(
            &["org", "create", "acme-corp", "--display-name", "Acme, Inc."],
            &json!({"request": "create_organization", "path": "acme-corp", "display_name": "Acme, Inc."}),
        );
        check(
            &["workspace", "create", "acme-corp/platform-team"],
            &json!({"request": "create_workspace", "path": "acme-corp/platform-team"}),
        );
        for env in ["prod", "staging", "dev"] {
            let path = format!("acme-corp/platform-team/{env}");
            check(&["env", "create", &path], &json!({"request": "create_environment", "path": path}));
        }
        for (member, role, on) in [
            ("alice@acme.com", "admin", "org/acme-corp"),
            ("bob@acme.com", "operator", "workspace/acme-corp/platform-team"),
            ("carol@acme.com", "viewer", "env/acme-corp/platform-team/prod"),
        ] {
            check(
                &["rbac", "grant", member, role, "--on", on],
                &json!({"request": "grant_role", "member": member, "role": role, "on": on}),
            );
            check(
                &["rbac", "revoke", member, role, "--on", on],
                &json!({"request": "revoke_role", "member": member, "role": role, "on": on}),
            );
        }
    }

    #[test]
    fn a_wrong_argument_is_named() {
        refuse(&["org", "create", "Acme"], "`Acme` is not a slug");
        refuse(&["org", "create", "acme-corp", "--display-name", ""], "1 to 100 characters");
        refuse(&["workspace", "create", "acme-corp"], "`acme-corp` is not `org/workspace`");
        refuse(&["env", "create", "acme-corp/platform-team"], "is not `org/workspace/env`");
        refuse(
            &["rbac", "grant", "alice@acme.com", "owner", "--on", "org/acme-corp"],
            "`owner` is not a role",
        );
        refuse(&["rbac", "grant", "alice", "admin", "--on", "org/acme-corp"], "`alice` is not a member");
        refuse(
            &["rbac", "grant", "alice@acme.com", "admin", "--on", "acme-corp"],
            "`acme-corp` is not `org/ORG`",
        );
        refuse(&["rbac", "grant", "alice@acme.com", "admin"], "--on <ON>");
        refuse(&["org"], "create");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }
}
