//! The steps of a publication, as the log has them.

use std::time::Instant;

use tracing::Span;

/// Does a step within its span, and says at `debug` how long it took.
pub fn step<T>(span: &Span, work: impl FnOnce() -> T) -> T {
    span.in_scope(|| {
        let begun = Instant::now();
        let outcome = work();
        let duration_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(duration_us, "a step has ended");
        outcome
    })
}
