//! `mcpg policy schema`: the Cedar schema of a configuration, with the tools that its bindings have.
//!
//! Which tools there are is what the gateway has seen of their servers, as `mcpg tools list` shows it: nobody is asked.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;
use mcpg::pinning::Row;
use mcpg_filters::policy::cedar::{ListedTool, schema_text};
use mcpg_protocol::definition::printable;
use serde_json::Value;

use crate::cli::tools::{Gateway, rows};

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct Schema {
    #[command(flatten)]
    gateway: Gateway,
}

/// What is printed, and what is to be said about it.
#[derive(Debug)]
struct Printed {
    schema: String,
    warnings: Vec<String>,
}

impl Schema {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let Printed { schema, warnings } = self.printed()?;
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        crate::cli::say(schema)?;
        Ok(ExitCode::SUCCESS)
    }

    fn printed(&self) -> anyhow::Result<Printed> {
        let config = self.gateway.config()?;
        let bindings: BTreeSet<&str> = config.bindings.iter().map(|binding| binding.id.as_str()).collect();
        let mut rows = rows(&config)?;
        rows.retain(|row| bindings.contains(row.key.binding.as_str()));
        let seen: BTreeSet<&str> = rows.iter().map(|row| row.key.binding.as_str()).collect();
        let unseen = bindings.difference(&seen).map(|binding| {
            format!("no tool of `{binding}` is known: a running gateway has not listed its tools yet, or it has none")
        });
        let mut warnings: Vec<String> = unseen.collect();
        let schemas: Vec<Value> = rows.iter().map(|row| input_schema(row, &mut warnings)).collect();
        let tools = rows.iter().zip(&schemas).map(|(row, input_schema)| ListedTool {
            binding: &row.key.binding,
            name: &row.key.tool,
            input_schema,
        });
        let schema = schema_text(&tools.collect::<Vec<_>>())?;
        Ok(Printed { schema, warnings })
    }
}

/// What a tool takes, as it is served; of one that is withheld as it was approved, or else as it was seen.
fn input_schema(row: &Row, warnings: &mut Vec<String>) -> Value {
    let record = match row.is_withheld {
        true => row.approved.as_ref().or(row.pending.as_ref()),
        false => row.pending.as_ref().or(row.approved.as_ref()),
    };
    let definition = record.and_then(|record| record.definition.as_ref());
    let definition =
        definition.and_then(|definition| serde_json::from_str::<Value>(definition.as_str()).ok());
    let Some(mut definition) = definition else {
        let name = printable(&format!("{}.{}", row.key.binding, row.key.tool), NAME_CHARS_MAX);
        warnings.push(format!("`{name}` has no arguments here: its definition is too long to be kept"));
        return Value::Null;
    };
    definition.get_mut("inputSchema").map(Value::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use clap::Parser;
    use mcpg::metrics::Metrics;
    use mcpg::pinning::Pins;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        schema: Schema,
    }

    fn printed(dir: &tempfile::TempDir) -> Printed {
        let config = dir.path().join("gateway.yaml");
        let line = Line::try_parse_from(["schema", "--config", config.to_str().unwrap()]);
        line.unwrap().schema.printed().unwrap()
    }

    #[test]
    fn tools_are_those_that_were_seen_as_they_are_served() {
        let dir = tempfile::tempdir().unwrap();
        let text = "bindings:
  - { id: git, type: mcp, url: 'http://a/', pinning: { on_change: hold } }
  - { id: crm, type: mcp, url: 'http://b/' }
";
        std::fs::write(dir.path().join("gateway.yaml"), text).unwrap();
        let state = dir.path().join("state");
        let pins = Pins::open(&state.join("tools.lock"), &state, Metrics::new().unwrap()).unwrap();
        let clone = |member: &str| {
            format!(
                r#"{{"name":"clone","inputSchema":{{"type":"object","properties":{{"{member}":{{"type":"string"}}}}}}}}"#
            )
        };
        let now = SystemTime::UNIX_EPOCH;
        pins.judge("git", &[("clone", &clone("repo"))], now);
        pins.judge("gone", &[("x", r#"{"name":"x"}"#)], now);
        pins.save();
        let first = printed(&dir);
        assert!(first.schema.contains("action \"git.clone\"") && first.schema.contains("repo"), "{first:?}");
        assert!(!first.schema.contains("gone"), "{first:?}");
        assert!(first.warnings.len() == 1 && first.warnings[0].contains("`crm`"), "{first:?}");
        // A change that is withheld is not what clients call.
        pins.judge("git", &[("clone", &clone("url"))], now);
        pins.save();
        assert_eq!(printed(&dir).schema, first.schema);
    }
}
