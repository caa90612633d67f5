//! Names of things in the file: bindings, plugin entries, keys.

/// What a name must look like, for error messages.
pub(crate) const SLUG: &str = "use 1 to 40 of `a-z`, `0-9` and `-`";

/// Whether a text is such a name.
pub(crate) fn is_slug(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
