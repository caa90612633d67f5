//! `policy.csv`: the rules and the role links, each with its line.
//!
//! Fields are separated by commas and trimmed; one in double quotes may hold commas, and quotes as `""` (RFC 4180). Lines that begin
//! with `#` are comments.

use super::model::Wrong;

/// A line of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    /// `p`, `g`, …
    pub(super) kind: String,
    pub(super) fields: Vec<String>,
}

/// Problems after which the rest is not looked for.
const PROBLEMS_MAX: usize = 20;

/// Reads a policy.
///
/// # Errors
/// What is wrong with its lines.
pub(super) fn lines(text: &str, lines_max: usize) -> Result<Vec<Line>, Vec<Wrong>> {
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    for (at, text) in text.lines().enumerate() {
        let number = at + 1;
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if lines.len() == lines_max {
            problems
                .push((number, format!("the policy has more than {lines_max} lines (`limits.rules_max`)")));
            break;
        }
        match fields(text) {
            Ok(mut fields) => {
                let kind = fields.remove(0);
                lines.push(Line { number, kind, fields });
            }
            Err(message) => problems.push((number, message.to_owned())),
        }
        if problems.len() == PROBLEMS_MAX {
            break;
        }
    }
    if problems.is_empty() { Ok(lines) } else { Err(problems) }
}

/// At least one.
fn fields(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let after;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, behind) =
                quoted_field(quoted).ok_or("the text that begins with a quote does not end")?;
            fields.push(field);
            after = behind.trim_start();
            if !after.is_empty() && !after.starts_with(',') {
                return Err("something follows a text in quotes");
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (field, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if field.contains('"') {
                return Err(
                    "a quote within a text: put the whole text in quotes, and write `\"\"` for each in it",
                );
            }
            if field.chars().any(char::is_control) {
                return Err("a control character");
            }
            fields.push(field.trim_end().to_owned());
            after = behind;
        }
        match after.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => return Ok(fields),
        }
    }
}

fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                rest = behind;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_told_apart() {
        let of = |line: &str| fields(line).map(|fields| fields.join("|"));
        assert_eq!(of("p, alice , data1,read").unwrap(), "p|alice|data1|read");
        assert_eq!(of("p, \"a, b\" ,\"say \"\"x\"\"\",").unwrap(), "p|a, b|say \"x\"|");
        assert_eq!(of("p").unwrap(), "p");
        assert!(of("p, \"a").is_err());
        assert!(of("p, \"a\" b").is_err());
        assert!(of("p, a\"b\"").is_err());
        assert!(of("p, a\0").is_err());
    }

    #[test]
    fn lines_keep_their_numbers() {
        let lines = lines("# roles\n\np, a\n  # more\ng, b, c\n", 10).unwrap();
        let numbers: Vec<_> = lines.iter().map(|line| (line.number, line.kind.as_str())).collect();
        assert_eq!(numbers, [(3, "p"), (5, "g")]);
        assert!(super::lines("p\np\np", 2).unwrap_err()[0].1.contains("more than 2 lines"));
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_as_it_was(texts in proptest::collection::vec("[^\\r\\n]{0,12}", 1..5)) {
            let line: Vec<_> = texts.iter().map(|text| format!("\"{}\"", text.replace('"', "\"\""))).collect();
            prop_assert_eq!(fields(&line.join(", ")).unwrap(), texts);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,64}") {
            let _ = lines(&text, 10);
        }
    }
}
