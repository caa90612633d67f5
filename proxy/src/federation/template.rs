//! Whether a URI may be one of a template's (RFC 6570). Errs on the side of yes: what an expression stands for is anything.

/// Whether `uri` can be made from `template`.
pub(super) fn matches(template: &str, uri: &str) -> bool {
    let mut rest = uri;
    let mut literals = literals(template).peekable();
    let mut is_first = true;
    while let Some(literal) = literals.next() {
        let is_last = literals.peek().is_none();
        rest = match (is_first, is_last) {
            (true, true) => return rest == literal,
            (true, false) => match rest.strip_prefix(literal) {
                Some(rest) => rest,
                None => return false,
            },
            (false, true) => return rest.ends_with(literal),
            // The earliest place leaves the most for the literals behind it.
            (false, false) => match rest.split_once(literal) {
                Some((_, rest)) => rest,
                None => return false,
            },
        };
        is_first = false;
    }
    true
}

/// What stands before, between and behind the expressions; all of a text without any.
fn literals(template: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(template);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((literal, tail)) = text.split_once('{') else {
            rest = None;
            return Some(text);
        };
        rest = Some(tail.split_once('}').map_or("", |(_, tail)| tail));
        Some(literal)
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_template_matches_what_can_be_made_from_it() {
        for (template, uri, expected) in [
            ("test://static", "test://static", true),
            ("test://static", "test://static/x", false),
            ("test://template/{id}/data", "test://template/123/data", true),
            ("test://template/{id}/data", "test://template/123/other", false),
            ("test://template/{id}/data", "test://template//data", true),
            ("file:///{+path}", "file:///a/b/c", true),
            ("file:///{+path}", "http:///a/b/c", false),
            ("{scheme}://{host}/x", "a://b/x", true),
            ("{scheme}://{host}/x", "a:/b/x", false),
            ("a{x}b{y}c", "abc", true),
            ("a{x}b{y}c", "abbbc", true),
            ("a{x}b{y}c", "ac", false),
            ("a{x}a", "a", false),
            ("db://{table}{?limit}", "db://t?limit=5", true),
            ("{+any}", "", true),
            ("broken{", "broken", true),
            ("broken{x", "brokenness", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(template, uri), expected, "{template} {uri}");
        }
    }
}
