//! The text of a policy file before Cedar parses it: split into policies, bounded, and checked for two
//! forms that are no Cedar.
//!
//! Tokens follow Cedar's lexical rules (<https://docs.cedarpolicy.com/policies/syntax-grammar.html>): strings
//! with backslash escapes, `//` comments up to a carriage return or line feed. Each policy is parsed on its own,
//! so that one error does not hide the next and every position can be given in the file's terms.

use super::problem::Problem;

/// Policies nested deeper than this are refused: the parser and the validator recurse.
const NESTING_MAX: usize = 32;

/// Operators in one policy: the depth of a chain such as `a.b.c` or `a && b && c`.
const OPERATORS_MAX: usize = 1000;

/// A policy file.
#[derive(Debug)]
pub(super) struct Source {
    /// The path as shown in messages: relative to the bundle.
    pub(super) path: String,
    text: String,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
}

/// One policy of a file.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Where it begins in the file.
    pub(super) offset: usize,
    /// The text for Cedar's parser, of the same length as in the file.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Word,
    Text,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: TokenKind,
    text: &'a str,
    at: usize,
}

impl Source {
    pub(super) fn new(path: String, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self { path, text, lines }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of an offset, both from 1; columns count characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |text| text.chars().count());
        (line, column + 1)
    }

    /// A problem at an offset.
    pub(super) fn problem(&self, offset: usize, message: impl Into<String>) -> Problem {
        let (line, column) = self.position(offset);
        Problem { path: self.path.clone(), line, column, policy: None, message: message.into() }
    }

    /// Splits the file into its policies. What follows the last `;` counts as one too: Cedar says what it lacks.
    pub(super) fn statements(&self) -> Result<Vec<Statement>, Problem> {
        if let Some(at) = self.text.bytes().position(|byte| byte == 0) {
            return Err(self.problem(at, "the file contains a NUL character"));
        }
        let tokens = self.tokens()?;
        let is_end = |token: &Token<'_>| token.kind == TokenKind::Other && token.text == ";";
        tokens.split_inclusive(is_end).map(|tokens| self.statement(tokens)).collect()
    }

    fn statement(&self, tokens: &[Token<'_>]) -> Result<Statement, Problem> {
        self.check_size(tokens)?;
        self.check_null(tokens)?;
        let offset = tokens.first().map_or(0, |token| token.at);
        let end = tokens.last().map_or(0, |token| token.at + token.text.len());
        let mut text = self.text.get(offset..end).unwrap_or_default().as_bytes().to_vec();
        for at in self.redact_keywords(tokens)? {
            // The same length, so that Cedar's positions stay those of the file.
            if let Some(bytes) = text.get_mut(at.start - offset..at.end - offset) {
                bytes.fill(b' ');
            }
        }
        let text = String::from_utf8(text).map_err(|_| self.problem(offset, "the policy is not UTF-8"))?;
        Ok(Statement { offset, text })
    }

    fn check_size(&self, tokens: &[Token<'_>]) -> Result<(), Problem> {
        let mut depth = 0_usize;
        let mut operators = 0;
        for token in tokens {
            match (token.kind, token.text) {
                (TokenKind::Other, "(" | "[" | "{") => depth += 1,
                (TokenKind::Other, ")" | "]" | "}") => depth = depth.saturating_sub(1),
                (TokenKind::Other, "," | ";" | ":" | "::" | "@") => {}
                (TokenKind::Other, _) | (TokenKind::Word, "if" | "has" | "like" | "in" | "is") => {
                    operators += 1
                }
                _ => {}
            }
            if depth > NESTING_MAX {
                return Err(self.problem(token.at, format!("brackets are nested deeper than {NESTING_MAX}")));
            }
            if operators > OPERATORS_MAX {
                let message =
                    format!("a policy has more than {OPERATORS_MAX} operators: split it, or use a set");
                return Err(self.problem(token.at, message));
            }
        }
        Ok(())
    }

    /// Cedar has no `null`, but people write it.
    fn check_null(&self, tokens: &[Token<'_>]) -> Result<(), Problem> {
        for (at, token) in tokens.iter().enumerate() {
            let other = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text);
            let is_name = matches!(other(at.checked_sub(1)), "." | "has" | "@" | "::")
                || matches!(other(Some(at + 1)), ":" | "::" | "(");
            if token.kind == TokenKind::Word && token.text == "null" && !is_name {
                return Err(self.problem(token.at, null_advice(tokens.get(..at).unwrap_or_default())));
            }
        }
        Ok(())
    }

    /// The `field =` of every `@redact(field = "…")`: the form of `@redact("…")`.
    fn redact_keywords(&self, tokens: &[Token<'_>]) -> Result<Vec<std::ops::Range<usize>>, Problem> {
        let mut found = Vec::new();
        for window in tokens.windows(6) {
            let [sign, name, open, field, equals, value] = window else { continue };
            let is_keyword =
                sign.text == "@" && name.text == "redact" && open.text == "(" && equals.text == "=";
            if !is_keyword || value.kind != TokenKind::Text {
                continue;
            }
            if field.text != "field" {
                let message = format!("`@redact` has no `{}`: write `@redact(\"{}\")`", field.text, "email");
                return Err(self.problem(field.at, message));
            }
            found.push(field.at..equals.at + equals.text.len());
        }
        for window in tokens.windows(4) {
            let [comma, name, equals, value] = window else { continue };
            let follows = comma.text == "," && equals.text == "=" && value.kind == TokenKind::Text;
            if follows && name.text == "mode" {
                let message = format!("the mode is an annotation of its own: `@redact_mode({})`", value.text);
                return Err(self.problem(name.at, message));
            }
        }
        Ok(found)
    }

    fn tokens(&self) -> Result<Vec<Token<'_>>, Problem> {
        let mut tokens = Vec::new();
        let mut rest = self.text.as_str();
        while let Some(first) = rest.chars().next() {
            let at = self.text.len() - rest.len();
            let (kind, length) = match first {
                character if character.is_whitespace() => (None, first.len_utf8()),
                '/' if rest.starts_with("//") => (None, rest.find(['\n', '\r']).unwrap_or(rest.len())),
                '"' => match text_length(rest) {
                    Some(length) => (Some(TokenKind::Text), length),
                    None => return Err(self.problem(at, "the string that begins here does not end")),
                },
                character if is_word(character) => {
                    let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
                    (Some(TokenKind::Word), end)
                }
                _ if DOUBLE.iter().any(|double| rest.starts_with(double)) => (Some(TokenKind::Other), 2),
                _ => (Some(TokenKind::Other), first.len_utf8()),
            };
            let (text, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            if let Some(kind) = kind {
                tokens.push(Token { kind, text, at });
            }
            rest = after;
        }
        Ok(tokens)
    }
}

/// Operators of two characters.
const DOUBLE: [&str; 7] = ["&&", "||", "==", "!=", "<=", ">=", "::"];

fn is_word(character: char) -> bool {
    character == '_' || character.is_ascii_alphanumeric()
}

/// The length of the string literal that `text` starts with, quotes included.
fn text_length(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(at + 1),
            '\\' => {
                characters.next()?;
            }
            _ => {}
        }
    }
    None
}

