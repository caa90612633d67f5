//! From a model and a policy to a program: names are resolved, patterns compiled, and everything that is wrong is found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mcpg_sdk::Obligation;

use super::CasbinSettings;
use super::expression::{self, Expression};
use super::index::Index;
use super::model::{Effect, Model, Wrong};
use super::part::{self, Part};
use super::pattern::{Function, Pattern};
use super::policy::{self, Line};
use super::program::{At, Node, Program, Rule, Wrongs};
use super::roles::Roles;
use super::value::Value;
use crate::policy::cedar::did_you_mean;

const EFFECT: &str = "eft";
const PRIORITY: &str = "priority";
const OBLIGATIONS: &str = "obligations";

const PROBLEMS_MAX: usize = 20;

impl Program {
    /// Compiles a model and a policy.
    pub(super) fn compile(
        model_text: &str,
        policy_text: &str,
        settings: &CasbinSettings,
    ) -> Result<Self, Wrongs> {
        let of_model = |wrong| Wrongs { model: vec![wrong], ..Wrongs::default() };
        let of_policy = |policy| Wrongs { policy, ..Wrongs::default() };
        let model = Model::parse(model_text).map_err(of_model)?;
        let matcher = expression::parse(&model.matcher.text).map_err(|(at, message)| {
            of_model((model.matcher.line, format!("at character {}: {message}", at + 1)))
        })?;
        let fields = fields(&model, settings)
            .map_err(|message| Wrongs { settings: vec![message], ..Wrongs::default() })?;
        let lines = policy::lines(policy_text, settings.limits.rules_max).map_err(of_policy)?;
        let mut compiler = Compiler {
            model: &model,
            fields,
            parts: Vec::new(),
            slots: Vec::new(),
            conditions: Vec::new(),
            patterns: HashMap::new(),
            patterns_max: settings.limits.patterns_max,
            warnings: Vec::new(),
            used: Vec::new(),
        };
        let matcher =
            compiler.node(&matcher, true).map_err(|message| of_model((model.matcher.line, message)))?;
        let (rules, roles) = compiler.policy(&lines).map_err(of_policy)?;
        compiler.unused();
        let index = Index::build(&matcher, &rules);
        let Compiler { parts, warnings, .. } = compiler;
        Ok(Self {
            matcher,
            effect: model.effect,
            parts,
            has_obligations: rules.iter().any(|rule| !rule.obligations.is_empty()),
            rules,
            roles,
            index,
            warnings,
        })
    }
}

/// What each field of a request stands for, by its path in the input document.
fn fields(model: &Model, settings: &CasbinSettings) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    for name in &model.request {
        let usual = match name.as_str() {
            "sub" => Some("caller.subject"),
            "dom" | "tenant" => Some("tenant.organization"),
            "obj" => Some("resource.id"),
            "act" => Some("action.method"),
            _ => None,
        };
        let path = settings.request.get(name).map(String::as_str).or(usual).ok_or_else(|| {
            format!("`request.{name}`: the model's request has this field: say what it stands for, such as `resource.binding`")
        })?;
        if !part::is_prefix(path) {
            path.parse::<Part>().map_err(|error| format!("`request.{name}`: {error}"))?;
        }
        fields.insert(name.clone(), path.to_owned());
    }
    match settings.request.keys().find(|name| !fields.contains_key(*name)) {
        None => Ok(fields),
        Some(name) => {
            let nearest = did_you_mean(name, model.request.iter().map(String::as_str));
            Err(format!("`request.{name}`: the model's request has no such field{nearest}"))
        }
    }
}

struct Compiler<'a> {
    model: &'a Model,
    fields: BTreeMap<String, String>,
    parts: Vec<Part>,
    /// Patterns that each rule has: of which function, in which column.
    slots: Vec<(Function, usize)>,
    /// Columns that hold conditions.
    conditions: Vec<usize>,
    patterns: HashMap<(Function, String), Arc<Pattern>>,
    patterns_max: usize,
    warnings: Vec<String>,
    /// Names of the model that the matcher uses.
    used: Vec<String>,
}

