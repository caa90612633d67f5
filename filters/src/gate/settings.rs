//! The `config:` of the gates. What all have in common stands in each of them, so that a misspelt key is an error.

use std::time::Duration;

use mcpg_sdk::{Obligation, RedactMode, SecretRef, SettingsError};
use serde::Deserialize;

use super::terms::{Mode, SelfApproval, Terms, Tools};
use crate::net::{AllowAddresses, HttpUrl};
use crate::transform::redact::{RedactLimits, Redactor};

const DEADLINE_MS_MAX: u64 = 24 * 3_600_000;
const DEADLINE_MS_MIN: u64 = 1_000;
/// What Slack shows in one message with room to spare.
const ARGUMENTS_BYTES_MAX: usize = 32 * 1024;
const PENDING_MAX: usize = 1_000_000;

/// The `config:` of `gate.slack-approval`.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackSettings {
    /// The bot's token (`xoxb-…`).
    #[schemars(with = "String")]
    pub bot_token: SecretRef,
    /// The signing secret of the app, by which Slack's callbacks are known.
    #[schemars(with = "String")]
    pub signing_secret: SecretRef,
    /// The id of the channel that is asked: `C0123456789`.
    pub channel: String,
    /// Who may approve.
    pub approvers: SlackApprovers,
    /// Whether callers may approve their own calls.
    #[serde(default)]
    pub self_approval: SelfApproval,
    /// The attribute of a caller that has its e-mail address, by which its own Slack user is found. Where it is not there, the
    /// address in `user:<address>`.
    #[serde(default = "default_caller_email")]
    pub caller_email: String,
    /// What becomes of calls whose callers have no user in Slack by their e-mail address, so that nobody can tell whether they
    /// approve themselves.
    #[serde(default)]
    pub unmatched_callers: UnmatchedCallers,
    /// How long the members of a user group are believed.
    #[serde(default = "default_group_cache_ms")]
    pub group_cache_ms: u64,
    /// Slack's API, or a proxy in front of it.
    #[serde(default = "default_api_url")]
    pub api_url: String,
    /// Blocks of addresses (CIDR) that `api_url` may have although they are not public.
    #[serde(default)]
    pub allow_addresses: AllowAddresses,
    /// How the server at `api_url` is verified.
    #[serde(default)]
    pub tls: GateTlsSettings,
    /// Tools that always need an approval (`<binding>.<tool>`, `<binding>.*`), and the only ones that this gate asks about.
    /// Default: it asks about whatever policy wants approved.
    #[serde(default)]
    pub tools: Vec<String>,
    /// How long a call waits for its approval.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// What the client is told meanwhile.
    #[serde(default)]
    pub mode: Mode,
    /// What approvers do not see of the arguments, besides what policy and `transform.redact` withhold: names of members, or
    /// `redact:…`, `remove:…` and `hash:…` as in obligations.
    #[serde(default)]
    pub redact: Vec<String>,
    /// The most arguments that an approver is shown. A call with more is refused: nobody approves what nobody sees.
    #[serde(default = "default_arguments_bytes_max")]
    pub arguments_bytes_max: usize,
    /// Users of this machine who may approve with `mcpg approvals`.
    #[serde(default)]
    pub operators: Vec<String>,
    /// How many calls may wait at this gate.
    #[serde(default = "default_pending_max")]
    pub pending_max: usize,
    /// How many calls of one caller.
    #[serde(default = "default_pending_per_caller_max")]
    pub pending_per_caller_max: usize,
    /// Where people reach the gateway: `https://mcp.acme.com`, with the prefix of the scope. With it messages link to the
    /// status page.
    pub public_url: Option<String>,
}

/// Who may approve, in Slack.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackApprovers {
    /// Ids of users: `U0123456789`.
    #[serde(default)]
    pub users: Vec<String>,
    /// Ids of user groups: `S0123456789`.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What becomes of calls whose callers nobody can find in Slack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnmatchedCallers {
    /// They are refused.
    #[default]
    Refuse,
    /// They are asked about: such callers are programs that nobody in Slack is.
    Ask,
}

