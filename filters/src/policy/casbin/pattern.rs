//! The functions of matchers, with the patterns of the policy compiled when it is loaded.
//!
//! What they match is defined by Casbin's documentation (<https://casbin.org/docs/function>) and, where that is silent, by what its Go,
//! Rust and Python implementations agree on. Patterns come from the policy or stand in the matcher, never from a request.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::LazyLock;

use mcpg_sdk::Cidr;
use regex::{Regex, RegexBuilder};

use super::value::Value;
use crate::policy::cedar::did_you_mean;

/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Bytes of a text that is matched: time is linear in them.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Function {
    KeyMatch,
    KeyMatch2,
    KeyMatch3,
    KeyMatch4,
    KeyMatch5,
    KeyGet,
    KeyGet2,
    KeyGet3,
    RegexMatch,
    IpMatch,
    GlobMatch,
}

const NAMES: [(&str, Function); 11] = [
    ("keyMatch", Function::KeyMatch),
    ("keyMatch2", Function::KeyMatch2),
    ("keyMatch3", Function::KeyMatch3),
    ("keyMatch4", Function::KeyMatch4),
    ("keyMatch5", Function::KeyMatch5),
    ("keyGet", Function::KeyGet),
    ("keyGet2", Function::KeyGet2),
    ("keyGet3", Function::KeyGet3),
    ("regexMatch", Function::RegexMatch),
    ("ipMatch", Function::IpMatch),
    ("globMatch", Function::GlobMatch),
];

impl FromStr for Function {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        NAMES.iter().find(|(own, _)| *own == name).map(|(_, function)| *function).ok_or_else(|| {
            let nearest = did_you_mean(name, NAMES.iter().map(|(own, _)| *own));
            format!("there is no function `{name}`{nearest}")
        })
    }
}

impl Function {
    /// How many values it takes.
    pub(super) fn arity(self) -> usize {
        if matches!(self, Self::KeyGet2 | Self::KeyGet3) { 3 } else { 2 }
    }
}

/// A pattern for a function, compiled.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// The text up to a `*`, if there is one.
    Key {
        before: String,
        star: bool,
        is_get: bool,
    },
    /// A regular expression.
    Regex(Regex),
    /// One whose groups of the same name must be the same text.
    Groups(Regex, Vec<String>),
    /// One of which a named group is asked for.
    Get(Regex, Vec<String>),
    /// One that a `?` and what follows is taken off for.
    Path(Regex),
    Network(Cidr),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn new(function: Function, text: &str) -> Result<Self, String> {
        let slashes = || text.replace("/*", "/.*");
        match function {
            Function::KeyMatch | Function::KeyGet => {
                let (before, star) = text.split_once('*').map_or((text, false), |(before, _)| (before, true));
                let is_get = function == Function::KeyGet;
                Ok(Self::Key { before: before.to_owned(), star, is_get })
            }
            Function::KeyMatch2 => {
                let pattern = COLONS.replace_all(&slashes(), "[^/]+").into_owned();
                whole(if pattern == "*" { ".*" } else { &pattern }).map(Self::Regex)
            }
            Function::KeyMatch3 => whole(&BRACES.replace_all(&slashes(), "[^/]+")).map(Self::Regex),
            Function::KeyMatch4 => {
                let (pattern, names) = named(&BRACES, &slashes(), "([^/]+)", "{", "}");
                let regex = whole(&pattern)?;
                if regex.captures_len() != names.len() + 1 {
                    return Err(
                        "has groups of its own, which `keyMatch4` cannot tell from its `{…}`".to_owned()
                    );
                }
                Ok(Self::Groups(regex, names))
            }
            Function::KeyMatch5 => whole(&BRACES.replace_all(&slashes(), "[^/]+")).map(Self::Path),
            Function::KeyGet2 => {
                let (pattern, names) = named(&COLONS, &slashes(), "([^/]+)", ":", "");
                whole(&pattern).map(|regex| Self::Get(regex, names))
            }
            Function::KeyGet3 => {
                let (pattern, names) = named(&BRACES, &slashes(), "([^/]+?)", "{", "}");
                whole(&pattern).map(|regex| Self::Get(regex, names))
            }
            Function::RegexMatch => compile(text).map(Self::Regex),
            Function::GlobMatch => glob(text).and_then(|pattern| compile(&pattern)).map(Self::Regex),
            Function::IpMatch => network(text).map(Self::Network),
        }
    }

    /// Applies it. `name` is the group that `keyGet2` and `keyGet3` are asked for.
    pub(super) fn apply(&self, text: &str, name: Option<&str>) -> Result<Value, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("a text of more than {TEXT_BYTES_MAX} bytes is not matched"));
        }
        Ok(match self {
            Self::Key { before, star, is_get: false } => {
                Value::Boolean(if *star { text.starts_with(before.as_str()) } else { text == before })
            }
            Self::Key { before, star, is_get: true } => {
                let rest = text.strip_prefix(before.as_str()).filter(|_| *star);
                Value::text(rest.unwrap_or_default())
            }
            Self::Regex(regex) => Value::Boolean(regex.is_match(text)),
            Self::Path(regex) => Value::Boolean(regex.is_match(text.split('?').next().unwrap_or_default())),
            Self::Groups(regex, names) => Value::Boolean(groups_agree(regex, names, text)),
            Self::Get(regex, names) => {
                let at = names.iter().position(|own| Some(own.as_str()) == name);
                let found = at.and_then(|at| regex.captures(text)?.get(at + 1).map(|group| group.as_str()));
                Value::text(found.unwrap_or_default())
            }
            Self::Network(network) => {
                let address: IpAddr =
                    text.parse().map_err(|_| format!("`{}` is no IP address", shown(text)))?;
                Value::Boolean(network.contains(address))
            }
        })
    }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect::<String>().escape_debug().to_string()
}

