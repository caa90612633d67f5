//! The stream of a session that passes straight through: judged again like one that the gateway serves itself.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::SESSION_STREAM;
use super::term::Term;
use crate::serve::Admitted;

/// Watches over a stream that passes straight through.
pub(crate) struct Watch {
    admitted: Admitted,
    term: Term,
    leaving: watch::Receiver<bool>,
}

impl Watch {
    /// Over a stream that was just admitted.
    pub(crate) fn new(mut admitted: Admitted) -> Self {
        admitted.last_event_id = None;
        let term = Term::new(&admitted, SESSION_STREAM);
        Self { term, leaving: admitted.shared.leaving.subscribe(), admitted }
    }

    /// Completes when the stream must end: nobody would admit it any more, it would be another upstream's, or the process leaves.
    pub(crate) async fn over(mut self) {
        loop {
            tokio::select! {
                biased;
                _ = self.leaving.wait_for(|leaving| *leaving) => return,
                () = self.term.over() => {}
            }
            let Some(admitted) = self.term.judge(&self.admitted, SystemTime::now()).await else { return };
            let same = |route| self.admitted.routes.iter().any(|own| Arc::ptr_eq(own, route));
            if !admitted.routes.iter().any(same) {
                return;
            }
            self.admitted = Admitted { routes: self.admitted.routes, ..admitted };
        }
    }
}
