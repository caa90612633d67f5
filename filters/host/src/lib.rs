//! Loads third-party plugins: signatures, grants, revocation, sandboxes.
