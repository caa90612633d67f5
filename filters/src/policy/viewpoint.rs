//! What a list shows to whom: the things that a caller may use, and those of which it cannot be told before they are used.
//!
//! An action whose policies read the arguments, the clock or an approval is shown to everyone who may ask for the list: whether it
//! is permitted depends on what a call brings with it. So are templates whose policies read the name: a call brings the rest of it.
//! Every other action is shown to those whom policy permits it.
//!
//! INVARIANT: what a list shows is a function of the actions in it and of the [class](Viewpoint::class) of who asks, so lists may
//! be kept by class.

use std::net::IpAddr;

use mcpg_sdk::policy::{ApprovalRead, ReadSet};
use mcpg_sdk::{Call, Caller, Decision};

use super::PolicyChain;
use super::input::write_class;

/// Something in a list, as the call that would use it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The call, without what only an actual one brings.
    pub call: Call<'a>,
    /// Its name is a template, which an actual call fills in.
    pub is_template: bool,
}

/// What it depends on who sees what of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewpoint {
    reads: ReadSet,
}

impl PolicyChain {
    /// Whether a list shows the caller something.
    pub fn shows(&self, caller: &Caller, listed: &Listed<'_>) -> bool {
        self.depends_on_a_call(listed)
            || !matches!(self.decide(caller, &listed.call).verdict.decision, Decision::Deny(_))
    }

    /// Whether the decision depends on what only an actual call brings.
    fn depends_on_a_call(&self, listed: &Listed<'_>) -> bool {
        let reads = self.reads(&listed.call);
        reads.time
            || reads.approval != ApprovalRead::Nothing
            || !reads.arguments.is_empty()
            || listed.is_template && reads.name
    }
}

impl Viewpoint {
    /// Takes something in the list into account.
    pub fn add(&mut self, chain: &PolicyChain, listed: &Listed<'_>) {
        if !chain.depends_on_a_call(listed) {
            self.reads.merge(chain.reads(&listed.call));
        }
    }

    /// Whether everyone sees the same.
    pub fn is_common(&self) -> bool {
        // Destructured, so that a new part cannot be forgotten here.
        let ReadSet {
            subject,
            groups,
            roles,
            auth_method,
            audience,
            attributes,
            // The same for everyone: what is asked for, and where.
            name: _,
            tenant: _,
            source,
            // Never read by what is taken into account.
            time: _,
            approval: _,
            arguments: _,
        } = &self.reads;
        !(*subject || *groups || *roles || *auth_method || *audience || *source) && attributes.is_empty()
    }

    /// Two callers of one class see the same. None if the caller is in none that could be written down; nothing may be kept for it.
    pub fn class(&self, caller: &Caller, source: IpAddr) -> Option<Vec<u8>> {
        let mut class = Vec::new();
        write_class(&mut class, &self.reads, caller, source).ok()?;
        Some(class)
    }
}

#[cfg(test)]
mod tests;
