//! The organizations' audit chains as the service keeps them: signed in time, kept as long as the licence says, handed out whole.

pub mod export;
pub mod janitor;
mod signer;

pub use signer::AuditSigner;
