//! Arguments as an approver sees them: laid out over lines, with every token as it was sent.
//!
//! Numbers, escapes and duplicates stay as they are: a value that was parsed and written again could show another one than the
//! upstream reads. What a reader cannot see, or what turns the text around (control and format characters, direction marks,
//! tags), stands there as an escape.

use crate::transform::redact::Redactor;

/// Why arguments cannot be shown: then nobody can approve them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unshowable {
    /// More than anybody reads.
    #[error("the arguments are over the {bytes_max} bytes that an approver is shown")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// What must not be seen cannot be taken out.
    #[error("the arguments cannot be redacted")]
    Redaction,
}

/// The arguments as people are shown them: without what the redactors withhold, and laid out. INVARIANT: what is not redacted is
/// shown whole.
///
/// # Errors
/// When they cannot be shown.
pub fn show(arguments: &str, redactors: &[&Redactor], bytes_max: usize) -> Result<String, Unshowable> {
    let too_long = Unshowable::TooLong { bytes_max };
    if arguments.len() > bytes_max {
        return Err(too_long);
    }
    // Redactors read messages: the arguments are where they are looked for.
    let mut message = [BEFORE.as_bytes(), arguments.as_bytes(), AFTER.as_bytes()].concat();
    for redactor in redactors {
        message = redactor.redact(&message).map_err(|_| Unshowable::Redaction)?.into_owned();
    }
    let message = String::from_utf8(message).map_err(|_| Unshowable::Redaction)?;
    let redacted = message.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER));
    let shown = lay_out(redacted.ok_or(Unshowable::Redaction)?);
    if shown.len() > bytes_max.saturating_mul(LAID_OUT_MAX) { Err(too_long) } else { Ok(shown) }
}

const BEFORE: &str = r#"{"jsonrpc":"2.0","method":"m","params":{"arguments":"#;
const AFTER: &str = "}}";
/// How much longer the layout may be than what is laid out.
const LAID_OUT_MAX: usize = 3;

/// Lays out JSON text, which was judged to be valid. The text is no longer JSON where an escape was put in.
pub(super) fn lay_out(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 4);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        if in_string {
            push_visible(&mut out, char);
            match char {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match char {
            '"' => {
                in_string = true;
                out.push(char);
            }
            '{' | '[' => {
                out.push(char);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            white if white.is_ascii_whitespace() => {}
            other => push_visible(&mut out, other),
        }
    }
    out
}

/// A text on one line, with everything in it to be seen.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|char| push_visible(&mut out, char));
    out
}

/// How deep the layout goes: beyond, lines begin no further to the right.
const INDENT_MAX: usize = 16;

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(INDENT_MAX)));
}

fn push_visible(out: &mut String, char: char) {
    if is_visible(char) {
        out.push(char);
        return;
    }
    use std::fmt::Write as _;
    let mut units = [0; 2];
    for unit in char.encode_utf16(&mut units) {
        // Writing to a string does not fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Whether a character is to be seen, and leaves the order of what is around it alone.
fn is_visible(char: char) -> bool {
    !matches!(
        char,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_as_they_were_sent() {
        for (json, expected) in [
            ("{}", "{}"),
            ("{ \n }", "{}"),
            ("[]", "[]"),
            (r#"{"a":1}"#, "{\n  \"a\": 1\n}"),
            (
                r#"{ "a" : [1, {"b":{}}] ,"a":2}"#,
                "{\n  \"a\": [\n    1,\n    {\n      \"b\": {}\n    }\n  ],\n  \"a\": 2\n}",
            ),
            (r#"[1e400,12345678901234567890123,1.0]"#, "[\n  1e400,\n  12345678901234567890123,\n  1.0\n]"),
            (r#"{"a\u0062":"\"{,:\\"}"#, "{\n  \"a\\u0062\": \"\\\"{,:\\\\\"\n}"),
        ] {
            assert_eq!(lay_out(json), expected, "{json}");
        }
    }

    #[test]
    fn nothing_is_hidden() {
        let hidden = "a\u{202e}b\u{200b}c\u{feff}\u{e0041}\u{2028}ä日🙂";
        let expected = "a\\u202eb\\u200bc\\ufeff\\udb40\\udc41\\u2028ä日🙂";
        assert_eq!(visible(hidden), expected);
        assert_eq!(lay_out(&format!("\"{hidden}\"")), format!("\"{expected}\""));
        assert_eq!(visible("a\nb\r\u{1b}[31m"), "a\\u000ab\\u000d\\u001b[31m");
    }

    #[test]
    fn depth_takes_no_end_of_room() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(lay_out(&deep).lines().all(|line| line.len() <= 2 * INDENT_MAX + 1));
    }
}
