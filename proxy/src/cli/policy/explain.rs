//! `mcpg policy explain`: which policy of which engine decides a call, why, and what it read.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use mcpg::recorded::Recorded;
use mcpg_sdk::{Call, Caller};
use serde_json::{Map, Value, json};

use super::super::say;
use super::Format;
use super::against::{Against, Policies};
use super::asked::Asked;
use super::opinion::{Opinion, parts};
use super::rows;
use mcpg::revision::Engines;

#[derive(Debug, Args)]
pub(in super::super) struct Explain {
    #[command(flatten)]
    against: Against,
    /// The tool, by its full name: `files.read`.
    #[arg(long, group = "what")]
    tool: Option<String>,
    /// The prompt, by its full name.
    #[arg(long, group = "what")]
    prompt: Option<String>,
    /// The resource's URI.
    #[arg(long, group = "what")]
    resource: Option<String>,
    /// A recorded call, by the id in its audit row.
    #[arg(long, group = "what")]
    request_id: Option<String>,
    /// A call as JSON, as it stands below `call:` in a table of cases; `-` reads the standard input.
    #[arg(long, group = "what")]
    input: Option<PathBuf>,
    /// The method, where it is no call of a tool.
    #[arg(long)]
    method: Option<String>,
    /// The binding, for resources and other methods.
    #[arg(long)]
    binding: Option<String>,
    /// The caller's subject: `user:alice@acme.com`.
    #[arg(long, default_value = "anonymous")]
    subject: String,
    /// A group of the caller.
    #[arg(long = "group")]
    groups: Vec<String>,
    /// A role of the caller.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// An attribute of the caller: `department=sales`. The value is JSON, or else text.
    #[arg(long = "attribute")]
    attributes: Vec<String>,
    /// The arguments, as a JSON object.
    #[arg(long)]
    arguments: Option<String>,
    /// When: RFC 3339.
    #[arg(long)]
    time: Option<String>,
    /// From which address.
    #[arg(long)]
    source: Option<std::net::IpAddr>,
    /// As if a gate had approved it.
    #[arg(long)]
    approved: bool,
    /// The audit folder for `--request-id`, if not that of the configuration.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// The form of the answer: `text` or `json`.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policies = self.against.load()?;
        let explained = match &self.request_id {
            Some(id) => {
                let dir = self.audit.clone().unwrap_or_else(|| policies.config.audit.dir.clone());
                recorded(&policies, &dir, id)?
            }
            None => {
                let format = self.format;
                let engines = policies.one()?;
                let ready = self.asked()?.ready(&engines.scope, &engines.bindings)?;
                let explained = explain(&policies, engines, &ready.caller, &ready.call(), Value::Null);
                return answer(&explained, format);
            }
        };
        answer(&explained, self.format)
    }

    fn asked(self) -> anyhow::Result<Asked> {
        if let Some(path) = &self.input {
            let text = if path.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())?
            } else {
                std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?
            };
            return Ok(serde_json::from_str(&text)?);
        }
        let mut asked = Asked {
            tool: self.tool,
            prompt: self.prompt,
            resource: self.resource,
            binding: self.binding,
            method: self.method,
            time: self.time,
            source: self.source,
            approved: self.approved,
            ..Asked::default()
        };
        if let Some(arguments) = &self.arguments {
            asked.arguments =
                Some(serde_json::from_str(arguments).context("`--arguments` is no JSON object")?);
        }
        asked.caller.subject = self.subject;
        let list = |names: Vec<String>| (!names.is_empty()).then(|| Value::from(names));
        (asked.caller.groups, asked.caller.roles) = (list(self.groups), list(self.roles));
        asked.caller.attributes =
            self.attributes.iter().map(|text| attribute(text)).collect::<anyhow::Result<Map<_, _>>>()?;
        Ok(asked)
    }
}

