//! What there is for a host's name: the name itself first, then `*.` in place of its first label.
//!
//! One look-up or two, however many names there are. RFC 6125 section 6.4.3: a wildcard stands for exactly one label.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use mcpg_config::TlsName;

/// Values by name.
#[derive(Debug)]
pub(super) struct Names<T> {
    exact: HashMap<Box<str>, T>,
    wildcard: HashMap<Box<str>, T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> Names<T> {
    /// The place of a name.
    pub(super) fn entry(&mut self, name: &TlsName) -> Entry<'_, Box<str>, T> {
        let names = if name.is_wildcard() { &mut self.wildcard } else { &mut self.exact };
        names.entry(name.name().into())
    }

    /// What there is for a name in lower case.
    pub(super) fn find(&self, name: &str) -> Option<&T> {
        self.exact.get(name).or_else(|| {
            let (label, rest) = name.split_once('.')?;
            if label.is_empty() { None } else { self.wildcard.get(rest) }
        })
    }

    /// What there is for the hosts of a pattern.
    pub(super) fn find_pattern(&self, name: &TlsName) -> Option<&T> {
        if name.is_wildcard() { self.wildcard.get(name.name()) } else { self.find(name.name()) }
    }

    /// The same names with other values.
    pub(super) fn map<U>(self, mut value: impl FnMut(T) -> U) -> Names<U> {
        let mut convert =
            |names: HashMap<Box<str>, T>| names.into_iter().map(|(name, old)| (name, value(old))).collect();
        Names { exact: convert(self.exact), wildcard: convert(self.wildcard) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_wins_and_a_wildcard_is_one_label() {
        let mut names = Names::default();
        for (name, value) in [("acme.com", 1), ("*.acme.com", 2), ("api.acme.com", 3), ("*.eu.acme.com", 4)] {
            names.entry(&TlsName::parse(name).unwrap()).or_insert(value);
        }
        for (name, found) in [
            ("acme.com", Some(1)),
            ("www.acme.com", Some(2)),
            ("api.acme.com", Some(3)),
            ("a.eu.acme.com", Some(4)),
            ("eu.acme.com", Some(2)),
            ("a.b.acme.com", None),
            (".acme.com", None),
            ("acme.com.", None),
            ("acme.com.evil", None),
            ("com", None),
            ("", None),
        ] {
            assert_eq!(names.find(name).copied(), found, "{name}");
        }
    }
}
