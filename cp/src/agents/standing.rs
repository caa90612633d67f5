//! The terms of the organizations that have a gateway connected, each read, signed and written out once for all of its gateways.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::publish::CurrentTerms;
use crate::store::{OrgId, StoreError, UnixMillis};

/// Every organization that has a gateway connected to this replica.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<HashMap<OrgId, Entry>>);

#[derive(Debug)]
struct Entry {
    /// Whether there may be something new.
    stale: bool,
    /// Whether it is being read.
    reading: bool,
    terms: watch::Sender<Option<TermsEvent>>,
}

/// Terms as they go over the wire.
#[derive(Debug, Clone)]
pub struct TermsEvent {
    /// Their version.
    pub version: u64,
    /// The event.
    pub event: Bytes,
    until: Option<UnixMillis>,
}

impl TermsEvent {
    /// The event of terms.
    ///
    /// # Errors
    /// When they have no form in JSON.
    pub(super) fn of(terms: &CurrentTerms) -> Result<Self, StoreError> {
        // JSON has no line ends of its own.
        let data = serde_json::to_string(&terms.signed).map_err(|_| StoreError::Corrupt { what: "terms" })?;
        let event = format!("event: terms\ndata: {data}\n\n").into();
        Ok(Self { version: terms.signed.version, event, until: terms.until })
    }
}

impl Standing {
    /// Has somebody told of an organization's terms, first of those that there are.
    pub(super) fn join(&self, org: &OrgId) -> watch::Receiver<Option<TermsEvent>> {
        let mut organizations = self.lock();
        let entry = organizations.entry(org.clone()).or_insert_with(|| Entry {
            stale: true,
            reading: false,
            terms: watch::Sender::new(None),
        });
        let mut terms = entry.terms.subscribe();
        terms.mark_changed();
        terms
    }

    /// An organization's terms may be others now.
    pub(super) fn changed(&self, org: &OrgId) {
        if let Some(entry) = self.lock().get_mut(org) {
            entry.stale = true;
        }
    }

    /// Anything can have changed. Lets go of organizations whose gateways have left.
    pub(super) fn look(&self) {
        self.lock().retain(|_, entry| {
            entry.stale = true;
            entry.terms.receiver_count() > 0
        });
    }

    /// Has terms read again that have ended by themselves.
    pub(super) fn ends(&self, now: UnixMillis) {
        for entry in self.lock().values_mut() {
            let until = entry.terms.borrow().as_ref().and_then(|terms| terms.until);
            entry.stale |= until.is_some_and(|until| until <= now);
        }
    }

    /// One to be read.
    pub(super) fn next_stale(&self) -> Option<OrgId> {
        let mut organizations = self.lock();
        let (id, entry) = organizations.iter_mut().find(|(_, entry)| entry.stale && !entry.reading)?;
        (entry.stale, entry.reading) = (false, true);
        Some(id.clone())
    }

    /// It was read; none where that failed. Gateways are told where it is other terms. Two reads can overtake each other between replicas, and versions
    /// only grow, so an older one is nothing new.
    pub(super) fn was_read(&self, org: &OrgId, terms: Option<TermsEvent>) {
        let mut organizations = self.lock();
        let Some(entry) = organizations.get_mut(org) else { return };
        entry.reading = false;
        entry.stale |= terms.is_none();
        if let Some(terms) = terms {
            entry.terms.send_if_modified(|current| {
                let is_news = current.as_ref().is_none_or(|current| current.event != terms.event);
                if is_news {
                    *current = Some(terms);
                }
                is_news
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrgId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
