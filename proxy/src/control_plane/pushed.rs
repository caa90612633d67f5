//! The scopes that control planes have pushed, as the reloader reads them.

use std::path::PathBuf;

use mcpg_config::Pushed;
use mcpg_sdk::Scope;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::revision::BuildError;

/// The scopes that are to be served besides those of the file. Never two of one name.
#[derive(Debug, Default)]
pub struct PushedScopes(Mutex<Vec<Pushed>>);

/// Asks the reloader for a scope to be read from another file.
#[derive(Debug)]
pub struct PushRequest {
    /// What is to be in force.
    pub pushed: Pushed,
    /// It was refused before for something that may have passed since: that it has not is no news.
    pub is_retry: bool,
    /// What came of it: why it is not in force, if it is not. What was before is then.
    pub answer: oneshot::Sender<Result<(), BuildError>>,
}

impl PushedScopes {
    /// Those there are, in the order of their names.
    pub fn list(&self) -> Vec<Pushed> {
        self.0.lock().clone()
    }

    /// Reads a scope from another file from now on. Returns the file before, if there was one.
    pub fn replace(&self, pushed: Pushed) -> Option<PathBuf> {
        let mut scopes = self.0.lock();
        match scopes.binary_search_by(|one| one.scope.cmp(&pushed.scope)) {
            Ok(at) => scopes.get_mut(at).map(|one| std::mem::replace(&mut one.file, pushed.file)),
            Err(at) => {
                scopes.insert(at, pushed);
                None
            }
        }
    }

    /// Goes back to what was before [`PushedScopes::replace`].
    pub fn restore(&self, scope: &Scope, before: Option<PathBuf>) {
        let mut scopes = self.0.lock();
        if let Ok(at) = scopes.binary_search_by(|one| one.scope.cmp(scope)) {
            match before {
                Some(file) => {
                    if let Some(one) = scopes.get_mut(at) {
                        one.file = file;
                    }
                }
                None => {
                    scopes.remove(at);
                }
            }
        }
    }
}
