//! The methods of every revision from 2025-03-26 to 2026-07-28 and of the Tasks extension.
//!
//! Source: `schema/*/schema.ts` of the specification, SEP-2663 for the Tasks extension. Values are
//! case-sensitive: `Tools/Call` is another method, and an unknown one.

use std::borrow::Cow;
use std::fmt;

use crate::{Revision, TargetKind};

/// The method of a request or notification.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method<'a> {
    /// `initialize`. Begins a session.
    Initialize,
    /// `ping`. Asks whether the peer is alive.
    Ping,
    /// `server/discover`. Asks for revisions, capabilities and identity.
    ServerDiscover,
    /// `subscriptions/listen`. Opens a stream of change notifications.
    SubscriptionsListen,
    /// `tools/list`. Lists tools.
    ToolsList,
    /// `tools/call`. Calls a tool.
    ToolsCall,
    /// `prompts/list`. Lists prompts.
    PromptsList,
    /// `prompts/get`. Renders a prompt.
    PromptsGet,
    /// `resources/list`. Lists resources.
    ResourcesList,
    /// `resources/templates/list`. Lists resource templates.
    ResourcesTemplatesList,
    /// `resources/read`. Reads a resource.
    ResourcesRead,
    /// `resources/subscribe`. Subscribes to a resource's updates.
    ResourcesSubscribe,
    /// `resources/unsubscribe`. Ends a subscription to a resource.
    ResourcesUnsubscribe,
    /// `completion/complete`. Completes an argument of a prompt or resource template.
    CompletionComplete,
    /// `logging/setLevel`. Sets the level of the server's log messages.
    LoggingSetLevel,
    /// `tasks/list`. Lists tasks (2025-11-25).
    TasksList,
    /// `tasks/get`. Asks for a task's state.
    TasksGet,
    /// `tasks/result`. Asks for a task's result (2025-11-25).
    TasksResult,
    /// `tasks/update`. Answers a task's input requests (Tasks extension).
    TasksUpdate,
    /// `tasks/cancel`. Cancels a task.
    TasksCancel,
    /// `sampling/createMessage`. A server asks the client's model.
    SamplingCreateMessage,
    /// `elicitation/create`. A server asks the user.
    ElicitationCreate,
    /// `roots/list`. A server asks for the client's roots.
    RootsList,
    /// `notifications/initialized`. The client is ready.
    Initialized,
    /// `notifications/cancelled`. A request is no longer wanted.
    Cancelled,
    /// `notifications/progress`. Progress of a request.
    Progress,
    /// `notifications/roots/list_changed`. The client's roots changed.
    RootsListChanged,
    /// `notifications/message`. A server's log message.
    LogMessage,
    /// `notifications/tools/list_changed`. The list of tools changed.
    ToolsListChanged,
    /// `notifications/prompts/list_changed`. The list of prompts changed.
    PromptsListChanged,
    /// `notifications/resources/list_changed`. The list of resources changed.
    ResourcesListChanged,
    /// `notifications/resources/updated`. A resource changed.
    ResourcesUpdated,
    /// `notifications/elicitation/complete`. An elicitation by URL is complete (2025-11-25).
    ElicitationComplete,
    /// `notifications/subscriptions/acknowledged`. A subscription stream is open.
    SubscriptionsAcknowledged,
    /// `notifications/tasks/status`. A task's state changed (2025-11-25).
    TaskStatus,
    /// `notifications/tasks`. A task's state changed (Tasks extension).
    TaskChanged,
    /// A method of no revision known here, unescaped.
    Other(Cow<'a, str>),
}

impl<'a> Method<'a> {
    /// The method that `text` (unescaped) names.
    pub fn parse(text: Cow<'a, str>) -> Self {
        match text.as_ref() {
            "initialize" => Self::Initialize,
            "ping" => Self::Ping,
            "server/discover" => Self::ServerDiscover,
            "subscriptions/listen" => Self::SubscriptionsListen,
            "tools/list" => Self::ToolsList,
            "tools/call" => Self::ToolsCall,
            "prompts/list" => Self::PromptsList,
            "prompts/get" => Self::PromptsGet,
            "resources/list" => Self::ResourcesList,
            "resources/templates/list" => Self::ResourcesTemplatesList,
            "resources/read" => Self::ResourcesRead,
            "resources/subscribe" => Self::ResourcesSubscribe,
            "resources/unsubscribe" => Self::ResourcesUnsubscribe,
            "completion/complete" => Self::CompletionComplete,
            "logging/setLevel" => Self::LoggingSetLevel,
            "tasks/list" => Self::TasksList,
            "tasks/get" => Self::TasksGet,
            "tasks/result" => Self::TasksResult,
            "tasks/update" => Self::TasksUpdate,
            "tasks/cancel" => Self::TasksCancel,
            "sampling/createMessage" => Self::SamplingCreateMessage,
            "elicitation/create" => Self::ElicitationCreate,
            "roots/list" => Self::RootsList,
            "notifications/initialized" => Self::Initialized,
            "notifications/cancelled" => Self::Cancelled,
            "notifications/progress" => Self::Progress,
            "notifications/roots/list_changed" => Self::RootsListChanged,
            "notifications/message" => Self::LogMessage,
            "notifications/tools/list_changed" => Self::ToolsListChanged,
            "notifications/prompts/list_changed" => Self::PromptsListChanged,
            "notifications/resources/list_changed" => Self::ResourcesListChanged,
            "notifications/resources/updated" => Self::ResourcesUpdated,
            "notifications/elicitation/complete" => Self::ElicitationComplete,
            "notifications/subscriptions/acknowledged" => Self::SubscriptionsAcknowledged,
            "notifications/tasks/status" => Self::TaskStatus,
            "notifications/tasks" => Self::TaskChanged,
            _ => Self::Other(text),
        }
    }

