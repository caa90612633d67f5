//! `WWW-Authenticate` (RFC 9110 section 11.6.1): who a registry wants to see.

use http::header::{self, HeaderMap};

/// Challenges that are looked at.
const CHALLENGES_MAX: usize = 8;

/// One challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: Scheme,
    parameters: Vec<(String, String)>,
}

/// How to answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Bearer,
    Basic,
    Other,
}

impl Challenge {
    /// All of an answer. What does not parse ends the list.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        texts.flat_map(read).take(CHALLENGES_MAX).collect()
    }

    /// A parameter, if it is there once.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }
}

fn read(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        let after = after.trim_start();
        match (after.strip_prefix('='), challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let Some((value, after)) = value_of(value.trim_start()) else { break };
                challenge.parameters.push((word.to_owned(), value));
                rest = after;
            }
            (Some(_), None) => break,
            (None, _) => {
                let scheme = match word {
                    word if word.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
                    word if word.eq_ignore_ascii_case("basic") => Scheme::Basic,
                    _ => Scheme::Other,
                };
                challenges.push(Challenge { scheme, parameters: Vec::new() });
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

fn token(text: &str) -> (&str, &str) {
    let is_token =
        |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    let end = text.find(|character| !is_token(character)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read() {
        let found = read(
            r#"Basic realm="a, b", Bearer realm="https://auth.acme.com/token",service="reg\"istry" , scope=x"#,
        );
        let [basic, bearer] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((basic.scheme, basic.parameter("realm")), (Scheme::Basic, Some("a, b")));
        assert_eq!(bearer.scheme, Scheme::Bearer);
        assert_eq!(bearer.parameter("REALM"), Some("https://auth.acme.com/token"));
        assert_eq!(bearer.parameter("service"), Some("reg\"istry"));
        assert_eq!(bearer.parameter("scope"), Some("x"));
        assert_eq!(bearer.parameter("error"), None);
    }

    #[test]
    fn what_is_doubtful_is_no_parameter() {
        let one = |text: &str| read(text).into_iter().next();
        assert_eq!(one(r#"Bearer realm="a",realm="b""#).unwrap().parameter("realm"), None);
        assert_eq!(one(r#"Bearer realm="a"#).unwrap().parameter("realm"), None);
        assert_eq!(one(r#"realm="a""#), None);
        assert_eq!(one(""), None);
        assert_eq!(one("Negotiate").unwrap().scheme, Scheme::Other);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[a-zA-Z"\\=, ]{0,64}"#) {
            let _ = read(&text);
        }
    }
}
