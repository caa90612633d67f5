//! Which statements a request runs: the lines that the store writes of them, where they stand in a request's span.

use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Records for as long as it is there, on this thread.
pub(crate) struct Recorder {
    statements: Statements,
    _installed: DefaultGuard,
}

#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl Recorder {
    pub(crate) fn install() -> Self {
        let statements = Statements::default();
        let subscriber = tracing_subscriber::registry().with(statements.clone());
        Self { statements, _installed: tracing::subscriber::set_default(subscriber) }
    }

    /// What is done for a request, and what of it the database was asked.
    pub(crate) async fn watch<T>(&self, request: impl Future<Output = T>) -> (T, Vec<String>) {
        self.statements.0.lock().unwrap().clear();
        let outcome = request.await;
        (outcome, std::mem::take(&mut self.statements.0.lock().unwrap()))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target().starts_with("mcpg_cp") { Interest::always() } else { Interest::never() }
    }

    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {}

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // The service has work of its own meanwhile.
        let mut scope = context.event_scope(event).into_iter().flatten();
        if scope.any(|span| span.name() == "request") {
            event.record(&mut Sql(&mut self.0.lock().unwrap()));
        }
    }
}

struct Sql<'a>(&'a mut Vec<String>);

impl Visit for Sql<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            self.0.push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
