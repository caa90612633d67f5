//! The user's own words in a message: in backticks, printable and short.

/// Characters that are repeated.
const LENGTH_MAX: usize = 64;

/// Puts a text in backticks, escaped, and cut if it is long.
pub(crate) fn quote(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(LENGTH_MAX) {
        match character {
            '\'' | '"' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(LENGTH_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `a`, `b` or `c`, each in backticks.
pub(crate) fn either<'a>(choices: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = choices.into_iter().map(quote).collect();
    match quoted.pop() {
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} or {last}", quoted.join(", ")),
        None => String::new(),
    }
}

/// `a`, `b`, `c`, each in backticks.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}
