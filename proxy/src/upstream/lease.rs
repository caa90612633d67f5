//! Sessions that the gateway holds with upstreams of the legacy era for clients that have none of their own.
//!
//! A lease is the exclusive use of one session, so whatever the upstream asks or tells in it belongs to the one call that
//! holds it. Sessions are kept for a caller and what its client said of itself, and never serve another. INVARIANT: a session
//! is kept only by [`Lease::keep`]; one whose lease is merely dropped is in an unknown state, and is ended.

mod pool;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{interval, timeout};

pub use self::pool::Leases;
use self::pool::{Key, Place, Waiting};
use super::{Behalf, ClientProfile, Initialized, OnBehalf, UpstreamError, UpstreamSession};
use crate::revision::Route;
use crate::sessions::caller_digest;

/// How long a session waits for the next call before it is ended.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long its end may take.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// How often it is looked whether all have ended, when the process waits for that.
const END_POLL: Duration = Duration::from_millis(10);

/// The exclusive use of a session. Call [`Lease::keep`] once the call is over and the session is as it was; dropping the
/// lease ends the session.
pub struct Lease {
    session: UpstreamSession,
    initialized: Arc<Initialized>,
    profile: ClientProfile,
    behalf: Behalf,
    /// None once the session was kept.
    place: Option<Place>,
}

impl Route {
    /// The exclusive use of a session for this caller and client: one that waits, or a new one.
    ///
    /// # Errors
    /// [`UpstreamError::Busy`] when there are too many already, else as [`UpstreamSession::open`].
    pub async fn lease(
        self: &Arc<Self>,
        on_behalf: &OnBehalf<'_>,
        profile: &ClientProfile,
    ) -> Result<Lease, UpstreamError> {
        let key = Key::new(caller_digest(&self.scope, on_behalf.caller), profile);
        let taken = self.leases.take(key).ok_or(UpstreamError::Busy)?;
        if let Some((waiting, place)) = taken.evicted {
            waiting.end(self, place);
        }
        let (session, initialized) = match taken.waiting {
            Some(waiting) => (waiting.link.attach(self), waiting.initialized),
            None => {
                let (session, initialized) = UpstreamSession::open(self, on_behalf, profile).await?;
                (session, Arc::new(initialized))
            }
        };
        let (profile, behalf) = (profile.clone(), on_behalf.to_owned());
        Ok(Lease { session, initialized, profile, behalf, place: Some(taken.place) })
    }

    /// Ends sessions that have waited too long, and drops connections that nobody needs. To be called now and then.
    pub fn sweep(self: &Arc<Self>) {
        if let Some(http) = self.http() {
            http.sweep();
        }
        for (waiting, place) in self.leases.expired(IDLE_TIME_MAX) {
            waiting.end(self, place);
        }
    }

    /// Ends its sessions and waits until it has, no longer than so: for when the process ends.
    pub async fn end_sessions(self: &Arc<Self>, time_max: Duration) {
        self.retire();
        let ended = async {
            let mut tick = interval(END_POLL);
            while !self.leases.is_empty() {
                tick.tick().await;
            }
        };
        if timeout(time_max, ended).await.is_err() {
            tracing::debug!(binding = self.id, "sessions were left to their upstream");
        }
    }

    /// To be called when no revision has this route any more: its sessions are ended, those in use once they are kept.
    pub fn retire(self: &Arc<Self>) {
        for (waiting, place) in self.leases.retire() {
            waiting.end(self, place);
        }
    }
}

impl Lease {
    /// What the upstream said to `initialize`.
    pub fn initialized(&self) -> &Initialized {
        &self.initialized
    }

    /// Keeps the session for the next call of this caller and client.
    pub fn keep(mut self) {
        let Some(place) = self.place.take() else { return };
        let route = Arc::clone(self.session.route());
        let waiting = Waiting::new(self.session.detach(), Arc::clone(&self.initialized), self.behalf.clone());
        if let Some((unwanted, place)) = route.leases.put(waiting, place) {
            unwanted.end(&route, place);
        }
    }

    /// Begins another session in place of one that the upstream does not know any more ([`UpstreamError::SessionLost`]).
    ///
    /// # Errors
    /// As [`UpstreamSession::open`].
    pub async fn replace(&mut self) -> Result<(), UpstreamError> {
        let route = Arc::clone(self.session.route());
        let opened = UpstreamSession::open(&route, &self.behalf.borrow(), &self.profile).await;
        let (session, initialized) = opened?;
        self.session = session;
        self.initialized = Arc::new(initialized);
        Ok(())
    }
}

impl Deref for Lease {
    type Target = UpstreamSession;

    fn deref(&self) -> &UpstreamSession {
        &self.session
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            end(self.session.clone(), self.behalf.clone(), place);
        }
    }
}

impl Waiting {
    fn end(self, route: &Arc<Route>, place: Place) {
        end(self.link.attach(route), self.behalf, place);
    }
}

/// Ends a session in the background. It takes its place until then.
fn end(session: UpstreamSession, behalf: Behalf, place: Place) {
    // Without a runtime the process is ending, and the upstream will have to find out for itself.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let ended = timeout(END_TIME_MAX, session.close(&behalf.borrow())).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::debug!(binding = session.route().id, "a session was not ended");
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests;
