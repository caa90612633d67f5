//! What gateways say, written down: many at once in one transaction.
//!
//! A fleet speaks in bursts: every gateway acknowledges a revision at the same moment. While one transaction of an organization is under way, what is
//! said meanwhile is collected for the next, so the more is said the less each costs; alone, it waits for nothing. An answer is given when what
//! was said is in force, and not before.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::store::{Actor, GatewayId, Heartbeat, OrgId, Outcome, Store, StoreError, Write};

/// What waits to be taken up. Who finds no room waits.
const WAITING_MAX: usize = 1024;
/// What is written in one transaction.
const BATCH_MAX: usize = 256;
/// Organizations that are written for at once.
const ORGANIZATIONS_AT_ONCE: usize = 4;

/// Takes down what gateways say.
#[derive(Debug)]
pub struct Register {
    store: Store,
    sender: mpsc::Sender<Saying>,
    receiver: Mutex<Option<mpsc::Receiver<Saying>>>,
}

/// What a gateway says.
#[derive(Debug, Clone)]
pub enum Said {
    /// What it made of a revision.
    Made {
        /// Its number.
        number: i64,
        /// BLAKE3 of its document, as hexadecimal.
        digest: String,
        /// What came of it.
        outcome: Outcome,
    },
    /// How it is.
    Is(Heartbeat),
}

/// Why something was not written down.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unsaid {
    /// There is nothing that it could be about.
    #[error("there is no such gateway or revision")]
    NotFound,
    /// The store cannot be written at the moment.
    #[error("the store cannot be written: {0}")]
    Unavailable(String),
}

#[derive(Debug)]
struct Saying {
    org: OrgId,
    gateway: GatewayId,
    said: Said,
    answer: oneshot::Sender<Result<bool, Unsaid>>,
}

impl Register {
    /// Over a store. Nothing is written before [`Register::run`] is polled.
    pub fn new(store: Store) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Self { store, sender, receiver: Mutex::new(Some(receiver)) }
    }

    /// Has something written down. False where it had been said before.
    ///
    /// # Errors
    /// Why it is not in force.
    pub async fn note(&self, org: &OrgId, gateway: &GatewayId, said: Said) -> Result<bool, Unsaid> {
        let stopped = || Unsaid::Unavailable("the service stops".to_owned());
        let (answer, answered) = oneshot::channel();
        let saying = Saying { org: org.clone(), gateway: gateway.clone(), said, answer };
        self.sender.send(saying).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Writes, until it is dropped. To be run beside the server, once.
    pub async fn run(&self) {
        let receiver = self.receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let mut waiting: HashMap<OrgId, Vec<Saying>> = HashMap::new();
        let mut writing = FuturesUnordered::new();
        let mut busy = HashSet::new();
        loop {
            while writing.len() < ORGANIZATIONS_AT_ONCE {
                let Some(org) = waiting.keys().find(|org| !busy.contains(*org)).cloned() else { break };
                let Some(mut batch) = waiting.remove(&org) else { break };
                if batch.len() > BATCH_MAX {
                    waiting.insert(org.clone(), batch.split_off(BATCH_MAX));
                }
                busy.insert(org.clone());
                writing.push(async {
                    self.write(&org, batch).await;
                    org
                });
            }
            tokio::select! {
                Some(saying) = receiver.recv() => {
                    let mut next = Some(saying);
                    while let Some(saying) = next {
                        waiting.entry(saying.org.clone()).or_default().push(saying);
                        next = receiver.try_recv().ok();
                    }
                }
                Some(org) = writing.next() => drop(busy.remove(&org)),
                else => return,
            }
        }
    }

    async fn write(&self, org: &OrgId, mut batch: Vec<Saying>) {
        // Two replicas that write for the same gateways take them in the same order.
        batch.sort_by(|one, other| one.gateway.as_str().cmp(other.gateway.as_str()));
        match self.try_write(org, &batch).await {
            Ok(outcomes) => {
                for (saying, outcome) in batch.into_iter().zip(outcomes) {
                    // Who asked may have left.
                    let _ = saying.answer.send(outcome);
                }
            }
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Contention)) => {
                for saying in batch {
                    let _ = saying.answer.send(Err(Unsaid::Unavailable(error.to_string())));
                }
            }
            // One of them cannot be written: the others can.
            Err(_) => {
                for saying in batch {
                    let alone = self.try_write(org, std::slice::from_ref(&saying)).await;
                    let outcome = alone.map(|mut outcomes| outcomes.pop());
                    let outcome = match outcome {
                        Ok(outcome) => outcome.unwrap_or(Err(Unsaid::NotFound)),
                        Err(error) => Err(Unsaid::Unavailable(error.to_string())),
                    };
                    let _ = saying.answer.send(outcome);
                }
            }
        }
    }

    async fn try_write(
        &self,
        org: &OrgId,
        batch: &[Saying],
    ) -> Result<Vec<Result<bool, Unsaid>>, StoreError> {
        // It is no operator's action: the audit chain has no row of it.
        let mut write = self.store.scope(org.clone()).begin(Actor::system("register")).await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for saying in batch {
            outcomes.push(match put(&mut write, saying).await {
                Ok(is_new) => Ok(is_new),
                // Found by the store's own checks: the transaction goes on.
                Err(StoreError::NotFound) => Err(Unsaid::NotFound),
                Err(error) => return Err(error),
            });
        }
        write.commit().await?;
        Ok(outcomes)
    }
}

async fn put(write: &mut Write, saying: &Saying) -> Result<bool, StoreError> {
    match &saying.said {
        Said::Made { number, digest, outcome } => {
            write.acknowledge(&saying.gateway, *number, Some(digest), outcome).await
        }
        Said::Is(beat) => {
            write.heartbeat(&saying.gateway, beat).await?;
            Ok(true)
        }
    }
}
