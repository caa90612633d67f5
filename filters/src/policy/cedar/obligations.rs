//! Obligations of a policy, from its annotations: `@redact("email,phone")`, `@redact_pointer("/structuredContent/rows")`,
//! `@redact_detector("card")`, `@redact_mode("hash")`, `@require_approval`, `@rate_class("bulk")` and `@note("…")`.
//!
//! An obligation that cannot be carried out as written is a load error, and so is an annotation that looks
//! like a misspelt one of ours: an obligation that is ignored is a leak.

use mcpg_sdk::{Obligation, ObligationError, RedactMode, Redacted};

use super::problem::nearest;

const ID: &str = "id";
const REDACT: &str = "redact";
const REDACT_POINTER: &str = "redact_pointer";
const REDACT_DETECTOR: &str = "redact_detector";
const REDACT_MODE: &str = "redact_mode";
const REQUIRE_APPROVAL: &str = "require_approval";
const RATE_CLASS: &str = "rate_class";
const NOTE: &str = "note";

const OURS: [&str; 7] =
    [REDACT, REDACT_POINTER, REDACT_DETECTOR, REDACT_MODE, REQUIRE_APPROVAL, RATE_CLASS, NOTE];

/// The obligations of a permit, sorted and without duplicates.
///
/// # Errors
/// What is wrong with an annotation and what to write.
pub(super) fn obligations<'a>(
    annotations: impl Iterator<Item = (&'a str, &'a str)>,
    is_permit: bool,
) -> Result<Vec<Obligation>, String> {
    let (mut redacted, mut others, mut mode) = (Vec::new(), Vec::new(), None);
    for (name, value) in annotations {
        let problem = |error: ObligationError| format!("`@{name}(\"{value}\")`: {error}");
        if OURS.contains(&name) && !is_permit {
            return Err(format!("`@{name}` on a `forbid` has no effect: put it on the `permit`"));
        }
        match name {
            ID => {}
            REDACT => {
                for field in value.split(',') {
                    redacted.push(field_of(field.trim())?);
                }
            }
            REDACT_POINTER => {
                for pointer in pointers_of(value) {
                    redacted.push(Redacted::pointer(pointer).map_err(problem)?);
                }
            }
            REDACT_DETECTOR => {
                for detector in value.split(',') {
                    redacted.push(Redacted::Detector(detector.trim().parse().map_err(problem)?));
                }
            }
            REDACT_MODE => mode = Some(value.parse::<RedactMode>().map_err(problem)?),
            REQUIRE_APPROVAL => {
                let gate = Some(value).filter(|gate| !gate.is_empty());
                others.push(Obligation::approval(gate).map_err(problem)?);
            }
            RATE_CLASS => others.push(Obligation::rate_class(value).map_err(problem)?),
            NOTE => others.push(Obligation::note(value).map_err(problem)?),
            other => check_foreign(other)?,
        }
    }
    if redacted.is_empty() && mode.is_some() {
        return Err(format!("`@{REDACT_MODE}` needs `@{REDACT}(\"FIELD\")` beside it"));
    }
    let mode = mode.unwrap_or_default();
    let redactions = redacted.into_iter().map(|what| Obligation::redact(what, mode));
    Ok(Obligation::unite(redactions.chain(others).collect()))
}

fn field_of(field: &str) -> Result<Redacted, String> {
    if field.is_empty() {
        return Err(format!(
            "`@{REDACT}` names no field: write `@{REDACT}(\"email\")` or `@{REDACT}(\"email,phone\")`"
        ));
    }
    Redacted::field(field).map_err(|error| match error {
        ObligationError::Path(_) => {
            let last = field.rsplit(['.', '/']).next().filter(|last| !last.is_empty()).unwrap_or("email");
            format!(
                "`@{REDACT}(\"{field}\")` looks like a path: a field is a member's name, redacted at any depth, \
                 such as `@{REDACT}(\"{last}\")`; a place is a `@{REDACT_POINTER}(\"/structuredContent/{last}\")`"
            )
        }
        error => format!("`@{REDACT}(\"{field}\")`: {error}"),
    })
}

/// Pointers with commas between them. A comma that no `/` follows is part of a name.
fn pointers_of(value: &str) -> Vec<&str> {
    let mut pointers = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(comma) = value.get(from..).and_then(|rest| rest.find(',')).map(|offset| from + offset) {
        from = comma + 1;
        if value.get(from..).is_some_and(|rest| rest.trim_start().starts_with('/')) {
            pointers.push(value.get(start..comma).unwrap_or_default().trim());
            start = from;
        }
    }
    pointers.push(value.get(start..).unwrap_or_default().trim());
    pointers
}

