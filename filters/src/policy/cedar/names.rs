//! How callers and calls are named in Cedar, and which names a policy may use.
//!
//! INVARIANT: two subjects never map to one entity, and a method never maps to a tool's action. A tool's
//! action is `BINDING.TOOL`, where a binding's id has no `.`, `/` or `:`; a method's action has no `.` before a `/` or
//! `:`, and none at all where it is a known method.

use std::borrow::Cow;

use mcpg_sdk::policy::Kind;

use super::problem::{did_you_mean, nearest};

/// The action that every tool's action is in.
pub(super) const TOOLS: &str = "tools/call";
/// The action that the protocol's plumbing is in.
pub(super) const PROTOCOL: &str = "protocol";
/// The action that `resources/read` and its like are in.
pub(super) const RESOURCES: &str = "resources";
/// The action that `tasks/*` are in.
pub(super) const TASKS: &str = "tasks";

pub(super) const GROUPS: [&str; 4] = [TOOLS, PROTOCOL, RESOURCES, TASKS];

pub(super) const RESOURCE_METHODS: [&str; 3] =
    ["resources/read", "resources/subscribe", "resources/unsubscribe"];

pub(super) const PROMPT_METHOD: &str = "prompts/get";

/// Methods that are applied to a binding as a whole and have a group.
const BINDING_METHODS: [&str; 25] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "mcp/end",
    "mcp/response",
    "mcp/stream",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/roots/list_changed",
    "notifications/tools/list_changed",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tools/list",
];

const NOTIFICATIONS: &str = "notifications/";
const TASK: &str = "tasks/";
const EXTENSION: &str = "method:";

/// Entity types that a caller can have.
pub(super) const PRINCIPALS: [&str; 4] = ["User", "Workload", "Anonymous", "Subject"];

/// All entity types.
pub(super) const TYPES: [&str; 11] = [
    "User",
    "Workload",
    "Anonymous",
    "Subject",
    "Group",
    "Role",
    "Org",
    "Binding",
    "Tool",
    "Resource",
    "Prompt",
];

/// What an action in a policy stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ActionName {
    /// One of [`GROUPS`].
    Group(&'static str),
    /// A tool of a binding.
    Tool { binding: String, tool: String },
    /// `resources/read` and its like.
    Resource(&'static str),
    /// `prompts/get`.
    Prompt,
    /// Another method, by its action's id.
    Method(String),
}

/// Type and id of the entity that stands for a subject.
pub(super) fn principal(subject: &str) -> (&'static str, &str) {
    if let Some(user) = subject.strip_prefix("user:").filter(|user| !user.is_empty()) {
        ("User", user)
    } else if subject.starts_with("spiffe://") {
        ("Workload", subject)
    } else if subject == "anonymous" {
        ("Anonymous", subject)
    } else {
        ("Subject", subject)
    }
}

/// The action's id of a method that is applied to a binding, and the group it is in.
pub(super) fn method_action(method: &str) -> (Cow<'_, str>, Option<&'static str>) {
    if method.starts_with(TASK) {
        (method.into(), Some(TASKS))
    } else if method.starts_with(NOTIFICATIONS) || BINDING_METHODS.contains(&method) {
        (method.into(), Some(PROTOCOL))
    } else {
        (format!("{EXTENSION}{method}").into(), None)
    }
}

/// The method that a method's action stands for.
pub(super) fn method_of(id: &str) -> &str {
    id.strip_prefix(EXTENSION).unwrap_or(id)
}

/// Checks that a caller can have this entity.
pub(super) fn check_principal(of: &str, id: &str) -> Result<(), String> {
    let written = format!("`{of}::\"{id}\"`");
    if of == "User" {
        // A user's id may be any text, but these two are mistakes more likely than names.
        return match principal(id) {
            ("User", user) => {
                Err(format!("{written}: the prefix is not part of the id: write `User::\"{user}\"`"))
            }
            ("Workload", id) => Err(format!("{written} is a workload: write `Workload::\"{id}\"`")),
            _ => Ok(()),
        };
    }
    match principal(id) {
        (right, _) if right == of => Ok(()),
        (right, id) => Err(format!("no caller is {written}: write `{right}::\"{id}\"`")),
    }
}

/// Known methods that are applied to a binding.
pub(super) fn binding_methods() -> impl Iterator<Item = &'static str> {
    BINDING_METHODS.into_iter()
}

/// Whether a text can be a binding's id in an action.
pub(super) fn is_binding_id(id: &str) -> bool {
    !id.is_empty() && !id.contains(['.', '/', ':'])
}

/// What the action with this id stands for.
///
/// # Errors
/// What is wrong with the id, and the nearest one that exists.
pub(super) fn action_name(id: &str, bindings: &[String]) -> Result<ActionName, String> {
    if let Some(group) = GROUPS.iter().find(|group| **group == id) {
        return Ok(ActionName::Group(group));
    }
    if let Some(method) = RESOURCE_METHODS.iter().find(|method| **method == id) {
        return Ok(ActionName::Resource(method));
    }
    if id == PROMPT_METHOD {
        return Ok(ActionName::Prompt);
    }
    let is_prefixed = |prefix| id.strip_prefix(prefix).is_some_and(|rest: &str| !rest.is_empty());
    if BINDING_METHODS.contains(&id) || is_prefixed(TASK) || is_prefixed(NOTIFICATIONS) {
        return Ok(ActionName::Method(id.to_owned()));
    }
    if let Some(method) = id.strip_prefix(EXTENSION) {
        return match action_name(method, bindings) {
            Ok(
                ActionName::Group(_) | ActionName::Resource(_) | ActionName::Prompt | ActionName::Method(_),
            ) => Err(format!("`Action::\"{id}\"` is a known method: write `Action::\"{method}\"`")),
            _ => Ok(ActionName::Method(id.to_owned())),
        };
    }
    let (binding, tool) = split_tool(id, bindings).map_err(|problem| match problem {
        Some(problem) => format!("`Action::\"{id}\"`: {problem}"),
        None => unknown_action(id, bindings),
    })?;
    Ok(ActionName::Tool { binding, tool })
}

