//! Tools that policies name, compared with those that bindings have.
//!
//! What an upstream serves is known when it is asked, long after the policies are loaded. A policy that names a tool that is not there may be
//! meant for another: a `forbid` with a typing error forbids nothing. It is said once for each list, and shown at `/revision`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mcpg_filters::policy::nearest_name;
use mcpg_protocol::catalogue::ListKind;
use mcpg_sdk::policy::PolicyEngine;
use parking_lot::Mutex;

use super::catalogue::Catalogue;

/// Warnings of one binding.
const WARNINGS_MAX: usize = 20;

/// By binding: engine and tool.
type Named = HashMap<Box<str>, Vec<(Box<str>, Box<str>)>>;

/// The tools that policies name.
#[derive(Default)]
pub struct NamedTools {
    named: Named,
    found: Mutex<BTreeMap<Box<str>, Found>>,
}

/// What a comparison found.
struct Found {
    /// Of the list that was compared.
    digest: [u8; 32],
    warnings: Vec<String>,
}

impl NamedTools {
    /// Those of some engines.
    pub fn of(engines: &[Arc<dyn PolicyEngine>]) -> Self {
        let mut named = Named::new();
        for engine in engines {
            for (binding, tool) in engine.named_tools() {
                named.entry(binding.into()).or_default().push((engine.id().into(), tool.into()));
            }
        }
        named.values_mut().for_each(|tools| tools.sort_unstable());
        named.values_mut().for_each(Vec::dedup);
        Self { named, found: Mutex::default() }
    }

    /// What is odd about the lists seen so far.
    pub fn warnings(&self) -> Vec<String> {
        self.found.lock().values().flat_map(|found| found.warnings.iter().cloned()).collect()
    }

    /// Compares a list that everybody sees.
    pub(super) fn compare(&self, binding: &str, list: &Catalogue) {
        let Some(named) = self.named.get(binding).filter(|_| list.kind() == ListKind::Tools) else { return };
        if self.found.lock().get(binding).is_some_and(|found| found.digest == *list.digest()) {
            return;
        }
        let missing = named.iter().filter(|(_, tool)| list.find(tool).is_none());
        let warnings: Vec<String> = missing
            .take(WARNINGS_MAX)
            .map(|(engine, tool)| {
                let nearest = nearest_name(tool, list.items().map(|item| item.name));
                let nearest = nearest.map(|name| format!(": did you mean `{binding}.{name}`?")).unwrap_or_default();
                format!("{engine}: the policies name `{binding}.{tool}`, and `{binding}` has no such tool{nearest}")
            })
            .collect();
        let found = Found { digest: *list.digest(), warnings: warnings.clone() };
        let before = self.found.lock().insert(binding.into(), found);
        let is_news =
            |warning: &&String| before.as_ref().is_none_or(|before| !before.warnings.contains(warning));
        for warning in warnings.iter().filter(is_news) {
            tracing::warn!(warning, "policy and tools do not fit");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcpg_protocol::Limits;
    use mcpg_protocol::catalogue::ListPage;
    use mcpg_sdk::policy::{EngineDecision, EngineError, PolicyInput, Reads};

    use super::super::catalogue::CatalogueBuilder;
    use super::*;

    struct Naming(Reads);

    impl PolicyEngine for Naming {
        fn id(&self) -> &'static str {
            "policy.test"
        }

        fn reads(&self) -> &Reads {
            &self.0
        }

        fn named_tools(&self) -> Vec<(String, String)> {
            ["read", "delet", "xyz"].map(|tool| ("files".to_owned(), tool.to_owned())).to_vec()
        }

        fn limit(&self) -> Duration {
            Duration::ZERO
        }

        fn decide(&self, _: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
            Ok(EngineDecision::NotPermitted { message: String::new() })
        }
    }

    fn list(names: &[&str]) -> Catalogue {
        let tools: Vec<String> =
            names.iter().map(|name| format!("{{\"name\":\"{name}\",\"inputSchema\":{{}}}}")).collect();
        let page = format!("{{\"tools\":[{}]}}", tools.join(","));
        let mut builder = CatalogueBuilder::new(ListKind::Tools);
        builder.add(&ListPage::parse(&page, ListKind::Tools, 100, &Limits::default()).unwrap()).ok().unwrap();
        builder.build().0
    }

    #[test]
    fn a_tool_that_is_not_there_is_said_with_the_nearest() {
        let named = NamedTools::of(&[Arc::new(Naming(Reads::everything()))]);
        named.compare("crm", &list(&[]));
        assert_eq!(named.warnings(), Vec::<String>::new());
        named.compare("files", &list(&["read", "delete"]));
        assert_eq!(
            named.warnings(),
            [
                "policy.test: the policies name `files.delet`, and `files` has no such tool: did you mean `files.delete`?",
                "policy.test: the policies name `files.xyz`, and `files` has no such tool",
            ]
        );
        named.compare("files", &list(&["read", "delet", "xyz"]));
        assert_eq!(named.warnings(), Vec::<String>::new(), "the tools have come");
    }
}
