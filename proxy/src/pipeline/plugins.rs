//! Stage 8: third-party transforms of a request.

/// The transforms of a scope. This build has none to load (the configuration refuses `source:`
/// entries), so the bytes that were judged are the bytes that are sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plugins;

impl Plugins {
    /// Passes a request through the transforms.
    pub fn on_request(&self) {}
}
