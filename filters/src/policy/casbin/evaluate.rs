//! One request against the rules that it can match.
//!
//! INVARIANT: every rule and every few nodes the clock is looked at, and what is matched is bounded, so an evaluation ends in time
//! whatever the policy says. It takes no lock and keeps nothing.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpg_sdk::Obligation;
use mcpg_sdk::policy::{EngineDecision, EngineError, PolicyInput};

use super::expression::Comparison;
use super::model::Effect;
use super::program::{At, Node, Program, Rule};
use super::value::Value;

/// Steps between two looks at the clock.
const STEPS: u32 = 64;
/// Policies that a permit names.
const NAMED_MAX: usize = 16;
/// Members whose roles are remembered within one evaluation.
const REMEMBERED_MAX: usize = 256;

/// Decides a request. `file` is what rules are named by.
pub(super) fn decide(
    program: &Program,
    file: &str,
    input: &PolicyInput<'_>,
    (within, limit): (Duration, Duration),
) -> Result<EngineDecision, EngineError> {
    let mut run = Run {
        program,
        input,
        file,
        values: program.parts.iter().map(|_| OnceCell::new()).collect(),
        roles: HashMap::new(),
        steps: 0,
        until: Instant::now() + within,
        limit,
    };
    run.decide()
}

/// A role definition, one of its members, and a domain.
type Member = (usize, Arc<str>, Arc<str>);
/// A member and all its roles.
type Names = Rc<HashSet<Arc<str>>>;

struct Run<'a> {
    program: &'a Program,
    input: &'a PolicyInput<'a>,
    file: &'a str,
    values: Vec<OnceCell<Value>>,
    roles: HashMap<Member, Names>,
    steps: u32,
    until: Instant,
    limit: Duration,
}

/// Why a node has no value: the problem of a rule, or the end of all.
enum Stop {
    Problem(String),
    Engine(EngineError),
}

impl From<String> for Stop {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

impl Run<'_> {
    fn decide(&mut self) -> Result<EngineDecision, EngineError> {
        let mut permitted: Vec<String> = Vec::new();
        let mut obligations: Vec<Obligation> = Vec::new();
        let program = self.program;
        for at in self.candidates()? {
            self.step_engine()?;
            let Some(rule) = program.rules.get(at) else { continue };
            if !self.matches(rule)? {
                continue;
            }
            if !rule.allows {
                let message = "a rule that matches denies".to_owned();
                return Ok(EngineDecision::Forbid { policy: self.name(rule), message });
            }
            if permitted.len() < NAMED_MAX {
                permitted.push(self.name(rule));
            }
            obligations.extend(rule.obligations.iter().cloned());
            match program.effect {
                Effect::Priority => break,
                // The obligations of all that match unite.
                Effect::AllowOverride if !program.has_obligations => break,
                Effect::AllowOverride | Effect::AllowAndDeny => {}
            }
        }
        if permitted.is_empty() {
            return Ok(EngineDecision::NotPermitted {
                message: "no rule of the policy allows it".to_owned(),
            });
        }
        obligations.sort();
        obligations.dedup();
        Ok(EngineDecision::Permit { policies: permitted, obligations })
    }

    fn name(&self, rule: &Rule) -> String {
        format!("{}:{}", self.file, rule.line)
    }