/// Other annotations are the author's own, unless they look like ours.
fn check_foreign(name: &str) -> Result<(), String> {
    let lower = name.to_lowercase();
    // `name` is no misspelt `note`: so short a word is near to too many.
    let near = nearest(&lower, OURS).filter(|near| *near != NOTE || lower == NOTE);
    let ours = lower.starts_with(REDACT) || lower.starts_with("mcpg");
    match near {
        Some(near) => Err(format!("there is no annotation `@{name}`: did you mean `@{near}`?")),
        None if ours => {
            let all = OURS.map(|ours| format!("`@{ours}`")).join(", ");
            Err(format!("there is no annotation `@{name}`: there are {all} and `@{ID}`"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(annotations: &[(&str, &str)], expected: Result<&[&str], &str>) {
        let found = obligations(annotations.iter().copied(), true);
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
            }
            (found, expected) => panic!("{annotations:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn redactions_are_read() {
        check(&[], Ok(&[]));
        check(&[("redact", "email")], Ok(&["redact:email"]));
        check(&[("redact", "phone, email,phone")], Ok(&["redact:email", "redact:phone"]));
        check(&[("redact", "email"), ("redact_mode", "remove")], Ok(&["remove:email"]));
        check(&[("redact", "email"), ("redact_mode", "hash")], Ok(&["hash:email"]));
        check(
            &[("redact_pointer", "/content/*/text, /structuredContent/a,b,/x"), ("redact_mode", "hash")],
            Ok(&["hash:pointer=/content/*/text", "hash:pointer=/structuredContent/a,b", "hash:pointer=/x"]),
        );
        check(
            &[("redact", "ssn"), ("redact_detector", "card, email")],
            Ok(&["redact:ssn", "redact:detector=email", "redact:detector=card"]),
        );
        check(&[("id", "a"), ("advice", "b"), ("owner", ""), ("read", ""), ("name", "n")], Ok(&[]));
    }

    #[test]
    fn other_obligations_are_read() {
        check(&[("require_approval", "")], Ok(&["approval"]));
        check(&[("require_approval", "gate.slack-approval")], Ok(&["approval:gate.slack-approval"]));
        check(&[("rate_class", "bulk"), ("note", "an export")], Ok(&["rate:bulk", "note:an export"]));
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        check(&[("redact", "")], Err("names no field"));
        check(&[("redact", "email,,phone")], Err("names no field"));
        check(&[("redact", "/contact/email")], Err("such as `@redact(\"email\")`"));
        check(&[("redact", "/contact/email")], Err("a place is a `@redact_pointer(\"/"));
        check(&[("redact", "$.email")], Err("looks like a path"));
        check(&[("redact", "contact.email")], Err("looks like a path"));
        check(&[("redact", "e*")], Err("looks like a path"));
        check(&[("redact_pointer", "a/b")], Err("no JSON pointer"));
        check(&[("redact_pointer", "")], Err("no JSON pointer"));
        check(&[("redact_pointer", "/a/b~")], Err("no JSON pointer"));
        check(&[("redact_detector", "card,iban")], Err("there is no detector `iban`"));
        check(&[("redact_mode", "mask")], Err("needs `@redact"));
        check(&[("redact", "email"), ("redact_mode", "blur")], Err("use `mask`, `hash` or `remove`"));
        check(&[("rate_class", "")], Err("is no name"));
        check(&[("require_approval", "a gate")], Err("is no name"));
        check(&[("note", "a\nb")], Err("a note is"));
        for name in ["redcat", "Redact", "redacts", "redact_modes", "redact_detectors", "redact_pointers"] {
            check(&[(name, "email")], Err("did you mean `@redact"));
        }
        check(&[("requires_approval", "")], Err("did you mean `@require_approval`"));
        check(&[("rate_clas", "")], Err("did you mean `@rate_class`"));
        check(&[("Note", "")], Err("did you mean `@note`"));
        check(&[("redact_everything", "")], Err("there is no annotation"));
        check(&[("mcpg_audit", "")], Err("there is no annotation"));
        for name in OURS {
            let refused = obligations([(name, "email")].into_iter(), false).unwrap_err();
            assert!(refused.contains("put it on the `permit`"), "{refused}");
        }
    }
}