/// The `config:` of `gate.webhook-approval`.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where approvals are asked for.
    pub url: String,
    /// The secret that signs both ways, at least 32 bytes.
    #[schemars(with = "String")]
    pub secret: SecretRef,
    /// Who may approve, as the webhook names them.
    pub approvers: Vec<String>,
    /// Whether callers may approve their own calls: an approver by the name of the caller's subject or e-mail address.
    #[serde(default)]
    pub self_approval: SelfApproval,
    /// The attribute of a caller that has its e-mail address.
    #[serde(default = "default_caller_email")]
    pub caller_email: String,
    /// Blocks of addresses (CIDR) that `url` may have although they are not public.
    #[serde(default)]
    pub allow_addresses: AllowAddresses,
    /// How the server at `url` is verified.
    #[serde(default)]
    pub tls: GateTlsSettings,
    /// Tools that always need an approval (`<binding>.<tool>`, `<binding>.*`), and the only ones that this gate asks about.
    /// Default: it asks about whatever policy wants approved.
    #[serde(default)]
    pub tools: Vec<String>,
    /// How long a call waits for its approval.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// What the client is told meanwhile.
    #[serde(default)]
    pub mode: Mode,
    /// What the webhook does not see of the arguments, besides what policy and `transform.redact` withhold.
    #[serde(default)]
    pub redact: Vec<String>,
    /// The most arguments that are sent. A call with more is refused: nobody approves what nobody sees.
    #[serde(default = "default_arguments_bytes_max")]
    pub arguments_bytes_max: usize,
    /// Users of this machine who may approve with `mcpg approvals`.
    #[serde(default)]
    pub operators: Vec<String>,
    /// How many calls may wait at this gate.
    #[serde(default = "default_pending_max")]
    pub pending_max: usize,
    /// How many calls of one caller.
    #[serde(default = "default_pending_per_caller_max")]
    pub pending_per_caller_max: usize,
    /// Where people reach the gateway: `https://mcp.acme.com`, with the prefix of the scope.
    pub public_url: Option<String>,
}

/// The `config:` of `gate.approval`: approvals with `mcpg approvals` alone.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalSettings {
    /// Users of this machine who may approve with `mcpg approvals`.
    pub operators: Vec<String>,
    /// Whether callers may approve their own calls: an operator by the name of the caller.
    #[serde(default)]
    pub self_approval: SelfApproval,
    /// The attribute of a caller that has its e-mail address.
    #[serde(default = "default_caller_email")]
    pub caller_email: String,
    /// Tools that always need an approval (`<binding>.<tool>`, `<binding>.*`), and the only ones that this gate asks about.
    /// Default: it asks about whatever policy wants approved.
    #[serde(default)]
    pub tools: Vec<String>,
    /// How long a call waits for its approval.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// What the client is told meanwhile.
    #[serde(default)]
    pub mode: Mode,
    /// What operators do not see of the arguments, besides what policy and `transform.redact` withhold.
    #[serde(default)]
    pub redact: Vec<String>,
    /// The most arguments that are shown. A call with more is refused: nobody approves what nobody sees.
    #[serde(default = "default_arguments_bytes_max")]
    pub arguments_bytes_max: usize,
    /// How many calls may wait at this gate.
    #[serde(default = "default_pending_max")]
    pub pending_max: usize,
    /// How many calls of one caller.
    #[serde(default = "default_pending_per_caller_max")]
    pub pending_per_caller_max: usize,
    /// Where people reach the gateway: `https://mcp.acme.com`, with the prefix of the scope.
    pub public_url: Option<String>,
}

/// How a server is verified.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateTlsSettings {
    /// A PEM file with the only roots that are trusted. Default: the system's.
    pub ca: Option<String>,
}

/// What the settings of all gates have in common, unchecked.
pub(super) struct Common<'s> {
    pub(super) tools: &'s [String],
    pub(super) deadline_ms: u64,
    pub(super) mode: Mode,
    pub(super) redact: &'s [String],
    pub(super) arguments_bytes_max: usize,
    pub(super) operators: &'s [String],
    pub(super) self_approval: SelfApproval,
    pub(super) caller_email: &'s str,
    pub(super) pending_max: usize,
    pub(super) pending_per_caller_max: usize,
    pub(super) public_url: Option<&'s str>,
}

