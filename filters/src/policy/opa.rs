//! `policy.opa`: policies in Rego, evaluated in the process by regorus, or by an OPA elsewhere.
//!
//! What the policies read is found in their syntax trees, so the engine is given, and decisions are keyed by, exactly that. A
//! decision is a function of its input: policies that call what is none are refused when they are loaded. A builtin that fails makes
//! the decision fail, unlike in OPA, where it is undefined and `not` turns it into true. For authors: `docs/POLICY_OPA.md`.

use std::fmt;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mcpg_sdk::Obligation;
use mcpg_sdk::policy::{Asked, EngineDecision, EngineError, PolicyEngine, PolicyInput, ReadSet, Reads};
use parking_lot::Mutex;
use regorus::LimitError;
use regorus::utils::limits::ExecutionTimerConfig;
use std::sync::Arc;

mod answer;
mod builtins;
mod calls;
mod literal;
mod load;
mod path;
mod reads;
mod remote;
mod settings;
mod walk;

use super::cedar::{Protocol, is_protocol, protocol_methods};
use super::document::Document;
use crate::registry::BuildContext;
use answer::Reader;
pub use load::OpaContext;
use remote::Remote;
pub use settings::{Mode, OpaLimits, OpaSettings, RegoVersion, RemoteSettings};

/// Engines that are kept for the next decision.
const SPARE_MAX: usize = 64;
/// Steps of an evaluation between two looks at the clock.
const STEPS: NonZeroU32 = NonZeroU32::new(16).unwrap();

