//! The scopes that control planes have pushed, as the reloader reads them, and what must not run in them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use mcpg_config::{Pushed, RevocationList};
use mcpg_sdk::Scope;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::revision::BuildError;

/// The scopes that are to be served besides those of the file. Never two of one name.
#[derive(Debug, Default)]
pub struct PushedScopes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    scopes: Vec<Pushed>,
    /// Whatever file a scope is read from, and before there is any.
    revoked: HashMap<Scope, Arc<RevocationList>>,
}

/// Asks the reloader for something to be put in force.
#[derive(Debug)]
pub struct PushRequest {
    /// What.
    pub what: Push,
    /// What came of it: why it is not in force, if it is not.
    pub answer: oneshot::Sender<Result<(), BuildError>>,
}

/// What is to be in force.
#[derive(Debug)]
pub enum Push {
    /// A scope, read from another file. Where that cannot be, what was before is in force.
    Scope {
        /// The scope and its file.
        pushed: Pushed,
        /// It was refused before for something that may have passed since: that it has not is no news.
        is_retry: bool,
    },
    /// What must not run in a scope. It is in force whatever the answer is, which is about the rest of the configuration.
    Revoked(Scope, Arc<RevocationList>),
}

impl PushedScopes {
    /// Those there are, in the order of their names.
    pub fn list(&self) -> Vec<Pushed> {
        let state = self.0.lock();
        let with_list =
            |one: &Pushed| Pushed { revoked: state.revoked.get(&one.scope).cloned(), ..one.clone() };
        state.scopes.iter().map(with_list).collect()
    }

    /// Whether a scope is one of them.
    pub fn has(&self, scope: &Scope) -> bool {
        self.0.lock().scopes.iter().any(|one| one.scope == *scope)
    }

    /// Has nothing that a list names run in a scope from now on. False where it is the list that holds already.
    pub fn revoke(&self, scope: &Scope, list: &Arc<RevocationList>) -> bool {
        let before = self.0.lock().revoked.insert(scope.clone(), Arc::clone(list));
        before.is_none_or(|before| before != *list)
    }

    /// Reads a scope from another file from now on. Returns the file before, if there was one.
    pub fn replace(&self, pushed: Pushed) -> Option<PathBuf> {
        let mut state = self.0.lock();
        // One that has come meanwhile is newer than who sends the file may have known.
        if let Some(list) = &pushed.revoked {
            state.revoked.entry(pushed.scope.clone()).or_insert_with(|| Arc::clone(list));
        }
        let scopes = &mut state.scopes;
        match scopes.binary_search_by(|one| one.scope.cmp(&pushed.scope)) {
            Ok(at) => scopes.get_mut(at).map(|one| std::mem::replace(&mut one.file, pushed.file)),
            Err(at) => {
                scopes.insert(at, pushed);
                None
            }
        }
    }

    /// Goes back to what was before [`PushedScopes::replace`]. What is revoked stays so.
    pub fn restore(&self, scope: &Scope, before: Option<PathBuf>) {
        let scopes = &mut self.0.lock().scopes;
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
