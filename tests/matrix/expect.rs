//! What must come of a step, whichever client took it and whatever stood in between.

use serde_json::Value;

/// An expectation. Names and URIs are the server's own; [`Naming`] says what they are called at the endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// A list with at least these names.
    Names(&'static [&'static str]),
    /// A list with at least these URIs or templates.
    Uris(&'static [&'static str]),
    /// A result, no error, with this text in it.
    Text(&'static str),
    /// A result, no error, with this URI in it.
    Uri(&'static str),
    /// A result after at least so many pieces of progress. Clients may miss the last, which comes with the result.
    Progress(u64),
    /// An error of the tool or of the protocol, with this text in it.
    Error(&'static str),
    /// The client gave up, and was told nothing else.
    Cancelled,
}

/// What an endpoint calls the things of a binding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Naming<'a> {
    Bare,
    Prefixed(&'a str),
}

impl Naming<'_> {
    pub(crate) fn name(self, own: &str) -> String {
        match self {
            Naming::Bare => own.to_owned(),
            Naming::Prefixed(binding) => format!("{binding}.{own}"),
        }
    }

    pub(crate) fn uri(self, own: &str) -> String {
        match self {
            Naming::Bare => own.to_owned(),
            Naming::Prefixed(binding) => format!("{binding}+{own}"),
        }
    }
}

impl Expect {
    /// What is wrong with `said`, if anything.
    pub(crate) fn check(self, said: &Value, naming: Naming<'_>) -> Result<(), String> {
        let listed = |wanted: Vec<String>| {
            let items: Vec<&str> =
                said["result"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let missing: Vec<_> = wanted.iter().filter(|name| !items.contains(&name.as_str())).collect();
            holds(missing.is_empty(), &format!("{missing:?} missing"), said)
        };
        let result = &said["result"];
        let succeeded = result.is_object() && result["isError"] != true;
        match self {
            Self::Names(names) => listed(names.iter().map(|name| naming.name(name)).collect()),
            Self::Uris(uris) => listed(uris.iter().map(|uri| naming.uri(uri)).collect()),
            Self::Text(text) => {
                holds(succeeded && has_text(result, text), &format!("`{text}` expected"), said)
            }
            Self::Uri(uri) => {
                let uri = naming.uri(uri);
                let found = succeeded && result.to_string().contains(&format!("\"uri\":\"{uri}\""));
                holds(found, &format!("`{uri}` expected"), said)
            }
            Self::Progress(least) => {
                let enough = said["progress"].as_u64().is_some_and(|count| count >= least);
                holds(succeeded && enough, &format!("{least} pieces of progress expected"), said)
            }
            Self::Error(text) => {
                let failed = result["isError"] == true || said["error"].is_object();
                holds(failed && has_text(said, text), &format!("error `{text}` expected"), said)
            }
            Self::Cancelled => holds(said["error"].is_object(), "to be cancelled", said),
        }
    }
}

fn holds(condition: bool, what: &str, said: &Value) -> Result<(), String> {
    let mut said = said.to_string();
    if said.len() > 600 {
        said = said.chars().take(600).collect::<String>() + "…";
    }
    if condition { Ok(()) } else { Err(format!("{what}: {said}")) }
}

/// Whether any string within has the text in it.
fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string.contains(text),
        Value::Array(items) => items.iter().any(|item| has_text(item, text)),
        Value::Object(fields) => fields.values().any(|item| has_text(item, text)),
        _ => false,
    }
}
