//! What would change, as the difference of two texts.

use similar::TextDiff;

/// Lines around a change.
const CONTEXT: usize = 3;

/// A unified diff; none where the texts are equal.
pub fn unified(name: &str, before: &str, after: &str) -> Option<String> {
    if before == after {
        return None;
    }
    let diff = TextDiff::from_lines(before, after);
    let (old, new) = (format!("{name} (live)"), format!("{name} (as written)"));
    Some(
        diff.unified_diff()
            .context_radius(CONTEXT)
            .missing_newline_hint(false)
            .header(&old, &new)
            .to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let before = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n";
        let expected =
            "--- x (live)\n+++ x (as written)\n@@ -2,4 +2,4 @@\n b: 2\n c: 3\n d: 4\n-e: 5\n+e: 6\n";
        assert_eq!(unified("x", before, &before.replace('5', "6")).as_deref(), Some(expected));
        assert_eq!(unified("x", before, before), None);
        assert!(unified("x", "", "a: 1\n").unwrap().contains("@@ -0,0 +1 @@\n+a: 1\n"));
    }
}
