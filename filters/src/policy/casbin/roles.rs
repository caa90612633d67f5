//! Roles: who is in which, directly or through others, each domain for itself.

use std::collections::{HashMap, HashSet};

/// How many roles lead from one to another, as in every Casbin.
const DEPTH_MAX: usize = 10;

/// By member: the roles that it is in directly.
type Members = HashMap<Box<str>, Vec<Box<str>>>;

/// The links of one role definition.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// By domain, which is empty where there are none.
    domains: HashMap<Box<str>, Members>,
}

impl Roles {
    pub(super) fn add(&mut self, member: &str, role: &str, domain: &str) {
        let members = self.domains.entry(domain.into()).or_default();
        members.entry(member.into()).or_default().push(role.into());
    }

    /// The member itself and every role that it is in. `step` is asked before each further one.
    ///
    /// # Errors
    /// Those of `step`.
    pub(super) fn of<'a, E>(
        &'a self,
        member: &'a str,
        domain: &str,
        mut step: impl FnMut() -> Result<(), E>,
    ) -> Result<HashSet<&'a str>, E> {
        let mut all: HashSet<&'a str> = [member].into();
        let Some(members) = self.domains.get(domain) else { return Ok(all) };
        let mut level = vec![member];
        for _ in 0..DEPTH_MAX {
            let mut next = Vec::new();
            for role in level.iter().filter_map(|member| members.get(*member)).flatten() {
                step()?;
                if all.insert(role) {
                    next.push(&**role);
                }
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_followed_within_their_domain() {
        let mut roles = Roles::default();
        roles.add("alice", "admin", "d1");
        roles.add("admin", "reader", "d1");
        roles.add("reader", "admin", "d1");
        roles.add("reader", "public", "d2");
        let of = |member: &'static str, domain: &str| {
            let found = roles.of(member, domain, || Ok::<_, ()>(())).unwrap();
            let mut found: Vec<_> = found.into_iter().map(str::to_owned).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(of("alice", "d1"), ["admin", "alice", "reader"]);
        assert_eq!(of("alice", "d2"), ["alice"]);
        assert_eq!(of("alice", ""), ["alice"]);
        assert_eq!(of("nobody", "d1"), ["nobody"]);
    }

    #[test]
    fn a_chain_has_a_length() {
        let mut roles = Roles::default();
        (0..20).for_each(|at| roles.add(&format!("r{at}"), &format!("r{}", at + 1), ""));
        assert_eq!(roles.of("r0", "", || Ok::<_, ()>(())).unwrap().len(), DEPTH_MAX + 1);
        assert_eq!(roles.of("r0", "", || Err("late")), Err("late"));
    }
}
