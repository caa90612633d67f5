//! Gateways that have proven who they are lately: their requests are not looked up one by one.
//!
//! INVARIANTS:
//! - What is kept was found in the database under the look-up's own sight, and is kept only once its request was believed. Whoever cannot sign for a gateway
//!   puts nothing in here.
//! - A gateway that is retired at this replica is forgotten before anybody hears that it is retired. One that was being looked up meanwhile is not kept: what
//!   is forgotten moves the epoch, and nothing that was found in an older one is kept.
//! - Other replicas' retirements are told ([`super::changes`]); where that is not heard of, nothing is believed for longer than
//!   [`KEPT_FOR`] since it was last seen in the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{EnvironmentId, Gateway, GatewayId};

/// How long what was seen in the database is believed. Longer than the time between two looks at it, so that a fleet which is followed is not looked up again.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(30);
/// Gateways that are kept; further ones are looked up.
const KEPT_MAX: usize = 20_000;
/// How often room is made where there is none.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// The gateways of one replica.
#[derive(Debug)]
pub(super) struct KnownGateways(Mutex<State>);

#[derive(Debug)]
struct State {
    gateways: HashMap<GatewayId, Known>,
    epoch: u64,
    swept: Option<Instant>,
    kept_max: usize,
}

#[derive(Debug)]
struct Known {
    gateway: Arc<Gateway>,
    /// When a look at the database began that showed it so.
    seen: Instant,
}

/// A moment before a look-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    epoch: u64,
    at: Instant,
}

impl Default for KnownGateways {
    fn default() -> Self {
        Self::with_room_for(KEPT_MAX)
    }
}

impl KnownGateways {
    fn with_room_for(kept_max: usize) -> Self {
        Self(Mutex::new(State { gateways: HashMap::new(), epoch: 0, swept: None, kept_max }))
    }

    /// A gateway that is known; otherwise the moment to look it up at.
    pub(super) fn get(&self, id: &GatewayId, now: Instant) -> Result<Arc<Gateway>, Moment> {
        let state = self.lock();
        let known = state.gateways.get(id).filter(|known| now < known.seen + KEPT_FOR);
        known.map(|known| Arc::clone(&known.gateway)).ok_or(Moment { epoch: state.epoch, at: now })
    }

    /// Keeps a gateway that was looked up at a moment.
    pub(super) fn keep(&self, gateway: &Arc<Gateway>, moment: Moment, now: Instant) {
        let mut state = self.lock();
        if state.epoch == moment.epoch && state.has_room(&gateway.id, now) {
            let known = Known { gateway: Arc::clone(gateway), seen: moment.at };
            state.gateways.insert(gateway.id.clone(), known);
        }
    }

    /// Believes the gateways of an environment a while longer: these were live, with these keys, when somebody looked. Others of it are forgotten.
    pub(super) fn confirm(&self, live: &HashMap<GatewayId, [u8; 32]>, of: &EnvironmentId, seen: Instant) {
        let mut state = self.lock();
        state.gateways.retain(|id, known| {
            if known.gateway.environment_id != *of {
                return true;
            }
            let is_live = live.get(id).is_some_and(|key| *key == known.gateway.public_key);
            if is_live {
                known.seen = known.seen.max(seen);
            }
            // One that was looked up later than that has enrolled meanwhile.
            is_live || known.seen > seen
        });
    }

    /// Forgets a gateway.
    pub(super) fn forget(&self, id: &GatewayId) {
        let mut state = self.lock();
        state.epoch += 1;
        state.gateways.remove(id);
    }

    /// Forgets all: nobody knows what was not heard of.
    pub(super) fn forget_all(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.gateways.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&mut self, id: &GatewayId, now: Instant) -> bool {
        let has_room =
            |state: &Self| state.gateways.len() < state.kept_max || state.gateways.contains_key(id);
        if !has_room(self) && self.swept.is_none_or(|swept| now >= swept + SWEPT_EVERY) {
            self.swept = Some(now);
            self.gateways.retain(|_, known| now < known.seen + KEPT_FOR);
        }
        has_room(self)
    }
}

#[cfg(test)]
mod tests;
