//! Capabilities: what servers offer, and the few classes that clients fall into.

use std::borrow::Cow;

use super::ListError;
use super::about::{Member, members};
use crate::Limits;
use crate::json::{Fault, ValueKind};

/// What a server offers, as its `capabilities` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertised<'a> {
    /// `tools`.
    pub tools: Option<Offer>,
    /// `prompts`.
    pub prompts: Option<Offer>,
    /// `resources`.
    pub resources: Option<Offer>,
    /// `logging`.
    pub logging: bool,
    /// `completions`.
    pub completions: bool,
    /// `tasks` (2025-11-25).
    pub tasks: Option<TaskOffer>,
    /// `extensions`: each with its settings, the raw text of an object.
    pub extensions: Vec<(Cow<'a, str>, &'a str)>,
}

/// What is offered beside the thing itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its list's changes are told.
    pub list_changed: bool,
    /// Changes of a single one are told (resources).
    pub subscribe: bool,
}

/// What is offered of 2025-11-25 tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskOffer {
    /// `tasks/list`.
    pub list: bool,
    /// `tasks/cancel`.
    pub cancel: bool,
    /// `tools/call` as a task.
    pub call: bool,
}

/// What a client can do, as far as a server's lists may depend on it.
///
/// A server may list other things to other clients, so lists are kept for each class. The classes are few and the gateway's own,
/// so that clients cannot make more of them: what a client says beyond them is not told to upstreams when lists are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientClass(u8);

/// The Tasks extension (SEP-2663).
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";
/// MCP Apps (SEP-1865).
pub(super) const UI: &str = "io.modelcontextprotocol/ui";

impl<'a> Advertised<'a> {
    /// Reads `capabilities`: the raw text of an object. What is of another type than it should be counts as absent.
    ///
    /// # Errors
    /// If it is not strict JSON.
    pub fn parse(capabilities: &'a str, limits: &Limits) -> Result<Self, ListError> {
        let mut read = Self::default();
        for member in members(capabilities, limits)?.into_iter().flatten() {
            if member.kind != ValueKind::Object {
                continue;
            }
            match &*member.key {
                "tools" => read.tools = Some(offer(member.raw, limits)?),
                "prompts" => read.prompts = Some(offer(member.raw, limits)?),
                "resources" => read.resources = Some(offer(member.raw, limits)?),
                "logging" => read.logging = true,
                "completions" => read.completions = true,
                "tasks" => read.tasks = Some(task_offer(member.raw, limits)?),
                "extensions" => {
                    let extensions = members(member.raw, limits)?.into_iter().flatten();
                    read.extensions = extensions.map(|extension| (extension.key, extension.raw)).collect();
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

impl ClientClass {
    const ROOTS: u8 = 1;
    const SAMPLING: u8 = 1 << 1;
    const SAMPLING_TOOLS: u8 = 1 << 2;
    const SAMPLING_CONTEXT: u8 = 1 << 3;
    const ELICITATION: u8 = 1 << 4;
    const ELICITATION_URL: u8 = 1 << 5;
    const TASKS: u8 = 1 << 6;
    const UI: u8 = 1 << 7;

    /// The class of a client with these `capabilities` (the raw text of an object). What cannot be read counts as absent.
    pub fn of(capabilities: &str, limits: &Limits) -> Self {
        Self(bits(capabilities, limits).unwrap_or_default())
    }

    /// The `capabilities` of a client that is in this class and can do nothing else.
    pub fn capabilities(self) -> String {
        let mut members: Vec<String> = Vec::new();
        if self.has(Self::ROOTS) {
            members.push(r#""roots":{"listChanged":true}"#.to_owned());
        }
        if self.has(Self::SAMPLING) {
            members.push(self.nested(
                "sampling",
                &[(Self::SAMPLING_TOOLS, r#""tools":{}"#), (Self::SAMPLING_CONTEXT, r#""context":{}"#)],
            ));
        }
        if self.has(Self::ELICITATION | Self::ELICITATION_URL) {
            members.push(self.nested(
                "elicitation",
                &[(Self::ELICITATION, r#""form":{}"#), (Self::ELICITATION_URL, r#""url":{}"#)],
            ));
        }
        if self.has(Self::TASKS | Self::UI) {
            let apps = r#""io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}"#;
            let tasks = r#""io.modelcontextprotocol/tasks":{}"#;
            members.push(self.nested("extensions", &[(Self::TASKS, tasks), (Self::UI, apps)]));
        }
        format!("{{{}}}", members.join(","))
    }

    fn has(self, any: u8) -> bool {
        self.0 & any != 0
    }

    fn nested(self, name: &str, members: &[(u8, &str)]) -> String {
        let members: Vec<&str> =
            members.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, member)| *member).collect();
        format!(r#""{name}":{{{}}}"#, members.join(","))
    }
}

fn bits(capabilities: &str, limits: &Limits) -> Result<u8, Fault> {
    let mut bits = 0;
    for member in members(capabilities, limits)?.into_iter().flatten() {
        if member.kind != ValueKind::Object {
            continue;
        }
        let inside = || Ok::<_, Fault>(members(member.raw, limits)?.unwrap_or_default());
        match &*member.key {
            "roots" => bits |= ClientClass::ROOTS,
            "sampling" => {
                bits |= ClientClass::SAMPLING;
                bits |= of_names(
                    &inside()?,
                    &[("tools", ClientClass::SAMPLING_TOOLS), ("context", ClientClass::SAMPLING_CONTEXT)],
                );
            }
            "elicitation" => {
                let named = of_names(
                    &inside()?,
                    &[("form", ClientClass::ELICITATION), ("url", ClientClass::ELICITATION_URL)],
                );
                // An empty object means forms.
                bits |= if named == 0 { ClientClass::ELICITATION } else { named };
            }
            "extensions" => {
                bits |= of_names(&inside()?, &[(TASKS, ClientClass::TASKS), (UI, ClientClass::UI)]);
            }
            _ => {}
        }
    }
    Ok(bits)
}

fn of_names(members: &[Member<'_>], names: &[(&str, u8)]) -> u8 {
    let bits = members
        .iter()
        .filter(|member| member.kind == ValueKind::Object)
        .filter_map(|member| names.iter().find(|(name, _)| *name == member.key).map(|(_, bit)| *bit));
    bits.fold(0, |all, bit| all | bit)
}

fn offer(text: &str, limits: &Limits) -> Result<Offer, Fault> {
    let mut offer = Offer::default();
    for member in members(text, limits)?.into_iter().flatten() {
        match &*member.key {
            "listChanged" => offer.list_changed = member.raw == "true",
            "subscribe" => offer.subscribe = member.raw == "true",
            _ => {}
        }
    }
    Ok(offer)
}

fn task_offer(text: &str, limits: &Limits) -> Result<TaskOffer, Fault> {
    let mut offer = TaskOffer::default();
    for member in members(text, limits)?.into_iter().flatten() {
        match (&*member.key, member.kind) {
            ("list", ValueKind::Object) => offer.list = true,
            ("cancel", ValueKind::Object) => offer.cancel = true,
            ("requests", ValueKind::Object) => offer.call = has_call(member.raw, limits)?,
            _ => {}
        }
    }
    Ok(offer)
}

/// Whether `requests` has `tools.call`.
fn has_call(requests: &str, limits: &Limits) -> Result<bool, Fault> {
    let tools = members(requests, limits)?.into_iter().flatten().find(|member| member.key == "tools");
    let calls = tools.map(|tools| members(tools.raw, limits)).transpose()?.flatten().unwrap_or_default();
    Ok(calls.iter().any(|member| member.key == "call"))
}