/// What is wrong with a bundle or with settings.
#[derive(Debug, thiserror::Error)]
pub enum OpaError {
    /// The bundle as a whole.
    #[error("{0}")]
    Bundle(String),
    /// Policies or data, each with its place.
    #[error("{}", .0.join("\n"))]
    Policies(Vec<String>),
    /// A setting, by its pointer.
    #[error("{message}")]
    Setting {
        /// Which one.
        pointer: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// Policies in Rego.
pub struct OpaEngine {
    reads: Reads,
    warnings: Vec<String>,
    protocol: Protocol,
    limit: Duration,
    answers: Reader,
    policies: Policies,
}

enum Policies {
    Embedded(Box<Pool>),
    Remote(Remote),
}

/// Engines to evaluate with. Each is one thread's for the time of a decision.
struct Pool {
    prototype: Mutex<regorus::Engine>,
    spare: Mutex<Vec<regorus::Engine>>,
    modules: usize,
}

impl OpaEngine {
    /// The plugin's id.
    pub const ID: &'static str = "policy.opa";

    /// Loads policies that are evaluated here.
    ///
    /// # Errors
    /// Everything that is wrong with them, with positions.
    pub fn load(settings: &OpaSettings, context: &OpaContext<'_>) -> Result<Self, OpaError> {
        check_decision(&settings.decision)?;
        let Some(bundle) = &settings.bundle else {
            let message = "`mode: embedded` needs a `bundle`".to_owned();
            return Err(OpaError::Setting { pointer: "/bundle", message });
        };
        if settings.remote.is_some() {
            let message = "`remote` is for `mode: remote`".to_owned();
            return Err(OpaError::Setting { pointer: "/remote", message });
        }
        let compiled = load::load(bundle, settings, context)?;
        let declared = settings.obligations.clone().or_else(|| (!compiled.obliges).then(Vec::new));
        let mut warnings = compiled.warnings;
        if declared.is_none() {
            warnings.push(UNDECLARED.to_owned());
        }
        let pool = Pool {
            prototype: Mutex::new(compiled.engine),
            spare: Mutex::default(),
            modules: compiled.modules,
        };
        Ok(Self::new(settings, compiled.reads, warnings, declared, Policies::Embedded(Box::new(pool))))
    }

    /// Builds what the settings say.
    ///
    /// # Errors
    /// When the settings or the policies do not hold.
    pub fn build(settings: &OpaSettings, context: &BuildContext<'_>) -> Result<Self, OpaError> {
        if settings.mode == Mode::Embedded {
            let fetched = context.shared.bundles.of(context.scope);
            return Self::load(settings, &OpaContext { base: context.base, fetched: &fetched });
        }
        check_decision(&settings.decision)?;
        if settings.bundle.is_some() {
            let message = "`mode: remote` has no bundle: its OPA has".to_owned();
            return Err(OpaError::Setting { pointer: "/bundle", message });
        }
        let (remote, reads) = Remote::build(settings, context)?;
        let warnings = settings.obligations.is_none().then(|| UNDECLARED.to_owned()).into_iter().collect();
        let policies = Policies::Remote(remote);
        Ok(Self::new(
            settings,
            Reads::new(&Arc::new(reads)),
            warnings,
            settings.obligations.clone(),
            policies,
        ))
    }

    fn new(
        settings: &OpaSettings,
        mut reads: Reads,
        warnings: Vec<String>,
        declared: Option<Vec<Obligation>>,
        policies: Policies,
    ) -> Self {
        if settings.protocol == Protocol::Builtin {
            let nothing = Arc::new(ReadSet::default());
            for method in protocol_methods() {
                reads.set_method(method, Arc::clone(&nothing));
            }
        }
        Self {
            reads,
            warnings,
            protocol: settings.protocol,
            limit: Duration::from_millis(settings.limits.evaluation_ms_max),
            answers: Reader { decision: settings.decision.clone(), declared },
            policies,
        }
    }

    /// The decision about the protocol's plumbing, where the built-in policy makes it.
    fn plumbing(&self, input: &PolicyInput<'_>) -> Option<EngineDecision> {
        let is_plumbing = self.protocol == Protocol::Builtin && is_protocol(input);
        is_plumbing.then(|| EngineDecision::Permit {
            policies: vec!["mcpg.protocol".to_owned()],
            obligations: Vec::new(),
        })
    }
}

/// What it costs that obligations are not declared.
const UNDECLARED: &str = "the setting `obligations` does not say which obligations a decision may have: streams of sessions, tasks and \
                          subscriptions are refused";

fn check_decision(decision: &str) -> Result<(), OpaError> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut names = decision.split('.');
    if names.next() == Some("data") && decision.split('.').count() >= 3 && names.all(is_name) {
        return Ok(());
    }
    let message = format!("`{decision}` is no rule: write `data.PACKAGE.RULE`, such as `data.mcpg.decision`");
    Err(OpaError::Setting { pointer: "/decision", message })
}

impl PolicyEngine for OpaEngine {
    fn id(&self) -> &str {
        Self::ID
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn obligations(&self) -> Option<Vec<Obligation>> {
        self.answers.declared.clone()
    }

    fn limit(&self) -> Duration {
        self.limit
    }

    fn decide(&self, input: &PolicyInput<'_>, within: Duration) -> Result<EngineDecision, EngineError> {
        if let Some(decided) = self.plumbing(input) {
            return Ok(decided);
        }
        match &self.policies {
            Policies::Embedded(pool) => self.evaluate(pool, input, within),
            Policies::Remote(_) => Err(self.answers.problem("it is decided elsewhere")),
        }
    }

    fn ask(&self, input: &PolicyInput<'_>) -> Option<Asked> {
        let Policies::Remote(remote) = &self.policies else { return None };
        if self.plumbing(input).is_some() {
            return None;
        }
        Some(remote.ask(Document::json(input), &self.answers, self.limit))
    }

    fn is_remote(&self) -> bool {
        matches!(self.policies, Policies::Remote(_))
    }

    fn is_pure(&self) -> bool {
        !self.is_remote()
    }
}

impl OpaEngine {
    fn evaluate(
        &self,
        pool: &Pool,
        input: &PolicyInput<'_>,
        within: Duration,
    ) -> Result<EngineDecision, EngineError> {
        let started = Instant::now();
        let document = regorus::Value::from(Document::json(input)?);
        let mut engine = pool.take();
        let limit = within.saturating_sub(started.elapsed());
        engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: STEPS });
        engine.set_input(document);
        let rule = self.answers.decision.clone();
        let evaluated = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(rule)));
        let late = || EngineError::deadline(self.limit);
        match evaluated {
            Ok(Ok(value)) => {
                // Nobody's input stays in an engine that waits.
                engine.set_input(regorus::Value::new_object());
                pool.put(engine);
                if started.elapsed() > within {
                    return Err(late());
                }
                let value = match value {
                    regorus::Value::Undefined => None,
                    value => Some(
                        serde_json::to_value(&value)
                            .map_err(|error| self.answers.problem(&format!("is no JSON: {error}")))?,
                    ),
                };
                self.answers.read(value)
            }
            // An engine that failed is not asked again: it may hold what it failed about.
            Ok(Err(error)) => {
                let is_late = matches!(error.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. }));
                if is_late || started.elapsed() > within {
                    return Err(late());
                }
                Err(self.answers.problem(&problem(&error.to_string())))
            }
            Err(_) => Err(self.answers.problem("the evaluator failed")),
        }
    }
}

impl Pool {
    fn take(&self) -> regorus::Engine {
        let spare = self.spare.lock().pop();
        spare.unwrap_or_else(|| self.prototype.lock().clone())
    }

    fn put(&self, engine: regorus::Engine) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(engine);
        }
    }
}

/// What went wrong in an evaluation, without the picture of the place.
fn problem(message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = lines.iter().find(|line| line.starts_with("error:")).or(lines.first());
    shown.map_or_else(|| "the evaluation failed".to_owned(), |line| (*line).to_owned())
}

impl fmt::Debug for OpaEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modules = match &self.policies {
            Policies::Embedded(pool) => Some(pool.modules),
            Policies::Remote(_) => None,
        };
        f.debug_struct("OpaEngine").field("modules", &modules).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
