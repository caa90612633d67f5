//! `model.conf`: what requests and policies consist of, the matcher and the effect
//! (<https://casbin.org/docs/syntax-for-models>).

use std::collections::BTreeMap;

use crate::policy::cedar::did_you_mean;

/// A model.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The fields of a request.
    pub(super) request: Vec<String>,
    /// The columns of a policy.
    pub(super) columns: Vec<String>,
    /// The role definitions by name, each with how many fields it has: 2, or 3 with a domain.
    pub(super) roles: BTreeMap<String, usize>,
    pub(super) effect: Effect,
    pub(super) matcher: Located,
}

/// A value of the model, and where it is.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) text: String,
    pub(super) line: usize,
}

/// How the policies that match are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// One that allows is enough.
    AllowOverride,
    /// One that allows, and none that denies.
    AllowAndDeny,
    /// The first that matches.
    Priority,
}

/// A problem, with its line.
pub(super) type Wrong = (usize, String);

const SECTIONS: [&str; 5] =
    ["request_definition", "policy_definition", "role_definition", "policy_effect", "matchers"];

const FIELDS_MAX: usize = 32;

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let mut values = values(text)?;
        let mut take = |section: &'static str, key: &str| {
            values
                .remove(&(section, key.to_owned()))
                .ok_or_else(|| (0, format!("`[{section}]` has no `{key} = …`")))
        };
        let request = fields(&take("request_definition", "r")?)?;
        let policy = take("policy_definition", "p")?;
        let columns = fields(&policy)?;
        let effect = effect(&take("policy_effect", "e")?)?;
        let matcher = take("matchers", "m")?;
        let mut roles = BTreeMap::new();
        for ((section, key), value) in values {
            if section != "role_definition" {
                let message = format!("`{key}`: one definition is used, and no request can choose another");
                return Err((value.line, message));
            }
            let is_name =
                key.strip_prefix('g').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
            let count = value.text.split(',').filter(|field| field.trim() == "_").count();
            if !is_name || !matches!(count, 2 | 3) || value.text.split(',').count() != count {
                let message = "a role definition is `g = _, _` or, with a domain, `g = _, _, _`".to_owned();
                return Err((value.line, message));
            }
            roles.insert(key, count);
        }
        if effect == Effect::Priority && columns.iter().any(|one| one == "priority") && columns.len() == 1 {
            return Err((policy.line, "a policy needs other columns than its priority".to_owned()));
        }
        Ok(Self { request, columns, roles, effect, matcher })
    }
}

/// The values by section and key.
fn values(text: &str) -> Result<BTreeMap<(&'static str, String), Located>, Wrong> {
    let mut values: BTreeMap<(&'static str, String), Located> = BTreeMap::new();
    let mut section: Option<&'static str> = None;
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((number, line)) = lines.next() {
        let line = uncommented(line);
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').map(str::trim).unwrap_or_default();
            let found = SECTIONS.iter().find(|known| **known == name);
            let nearest = did_you_mean(name, SECTIONS);
            section =
                Some(found.ok_or_else(|| (number, format!("there is no section `[{name}]`{nearest}")))?);
            continue;
        }
        let Some(section) = section else {
            return Err((number, "expected `[request_definition]`".to_owned()));
        };
        let Some((key, value)) = line.split_once('=') else {
            return Err((number, "expected `NAME = VALUE`".to_owned()));
        };
        let mut value = value.trim().to_owned();
        while let Some(head) = value.strip_suffix('\\') {
            let (_, next) = lines.next().ok_or_else(|| (number, "the value ends with `\\`".to_owned()))?;
            value = format!("{} {}", head.trim_end(), uncommented(next));
        }
        let key = key.trim().to_owned();
        if value.is_empty() {
            return Err((number, format!("`{key}` has no value")));
        }
        let located = Located { text: value, line: number };
        if values.insert((section, key.clone()), located).is_some() {
            return Err((number, format!("`{key}` is there twice")));
        }
    }
    Ok(values)
}

/// A line without its comment. `#` within a text in quotes is a part of it.
fn uncommented(line: &str) -> &str {
    let mut quote = None;
    for (at, one) in line.char_indices() {
        match (quote, one) {
            (None, '#') => return line.get(..at).unwrap_or(line).trim(),
            (None, '"' | '\'') => quote = Some(one),
            (Some(open), one) if one == open => quote = None,
            _ => {}
        }
    }
    let line = line.trim();
    if line.starts_with(';') { "" } else { line }
}

fn fields(value: &Located) -> Result<Vec<String>, Wrong> {
    let fields: Vec<String> = value.text.split(',').map(|field| field.trim().to_owned()).collect();
    let is_name = |field: &String| {
        field.chars().next().is_some_and(|one| one == '_' || one.is_alphabetic())
            && field.chars().all(|one| one == '_' || one.is_alphanumeric())
    };
    if let Some(wrong) = fields.iter().find(|field| !is_name(field)) {
        return Err((value.line, format!("`{wrong}` is no name of a field")));
    }
    let mut sorted = fields.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != fields.len() {
        return Err((value.line, "a field is there twice".to_owned()));
    }
    if fields.len() > FIELDS_MAX {
        return Err((value.line, format!("more than {FIELDS_MAX} fields")));
    }
    Ok(fields)
}

fn effect(value: &Located) -> Result<Effect, Wrong> {
    let bare: String = value.text.chars().filter(|one| !one.is_whitespace()).collect();
    match bare.as_str() {
        "some(where(p.eft==allow))" => Ok(Effect::AllowOverride),
        "some(where(p.eft==allow))&&!some(where(p.eft==deny))" => Ok(Effect::AllowAndDeny),
        "priority(p.eft)||deny" => Ok(Effect::Priority),
        "!some(where(p.eft==deny))" => Err((
            value.line,
            "this effect permits what no policy speaks of: write `some(where (p.eft == allow)) && !some(where (p.eft == deny))` \
             and allow what shall be allowed"
                .to_owned(),
        )),
        "subjectPriority(p.eft)||deny" => Err((
            value.line,
            "priorities by the depth of roles are not built in: give the policies a column `priority` and write \
             `priority(p.eft) || deny`"
                .to_owned(),
        )),
        _ => Err((value.line, format!("`{}` is no effect of Casbin", value.text))),
    }
}
