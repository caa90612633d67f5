//! From the files of a bundle to policies that can be evaluated: parse, look through, check.

use std::num::NonZeroU32;
use std::time::Duration;

use mcpg_sdk::Base;
use mcpg_sdk::policy::{ByAction, Kind, ReadSet, Reads};
use regorus::Engine;
use regorus::Value;
use regorus::utils::limits::ExecutionTimerConfig;
use std::sync::Arc;

use super::walk::{Findings, walk};
use super::{OpaError, OpaSettings, RegoVersion, calls};
use crate::policy::bundle::{Bundle, BundleRequest, FetchedBundles};

/// The bytes of stack for the parser and the first evaluation.
const STACK_BYTES: usize = 64 << 20;
/// Problems that are told.
const PROBLEMS_MAX: usize = 100;
/// How long the first evaluation, which prepares the others, may take.
const PREPARATION_MAX: Duration = Duration::from_secs(10);

/// What a bundle is loaded for.
#[derive(Clone, Copy)]
pub struct OpaContext<'a> {
    /// The configuration's folder.
    pub base: &'a Base,
    /// What has been fetched from registries.
    pub fetched: &'a FetchedBundles,
}

/// What the engine needs of a bundle.
pub(super) struct Compiled {
    pub(super) engine: Engine,
    pub(super) reads: Reads,
    pub(super) warnings: Vec<String>,
    /// Whether an obligation may be asked for.
    pub(super) obliges: bool,
    pub(super) modules: usize,
}

/// Loads a bundle on a stack of its own.
pub(super) fn load(
    bundle: &str,
    settings: &OpaSettings,
    context: &OpaContext<'_>,
) -> Result<Compiled, OpaError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy-load".to_owned()).stack_size(STACK_BYTES);
        let failed = || OpaError::Bundle("the policies cannot be compiled".to_owned());
        let thread =
            thread.spawn_scoped(scope, || compile(bundle, settings, context)).map_err(|_| failed())?;
        thread.join().unwrap_or_else(|_| Err(failed()))
    })
}

fn compile(bundle: &str, settings: &OpaSettings, context: &OpaContext<'_>) -> Result<Compiled, OpaError> {
    let bundle = Bundle::load(&BundleRequest {
        base: context.base,
        written: bundle,
        wants: &is_wanted,
        file_bytes_max: settings.limits.file_bytes_max,
        fetched: context.fetched,
    })
    .map_err(|error| OpaError::Bundle(error.to_string()))?;
    let mut engine = Engine::new();
    engine.set_rego_v0(settings.rego_version == RegoVersion::V0);
    engine.set_strict_builtin_errors(true);
    engine.clear_policy_length_config();
    let mut problems = Vec::new();
    let mut obliges = false;
    let mut modules = 0;
    for (path, bytes) in &bundle.files {
        let Ok(text) = std::str::from_utf8(bytes) else {
            problems.push(format!("{path}: is not UTF-8"));
            continue;
        };
        obliges |= text.contains("obligations");
        if path.ends_with(".rego") {
            modules += 1;
            if let Err(error) = engine.add_policy(path.clone(), text.to_owned()) {
                problems.push(first_lines(&error.to_string()));
            }
        } else if let Err(problem) = add_data(&mut engine, path, text) {
            problems.push(format!("{path}: {problem}"));
        }
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    if !problems.is_empty() {
        return Err(OpaError::Policies(problems));
    }
    if modules == 0 {
        return Err(OpaError::Bundle(format!("`{}` holds no `.rego` file", bundle.origin)));
    }
    let Findings { reads, problems, warnings, rules } = {
        let modules: Vec<_> = engine.get_modules().iter().collect();
        walk(modules.iter().map(|module| module.as_ref()))
    };
    let mut problems = problems;
    problems.extend(calls::check(&rules));
    let decision: Vec<String> = settings.decision.split('.').map(str::to_owned).collect();
    if !rules.keys().any(|rule| *rule == decision) {
        problems.push(format!("no rule is called `{}` (the setting `decision`)", settings.decision));
    }
    if !problems.is_empty() {
        problems.truncate(PROBLEMS_MAX);
        return Err(OpaError::Policies(problems));
    }
    prepare(&mut engine, &settings.decision)?;
    let ignored = bundle.ignored.iter().filter(|path| !is_expected(path));
    let ignored =
        ignored.map(|path| format!("{path}: ignored: neither a policy nor `data.json` or `data.yaml`"));
    let warnings = warnings.into_iter().chain(ignored).collect();
    Ok(Compiled { engine, reads: per_action(reads), warnings, obliges, modules })
}

/// Policies, and data documents. Tests of policies are not policies.
fn is_wanted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.ends_with(".rego") && !path.ends_with("_test.rego")
        || matches!(name, "data.json" | "data.yaml" | "data.yml")
}

fn is_expected(path: &str) -> bool {
    [".md", ".txt", "_test.rego"].iter().any(|end| path.ends_with(end))
}

/// Adds a data document below the names of the folders that it is in, as OPA does.
fn add_data(engine: &mut Engine, path: &str, text: &str) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| first_lines(&error.to_string());
    let mut data = if path.ends_with(".json") {
        Value::from_json_str(text).map_err(|error| say(&error))?
    } else {
        Value::from_yaml_str(text).map_err(|error| say(&error))?
    };
    if data.as_object().is_err() {
        return Err("is not an object".to_owned());
    }
    for folder in path.split('/').rev().skip(1) {
        let mut outer = Value::new_object();
        let members = outer.as_object_mut().map_err(|error| say(&error))?;
        members.insert(Value::from(folder), data);
        data = outer;
    }
    engine.add_data(data).map_err(|error| say(&error))
}

/// Evaluates once, so that clones need not prepare anything. What comes of it does not matter: there is no input.
fn prepare(engine: &mut Engine, decision: &str) -> Result<(), OpaError> {
    let check_interval = NonZeroU32::MIN;
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: PREPARATION_MAX, check_interval });
    engine.set_input(Value::new_object());
    match engine.eval_rule(decision.to_owned()) {
        Ok(_) => Ok(()),
        Err(error) if error.to_string().contains("not a valid rule path") => {
            Err(OpaError::Policies(vec![first_lines(&error.to_string())]))
        }
        Err(_) => Ok(()),
    }
}

fn per_action(reads: ReadSet) -> Reads {
    let reads = Arc::new(reads);
    let mut by_action = ByAction::new(&reads);
    // What a kind of action has no name for, it cannot read.
    let nameless = Arc::new(ReadSet { name: false, ..(*reads).clone() });
    by_action.set_rest(Kind::Method, nameless);
    by_action
}

/// What an operator reads of an error: what is wrong and where, not the picture of it.
fn first_lines(message: &str) -> String {
    let lines: Vec<&str> =
        message.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "|").collect();
    lines.join(" ")
}
