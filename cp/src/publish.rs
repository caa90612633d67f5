//! From what an environment is configured with to a revision that its gateways take: rendered, validated with the gateway's own code, signed.
//!
//! Rendering is pure: the same parts make the same document, byte for byte. What is published is exactly what was validated.

mod render;
mod revoked;
mod signer;
mod step;
mod terms;
mod validate;
mod wanted;

pub use render::{Parts, RenderError, render};
pub use revoked::revoked;
pub use signer::{About, RevisionSigner};
pub use step::step;
pub use terms::{CurrentTerms, current_terms};
pub use validate::{Validated, validate};
pub use wanted::{candidates, covers, wanted};
