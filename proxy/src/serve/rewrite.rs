//! What is done to answers that pass straight through.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use mcpg_filters::policy::Listed;
use mcpg_protocol::catalogue::{Filtered, ListItem, ListKind, Prefix, filter_list, outward};
use mcpg_protocol::streams::{self, EventId};
use mcpg_protocol::{Era, Limits};
use mcpg_sdk::{Call, Caller, Target};

use crate::response::{Rewrite, Unwritable};
use crate::revision::{Revision, Route};

/// The answer of one binding of several: its resources, tasks and, in a session, the ids of its requests get its prefix.
pub(super) struct Outward {
    binding: Box<str>,
    prefix: Prefix,
    limits: Limits,
    era: Era,
    /// The raw id of the request that is answered: a stream that is resumed answers that one and no other.
    request: Option<Box<str>>,
}

impl Outward {
    pub(super) fn new(route: &Route, limits: Limits, era: Era, request: Option<&str>) -> Self {
        let (binding, request) = (route.id.as_str().into(), request.map(Box::from));
        Self { binding, prefix: Prefix::new(&route.id), limits, era, request }
    }
}

impl Rewrite for Outward {
    fn message(&mut self, json: &[u8]) -> Result<Option<Vec<u8>>, Unwritable> {
        let named = outward(json, &self.prefix, &self.limits).map_err(|_| Unwritable)?;
        if self.era == Era::Modern {
            return Ok(owned(named));
        }
        let text = std::str::from_utf8(&named).map_err(|_| Unwritable)?;
        match streams::outward(text, &self.binding, &self.limits).map_err(|_| Unwritable)? {
            std::borrow::Cow::Owned(routed) => Ok(Some(routed.into_bytes())),
            std::borrow::Cow::Borrowed(_) => Ok(owned(named)),
        }
    }

    fn event_id(&self, id: &[u8]) -> Option<Vec<u8>> {
        let id = std::str::from_utf8(id).ok().filter(|id| !id.is_empty())?;
        EventId::encode(&self.binding, self.request.as_deref(), id).map(String::into_bytes)
    }
}

/// A list of one binding: the caller sees what it may use.
pub(super) struct Shown {
    /// What the list is of.
    pub(super) kind: ListKind,
    /// What decides.
    pub(super) revision: Arc<Revision>,
    /// Whose list it is.
    pub(super) route: Arc<Route>,
    /// Who sees it.
    pub(super) caller: Arc<Caller>,
    /// From where.
    pub(super) source: IpAddr,
    /// When.
    pub(super) now: SystemTime,
    /// Whether the answer is in a revision that knows whom a list may be shared with.
    pub(super) private: bool,
    /// What is shown of the list that is next, in its order. Nothing until that is decided.
    pub(super) shown: Vec<bool>,
}

impl Rewrite for Shown {
    fn prepare<'a>(&'a mut self, json: &'a [u8]) -> Option<BoxFuture<'a, ()>> {
        if self.kind == ListKind::Tools {
            self.judge(json);
        }
        Some(Box::pin(async move { self.shown = self.decide(json).await }))
    }

    fn message(&mut self, json: &[u8]) -> Result<Option<Vec<u8>>, Unwritable> {
        let mut shown = std::mem::take(&mut self.shown).into_iter();
        let shows = |_: &ListItem<'_>| shown.next().unwrap_or(false);
        match filter_list(json, self.kind, &self.revision.message, self.private, shows) {
            Ok(Filtered::Untouched) => Ok(None),
            Ok(Filtered::Changed(changed)) => Ok(Some(changed)),
            Err(error) => {
                tracing::warn!(binding = self.route.id, %error, "a list cannot be shown");
                Err(Unwritable)
            }
        }
    }
}

impl Shown {
    /// Compares the definitions with the pinned ones. A list that is the one of last time says nothing new.
    fn judge(&self, json: &[u8]) {
        let mut tools: Vec<(String, String)> = Vec::new();
        let mut hasher = blake3::Hasher::new();
        let collect = |item: &ListItem<'_>| {
            hasher.update(&(item.text.len() as u64).to_le_bytes()).update(item.text.as_bytes());
            tools.push((item.name.clone().into_owned(), item.text.to_owned()));
            true
        };
        // What cannot be read is refused right after this.
        if filter_list(json, self.kind, &self.revision.message, false, collect).is_err() {
            return;
        }
        let pins = self.revision.scope.gates.pins();
        let judgement = (hasher.finalize(), *pins.version().borrow());
        if *self.route.judged.lock() != Some(judgement) {
            pins.judge(&self.route.id, &tools, self.now);
            *self.route.judged.lock() = Some(judgement);
        }
    }

    /// What of a list is shown, in its order.
    async fn decide(&self, json: &[u8]) -> Vec<bool> {
        let mut names: Vec<String> = Vec::new();
        let collect = |item: &ListItem<'_>| {
            names.push(item.name.clone().into_owned());
            true
        };
        // What cannot be read is refused right after this.
        if filter_list(json, self.kind, &self.revision.message, false, collect).is_err() {
            return Vec::new();
        }
        let scope = &self.revision.scope;
        let listed: Vec<Listed<'_>> = names.iter().map(|name| self.listed(name)).collect();
        let mut shown = scope.policy.shown(&self.caller, &listed).await.items;
        if self.kind == ListKind::Tools {
            let pins = scope.gates.pins();
            for (shown, name) in shown.iter_mut().zip(&names) {
                *shown &= !pins.is_withheld(&self.route.id, name);
            }
        }
        shown
    }

    fn listed<'a>(&'a self, name: &'a str) -> Listed<'a> {
        let (method, target) = match self.kind {
            ListKind::Tools => ("tools/call", Target::Tool(name)),
            ListKind::Prompts => ("prompts/get", Target::Prompt(name)),
            ListKind::Resources | ListKind::Templates => ("resources/read", Target::Resource(name)),
        };
        let call = Call {
            scope: &self.revision.scope.scope,
            binding: &self.route.id,
            method,
            target,
            arguments: None,
            source: self.source,
            now: self.now,
            approval_token: None,
        };
        Listed { call, is_template: self.kind == ListKind::Templates }
    }
}

fn owned(text: std::borrow::Cow<'_, [u8]>) -> Option<Vec<u8>> {
    match text {
        std::borrow::Cow::Owned(text) => Some(text),
        std::borrow::Cow::Borrowed(_) => None,
    }
}
