//! Which key is one that the gateway decides on, and which only looks like one to a lenient parser.
//!
//! Case-insensitive parsers (Go's `encoding/json`, Jackson and .NET when set so) take `Method` or
//! `param\u017f` for ours. The upstream may be one of them, so such keys are refused. The folding is
//! Unicode's `CaseFolding.txt` (simple, full and Turkic) as far as it can end in ASCII letters.

use crate::json::{Text, Unescaped};

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match<K> {
    /// One of the table.
    Known(K),
    /// Equal to this key of the table under folding only.
    Variant(&'static str),
    /// Neither.
    Other,
}

/// Looks `key` up in `table`.
pub(crate) fn look_up<K: Copy>(text: &str, key: Text, table: &[(&'static str, K)]) -> Match<K> {
    let Some(raw) = text.get(key.span.range()) else { return Match::Other };
    if key.escaped || !raw.is_ascii() {
        return look_up_slowly(raw, table);
    }
    for &(name, known) in table {
        if name.len() == raw.len() {
            if name == raw {
                return Match::Known(known);
            }
            if name.eq_ignore_ascii_case(raw) {
                return Match::Variant(name);
            }
        }
    }
    Match::Other
}

/// Whether `key` begins with `prefix` under folding but not as it is written.
pub(super) fn is_prefix_variant(text: &str, key: Text, prefix: &str) -> bool {
    let Some(raw) = text.get(key.span.range()) else { return false };
    if !key.escaped && raw.starts_with(prefix) {
        return false;
    }
    if !key.escaped && raw.is_ascii() {
        return raw.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    }
    let exact = Unescaped::new(raw).take(prefix.len()).eq(prefix.chars());
    !exact && folded(Unescaped::new(raw)).take(prefix.len()).eq(folded(prefix.chars()))
}

fn look_up_slowly<K: Copy>(raw: &str, table: &[(&'static str, K)]) -> Match<K> {
    let key = Unescaped::new(raw);
    for &(name, known) in table {
        if key.clone().eq(name.chars()) {
            return Match::Known(known);
        }
        if folded(key.clone()).eq(folded(name.chars())) {
            return Match::Variant(name);
        }
    }
    Match::Other
}

fn folded(characters: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    characters.flat_map(|c| fold(c).into_iter().flatten())
}

fn fold(c: char) -> [Option<char>; 3] {
    let one = |c| [Some(c), None, None];
    match c {
        'ſ' => one('s'),
        '\u{212a}' => one('k'),
        'ı' | 'İ' => one('i'),
        // What full folding leaves of `İ` beside the `i`.
        '\u{307}' => [None; 3],
        'ß' | 'ẞ' => [Some('s'), Some('s'), None],
        'ﬀ' => [Some('f'), Some('f'), None],
        'ﬁ' => [Some('f'), Some('i'), None],
        'ﬂ' => [Some('f'), Some('l'), None],
        'ﬃ' => [Some('f'), Some('f'), Some('i')],
        'ﬄ' => [Some('f'), Some('f'), Some('l')],
        'ﬅ' | 'ﬆ' => [Some('s'), Some('t'), None],
        _ => one(c.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Span;

    const TABLE: [(&str, u8); 5] = [("method", 0), ("params", 1), ("taskId", 2), ("_meta", 3), ("kind", 4)];

    fn key(raw: &str) -> Text {
        Text {
            span: Span { start: 0, end: u32::try_from(raw.len()).unwrap() },
            escaped: raw.contains('\\'),
            nul: false,
        }
    }

    #[test]
    fn a_key_is_known_only_as_it_is_written() {
        let check = |raw: &str, expected| assert_eq!(look_up(raw, key(raw), &TABLE), expected, "{raw}");
        check("method", Match::Known(0));
        check(r"\u006dethod", Match::Known(0));
        check("taskId", Match::Known(2));
        check("Method", Match::Variant("method"));
        check("METHOD", Match::Variant("method"));
        check(r"\u004dethod", Match::Variant("method"));
        check("param\u{17f}", Match::Variant("params"));
        check(r"param\u017f", Match::Variant("params"));
        check("PARAM\u{17f}", Match::Variant("params"));
        check("taskid", Match::Variant("taskId"));
        check("ta\u{17f}k\u{131}d", Match::Variant("taskId"));
        check("tas\u{212a}Id", Match::Variant("taskId"));
        check("task\u{130}d", Match::Variant("taskId"));
        check("taski\u{307}d", Match::Variant("taskId"));
        check("_META", Match::Variant("_meta"));
        check("\u{212a}ind", Match::Variant("kind"));
        check("methods", Match::Other);
        check("metho", Match::Other);
        check("", Match::Other);
        check("мethod", Match::Other);
    }

    #[test]
    fn a_prefix_is_a_variant_only_if_it_is_written_otherwise() {
        let check =
            |raw: &str, expected| assert_eq!(is_prefix_variant(raw, key(raw), "io.mcp/"), expected, "{raw}");
        check("io.mcp/x", false);
        check(r"io.mc\u0070/x", false);
        check("IO.mcp/x", true);
        check(r"\u0049o.mcp/x", true);
        check("\u{131}o.mcp/é", true);
        check("io.mcp", false);
        check("io.mcq/é", false);
        check("é", false);
    }
}