    /// The rules that can match, in order.
    fn candidates(&mut self) -> Result<Vec<usize>, EngineError> {
        let program = self.program;
        let index = &program.index;
        let mut key = Vec::with_capacity(index.parts.len() + 1);
        for part in &index.parts {
            key.push(self.text_of(*part)?);
        }
        let Some(asked) = index.role else { return Ok(index.rules(&key).to_vec()) };
        let member = self.text_of(asked.member)?;
        let domain = asked.domain.map_or_else(|| Ok("".into()), |domain| self.text_of(domain))?;
        let roles = match self.roles_of(asked.roles, member, domain) {
            Ok(roles) => roles,
            Err(Stop::Engine(error)) => return Err(error),
            Err(Stop::Problem(problem)) => return Err(self.failed("matcher", problem)),
        };
        let mut found = Vec::new();
        for role in roles.iter() {
            self.step_engine()?;
            key.push(Arc::clone(role));
            found.extend_from_slice(index.rules(&key));
            key.pop();
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn failed(&self, policy: &str, problem: String) -> EngineError {
        EngineError::Evaluation { policy: policy.to_owned(), problem }
    }

    fn matches(&mut self, rule: &Rule) -> Result<bool, EngineError> {
        let program = self.program;
        let value = self.value(&program.matcher, rule).and_then(|value| Ok(value.as_boolean()?));
        value.map_err(|stop| match stop {
            Stop::Engine(error) => error,
            Stop::Problem(problem) => self.failed(&self.name(rule), problem),
        })
    }

    fn step_engine(&mut self) -> Result<(), EngineError> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps % STEPS == 1 && Instant::now() >= self.until {
            let limit_ms = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
            return Err(EngineError::Deadline { limit_ms });
        }
        Ok(())
    }

    fn value(&mut self, node: &Node, rule: &Rule) -> Result<Value, Stop> {
        self.step_engine().map_err(Stop::Engine)?;
        match node {
            Node::Part(part) => self.part(*part).map_err(Stop::Engine),
            Node::Column(column) => Ok(rule.values.get(*column).cloned().unwrap_or_else(|| Value::text(""))),
            Node::Constant(value) => Ok(value.clone()),
            Node::Not(one) => Ok(Value::Boolean(!self.condition(one, rule)?)),
            Node::And(all) => {
                for one in all {
                    if !self.condition(one, rule)? {
                        return Ok(Value::Boolean(false));
                    }
                }
                Ok(Value::Boolean(true))
            }
            Node::Or(all) => {
                for one in all {
                    if self.condition(one, rule)? {
                        return Ok(Value::Boolean(true));
                    }
                }
                Ok(Value::Boolean(false))
            }
            Node::Compare(how, left, right) => {
                let (left, right) = (self.value(left, rule)?, self.value(right, rule)?);
                compare(*how, &left, &right).map(Value::Boolean).map_err(Stop::Problem)
            }
            Node::In(one, list) => {
                let (one, list) = (self.value(one, rule)?, self.value(list, rule)?);
                Ok(Value::Boolean(one.is_in(&list)?))
            }
            Node::Role { roles, member, role, domain } => {
                let (member, role) = (self.text(member, rule)?, self.text(role, rule)?);
                let domain =
                    domain.as_ref().map_or_else(|| Ok("".into()), |domain| self.text(domain, rule))?;
                Ok(Value::Boolean(self.roles_of(*roles, member, domain)?.contains(&role)))
            }
            Node::Call { text, pattern, name } => {
                let text = self.text(text, rule)?;
                let name = name.as_ref().map(|name| self.text(name, rule)).transpose()?;
                let pattern = match pattern {
                    At::Matcher(pattern) => Some(&**pattern),
                    At::Rule(slot) => rule.pattern(*slot),
                };
                let pattern = pattern.ok_or_else(|| "a pattern is missing".to_owned())?;
                Ok(pattern.apply(&text, name.as_deref())?)
            }
            Node::Condition(slot) => {
                let condition = rule.condition(*slot).ok_or_else(|| "a condition is missing".to_owned())?;
                self.value(condition, rule)
            }
        }
    }

    fn condition(&mut self, node: &Node, rule: &Rule) -> Result<bool, Stop> {
        Ok(self.value(node, rule)?.as_boolean()?)
    }

    fn text(&mut self, node: &Node, rule: &Rule) -> Result<Arc<str>, Stop> {
        match self.value(node, rule)? {
            Value::Text(text) => Ok(text),
            other => Err(Stop::Problem(other.as_text().err().unwrap_or_default())),
        }
    }

    fn part(&self, part: usize) -> Result<Value, EngineError> {
        let missing = || self.failed("matcher", "a part is missing".to_owned());
        let cell = self.values.get(part).ok_or_else(missing)?;
        if let Some(value) = cell.get() {
            return Ok(value.clone());
        }
        let value = self.program.parts.get(part).ok_or_else(missing)?.value(self.input)?;
        Ok(cell.get_or_init(|| value).clone())
    }

    fn text_of(&self, part: usize) -> Result<Arc<str>, EngineError> {
        match self.part(part)? {
            Value::Text(text) => Ok(text),
            other => Err(self.failed("matcher", other.as_text().err().unwrap_or_default())),
        }
    }

    fn roles_of(&mut self, roles: usize, member: Arc<str>, domain: Arc<str>) -> Result<Names, Stop> {
        let key = (roles, member, domain);
        if let Some(known) = self.roles.get(&key) {
            return Ok(Rc::clone(known));
        }
        let program = self.program;
        let links = program.roles.get(roles).ok_or_else(|| "a role definition is missing".to_owned())?;
        let found = links.of(&key.1, &key.2, || self.step_engine()).map_err(Stop::Engine)?;
        let found: Names = Rc::new(found.into_iter().map(Arc::from).collect());
        if self.roles.len() >= REMEMBERED_MAX {
            self.roles.clear();
        }
        self.roles.insert(key, Rc::clone(&found));
        Ok(found)
    }
}

fn compare(how: Comparison, left: &Value, right: &Value) -> Result<bool, String> {
    Ok(match how {
        Comparison::Equal => left.equals(right)?,
        Comparison::Unequal => !left.equals(right)?,
        Comparison::Less => left.order(right)?.is_lt(),
        Comparison::LessOrEqual => left.order(right)?.is_le(),
        Comparison::Greater => left.order(right)?.is_gt(),
        Comparison::GreaterOrEqual => left.order(right)?.is_ge(),
    })
}