/// What to write instead of a comparison with `null`, from the tokens before it.
fn null_advice(before: &[Token<'_>]) -> String {
    let words: Vec<&str> = before.iter().rev().map(|token| token.text).take(40).collect();
    let (negated, path) = match words.as_slice() {
        ["!=", path @ ..] => (false, path),
        ["==", path @ ..] => (true, path),
        _ => {
            return "Cedar has no `null`: write `context has approval_token` to test for presence".to_owned();
        }
    };
    let mut names = Vec::new();
    for pair in path.chunks(2) {
        match pair {
            [name, "."] => names.push(*name),
            [name, ..] => {
                names.push(*name);
                break;
            }
            [] => break,
        }
    }
    names.reverse();
    let form = match names.as_slice() {
        [owner @ .., last] if !owner.is_empty() => format!("{} has {last}", owner.join(".")),
        _ => "context has approval_token".to_owned(),
    };
    let form = if negated { format!("!({form})") } else { form };
    format!("Cedar has no `null`: write `{form}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("a.cedar".to_owned(), text.to_owned())
    }

    fn check(text: &str, expected: &[&str]) {
        let statements = source(text).statements().unwrap();
        let texts: Vec<_> = statements.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(texts, expected);
        for statement in statements {
            assert_eq!(text.get(statement.offset..).unwrap().chars().next(), statement.text.chars().next());
        }
    }

    fn refuse(text: &str, expected: &str) {
        assert_eq!(source(text).statements().unwrap_err().to_string(), expected);
    }

    #[test]
    fn splits_at_semicolons_outside_strings_and_comments() {
        check("", &[]);
        check("// only ; a comment\n  ", &[]);
        check("permit(a);  forbid(b) ;", &["permit(a);", "forbid(b) ;"]);
        check("x\";//\\\"\" ; // y;\rz;", &["x\";//\\\"\" ;", "z;"]);
        check("a; b", &["a;", "b"]);
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let source = source("\u{e4}\u{e4}x\n\u{e4} y");
        assert_eq!(source.position(4), (1, 3));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(9), (2, 3));
    }

    #[test]
    fn the_named_form_of_redact_is_understood() {
        check("@redact(field=\"email\") permit(a);", &["@redact(      \"email\") permit(a);"]);
        check(
            "@redact ( field // = \n = \"email\")permit(a);",
            &["@redact (                \"email\")permit(a);"],
        );
        check(
            "@advice(\"@redact(field=\\\"x\\\")\") permit(a);",
            &["@advice(\"@redact(field=\\\"x\\\")\") permit(a);"],
        );
        refuse(
            "@redact(name=\"email\") permit(a);",
            "a.cedar:1:9: `@redact` has no `name`: write `@redact(\"email\")`",
        );
        refuse(
            "@redact(field=\"email\", mode=\"remove\") permit(a);",
            "a.cedar:1:24: the mode is an annotation of its own: `@redact_mode(\"remove\")`",
        );
    }

    #[test]
    fn null_is_refused_with_the_form_to_write() {
        for (condition, form) in [
            ("context.approval_token != null", "context has approval_token"),
            ("context.approval_token == null", "!(context has approval_token)"),
            ("context.arguments.repo != null", "context.arguments has repo"),
            ("null == context.x", "context has approval_token` to test for presence"),
        ] {
            let error = source(&format!("permit(a) when {{ {condition} }};")).statements().unwrap_err();
            assert!(error.message.contains(form), "{error}");
        }
        check(
            "@null(\"x\") permit(a) when { context has null && {null: \"null\"}.null };",
            &["@null(\"x\") permit(a) when { context has null && {null: \"null\"}.null };"],
        );
    }

    #[test]
    fn hostile_texts_are_refused() {
        refuse("permit(\"abc;", "a.cedar:1:8: the string that begins here does not end");
        refuse("permit(\"abc\\", "a.cedar:1:8: the string that begins here does not end");
        refuse("// \0\npermit(a);", "a.cedar:1:4: the file contains a NUL character");
        refuse(&"(".repeat(100_000), "a.cedar:1:33: brackets are nested deeper than 32");
        refuse(
            &"!".repeat(100_000),
            "a.cedar:1:1001: a policy has more than 1000 operators: split it, or use a set",
        );
    }
}