macro_rules! common {
    ($settings:ident) => {
        impl $settings {
            pub(super) fn common(&self) -> Common<'_> {
                Common {
                    tools: &self.tools,
                    deadline_ms: self.deadline_ms,
                    mode: self.mode,
                    redact: &self.redact,
                    arguments_bytes_max: self.arguments_bytes_max,
                    operators: &self.operators,
                    self_approval: self.self_approval,
                    caller_email: &self.caller_email,
                    pending_max: self.pending_max,
                    pending_per_caller_max: self.pending_per_caller_max,
                    public_url: self.public_url.as_deref(),
                }
            }
        }
    };
}

common!(SlackSettings);
common!(WebhookSettings);
common!(LocalSettings);

impl Common<'_> {
    /// Checks what the types cannot.
    pub(super) fn terms(&self, bindings: &[&str]) -> Result<Terms, SettingsError> {
        let within = |pointer: &str, value: usize, max: usize| {
            let message = || format!("`{}` is 1 to {max}", pointer.trim_start_matches('/'));
            if (1..=max).contains(&value) { Ok(value) } else { Err(SettingsError::at(pointer, message())) }
        };
        if !(DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&self.deadline_ms) {
            let message = format!("`deadline_ms` is {DEADLINE_MS_MIN} to {DEADLINE_MS_MAX}");
            return Err(SettingsError::at("/deadline_ms", message));
        }
        let public_url = self.public_url.map(|url| url.trim_end_matches('/'));
        if let Some(url) = public_url {
            let parsed: Result<HttpUrl, _> = url.parse();
            parsed.map_err(|error| SettingsError::at("/public_url", error.to_string()))?;
        }
        if let Some(index) = self.operators.iter().position(String::is_empty) {
            return Err(SettingsError::at(format!("/operators/{index}"), "an operator has a name"));
        }
        Ok(Terms {
            tools: Tools::parse(self.tools, bindings)?,
            deadline: Duration::from_millis(self.deadline_ms),
            mode: self.mode,
            redactor: redactor(self.redact)?,
            arguments_bytes_max: within(
                "/arguments_bytes_max",
                self.arguments_bytes_max,
                ARGUMENTS_BYTES_MAX,
            )?,
            operators: self.operators.iter().map(|name| name.as_str().into()).collect(),
            self_approval: self.self_approval,
            caller_email: self.caller_email.into(),
            pending_max: within("/pending_max", self.pending_max, PENDING_MAX)?,
            pending_per_caller_max: within(
                "/pending_per_caller_max",
                self.pending_per_caller_max,
                PENDING_MAX,
            )?,
            public_url: public_url.map(Box::from),
        })
    }
}

fn redactor(texts: &[String]) -> Result<Redactor, SettingsError> {
    let mut obligations = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let parsed = obligation(text);
        obligations.push(parsed.map_err(|message| SettingsError::at(format!("/redact/{index}"), message))?);
    }
    Redactor::compile(&obligations, RedactLimits::default())
        .map_err(|error| SettingsError::at("/redact", error.to_string()))
}

/// A member's name, or the text form of an obligation.
fn obligation(text: &str) -> Result<Obligation, String> {
    if !text.contains(':') {
        return Ok(Obligation::redact_field(text, RedactMode::Mask));
    }
    match text.parse() {
        Ok(redact @ Obligation::Redact { .. }) => Ok(redact),
        Ok(other) => Err(format!("`{other}` withholds nothing")),
        Err(error) => Err(error.to_string()),
    }
}

fn default_caller_email() -> String {
    "email".to_owned()
}

fn default_api_url() -> String {
    "https://slack.com/api".to_owned()
}

fn default_group_cache_ms() -> u64 {
    300_000
}

fn default_deadline_ms() -> u64 {
    300_000
}

fn default_arguments_bytes_max() -> usize {
    8 * 1024
}

fn default_pending_max() -> usize {
    10_000
}

fn default_pending_per_caller_max() -> usize {
    16
}
