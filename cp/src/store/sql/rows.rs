//! Inserts of many rows at once. On SQLite each statement is a message to the thread that has the connection, and an answer: what is added by the thousand
//! goes in one statement for each [`ROWS_AT_ONCE`] rows, made by the compiler from that for one row.

use super::{Sql, starts_with};

/// An insert of rows: one or many at a time on SQLite, and a list for each column on PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Rows {
    /// For one row, with a list for each column on PostgreSQL.
    pub(in crate::store) one: Sql,
    /// For [`ROWS_AT_ONCE`] rows on SQLite. Each parameter stands once, the tenant first of each row.
    pub(in crate::store) many: &'static str,
}

/// Rows of one statement on SQLite: each statement is a message to the thread that has the connection, and an answer.
pub(in crate::store) const ROWS_AT_ONCE: usize = 50;

impl Rows {
    /// `sqlite` is what [`rows!`] makes of a statement.
    pub(in crate::store) const fn new(
        (one, many): (&'static str, &'static str),
        postgres: &'static str,
    ) -> Self {
        Self { one: Sql::each(one, postgres), many }
    }
}

/// An insert of one row with `VALUES ($1, $2, …)`, and the same of many.
macro_rules! rows {
    ($text:expr) => {{
        const ONE: &str = $text;
        const MANY: [u8; $crate::store::sql::many_rows::<0>(ONE).1] = $crate::store::sql::many_rows(ONE).0;
        match ::core::str::from_utf8(&MANY) {
            Ok(many) => (ONE, many),
            Err(_) => panic!("a statement is a text"),
        }
    }};
}
pub(in crate::store) use rows;

/// The text of a statement whose group of values stands [`ROWS_AT_ONCE`] times, each parameter without its number; and its length. A text without such a
/// group does not compile.
#[expect(clippy::indexing_slicing, reason = "the loops end at the lengths, and this runs in the compiler")]
pub(in crate::store) const fn many_rows<const N: usize>(text: &str) -> ([u8; N], usize) {
    const GROUP: &[u8] = b"VALUES (";
    let text = text.as_bytes();
    let mut start = 0;
    while !starts_with(text, start, GROUP) {
        start += 1;
        assert!(start < text.len(), "an insert without `VALUES ($1, …)`");
    }
    start += GROUP.len() - 1;
    let mut end = start;
    while text[end] != b')' {
        end += 1;
    }
    let (mut out, mut length, mut at, mut row) = ([0; N], 0, 0, 1);
    while at < text.len() {
        let is_number = start < at && at < end && text[at].is_ascii_digit();
        if !is_number {
            let is_parameter = start < at && at < end && text[at] == b'$';
            if length < N {
                out[length] = if is_parameter { b'?' } else { text[at] };
            }
            length += 1;
        }
        if at == end && row < ROWS_AT_ONCE {
            if length < N {
                out[length] = b',';
            }
            length += 1;
            row += 1;
            at = start;
        } else {
            at += 1;
        }
    }
    (out, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_have_each_parameter_once() {
        const TEXT: (&str, &str) =
            rows!("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = excluded.b");
        let groups = vec!["(?, ?)"; ROWS_AT_ONCE].join(",");
        let many =
            format!("INSERT INTO t (a, b) VALUES {groups} ON CONFLICT (a) DO UPDATE SET b = excluded.b");
        assert_eq!(TEXT.1, many);
    }
}
