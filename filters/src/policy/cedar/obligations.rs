//! Obligations of a policy, from its annotations: `@redact("email,phone")` and `@redact_mode("remove")`.
//!
//! An obligation that cannot be carried out as written is a load error, and so is an annotation that looks
//! like a misspelt one of ours: an obligation that is ignored is a leak.

use mcpg_sdk::{Obligation, RedactMode};

use super::problem::nearest;

const REDACT: &str = "redact";
const REDACT_MODE: &str = "redact_mode";
const ID: &str = "id";

/// The obligations of a permit, sorted and without duplicates.
///
/// # Errors
/// What is wrong with an annotation and what to write.
pub(super) fn obligations<'a>(
    annotations: impl Iterator<Item = (&'a str, &'a str)>,
    is_permit: bool,
) -> Result<Vec<Obligation>, String> {
    let (mut fields, mut mode) = (None, None);
    for (name, value) in annotations {
        match name {
            ID => {}
            REDACT => fields = Some(fields_of(value)?),
            REDACT_MODE => mode = Some(mode_of(value)?),
            other => check_foreign(other)?,
        }
    }
    match (fields, mode) {
        (None, None) => Ok(Vec::new()),
        (None, Some(_)) => Err(format!("`@{REDACT_MODE}` needs `@{REDACT}(\"FIELD\")` beside it")),
        (Some(_), _) if !is_permit => {
            Err(format!("`@{REDACT}` on a `forbid` has no effect: put it on the `permit`"))
        }
        (Some(fields), mode) => {
            let mode = mode.unwrap_or_default();
            let mut list: Vec<_> =
                fields.into_iter().map(|field| Obligation::Redact { field, mode }).collect();
            list.sort_unstable();
            list.dedup();
            Ok(list)
        }
    }
}

fn fields_of(value: &str) -> Result<Vec<String>, String> {
    value.split(',').map(|field| field_of(field.trim())).collect()
}

fn field_of(field: &str) -> Result<String, String> {
    if field.is_empty() {
        return Err(format!(
            "`@{REDACT}` names no field: write `@{REDACT}(\"email\")` or `@{REDACT}(\"email,phone\")`"
        ));
    }
    // What looks like a path would be looked for as a member's name, and never be found.
    if field.starts_with(['/', '$']) || field.contains(['.', '*', '[', ']']) {
        let last = field.rsplit(['.', '/']).next().filter(|last| !last.is_empty()).unwrap_or("email");
        return Err(format!(
            "`@{REDACT}(\"{field}\")` looks like a path: a field is a member's name, redacted at any depth, \
             such as `@{REDACT}(\"{last}\")`"
        ));
    }
    Ok(field.to_owned())
}

fn mode_of(value: &str) -> Result<RedactMode, String> {
    match value {
        "mask" => Ok(RedactMode::Mask),
        "remove" => Ok(RedactMode::Remove),
        other => Err(format!("`@{REDACT_MODE}(\"{other}\")`: use `mask` or `remove`")),
    }
}

/// Other annotations are the author's own, unless they look like ours.
fn check_foreign(name: &str) -> Result<(), String> {
    let lower = name.to_lowercase();
    let near = nearest(&lower, [REDACT, REDACT_MODE]);
    let ours = lower.starts_with(REDACT) || lower.starts_with("mcpg");
    match near {
        Some(near) => Err(format!("there is no annotation `@{name}`: did you mean `@{near}`?")),
        None if ours => Err(format!(
            "there is no annotation `@{name}`: there are `@{REDACT}`, `@{REDACT_MODE}` and `@{ID}`"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(annotations: &[(&str, &str)], expected: Result<&[(&str, RedactMode)], &str>) {
        let found = obligations(annotations.iter().copied(), true);
        let expected = expected.map(|fields| {
            let redact =
                |(field, mode): &(&str, _)| Obligation::Redact { field: (*field).to_owned(), mode: *mode };
            fields.iter().map(redact).collect()
        });
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => assert_eq!(found, expected.map_err(str::to_owned)),
        }
    }

    #[test]
    fn redactions_are_read() {
        use RedactMode::{Mask, Remove};
        check(&[], Ok(&[]));
        check(&[("redact", "email")], Ok(&[("email", Mask)]));
        check(&[("redact", "phone, email,phone")], Ok(&[("email", Mask), ("phone", Mask)]));
        check(&[("redact", "email"), ("redact_mode", "remove")], Ok(&[("email", Remove)]));
        check(&[("id", "a"), ("advice", "b"), ("owner", ""), ("read", "")], Ok(&[]));
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        check(&[("redact", "")], Err("names no field"));
        check(&[("redact", "email,,phone")], Err("names no field"));
        check(&[("redact", "/contact/email")], Err("such as `@redact(\"email\")`"));
        check(&[("redact", "$.email")], Err("looks like a path"));
        check(&[("redact", "contact.email")], Err("looks like a path"));
        check(&[("redact", "e*")], Err("looks like a path"));
        check(&[("redact_mode", "mask")], Err("needs `@redact"));
        check(&[("redact", "email"), ("redact_mode", "hash")], Err("use `mask` or `remove`"));
        for name in ["redcat", "Redact", "redacts", "redact_modes"] {
            check(&[(name, "email")], Err("did you mean `@redact"));
        }
        check(&[("redact_everything", "")], Err("there is no annotation"));
        check(&[("mcpg_audit", "")], Err("there is no annotation"));
        assert!(
            obligations([("redact", "email")].into_iter(), false)
                .unwrap_err()
                .contains("put it on the `permit`")
        );
    }
}
