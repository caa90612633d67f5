//! The feeds of a binding: who wants the same gets the same.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use mcpg_protocol::Limits;
use mcpg_protocol::catalogue::ListKind;
use mcpg_protocol::streams::{Change, Changes, Filter};
use mcpg_sdk::{AuthMethod, Caller};
use parking_lot::Mutex;

use super::feed::{Feed, OnChange};
use super::source::Listening;
use crate::revision::Route;
use crate::upstream::OnBehalf;

/// Feeds of one binding: each is a stream at the upstream.
const FEEDS_MAX: usize = 1024;

/// The feeds of a binding. They live with its route, so a reload that does not change the binding keeps them.
#[derive(Default)]
pub struct Feeds(Mutex<HashMap<Filter, Weak<Feed>>>);

/// For whom the gateway listens where it makes no difference.
static GATEWAY: LazyLock<Arc<Caller>> = LazyLock::new(|| {
    Arc::new(Caller {
        subject: "gateway".to_owned(),
        audience: None,
        attributes: HashMap::new(),
        auth_method: AuthMethod::Anonymous,
    })
});

impl Feeds {
    /// The feed of what `filter` names, for everybody where the upstream does not tell callers apart. None if there are too many.
    pub(super) fn feed(
        route: &Arc<Route>,
        on_behalf: &OnBehalf<'_>,
        mut filter: Filter,
    ) -> Option<Arc<Feed>> {
        filter.resources.sort_unstable();
        filter.tasks.sort_unstable();
        if route.is_per_caller() || route.is_process_per_caller() {
            return Some(start(route, on_behalf, filter));
        }
        let everybody = OnBehalf { caller: &GATEWAY, bearer: None, traceparent: None };
        let mut feeds = route.feeds.0.lock();
        if let Some(feed) = feeds.get(&filter).and_then(Weak::upgrade) {
            return Some(feed);
        }
        if feeds.len() >= FEEDS_MAX {
            feeds.retain(|_, feed| feed.strong_count() > 0);
        }
        if feeds.len() >= FEEDS_MAX && filter.changes.is_empty() {
            return None;
        }
        let feed = start(route, &everybody, filter.clone());
        feeds.insert(filter, Arc::downgrade(&feed));
        Some(feed)
    }
}

fn start(route: &Arc<Route>, on_behalf: &OnBehalf<'_>, filter: Filter) -> Arc<Feed> {
    let source = Listening::new(route, on_behalf.to_owned(), filter);
    Feed::start(source, Arc::new(Forget(Arc::clone(route))), Limits::default())
}

/// Makes the gateway forget what has changed.
struct Forget(Arc<Route>);

impl OnChange for Forget {
    fn changed(&self, changes: Changes) {
        forget(&self.0, changes);
    }
}

/// What the gateway keeps of these lists of a binding is not what they are any more.
pub(super) fn forget(route: &Route, changes: Changes) {
    for change in changes.iter() {
        match change {
            Change::Tools => route.catalogues.changed(ListKind::Tools),
            Change::Prompts => route.catalogues.changed(ListKind::Prompts),
            Change::Resources => {
                route.catalogues.changed(ListKind::Resources);
                route.catalogues.changed(ListKind::Templates);
            }
        }
    }
}
