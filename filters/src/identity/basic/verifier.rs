//! One verification for all requests that present the same name and password at the same time.
//!
//! A gateway that has just loaded a revision sees every client's credential for the first time, often many times
//! at once; each is hashed once. Every other try waits its turn: bounded in number for one scope, so that a flood
//! at one tenant leaves room for the others, bounded in time, and charged to its user and address.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_sdk::Secret;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::phc::StoredHash;
use super::pool::HashPool;
use super::throttle::Throttle;

/// Different credentials that one scope may have verified or waiting.
pub(crate) const FLIGHTS_MAX: usize = 128;
/// What has waited longer is not worth beginning: its client has given up, or will.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A keyed hash of a name and a password.
pub(crate) type Proof = [u8; 32];

/// The verifications of one scope.
#[derive(Debug)]
pub(crate) struct Verifier {
    pool: HashPool,
    flights: Mutex<HashMap<Proof, Arc<watch::Sender<Option<bool>>>>>,
    throttle: Mutex<Throttle>,
}

/// What is to be verified.
pub(crate) struct Attempt {
    pub(crate) proof: Proof,
    pub(crate) hash: Arc<StoredHash>,
    pub(crate) password: Secret,
    /// Who tries whose password.
    pub(crate) pair: u64,
}

/// Why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoVerdict {
    /// Too many tries at this user from this address.
    Throttled,
    /// Too much to do.
    Busy,
}

impl Verifier {
    pub(crate) fn new(pool: HashPool, tries_per_minute: u32) -> Self {
        Self { pool, flights: Mutex::default(), throttle: Mutex::new(Throttle::new(tries_per_minute)) }
    }

    /// Whether the password is the hash's.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        attempt: Attempt,
        now: SystemTime,
    ) -> Result<bool, NoVerdict> {
        let mut verdict = self.join(attempt, now)?;
        let verdict = verdict.wait_for(Option::is_some).await.map_err(|_| NoVerdict::Busy)?;
        verdict.ok_or(NoVerdict::Busy)
    }

    /// How many credentials are verified or waiting.
    #[cfg(test)]
    pub(crate) fn flying(&self) -> usize {
        self.flights.lock().len()
    }

    /// Joins the verification of the same credential, or begins one.
    fn join(
        self: &Arc<Self>,
        attempt: Attempt,
        now: SystemTime,
    ) -> Result<watch::Receiver<Option<bool>>, NoVerdict> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&attempt.proof) {
            return Ok(flight.subscribe());
        }
        if flights.len() >= FLIGHTS_MAX {
            return Err(NoVerdict::Busy);
        }
        let Attempt { proof, hash, password, pair } = attempt;
        if !self.throttle.lock().charge(pair, now) {
            return Err(NoVerdict::Throttled);
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        let flight = Flight {
            verifier: Arc::clone(self),
            proof,
            pair,
            sender: Arc::clone(&sender),
            verdict: None,
            over: false,
        };
        let job = move |memory: &mut _, waited: Duration| {
            let mut flight = flight;
            if waited <= WAIT_MAX && flight.is_awaited() {
                flight.verdict = Some(hash.verify(password.expose(), memory));
            }
        };
        flights.insert(proof, sender);
        // What is refused is dropped, and a flight that is dropped takes its entry away: not under the lock.
        drop(flights);
        self.pool.submit(job).map_err(|_| NoVerdict::Busy)?;
        Ok(receiver)
    }
}

/// An entry of `flights`. However it ends, the entry goes and those who wait hear of it.
struct Flight {
    verifier: Arc<Verifier>,
    proof: Proof,
    pair: u64,
    sender: Arc<watch::Sender<Option<bool>>>,
    verdict: Option<bool>,
    /// Its entry is gone. Another may have begun with the same credential since.
    over: bool,
}

impl Flight {
    /// Whether anybody still waits. If not, nobody can join any more.
    fn is_awaited(&mut self) -> bool {
        let verifier = Arc::clone(&self.verifier);
        let mut flights = verifier.flights.lock();
        let awaited = self.sender.receiver_count() > 0;
        if !awaited {
            self.end(&mut flights);
        }
        awaited
    }

    /// Takes the entry away, and with it the try, if it told nobody anything: whoever asks next finds neither or both.
    fn end(&mut self, flights: &mut HashMap<Proof, Arc<watch::Sender<Option<bool>>>>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if self.verdict != Some(false) {
            self.verifier.throttle.lock().give_back(self.pair);
        }
        flights.remove(&self.proof);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let verifier = Arc::clone(&self.verifier);
        self.end(&mut verifier.flights.lock());
        self.sender.send_replace(self.verdict);
    }
}
