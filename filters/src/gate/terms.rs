//! What all gates have in common: which calls they are for, how long these wait, and who may answer from this machine.

use std::time::Duration;

use mcpg_sdk::{Caller, SettingsError};
use serde::Deserialize;
use serde_json::Value;

use crate::transform::redact::Redactor;

/// What a gate does, whoever answers.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Which calls it is for.
    pub tools: Tools,
    /// How long a call waits.
    pub deadline: Duration,
    /// What the client is told meanwhile.
    pub mode: Mode,
    /// What approvers do not see of the arguments.
    pub redactor: Redactor,
    /// The most arguments that approvers are shown.
    pub arguments_bytes_max: usize,
    /// Users of this machine who may approve.
    pub operators: Box<[Box<str>]>,
    /// Whether callers may approve their own calls.
    pub self_approval: SelfApproval,
    /// The attribute that has a caller's e-mail address.
    pub caller_email: Box<str>,
    /// How many calls may wait.
    pub pending_max: usize,
    /// How many calls of one caller.
    pub pending_per_caller_max: usize,
    /// Where people reach the gateway.
    pub public_url: Option<Box<str>>,
}

/// What a client is told while its call waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing: its request is answered once the call was made. Comments, and progress where the client wants to hear of it,
    /// keep the stream alive.
    #[default]
    Wait,
    /// A page to look at (`input_required` with an elicitation by URL), where the client says that it can show one. It repeats
    /// its request afterwards. Other clients are refused.
    Elicit,
    /// As `elicit` where the client can, else as `wait`.
    Auto,
}

/// Whether callers may approve their own calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfApproval {
    /// Never.
    #[default]
    Never,
    /// Those on the list of approvers may.
    Permitted,
}

/// Tools by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools(Box<[Pattern]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    binding: Box<str>,
    /// None for every tool of the binding.
    tool: Option<Box<str>>,
}

impl Tools {
    /// Reads `<binding>.<tool>` and `<binding>.*`.
    ///
    /// # Errors
    /// When an entry is neither, or names no binding.
    pub(super) fn parse(entries: &[String], bindings: &[&str]) -> Result<Self, SettingsError> {
        let pattern = |(index, entry): (usize, &String)| {
            let of = |binding: &&str| {
                let tool = entry.strip_prefix(binding)?.strip_prefix('.').filter(|tool| !tool.is_empty())?;
                Some(Pattern { binding: (*binding).into(), tool: (tool != "*").then(|| tool.into()) })
            };
            bindings.iter().find_map(of).ok_or_else(|| {
                let message =
                    format!("`{entry}` is no tool of a binding: write `<binding>.<tool>` or `<binding>.*`");
                SettingsError::at(format!("/tools/{index}"), message)
            })
        };
        entries.iter().enumerate().map(pattern).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a tool is named.
    pub fn name(&self, binding: &str, tool: &str) -> bool {
        let names = |pattern: &Pattern| {
            *pattern.binding == *binding && pattern.tool.as_deref().is_none_or(|it| it == tool)
        };
        self.0.iter().any(names)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Terms {
    /// The e-mail address of a caller: an attribute of it, or the address in `user:<address>`. An address that its issuer says is
    /// not verified is still the one that must not approve.
    pub fn email<'c>(&self, caller: &'c Caller) -> Option<&'c str> {
        let attribute = caller.attributes.get(&*self.caller_email).and_then(Value::as_str);
        let subject = || caller.subject.strip_prefix("user:");
        attribute.or_else(subject).filter(|email| is_address(email))
    }

    /// Whether a user of this machine may approve a call.
    pub fn is_operator(&self, name: &str) -> bool {
        self.operators.iter().any(|operator| **operator == *name)
    }

    /// Whether somebody by this name would be the caller: by subject, by its part behind the kind, by address or by its part
    /// before the `@`.
    pub fn is_self(&self, name: &str, subject: &str, email: Option<&str>) -> bool {
        let bare = subject.split_once(':').map_or(subject, |(_, bare)| bare);
        let local = |text: &'_ str| text.split_once('@').map(|(local, _)| local.to_owned());
        let names = [Some(subject.to_owned()), Some(bare.to_owned()), local(bare)];
        let addresses = [email.map(str::to_owned), email.and_then(local)];
        self.self_approval == SelfApproval::Never
            && names.into_iter().chain(addresses).flatten().any(|own| own.eq_ignore_ascii_case(name))
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && text.len() <= 320
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
