//! Where the bundle of a trust domain is from, and whether it may still be used.

use std::sync::Arc;
use std::time::SystemTime;

use super::Refused;
use super::api::WorkloadApi;
use super::bundle::Bundle;
use crate::identity::certificate::watched::Watched;

/// A configured trust domain.
#[derive(Debug)]
pub(super) struct Domain {
    name: Box<str>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(Arc<Watched<Bundle>>),
    Api(Arc<WorkloadApi>),
}

impl Domain {
    /// With its bundle in a file.
    pub(super) fn from_file(name: &str, file: Arc<Watched<Bundle>>) -> Self {
        Self { name: name.into(), source: Source::File(file) }
    }

    /// With its bundle from the Workload API.
    pub(super) fn from_api(name: &str, api: Arc<WorkloadApi>) -> Self {
        Self { name: name.into(), source: Source::Api(api) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The bundle in force, for certificates or for tokens.
    pub(super) fn bundle(&self, for_tokens: bool, now: SystemTime) -> Result<Arc<Bundle>, Refused> {
        match &self.source {
            Source::File(file) => Ok(file.current()),
            Source::Api(api) => api.bundle(&self.name, for_tokens, now).map_err(Refused::Unavailable),
        }
    }

    /// Begins to look at the file now and then.
    pub(super) fn start(&self) {
        if let Source::File(file) = &self.source {
            file.start();
        }
    }

    /// Looks at the file now; why it was not taken over, if so.
    #[cfg(test)]
    pub(super) fn look(&self) -> Option<String> {
        use crate::identity::certificate::watched::Look;
        match &self.source {
            Source::File(file) => match file.look() {
                Look::Kept(error) => Some(error),
                Look::Same | Look::Replaced => None,
            },
            Source::Api(_) => None,
        }
    }
}
