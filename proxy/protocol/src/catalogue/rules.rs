//! Where in a server's messages names of resources and tasks stand, and a walk to them.
//!
//! The tables nest as far as the specification does, and the walk no deeper than the tables.

use crate::envelope::fold::{self, Match};
use crate::json::{Fault, Scanner, Span, Value, ValueKind};

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// A resource's URI.
    Uri,
    /// A task's id.
    Task,
    /// A task's id, where the message is a notification. In a request of a server it is the client's own task.
    TaskTold,
    /// `method`.
    Method,
    /// `id`.
    Id,
}

/// What to do with the value of a member.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// It is what is looked for, if it is a string.
    Note(Spot),
    /// An object with more of the kind.
    Into(&'static [(&'static str, Rule)]),
    /// An object, or an array of them.
    Each(&'static [(&'static str, Rule)]),
    /// An object whose every member is an object with more of the kind.
    Members(&'static [(&'static str, Rule)]),
    /// An array of strings that are looked for.
    Strings(Spot),
}

type Rules = &'static [(&'static str, Rule)];

/// Any message of a server.
pub(super) const MESSAGE: Rules = &[
    ("id", Rule::Note(Spot::Id)),
    ("method", Rule::Note(Spot::Method)),
    ("params", Rule::Into(PARAMS)),
    ("result", Rule::Into(RESULT)),
    // What a server says it has not found.
    ("error", Rule::Into(&[("data", Rule::Into(CONTENTS))])),
];

/// A client's answer: only what it repeats of a task of the server's.
pub(super) const ANSWER: Rules = &[
    ("params", Rule::Into(&[("_meta", Rule::Into(META))])),
    ("result", Rule::Into(&[("_meta", Rule::Into(META))])),
];

/// `notifications/resources/updated`, `notifications/tasks`, `notifications/tasks/status`,
/// `notifications/subscriptions/acknowledged`, `sampling/createMessage`.
const PARAMS: Rules = &[
    ("uri", Rule::Note(Spot::Uri)),
    ("taskId", Rule::Note(Spot::TaskTold)),
    ("messages", Rule::Each(MESSAGES)),
    ("notifications", Rule::Into(LISTENED)),
    ("result", Rule::Into(OUTCOME)),
    ("inputRequests", Rule::Members(INPUT)),
    ("_meta", Rule::Into(META)),
];

/// The result of `tools/call`, `prompts/get`, `resources/read` or `tasks/*`.
const RESULT: Rules = &[
    ("content", Rule::Each(BLOCK)),
    ("contents", Rule::Each(CONTENTS)),
    ("messages", Rule::Each(MESSAGES)),
    ("inputRequests", Rule::Members(INPUT)),
    ("taskId", Rule::Note(Spot::Task)),
    ("task", Rule::Into(TASK)),
    ("tasks", Rule::Each(TASK)),
    ("result", Rule::Into(OUTCOME)),
    ("_meta", Rule::Into(META)),
];

/// The result of a task, told with it.
const OUTCOME: Rules = &[
    ("content", Rule::Each(BLOCK)),
    ("contents", Rule::Each(CONTENTS)),
    ("messages", Rule::Each(MESSAGES)),
    ("_meta", Rule::Into(META)),
];

/// A request inside an `input_required` result.
const INPUT: Rules = &[("params", Rule::Into(INPUT_PARAMS))];
const INPUT_PARAMS: Rules = &[("messages", Rule::Each(MESSAGES)), ("_meta", Rule::Into(META))];

const MESSAGES: Rules = &[("content", Rule::Each(BLOCK))];
const BLOCK: Rules = &[
    ("uri", Rule::Note(Spot::Uri)),
    ("resource", Rule::Into(CONTENTS)),
    // What a tool answered, inside a message of a conversation.
    ("content", Rule::Each(INNER_BLOCK)),
];
const INNER_BLOCK: Rules = &[("uri", Rule::Note(Spot::Uri)), ("resource", Rule::Into(CONTENTS))];
const CONTENTS: Rules = &[("uri", Rule::Note(Spot::Uri))];
const TASK: Rules = &[("taskId", Rule::Note(Spot::Task))];
const META: Rules = &[("io.modelcontextprotocol/related-task", Rule::Into(TASK))];
const LISTENED: Rules =
    &[("resourceSubscriptions", Rule::Strings(Spot::Uri)), ("taskIds", Rule::Strings(Spot::Task))];

/// Walks a whole text along `rules` and hands each string that is looked for to `note`, with its quotes.
pub(super) fn walk<'a>(
    text: &'a str,
    scanner: Scanner<'a>,
    rules: Rules,
    note: &mut dyn FnMut(Spot, Value),
) -> Result<(), Fault> {
    let mut walk = Walk { text, scanner, note };
    walk.inside(rules)?;
    walk.scanner.finish()
}

struct Walk<'a, 'n> {
    text: &'a str,
    scanner: Scanner<'a>,
    note: &'n mut dyn FnMut(Spot, Value),
}

impl Walk<'_, '_> {
    fn inside(&mut self, rules: Rules) -> Result<(), Fault> {
        if self.scanner.peek_value() != Some(b'{') {
            return self.scanner.value().map(|_| ());
        }
        let mut object = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut object)? {
            match fold::look_up(self.text, key, rules) {
                Match::Known(rule) => self.follow(rule)?,
                Match::Variant(_) | Match::Other => {
                    self.scanner.value()?;
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, rule: Rule) -> Result<(), Fault> {
        match rule {
            Rule::Note(spot) => self.note(spot),
            Rule::Into(rules) => self.inside(rules),
            Rule::Each(rules) if self.scanner.peek_value() == Some(b'[') => {
                let mut array = self.scanner.open_array()?;
                while self.scanner.next_element(&mut array)? {
                    self.inside(rules)?;
                }
                Ok(())
            }
            Rule::Each(rules) => self.inside(rules),
            Rule::Members(rules) => self.members(rules),
            Rule::Strings(spot) => self.strings(spot),
        }
    }

    fn members(&mut self, rules: Rules) -> Result<(), Fault> {
        if self.scanner.peek_value() != Some(b'{') {
            return self.scanner.value().map(|_| ());
        }
        let mut object = self.scanner.open_object()?;
        while self.scanner.next_key(&mut object)?.is_some() {
            self.inside(rules)?;
        }
        Ok(())
    }

    fn strings(&mut self, spot: Spot) -> Result<(), Fault> {
        if self.scanner.peek_value() != Some(b'[') {
            return self.scanner.value().map(|_| ());
        }
        let mut array = self.scanner.open_array()?;
        while self.scanner.next_element(&mut array)? {
            self.note(spot)?;
        }
        Ok(())
    }

    fn note(&mut self, spot: Spot) -> Result<(), Fault> {
        let value = self.scanner.value()?;
        if matches!(value.kind, ValueKind::String { .. }) || spot == Spot::Id {
            (self.note)(spot, value);
        }
        Ok(())
    }
}

/// The content of a string value, without its quotes.
pub(super) fn content(text: &str, span: Span) -> &str {
    let raw = text.get(span.range()).unwrap_or_default();
    raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or_default()
}
