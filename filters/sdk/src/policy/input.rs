//! The input of one decision: the parts of caller and call that an engine declared, and no others.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::Value;

use super::{ApprovalRead, Arguments, Kind, Names, ReadSet};
use crate::{AuthMethod, Call, Caller, Scope, Target};

/// What an engine decides on. A part that its [`ReadSet`] does not name reads as absent.
#[derive(Debug, Clone, Copy)]
pub struct PolicyInput<'a> {
    caller: &'a Caller,
    call: &'a Call<'a>,
    reads: &'a ReadSet,
}

impl<'a> PolicyInput<'a> {
    /// Selects the parts in `reads`.
    pub fn select(caller: &'a Caller, call: &'a Call<'a>, reads: &'a ReadSet) -> Self {
        Self { caller, call, reads }
    }

    /// The parts that are readable.
    pub fn reads(&self) -> &'a ReadSet {
        self.reads
    }

    /// The JSON-RPC method.
    pub fn method(&self) -> &'a str {
        self.call.method
    }

    /// The binding's id.
    pub fn binding(&self) -> &'a str {
        self.call.binding
    }

    /// What kind of thing the method is applied to.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.call.target)
    }

    /// The name of the tool or prompt, or the resource's URI.
    pub fn name(&self) -> Option<&'a str> {
        match self.call.target {
            _ if !self.reads.name => None,
            Target::Tool(name) | Target::Resource(name) | Target::Prompt(name) => Some(name),
            Target::Binding => None,
        }
    }

    /// The caller's subject.
    pub fn subject(&self) -> Option<&'a str> {
        self.reads.subject.then_some(&*self.caller.subject)
    }

    /// How the caller authenticated.
    pub fn auth_method(&self) -> Option<AuthMethod> {
        self.reads.auth_method.then_some(self.caller.auth_method)
    }

    /// Whom the credential was issued for, where it says.
    pub fn audience(&self) -> Option<&'a str> {
        if self.reads.audience { self.caller.audience.as_deref() } else { None }
    }

    /// The caller's `groups` attribute, as the identity provider made it.
    pub fn groups(&self) -> Option<&'a Value> {
        if self.reads.groups { self.caller.attributes.get("groups") } else { None }
    }

    /// The caller's `roles` attribute, as the identity provider made it.
    pub fn roles(&self) -> Option<&'a Value> {
        if self.reads.roles { self.caller.attributes.get("roles") } else { None }
    }

    /// An attribute of the caller.
    pub fn attribute(&self, name: &str) -> Option<&'a Value> {
        if self.reads.attributes.contains(name) { self.caller.attributes.get(name) } else { None }
    }

    /// The readable attributes of the caller, in no order.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let reads = self.reads;
        let attributes = self.caller.attributes.iter().map(|(name, value)| (name.as_str(), value));
        attributes.filter(|(name, _)| reads.attributes.contains(name))
    }

    /// Organization, workspace and environment.
    pub fn tenant(&self) -> Option<&'a Scope> {
        self.reads.tenant.then_some(self.call.scope)
    }

    /// The source address.
    pub fn source(&self) -> Option<IpAddr> {
        self.reads.source.then_some(self.call.source)
    }

    /// When the request arrived.
    pub fn time(&self) -> Option<SystemTime> {
        self.reads.time.then_some(self.call.now)
    }

    /// The approval token of an approved call. Empty where only its presence is read.
    pub fn approval_token(&self) -> Option<&'a str> {
        match self.reads.approval {
            ApprovalRead::Nothing => None,
            ApprovalRead::Presence => self.call.approval_token.map(|_| ""),
            ApprovalRead::Value => self.call.approval_token,
        }
    }

    /// The raw text of one argument.
    ///
    /// # Errors
    /// When the arguments are no object or have the name twice.
    pub fn argument(&self, name: &str) -> Result<Option<&'a str>, super::ArgumentsError> {
        if !self.reads.arguments.contains(name) {
            return Ok(None);
        }
        Arguments::new(self.call.arguments).member(name)
    }

    /// All arguments, where all are read.
    pub fn arguments(&self) -> Option<Arguments<'a>> {
        match self.reads.arguments {
            Names::All => Some(Arguments::new(self.call.arguments)),
            Names::Only(_) => None,
        }
    }
}
