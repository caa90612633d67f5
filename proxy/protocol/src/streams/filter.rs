//! What a client of a `subscriptions/listen` wants to hear.

use crate::raw::{self, Raw};
use crate::{JsonError, Limits};

use super::{Change, Changes};

/// Resources and tasks of one filter.
const ITEMS_MAX: usize = 512;
/// The same in bytes: they are kept as long as the stream.
const ITEM_BYTES_MAX: usize = 32 * 1024;

/// What a subscription is told of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// Changes whose changes are told.
    pub changes: Changes,
    /// Resources whose updates are told, by URI.
    pub resources: Vec<Box<str>>,
    /// Tasks whose changes are told, by id (Tasks extension).
    pub tasks: Vec<Box<str>>,
}

/// Why a filter is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The message is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// There is none.
    #[error("`params.notifications` is not an object")]
    Missing,
    /// A member is not what it should be.
    #[error("`params.notifications.{0}` is malformed")]
    Malformed(&'static str),
    /// It asks for more than a stream may hold.
    #[error(
        "`params.notifications` names more than {ITEMS_MAX} resources and tasks, or more than {ITEM_BYTES_MAX} bytes of them"
    )]
    TooMany,
}

const RESOURCES: &str = "resourceSubscriptions";
const TASKS: &str = "taskIds";

impl Filter {
    /// The filter of a listen request, or of its acknowledgement. Members that no revision knows ask for nothing.
    ///
    /// # Errors
    /// If it is missing, malformed or too large.
    pub fn of_message(message: &str, limits: &Limits) -> Result<Self, FilterError> {
        let [filter] = raw::find(message, [&["params", "notifications"]], limits)?;
        let filter = filter.filter(Raw::is_object).ok_or(FilterError::Missing)?.text;
        let [tools, prompts, resources] = Change::ALL.map(|kind| [kind.filter_key()]);
        let paths: [&[&str]; 5] = [&tools, &prompts, &resources, &[RESOURCES], &[TASKS]];
        let [tools, prompts, resources, uris, tasks] = raw::find(filter, paths, limits)?;
        let mut changes = Changes::NONE;
        for (kind, wanted) in Change::ALL.into_iter().zip([tools, prompts, resources]) {
            let wanted = wanted.map_or(Some(false), |wanted| wanted.as_bool());
            if wanted.ok_or(FilterError::Malformed(kind.filter_key()))? {
                changes.insert(kind);
            }
        }
        let resources = strings(uris, RESOURCES, limits)?;
        let tasks = strings(tasks, TASKS, limits)?;
        let bytes: usize = resources.iter().chain(&tasks).map(|item| item.len()).sum();
        if resources.len() + tasks.len() > ITEMS_MAX || bytes > ITEM_BYTES_MAX {
            return Err(FilterError::TooMany);
        }
        Ok(Self { changes, resources, tasks })
    }

    /// A filter of changes alone.
    pub fn of_changes(changes: Changes) -> Self {
        Self { changes, ..Self::default() }
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.resources.is_empty() && self.tasks.is_empty()
    }

    /// The object that the wire has.
    pub fn to_json(&self) -> String {
        let changes = self.changes.iter().map(|kind| format!("\"{}\":true", kind.filter_key()));
        let items = [(RESOURCES, &self.resources), (TASKS, &self.tasks)];
        let items = items.into_iter().filter(|(_, items)| !items.is_empty()).map(|(name, items)| {
            let items: Vec<_> = items.iter().map(|item| raw::string(item)).collect();
            format!("\"{name}\":[{}]", items.join(","))
        });
        format!("{{{}}}", changes.chain(items).collect::<Vec<_>>().join(","))
    }
}