/// Whether a method's id is accepted for its prefix only.
pub(super) fn is_uncommon_method(id: &str) -> bool {
    (id.starts_with(TASK) || id.starts_with(NOTIFICATIONS)) && !BINDING_METHODS.contains(&id)
}

/// Splits `BINDING.NAME` and checks that the binding is configured. None: there is no such split.
pub(super) fn split_tool(id: &str, bindings: &[String]) -> Result<(String, String), Option<String>> {
    let (binding, name) = id.split_once('.').ok_or(None)?;
    if !is_binding_id(binding) {
        return Err(None);
    }
    if name.is_empty() {
        return Err(Some("the name after the binding is missing".to_owned()));
    }
    check_binding(binding, bindings).map_err(Some)?;
    Ok((binding.to_owned(), name.to_owned()))
}

/// Checks that a binding is configured.
pub(super) fn check_binding(binding: &str, bindings: &[String]) -> Result<(), String> {
    if bindings.iter().any(|known| known == binding) {
        return Ok(());
    }
    let advice = did_you_mean(binding, bindings.iter().map(String::as_str));
    Err(format!("no binding is called `{binding}`{advice}"))
}

fn unknown_action(id: &str, bindings: &[String]) -> String {
    let known = GROUPS.into_iter().chain(RESOURCE_METHODS).chain([PROMPT_METHOD]).chain(BINDING_METHODS);
    let advice = match nearest(id, known) {
        Some(near) => format!("did you mean `Action::\"{near}\"`?"),
        None => match bindings.first() {
            Some(binding) => {
                format!("a tool's action is `Action::\"BINDING.TOOL\"`, such as `Action::\"{binding}.{id}\"`")
            }
            None => "a tool's action is `Action::\"BINDING.TOOL\"`".to_owned(),
        },
    };
    format!("there is no `Action::\"{id}\"`: {advice}")
}

/// The kind that an entity type of resources stands for.
pub(super) fn kind_of_type(type_name: &str) -> Option<Kind> {
    match type_name {
        "Tool" => Some(Kind::Tool),
        "Resource" => Some(Kind::Resource),
        "Prompt" => Some(Kind::Prompt),
        "Binding" => Some(Kind::Method),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn subjects_keep_apart() {
        let subjects = [
            "user:alice@acme.com",
            "alice@acme.com",
            "user:",
            "user:user:alice@acme.com",
            "user:anonymous",
            "user:spiffe://acme.org/sa/cron",
            "spiffe://acme.org/sa/cron",
            "anonymous",
            "Anonymous",
            "service:cron",
            "subject:alice@acme.com",
            "",
        ];
        let mut seen = HashMap::new();
        for subject in subjects {
            assert_eq!(seen.insert(principal(subject), subject), None, "{subject}");
        }
        assert_eq!(principal("user:alice@acme.com"), ("User", "alice@acme.com"));
        assert_eq!(principal("spiffe://acme.org/sa/cron"), ("Workload", "spiffe://acme.org/sa/cron"));
        assert_eq!(principal("anonymous"), ("Anonymous", "anonymous"));
        assert_eq!(principal("service:cron"), ("Subject", "service:cron"));
    }

    fn check(id: &str, expected: Result<ActionName, &str>) {
        let bindings = ["files".to_owned(), "github".to_owned()];
        assert_eq!(action_name(id, &bindings), expected.map_err(str::to_owned));
    }

    #[test]
    fn action_ids_are_understood_or_refused_with_the_nearest() {
        let tool = |binding: &str, tool: &str| {
            Ok(ActionName::Tool { binding: binding.to_owned(), tool: tool.to_owned() })
        };
        check("files.read", tool("files", "read"));
        check("files.a.b/c", tool("files", "a.b/c"));
        check("tools/call", Ok(ActionName::Group("tools/call")));
        check("ping", Ok(ActionName::Method("ping".to_owned())));
        check("tasks/update", Ok(ActionName::Method("tasks/update".to_owned())));
        check("method:x.y/z", Ok(ActionName::Method("method:x.y/z".to_owned())));
        check("resources/read", Ok(ActionName::Resource("resources/read")));
        check("method:ping", Err("`Action::\"method:ping\"` is a known method: write `Action::\"ping\"`"));
        check(
            "file.read",
            Err("`Action::\"file.read\"`: no binding is called `file`: did you mean `files`?"),
        );
        check("files.", Err("`Action::\"files.\"`: the name after the binding is missing"));
        check(
            "tool/call",
            Err("there is no `Action::\"tool/call\"`: did you mean `Action::\"tools/call\"`?"),
        );
        check(
            "delete_repo",
            Err(
                "there is no `Action::\"delete_repo\"`: a tool's action is `Action::\"BINDING.TOOL\"`, such as \
                 `Action::\"files.delete_repo\"`",
            ),
        );
    }

    #[test]
    fn a_method_is_never_a_tools_action() {
        for method in
            ["files.read", "tasks/files.read", "notifications/files.read", "method:files.read", "ping", ""]
        {
            let (id, _) = method_action(method);
            let is_tool = id.split_once('.').is_some_and(|(binding, _)| is_binding_id(binding));
            assert!(!is_tool, "{method} -> {id}");
        }
        assert_eq!(method_action("protocol").0, "method:protocol");
        assert_eq!(method_action("tools/call").0, "method:tools/call");
    }
}