fn groups_agree(regex: &Regex, names: &[String], text: &str) -> bool {
    let Some(captures) = regex.captures(text) else { return false };
    let group = |at: usize| captures.get(at + 1).map(|group| group.as_str());
    names.iter().enumerate().all(|(at, name)| {
        let first = names.iter().position(|own| own == name).unwrap_or(at);
        group(first) == group(at)
    })
}

static COLONS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(":[^/]+").ok());
static BRACES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{[^/]+?\}").ok());

/// Replaces what a pattern of this file finds.
trait ReplaceAll {
    fn replace_all<'t>(&self, text: &'t str, by: &str) -> std::borrow::Cow<'t, str>;
}

impl ReplaceAll for LazyLock<Option<Regex>> {
    fn replace_all<'t>(&self, text: &'t str, by: &str) -> std::borrow::Cow<'t, str> {
        match &**self {
            Some(regex) => regex.replace_all(text, regex::NoExpand(by)),
            None => text.into(),
        }
    }
}

/// The names in a pattern, and the pattern with groups in their place.
fn named(
    names: &LazyLock<Option<Regex>>,
    text: &str,
    by: &str,
    before: &str,
    after: &str,
) -> (String, Vec<String>) {
    let bare = |name: &str| {
        let name = name.strip_prefix(before).unwrap_or(name);
        name.strip_suffix(after).unwrap_or(name).to_owned()
    };
    let found = names.as_ref().into_iter().flat_map(|regex| regex.find_iter(text));
    let found = found.map(|name| bare(name.as_str())).collect();
    (names.replace_all(text, by).into_owned(), found)
}

fn whole(pattern: &str) -> Result<Regex, String> {
    compile(&format!("^{pattern}$"))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("`{}` compiles to more than {PATTERN_BYTES_MAX} bytes", shown(pattern))
            }
            _ => format!(
                "`{}` is no regular expression (without look-around and back-references)",
                shown(pattern)
            ),
        })
}

/// The regular expression of a glob: `*` and `?` stop at `/`, `[a-z]`, `[!a]` and `[^a]` are classes, `\` takes what follows as it is.
fn glob(text: &str) -> Result<String, String> {
    let mut pattern = "^(?s:".to_owned();
    let mut characters = text.chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '*' => {
                while characters.next_if_eq(&'*').is_some() {}
                pattern.push_str("[^/]*");
            }
            '?' => pattern.push_str("[^/]"),
            '[' => class(&mut characters, &mut pattern)
                .ok_or_else(|| format!("`{}`: a class does not end", shown(text)))?,
            '\\' => push_literal(&mut pattern, characters.next().unwrap_or('\\')),
            one => push_literal(&mut pattern, one),
        }
    }
    pattern.push_str(")$");
    Ok(pattern)
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, pattern: &mut String) -> Option<()> {
    let negated = characters.next_if(|one| matches!(one, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let mut low = characters.next()?;
        if low == ']' {
            break;
        }
        if low == '\\' {
            low = characters.next()?;
        }
        let mut ahead = characters.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|one| one != ']');
        let mut high = low;
        if is_range {
            characters.next();
            high = characters.next()?;
            if high == '\\' {
                high = characters.next()?;
            }
        }
        ranges.push((low, high));
    }
    // Never a slash, whatever the class says; an empty class matches nothing, its negation anything.
    pattern.push_str(if negated { "[[^/]--[" } else { "[[" });
    let mut any = false;
    for (low, high) in ranges.into_iter().filter(|(low, high)| low <= high) {
        let _ = write!(pattern, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(low), u32::from(high));
        any = true;
    }
    if !any {
        pattern.push_str(r"\x{0}--\x{0}");
    }
    pattern.push_str(if negated { "]]" } else { "]--[/]]" });
    Some(())
}

fn push_literal(pattern: &mut String, one: char) {
    pattern.push_str(&regex::escape(one.encode_utf8(&mut [0; 4])));
}

/// A block of addresses; bits behind the prefix are ignored, as elsewhere in Casbin.
fn network(text: &str) -> Result<Cidr, String> {
    let wrong = || format!("`{}` is no IP address and no block of them", shown(text));
    let Some((address, bits)) = text.split_once('/') else { return text.parse().map_err(|_| wrong()) };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    Cidr::around(address, bits).ok_or_else(wrong)
}
