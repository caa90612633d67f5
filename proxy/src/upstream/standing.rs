//! Which eras an upstream speaks.
//!
//! It is asked once and remembered: the era is a property of the server, not of a request. After [`FRESH`], or when an answer
//! raises doubt, it is asked again in the background while the old answer serves. However many want to know at a time, one
//! asks. Only the era is kept: what an upstream says of itself may be for the caller who asked.
//!
//! Sources: MCP 2026-07-28 `basic/versioning` ("Backward Compatibility") and `basic/transports/streamable-http` (likewise).

mod detect;
mod remembered;

use std::sync::Arc;
use std::time::Duration;

use mcpg_protocol::{Era, Revision};

use self::remembered::Remembered;
use super::{OnBehalf, UpstreamError};
use crate::revision::Route;

/// How long an answer serves before it is asked for again.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How soon after the last time an answer may be doubted.
const DOUBT_INTERVAL: Duration = Duration::from_secs(10);

/// What an upstream speaks. At least one era; both are known only of one that was asked for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it speaks 2026-07-28.
    pub modern: bool,
    /// How it begins sessions, if it was asked and does.
    pub legacy: Option<LegacyStanding>,
}

/// How an upstream begins sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyStanding {
    /// The revision that it agrees to.
    pub protocol: Revision,
    /// Whether it gives sessions an id.
    pub has_session_ids: bool,
}

/// What is remembered of one upstream.
pub struct Eras {
    /// The revision that the operator says it speaks.
    pinned: Option<Revision>,
    standing: Arc<Remembered<Standing>>,
    /// Asked only once a legacy client comes to an upstream that speaks the modern era.
    legacy: Arc<Remembered<Option<LegacyStanding>>>,
}

impl Eras {
    /// Nothing known yet, but what the operator says.
    pub fn new(pinned: Option<Revision>) -> Self {
        Self { pinned, standing: Arc::default(), legacy: Arc::default() }
    }
}

impl Route {
    /// Which eras the upstream speaks. Asks it the first time.
    ///
    /// # Errors
    /// When it does not say: it cannot be reached, wants other credentials, or speaks no revision that is known here.
    pub async fn standing(self: &Arc<Self>, on_behalf: &OnBehalf<'_>) -> Result<Standing, UpstreamError> {
        let (route, behalf) = (Arc::clone(self), on_behalf.to_owned());
        let ask = move || async move { route.detect(&behalf.borrow()).await };
        Ok(*self.eras.standing.known_or(ask).await?)
    }

    /// How the upstream begins sessions; none if it speaks the modern era only.
    ///
    /// # Errors
    /// As [`Route::standing`].
    pub async fn legacy_standing(
        self: &Arc<Self>,
        on_behalf: &OnBehalf<'_>,
    ) -> Result<Option<LegacyStanding>, UpstreamError> {
        let standing = self.standing(on_behalf).await?;
        if standing.legacy.is_some() || !standing.modern {
            return Ok(standing.legacy);
        }
        let (route, behalf) = (Arc::clone(self), on_behalf.to_owned());
        let ask = move || async move { route.detect_legacy_beside_modern(&behalf.borrow()).await };
        Ok(*self.eras.legacy.known_or(ask).await?)
    }

    /// The era in which the upstream is spoken to for a client of `client`: the client's own, if the upstream speaks it.
    ///
    /// # Errors
    /// As [`Route::standing`].
    pub async fn era_for(
        self: &Arc<Self>,
        on_behalf: &OnBehalf<'_>,
        client: Era,
    ) -> Result<Era, UpstreamError> {
        if let Some(era) = self.known_era_for(client) {
            return Ok(era);
        }
        Ok(match client {
            Era::Modern if self.standing(on_behalf).await?.modern => Era::Modern,
            Era::Legacy if self.legacy_standing(on_behalf).await?.is_none() => Era::Modern,
            Era::Modern | Era::Legacy => Era::Legacy,
        })
    }

    /// [`Route::era_for`], if it is known already and need not be asked again. Costs a few atomic operations.
    pub fn known_era_for(&self, client: Era) -> Option<Era> {
        if let Some(pinned) = self.eras.pinned {
            return Some(pinned.era());
        }
        let standing = self.eras.standing.fresh()?;
        match client {
            _ if !standing.modern => Some(Era::Legacy),
            Era::Modern => Some(Era::Modern),
            Era::Legacy => {
                let legacy = self.eras.legacy.fresh()?;
                Some(if legacy.is_some() { Era::Legacy } else { Era::Modern })
            }
        }
    }

    /// An answer makes it doubtful that the upstream still is what it was: a modern request met 400, 404 or 405, or a session
    /// could not be begun. It is asked again when next somebody wants to know.
    pub fn doubt_standing(&self) {
        self.eras.standing.doubt();
        self.eras.legacy.doubt();
    }
}

#[cfg(test)]
mod tests;
