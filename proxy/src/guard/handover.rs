//! A request that outlives Pingora's handling of it.
//!
//! What Pingora keeps of a request while it is handled takes about 12 KB; a stream that lasts for hours needs none of it once its head
//! is judged. So whoever handles a request on a connection of the guard's, or on a stream of one, may hand over what is left to be
//! done: the handling ends, its memory is freed, and the guard does the rest.
//!
//! The offer is made to the task that handles the request, and to none that it spawns.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;

use pingora_core::protocols::Stream;

/// What is left of a request. It ends with the connection, where that may serve another.
pub type Rest = Pin<Box<dyn Future<Output = Option<Stream>> + Send>>;

tokio::task_local! {
    static OFFER: Cell<Option<Rest>>;
}

/// Handles a request, and says what was handed over.
pub(super) async fn offering<F: Future>(handling: F) -> (F::Output, Option<Rest>) {
    let handled = async {
        let output = handling.await;
        (output, OFFER.with(Cell::take))
    };
    OFFER.scope(Cell::new(None), handled).await
}

/// Whether the rest of the request that this task handles can be handed over.
pub fn is_offered() -> bool {
    OFFER.try_with(|_| ()).is_ok()
}

/// Hands the rest of a request over. It begins once the handling has ended.
///
/// # Errors
/// When nobody offers to take it: here it is again.
pub fn hand_over(rest: Rest) -> Result<(), Rest> {
    let mut rest = Some(rest);
    // In a cell, so that the rest is not lost if nobody takes it.
    let taken = OFFER.try_with(|offer| offer.set(rest.take()));
    match (taken, rest) {
        (Err(_), Some(rest)) => Err(rest),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_is_handed_over_begins_when_the_handling_has_ended() {
        let (ended, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let handling = {
            let (ended, seen) = (Arc::clone(&ended), Arc::clone(&seen));
            async move {
                assert!(is_offered());
                let ended_before = Arc::clone(&ended);
                let rest = Box::pin(async move {
                    seen.store(ended_before.load(Ordering::SeqCst), Ordering::SeqCst);
                    None
                });
                assert!(hand_over(rest).is_ok());
                tokio::task::yield_now().await;
                ended.store(true, Ordering::SeqCst);
                7
            }
        };
        let (output, rest) = offering(handling).await;
        assert_eq!(output, 7);
        assert!(!seen.load(Ordering::SeqCst));
        assert!(rest.unwrap().await.is_none());
        assert!(seen.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn without_an_offer_it_stays_with_whoever_has_it() {
        assert!(!is_offered());
        let rest = hand_over(Box::pin(async { None })).unwrap_err();
        assert!(rest.await.is_none());
        let (spawned, rest) = offering(async { tokio::spawn(async { is_offered() }).await.unwrap() }).await;
        assert!(!spawned && rest.is_none());
    }
}
