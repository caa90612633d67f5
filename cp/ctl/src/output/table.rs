//! Aligned columns. A row is one line: what is longer than a cell may be ends in `…`, and is whole in JSON.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::text::plain;

/// The widest cell.
const CELL_MAX: usize = 72;
const GAP: usize = 2;

/// Rows below their headings.
#[derive(Debug)]
pub struct Rows {
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// No rows yet.
    pub fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|column| (*column).to_owned()).collect()] }
    }

    /// Adds a row. What is empty is shown as `-`.
    pub fn push(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|text| cell(text)).collect());
    }

    /// The text, each row with its line end and without spaces at its end.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|text| text.width()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + GAP - cell.width()));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// One thing's fields, a line each.
pub(super) fn fields(columns: &[&str], cells: &[String]) -> String {
    let width = columns.iter().map(|column| column.width()).max().unwrap_or_default() + GAP;
    let mut text = String::new();
    for (column, cell) in columns.iter().zip(cells) {
        let cell = if cell.is_empty() { "-".into() } else { plain(cell) };
        text.push_str(&format!("{column:width$}{cell}\n"));
    }
    text
}

fn cell(text: &str) -> String {
    let text = plain(text);
    if text.is_empty() {
        return "-".to_owned();
    }
    if text.width() <= CELL_MAX {
        return text.into_owned();
    }
    let mut short = String::new();
    let mut width = 1;
    for letter in text.chars() {
        width += letter.width().unwrap_or_default();
        if width > CELL_MAX {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_they_hold() {
        let mut rows = Rows::new(&["NAME", "DISPLAY NAME", "X"]);
        rows.push(&["acme-corp".to_owned(), "Acme, Inc.".to_owned(), String::new()]);
        rows.push(&["東京".to_owned(), "a\u{1b}[31m\nb".to_owned(), "1".to_owned()]);
        let expected = "NAME       DISPLAY NAME  X\nacme-corp  Acme, Inc.    -\n東京       a\u{fffd}[31m\u{fffd}b      1\n";
        assert_eq!(rows.text(), expected);
    }

    #[test]
    fn a_row_is_a_line() {
        let mut rows = Rows::new(&["REASON"]);
        rows.push(&["x".repeat(500)]);
        let text = rows.text();
        assert!(text.ends_with("x…\n"), "{text}");
        assert_eq!(text.lines().last().map(str::width), Some(CELL_MAX));
    }

    #[test]
    fn fields_are_whole() {
        let long = "x".repeat(500);
        assert_eq!(
            fields(&["A", "LONG"], &[String::new(), long.clone()]),
            format!("A     -\nLONG  {long}\n")
        );
    }
}
