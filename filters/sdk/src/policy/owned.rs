//! A call and its caller, owned: what a decision needs that outlives the borrow of the request.

use std::net::IpAddr;
use std::time::SystemTime;

use super::{PolicyInput, ReadSet};
use crate::{Call, Caller, Scope, Target};

/// An owned copy of what a decision is about. Parts that nothing reads are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedCall {
    caller: Caller,
    scope: Scope,
    binding: Box<str>,
    method: Box<str>,
    target: OwnedTarget,
    arguments: Option<Box<str>>,
    source: IpAddr,
    now: SystemTime,
    approval_token: Option<Box<str>>,
}

/// [`Target`], owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnedTarget {
    Tool(Box<str>),
    Resource(Box<str>),
    Prompt(Box<str>),
    Binding,
}

impl OwnedCall {
    /// Copies what is in `reads`, and what selects the action.
    pub fn copy(caller: &Caller, call: &Call<'_>, reads: &ReadSet) -> Self {
        let is_read = |name: &String| match name.as_str() {
            "groups" if reads.groups => true,
            "roles" if reads.roles => true,
            name => reads.attributes.contains(name),
        };
        let attributes = caller.attributes.iter().filter(|(name, _)| is_read(name));
        Self {
            caller: Caller {
                subject: caller.subject.clone(),
                audience: caller.audience.clone(),
                attributes: attributes.map(|(name, value)| (name.clone(), value.clone())).collect(),
                auth_method: caller.auth_method,
            },
            scope: call.scope.clone(),
            binding: call.binding.into(),
            method: call.method.into(),
            target: match call.target {
                Target::Tool(name) => OwnedTarget::Tool(name.into()),
                Target::Resource(uri) => OwnedTarget::Resource(uri.into()),
                Target::Prompt(name) => OwnedTarget::Prompt(name.into()),
                Target::Binding => OwnedTarget::Binding,
            },
            arguments: call.arguments.filter(|_| !reads.arguments.is_empty()).map(Box::from),
            source: call.source,
            now: call.now,
            approval_token: call.approval_token.map(Box::from),
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The call.
    pub fn call(&self) -> Call<'_> {
        Call {
            scope: &self.scope,
            binding: &self.binding,
            method: &self.method,
            target: match &self.target {
                OwnedTarget::Tool(name) => Target::Tool(name),
                OwnedTarget::Resource(uri) => Target::Resource(uri),
                OwnedTarget::Prompt(name) => Target::Prompt(name),
                OwnedTarget::Binding => Target::Binding,
            },
            arguments: self.arguments.as_deref(),
            source: self.source,
            now: self.now,
            approval_token: self.approval_token.as_deref(),
        }
    }

    /// Lends the parts in `reads`, which must be among those that were copied, to `use_it`.
    pub fn with_input<T>(&self, reads: &ReadSet, use_it: impl FnOnce(&PolicyInput<'_>) -> T) -> T {
        use_it(&PolicyInput::select(&self.caller, &self.call(), reads))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::AuthMethod;
    use crate::policy::{ApprovalRead, Names};

    #[test]
    fn a_copy_reads_as_the_original_and_holds_no_more() {
        let caller = Caller {
            subject: "user:alice@acme.com".to_owned(),
            audience: Some("gateway".to_owned()),
            attributes: ["groups", "roles", "team", "secret"]
                .map(|name| (name.to_owned(), json!([name])))
                .into(),
            auth_method: AuthMethod::Oidc,
        };
        let scope = Scope::default();
        let call = Call {
            scope: &scope,
            binding: "files",
            method: "tools/call",
            target: Target::Tool("read"),
            arguments: Some(r#"{"path":"/a","mode":1}"#),
            source: "192.0.2.1".parse().unwrap(),
            now: SystemTime::UNIX_EPOCH,
            approval_token: Some("t"),
        };
        let reads = ReadSet {
            groups: true,
            attributes: Names::only(["team"]),
            arguments: Names::only(["path"]),
            approval: ApprovalRead::Presence,
            ..ReadSet::default()
        };
        let copy = OwnedCall::copy(&caller, &call, &reads);
        let show = |input: &PolicyInput<'_>| {
            let seen = (input.kind(), input.method().to_owned(), input.binding().to_owned());
            let path = input.argument("path").map(|path| path.map(str::to_owned));
            (seen, path, input.argument("mode").is_ok_and(|mode| mode.is_none()), input.groups().cloned())
        };
        assert_eq!(copy.with_input(&reads, show), show(&PolicyInput::select(&caller, &call, &reads)));
        assert!(
            !copy.caller().attributes.contains_key("secret")
                && !copy.caller().attributes.contains_key("roles")
        );
        let none = OwnedCall::copy(&caller, &call, &ReadSet::default());
        assert_eq!((none.call().arguments, none.caller().attributes.len()), (None, 0));
        assert_eq!(none.call().target, Target::Tool("read"));
    }
}
