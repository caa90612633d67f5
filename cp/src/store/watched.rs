//! What the log says of a transaction: a span and a line at its end (`debug`), and its statements (`trace`), which have no values in them.

use std::time::Instant;

use tracing::Span;

use super::connection::Mode;

/// A transaction that the log is told of.
pub(super) struct Watched {
    span: Span,
    begun: Instant,
    statements: u32,
}

impl Watched {
    pub(super) fn begins(mode: Mode) -> Self {
        let mode = match mode {
            Mode::Read => "read",
            Mode::Write => "write",
        };
        Self { span: tracing::debug_span!("transaction", mode), begun: Instant::now(), statements: 0 }
    }

    pub(super) fn runs(&mut self, sql: &'static str) {
        self.statements = self.statements.saturating_add(1);
        tracing::trace!(parent: &self.span, sql, "a statement runs");
    }

    pub(super) fn ends(&self, outcome: &'static str) {
        let duration_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let statements = self.statements;
        tracing::debug!(parent: &self.span, outcome, statements, duration_us, "a transaction has ended");
    }
}
