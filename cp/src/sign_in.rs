//! Who a request is from: tokens, and signing in with an organization's identity provider.

pub mod key_file;
pub mod oidc;
pub mod token;
