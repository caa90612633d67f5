//! Gateways as callers: how they prove who they are, and how revisions come to them.

pub mod assertion;
pub mod fleet;
mod frames;
pub mod register;
pub mod seen;
mod standing;
pub mod stream;