impl Compiler<'_> {
    fn node(&mut self, expression: &Expression, in_matcher: bool) -> Result<Node, String> {
        let inner = |this: &mut Self, one: &Expression| this.node(one, in_matcher).map(Box::new);
        Ok(match expression {
            Expression::Request(path) => Node::Part(self.part(path)?),
            Expression::Column(name) => Node::Column(self.column(name)?),
            Expression::Text(text) => Node::Constant(Value::text(text)),
            Expression::Integer(number) => Node::Constant(Value::Integer(*number)),
            Expression::Float(number) => Node::Constant(Value::Float(*number)),
            Expression::Boolean(one) => Node::Constant(Value::Boolean(*one)),
            Expression::List(items) => {
                Node::Constant(Value::List(items.iter().map(|item| item.as_str().into()).collect()))
            }
            Expression::Not(one) => Node::Not(inner(self, one)?),
            Expression::And(all) => Node::And(self.nodes(all, in_matcher)?),
            Expression::Or(all) => Node::Or(self.nodes(all, in_matcher)?),
            Expression::Compare(how, left, right) => {
                Node::Compare(*how, inner(self, left)?, inner(self, right)?)
            }
            Expression::In(one, list) => Node::In(inner(self, one)?, inner(self, list)?),
            Expression::Role(name, arguments) => self.role(name, arguments, in_matcher)?,
            Expression::Call(function, arguments) => self.call(*function, arguments, in_matcher)?,
            Expression::Eval(_) if !in_matcher => {
                return Err("`eval` within a condition of the policy".to_owned());
            }
            Expression::Eval(column) => {
                let column = self.column(column)?;
                Node::Condition(slot(&mut self.conditions, &column))
            }
        })
    }

    fn nodes(&mut self, all: &[Expression], in_matcher: bool) -> Result<Vec<Node>, String> {
        all.iter().map(|one| self.node(one, in_matcher)).collect()
    }

    /// The part that a path of the request, such as `sub.attributes.department`, stands for.
    fn part(&mut self, path: &str) -> Result<usize, String> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        self.used.push(format!("r.{name}"));
        let Some(stands) = self.fields.get(name) else {
            let nearest = did_you_mean(name, self.fields.keys().map(String::as_str));
            return Err(format!("`r.{name}`: the request has no such field{nearest}"));
        };
        let whole = rest.map_or_else(|| stands.clone(), |rest| format!("{stands}.{rest}"));
        if part::is_prefix(&whole) {
            return Err(format!("`r.{path}` stands for `{whole}`, which has members: name one"));
        }
        let part: Part = whole.parse().map_err(|error| format!("`r.{path}`: {error}"))?;
        Ok(slot(&mut self.parts, &part))
    }

    fn column(&mut self, name: &str) -> Result<usize, String> {
        self.used.push(format!("p.{name}"));
        self.model.columns.iter().position(|own| own == name).ok_or_else(|| {
            let nearest = did_you_mean(name, self.model.columns.iter().map(String::as_str));
            format!("`p.{name}`: the policy has no such column{nearest}")
        })
    }

    fn role(&mut self, name: &str, arguments: &[Expression], in_matcher: bool) -> Result<Node, String> {
        let Some((roles, (_, fields))) =
            self.model.roles.iter().enumerate().find(|(_, (own, _))| *own == name)
        else {
            return Err(format!("`{name}(…)`: there is no `{name} = _, _` in `[role_definition]`"));
        };
        if *fields != arguments.len() {
            return Err(format!("`{name}(…)` takes {fields} values, as its role definition says"));
        }
        self.used.push(name.to_owned());
        let mut nodes = self.nodes(arguments, in_matcher)?.into_iter().map(Box::new);
        match (nodes.next(), nodes.next(), nodes.next()) {
            (Some(member), Some(role), domain) => Ok(Node::Role { roles, member, role, domain }),
            _ => Err(format!("`{name}(…)` takes two or three values")),
        }
    }

    fn call(
        &mut self,
        function: Function,
        arguments: &[Expression],
        in_matcher: bool,
    ) -> Result<Node, String> {
        let [text, pattern, name @ ..] = arguments else {
            return Err("a function lacks its values".to_owned());
        };
        let pattern = match pattern {
            Expression::Text(text) => At::Matcher(self.pattern(function, text)?),
            Expression::Column(name) if in_matcher => {
                let column = self.column(name)?;
                At::Rule(slot(&mut self.slots, &(function, column)))
            }
            _ => {
                return Err("the pattern of a function is a column of the policy or stands in the matcher: \
                            a request must not choose it"
                    .to_owned());
            }
        };
        let text = Box::new(self.node(text, in_matcher)?);
        let name = name.first().map(|name| self.node(name, in_matcher).map(Box::new)).transpose()?;
        Ok(Node::Call { text, pattern, name })
    }

    fn pattern(&mut self, function: Function, text: &str) -> Result<Arc<Pattern>, String> {
        if let Some(known) = self.patterns.get(&(function, text.to_owned())) {
            return Ok(Arc::clone(known));
        }
        if self.patterns.len() >= self.patterns_max {
            return Err(format!(
                "more than {} different patterns (`limits.patterns_max`)",
                self.patterns_max
            ));
        }
        let pattern = Arc::new(Pattern::new(function, text)?);
        self.patterns.insert((function, text.to_owned()), Arc::clone(&pattern));
        Ok(pattern)
    }

    fn policy(&mut self, lines: &[Line]) -> Result<(Vec<Rule>, Vec<Roles>), Vec<Wrong>> {
        let mut rules = Vec::new();
        let mut roles: Vec<Roles> = self.model.roles.iter().map(|_| Roles::default()).collect();
        let mut problems = Vec::new();
        for line in lines {
            let done = match line.kind.as_str() {
                "p" => self.rule(line).map(|rule| rules.push(rule)),
                kind => self.link(kind, line, &mut roles),
            };
            problems.extend(done.err().map(|message| (line.number, message)));
            if problems.len() >= PROBLEMS_MAX {
                break;
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if let Some(column) = self.place(PRIORITY).filter(|_| self.model.effect == Effect::Priority) {
            let mut unreadable = None;
            rules.sort_by_key(|rule: &Rule| {
                let text = rule.values.get(column).and_then(|value| value.as_text().ok()).unwrap_or_default();
                text.parse::<i64>().inspect_err(|_| unreadable = Some(rule.line)).unwrap_or_default()
            });
            if let Some(line) = unreadable {
                return Err(vec![(line, "the priority is no whole number".to_owned())]);
            }
        }
        Ok((rules, roles))
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.model.columns.iter().position(|own| own == column)
    }

    fn link(&self, kind: &str, line: &Line, roles: &mut [Roles]) -> Result<(), String> {
        let Some((roles, (_, count))) =
            roles.iter_mut().zip(&self.model.roles).find(|(_, (name, _))| *name == kind)
        else {
            return Err(format!("`{kind}` is neither `p` nor a role definition of the model"));
        };
        match line.fields.as_slice() {
            [member, role] if *count == 2 => roles.add(member, role, ""),
            [member, role, domain] if *count == 3 => roles.add(member, role, domain),
            fields => return Err(format!("`{kind}` has {count} fields, not {}", fields.len())),
        }
        Ok(())
    }

    fn rule(&mut self, line: &Line) -> Result<Rule, String> {
        let columns = &self.model.columns;
        let mut fields = line.fields.clone();
        // What obliges to nothing may be left out.
        if fields.len() + 1 == columns.len() && columns.last().is_some_and(|last| last == OBLIGATIONS) {
            fields.push(String::new());
        }
        if fields.len() != columns.len() {
            return Err(format!("the policy has {} columns, not {}", columns.len(), fields.len()));
        }
        let field = |name: &str| self.place(name).and_then(|at| fields.get(at)).map(String::as_str);
        let allows = match field(EFFECT) {
            None | Some("allow") => true,
            Some("deny") if self.model.effect == Effect::AllowOverride => {
                return Err(
                    "nothing is denied under the model's effect: write `some(where (p.eft == allow)) && \
                            !some(where (p.eft == deny))`"
                        .to_owned(),
                );
            }
            Some("deny") => false,
            Some(other) => return Err(format!("`{other}`: the effect is `allow` or `deny`")),
        };
        let obligations = field(OBLIGATIONS).unwrap_or_default();
        let obligations = obligations.split(';').map(str::trim).filter(|one| !one.is_empty());
        let obligations: Vec<Obligation> = obligations
            .map(|one| one.parse().map_err(|error| format!("`{one}`: {error}")))
            .collect::<Result<_, _>>()?;
        if !allows && !obligations.is_empty() {
            return Err("a rule that denies obliges to nothing".to_owned());
        }
        let mut patterns = Vec::new();
        for (function, column) in self.slots.clone() {
            let text = fields.get(column).cloned().unwrap_or_default();
            if function == Function::RegexMatch && !text.starts_with('^') {
                self.warnings.push(format!(
                    "{}: `{text}` may match anywhere in a text: write `^…$` for the whole (other Casbins differ)",
                    line.number
                ));
            }
            patterns.push(self.pattern(function, &text)?);
        }
        let mut conditions = Vec::new();
        for column in self.conditions.clone() {
            let text = fields.get(column).cloned().unwrap_or_default();
            let condition = expression::parse(&text)
                .map_err(|(at, message)| format!("`{text}`, at character {}: {message}", at + 1))?;
            conditions.push(self.node(&condition, false).map_err(|message| format!("`{text}`: {message}"))?);
        }
        let values = fields.iter().map(|field| Value::text(field)).collect();
        Ok(Rule { line: line.number, values, allows, obligations, patterns, conditions })
    }

    /// What the model defines and nothing reads may have been meant to restrict something.
    fn unused(&mut self) {
        let special = |column: &str| matches!(column, EFFECT | PRIORITY | OBLIGATIONS);
        let columns =
            self.model.columns.iter().filter(|column| !special(column)).map(|column| format!("p.{column}"));
        let request = self.model.request.iter().map(|field| format!("r.{field}"));
        let roles = self.model.roles.keys().cloned();
        for name in columns.chain(request).chain(roles) {
            if !self.used.contains(&name) {
                self.warnings.push(format!("0: the matcher does not read `{name}`"));
            }
        }
    }
}

/// The place of a value in a list, put there if it is not yet.
fn slot<T: PartialEq + Clone>(list: &mut Vec<T>, value: &T) -> usize {
    list.iter().position(|own| own == value).unwrap_or_else(|| {
        list.push(value.clone());
        list.len() - 1
    })
}
