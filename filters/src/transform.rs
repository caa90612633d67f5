//! Transforms: what is done to messages on their way.

pub mod redact;
