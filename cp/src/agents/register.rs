//! What gateways say, written down: many at once in one transaction.
//!
//! A fleet speaks in bursts: every gateway acknowledges a revision at the same moment. While one transaction of an organization is under way, what is
//! said meanwhile is collected for the next, so the more is said the less each costs; alone, it waits for nothing. An answer is given when what
//! was said is in force, and not before. What one gateway says goes one after the other, in the order in which it came.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::store::{Actor, GatewayId, Heard, OrgId, Said, Store, StoreError};

/// What waits to be taken up. Who finds no room waits.
const WAITING_MAX: usize = 2048;
/// What is written in one transaction.
const BATCH_MAX: usize = 1000;
/// Organizations that are written for at once.
const ORGANIZATIONS_AT_ONCE: usize = 4;

/// Takes down what gateways say.
#[derive(Debug)]
pub struct Register {
    store: Store,
    sender: mpsc::Sender<Saying>,
    receiver: Mutex<Option<mpsc::Receiver<Saying>>>,
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
    pub async fn note(&self, org: &OrgId, said: Said) -> Result<bool, Unsaid> {
        let stopped = || Unsaid::Unavailable("the service stops".to_owned());
        let (answer, answered) = oneshot::channel();
        let saying = Saying { org: org.clone(), said, answer };
        self.sender.send(saying).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Writes, until it is dropped. To be run beside the server, once.
    pub async fn run(&self) {
        let receiver = self.receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let mut waiting: HashMap<OrgId, VecDeque<Saying>> = HashMap::new();
        let mut writing = FuturesUnordered::new();
        let mut busy = HashSet::new();
        loop {
            while writing.len() < ORGANIZATIONS_AT_ONCE {
                let Some(org) = waiting.keys().find(|org| !busy.contains(*org)).cloned() else { break };
                let (batch, rest) = batch(waiting.remove(&org).unwrap_or_default());
                if !rest.is_empty() {
                    waiting.insert(org.clone(), rest);
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
                        waiting.entry(saying.org.clone()).or_default().push_back(saying);
                        next = receiver.try_recv().ok();
                    }
                }
                Some(org) = writing.next() => drop(busy.remove(&org)),
                else => return,
            }
        }
    }

    async fn write(&self, org: &OrgId, batch: Vec<Saying>) {
        let (said, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|saying| (saying.said, saying.answer)).unzip();
        match self.try_write(org, &said).await {
            Ok(heard) => {
                for (answer, heard) in answers.into_iter().zip(heard) {
                    // Who asked may have left.
                    let _ = answer.send(outcome(Some(heard)));
                }
            }
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Contention)) => {
                for answer in answers {
                    let _ = answer.send(Err(Unsaid::Unavailable(error.to_string())));
                }
            }
            // One of them cannot be written: the others can.
            Err(_) => {
                for (said, answer) in said.iter().zip(answers) {
                    let alone = self.try_write(org, std::slice::from_ref(said)).await;
                    let alone = alone.map(|heard| heard.first().copied());
                    let unavailable = |error: StoreError| Err(Unsaid::Unavailable(error.to_string()));
                    let _ = answer.send(alone.map_or_else(unavailable, outcome));
                }
            }
        }
    }

    async fn try_write(&self, org: &OrgId, said: &[Said]) -> Result<Vec<Heard>, StoreError> {
        let mut write = self.store.scope(org.clone()).begin(Actor::system("register")).await?;
        let heard = write.hear(said).await?;
        write.commit().await?;
        Ok(heard)
    }
}

fn outcome(heard: Option<Heard>) -> Result<bool, Unsaid> {
    match heard {
        Some(Heard::New) => Ok(true),
        Some(Heard::Known) => Ok(false),
        Some(Heard::Nothing) | None => Err(Unsaid::NotFound),
    }
}

/// What goes next, and what waits on: one word of each gateway, the oldest first.
fn batch(waiting: VecDeque<Saying>) -> (Vec<Saying>, VecDeque<Saying>) {
    let mut gateways: HashSet<GatewayId> = HashSet::new();
    let (mut batch, mut rest) = (Vec::new(), VecDeque::new());
    for saying in waiting {
        if batch.len() < BATCH_MAX && gateways.insert(saying.said.gateway.clone()) {
            batch.push(saying);
        } else {
            rest.push_back(saying);
        }
    }
    (batch, rest)
}
