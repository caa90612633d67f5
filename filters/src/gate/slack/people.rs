//! Who may approve, and who asks: users and user groups of Slack, remembered for a while.
//!
//! INVARIANT: what was remembered too long is asked again, and where Slack does not answer nobody may approve.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::api::Api;
use crate::gate::settings::SlackApprovers;
use crate::gate::{GateError, NotCounted};

const EMAILS_MAX: usize = 4096;
const EMAIL_TTL: Duration = Duration::from_secs(300);

/// Something that was found out, and when.
type Known<T> = (Instant, T);

/// Who may approve, and who asks.
pub(super) struct People {
    users: HashSet<String>,
    groups: Vec<String>,
    group_ttl: Duration,
    members: Mutex<HashMap<String, Known<Arc<HashSet<String>>>>>,
    emails: Mutex<HashMap<String, Known<Option<String>>>>,
}

impl People {
    pub(super) fn new(approvers: SlackApprovers, group_ttl: Duration) -> Self {
        Self {
            users: approvers.users.into_iter().collect(),
            groups: approvers.groups,
            group_ttl,
            members: Mutex::default(),
            emails: Mutex::default(),
        }
    }

    /// Whether a user is on the list.
    pub(super) async fn may_approve(&self, api: &Api, user: &str) -> Result<bool, NotCounted> {
        if self.users.contains(user) {
            return Ok(true);
        }
        let mut unknown = false;
        for group in &self.groups {
            match self.members(api, group).await {
                Ok(members) if members.contains(user) => return Ok(true),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(group, %error, "the members of a user group cannot be found out");
                    unknown = true;
                }
            }
        }
        if unknown { Err(NotCounted::Unknown) } else { Ok(false) }
    }

    async fn members(&self, api: &Api, group: &str) -> Result<Arc<HashSet<String>>, GateError> {
        let known = self.members.lock().get(group).cloned();
        if let Some((at, members)) = known
            && at.elapsed() < self.group_ttl
        {
            return Ok(members);
        }
        let members: Arc<HashSet<String>> = Arc::new(api.members(group).await?.into_iter().collect());
        self.members.lock().insert(group.to_owned(), (Instant::now(), Arc::clone(&members)));
        Ok(members)
    }

    /// The user with an e-mail address.
    pub(super) async fn user_by_email(&self, api: &Api, email: &str) -> Result<Option<String>, GateError> {
        let known = self.emails.lock().get(email).cloned();
        if let Some((at, user)) = known
            && at.elapsed() < EMAIL_TTL
        {
            return Ok(user);
        }
        let user = api.user_by_email(email).await?;
        let mut emails = self.emails.lock();
        if emails.len() >= EMAILS_MAX {
            emails.retain(|_, (at, _)| at.elapsed() < EMAIL_TTL);
        }
        if emails.len() >= EMAILS_MAX {
            emails.clear();
        }
        emails.insert(email.to_owned(), (Instant::now(), user.clone()));
        Ok(user)
    }
}
