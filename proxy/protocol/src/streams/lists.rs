//! The three lists whose changes are told.

/// A list whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list` and `resources/templates/list`.
    Resources,
}

impl ListKind {
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

    /// The list that a notification tells of.
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

/// A set of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lists(u8);

impl Lists {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every list.
    pub const ALL: Self = Self(7);

    /// Whether no list is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a list is in it.
    pub const fn contains(self, kind: ListKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Puts a list in.
    pub const fn insert(&mut self, kind: ListKind) {
        self.0 |= kind.bit();
    }

    /// Takes a list out.
    pub const fn remove(&mut self, kind: ListKind) {
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
    pub fn iter(self) -> impl Iterator<Item = ListKind> {
        ListKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<ListKind> for Lists {
    fn from_iter<I: IntoIterator<Item = ListKind>>(kinds: I) -> Self {
        let mut lists = Self::NONE;
        kinds.into_iter().for_each(|kind| lists.insert(kind));
        lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut lists: Lists = [ListKind::Tools, ListKind::Resources].into_iter().collect();
        assert_eq!(lists.iter().collect::<Vec<_>>(), [ListKind::Tools, ListKind::Resources]);
        lists.remove(ListKind::Tools);
        lists.insert(ListKind::Prompts);
        assert!(!lists.contains(ListKind::Tools) && lists.contains(ListKind::Prompts));
        assert_eq!(
            lists.and([ListKind::Prompts].into_iter().collect()).iter().collect::<Vec<_>>(),
            [ListKind::Prompts]
        );
        assert_eq!(lists.or(Lists::ALL), Lists::ALL);
        assert!(Lists::NONE.is_empty() && !lists.is_empty());
    }

    #[test]
    fn notifications_are_written() {
        for kind in ListKind::ALL {
            assert_eq!(ListKind::of_method(kind.method()), Some(kind));
        }
        assert_eq!(ListKind::of_method("notifications/tools/list_changed "), None);
        assert_eq!(
            ListKind::Tools.message(None),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
        );
        assert_eq!(
            ListKind::Prompts.message(Some(r#""a""#)),
            r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}}"#
        );
    }
}
