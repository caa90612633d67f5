//! Conditions of a request: `If-Match`, `If-None-Match` with strong entity tags (RFC 9110, section 13).

use http::{HeaderMap, HeaderName, header};
use mcpg_cp_api::ProblemCode;

use super::refused::Refused;

/// What must hold of a thing for it to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It must not exist.
    Absent,
    /// It must exist with one of these tags; none means any.
    Match(Vec<String>),
}

impl Condition {
    /// What a request that changes something wants. It must want something.
    ///
    /// # Errors
    /// When it wants nothing (428), or a header cannot be read (400).
    pub fn of_change(headers: &HeaderMap) -> Result<Self, Refused> {
        match (tags(headers, &header::IF_MATCH)?, tags(headers, &header::IF_NONE_MATCH)?) {
            (Some(Tags::Listed(tags)), None) => Ok(Self::Match(tags)),
            (Some(Tags::Any), None) => Ok(Self::Match(Vec::new())),
            (None, Some(Tags::Any)) => Ok(Self::Absent),
            // Nothing is there and absent: whatever it is about, one of the two does not hold.
            (Some(_), Some(Tags::Any)) => Err(Refused::new(
                ProblemCode::Precondition,
                "`If-Match` and `If-None-Match: *` cannot both hold: send one of them",
            )),
            (None, None) => Err(Refused::new(
                ProblemCode::PreconditionRequired,
                "say what is to be changed: `If-Match` with its etag, or `If-None-Match: *` to make it",
            )),
            _ => Err(Refused::field(
                ProblemCode::Header,
                "if-none-match",
                "a change takes either `If-Match` with an etag or `If-None-Match: *`",
            )),
        }
    }

    /// The same for what can only be changed, never made.
    ///
    /// # Errors
    /// As [`Condition::of_change`], and when the thing is to be absent.
    pub fn of_existing(headers: &HeaderMap) -> Result<Vec<String>, Refused> {
        match Self::of_change(headers)? {
            Self::Match(tags) => Ok(tags),
            Self::Absent => Err(Refused::bare(ProblemCode::Precondition)),
        }
    }

    /// The version that the tags allow, given the current one: `None` for no condition.
    ///
    /// # Errors
    /// When the current tag is not among them (412).
    pub fn matching(tags: &[String], current: &str) -> Result<(), Refused> {
        if tags.is_empty() || tags.iter().any(|tag| tag == current) {
            Ok(())
        } else {
            Err(Refused::bare(ProblemCode::Precondition))
        }
    }
}

/// Whether a reader has the thing with this tag already (304).
///
/// # Errors
/// When the header cannot be read.
pub fn is_known(headers: &HeaderMap, etag: &str) -> Result<bool, Refused> {
    Ok(match tags(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => tags.iter().any(|tag| tag == etag),
    })
}

enum Tags {
    Any,
    Listed(Vec<String>),
}

const TAGS_MAX: usize = 16;

/// The items of a list. A comma within quotes is part of a tag (RFC 9110 section 8.8.3).
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    })
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Refused> {
    let wrong = || Refused::field(ProblemCode::Header, name.as_str(), "use `*` or etags such as `\"3\"`");
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(name) { Err(wrong()) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if text == "*" {
        return Ok(Some(Tags::Any));
    }
    // An empty list is no condition; where one is needed, it is missing.
    if text.is_empty() {
        return Ok(None);
    }
    let mut listed = Vec::new();
    for part in parts(text).map(str::trim) {
        // A weak tag never matches in a strong comparison; for readers `W/` is as good.
        let bare =
            if *name == header::IF_NONE_MATCH { part.strip_prefix("W/").unwrap_or(part) } else { part };
        let is_tag =
            |tag: &&str| !tag.is_empty() && tag.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e));
        let tag = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(is_tag);
        listed.push(tag.ok_or_else(wrong)?.to_owned());
        if listed.len() > TAGS_MAX {
            return Err(wrong());
        }
    }
    Ok(Some(Tags::Listed(listed)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_change_says_of_what() {
        let check = |pairs: &[(&'static str, &str)], expected: Result<Condition, u16>| {
            let found = Condition::of_change(&headers(pairs)).map_err(|refused| refused.code.status());
            assert_eq!(found, expected, "{pairs:?}");
        };
        let matching =
            |tags: &[&str]| Ok(Condition::Match(tags.iter().map(|tag| (*tag).to_owned()).collect()));
        check(&[("if-match", "\"3\"")], matching(&["3"]));
        check(&[("if-match", "\"3\", \"4\"")], matching(&["3", "4"]));
        check(&[("if-match", "*")], matching(&[]));
        check(&[("if-none-match", "*")], Ok(Condition::Absent));
        check(&[], Err(428));
        check(&[("if-match", "")], Err(428));
        check(&[("if-none-match", "\"3\"")], Err(400));
        check(&[("if-match", "\"3\""), ("if-none-match", "*")], Err(412));
        for wrong in ["3", "\"3", "W/\"3\"", "\"\"", "\"a\"b\"", "\"3\",", "\"a b\""] {
            check(&[("if-match", wrong)], Err(400));
        }
    }

    #[test]
    fn a_comma_within_quotes_is_of_the_tag() {
        let tags = Condition::of_existing(&headers(&[("if-match", "\"a,b\", \"3\"")])).unwrap();
        assert_eq!(tags, ["a,b", "3"]);
    }

    #[test]
    fn tags_are_compared_whole() {
        let tags = ["3".to_owned()];
        assert!(Condition::matching(&tags, "3").is_ok());
        assert!(Condition::matching(&tags, "33").is_err());
        assert!(Condition::matching(&[], "anything").is_ok());
        assert!(is_known(&headers(&[("if-none-match", "W/\"3\"")]), "3").unwrap());
        assert!(!is_known(&headers(&[]), "3").unwrap());
        assert!(!is_known(&headers(&[("if-none-match", "")]), "3").unwrap());
    }
}
