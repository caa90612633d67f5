//! The arguments of a call as a policy engine may read them: top-level members of the raw text.
//!
//! INVARIANT: the envelope pass has validated the text as JSON before it gets here. The walk below
//! finds member boundaries without copying; on a text that is no JSON object it fails, never guesses.
//! A name that occurs twice is an error, since the upstream might read the other one.

use std::borrow::Cow;

/// The raw `params.arguments` of a call.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    text: Option<&'a str>,
}

/// One top-level member: its name, still escaped and without quotes, and the raw text of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name between its quotes, not unescaped.
    pub raw_name: &'a str,
    /// The value's text.
    pub value: &'a str,
}

/// Why the arguments cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// Not a JSON object.
    #[error("the arguments are not a JSON object")]
    NotAnObject,
    /// The same name twice.
    #[error("the arguments name a member twice")]
    Duplicate,
}

impl<'a> Arguments<'a> {
    /// Wraps the raw text; absent arguments read like an empty object.
    pub fn new(text: Option<&'a str>) -> Self {
        Self { text }
    }

    /// The raw text as received.
    pub fn text(&self) -> Option<&'a str> {
        self.text
    }

    /// The value of the member called `name`, as raw text.
    ///
    /// # Errors
    /// When the arguments are no object or have the name twice.
    pub fn member(&self, name: &str) -> Result<Option<&'a str>, ArgumentsError> {
        let mut found = None;
        for member in self.members() {
            let member = member?;
            if member.is_called(name)? {
                if found.is_some() {
                    return Err(ArgumentsError::Duplicate);
                }
                found = Some(member.value);
            }
        }
        Ok(found)
    }

    /// The top-level members in the order of the text. Ends after the first error.
    pub fn members(&self) -> Members<'a> {
        match self.text.map(|text| text.trim_matches(is_space)) {
            None => Members { rest: Some("}"), first: true },
            Some(text) => Members { rest: Some(text.strip_prefix('{').unwrap_or("")), first: true },
        }
    }
}

impl<'a> Member<'a> {
    /// Whether the unescaped name is `name`.
    ///
    /// # Errors
    /// When the name is not a JSON string.
    pub fn is_called(&self, name: &str) -> Result<bool, ArgumentsError> {
        if self.raw_name.contains('\\') { Ok(self.name()? == name) } else { Ok(self.raw_name == name) }
    }

    /// The unescaped name.
    ///
    /// # Errors
    /// When the name is not a JSON string.
    pub fn name(&self) -> Result<Cow<'a, str>, ArgumentsError> {
        if !self.raw_name.contains('\\') {
            return Ok(Cow::Borrowed(self.raw_name));
        }
        serde_json::from_str::<String>(&format!("\"{}\"", self.raw_name))
            .map(Cow::Owned)
            .map_err(|_| ArgumentsError::NotAnObject)
    }
}

/// Iterator over the top-level members.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    /// What is left of the text after the opening brace; none at the end.
    rest: Option<&'a str>,
    first: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, ArgumentsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?.trim_start_matches(is_space);
        if let Some(after) = rest.strip_prefix('}') {
            return if after.is_empty() { None } else { Some(Err(ArgumentsError::NotAnObject)) };
        }
        match take_member(rest, self.first) {
            Some((member, rest)) => {
                self.rest = Some(rest);
                self.first = false;
                Some(Ok(member))
            }
            None => Some(Err(ArgumentsError::NotAnObject)),
        }
    }
}

fn take_member(rest: &str, first: bool) -> Option<(Member<'_>, &str)> {
    let rest = if first { rest } else { rest.strip_prefix(',')?.trim_start_matches(is_space) };
    let (name, rest) = rest.split_at_checked(string_end(rest)?)?;
    let raw_name = name.strip_prefix('"')?.strip_suffix('"')?;
    let rest = rest.trim_start_matches(is_space).strip_prefix(':')?.trim_start_matches(is_space);
    let (value, rest) = rest.split_at_checked(value_end(rest)?)?;
    Some((Member { raw_name, value: value.trim_end_matches(is_space) }, rest))
}

/// The length of the JSON string that `text` starts with, quotes included.
fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        // Contents of files pass through here: skip, do not step.
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The length of the value that `text` starts with, up to the `,` or `}` that ends its member.
fn value_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                at += string_end(text.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' | b'}' if depth == 0 => return if at == 0 { None } else { Some(at) },
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, expected: Result<Option<&str>, ArgumentsError>) {
        assert_eq!(Arguments::new(Some(text)).member(name), expected, "{text}");
    }

    #[test]
    fn finds_members() {
        check("{}", "a", Ok(None));
        check(r#" { "a" : 1 } "#, "a", Ok(Some("1")));
        check(r#"{"b":{"a":2},"a":[1,{"x":"}"}] , "c":null}"#, "a", Ok(Some(r#"[1,{"x":"}"}]"#)));
        check(r#"{"a":"x\"},{\\"}"#, "a", Ok(Some(r#""x\"},{\\""#)));
        check(r#"{"\u0061":"x"}"#, "a", Ok(Some(r#""x""#)));
        check(r#"{"A":1}"#, "a", Ok(None));
        check("{\"\u{e4}\":true}", "\u{e4}", Ok(Some("true")));
        assert_eq!(Arguments::new(None).member("a"), Ok(None));
    }

    #[test]
    fn refuses_what_is_ambiguous_or_no_object() {
        check(r#"{"a":1,"a":2}"#, "a", Err(ArgumentsError::Duplicate));
        check(r#"{"a":1,"\u0061":2}"#, "a", Err(ArgumentsError::Duplicate));
        for text in [
            "",
            "[]",
            "null",
            "1",
            "\"a\"",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":1",
            "{a:1}",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\":1 \"b\":2",
            "{,\"a\":1}",
            "{\"a\":1,}",
            "{\"a\":\"x}",
            "{\"a\":]}",
            "{\"\\ud800\":1}",
        ] {
            check(text, "a", Err(ArgumentsError::NotAnObject));
        }
    }

    #[test]
    fn deep_nesting_is_walked_without_recursion() {
        let text = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(200_000), "]".repeat(200_000));
        check(&text, "b", Ok(Some("1")));
    }
}
