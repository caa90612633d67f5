//! `mcpg policy test CASES.yaml`: a table of calls and what policy must say to them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::say;
use super::Format;
use super::against::{Against, Policies};
use super::asked::Asked;
use super::opinion::Opinion;

#[derive(Debug, Args)]
pub(in super::super) struct Test {
    /// The cases.
    cases: PathBuf,
    #[command(flatten)]
    against: Against,
    /// The form of the answer: `text`, `json` or `junit`.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    call: Asked,
    expect: Expected,
}

/// `permit`, `deny`, or more exactly. What is not said may be anything, but for obligations: a permit without a word of them has none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Word(String),
    Exactly(Exactly),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Exactly {
    decision: String,
    obligations: Option<Vec<String>>,
    policies: Option<Vec<String>>,
    engine: Option<String>,
    code: Option<String>,
}

/// What became of one case.
struct Outcome {
    name: String,
    opinion: Option<Opinion>,
    /// What differs, a line each; none if nothing does.
    problems: Vec<String>,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let outcomes = self.outcomes()?;
        let failed = outcomes.iter().filter(|outcome| !outcome.problems.is_empty()).count();
        match self.format {
            Format::Json => say(format_args!("{:#}\n", as_json(&outcomes)))?,
            Format::Junit => say(as_junit(&outcomes))?,
            Format::Text => say(as_text(&outcomes))?,
            Format::Csv => bail!("`test` answers in `text`, `json` or `junit`"),
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn outcomes(&self) -> anyhow::Result<Vec<Outcome>> {
        let shown = self.cases.display();
        let bytes = std::fs::read(&self.cases).with_context(|| format!("cannot read `{shown}`"))?;
        let table = mcpg_config::document(&bytes).map_err(|error| anyhow!("{shown}: {error}"))?;
        let mut names = std::collections::HashSet::new();
        let Value::Object(table) = table else { bail!("{shown}: `cases:` is missing") };
        let table: Table =
            serde_json::from_value(Value::Object(table)).with_context(|| format!("{shown}"))?;
        if let Some(twice) = table.cases.iter().find(|case| !names.insert(case.name.clone())) {
            bail!("{shown}: two cases are called `{}`", twice.name);
        }
        let policies = self.against.load()?;
        table.cases.into_iter().map(|case| decide(&policies, case)).collect()
    }
}

fn decide(policies: &Policies, case: Case) -> anyhow::Result<Outcome> {
    let engines = policies.one()?;
    let expected = case.expect.checked().with_context(|| format!("case `{}`", case.name))?;
    let ready = match case.call.ready(&engines.scope, &engines.bindings) {
        Ok(ready) => ready,
        Err(error) => {
            return Ok(Outcome { name: case.name, opinion: None, problems: vec![format!("{error:#}")] });
        }
    };
    let verdict = policies.runtime.block_on(engines.chain.decide_uncached(&ready.caller, &ready.call()));
    let opinion = Opinion::of(&verdict);
    Ok(Outcome { name: case.name, problems: expected.differs_from(&opinion), opinion: Some(opinion) })
}

impl Expected {
    fn checked(self) -> anyhow::Result<Exactly> {
        let mut exactly = match self {
            Self::Word(decision) => Exactly { decision, ..Exactly::default() },
            Self::Exactly(exactly) => exactly,
        };
        if !matches!(exactly.decision.as_str(), "permit" | "deny") {
            bail!("`{}` is no decision: expect `permit` or `deny`", exactly.decision);
        }
        if exactly.decision == "permit" {
            exactly.obligations.get_or_insert_default();
        }
        for obligation in exactly.obligations.iter_mut().flatten() {
            // In the one form that it is written in.
            *obligation = obligation.parse::<mcpg_sdk::Obligation>()?.to_string();
        }
        Ok(exactly)
    }
}

impl Exactly {
    fn differs_from(&self, opinion: &Opinion) -> Vec<String> {
        let mut problems = Vec::new();
        let mut compare = |what: &str, expected: &str, found: &str| {
            if expected != found {
                problems.push(format!("{what}: expected {expected}, decided {found}"));
            }
        };
        compare("decision", &self.decision, opinion.decision);
        let list = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            if list.is_empty() { "none".to_owned() } else { list.join(", ") }
        };
        if let Some(expected) = &self.obligations {
            compare("obligations", &list(expected), &list(&opinion.obligations));
        }
        if let Some(expected) = &self.policies {
            compare("policies", &list(expected), &list(&opinion.policies));
        }
        for (what, expected, found) in
            [("engine", &self.engine, &opinion.engine), ("code", &self.code, &opinion.code)]
        {
            if let Some(expected) = expected {
                compare(what, expected, found.as_deref().unwrap_or("none"));
            }
        }
        problems
    }
}

fn as_text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let word = if outcome.problems.is_empty() { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "{word}  {}", outcome.name);
        for problem in &outcome.problems {
            let _ = writeln!(text, "      {problem}");
        }
        if let Some(opinion) = outcome.opinion.as_ref().filter(|_| !outcome.problems.is_empty()) {
            let _ = writeln!(text, "      {}", opinion.line());
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.problems.is_empty()).count();
    let _ = writeln!(text, "{} cases, {failed} failed", outcomes.len());
    text
}

fn as_json(outcomes: &[Outcome]) -> Value {
    let cases = outcomes.iter().map(|outcome| {
        json!({
            "name": outcome.name,
            "passed": outcome.problems.is_empty(),
            "problems": outcome.problems,
            "decided": outcome.opinion,
        })
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.problems.is_empty()).count();
    json!({ "cases": cases.collect::<Vec<_>>(), "failed": failed })
}

fn as_junit(outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.problems.is_empty()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ =
        writeln!(xml, "<testsuite name=\"mcpg policy\" tests=\"{}\" failures=\"{failed}\">", outcomes.len());
    for outcome in outcomes {
        let _ = write!(xml, "  <testcase classname=\"policy\" name=\"{}\"", escaped(&outcome.name));
        if outcome.problems.is_empty() {
            xml.push_str("/>\n");
        } else {
            let problems = escaped(&outcome.problems.join("; "));
            let decided =
                outcome.opinion.as_ref().map(|opinion| escaped(&opinion.line())).unwrap_or_default();
            let _ =
                write!(xml, ">\n    <failure message=\"{problems}\">{decided}</failure>\n  </testcase>\n");
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char if char.is_control() && char != '\n' => escaped.push('?'),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
pub(super) mod tests;
