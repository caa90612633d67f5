//! Changes of lists: what is told of them, and sets of them.

/// What changed: a list whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list` and `resources/templates/list`.
    Resources,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    /// The notification that tells of a change.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
        }
    }

    /// The member of a filter that asks for it.
    pub const fn filter_key(self) -> &'static str {
        match self {
            Self::Tools => "toolsListChanged",
            Self::Prompts => "promptsListChanged",
            Self::Resources => "resourcesListChanged",
        }
    }

    /// What a notification tells of.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }

    /// The notification, tagged with a subscription's id where it goes to one.
    pub fn message(self, subscription: Option<&str>) -> String {
        let method = self.method();
        match subscription {
            None => format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#),
            Some(id) => {
                let tag = super::SUBSCRIPTION_ID;
                format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"{tag}":{id}}}}}}}"#)
            }
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Tools => 1,
            Self::Prompts => 2,
            Self::Resources => 4,
        }
    }
}

/// A set of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Changes(u8);

impl Changes {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every one.
    pub const ALL: Self = Self(7);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one is in it.
    pub const fn contains(self, kind: Change) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Puts one in.
    pub const fn insert(&mut self, kind: Change) {
        self.0 |= kind.bit();
    }

    /// Takes one out.
    pub const fn remove(&mut self, kind: Change) {
        self.0 &= !kind.bit();
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Change> {
        Change::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Change> for Changes {
    fn from_iter<I: IntoIterator<Item = Change>>(kinds: I) -> Self {
        let mut changes = Self::NONE;
        kinds.into_iter().for_each(|kind| changes.insert(kind));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut changes: Changes = [Change::Tools, Change::Resources].into_iter().collect();
        assert_eq!(changes.iter().collect::<Vec<_>>(), [Change::Tools, Change::Resources]);
        changes.remove(Change::Tools);
        changes.insert(Change::Prompts);
        assert!(!changes.contains(Change::Tools) && changes.contains(Change::Prompts));
        assert_eq!(
            changes.and([Change::Prompts].into_iter().collect()).iter().collect::<Vec<_>>(),
            [Change::Prompts]
        );
        assert_eq!(changes.or(Changes::ALL), Changes::ALL);
        assert!(Changes::NONE.is_empty() && !changes.is_empty());
    }

    #[test]
    fn notifications_are_written() {
        for kind in Change::ALL {
            assert_eq!(Change::of_method(kind.method()), Some(kind));
        }
        assert_eq!(Change::of_method("notifications/tools/list_changed "), None);
        assert_eq!(
            Change::Tools.message(None),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
        );
        assert_eq!(
            Change::Prompts.message(Some(r#""a""#)),
            r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}}"#
        );
    }
}
