//! What a decision document says: of Rego in the process, and of an OPA elsewhere.
//!
//! INVARIANT: only `true`, and an object with `allow: true` and nothing that is not understood, is a permit.

use mcpg_sdk::Obligation;
use mcpg_sdk::policy::{EngineDecision, EngineError};
use serde::Deserialize;
use serde_json::Value;

/// Policies that a decision may name, and obligations that it may have.
const LIST_MAX: usize = 256;
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 1024;

/// How answers are understood.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// What a decision that names no policy is recorded under.
    pub(super) decision: String,
    /// What may be asked for; none: anything.
    pub(super) declared: Option<Vec<Obligation>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    allow: bool,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    obligations: Vec<Value>,
}

impl Reader {
    /// Reads a decision; none is an undefined one.
    pub(super) fn read(&self, value: Option<Value>) -> Result<EngineDecision, EngineError> {
        let written = match value {
            None => {
                return Ok(EngineDecision::NotPermitted {
                    message: format!("`{}` is undefined", self.decision),
                });
            }
            Some(Value::Bool(allow)) => {
                Written { allow, reason: None, policies: Vec::new(), obligations: Vec::new() }
            }
            Some(object @ Value::Object(_)) => serde_json::from_value(object)
                .map_err(|error| self.problem(&format!("is no decision: {error}")))?,
            Some(_) => return Err(self.problem("is neither a boolean nor an object")),
        };
        if written.policies.len() > LIST_MAX || written.obligations.len() > LIST_MAX {
            return Err(self.problem("names too many policies or obligations"));
        }
        if !written.allow {
            let reason = written.reason.map(shortened);
            let message = reason.unwrap_or_else(|| format!("`{}` does not allow it", self.decision));
            return Ok(match written.policies.into_iter().next() {
                Some(policy) => EngineDecision::Forbid { policy: shortened(policy), message },
                None => EngineDecision::NotPermitted { message },
            });
        }
        let mut obligations = Vec::with_capacity(written.obligations.len());
        for obligation in written.obligations {
            obligations.push(self.obligation(&obligation)?);
        }
        let mut policies = written.policies;
        if policies.is_empty() {
            policies.push(self.decision.clone());
        }
        Ok(EngineDecision::Permit { policies, obligations })
    }

    fn obligation(&self, value: &Value) -> Result<Obligation, EngineError> {
        let bad = |error: &dyn std::fmt::Display| self.problem(&format!("has a bad obligation: {error}"));
        let text = value.as_str().ok_or_else(|| bad(&"it is no string"))?;
        let obligation = text.parse::<Obligation>().map_err(|error| bad(&error))?;
        if self.declared.as_ref().is_some_and(|declared| !declared.contains(&obligation)) {
            return Err(bad(&format!("`{obligation}` is not in the setting `obligations`")));
        }
        Ok(obligation)
    }

    pub(super) fn problem(&self, problem: &str) -> EngineError {
        EngineError::Evaluation { policy: self.decision.clone(), problem: problem.to_owned() }
    }
}

/// A text that is not longer than anybody wants to read.
fn shortened(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        let end = (0..=REASON_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tests write it in place")]
    fn check(value: Option<Value>, declared: Option<&[&str]>, expected: &str) {
        let declared = declared.map(|all| all.iter().map(|text| text.parse().unwrap()).collect());
        let reader = Reader { decision: "data.mcpg.decision".to_owned(), declared };
        let shown = match reader.read(value.clone()) {
            Ok(EngineDecision::Permit { policies, obligations }) => {
                let obligations: Vec<String> = obligations.iter().map(ToString::to_string).collect();
                format!("permit {} {}", policies.join(","), obligations.join(","))
            }
            Ok(EngineDecision::Forbid { policy, message }) => format!("forbid {policy} {message}"),
            Ok(EngineDecision::NotPermitted { message }) => format!("not permitted {message}"),
            Err(error) => error.code().to_owned(),
        };
        assert_eq!(shown.trim_end(), expected, "{value:?}");
    }

    #[test]
    fn only_what_is_understood_whole_permits() {
        check(Some(json!(true)), None, "permit data.mcpg.decision");
        check(Some(json!({"allow": true})), None, "permit data.mcpg.decision");
        let full =
            json!({"allow": true, "reason": "r", "policies": ["a", "b"], "obligations": ["redact:email"]});
        check(Some(full.clone()), None, "permit a,b redact:email");
        check(Some(full.clone()), Some(&["redact:email"]), "permit a,b redact:email");
        check(Some(full.clone()), Some(&["remove:email"]), "policy_error");
        check(Some(full), Some(&[]), "policy_error");
        check(Some(json!(false)), None, "not permitted `data.mcpg.decision` does not allow it");
        check(None, None, "not permitted `data.mcpg.decision` is undefined");
        check(Some(json!({"allow": false, "reason": "no"})), None, "not permitted no");
        check(Some(json!({"allow": false, "reason": "no", "policies": ["p"]})), None, "forbid p no");
        for bad in [
            json!(null),
            json!(1),
            json!("true"),
            json!([true]),
            json!({}),
            json!({"allow": "true"}),
            json!({"allow": 1}),
            json!({"allow": null}),
            json!({"reason": "r"}),
            json!({"allow": true, "obligation": ["redact:email"]}),
            json!({"allow": true, "obligations": "redact:email"}),
            json!({"allow": true, "obligations": ["redact"]}),
            json!({"allow": true, "obligations": [1]}),
            json!({"allow": true, "obligations": [{"redact": "email", "what": 1}]}),
            json!({"allow": true, "policies": [1]}),
            json!({"allow": true, "policies": vec!["p"; 257]}),
        ] {
            check(Some(bad), None, "policy_error");
        }
    }
}
