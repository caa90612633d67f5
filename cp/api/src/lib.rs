//! Wire types of the control plane's API: what its clients send, what it answers with.
//!
//! Everything here is parsed once, at the edge: a [`Slug`], a [`WorkspacePath`] or a [`Target`] that exists is valid. In
//! JSON each is the string that a person types (`acme-corp/platform-team/prod`, `org/acme-corp`).

mod path;
mod request;
mod role;
mod slug;
mod target;

pub use path::{EnvironmentPath, OrganizationPath, PathError, WorkspacePath};
pub use request::{
    CreateEnvironment, CreateOrganization, CreateWorkspace, DisplayName, DisplayNameError, Grant, Member,
    MemberError, Request,
};
pub use role::{Role, RoleError};
pub use slug::{Slug, SlugError};
pub use target::{Level, Target, TargetError};