fn attribute(text: &str) -> anyhow::Result<(String, Value)> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| anyhow!("`{text}` is no attribute: write `NAME=VALUE`"))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// A recorded call, decided again, beside what was decided then.
fn recorded(policies: &Policies, dir: &std::path::Path, id: &str) -> anyhow::Result<Value> {
    let mut found = None;
    rows::decisions(dir, 0, u64::MAX, |row| {
        if row.request_id() == id {
            found = Some(row);
        }
        true
    })?;
    let row = found.ok_or_else(|| anyhow!("no decision of a request `{id}` is in `{}`", dir.display()))?;
    let recorded = Recorded::of(&row.decision, row.time)?;
    let engines = policies
        .of(recorded.scope())
        .ok_or_else(|| anyhow!("the configuration has no scope `{}`", recorded.scope()))?;
    let call = recorded.call();
    if let Some(part) = recorded.missing(engines.chain.reads(&call)) {
        bail!("the policies read `{part}`, which the audit log did not record: it cannot be decided again");
    }
    Ok(explain(policies, engines, &recorded.caller, &call, json!(row.opinion())))
}

fn explain(policies: &Policies, engines: &Engines, caller: &Caller, call: &Call<'_>, then: Value) -> Value {
    let block_on = |chain: &mcpg_filters::policy::PolicyChain| {
        policies.runtime.block_on(chain.decide_uncached(caller, call))
    };
    let each: Vec<Value> = engines
        .each
        .iter()
        .map(|engine| {
            json!({
                "engine": engine.label,
                "shadow": engine.shadow,
                "decided": Opinion::of(&block_on(&engine.chain)),
                "reads": parts(engine.chain.reads(call)),
            })
        })
        .collect();
    let reads = engines.chain.reads(call);
    let mut explained = json!({
        "scope": engines.scope.to_string(),
        "binding": call.binding,
        "method": call.method,
        "target": match call.target {
            mcpg_sdk::Target::Tool(name) | mcpg_sdk::Target::Prompt(name) | mcpg_sdk::Target::Resource(name) => Some(name),
            mcpg_sdk::Target::Binding => None,
        },
        "subject": caller.subject,
        "decided": Opinion::of(&block_on(&engines.chain)),
        "engines": each,
        "reads": parts(reads),
        "cacheable": reads.is_cacheable() && engines.chain.is_pure(),
    });
    if let (Some(object), false) = (explained.as_object_mut(), then.is_null()) {
        object.insert("recorded".to_owned(), then);
    }
    explained
}

fn answer(explained: &Value, format: Format) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => say(format_args!("{explained:#}\n"))?,
        Format::Text => say(as_text(explained))?,
        Format::Junit | Format::Csv => bail!("`explain` answers in `text` or `json`"),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(explained: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| {
        let words: Vec<String> = value.as_array().into_iter().flatten().map(word).collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    };
    let opinion = |value: &Value| {
        let mut line = word(&value["decision"]);
        for (before, name) in [("", "code"), ("by ", "engine")] {
            if let Some(text) = value[name].as_str() {
                line += &format!(" {before}{text}");
            }
        }
        let mut more = |before: &str, name: &str| {
            if value[name].as_array().is_some_and(|list| !list.is_empty()) {
                line += &format!("\n    {before}{}", list(&value[name]));
            }
        };
        more("policies: ", "policies");
        more("obligations: ", "obligations");
        match value["message"].as_str() {
            Some(message) if !message.is_empty() => format!("{line}\n    {message}"),
            _ => line,
        }
    };
    let mut text = String::new();
    let target = explained["target"].as_str().map(|name| format!(" {name}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{}{target} of {} in {}, by {}",
        word(&explained["method"]),
        word(&explained["binding"]),
        word(&explained["scope"]),
        word(&explained["subject"])
    );
    let _ = writeln!(text, "  {}", opinion(&explained["decided"]));
    if !explained["recorded"].is_null() {
        let _ = writeln!(text, "then\n  {}", opinion(&explained["recorded"]));
    }
    for engine in explained["engines"].as_array().into_iter().flatten() {
        let shadow = if engine["shadow"] == true { " (shadow: not followed)" } else { "" };
        let _ = writeln!(text, "{}{shadow}\n  {}", word(&engine["engine"]), opinion(&engine["decided"]));
        let _ = writeln!(text, "    reads: {}", list(&engine["reads"]));
    }
    let cached = match explained["cacheable"].as_bool() {
        Some(true) => "kept as long as the bundle is loaded, for all calls that are equal in what is read",
        _ => "never kept: the clock is read, or an engine decides elsewhere",
    };
    let _ = writeln!(text, "cache\n  {cached}");
    text
}
