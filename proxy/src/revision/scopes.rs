//! The scopes of a generation, and how a request's words find one: by hash, so that the cost is the same for one and for
//! ten thousand, and without allocating.
//!
//! INVARIANT (kept by the configuration): a host names at most one scope, a label below the suffix at most one organization.

use std::collections::HashMap;
use std::sync::Arc;

use mcpg_config::{HostPattern, Hosts, Tenancy, split_port};
use mcpg_sdk::Scope;

use super::Revision;

/// The longest name that DNS has, and a port.
const HOST_BYTES_MAX: usize = 253 + 6;

/// The scopes of a generation.
pub struct Scopes {
    list: Vec<Arc<Revision>>,
    by_id: HashMap<Box<str>, u32>,
    /// By name in lower case.
    by_host: HashMap<Box<str>, Vec<(Option<u16>, u32)>>,
    /// By label below the suffix.
    by_label: HashMap<Box<str>, Vec<u32>>,
    suffix: Option<Box<str>>,
    header: Option<http::HeaderName>,
    top_level: Option<u32>,
    hosts: Hosts,
}

/// What a host stands for.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// Nothing: it is not served.
    Unserved,
    /// The gateway itself, so the top level's scope unless something else names another.
    Gateway,
    /// One scope.
    Scope(&'a Arc<Revision>),
    /// One organization, which has these.
    Organization(&'a str, Members<'a>),
}

/// Some of the scopes.
#[derive(Clone, Copy)]
pub struct Members<'a> {
    all: &'a [Arc<Revision>],
    members: &'a [u32],
}

impl<'a> Members<'a> {
    /// The only one, if it is.
    pub fn only(&self) -> Option<&'a Arc<Revision>> {
        match self.members {
            [only] => self.all.get(*only as usize),
            _ => None,
        }
    }
}

impl Scopes {
    /// Finds scopes by what `tenancy` says of each; `hosts` are the gateway's own.
    ///
    /// With `is_alone` there is one, and the gateway's own hosts are for it.
    pub fn new(
        scopes: Vec<(Arc<Revision>, &Tenancy)>,
        gateway: &Tenancy,
        hosts: Hosts,
        is_alone: bool,
    ) -> Self {
        let mut found = Self {
            suffix: gateway.suffix.as_deref().map(Box::from),
            header: gateway.header.as_deref().and_then(|name| name.parse().ok()),
            hosts,
            list: Vec::with_capacity(scopes.len()),
            by_id: HashMap::with_capacity(scopes.len()),
            by_host: HashMap::new(),
            by_label: HashMap::new(),
            top_level: None,
        };
        for (revision, tenancy) in scopes {
            let index = u32::try_from(found.list.len()).unwrap_or(u32::MAX);
            found.by_id.insert(tenancy.scope.to_string().into(), index);
            found.by_label.entry(tenancy.subdomain.as_str().into()).or_default().push(index);
            for host in &tenancy.hosts {
                found.by_host.entry(host.name().into()).or_default().push((host.port(), index));
            }
            // That of the top level, or the one that is served alone.
            if tenancy.scope == gateway.scope || is_alone {
                found.top_level = Some(index);
            }
            found.list.push(revision);
        }
        found
    }

    /// Every scope, in the order of the configuration.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Revision>> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The scope of the top level, which the gateway's own hosts are for.
    pub fn top_level(&self) -> Option<&Arc<Revision>> {
        self.list.get(self.top_level? as usize)
    }

    /// The header that names a scope, from those who are believed.
    pub fn header(&self) -> Option<&http::HeaderName> {
        self.header.as_ref()
    }

    /// A scope by its name, `org/workspace/env`.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Revision>> {
        self.list.get(*self.by_id.get(id)? as usize)
    }

    /// A scope.
    pub fn by_scope(&self, scope: &Scope) -> Option<&Arc<Revision>> {
        self.by_id(&scope.to_string())
    }

    /// What a `Host`, with or without a port, stands for. Letter case does not count; a trailing dot makes another name.
    pub fn host(&self, host: &str) -> Place<'_> {
        let Some((name, port)) = split_port(host) else { return Place::Unserved };
        match self.name(name, Some(port)) {
            Place::Unserved if self.is_below_suffix(name) => Place::Unserved,
            Place::Unserved if self.hosts.permits(host) => Place::Gateway,
            place => place,
        }
    }

    /// What the name of a TLS connection stands for; [`Place::Unserved`] for any name that names no tenant.
    pub fn server_name(&self, name: &str) -> Place<'_> {
        self.name(name, None)
    }

    /// `port` as it was asked for, or none where only the name is known.
    fn name(&self, name: &str, port: Option<Option<u16>>) -> Place<'_> {
        let mut buffer = [0; HOST_BYTES_MAX];
        let Some(name) = lower(name, &mut buffer) else { return Place::Unserved };
        if let Some(ports) = self.by_host.get(name) {
            let fits = |(own, _): &&(Option<u16>, u32)| own.is_none() || port.is_none_or(|port| *own == port);
            let scope = ports.iter().find(fits).and_then(|(_, index)| self.list.get(*index as usize));
            return scope.map_or(Place::Unserved, Place::Scope);
        }
        let label = self.suffix.as_deref().and_then(|suffix| name.strip_suffix(suffix)?.strip_suffix('.'));
        let members = label.and_then(|label| self.by_label.get(label));
        let Some((members, first)) = members.and_then(|members| Some((members, members.first()?))) else {
            return Place::Unserved;
        };
        let Some(first) = self.list.get(*first as usize) else { return Place::Unserved };
        Place::Organization(first.scope.scope.organization(), Members { all: &self.list, members })
    }

    /// Whether a name is below the suffix, where only organizations are, unless it is listed itself.
    fn is_below_suffix(&self, name: &str) -> bool {
        let below = |suffix: &str| {
            let at = name.len().checked_sub(suffix.len())?;
            let (before, end) = name.split_at_checked(at)?;
            Some(end.eq_ignore_ascii_case(suffix) && before.ends_with('.'))
        };
        let is_listed = |patterns: &[HostPattern]| {
            patterns.iter().any(|pattern| pattern.name().eq_ignore_ascii_case(name))
        };
        self.suffix.as_deref().and_then(below).unwrap_or(false)
            && !matches!(&self.hosts, Hosts::Listed(patterns) if is_listed(patterns))
    }
}

/// A name in lower case; none if it is longer than any name is.
fn lower<'b>(name: &str, buffer: &'b mut [u8; HOST_BYTES_MAX]) -> Option<&'b str> {
    let room = buffer.get_mut(..name.len())?;
    room.copy_from_slice(name.as_bytes());
    room.make_ascii_lowercase();
    std::str::from_utf8(room).ok()
}

#[cfg(test)]
mod tests;
