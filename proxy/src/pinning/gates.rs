//! What follows from what is approved, what was seen, and the rules. Pure.

use std::collections::{HashMap, HashSet};

use mcpg_config::{OnNew, PinRules, Reaction};

use super::record::{Digest, Record, ToolKey};

/// Tools by binding and name.
pub(super) type ByTool = HashMap<String, HashMap<String, Sight>>;

/// What counts of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) digest: Digest,
    pub(super) hidden: Box<[String]>,
}

impl From<&Record> for Sight {
    fn from(record: &Record) -> Self {
        Self { digest: record.digest, hidden: record.hidden.clone().into() }
    }
}

/// What is to be said against a tool. Nothing: it is as it was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Findings {
    /// Nobody has approved a definition of it.
    pub is_new: bool,
    /// Its definition is not the approved one.
    pub is_changed: bool,
    /// It has hidden text that nobody has approved.
    pub has_hidden_text: bool,
}

impl Findings {
    /// Nothing.
    pub const NONE: Self = Self { is_new: false, is_changed: false, has_hidden_text: false };

    /// Compares what is seen with what is approved.
    pub(super) fn of(approved: Option<&Sight>, seen: &Sight) -> Self {
        let is_hidden_known = approved.is_some_and(|approved| approved.hidden == seen.hidden);
        Self {
            is_new: approved.is_none(),
            is_changed: approved.is_some_and(|approved| approved.digest != seen.digest),
            has_hidden_text: !seen.hidden.is_empty() && !is_hidden_known,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        !self.is_new && !self.is_changed && !self.has_hidden_text
    }

    /// Whether a new tool is approved as it is.
    pub(super) fn is_trusted_at_first_sight(&self, rules: &PinRules) -> bool {
        let hidden_holds = self.has_hidden_text && rules.hidden_text == Reaction::Hold;
        self.is_new && rules.on_new == OnNew::Trust && !hidden_holds
    }

    /// Whether the tool is withheld. A new one always is: were it trusted, it would be approved by now.
    pub fn is_withheld(&self, rules: &PinRules) -> bool {
        self.is_new
            || (self.is_changed && rules.on_change == Reaction::Hold)
            || (self.has_hidden_text && rules.hidden_text == Reaction::Hold)
    }

    /// The stable words for what there is.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        [(self.is_new, "new"), (self.is_changed, "changed"), (self.has_hidden_text, "hidden_text")]
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
    }
}

/// Which tools may not be called, by binding. A binding that is not here has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gates(pub(super) HashMap<String, Gate>);

/// Which tools of a binding may not be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// These.
    These(HashSet<String>),
    /// All but these.
    AllBut(HashSet<String>),
}

impl Gate {
    pub(super) fn withholds(&self, tool: &str) -> bool {
        match self {
            Self::These(withheld) => withheld.contains(tool),
            Self::AllBut(approved) => !approved.contains(tool),
        }
    }
}

/// What is known of all bindings.
#[derive(Default)]
pub(super) struct Known {
    /// The bindings that there are.
    pub(super) rules: HashMap<String, PinRules>,
    pub(super) approved: ByTool,
    pub(super) pending: ByTool,
    /// Tools whose definition cannot be read.
    pub(super) unreadable: HashMap<String, HashSet<String>>,
    /// Bindings of which not everything that is pending could be noted.
    pub(super) overflown: HashSet<String>,
}

impl Known {
    pub(super) fn rules(&self, binding: &str) -> PinRules {
        self.rules.get(binding).copied().unwrap_or_default()
    }

    pub(super) fn findings(&self, binding: &str, tool: &str, seen: &Sight) -> Findings {
        Findings::of(self.approved.get(binding).and_then(|tools| tools.get(tool)), seen)
    }

    /// Tools of a binding that await approval.
    pub(super) fn pending_count(&self, binding: &str) -> usize {
        self.pending.get(binding).map_or(0, HashMap::len)
    }

    /// Tools of a binding that are known and withheld.
    pub(super) fn withheld(&self, binding: &str) -> HashSet<String> {
        let rules = self.rules(binding);
        let pending = self.pending.get(binding).into_iter().flatten();
        let held = pending
            .filter(|(tool, seen)| self.findings(binding, tool, seen).is_withheld(&rules))
            .map(|(tool, _)| tool.clone());
        held.chain(self.unreadable.get(binding).into_iter().flatten().cloned()).collect()
    }

    /// What follows for calls.
    pub(super) fn gates(&self) -> Gates {
        let gate = |(binding, rules): (&String, &PinRules)| {
            let withheld = self.withheld(binding);
            if rules.on_new == OnNew::Hold || self.overflown.contains(binding) {
                let approved = self.approved.get(binding).into_iter().flat_map(HashMap::keys);
                let open = approved.filter(|tool| !withheld.contains(*tool)).cloned().collect();
                return Some((binding.clone(), Gate::AllBut(open)));
            }
            (!withheld.is_empty()).then(|| (binding.clone(), Gate::These(withheld)))
        };
        Gates(self.rules.iter().filter_map(gate).collect())
    }

    /// Forgets what is pending and has been approved meanwhile. Says what.
    pub(super) fn settle(&mut self) -> Vec<ToolKey> {
        let Self { approved, pending, .. } = self;
        let mut settled = Vec::new();
        for (binding, tools) in pending.iter_mut() {
            tools.retain(|tool, seen| {
                let pin = approved.get(binding).and_then(|tools| tools.get(tool));
                let is_open = !Findings::of(pin, seen).is_empty();
                if !is_open {
                    settled.push(ToolKey { binding: binding.clone(), tool: tool.clone() });
                }
                is_open
            });
        }
        settled
    }
}
