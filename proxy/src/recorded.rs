//! What policy decided on, in the audit row of the decision and out of it again (docs/POLICY_TOOLS.md).
//!
//! Who called what, from where and when, is in every row. The rest (attributes of the caller, arguments, whether the call was approved)
//! is kept as far as `audit.record_input` says: by default exactly the parts that the policies in force read.
//!
//! INVARIANT: a part that is not in the row is never taken for one that the call did not have. [`Recorded::missing`] names it.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Recorded, Unreadable};
pub use write::Recorder;

/// The members of a recorded input.
mod member {
    pub(super) const AUDIENCE: &str = "audience";
    pub(super) const GROUPS: &str = "groups";
    pub(super) const ROLES: &str = "roles";
    pub(super) const APPROVAL: &str = "approval";
    pub(super) const ATTRIBUTES: &str = "attributes";
    pub(super) const ARGUMENTS: &str = "arguments";
    /// What was read, and the call did not have.
    pub(super) const ABSENT: &str = "absent";
    /// Of what every member is there.
    pub(super) const ALL: &str = "all";
    /// Of what there is only a hash.
    pub(super) const MASKED: &str = "masked";
    /// What was too long, or could not be read part by part.
    pub(super) const OMITTED: &str = "omitted";
}
