//! The standing terms of an environment's organization, as this gateway goes by them.
//!
//! They are kept beside the revisions of each environment, as they were signed, and verified again at every start, before a revision is unpacked. A gateway
//! that was never sent any (its control plane knows of none) serves what it has: there was no list. One whose terms on disk do not hold any more cannot
//! tell what is revoked: it serves nothing of the environment until it is sent terms again.

use std::sync::Arc;

use mcpg_config::RevocationList;
use mcpg_cp_api::{EnvironmentPath, HeldTerms, SignedTerms, Terms};
use parking_lot::Mutex;

use super::folder::Folder;
use super::verify::{ControlPlaneKey, TermsError};

/// What an agent goes by.
#[derive(Debug, Default)]
pub(super) struct StandingTerms(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// Why those on disk cannot be used, until others are received.
    unusable: Option<String>,
    /// Whether the control plane has sent some since the start: then it knows what terms are.
    was_sent: bool,
}

/// Terms that hold.
#[derive(Debug, Clone)]
pub(super) struct Held {
    version: u64,
    digest: String,
    /// What they say.
    pub(super) terms: Arc<Terms>,
    /// What must not run.
    pub(super) revoked: Arc<RevocationList>,
}

/// What came of terms that were received.
#[derive(Debug)]
pub(super) enum Taken {
    /// They are to be in force from now on.
    New(Held),
    /// They are those that are.
    Known,
}

impl Held {
    fn open(
        signed: &SignedTerms,
        key: &ControlPlaneKey,
        environment: &EnvironmentPath,
    ) -> Result<Self, TermsError> {
        let terms = key.open_terms(signed, &environment.organization)?;
        let list = &terms.revocation_list;
        let artifacts = list
            .artifacts
            .iter()
            .map(|artifact| (artifact.digest.to_string(), artifact.reason.as_ref().map(ToString::to_string)));
        let revoked = Arc::new(RevocationList::new(list.version, artifacts));
        Ok(Self { version: signed.version, digest: signed.digest.clone(), terms: Arc::new(terms), revoked })
    }

    /// Which they are.
    pub(super) fn shown(&self) -> HeldTerms {
        HeldTerms { version: self.version, revocation_list: self.terms.revocation_list.version }
    }
}

/// The terms that are kept of an environment. None where there never were any.
///
/// # Errors
/// Why those that are there cannot be used.
pub(super) fn kept(
    folder: &Folder,
    key: &ControlPlaneKey,
    environment: &EnvironmentPath,
) -> Result<Option<Held>, String> {
    let Some(signed) = folder.terms().map_err(|error| error.to_string())? else { return Ok(None) };
    Held::open(&signed, key, environment).map(Some).map_err(|error| error.to_string())
}

impl StandingTerms {
    /// Begins with what is on disk.
    pub(super) fn begin(&self, kept: Result<Option<Held>, String>) {
        let mut state = self.0.lock();
        match kept {
            Ok(held) => state.held = held,
            Err(problem) => state.unusable = Some(problem),
        }
    }

    /// Takes terms of the control plane, if they are its own and none are newer.
    ///
    /// # Errors
    /// Why they are not taken; those before stay in force.
    pub(super) fn take(
        &self,
        signed: &SignedTerms,
        key: &ControlPlaneKey,
        environment: &EnvironmentPath,
    ) -> Result<Taken, TermsError> {
        let new = Held::open(signed, key, environment)?;
        let mut state = self.0.lock();
        if let Some(held) = &state.held {
            let (has, sent) = (held.shown(), new.shown());
            if sent.version < has.version || sent.revocation_list < has.revocation_list {
                return Err(TermsError::Older { has, sent });
            }
            if sent.version == has.version {
                if held.digest != new.digest {
                    return Err(TermsError::Older { has, sent });
                }
                state.was_sent = true;
                return Ok(Taken::Known);
            }
        }
        *state = State { held: Some(new.clone()), unusable: None, was_sent: true };
        Ok(Taken::New(new))
    }

    /// What must not run; none where nobody has said.
    pub(super) fn revoked(&self) -> Option<Arc<RevocationList>> {
        self.0.lock().held.as_ref().map(|held| Arc::clone(&held.revoked))
    }

    /// Why no revision may be in force.
    pub(super) fn unusable(&self) -> Option<String> {
        self.0.lock().unusable.clone()
    }

    /// What to tell the control plane: nothing to one that does not know of terms.
    pub(super) fn to_be_told(&self) -> Option<HeldTerms> {
        let state = self.0.lock();
        state.held.as_ref().filter(|_| state.was_sent).map(Held::shown)
    }
}

#[cfg(test)]
mod tests;
