//! What can be known of policies from their syntax trees: what they read, what they call, and how deep they call.
//!
//! INVARIANT: what is found is never less than what an evaluation does. A reference that cannot be seen through reads everything
//! below its fixed part; every rule counts, whether or not the decision needs it.

use std::collections::{BTreeMap, HashMap, HashSet};

use mcpg_sdk::policy::ReadSet;
use regorus::unstable::{
    Expr, Literal, LiteralStmt, Module, Query, Rule, RuleBody, RuleHead, Span, WithModifier,
};

use super::builtins::{Builtin, builtin, nearest};
use super::literal::{is_plain_format, number};
use super::path::{Path, path_of};
use super::reads;

/// Elements that one call may make of two numbers.
const RANGE_MAX: f64 = 100_000.0;
/// Places that one call may shift by.
const SHIFT_MAX: f64 = 256.0;

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) reads: ReadSet,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// The rules, by path, each with the paths that it refers to, and where it is.
    pub(super) rules: BTreeMap<Vec<String>, RuleRefs>,
}

/// What a rule refers to.
#[derive(Debug, Default)]
pub(super) struct RuleRefs {
    pub(super) at: String,
    pub(super) refers_to: HashSet<Vec<String>>,
}

/// Looks at every module.
pub(super) fn walk<'m>(modules: impl Iterator<Item = &'m Module> + Clone) -> Findings {
    let mut findings = Findings::default();
    for module in modules.clone() {
        let package = package(module);
        for rule in &module.policy {
            let (refr, span) = match rule.as_ref() {
                Rule::Spec { span, head, .. } => (head_path(head), span),
                Rule::Default { span, refr, .. } => (path_of(refr), span),
            };
            if let Some(path) = refr {
                let full = package.iter().cloned().chain([path.root]).chain(path.names).collect();
                findings.rules.entry(full).or_default().at = place(span);
            }
        }
    }
    for module in modules {
        Walker::new(module, &mut findings).module(module);
    }
    findings
}

/// Where an expression begins.
fn start(expr: &Expr) -> &Span {
    match expr {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => start(refr),
        other => other.span(),
    }
}

/// `file:line:column`.
fn place(span: &Span) -> String {
    format!("{}:{}:{}", span.source.file(), span.line, span.col)
}

/// The names of a module's package, with `data` before them.
fn package(module: &Module) -> Vec<String> {
    let path = path_of(&module.package.refr);
    let names = path.map(|path| [path.root].into_iter().chain(path.names).collect::<Vec<_>>());
    let names = names.unwrap_or_default();
    if names.first().is_some_and(|first| first == "data") {
        return names;
    }
    ["data".to_owned()].into_iter().chain(names).collect()
}

fn head_path(head: &RuleHead) -> Option<Path> {
    match head {
        RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => {
            path_of(refr)
        }
    }
}

struct Walker<'f> {
    findings: &'f mut Findings,
    package: Vec<String>,
    /// What names of other documents stand for here.
    imports: HashMap<String, Vec<String>>,
    /// The rule that is looked at, and the names that are its own.
    rule: Vec<String>,
    locals: HashSet<String>,
}

impl<'f> Walker<'f> {
    fn new(module: &Module, findings: &'f mut Findings) -> Self {
        let mut imports = HashMap::new();
        for import in &module.imports {
            let Some(path) = path_of(&import.refr) else { continue };
            let last = path.names.last().unwrap_or(&path.root).clone();
            let alias = import.r#as.as_ref().map_or(last, |span| span.text().to_owned());
            imports.insert(alias, [path.root].into_iter().chain(path.names).collect());
        }
        let (rule, locals) = Default::default();
        Self { findings, package: package(module), imports, rule, locals }
    }

    fn module(&mut self, module: &Module) {
        for rule in &module.policy {
            self.locals.clear();
            match rule.as_ref() {
                Rule::Spec { head, bodies, .. } => {
                    self.enter(head_path(head));
                    self.head(head);
                    bodies.iter().for_each(|body| self.body(body));
                }
                Rule::Default { refr, args, value, .. } => {
                    self.enter(path_of(refr));
                    args.iter().chain([value]).for_each(|expr| self.expr(expr));
                }
            }
        }
    }

