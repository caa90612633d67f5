//! The pinned definitions of every scope: each has files of its own, and what one scope approves is approved for it only.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpg_config::Config;
use mcpg_sdk::Scope;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::{PinError, Pins};
use crate::metrics::Metrics;

/// How often the lock files are looked at, and how long each may take of that.
const WATCH_INTERVAL_MIN: Duration = Duration::from_secs(1);
const WATCH_INTERVAL_EACH: Duration = Duration::from_millis(1);

/// The pinned definitions of every scope, kept from one revision to the next.
pub struct ScopePins {
    keeps_files: bool,
    scopes: Mutex<HashMap<Scope, Kept>>,
    unsaved: Arc<Notify>,
}

struct Kept {
    lock_file: PathBuf,
    pins: Arc<Pins>,
}

impl ScopePins {
    /// Pins that are kept in memory only: for a configuration that is checked and not run.
    pub fn in_memory() -> Arc<Self> {
        Self::new(false)
    }

    /// Pins in the files that the scopes' configurations name.
    pub fn in_files() -> Arc<Self> {
        Self::new(true)
    }

    fn new(keeps_files: bool) -> Arc<Self> {
        Arc::new(Self { keeps_files, scopes: Mutex::default(), unsaved: Arc::default() })
    }

    /// Those of a scope; read from its files when they are first asked for.
    ///
    /// # Errors
    /// If a lock file is there and cannot be read: to begin anew would approve whatever comes next.
    pub fn of(&self, config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<Pins>, PinError> {
        let (scope, lock_file) = (&config.tenancy.scope, &config.pinning.lock_file);
        let mut scopes = self.scopes.lock();
        if let Some(kept) = scopes.get(scope).filter(|kept| kept.lock_file == *lock_file) {
            return Ok(Arc::clone(&kept.pins));
        }
        let metrics = Arc::clone(metrics);
        let pins = if self.keeps_files {
            Pins::open_with(lock_file, &config.state.dir, metrics, Arc::clone(&self.unsaved))?
        } else {
            Pins::in_memory(metrics)
        };
        scopes.insert(scope.clone(), Kept { lock_file: lock_file.clone(), pins: Arc::clone(&pins) });
        Ok(pins)
    }

    /// Forgets scopes that are gone.
    pub fn retain(&self, is_served: impl Fn(&Scope) -> bool) {
        self.scopes.lock().retain(|scope, _| is_served(scope));
    }

    /// Writes down what was decided in every scope.
    pub fn save(&self) {
        self.all().iter().for_each(|pins| pins.save());
    }

    /// Writes down what is decided, and notices approvals, for ever.
    pub async fn watch(self: &Arc<Self>) {
        loop {
            let scopes = u32::try_from(self.scopes.lock().len()).unwrap_or(u32::MAX);
            let mut tick = interval(WATCH_INTERVAL_MIN.max(WATCH_INTERVAL_EACH.saturating_mul(scopes)));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick.tick().await;
            tokio::select! {
                _ = tick.tick() => {}
                () = self.unsaved.notified() => {}
            }
            let all = self.all();
            let work = move || {
                for pins in all {
                    pins.refresh();
                    pins.save();
                }
            };
            // Only a panic keeps it from its end, and that is in the log.
            let _ = tokio::task::spawn_blocking(work).await;
        }
    }

    fn all(&self) -> Vec<Arc<Pins>> {
        self.scopes.lock().values().map(|kept| Arc::clone(&kept.pins)).collect()
    }
}
