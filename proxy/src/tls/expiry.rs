//! When certificates expire.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How long before a certificate expires it is said.
const WARN_BEFORE: Duration = Duration::from_secs(14 * DAY);
const DAY: u64 = 86_400;

/// When a certificate expires. The first to expire is the least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// When.
    pub at: SystemTime,
    /// Its file.
    pub path: PathBuf,
}

impl Expiry {
    /// Seconds until then; negative afterwards.
    pub fn seconds_left(&self, now: SystemTime) -> f64 {
        match self.at.duration_since(now) {
            Ok(left) => left.as_secs_f64(),
            Err(past) => -past.duration().as_secs_f64(),
        }
    }

    /// What to tell the operator, if it is time.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let path = self.path.display();
        match self.at.duration_since(now) {
            Err(_) => Some(format!("the certificate `{path}` has expired")),
            Ok(left) if left < WARN_BEFORE => {
                let days = left.as_secs() / DAY;
                Some(format!("the certificate `{path}` expires in {days} days"))
            }
            Ok(_) => None,
        }
    }
}