/// The strings of an array, each once, in their order.
fn strings(
    value: Option<Raw<'_>>,
    name: &'static str,
    limits: &Limits,
) -> Result<Vec<Box<str>>, FilterError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let strings = value.as_strings(limits).ok_or(FilterError::Malformed(name))?;
    if strings.len() > ITEMS_MAX {
        return Err(FilterError::TooMany);
    }
    let mut kept: Vec<Box<str>> = Vec::with_capacity(strings.len());
    let mut seen = std::collections::HashSet::with_capacity(strings.len());
    for text in &strings {
        if seen.insert(text.as_ref()) {
            kept.push(text.as_ref().into());
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(filter: &str) -> Result<Filter, FilterError> {
        let message = format!(r#"{{"id":1,"params":{{"_meta":{{}},"notifications":{filter}}}}}"#);
        Filter::of_message(&message, &Limits::default())
    }

    #[track_caller]
    fn check(filter: &str, expected: Result<(Changes, &[&str], &[&str]), FilterError>) {
        let boxed = |items: &[&str]| items.iter().map(|item| Box::from(*item)).collect();
        let expected = expected.map(|(changes, resources, tasks)| Filter {
            changes,
            resources: boxed(resources),
            tasks: boxed(tasks),
        });
        assert_eq!(read(filter), expected, "{filter}");
    }

    #[test]
    fn a_filter_says_what_is_wanted() {
        let tools: Changes = [Change::Tools].into_iter().collect();
        check("{}", Ok((Changes::NONE, &[], &[])));
        check(r#"{"toolsListChanged":true,"promptsListChanged":false}"#, Ok((tools, &[], &[])));
        check(
            r#"{"resourceSubscriptions":["a:b","c:\u0064","a:b"],"taskIds":["t"],"newThing":{"x":1}}"#,
            Ok((Changes::NONE, &["a:b", "c:d"], &["t"])),
        );
        check(
            r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}"#,
            Ok((Changes::ALL, &[], &[])),
        );
    }

    #[test]
    fn a_malformed_filter_is_refused() {
        for missing in ["[]", "null", "true", "\"\""] {
            check(missing, Err(FilterError::Missing));
        }
        check(r#"{"toolsListChanged":1}"#, Err(FilterError::Malformed("toolsListChanged")));
        check(r#"{"promptsListChanged":"true"}"#, Err(FilterError::Malformed("promptsListChanged")));
        check(r#"{"resourceSubscriptions":"a:b"}"#, Err(FilterError::Malformed("resourceSubscriptions")));
        check(r#"{"resourceSubscriptions":[1]}"#, Err(FilterError::Malformed("resourceSubscriptions")));
        check(r#"{"taskIds":{}}"#, Err(FilterError::Malformed("taskIds")));
        check(
            r#"{"toolsListChanged":true,"tools\u004cistChanged":false}"#,
            Err(FilterError::Json(JsonError::DuplicateKey)),
        );
        assert_eq!(Filter::of_message(r#"{"params":{}}"#, &Limits::default()), Err(FilterError::Missing));
    }

    #[test]
    fn a_filter_is_bounded() {
        let many = |count: usize, length: usize| {
            let items: Vec<_> = (0..count).map(|item| format!("\"{item:0length$}\"")).collect();
            format!(r#"{{"resourceSubscriptions":[{}]}}"#, items.join(","))
        };
        assert_eq!(read(&many(512, 9)).unwrap().resources.len(), 512);
        assert_eq!(read(&many(513, 9)), Err(FilterError::TooMany));
        assert_eq!(read(&many(33, 1000)), Err(FilterError::TooMany));
    }

    proptest! {
        #[test]
        fn survives(bits in 0..8_u8, resources in prop::collection::btree_set(".{0,20}", 0..4), tasks in prop::collection::btree_set(".{0,9}", 0..3)) {
            let boxed = |items: std::collections::BTreeSet<String>| items.into_iter().map(String::into_boxed_str).collect();
            let changes = Change::ALL.into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, kind)| kind).collect();
            let filter = Filter { changes, resources: boxed(resources), tasks: boxed(tasks) };
            prop_assert_eq!(read(&filter.to_json()), Ok(filter));
        }
    }
}
