//! Command lines and what they become.

use std::str::FromStr as _;

use mcpg_cp_api::{Member, Role, Target};

use super::*;
use crate::commands::{environment, organization, rbac, workspace};

/// Checks what a command line becomes.
fn check(arguments: &[&str], expected: &Command) {
    let line = [&["mcpg-ctl"], arguments].concat();
    let parsed = parse(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    assert_eq!(parsed.command, *expected, "{line:?}");
}

/// Checks that a command line is refused with a message that has the words.
fn refuse(arguments: &[&str], words: &str) {
    let line = [&["mcpg-ctl"], arguments].concat();
    let message = parse(&line).expect_err(words).to_string();
    assert!(message.contains(words), "{line:?}: {message}");
}

#[test]
fn the_articles_commands_parse_as_written() {
    check(
        &["org", "create", "acme-corp", "--display-name", "Acme, Inc."],
        &Command::Org(organization::Verb::Create {
            org: "acme-corp".parse().unwrap(),
            display_name: Some("Acme, Inc.".parse().unwrap()),
            subdomain: None,
        }),
    );
    let workspace = "acme-corp/platform-team".parse().unwrap();
    check(
        &["workspace", "create", "acme-corp/platform-team"],
        &Command::Workspace(workspace::Verb::Create { workspace, display_name: None }),
    );
    for env in ["prod", "staging", "dev"] {
        let path = format!("acme-corp/platform-team/{env}");
        let env = path.parse().unwrap();
        check(
            &["env", "create", &path],
            &Command::Env(environment::Verb::Create { env, display_name: None }),
        );
    }
    for (member, role, on) in [
        ("alice@acme.com", "admin", "org/acme-corp"),
        ("bob@acme.com", "operator", "workspace/acme-corp/platform-team"),
        ("carol@acme.com", "viewer", "env/acme-corp/platform-team/prod"),
    ] {
        let binding = rbac::Binding {
            member: member.parse::<Member>().unwrap(),
            role: role.parse::<Role>().unwrap(),
            on: on.parse::<Target>().unwrap(),
        };
        let grant = Command::Rbac(rbac::Verb::Grant(binding.clone()));
        check(&["rbac", "grant", member, role, "--on", on], &grant);
        check(&["rbac", "revoke", member, role, "--on", on], &Command::Rbac(rbac::Verb::Revoke(binding)));
    }
}

#[test]
fn a_wrong_argument_is_named() {
    refuse(&["org", "create", "Acme"], "`Acme` is not a slug");
    refuse(&["org", "create", "acme-corp", "--display-name", ""], "1 to 100 characters");
    refuse(&["workspace", "create", "acme-corp"], "`acme-corp` is not `org/workspace`");
    refuse(&["env", "create", "acme-corp/platform-team"], "is not `org/workspace/env`");
    refuse(&["rbac", "grant", "alice@acme.com", "owner", "--on", "org/acme-corp"], "`owner` is not a role");
    refuse(&["rbac", "grant", "alice", "admin", "--on", "org/acme-corp"], "`alice` is not a member");
    refuse(
        &["rbac", "grant", "alice@acme.com", "admin", "--on", "acme-corp"],
        "`acme-corp` is not `org/ORG`",
    );
    refuse(&["rbac", "grant", "alice@acme.com", "admin"], "--on <ON>");
    refuse(&["org"], "create");
    refuse(&["org", "update", "acme-corp"], "--display-name");
    refuse(&["org", "update", "acme-corp", "--sso-issuer", "https://login.acme.com"], "--sso-client-id");
    refuse(&["--server", "cp.acme.com", "org", "list"], "`cp.acme.com` is not the URL of a control plane");
}

#[test]
fn no_token_is_taken_from_the_command_line() {
    refuse(&["--token", "mcpg_cp_x", "org", "list"], "unexpected argument");
}

#[test]
fn the_command_line_is_well_formed() {
    grammar().debug_assert();
}

#[test]
fn a_token_to_enrol_with_is_made_either_way() {
    use crate::commands::gateway::Verb;
    let parsed = |line: &[&str]| match parse([&["mcpg-ctl", "gateway", "enroll-token"], line].concat())
        .unwrap()
        .command
    {
        Command::Gateway(Verb::EnrollToken(token)) => token,
        other => panic!("{other:?}"),
    };
    let path = "acme-corp/platform-team/prod";
    let (short, long) = (parsed(&[path, "--label", "a=b"]), parsed(&["create", path, "--label", "a=b"]));
    assert_ne!(short, long);
    assert!(
        format!("{long:?}").contains(&format!("{:?}", mcpg_cp_api::EnvironmentPath::from_str(path).unwrap()))
    );
    refuse(&["gateway", "enroll-token"], "<ENV>");
    refuse(&["gateway", "enroll-token", path, "list", path], "cannot be used with");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let env = "acme-corp/platform-team/prod";
    refuse(&["revision", "publish", env, "--percent", "10", "--label", "a=b"], "cannot be used with");
    refuse(&["revision", "publish", env, "--percent", "101"], "101 is not in 0..=100");
    refuse(&["revision", "publish", env, "--timeout", "1m"], "--wait");
    refuse(&["revision", "rollout", env, "3"], "--percent");
    refuse(&["audit", "tail", "acme-corp", "--follow", "--until", "1h"], "cannot be used with");
    refuse(&["audit", "tail", "acme-corp/a/b/c"], "is not `org/workspace/env`");
    refuse(&["secret-ref", "set", "acme-corp/team", "key", "hunter2"], "a reference to a secret is");
    refuse(&["token", "create", "x", "--role", "viewer"], "--on");
    refuse(&["org", "subdomain", "acme-corp"], "required");
    refuse(&["usage", "acme-corp", "--by", "weekday"], "weekday");
}

#[test]
fn the_documentation_shows_commands_that_exist() {
    let document = include_str!("../../../docs/CLI.md");
    let lines = document.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<Vec<String>> = lines.filter(|line| line.starts_with("mcpg-ctl ")).map(words).collect();
    assert!(commands.len() > 50, "{}", commands.len());
    for command in commands {
        parse(&command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
}

/// The words of a line as a shell has them, up to a comment or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ') => words.push(String::new()),
            (None, '#' | '>' | '<') if words.last().is_some_and(String::is_empty) => break,
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
