//! Observability: settings of the audit, metrics and trace plugins. The gateway does the writing.

pub mod audit;
pub mod metrics;
pub mod traces;
