//! Which tools of a list are withheld until an operator approves them.
//!
//! A list is judged when it is first seen and whenever what is approved changes. In between the answer is remembered by the list's
//! digest.

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_protocol::catalogue::ListKind;
use parking_lot::Mutex;

use super::Catalogues;
use super::catalogue::Catalogue;
use crate::lru::Lru;
use crate::pinning::Pins;

/// Lists of one binding whose judgement is remembered.
const JUDGEMENTS_MAX: usize = 64;

/// The places of withheld tools, in ascending order.
pub(super) type Withheld = Arc<[u32]>;

/// What was judged, and by which version of what is approved.
pub(super) struct Judgements(Mutex<Lru<[u8; 32], (u64, Withheld)>>);

impl Default for Judgements {
    fn default() -> Self {
        Self(Mutex::new(Lru::new(JUDGEMENTS_MAX)))
    }
}

impl Catalogues {
    /// Which tools of a list are withheld.
    pub(super) async fn withheld(
        self: &Arc<Self>,
        pins: &Arc<Pins>,
        list: &Arc<Catalogue>,
        now: SystemTime,
    ) -> Withheld {
        if list.kind() != ListKind::Tools {
            return Arc::default();
        }
        if let Some(known) = self.known(pins, list.digest()) {
            return known;
        }
        let (this, pins, list) = (Arc::clone(self), Arc::clone(pins), Arc::clone(list));
        let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let judged = tokio::task::spawn_blocking(move || {
            let tools: Vec<(&str, &str)> = list.items().map(|item| (item.name, item.text)).collect();
            this.judge(&pins, *list.digest(), &tools, now)
        });
        // What could not be judged is withheld as a whole.
        judged.await.unwrap_or_else(|_| (0..count).collect())
    }

    fn known(&self, pins: &Pins, digest: &[u8; 32]) -> Option<Withheld> {
        let version = *pins.version().borrow();
        let mut judgements = self.judgements().0.lock();
        judgements.touch(digest).filter(|(by, _)| *by == version).map(|(_, withheld)| Arc::clone(withheld))
    }

    fn judge(&self, pins: &Pins, digest: [u8; 32], tools: &[(&str, &str)], now: SystemTime) -> Withheld {
        // Taken before: if something changes meanwhile, this is judged once more.
        let version = *pins.version().borrow();
        let verdicts = pins.judge(self.binding(), tools, now);
        let withheld: Withheld = (0_u32..)
            .zip(&verdicts)
            .filter(|(_, verdict)| verdict.withheld)
            .map(|(place, _)| place)
            .collect();
        self.judgements().0.lock().insert(digest, (version, Arc::clone(&withheld)), |_| true);
        withheld
    }
}