    /// The method as the wire writes it, unescaped.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Initialize => "initialize",
            Self::Ping => "ping",
            Self::ServerDiscover => "server/discover",
            Self::SubscriptionsListen => "subscriptions/listen",
            Self::ToolsList => "tools/list",
            Self::ToolsCall => "tools/call",
            Self::PromptsList => "prompts/list",
            Self::PromptsGet => "prompts/get",
            Self::ResourcesList => "resources/list",
            Self::ResourcesTemplatesList => "resources/templates/list",
            Self::ResourcesRead => "resources/read",
            Self::ResourcesSubscribe => "resources/subscribe",
            Self::ResourcesUnsubscribe => "resources/unsubscribe",
            Self::CompletionComplete => "completion/complete",
            Self::LoggingSetLevel => "logging/setLevel",
            Self::TasksList => "tasks/list",
            Self::TasksGet => "tasks/get",
            Self::TasksResult => "tasks/result",
            Self::TasksUpdate => "tasks/update",
            Self::TasksCancel => "tasks/cancel",
            Self::SamplingCreateMessage => "sampling/createMessage",
            Self::ElicitationCreate => "elicitation/create",
            Self::RootsList => "roots/list",
            Self::Initialized => "notifications/initialized",
            Self::Cancelled => "notifications/cancelled",
            Self::Progress => "notifications/progress",
            Self::RootsListChanged => "notifications/roots/list_changed",
            Self::LogMessage => "notifications/message",
            Self::ToolsListChanged => "notifications/tools/list_changed",
            Self::PromptsListChanged => "notifications/prompts/list_changed",
            Self::ResourcesListChanged => "notifications/resources/list_changed",
            Self::ResourcesUpdated => "notifications/resources/updated",
            Self::ElicitationComplete => "notifications/elicitation/complete",
            Self::SubscriptionsAcknowledged => "notifications/subscriptions/acknowledged",
            Self::TaskStatus => "notifications/tasks/status",
            Self::TaskChanged => "notifications/tasks",
            Self::Other(text) => text,
        }
    }

    /// Whether the method is written as a notification, which has no id and no answer.
    pub fn is_notification(&self) -> bool {
        self.as_str().starts_with("notifications/")
    }

    /// What the method is applied to, if it is applied to one thing. `completion/complete` is not
    /// here: its `params.ref` says whether it completes a prompt or a resource.
    pub fn target_kind(&self) -> Option<TargetKind> {
        match self {
            Self::ToolsCall => Some(TargetKind::Tool),
            Self::PromptsGet => Some(TargetKind::Prompt),
            Self::ResourcesRead | Self::ResourcesSubscribe | Self::ResourcesUnsubscribe => {
                Some(TargetKind::Resource)
            }
            Self::TasksGet | Self::TasksResult | Self::TasksUpdate | Self::TasksCancel => {
                Some(TargetKind::Task)
            }
            _ => None,
        }
    }

    /// Whether a modern request with this method must carry `Mcp-Name` (SEP-2243, SEP-2663).
    pub fn needs_name_header(&self) -> bool {
        matches!(
            self,
            Self::ToolsCall
                | Self::PromptsGet
                | Self::ResourcesRead
                | Self::TasksGet
                | Self::TasksUpdate
                | Self::TasksCancel
        )
    }

    /// Whether `revision` lets a client send this method. Extensions other than Tasks are unknown
    /// here, so `false` for [`Method::Other`] does not say that no server has it.
    pub fn is_client_method(&self, revision: Revision) -> bool {
        let legacy = revision <= Revision::V2025_11_25;
        match self {
            Self::ToolsList
            | Self::ToolsCall
            | Self::PromptsList
            | Self::PromptsGet
            | Self::ResourcesList
            | Self::ResourcesTemplatesList
            | Self::ResourcesRead
            | Self::CompletionComplete
            | Self::Cancelled => true,
            Self::Initialize
            | Self::Ping
            | Self::ResourcesSubscribe
            | Self::ResourcesUnsubscribe
            | Self::LoggingSetLevel
            | Self::Initialized
            | Self::Progress
            | Self::RootsListChanged => legacy,
            Self::ServerDiscover | Self::SubscriptionsListen | Self::TasksUpdate => !legacy,
            Self::TasksList | Self::TasksResult | Self::TaskStatus => revision == Revision::V2025_11_25,
            Self::TasksGet | Self::TasksCancel => revision >= Revision::V2025_11_25,
            Self::SamplingCreateMessage
            | Self::ElicitationCreate
            | Self::RootsList
            | Self::LogMessage
            | Self::ToolsListChanged
            | Self::PromptsListChanged
            | Self::ResourcesListChanged
            | Self::ResourcesUpdated
            | Self::ElicitationComplete
            | Self::SubscriptionsAcknowledged
            | Self::TaskChanged
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(text: &str) -> Method<'_> {
        Method::parse(Cow::Borrowed(text))
    }

    /// The methods in `schema/*/schema.ts`, with the revision that each first appears in and the
    /// last one that has it, where a client sends it.
    const SENT_BY_CLIENTS: [(&str, Revision, Revision); 25] = [
        ("initialize", Revision::V2025_03_26, Revision::V2025_11_25),
        ("ping", Revision::V2025_03_26, Revision::V2025_11_25),
        ("server/discover", Revision::V2026_07_28, Revision::V2026_07_28),
        ("subscriptions/listen", Revision::V2026_07_28, Revision::V2026_07_28),
        ("tools/list", Revision::V2025_03_26, Revision::V2026_07_28),
        ("tools/call", Revision::V2025_03_26, Revision::V2026_07_28),
        ("prompts/list", Revision::V2025_03_26, Revision::V2026_07_28),
        ("prompts/get", Revision::V2025_03_26, Revision::V2026_07_28),
        ("resources/list", Revision::V2025_03_26, Revision::V2026_07_28),
        ("resources/templates/list", Revision::V2025_03_26, Revision::V2026_07_28),
        ("resources/read", Revision::V2025_03_26, Revision::V2026_07_28),
        ("resources/subscribe", Revision::V2025_03_26, Revision::V2025_11_25),
        ("resources/unsubscribe", Revision::V2025_03_26, Revision::V2025_11_25),
        ("completion/complete", Revision::V2025_03_26, Revision::V2026_07_28),
        ("logging/setLevel", Revision::V2025_03_26, Revision::V2025_11_25),
        ("tasks/list", Revision::V2025_11_25, Revision::V2025_11_25),
        ("tasks/get", Revision::V2025_11_25, Revision::V2026_07_28),
        ("tasks/result", Revision::V2025_11_25, Revision::V2025_11_25),
        ("tasks/update", Revision::V2026_07_28, Revision::V2026_07_28),
        ("tasks/cancel", Revision::V2025_11_25, Revision::V2026_07_28),
        ("notifications/initialized", Revision::V2025_03_26, Revision::V2025_11_25),
        ("notifications/cancelled", Revision::V2025_03_26, Revision::V2026_07_28),
        ("notifications/progress", Revision::V2025_03_26, Revision::V2025_11_25),
        ("notifications/roots/list_changed", Revision::V2025_03_26, Revision::V2025_11_25),
        ("notifications/tasks/status", Revision::V2025_11_25, Revision::V2025_11_25),
    ];

    const SENT_BY_SERVERS: [&str; 11] = [
        "sampling/createMessage",
        "elicitation/create",
        "roots/list",
        "notifications/message",
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/elicitation/complete",
        "notifications/subscriptions/acknowledged",
        "notifications/tasks",
    ];

    #[test]
    fn a_client_method_belongs_to_its_revisions() {
        for (text, first, last) in SENT_BY_CLIENTS {
            for &revision in Revision::SUPPORTED {
                let expected = first <= revision && revision <= last;
                assert_eq!(method(text).is_client_method(revision), expected, "{text} in {revision}");
            }
        }
    }

    #[test]
    fn a_server_method_is_no_client_method() {
        for text in SENT_BY_SERVERS {
            for &revision in Revision::SUPPORTED {
                assert!(!method(text).is_client_method(revision), "{text} in {revision}");
            }
        }
    }

    #[test]
    fn every_known_method_survives_a_round_trip() {
        for text in SENT_BY_CLIENTS.map(|row| row.0).into_iter().chain(SENT_BY_SERVERS) {
            let parsed = method(text);
            assert!(!matches!(parsed, Method::Other(_)), "{text}");
            assert_eq!(parsed.as_str(), text);
        }
    }

    #[test]
    fn method_values_are_case_sensitive() {
        for text in ["Tools/call", "tools/Call", "TOOLS/CALL", "tools/call ", "tools/cal", ""] {
            assert_eq!(method(text), Method::Other(Cow::Borrowed(text)));
        }
    }
}
