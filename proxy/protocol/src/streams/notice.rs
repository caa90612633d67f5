//! What a message on a stream from an upstream is.

use std::borrow::Cow;

use crate::raw::{self, Raw};
use crate::{JsonError, Limits};

use super::Change;

/// A message from an upstream, as far as its stream is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// It asks the client something (era of sessions).
    Request {
        /// Its raw id.
        id: &'a str,
        /// What it asks.
        method: Cow<'a, str>,
    },
    /// It answers.
    Response {
        /// The raw id that it answers to.
        id: &'a str,
    },
    /// It tells.
    Notification(Notice<'a>),
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A list changed.
    ListChanged(Change),
    /// A resource changed, by URI.
    ResourceUpdated(Cow<'a, str>),
    /// A task changed, by id (Tasks extension).
    TaskChanged(Cow<'a, str>),
    /// A subscription begins.
    Acknowledged,
    /// Something else, by method.
    Other(Cow<'a, str>),
}

impl<'a> Incoming<'a> {
    /// Reads a message; none if it is none of JSON-RPC.
    ///
    /// # Errors
    /// If it is not strict JSON.
    pub fn read(text: &'a str, limits: &Limits) -> Result<Option<Self>, JsonError> {
        let paths: [&[&str]; 4] = [&["id"], &["method"], &["params", "uri"], &["params", "taskId"]];
        let [id, method, uri, task] = raw::find(text, paths, limits)?;
        let id = match id {
            Some(id) if !id.is_id() => return Ok(None),
            id => id.map(|id| id.text),
        };
        let method = match method {
            Some(method) => match method.as_str() {
                Some(method) => Some(method),
                None => return Ok(None),
            },
            None => None,
        };
        Ok(match (id, method) {
            (Some(id), Some(method)) => Some(Self::Request { id, method }),
            (Some(id), None) => Some(Self::Response { id }),
            (None, Some(method)) => Some(Self::Notification(notice(method, uri, task))),
            (None, None) => None,
        })
    }
}

fn notice<'a>(method: Cow<'a, str>, uri: Option<Raw<'a>>, task: Option<Raw<'a>>) -> Notice<'a> {
    if let Some(kind) = Change::of_method(&method) {
        return Notice::ListChanged(kind);
    }
    let text = |raw: Option<Raw<'a>>| raw.and_then(|raw| raw.as_str());
    match method.as_ref() {
        "notifications/resources/updated" => text(uri).map(Notice::ResourceUpdated),
        "notifications/tasks" => text(task).map(Notice::TaskChanged),
        "notifications/subscriptions/acknowledged" => Some(Notice::Acknowledged),
        _ => None,
    }
    .unwrap_or(Notice::Other(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Incoming<'_>>) {
        assert_eq!(Incoming::read(text, &Limits::default()), Ok(expected), "{text}");
    }

    fn told(notice: Notice<'_>) -> Option<Incoming<'_>> {
        Some(Incoming::Notification(notice))
    }

    #[test]
    fn messages_are_told_apart() {
        check(
            r#"{"id":"a","method":"roots/list"}"#,
            Some(Incoming::Request { id: "\"a\"", method: "roots/list".into() }),
        );
        check(r#"{"id":1,"result":{}}"#, Some(Incoming::Response { id: "1" }));
        for kind in Change::ALL {
            check(&kind.message(None), told(Notice::ListChanged(kind)));
        }
        check(
            r#"{"method":"notifications/resources/updated","params":{"uri":"a\u003ab"}}"#,
            told(Notice::ResourceUpdated("a:b".into())),
        );
        check(
            r#"{"method":"notifications/tasks","params":{"taskId":"t","status":"working"}}"#,
            told(Notice::TaskChanged("t".into())),
        );
        check(r#"{"method":"notifications/subscriptions/acknowledged"}"#, told(Notice::Acknowledged));
        check(r#"{"method":"notifications/message"}"#, told(Notice::Other("notifications/message".into())));
        let pointless = "notifications/resources/updated";
        check(&format!(r#"{{"method":"{pointless}"}}"#), told(Notice::Other(pointless.into())));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in [
            "{}",
            "[]",
            "1",
            r#"{"id":null}"#,
            r#"{"id":1.5,"result":1}"#,
            r#"{"method":1}"#,
            r#"{"id":{},"method":"a"}"#,
        ] {
            check(text, None);
        }
        assert!(Incoming::read(r#"{"id":1,"id":2}"#, &Limits::default()).is_err());
    }
}