    fn enter(&mut self, path: Option<Path>) {
        let names = path.into_iter().flat_map(|path| [path.root].into_iter().chain(path.names));
        self.rule = self.package.iter().cloned().chain(names).collect();
    }

    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.indexes(refr);
                assign.iter().for_each(|assign| self.expr(&assign.value));
            }
            RuleHead::Set { refr, key, .. } => {
                self.indexes(refr);
                key.iter().for_each(|key| self.expr(key));
            }
            RuleHead::Func { refr, args, assign, .. } => {
                self.indexes(refr);
                args.iter().for_each(|argument| self.bind(argument));
                args.iter().for_each(|argument| self.expr(argument));
                assign.iter().for_each(|assign| self.expr(&assign.value));
            }
        }
    }

    fn body(&mut self, body: &RuleBody) {
        body.assign.iter().for_each(|assign| self.expr(&assign.value));
        self.query(&body.query);
    }

    fn query(&mut self, query: &Query) {
        query.stmts.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                self.locals.extend(vars.iter().map(|span| span.text().to_owned()));
            }
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value]).for_each(|expr| self.bind(expr));
                key.iter().chain([value, collection]).for_each(|expr| self.expr(expr));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
            Literal::Every { key, value, domain, query, .. } => {
                self.expr(domain);
                self.locals.extend(key.iter().chain([value]).map(|span| span.text().to_owned()));
                self.query(query);
            }
        }
        statement.with_mods.iter().for_each(|modifier| self.modifier(modifier));
    }

    fn modifier(&mut self, modifier: &WithModifier) {
        for expr in [&modifier.refr, &modifier.r#as] {
            let name = path_of(expr).and_then(|path| path.dotted());
            if let Some(Builtin::Refused(why)) = name.as_deref().map(builtin) {
                self.refused(start(expr), name.as_deref().unwrap_or_default(), why);
            }
            self.expr(expr);
        }
    }

    /// Names that an expression gives a value to.
    fn bind(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { span, .. } => {
                self.locals.insert(span.text().to_owned());
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.bind(item));
            }
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| self.bind(value)),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr, false),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.expr(item))
            }
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.query(query);
                self.expr(term);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.query(query);
                self.expr(key);
                self.expr(value);
            }
            Expr::Call { fcn, params, .. } => {
                self.call(fcn, params);
                params.iter().for_each(|param| self.expr(param));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if matches!(op, regorus::unstable::AssignOp::ColEq) {
                    self.bind(lhs);
                }
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|expr| self.expr(expr));
            }
        }
    }

    /// The indexes of a reference.
    fn indexes(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expr(index);
            }
            Expr::Var { .. } => {}
            other => self.expr(other),
        }
    }

    fn reference(&mut self, expr: &Expr, is_call: bool) {
        self.indexes(expr);
        let Some(path) = path_of(expr) else { return };
        let Some(full) = self.resolve(&path, is_call) else { return };
        match full.split_first() {
            Some((root, names)) if root == "input" => {
                if names.is_empty() {
                    let at = place(start(expr));
                    self.findings.warnings.push(format!(
                        "{at}: `input` is read as a whole: no decision is cached; name what you read"
                    ));
                }
                if !reads::note(&mut self.findings.reads, names) {
                    let (at, name) = (place(start(expr)), full.join("."));
                    self.findings.warnings.push(format!("{at}: the input has no `{name}`"));
                }
            }
            _ => {
                let rule = self.findings.rules.entry(self.rule.clone()).or_default();
                rule.refers_to.insert(full);
            }
        }
    }

    /// What a path stands for: below `input` or `data`. None: a name of the rule's own.
    fn resolve(&self, path: &Path, is_call: bool) -> Option<Vec<String>> {
        let names = path.names.iter().cloned();
        if path.root == "input" || path.root == "data" {
            return Some([path.root.clone()].into_iter().chain(names).collect());
        }
        if !is_call && self.locals.contains(&path.root) {
            return None;
        }
        if let Some(import) = self.imports.get(&path.root) {
            return Some(import.iter().cloned().chain(names).collect());
        }
        Some(self.package.iter().cloned().chain([path.root.clone()]).chain(names).collect())
    }

    fn call(&mut self, function: &Expr, params: &[regorus::unstable::Ref<Expr>]) {
        let Some(path) = path_of(function) else { return self.expr(function) };
        let Some(name) = path.dotted() else {
            let at = place(start(function));
            self.findings.problems.push(format!("{at}: a function is called by its name"));
            return;
        };
        if let Some(full) = self.resolve(&path, true)
            && self.findings.rules.contains_key(&full)
        {
            return self.reference(function, true);
        }
        match builtin(&name) {
            Builtin::Allowed => self.bounded(&name, start(function), params),
            Builtin::Refused(why) => self.refused(start(function), &name, why),
            Builtin::Unknown => {
                let help = nearest(&name).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
                let at = place(start(function));
                self.findings.problems.push(format!("{at}: no function here is called `{name}`{help}"));
            }
        }
    }

    fn refused(&mut self, span: &Span, name: &str, why: &str) {
        self.findings.problems.push(format!("{}: `{name}` cannot be called here: {why}", place(span)));
    }

    /// What would make of a few bytes as much as memory holds must say how much it makes.
    fn bounded(&mut self, name: &str, span: &Span, params: &[regorus::unstable::Ref<Expr>]) {
        let number = |at: usize| params.get(at).and_then(|param| number(param));
        let (is_bounded, must) = match name {
            "numbers.range" | "numbers.range_step" => (
                number(0).zip(number(1)).is_some_and(|(from, to)| (to - from).abs() <= RANGE_MAX)
                    && (name == "numbers.range" || number(2).is_some_and(|step| step >= 1.0)),
                "its bounds must be numbers, with no more than 100000 between them",
            ),
            "bits.lsh" => (
                number(1).is_some_and(|shift| shift <= SHIFT_MAX),
                "the number of places must be a number of 256 at most",
            ),
            "sprintf" => (
                params.first().is_some_and(|format| is_plain_format(format)),
                "the format must be a string, with widths of three digits at most",
            ),
            _ => return,
        };
        if !is_bounded {
            self.findings.problems.push(format!("{}: `{name}`: {must}", place(span)));
        }
    }
}
