//! `reliability.rate-limit`: how often a caller may call, in all and per tool.
//!
//! Both limits are GCRA buckets: `requests` per `per` on average, `burst` at once. A call is charged when both
//! admit it, and to neither otherwise. State is keyed by scope and subject, so tenants never share a bucket.
//!
//! A call that policy put into a class is charged to it after the decision, on top of the limits before.
//!
//! INVARIANT: state is dropped only when its bucket is full again, which is what no state means. Nobody resets a
//! limit by making the gateway forget: where memory ends (`keys_max` callers, `tools_per_caller_max` tools of a
//! caller), what has no place of its own shares one bucket, which errs on the strict side. Tool names that a
//! caller invents fill that caller's own places only.

mod gcra;
mod settings;
mod table;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use mcpg_sdk::{Call, Caller, Settings, SettingsError, Target};

use gcra::Rate;
pub use settings::{PerToolSettings, RateLimitSettings, RateSettings};
use table::{Cell, Table};

use crate::registry::BuildContext;

/// The built-in's id.
pub const ID: &str = "reliability.rate-limit";

const SHARDS: usize = 64;

/// The limits of one scope, with what callers have used of them.
#[derive(Debug)]
pub struct RateLimit {
    per_caller: Option<Rate>,
    per_tool: Option<Rate>,
    tools: HashTable<(String, Rate)>,
    tools_hasher: RandomState,
    classes: BTreeMap<String, Rate>,
    tools_per_caller_max: usize,
    keys_max: usize,
    table: Arc<Table>,
}

impl RateLimit {
    /// Builds the limits from their settings.
    ///
    /// # Errors
    /// When the settings do not parse or name a tool of no binding.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: RateLimitSettings = settings.parse()?;
        settings.check(context.bindings)?;
        let RateLimitSettings { per_caller, per_tool, classes, keys_max, tools_per_caller_max } = settings;
        let nothing = per_caller.is_none() && per_tool.is_none() && classes.is_empty();
        let per_caller = per_caller.or_else(|| nothing.then(RateSettings::default));
        let per_tool = per_tool.unwrap_or_default();
        let tools_hasher = RandomState::new();
        let mut tools = HashTable::with_capacity(per_tool.tools.len());
        let hash = |entry: &(String, Rate)| hash_parts(&tools_hasher, &[entry.0.as_bytes()]);
        for (name, rate) in per_tool.tools {
            let entry = (name, rate.rate());
            tools.insert_unique(hash(&entry), entry, hash);
        }
        Ok(Self {
            per_caller: per_caller.map(|rate| rate.rate()),
            per_tool: per_tool.default.map(|rate| rate.rate()),
            tools,
            tools_hasher,
            classes: classes.into_iter().map(|(name, rate)| (name, rate.rate())).collect(),
            tools_per_caller_max,
            keys_max,
            table: Arc::new(Table::new(SHARDS)),
        })
    }

    /// Takes over what callers have used under the old revision's limits, so that a reload hands nobody a fresh
    /// burst. Where a limit has changed, a debt from before is capped at what the new limit could have made.
    pub fn inherit(&mut self, old: &Self) {
        self.table = Arc::clone(&old.table);
    }

    /// Charges one call to its caller, if the limits admit it. `now_ns` is a monotonic clock's.
    pub fn check(&self, caller: &Caller, call: &Call<'_>, now_ns: u64) -> Verdict {
        let tool = match call.target {
            Target::Tool(name) => self.tool_rate(call.binding, name),
            Target::Resource(_) | Target::Prompt(_) | Target::Binding => None,
        };
        if self.per_caller.is_none() && tool.is_none() {
            return Verdict::Allowed;
        }
        let key = self.table.caller_key(call.scope, &caller.subject);
        self.table.with_cell(key, self.keys_max / SHARDS, now_ns, |cell| self.charge(cell, tool, now_ns))
    }

    /// The classes that policy may put calls into.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(String::as_str)
    }

    /// Charges one call to a class of its caller, if that admits it. None if there is no such class here.
    pub fn check_class(&self, class: &str, caller: &Caller, call: &Call<'_>, now_ns: u64) -> Option<Verdict> {
        let rate = *self.classes.get(class)?;
        // No binding is called nothing, so no tool shares the place.
        let class = ToolRate { key: self.table.tool_key("", class), rate, places: usize::MAX };
        let key = self.table.caller_key(call.scope, &caller.subject);
        let wait = self.table.with_cell(key, self.keys_max / SHARDS, now_ns, |cell| {
            let used_until = cell.tool(class.key, class.places, now_ns);
            let wait = rate.wait(used_until, now_ns);
            if wait == 0 {
                rate.charge(used_until);
            }
            wait
        });
        let retry_after = Duration::from_nanos(wait);
        Some(if wait == 0 { Verdict::Allowed } else { Verdict::Limited { limit: Limit::Class, retry_after } })
    }

    fn charge(&self, cell: &mut Cell, tool: Option<ToolRate>, now_ns: u64) -> Verdict {
        let caller_wait = self.per_caller.map_or(0, |rate| rate.wait(&mut cell.used_until, now_ns));
        let tool_wait =
            tool.map_or(0, |tool| tool.rate.wait(cell.tool(tool.key, tool.places, now_ns), now_ns));
        if caller_wait == 0 && tool_wait == 0 {
            if let Some(rate) = self.per_caller {
                rate.charge(&mut cell.used_until);
            }
            if let Some(tool) = tool {
                tool.rate.charge(cell.tool(tool.key, tool.places, now_ns));
            }
            return Verdict::Allowed;
        }
        let limit = if caller_wait >= tool_wait { Limit::Caller } else { Limit::Tool };
        Verdict::Limited { limit, retry_after: Duration::from_nanos(caller_wait.max(tool_wait)) }
    }

    fn tool_rate(&self, binding: &str, name: &str) -> Option<ToolRate> {
        let key = || self.table.tool_key(binding, name);
        if !self.tools.is_empty() {
            let hash = hash_parts(&self.tools_hasher, &[binding.as_bytes(), b".", name.as_bytes()]);
            let named = |entry: &(String, Rate)| {
                let rest = entry.0.strip_prefix(binding).and_then(|rest| rest.strip_prefix('.'));
                rest == Some(name)
            };
            if let Some((_, rate)) = self.tools.find(hash, named) {
                // As many as the configuration names: bounded without counting.
                return Some(ToolRate { key: key(), rate: *rate, places: usize::MAX });
            }
        }
        self.per_tool.map(|rate| ToolRate { key: key(), rate, places: self.tools_per_caller_max })
    }
}

/// What a call's tool is charged with.
#[derive(Clone, Copy)]
struct ToolRate {
    key: u64,
    rate: Rate,
    places: usize,
}

/// Whether a call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does, and has been charged.
    Allowed,
    /// It does not: 429, with the time after which it would.
    Limited {
        /// The limit that refused it.
        limit: Limit,
        /// When to try again.
        retry_after: Duration,
    },
}

impl Verdict {
    /// The value of `Retry-After`: whole seconds, rounded up.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Allowed => None,
            Self::Limited { retry_after, .. } => {
                Some(retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)))
            }
        }
    }
}

/// Which of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// All calls of the caller.
    Caller,
    /// The caller's calls of one tool.
    Tool,
    /// The caller's calls of one class.
    Class,
}

impl Limit {
    /// The name in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "per_caller",
            Self::Tool => "per_tool",
            Self::Class => "class",
        }
    }
}

/// Hashes a text given in parts as if it were joined.
fn hash_parts(hasher: &RandomState, parts: &[&[u8]]) -> u64 {
    let mut hasher = hasher.build_hasher();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
